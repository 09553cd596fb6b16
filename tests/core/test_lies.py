"""
Whatever a server says, in whatever order: levels stay within their bounds, and work goes on.

Readings jump, freeze, contradict each other and come late; hints and refusals come
without reason. Nothing here is believed to be true, but all of it is well-formed:
what is not was dropped when the headers were read.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratelimit_client.core.bucket import Bucket
from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.profile import Refill, ServerProfile
from ratelimit_client.core.quota import Quotas, per_day, per_minute
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.ticket import State, Ticket
from ratelimit_client.core.units import NS as S
from tests.core.driving import GENERIC, OPENAI, Drive, scheduler
from tests.sizes import SCALE

WINDOW = ServerProfile(pays={"requests": "requests", "tokens": "tokens"}, refill=Refill.WINDOW)
AT_END = ServerProfile(pays={"requests": "requests"}, snapshot_at_end=True, settles=frozenset({"requests"}))

amounts = st.one_of(st.none(), st.sampled_from([0, 1, 2, 59, 60, 61, 1000]), st.integers(-10, 10**15))
resets = st.one_of(st.none(), st.sampled_from([0.0, 0.001, 1.0, 59.9, 60.0, 61.0, 3600.0]), st.floats(0, 3600))
windows = st.sampled_from([None, None, None, 1.0, 60.0, 3600.0])
readings = st.builds(Reading, limit=amounts, remaining=amounts, reset_s=resets, window_s=windows)
answers = st.builds(
    Signals,
    status=st.just(200),
    reason=st.sampled_from([Reason.OK, Reason.OK, Reason.RATE_LIMITED, Reason.OVERLOADED, Reason.TOO_LARGE]),
    retry_after_s=st.one_of(st.none(), st.floats(0, 30)),
    readings=st.dictionaries(st.sampled_from(["requests", "tokens", "other"]), readings, max_size=3),
    unit=st.sampled_from([None, "requests", "tokens", "other"]),
    limit=amounts,
    used=amounts,
    requested=amounts,
    processing_s=st.one_of(st.none(), st.floats(0, 100)),
)
acts = st.sampled_from(["ask", "answer", "answer", "wait"])
steps = st.lists(st.tuples(acts, st.integers(0, 99), answers), max_size=40)
typed = st.sampled_from([(), per_minute(requests=60, tokens=1000), per_day(requests=100)])


def bounded(drive: Drive, quotas: Quotas) -> None:
    """No level above its bucket, none below minus itself and what is under way, and no limit above the caller's."""
    ceilings = {(quota.unit, quota.window_ns): quota.amount for quota in quotas}
    for state in drive.machine.keys.values():
        for buckets in state.budget.by_unit.values():
            for bucket in buckets:
                bucket.refresh(now_ns=drive.now_ns)
                assert bucket.credits <= bucket.brim
                assert bucket.limit > 0
                assert 0 <= bucket.reserve <= bucket.brim
        for line in state.budget.all_lines:
            ceiling = ceilings.get((line.bucket.name, line.bucket.window_ns))
            assert ceiling is None or line.bucket.limit <= ceiling


@pytest.mark.parametrize("profile", [OPENAI, GENERIC, WINDOW, AT_END], ids=["openai", "generic", "window", "at end"])
@settings(max_examples=40 * SCALE)
@given(quotas=typed, script=steps)
def test_no_word_of_a_server_breaks_anything(profile: ServerProfile, quotas: Quotas, script: list[Any]) -> None:
    """Every level keeps its bounds at every step, and when the talking ends, everybody is served."""
    drive = Drive(scheduler(quotas, slots=20, profile=profile), hold=True)
    for what, pick, signals in script:
        out = [ticket for _, ticket in drive.log if ticket.state is State.GRANTED]
        if what == "ask":
            drive.ask(requests=pick % 3, tokens=10 * (pick % 7), tenant=str(pick % 2))
        elif what == "answer" and out:
            drive.end(out[pick % len(out)], signals, Ending.IGNORED)
        else:
            drive.to(drive.now_ns / S + pick / 10)
        bounded(drive, quotas)

    served_ns = _serve_all(drive)
    bounded(drive, quotas)
    assert served_ns <= 200 * 86_400 * S


def _serve_all(drive: Drive) -> int:
    """Answer without a word until nobody waits; the nanoseconds that took, in a bounded number of turns."""
    start_ns = drive.now_ns
    for _ in range(3000):
        for _, ticket in drive.log:
            if ticket.state is State.GRANTED:
                drive.machine.release(ticket, Ending.SUCCEEDED, now_ns=drive.now_ns)
        drive.turn()
        if not drive.machine.queued:
            return drive.now_ns - start_ns
        wake_ns = drive.machine.next_wakeup()
        if wake_ns is not None:
            drive.now_ns = max(drive.now_ns, wake_ns)
    raise AssertionError("three thousand turns, and somebody still waits")


def shows(left: int, *, limit: int = 600) -> Signals:
    return Signals(200, readings={"requests": Reading(limit, left, window_s=60.0)})


def observe(drive: Drive, ticket: Ticket, left: int) -> None:
    drive.machine.observe(ticket, shows(left), now_ns=drive.now_ns)


def bucket_of(drive: Drive) -> Bucket:
    return drive.machine.keys["m"].budget.by_unit["requests"][0]


def test_an_answer_that_comes_late_does_not_undo_what_was_reserved_since() -> None:
    """Its snapshot is older than that of a call sent after it: it is not used at all."""
    drive = Drive(scheduler(slots=100), hold=True)
    early, late = drive.ask(), drive.ask()
    drive.to(1)
    newer = drive.ask()
    observe(drive, newer, 300)
    level = bucket_of(drive).level(now_ns=drive.now_ns)
    drive.to(1.1)
    observe(drive, early, 599)
    observe(drive, late, 1)

    assert bucket_of(drive).level(now_ns=drive.now_ns) == level + 1, "a tenth of a second has passed, and that is all"


def test_the_same_reading_twice_is_once() -> None:
    """An answer is read once, and a reading of one call changes nothing the second time."""
    drive = Drive(scheduler(slots=100), hold=True)
    ticket = drive.ask()
    observe(drive, ticket, 300)
    level = bucket_of(drive).level(now_ns=0)
    ticket.state = State.GRANTED  # as if a careless caller handed it in again
    drive.to(0.01)
    observe(drive, ticket, 599)

    assert bucket_of(drive).level(now_ns=0) == level


def test_a_remaining_above_the_limit_fills_the_bucket_and_no_more() -> None:
    """A thousand left of six hundred are six hundred."""
    drive = Drive(scheduler(slots=100), hold=True)
    observe(drive, drive.ask(), 300)
    for second in range(1, 4):
        drive.to(float(second))
        observe(drive, drive.ask(), 1000)

    assert bucket_of(drive).level(now_ns=drive.now_ns) <= 600


def test_a_remaining_far_below_nothing_closes_for_no_more_than_two_windows() -> None:
    """No honest server lets a bucket fall below minus itself."""
    drive = Drive(scheduler(slots=100), hold=True)
    observe(drive, drive.ask(), -(10**15))
    waits = drive.ask()
    drive.to(130)

    assert waits.state is State.GRANTED


def test_a_single_odd_limit_fails_nothing() -> None:
    """A hundredth of the limit, in one answer: the level falls, the capacity stays, and the next answer mends it."""
    drive = Drive(scheduler(slots=100), hold=True)
    for number in range(3):
        drive.to(number / 10)
        drive.end(drive.ask(), shows(500 - number))
    drive.to(1)
    odd, next_one = drive.ask(), drive.ask()
    drive.end(odd, shows(5, limit=6))
    assert bucket_of(drive).limit == 600
    waits = drive.ask(requests=50)
    assert waits.state is State.QUEUED

    drive.to(1.2)
    drive.end(next_one, shows(505))
    assert drive.when(waits) == 1.2


def test_a_reading_without_a_reset_of_a_server_that_counts_windows() -> None:
    """It is empty, and nobody knows until when: a window is waited for, counted from then."""
    drive = Drive(scheduler(slots=100, profile=WINDOW), hold=True)
    ticket = drive.ask()
    drive.machine.observe(ticket, Signals(200, readings={"requests": Reading(10, 0)}), now_ns=0)
    waits = drive.ask()

    assert drive.machine.next_wakeup() == 60 * S
    drive.to(64)
    assert waits.state is State.GRANTED
