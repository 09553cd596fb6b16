"""What may happen to a call, from its submission to its end."""

from __future__ import annotations

import pytest

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.cost import ONE_REQUEST, Cost
from ratelimit_client.core.events import Kind
from ratelimit_client.core.failure import FailureKind, TransportFailure
from ratelimit_client.core.outage import FAILURES_TO_CLOSE
from ratelimit_client.core.profile import ServerProfile
from ratelimit_client.core.quota import Quota, Quotas, per_minute, per_second
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.ticket import Patience, State
from ratelimit_client.core.units import NS as S
from ratelimit_client.errors import (
    CostExceedsQuota,
    DeadlineExpiredInQueue,
    DeadlineUnreachable,
    QueueFull,
    WouldBlock,
)
from tests.core.driving import Drive, scheduler

TIMEOUT = TransportFailure(kind=FailureKind.TIMEOUT)


def level(drive: Drive, unit: str = "requests", key: str = "m") -> int:
    return drive.machine.keys[key].budget.by_unit[unit][0].level(now_ns=drive.now_ns)


# -- submitting -------------------------------------------------------------------


def test_a_call_that_fits_goes_at_once() -> None:
    """Without a turn, and it is charged at once."""
    drive = Drive(scheduler(per_minute(requests=100, tokens=1000)), hold=True)
    ticket = drive.ask(tokens=300, polled=False)

    assert (ticket.state, ticket.order) == (State.GRANTED, 1)
    assert (level(drive), level(drive, "tokens")) == (99, 700)
    assert (drive.machine.in_flight, drive.machine.queued, drive.machine.next_wakeup()) == (1, 0, None)


def test_a_call_that_does_not_fit_waits_its_turn() -> None:
    """In one bucket is enough, and then none is charged."""
    drive = Drive(scheduler(per_second(requests=100, tokens=100)), hold=True)
    drive.ask(tokens=90)
    ticket = drive.ask(tokens=50)
    assert (ticket.state, drive.machine.queued, level(drive)) == (State.QUEUED, 1, 99)

    drive.to(1)
    assert drive.when(ticket) == pytest.approx(0.41)  # a hundredth of the bucket stays behind
    assert ticket.waited_ns == pytest.approx(0.41 * S)


def test_a_fast_call_stands_behind_those_that_wait() -> None:
    """A small call that would fit does not overtake a large one of its own lane."""
    drive = Drive(scheduler(per_second(tokens=100)))
    drive.ask(tokens=80)
    drive.ask(tokens=90)
    small = drive.ask(tokens=5)

    assert small.state is State.QUEUED


def test_calls_that_rest_keep_nobody_back() -> None:
    """Who waits for his not-before time is not first in line."""
    drive = Drive(scheduler(per_second(requests=100)), hold=True)
    ticket = drive.ask()
    drive.end(ticket, None, Ending.IGNORED)
    drive.machine.requeue(ticket, not_before_ns=5 * S, now_ns=0)

    assert drive.ask(polled=False).state is State.GRANTED
    drive.to(4.999)
    assert ticket.state is State.QUEUED
    drive.to(5)
    assert (ticket.state, drive.when(ticket)) == (State.GRANTED, 5.0)


def test_a_resting_call_whose_time_has_come_is_first_even_before_the_turn() -> None:
    """A call that comes at that very instant stands behind it."""
    drive = Drive(scheduler(per_second(requests=100), slots=1), hold=True)
    ticket = drive.ask()
    drive.end(ticket, None, Ending.IGNORED)
    drive.machine.requeue(ticket, not_before_ns=5 * S, now_ns=0)
    drive.now_ns = 5 * S

    assert drive.ask(polled=False).state is State.QUEUED
    drive.turn()
    assert ticket.state is State.GRANTED


def test_a_stated_cost_above_the_quota_is_refused_with_both_numbers() -> None:
    """No wait would help, so nothing waits."""
    machine = scheduler(per_minute(tokens=1000))
    with pytest.raises(CostExceedsQuota, match=r"needs 1,001 tokens.*'m' holds 1,000 per 60 s.*from config") as caught:
        machine.submit("m", cost=Cost(tokens=1001), now_ns=0)

    assert (caught.value.unit, caught.value.cost, caught.value.limit) == ("tokens", 1001, 1000)
    assert (machine.queued, machine.in_flight) == (0, 0)


def test_the_queue_is_bounded() -> None:
    """One more than max_queue is refused; over all keys."""
    machine = scheduler(slots=1, max_queue=2)
    for key in "abc":
        machine.submit(key, cost=ONE_REQUEST, now_ns=0)
    with pytest.raises(QueueFull, match="holds 2 calls, its max_queue") as caught:
        machine.submit("a", cost=ONE_REQUEST, now_ns=0)

    assert caught.value.max_queue == 2


@pytest.mark.parametrize(
    ("spent", "asked", "told"),
    [
        (90, 50, r"because of tokens; it could in 0\.410 s"),
        (0, 5, r"because of max_in_flight; it is not known when"),
    ],
)
def test_who_does_not_want_to_wait_is_told_when_it_could_go(spent: int, asked: int, told: str) -> None:
    """What it is that blocks, and the time where it is known; nothing is left behind."""
    drive = Drive(scheduler(per_second(tokens=100), slots=1), hold=not spent)
    drive.ask(tokens=spent)
    with pytest.raises(WouldBlock, match=told):
        drive.machine.submit("m", cost=Cost(tokens=asked), waits=False, now_ns=0)

    assert drive.machine.queued == 0


def test_who_does_not_want_to_wait_does_not_overtake_either() -> None:
    """Others are first, although it would fit."""
    drive = Drive(scheduler(per_second(tokens=100)))
    drive.ask(tokens=80)
    drive.ask(tokens=90)
    with pytest.raises(WouldBlock, match="because of calls that are first"):
        drive.machine.submit("m", cost=Cost(tokens=5), waits=False, now_ns=0)


def test_a_quota_may_hold_for_one_key_or_for_the_rest() -> None:
    """By name, and "*" for all that are not named; without that the rest is free."""
    machine = scheduler({"gpt-4o": per_minute(requests=2), "*": Quotas([Quota("requests", 3)])})
    for key, amount in (("gpt-4o", 2), ("o3", 3), ("o4", 3)):
        with pytest.raises(CostExceedsQuota):
            machine.submit(key, cost=Cost(amount + 1), now_ns=0)

    free = scheduler({"gpt-4o": per_minute(requests=2)})
    assert free.submit("o3", cost=Cost(10**6), now_ns=0).state is State.GRANTED


# -- deadlines --------------------------------------------------------------------


def test_a_deadline_that_has_passed_already_sends_nothing() -> None:
    """Not even a call that would fit."""
    machine = scheduler()
    with pytest.raises(DeadlineExpiredInQueue, match="had passed when the call was asked for"):
        machine.submit("m", cost=ONE_REQUEST, deadline_ns=5, now_ns=5)

    assert machine.in_flight == 0


def test_a_deadline_ends_the_wait() -> None:
    """At that instant, with the time it waited; the calls behind it move up."""
    drive = Drive(scheduler(slots=1), hold=True)
    drive.ask()
    late, patient = drive.ask(deadline_ns=2 * S), drive.ask()
    assert drive.machine.next_wakeup() == 2 * S
    drive.to(1.999)
    assert late.state is State.QUEUED

    drive.to(2)
    assert drive.expired == [late]
    assert isinstance(late.error, DeadlineExpiredInQueue)
    assert late.error.waited_s == 2.0
    assert "after 2.000 s in the queue of 'm': it was not sent" in str(late.error)
    assert (late.state, drive.machine.queued) == (State.ENDED, 1)
    drive.end(drive.log[0][1])
    assert patient.state is State.GRANTED


def test_a_deadline_holds_over_all_attempts() -> None:
    """Sent back, it may still expire, and then it was sent before."""
    drive = Drive(scheduler(), hold=True)
    ticket = drive.ask(deadline_ns=3 * S)
    drive.now_ns = S
    drive.end(ticket, None, Ending.IGNORED)
    drive.machine.requeue(ticket, not_before_ns=9 * S, now_ns=S)
    drive.to(3)

    assert drive.expired == [ticket]
    assert "after 2.000 s in the queue of 'm': it was not sent again" in str(ticket.error)


def test_a_deadline_that_cannot_be_met_is_said_at_once() -> None:
    """What waits in the same and in better bands, and the call itself, cannot have flowed back in time."""
    drive = Drive(scheduler(per_second(tokens=100)))
    drive.ask(tokens=100)
    drive.ask(tokens=100, priority=-1)
    drive.ask(tokens=100)
    with pytest.raises(DeadlineUnreachable, match=r"could go in 2\.5 s, its deadline is in 2\.5 s") as caught:
        drive.ask(tokens=50, deadline_ns=round(2.5 * S) - 1)
    assert caught.value.ready_in_s == 2.5

    assert drive.ask(tokens=50, deadline_ns=round(2.5 * S)).state is State.QUEUED
    assert drive.ask(tokens=50, priority=-1, deadline_ns=round(1.5 * S)).state is State.QUEUED


def test_what_is_only_guessed_makes_no_deadline_unreachable() -> None:
    """A learnt rate may be better in a second."""
    drive = Drive(scheduler(), hold=True)
    refused = drive.ask()
    drive.end(refused, Signals(429, Reason.RATE_LIMITED, True), Ending.IGNORED)
    for _ in range(10):
        drive.ask()

    assert drive.ask(deadline_ns=drive.now_ns + S).state is State.QUEUED


def test_patience_ends_in_an_outage_only() -> None:
    """A call without a deadline waits for a server that is gone only so long, from the outage or from its start."""
    drive = Drive(scheduler(slots=4), hold=True)
    first, *others = [drive.ask() for _ in range(4)]
    before = drive.ask(patience=Patience(20 * S))
    drive.to(100)
    for _ in range(FAILURES_TO_CLOSE):
        drive.machine.failed(first, TIMEOUT, now_ns=drive.now_ns)
    drive.end(first, None, Ending.IGNORED, polled=False)
    drive.machine.requeue(first, not_before_ns=drive.now_ns, now_ns=drive.now_ns)
    after, patient = drive.ask(patience=Patience(30 * S)), drive.ask()
    drive.to(140)

    assert [(ticket, ticket.state) for _, ticket in drive.log[4:]] == [(first, State.GRANTED)]
    assert [ticket.error.waited_s for ticket in drive.expired] == [120.0, 30.0]  # type: ignore[union-attr]
    assert drive.expired == [before, after]
    assert "the server still does not answer after 30.000 s" in str(after.error)
    assert patient.state is State.QUEUED
    assert {ticket.state for ticket in others} == {State.GRANTED}


# -- ends -------------------------------------------------------------------------


def test_cancelling_in_the_queue_leaves_nothing() -> None:
    """Twice is once."""
    drive = Drive(scheduler(slots=1), hold=True)
    drive.ask()
    ticket = drive.ask()
    drive.machine.subscribe([Kind.CANCELLED])
    for _ in range(2):
        drive.machine.cancel(ticket, now_ns=0)

    assert (ticket.state, drive.machine.queued) == (State.ENDED, 0)
    assert drive.machine.next_event().kind is Kind.CANCELLED  # type: ignore[union-attr]
    assert drive.machine.next_event() is None


def test_cancelling_a_grant_gives_slot_and_charge_back() -> None:
    """As if it had never been; after the first byte it does neither."""
    drive = Drive(scheduler(per_minute(requests=10)), hold=True)
    unsent, sent, answered = (drive.ask() for _ in range(3))
    drive.machine.written(sent, now_ns=0)
    drive.machine.observe(answered, Signals(200), now_ns=0)
    for ticket in (unsent, sent, answered):
        drive.machine.cancel(ticket, now_ns=0)

    assert [ticket.state for ticket in (unsent, sent, answered)] == [State.ENDED, State.GRANTED, State.ANSWERED]
    assert (drive.machine.in_flight, level(drive)) == (2, 8)


def test_a_call_that_rests_may_be_cancelled() -> None:
    """It ends, and cannot be sent back any more."""
    drive = Drive(scheduler())
    ticket = drive.ask()
    assert ticket.state is State.RESTING
    drive.machine.cancel(ticket, now_ns=0)

    with pytest.raises(ValueError, match="only a released ticket"):
        drive.machine.requeue(ticket, not_before_ns=0, now_ns=0)


def test_what_was_not_written_comes_back_once() -> None:
    """Every bucket, and the turn of a probe; an answered call gives nothing back."""
    drive = Drive(scheduler(per_minute(requests=10, tokens=100)), hold=True)
    ticket, answered = drive.ask(tokens=30), drive.ask(tokens=30)
    for _ in range(2):
        drive.machine.unsent(ticket, now_ns=0)
    drive.machine.observe(answered, Signals(200), now_ns=0)
    drive.machine.unsent(answered, now_ns=0)

    assert (level(drive), level(drive, "tokens")) == (9, 70)


def test_a_probe_that_was_not_sent_is_withdrawn_once() -> None:
    """Another may ask at once, and the time between probes does not shrink by that."""
    drive = Drive(scheduler(slots=20), hold=True)
    for _ in range(FAILURES_TO_CLOSE):
        ticket = drive.ask()
        drive.machine.failed(ticket, TIMEOUT, now_ns=0)
        drive.end(ticket, None, Ending.IGNORED)
    breaker = drive.machine.keys["m"].breaker
    drive.ask()
    for second in (1, 3):
        drive.to(second)
        probe = drive.log[-1][1]
        if second == 1:
            drive.machine.failed(probe, TIMEOUT, now_ns=drive.now_ns)
            drive.end(probe, None, Ending.IGNORED)
            drive.ask()
    assert breaker.probes == 2
    for _ in range(2):
        drive.machine.unsent(probe, now_ns=drive.now_ns)

    assert (breaker.probes, breaker.next_probe_ns) == (1, 3 * S)


def test_a_ticket_that_is_sent_again_begins_afresh() -> None:
    """What was written, used and probed is of the attempt before; the next one can be taken back as any other."""
    drive = Drive(scheduler(per_minute(requests=10)), hold=True)
    ticket = drive.ask()
    drive.machine.written(ticket, now_ns=0)
    drive.machine.settle(ticket, {"requests": 2}, now_ns=0)
    ticket.probe = True
    drive.machine.release(ticket, Ending.DROPPED, now_ns=0)
    drive.machine.requeue(ticket, not_before_ns=0, now_ns=0)
    assert drive.machine.poll(now_ns=0).granted == [ticket]

    assert (ticket.written_ns, ticket.settled, ticket.probe) == (None, None, False)
    before = level(drive)
    drive.machine.cancel(ticket, now_ns=0)
    assert level(drive) == before + 1


def test_a_release_is_one_slot_however_often_it_is_said() -> None:
    """A slot that came back cannot come back again."""
    drive = Drive(scheduler(), hold=True)
    ticket, other = drive.ask(), drive.ask()
    for _ in range(3):
        drive.end(ticket)

    assert drive.machine.in_flight == 1
    drive.end(other)
    assert (drive.machine.in_flight, drive.machine.keys["m"].window.in_flight) == (0, 0)


def test_an_answer_is_read_once() -> None:
    """What comes after it changes nothing."""
    drive = Drive(scheduler(), hold=True)
    ticket = drive.ask()
    for _ in range(2):
        drive.machine.observe(ticket, Signals(429, Reason.RATE_LIMITED, True), now_ns=0)

    assert drive.machine.keys["m"].refused == 1


def test_writing_is_reported_once_and_measures_the_way() -> None:
    """The first byte, and only of a call that is under way."""
    drive = Drive(scheduler(slots=100), hold=True)
    drive.machine.reports_written = True
    calls = [drive.ask() for _ in range(5)]
    assert calls[4].state is State.QUEUED
    assert drive.machine.next_wakeup() is None, "the silence of a round begins with its first byte"

    assert drive.machine.written(calls[0], now_ns=S // 100)
    assert not drive.machine.written(calls[0], now_ns=S)
    assert not drive.machine.written(calls[4], now_ns=S)
    assert not drive.machine.written(calls[1], now_ns=S // 100), "the clock of the round runs already"
    assert calls[0].written_ns == S // 100
    assert drive.machine.next_wakeup() == 0


def test_a_grant_that_is_cancelled_says_nothing_of_the_server() -> None:
    """Four calls met an overload, then fifty were cancelled before they were sent, then one meets it: the fifth."""
    drive = Drive(scheduler(), hold=True)
    for _ in range(4):
        drive.end(drive.ask(), None, Ending.DROPPED)
    for _ in range(50):
        drive.machine.cancel(drive.ask(), now_ns=0)
    assert not drive.machine.keys["m"].window.careful
    drive.end(drive.ask(), None, Ending.DROPPED)

    assert drive.machine.keys["m"].window.careful


def test_the_wait_of_a_call_is_that_in_the_queue_over_all_attempts() -> None:
    """From the second to the third, and once sent back from the fourth to the sixth: three seconds."""
    drive = Drive(scheduler(slots=1), hold=True)
    blocks = drive.ask()
    drive.to(2)
    ticket = drive.ask()
    drive.to(3)
    drive.end(blocks)
    drive.end(ticket, polled=False)
    drive.to(4)
    drive.ask()
    drive.machine.requeue(ticket, not_before_ns=0, now_ns=drive.now_ns)
    drive.to(6)
    drive.end(drive.log[-1][1])

    assert (ticket.state, ticket.waited_ns) == (State.GRANTED, 3 * S)


def test_the_dice_say_how_late_the_step_of_a_window_is_awaited() -> None:
    """Many processes wait for the same step, and must not all come at once: half a second later, say the dice."""
    instants = []
    for die in (0.0, 0.5):
        machine = scheduler(profile=ServerProfile(pays={"requests": "requests"}))
        machine.dice = lambda die=die: die
        drive = Drive(machine, hold=True)
        drive.end(drive.ask(), Signals(200, readings={"requests": Reading(9, 0, 10.0)}))
        waits = drive.ask()
        drive.to(60)
        instants.append(drive.when(waits))

    first, second = instants
    assert first is not None
    assert first > 10
    assert second == first + 0.5
