"""What a server says after the head of an answer: an error inside a stream, limits in an event."""

from __future__ import annotations

import pytest

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.events import Kind
from ratelimit_client.core.quota import per_minute
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.ticket import State, Ticket
from ratelimit_client.core.units import NS as S
from tests.core.driving import OK, Drive
from tests.core.test_observing import drive_of, refusal, shows, state_of, told


def hear(drive: Drive, ticket: Ticket, signals: Signals) -> None:
    drive.machine.heard(ticket, signals, now_ns=drive.now_ns)


def head(drive: Drive, ticket: Ticket, signals: Signals = OK) -> None:
    drive.machine.observe(ticket, signals, now_ns=drive.now_ns)


def level(drive: Drive, unit: str = "requests") -> int:
    (bucket,) = state_of(drive).budget.by_unit[unit]
    bucket.refresh(now_ns=drive.now_ns)
    return bucket.credits // bucket.window_ns


def test_a_refusal_inside_a_stream_closes_what_it_names() -> None:
    """The head was a success, and an answer to the ramp; then it says no, with its time."""
    drive = drive_of(per_minute(requests=600, tokens=10_000))
    drive.machine.subscribe({Kind.REFUSED})
    ticket = drive.ask(tokens=1000)
    head(drive, ticket, Signals(200, readings=shows(599)))
    drive.to(5)
    hear(drive, ticket, refusal(unit="tokens", retry_after_s=4.0))
    assert state_of(drive).window.silence_ns < S, "how long it streamed says nothing of how fast a refusal comes"
    large, none = drive.ask(tokens=1000), drive.ask(tokens=0, tenant="b")
    assert [large.state, none.state] == [State.QUEUED, State.GRANTED]
    assert state_of(drive).refused == 1
    assert [kind for kind, _ in told(drive)] == [Kind.REFUSED]
    drive.to(8.9)
    assert drive.when(large) is None
    drive.to(12)
    assert drive.when(large) is not None


def test_without_a_head_it_is_the_answer_and_counts_once_for_the_ramp() -> None:
    """A socket has no heads: the first event is what the window grows by."""
    drive = drive_of(slots=64)
    for _ in range(4):
        ticket = drive.ask()
        for _ in range(3):
            hear(drive, ticket, OK)
        drive.end(ticket, None, Ending.SUCCEEDED)
    window = state_of(drive).window
    assert (window.heard, window._answers) == (True, 4)


def test_its_numbers_are_those_of_the_moment() -> None:
    """After ten seconds an event says 500 of 600 are left: they are left now."""
    drive = drive_of(per_minute(requests=600))
    ticket = drive.ask()
    drive.to(10)
    hear(drive, ticket, Signals(200, readings=shows(500)))
    assert level(drive) == pytest.approx(500, abs=1)


def test_what_it_shows_of_the_way_is_not_believed() -> None:
    """How long a call streamed is no jitter."""
    drive = drive_of()
    ticket = drive.ask()
    head(drive, ticket, Signals(200, readings=shows(599)))
    before_ns = drive.machine.jitter.ns
    drive.to(60)
    hear(drive, ticket, Signals(200, processing_s=59.0, readings={"requests": Reading(600, 590)}))
    assert drive.machine.jitter.ns == before_ns


@pytest.mark.parametrize("reason", [Reason.OVERLOADED, Reason.SERVER_ERROR])
def test_a_server_that_fails_inside_its_answers_fails(reason: Reason) -> None:
    """Ten streams in a row that end with its error close the key, although every head was a success."""
    drive = drive_of(slots=64)
    for _ in range(10):
        ticket = drive.ask()
        head(drive, ticket)
        hear(drive, ticket, Signals(500, reason, True))
        drive.end(ticket, None, Ending.DROPPED)
    assert state_of(drive).breaker.since_ns is None, "there was a success between any two"


def test_what_comes_behind_the_last_word_counts() -> None:
    """Its place is free already; of one that was never let out nothing is heard."""
    drive = drive_of(per_minute(requests=600))
    ticket = drive.ask()
    hear(drive, ticket, OK)
    drive.end(ticket, None, Ending.SUCCEEDED)
    hear(drive, ticket, Signals(200, readings=shows(300)))
    assert level(drive) == pytest.approx(300, abs=1)

    hear(drive, ticket, refusal(unit="requests", retry_after_s=50.0))
    waits = drive.ask()
    assert (waits.state, state_of(drive).refused) == (State.QUEUED, 1)
    hear(drive, waits, refusal(unit="requests", retry_after_s=50.0))
    assert state_of(drive).refused == 1


def test_money_that_ran_out_in_the_middle_holds_the_next_for_a_second() -> None:
    """As when the head had said so."""
    drive = drive_of(per_minute(requests=600))
    ticket = drive.ask()
    head(drive, ticket)
    hear(drive, ticket, Signals(429, Reason.QUOTA_EXHAUSTED, False))
    assert state_of(drive).gate_ns == drive.now_ns + S


@pytest.mark.parametrize(("said", "closed"), [(Signals(200, readings=shows(500)), True), (OK, False)])
def test_levels_alone_are_no_success(said: Signals, closed: bool) -> None:
    """Ten answers in a row fail, and after each the server tells its limits: that it lives is not that it works."""
    drive = drive_of(slots=64)
    for _ in range(10):
        ticket = drive.ask()
        hear(drive, ticket, Signals(500, Reason.SERVER_ERROR, True))
        hear(drive, ticket, said)
        drive.end(ticket, None, Ending.DROPPED)
    assert (state_of(drive).breaker.since_ns is not None) is closed
