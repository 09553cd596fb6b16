"""When a ticket stops waiting because the server asks for more patience than it has."""

from __future__ import annotations

import pytest

from ratelimit_client.core.quota import per_minute
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.ticket import Patience, State
from ratelimit_client.errors import DeadlineExpiredInQueue, Throttled, WouldBlock
from tests.core.driving import Drive, S, scheduler

HOUR = Signals(429, Reason.RATE_LIMITED, True, retry_after_s=3600.0, request_id="req-1")
SHORT = Patience(None, 120 * S)
LONG = Patience(None, 7200 * S)


def test_calls_that_are_not_willing_to_wait_so_long_end_at_once() -> None:
    """
    The key is closed for an hour. Who waits two minutes at most hears it now, with a deadline or without; who is
    willing to wait two hours waits.
    """
    drive = Drive(scheduler(slots=1), hold=True)
    first = drive.ask(patience=SHORT)
    short, long = drive.ask(patience=SHORT), drive.ask(patience=LONG)
    dated = drive.ask(patience=SHORT, deadline_ns=9 * S)
    drive.end(first, HOUR)

    assert drive.expired == [short, dated]
    assert [ticket.state for ticket in (short, long, dated)] == [State.ENDED, State.QUEUED, State.ENDED]
    assert isinstance(short.error, Throttled)
    assert (short.error.attempts, short.error.status, short.error.request_id) == (0, 429, "req-1")
    assert short.error.signals is HOUR
    assert str(short.error) == (
        "the server asked calls of 'm' to wait, when it answered 429: another 3600 s, and max_hint_s is 120. "
        "It was not sent: call later, or allow a longer wait; request id req-1"
    )
    drive.to(3601)
    assert drive.when(long) == pytest.approx(3600, abs=0.1)


def test_a_shorter_hint_afterwards_shortens_nothing() -> None:
    """Two were under way; the second hears of two hundred seconds, and the hour stands."""
    drive = Drive(scheduler(slots=2), hold=True)
    first, second = drive.ask(patience=SHORT), drive.ask(patience=SHORT)
    drive.end(first, HOUR)
    drive.end(second, Signals(429, Reason.RATE_LIMITED, True, retry_after_s=200.0))

    with pytest.raises(Throttled, match="another 3600 s"):
        drive.ask(patience=SHORT)


def test_who_comes_later_hears_it_when_he_asks() -> None:
    """Until two minutes before the hour is over; from then on the wait is one that he is willing to wait."""
    drive = Drive(scheduler())
    drive.hold = True
    drive.end(drive.ask(patience=SHORT), HOUR)
    drive.to(3479)
    with pytest.raises(Throttled, match="another 121 s"):
        drive.ask(patience=SHORT)
    with pytest.raises(WouldBlock) as blocked:
        drive.ask(patience=SHORT, waits=False)
    assert blocked.value.ready_in_s == pytest.approx(121, abs=0.1)
    assert drive.machine.queued == 0

    drive.to(3481)
    ticket = drive.ask(patience=SHORT)
    drive.to(3601)
    assert drive.when(ticket) == pytest.approx(3600, abs=0.1)


def test_a_hint_for_large_calls_ends_large_calls() -> None:
    """The tokens of a minute are closed for what costs 400: a call of 100 goes on."""
    drive = Drive(scheduler(per_minute(tokens=1000), slots=2), hold=True)
    drive.end(drive.ask(tokens=10), Signals(200, readings={"tokens": Reading(1000, 900, window_s=60.0)}))
    large, other = drive.ask(tokens=400), drive.ask(tokens=10)
    waits = [drive.ask(tokens=tokens, patience=SHORT) for tokens in (400, 100)]
    drive.end(large, Signals(429, Reason.RATE_LIMITED, True, unit="tokens", retry_after_s=3600.0))

    assert drive.expired == [waits[0]]
    drive.end(other)
    assert waits[1].state is not State.ENDED


def test_a_pause_of_our_own_is_no_hint() -> None:
    """A server that says nothing but no is left alone for longer and longer, and the call goes on waiting."""
    drive = Drive(scheduler(), hold=True)
    no = Signals(429, Reason.RATE_LIMITED, True)
    ticket = drive.ask(patience=Patience(None, S // 100))
    waits = drive.ask(patience=Patience(None, S // 100))
    drive.end(ticket, no)

    assert drive.machine.keys["m"].gate_ns > drive.now_ns + S // 100
    assert drive.expired == []
    assert waits.state is not State.ENDED


def test_sent_back_into_a_closed_key_it_ends_there() -> None:
    """It met a fault of the way, and meanwhile another call heard of the hour."""
    drive = Drive(scheduler(slots=2), hold=True)
    first, second = drive.ask(patience=SHORT), drive.ask(patience=SHORT)
    drive.end(first, HOUR)
    drive.end(second, None)
    drive.machine.requeue(second, not_before_ns=S, now_ns=drive.now_ns)
    drive.turn()

    assert drive.expired == [second]
    assert "It was not sent again" in str(second.error)


def test_a_deadline_that_has_passed_is_the_reason() -> None:
    """Both are true, and the deadline is what the caller said."""
    drive = Drive(scheduler(slots=1), hold=True)
    first, waits = drive.ask(), drive.ask(patience=SHORT, deadline_ns=5 * S)
    drive.now_ns = 5 * S
    drive.end(first, HOUR)

    assert isinstance(waits.error, DeadlineExpiredInQueue)
