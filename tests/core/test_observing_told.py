"""What is told of answers to those who listen."""

from __future__ import annotations

import attrs

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.events import Kind
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.units import NS as S
from tests.core.driving import OK, Drive, scheduler


def drive_of() -> Drive:
    return Drive(scheduler(), hold=True)


def told(drive: Drive) -> list[tuple[Kind, dict[str, object]]]:
    """Every event since the last look."""
    return [(event.kind, dict(event.facts)) for event in iter(drive.machine.next_event, None)]


def test_an_error_that_is_no_refusal_is_told_as_what_it_is() -> None:
    """With its reason and the request's id; of the head of a success no id is told, nobody has looked through it."""
    drive = drive_of()
    drive.machine.subscribe([Kind.ANSWERED, Kind.REFUSED, Kind.ERRED])
    drive.end(drive.ask(), Signals(503, Reason.OVERLOADED, True, request_id="req_2"), Ending.DROPPED)
    drive.end(drive.ask(), attrs.evolve(OK, request_id="req_3"))

    assert told(drive) == [
        (Kind.ERRED, {"reason": "overloaded", "status": 503, "request_id": "req_2", "sent_ns": 0}),
        (Kind.ANSWERED, {"status": 503, "latency_ns": 0, "request_id": "req_2"}),
        (Kind.ANSWERED, {"status": 200, "latency_ns": 0}),
    ]


def test_a_limit_is_told_when_it_is_shown_first_and_when_it_changes() -> None:
    """
    With what it was before; a reading that shows the same again is no news.

    The id of a request is told of an error only: of a success nobody has looked whether it quotes a key.
    """
    drive = drive_of()
    drive.machine.subscribe([Kind.LIMIT_CHANGED])
    for second, limit in enumerate((600, 600, 900)):
        readings = {"requests": Reading(limit, limit - 100, window_s=60.0)}
        drive.now_ns = (second + 1) * S
        drive.end(drive.ask(), attrs.evolve(OK, readings=readings, request_id="req_of_success"))
    drive.now_ns = 4 * S
    refusal = Signals(429, Reason.RATE_LIMITED, True, request_id="req_1", unit="requests")
    drive.end(drive.ask(), attrs.evolve(refusal, readings={"requests": Reading(300, 0, window_s=60.0)}), Ending.IGNORED)

    facts = {"unit": "requests", "window_ns": 60 * S}
    assert told(drive) == [
        (Kind.LIMIT_CHANGED, {**facts, "amount": 600, "before": None}),
        (Kind.LIMIT_CHANGED, {**facts, "amount": 900, "before": 600}),
        (Kind.LIMIT_CHANGED, {**facts, "amount": 300, "before": 900, "request_id": "req_1"}),
    ]
