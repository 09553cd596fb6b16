"""The list of records, held beside the code that writes them."""

from __future__ import annotations

import ast
import logging
import subprocess
import sys
from functools import cache
from pathlib import Path

import attrs
import pytest

from ratelimit_client.adapters.logging import LoggingInstrument
from ratelimit_client.adapters.logging.table import EVENTS, OTHERS
from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.estimate import Features
from ratelimit_client.core.events import Kind
from ratelimit_client.core.failure import FailureKind, TransportFailure
from ratelimit_client.core.outage import FAILURES_TO_CLOSE
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.units import NS as S
from tests.core.driving import OK, Drive, scheduler

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "src" / "ratelimit_client"
ALWAYS = {"event", "model", "client", "call", "untold"}
LIMITS = {"requests": Reading(600, 500, window_s=60.0)}


def told(instrument: LoggingInstrument, drive: Drive) -> None:
    for event in iter(drive.machine.next_event, None):
        instrument.on_event(event)


def test_an_event_is_logged_with_the_fields_that_the_page_lists(caplog: pytest.LogCaptureFixture) -> None:
    """No other, and each of them somewhere: driven through calls to which all of it happens."""
    no = Signals(429, Reason.RATE_LIMITED, True, request_id="r", retry_after_s=1.0)
    slow = Signals(429, Reason.OVERLOADED, True, request_id="r", retry_after_s=1.0, slow_down=True)
    stories: list[list[Signals | None]] = [
        [OK, no],
        [Signals(200, readings=LIMITS), attrs.evolve(no, unit="requests", readings=LIMITS)],
        [
            Signals(200, readings=LIMITS),
            Signals(200, request_id="r", readings={"requests": Reading(900, 800, window_s=60.0)}),
        ],
        [attrs.evolve(no, unit="tokens", limit=10_000, used=9_900, requested=5_000)],
        [*[Signals(500, Reason.SERVER_ERROR, True, request_id="r")] * FAILURES_TO_CLOSE, OK],
        [None],
        [OK, *[slow] * 10],
    ]
    with caplog.at_level(logging.DEBUG):
        for answers in stories:
            drive = Drive(scheduler(slots=1), hold=True)
            drive.machine.subscribe(Kind)
            instrument = LoggingInstrument(level=logging.DEBUG)
            for second, signals in enumerate(answers):
                drive.now_ns = round((second + 1.5) * S)
                if drive.machine.queued == 0:
                    drive.ask(features=Features(40))
                drive.turn()
                ticket = drive.log[-1][1]
                if signals is None:
                    drive.machine.failed(ticket, TransportFailure(kind=FailureKind.TIMEOUT), now_ns=drive.now_ns)
                drive.end(ticket, signals, Ending.IGNORED, polled=False)
                drive.machine.settle(ticket, {"tokens": 7}, now_ns=drive.now_ns)
            drive.ask()
            waits, _ = drive.ask(), drive.ask(deadline_ns=drive.now_ns + S)
            drive.machine.cancel(waits, now_ns=drive.now_ns)
            drive.machine.requeue(ticket, not_before_ns=0, now_ns=drive.now_ns)
            drive.now_ns += S
            drive.turn()
            told(instrument, drive)

    seen: dict[str, set[str]] = {}
    for record in caplog.records:
        facts = vars(record)
        seen.setdefault(facts["event"], set()).update(vars(record))
        assert record.levelno == EVENTS[Kind(facts["event"])].level
    standard = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
    assert {event: found - standard - ALWAYS for event, found in seen.items()} == {
        kind.value: set(known.fields) for kind, known in EVENTS.items()
    }


@cache
def calls() -> list[tuple[str, str, ast.Call]]:
    """Every call in a file that has to do with logs: where, of what, and itself."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text()
        if "_log" in text or "fields(" in text:
            calls_in = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
            found += [(f"{path.relative_to(SOURCE)}:{node.lineno}", ast.unparse(node.func), node) for node in calls_in]
    return found


def writes() -> list[tuple[str, str, ast.Call]]:
    """Those of a logger, by their level."""
    split = [(place, name.rpartition("."), call) for place, name, call in calls()]
    levels = ("debug", "info", "warning", "error", "exception", "critical", "log")
    of_loggers = [each for each in split if each[1][0] in ("_log", "_logger", "LOGGER") and each[1][2] in levels]
    return [(place, level, call) for place, (_, _, level), call in of_loggers]


def made() -> list[tuple[str, str, set[str]]]:
    """Every ``fields("event", ...)``: where, event, names; the events of limiters are looked at above."""
    of_fields = [(place, call) for place, name, call in calls() if name == "fields" and call.args]
    return [
        (place, call.args[0].value, {keyword.arg for keyword in call.keywords if keyword.arg})
        for place, call in of_fields
        if isinstance(call.args[0], ast.Constant)
    ]


def test_every_record_of_the_source_has_its_fields() -> None:
    """Nobody writes a text alone, at another level than the list says, or an event that is not in it."""
    assert len(writes()) > 10
    assert [place for place, _, call in writes() if "extra" not in [each.arg for each in call.keywords]] == []
    assert {level for _, level, _ in writes()} == {
        logging.getLevelName(known.level).lower() for known in OTHERS.values()
    }
    of: dict[str, set[str]] = {}
    for _, event, names in made():
        of.setdefault(event, set()).update(names)
    assert of == {event: set(known.fields) for event, known in OTHERS.items()}


def test_no_field_has_a_name_that_records_have_already() -> None:
    """``logging`` would refuse it where the record is made."""
    fields = {field for known in (*EVENTS.values(), *OTHERS.values()) for field in known.fields} | ALWAYS
    assert not fields & (set(vars(logging.makeLogRecord({}))) | {"message", "asctime"})


def test_every_kind_is_in_the_list() -> None:
    """With its level."""
    assert set(EVENTS) == set(Kind)


def test_the_page_of_the_log_is_the_one_of_the_code() -> None:
    """`python scripts/log_events.py --write` brings it up to date."""
    done = subprocess.run([sys.executable, ROOT / "scripts" / "log_events.py"], check=False)
    assert done.returncode == 0
