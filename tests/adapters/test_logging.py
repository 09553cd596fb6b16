from __future__ import annotations

import logging

import pytest

from ratelimit_client import Limiter
from ratelimit_client.adapters.logging import LoggingInstrument
from ratelimit_client.core.events import Event, Kind
from ratelimit_client.testing import run_virtual


def test_what_a_person_wants_to_know(caplog: pytest.LogCaptureFixture):
    """
    A refusal is a line; the ordinary is not, and is not even made.
    """

    async def story() -> None:
        limiter = Limiter(on_event=LoggingInstrument())
        async with limiter.permit("gpt-4o") as permit:
            permit.observe(429, {"x-request-id": "req_1"})
        await limiter.drain()

    with caplog.at_level(logging.DEBUG):
        run_virtual(story)
    lines = [record.getMessage() for record in caplog.records if record.name == "ratelimit_client.events"]
    assert lines == ["rate_learnt gpt-4o", "refused gpt-4o request_id=req_1"]


def test_everything_when_asked():
    """
    DEBUG takes every kind, INFO those that matter, WARNING an outage and its end.
    """
    assert LoggingInstrument(level=logging.DEBUG).kinds == frozenset(Kind)
    assert Kind.GRANTED not in LoggingInstrument().kinds
    assert LoggingInstrument(level=logging.WARNING).kinds == {Kind.OUTAGE, Kind.RECOVERED}


def test_a_server_writes_no_lines_of_its_own(caplog: pytest.LogCaptureFixture):
    """
    Line breaks are escaped and long names cut, in keys and facts alike; a silent logger is not asked to format.
    """
    instrument = LoggingInstrument(logging.getLogger("quiet"), level=logging.DEBUG)
    event = Event(Kind.REFUSED, 0, "gpt\nERROR fake", {"request_id": "r\r\n" + "x" * 500, "unit": None})
    with caplog.at_level(logging.INFO, "quiet"):
        instrument.on_event(event)
        instrument.on_event(Event(Kind.GRANTED, 0, "m", {}))
        instrument.gauge("in_flight", {}, lambda: 0.0)

    (record,) = caplog.records
    assert "\n" not in record.getMessage()
    assert r"'gpt\nERROR fake'" in record.getMessage()
    assert len(record.getMessage()) < 250
    assert "unit" not in record.getMessage()
