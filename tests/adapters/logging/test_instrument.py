"""What a program's log says of a limiter."""

from __future__ import annotations

import io
import logging

import pytest

from ratelimit_client import Limiter
from ratelimit_client.adapters.logging import LoggingInstrument
from ratelimit_client.core.events import Event, Kind
from ratelimit_client.testing import run_virtual

EVENTS = "ratelimit_client.events"
HOSTILE = "gpt\nERROR fake\x1b[2J\u202e\u200b\ud800"


def records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == EVENTS]


def test_what_a_person_wants_to_know(caplog: pytest.LogCaptureFixture) -> None:
    """
    A refusal is a line, with the id that support asks for; the ordinary is not, and is not even made.
    """

    async def story() -> None:
        limiter = Limiter(on_event=LoggingInstrument(), name="search")
        async with limiter.permit("gpt-4o") as permit:
            permit.observe(429, {"x-request-id": "req_1", "retry-after": "2"})
        await limiter.drain()

    with caplog.at_level(logging.DEBUG):
        run_virtual(story)
    found = records(caplog)
    assert [record.getMessage() for record in found] == [
        "rate_learnt gpt-4o request_id=req_1",
        "refused gpt-4o wait_s=2.0 status=429 request_id=req_1",
    ]
    facts = {"event": "refused", "model": "gpt-4o", "client": "search", "request_id": "req_1", "status": 429}
    assert vars(found[1]).items() >= {**facts, "wait_s": 2.0}.items()


def test_a_thousand_refusals_of_one_moment_are_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """
    A call that was sent after it is another line, which says how many were not told of.
    """

    async def story() -> None:
        limiter = Limiter(on_event=LoggingInstrument())
        permits = [await limiter.permit("m") for _ in range(20)]
        for number, permit in enumerate(permits):
            permit.observe(429, {"x-request-id": f"req_{number}"})
            permit.finish()
        async with limiter.permit("m") as late:
            late.observe(429, {"x-request-id": "req_late"})
        await limiter.drain()

    with caplog.at_level(logging.INFO):
        run_virtual(story)
    refused = [record for record in records(caplog) if vars(record)["event"] == "refused"]
    assert [vars(record)["request_id"] for record in refused] == ["req_0", "req_late"]
    assert [vars(record).get("untold") for record in refused] == [None, 19]
    assert "untold=19" in refused[1].getMessage()


def test_everything_when_asked() -> None:
    """
    DEBUG takes every kind, INFO those that matter, WARNING an outage and its end.
    """
    assert LoggingInstrument(level=logging.DEBUG).kinds == frozenset(Kind)
    assert not LoggingInstrument().kinds & {Kind.GRANTED, Kind.ANSWERED, Kind.RETRYING, Kind.RELEASED}
    assert LoggingInstrument(level=logging.WARNING).kinds == {Kind.OUTAGE, Kind.RECOVERED}


@pytest.mark.parametrize(
    ("name", "level", "kind"),
    [
        (EVENTS, logging.DEBUG, Kind.GRANTED),
        ("ratelimit_client", logging.DEBUG, Kind.GRANTED),
        ("ratelimit_client", logging.WARNING, Kind.OUTAGE),
        (None, logging.DEBUG, Kind.REFUSED),
        ("ratelimit_client_of_somebody_else", logging.DEBUG, Kind.REFUSED),
    ],
)
def test_what_was_set_for_the_library_holds(name: str | None, level: int, kind: Kind) -> None:
    """
    For its logger or its tree, and not for everything: a program at DEBUG does not mean each step of each call.
    """
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(level)
    try:
        kinds = LoggingInstrument().kinds
    finally:
        logger.setLevel(before)
    order = [Kind.GRANTED, Kind.REFUSED, Kind.OUTAGE]
    assert [each for each in order if each in kinds] == order[order.index(kind) :]


def test_at_debug_every_call_is_told_by_its_number(caplog: pytest.LogCaptureFixture) -> None:
    """
    All lines of one call bear the same, and none is left out.
    """

    async def story() -> None:
        limiter = Limiter(on_event=LoggingInstrument(level=logging.DEBUG))
        permits = [await limiter.permit("m", tokens=3) for _ in range(2)]
        for permit in permits:
            permit.observe(429, {})
            permit.finish()
        await limiter.drain()

    with caplog.at_level(logging.DEBUG):
        run_virtual(story)
    of_calls = [(vars(record)["call"], vars(record)["event"]) for record in records(caplog) if "call" in vars(record)]
    first, second = dict.fromkeys(call for call, _ in of_calls)
    told = ["granted", "refused", "answered", "released"]
    assert [event for call, event in of_calls if call == first] == told
    assert [event for call, event in of_calls if call == second] == told


def test_a_server_writes_no_lines_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """
    What could break or steer a line is shown by its code, in the text and in the fields; long names are cut.
    """
    instrument = LoggingInstrument(logging.getLogger("quiet"), level=logging.DEBUG)
    event = Event(Kind.REFUSED, 0, HOSTILE, {"request_id": "r' status=200\r\n" + "x" * 500, "unit": None})
    with caplog.at_level(logging.INFO, "quiet"):
        instrument.on_event(event)
        instrument.on_event(Event(Kind.GRANTED, 0, "m", {}))
        instrument.gauge("in_flight", {}, lambda: 0.0)

    (record,) = caplog.records
    shown = r"gpt\nERROR fake\x1b[2J\u202e\u200b\ud800"
    assert record.getMessage().startswith(f"refused '{shown}' request_id='r\\' status=200\\r\\n")
    assert vars(record)["model"] == shown
    for text in (record.getMessage(), vars(record)["model"], vars(record)["request_id"]):
        assert text.isprintable()
        assert len(text) < 250
    assert not hasattr(record, "limit")


def test_nobody_is_told_whose_logging_is_not_set_up() -> None:
    """
    Python itself would write warnings to stderr where there is no handler: the root of the tree has one, that is deaf.
    """
    kept, logging.lastResort = logging.lastResort, logging.StreamHandler(said := io.StringIO())
    root, library = logging.getLogger(), logging.getLogger("ratelimit_client")
    handlers, root.handlers = root.handlers, []
    try:
        LoggingInstrument().on_event(Event(Kind.OUTAGE, 0, "m", {}))
        logging.getLogger("others").warning("heard")
    finally:
        logging.lastResort, root.handlers = kept, handlers
    assert said.getvalue() == "heard\n"
    assert any(isinstance(handler, logging.NullHandler) for handler in library.handlers)


def test_of_an_instrument_of_several_limiters_nobody_says_whose_an_event_is(caplog: pytest.LogCaptureFixture) -> None:
    """
    The name of the client is told where there is one.
    """
    instrument = LoggingInstrument()
    with caplog.at_level(logging.INFO):
        for name in ("a", "b"):
            instrument.gauge("in_flight", {"client": name}, lambda: 0.0)
            instrument.on_event(Event(Kind.OUTAGE, 0, "m", {"request_id": None}))
    assert [vars(record).get("client") for record in records(caplog)] == ["a", None]
