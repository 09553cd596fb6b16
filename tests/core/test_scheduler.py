"""What may happen to a call, from its submission to its end."""

from __future__ import annotations

import tracemalloc

import pytest

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.cost import ONE_REQUEST, Cost
from ratelimit_client.core.estimate import Features
from ratelimit_client.core.events import Kind
from ratelimit_client.core.failure import FailureKind, TransportFailure
from ratelimit_client.core.outage import FAILURES_TO_CLOSE
from ratelimit_client.core.profile import Refill, ServerProfile
from ratelimit_client.core.quota import Quota, Quotas, per_hour, per_minute, per_second
from ratelimit_client.core.retry import CallHistory, RetryAt, RetryPolicy
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.ticket import State
from ratelimit_client.core.units import NS as S
from ratelimit_client.errors import (
    Closed,
    CostExceedsQuota,
    DeadlineExpiredInQueue,
    DeadlineUnreachable,
    QueueFull,
    WouldBlock,
)
from tests.core.driving import OPENAI, Drive, scheduler

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
    before = drive.ask(patience_ns=20 * S)
    drive.to(100)
    for _ in range(FAILURES_TO_CLOSE):
        drive.machine.failed(first, TIMEOUT, now_ns=drive.now_ns)
    drive.end(first, None, Ending.IGNORED, polled=False)
    drive.machine.requeue(first, not_before_ns=drive.now_ns, now_ns=drive.now_ns)
    after, patient = drive.ask(patience_ns=30 * S), drive.ask()
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


# -- sent back --------------------------------------------------------------------


def test_a_ticket_that_is_sent_back_keeps_its_rank_and_pays_its_tenant_once() -> None:
    """It is first again, whoever came meanwhile."""
    drive = Drive(scheduler(slots=1), hold=True)
    first = drive.ask(tenant="a")
    second = drive.ask(tenant="a")
    drive.end(first, None, Ending.IGNORED, polled=False)
    drive.machine.requeue(first, not_before_ns=0, now_ns=0)
    drive.turn()

    assert [ticket for _, ticket in drive.log] == [first, first]
    assert second.state is State.QUEUED


def test_only_a_released_ticket_can_be_sent_back() -> None:
    """One that waits or goes is where it is."""
    drive = Drive(scheduler(slots=1), hold=True)
    for ticket in (drive.ask(), drive.ask()):
        with pytest.raises(ValueError, match="only a released ticket"):
            drive.machine.requeue(ticket, not_before_ns=0, now_ns=0)


def test_the_retry_decision_draws_on_the_key() -> None:
    """Its budget of retries and its breaker, which the call does not know."""
    drive = Drive(scheduler(), hold=True)
    ticket = drive.ask()
    refusal = Signals(429, Reason.RATE_LIMITED, True, retry_after_s=2.0)
    verdict = drive.machine.decide(ticket, refusal, CallHistory(0), RetryPolicy(), now_ns=0)

    assert isinstance(verdict, RetryAt)
    assert verdict.not_before_ns >= 2 * S


# -- settling ---------------------------------------------------------------------


def test_settling_moves_a_bucket_that_no_reading_corrects() -> None:
    """Less comes back, more is debt; what cannot be is not believed."""
    drive = Drive(scheduler(per_hour(tokens=1000)), hold=True)
    ticket = drive.ask(tokens=300)
    for used, left in ((100, 900), (100, 900), (500, 500), (300, 700), (-5, 700), (10**18, 700), (1200, -200)):
        drive.machine.settle(ticket, {"tokens": used}, now_ns=0)
        assert level(drive, "tokens") == left, f"used {used}"

    assert drive.ask(tokens=1).state is State.QUEUED


def test_a_debt_ends_at_a_whole_bucket() -> None:
    """A slip in what a call used costs two windows, not a year."""
    drive = Drive(scheduler(per_second(tokens=100)))
    ticket = drive.ask(tokens=50)
    drive.machine.settle(ticket, {"tokens": 10**9}, now_ns=0)

    assert level(drive, "tokens") == -100
    waits = drive.ask(tokens=90)
    drive.drain()
    assert drive.when(waits) == pytest.approx(1.91)


def test_settling_leaves_alone_what_readings_correct() -> None:
    """A server that charges at admission never gives back; one that settles does."""
    shows = Signals(200, readings={"tokens": Reading(1000, 700, 18.0)})
    for settles, left in ((frozenset[str](), 700), (frozenset({"tokens"}), 900)):
        profile = ServerProfile(pays={"tokens": "tokens"}, refill=Refill.CONTINUOUS, settles=settles)
        drive = Drive(scheduler(per_hour(tokens=1000), profile=profile), hold=True)
        ticket = drive.ask(tokens=300)
        drive.machine.observe(ticket, shows, now_ns=0)
        drive.machine.settle(ticket, {"tokens": 100}, now_ns=0)
        assert level(drive, "tokens") == left


def test_a_shared_bucket_is_settled_whatever_readings_say_of_others() -> None:
    """Nobody else corrects what only the caller knows."""
    drive = Drive(scheduler(shared=[Quota("tokens", 1000, 3600)]), hold=True)
    ticket = drive.ask(tokens=300)
    drive.machine.observe(ticket, Signals(200, readings={"tokens": Reading(500, 200, 36.0)}), now_ns=0)
    drive.machine.settle(ticket, {"tokens": 100}, now_ns=0)

    levels = [bucket.level(now_ns=0) for bucket in drive.machine.keys["m"].budget.by_unit["tokens"]]
    assert levels == [200, 900]


def test_the_true_cost_counts_for_the_tenants_turn() -> None:
    """Who used ten times what was charged waits for the others to have as much."""
    drive = Drive(scheduler(per_hour(tokens=10_000), slots=1), hold=True)
    first = drive.ask(tenant="a", tokens=10)
    for _ in range(6):
        drive.ask(tenant="a", tokens=10)
        drive.ask(tenant="b", tokens=10)
    drive.end(first)
    heavy = drive.log[-1][1]
    drive.machine.settle(heavy, {"tokens": 50}, now_ns=0)
    for _ in range(7):
        drive.end(drive.log[-1][1])

    spender, other = heavy.tenant, "b" if heavy.tenant == "a" else "a"
    assert drive.order()[2:7].count(other) >= 4
    assert drive.order().count(spender) >= 2


# -- set-up while running -----------------------------------------------------------


def test_changing_the_quotas_gives_nothing_back() -> None:
    """What is used stays used, whether the same quota is typed again or another one."""
    drive = Drive(scheduler(per_hour(requests=10)), hold=True)
    for _ in range(4):
        drive.ask()
    for quota, left in ((10, 6), (20, 6), (5, 5), (10, 5)):
        drive.machine.set_quotas(per_hour(requests=quota), now_ns=0)
        assert (level(drive), drive.machine.keys["m"].budget.by_unit["requests"][0].limit) == (left, quota)


def test_changing_the_shared_quotas_gives_nothing_back_either() -> None:
    """The same bucket for the same unit and window; others come full and go."""
    drive = Drive(scheduler(shared=[Quota("requests", 10, 3600)]), hold=True)
    for _ in range(4):
        drive.ask()
    for quotas, left in (
        ([Quota("requests", 10, 3600)], [6]),
        ([Quota("requests", 20, 3600), Quota("requests", 5, 60)], [6, 5]),
        ([Quota("requests", 5, 60)], [5]),
        ([], []),
    ):
        drive.machine.set_quotas(shared=quotas, now_ns=0)
        buckets = drive.machine.keys["m"].budget.by_unit.get("requests", ())
        assert [bucket.level(now_ns=0) for bucket in buckets] == left


def test_new_quotas_let_the_queue_move() -> None:
    """For one key, or for all; those that are queued are looked at in the next turn."""
    drive = Drive(scheduler(per_hour(tokens=100)), hold=True)
    waiting = []
    for key in "ab":
        drive.ask(key, tokens=100)
        waiting.append(drive.ask(key, tokens=50))
    drive.machine.set_quotas((), key="a", now_ns=0)
    drive.turn()
    assert [ticket.state for ticket in waiting] == [State.GRANTED, State.QUEUED]

    drive.machine.set_quotas((), now_ns=0)
    drive.turn()
    assert waiting[1].state is State.GRANTED


def test_quotas_of_one_key_hold_for_it_alone() -> None:
    """By its name, or as the "*" of what is given for it; other keys keep theirs, also those that come later."""
    machine = scheduler(per_minute(requests=10))
    machine.set_quotas({"a": per_minute(requests=2)}, key="a", now_ns=0)
    machine.set_quotas(per_minute(requests=3), key="b", now_ns=0)
    for key, most in (("a", 2), ("b", 3), ("c", 10)):
        with pytest.raises(CostExceedsQuota, match=f"holds {most} per"):
            machine.submit(key, cost=Cost(11), now_ns=0)


def test_another_kind_of_server_may_turn_out() -> None:
    """New keys and old ones are read by the profile that was adopted last."""
    drive = Drive(scheduler())
    drive.ask("old")
    profile = ServerProfile(pays={"input": "tokens"})
    drive.machine.adopt(profile)
    drive.ask("new")

    assert [state.budget.profile for state in drive.machine.keys.values()] == [profile, profile]


def test_closing_ends_what_waits_and_lets_the_rest_finish() -> None:
    """Each that waited gets its error; those under way are released as ever; nobody comes in any more."""
    drive = Drive(scheduler(slots=1), hold=True)
    out, waits = drive.ask(), drive.ask()
    rests = drive.ask("other")
    assert drive.machine.close(now_ns=0) == [waits, rests]
    assert all(isinstance(ticket.error, Closed) for ticket in (waits, rests))
    assert (drive.machine.queued, drive.machine.close(now_ns=0)) == (0, [])

    drive.end(out, None, Ending.IGNORED)
    assert drive.machine.in_flight == 0
    with pytest.raises(Closed, match="closed while the call waited"):
        drive.machine.requeue(out, not_before_ns=0, now_ns=0)
    with pytest.raises(Closed, match="make a new one"):
        drive.ask()


# -- keys -------------------------------------------------------------------------


def test_keys_at_rest_that_know_nothing_are_forgotten() -> None:
    """Those that wait, go, owe, or have learnt something are not; here the bound is 100 keys and not 100 000."""
    machine = scheduler({"owes": per_hour(requests=10)}, slots=2)
    drive = Drive(machine, hold=True)
    drive.end(drive.ask("owes"))
    goes = drive.ask("goes")
    drive.end(drive.ask("knows"), Signals(200, readings={"requests": Reading(10, 9, 6.0)}))
    drive.ask("waits")
    drive.ask("waits")
    for number in range(1000):
        machine._forget_at = min(machine._forget_at, 100)
        with pytest.raises(WouldBlock):
            machine.submit(f"k{number}", cost=ONE_REQUEST, waits=False, now_ns=0)

    assert len(machine.keys) <= 100
    assert {"owes", "goes", "knows", "waits"} <= machine.keys.keys()
    drive.end(goes)
    assert machine.queued == 0


def test_a_key_that_was_forgotten_is_begun_anew() -> None:
    """A ticket that rested meanwhile can still be settled, decided about, cancelled and sent back."""
    drive = Drive(scheduler(per_hour(requests=10)))
    machine, ticket = drive.machine, drive.ask()
    del machine.keys["m"]

    machine.settle(ticket, {"requests": 1}, now_ns=0)
    assert "m" in machine.keys
    for act in (
        lambda: machine.decide(ticket, TIMEOUT, CallHistory(0), RetryPolicy(), now_ns=0),
        lambda: machine.failed(ticket, TIMEOUT, now_ns=0),
        lambda: machine.requeue(ticket, not_before_ns=0, now_ns=0),
        lambda: machine.cancel(ticket, now_ns=0),
    ):
        machine.keys.clear() if ticket.state is State.RESTING else None
        act()
    assert ticket.state is State.ENDED
    assert machine.queued == 0


# -- events -----------------------------------------------------------------------


def test_events_are_made_for_kinds_that_somebody_wants() -> None:
    """In the order in which things happened, and no others."""
    drive = Drive(scheduler(slots=1), hold=True)
    drive.machine.subscribe(set(Kind) - {Kind.ANSWERED})
    first = drive.ask(tokens=5)
    drive.ask(deadline_ns=S)
    drive.now_ns = S
    drive.machine.settle(first, {"tokens": 7}, now_ns=S)
    drive.end(first)
    drive.machine.requeue(first, not_before_ns=3 * S, now_ns=S)
    drive.turn()

    events = []
    while (event := drive.machine.next_event()) is not None:
        events.append((event.kind, dict(event.facts)))
    assert events == [
        (Kind.GRANTED, {"waited_ns": 0, "tokens": 5}),
        (Kind.QUEUED, {"priority": 0}),
        (Kind.SETTLED, {"charged": 5, "tokens": 7}),
        (Kind.RELEASED, {"ending": "succeeded", "held_ns": S}),
        (Kind.EXPIRED, {}),
        (Kind.RETRYING, {"wait_ns": 2 * S}),
    ]
    assert drive.machine.wants(Kind.GRANTED)
    drive.machine.subscribe([])
    assert not drive.machine.wants(Kind.GRANTED)


# -- time and memory ------------------------------------------------------------------


def test_after_a_stall_a_full_bucket_is_all_that_goes_at_once() -> None:
    """Nobody polled for an hour; then the bucket is full, and no fuller."""
    drive = Drive(scheduler(per_second(requests=20), slots=1000))
    for _ in range(200):
        drive.ask(polled=False)
    drive.log.clear()
    drive.now_ns = 3600 * S
    drive.turn()

    assert 19 <= len(drive.log) <= 20


def test_a_clock_that_steps_back_does_no_harm() -> None:
    """Time stands still until it has caught up."""
    drive = Drive(scheduler(per_second(requests=10)))
    drive.now_ns = 100 * S
    for _ in range(12):
        drive.ask()
    drive.now_ns = 50 * S
    drive.turn()
    drive.ask()

    assert len(drive.log) == 9
    drive.now_ns = 100 * S
    assert drive.drain() == pytest.approx(100.31)


def test_the_number_of_polls_is_that_of_the_grants() -> None:
    """No polling: a thousand calls that wait for the same bucket take a turn for each grant and each end, and a few."""
    drive = Drive(scheduler(per_second(requests=100), slots=100))
    for _ in range(1000):
        drive.ask(polled=False)
    drive.polls = 0
    drive.drain()

    assert len(drive.log) == 1000
    assert drive.polls <= 2020


def test_a_waiting_call_takes_little_memory() -> None:
    """Ten thousand of them take less than 900 bytes each, estimate included."""
    machine = scheduler(per_hour(requests=1), slots=1)
    machine.submit("m", cost=ONE_REQUEST, now_ns=0)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = [machine.submit("m", features=Features(chars=4000 + number), now_ns=0) for number in range(10_000)]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert machine.queued == len(kept) == 10_000
    assert (after - before) / 10_000 < 900


def test_the_profile_is_the_one_that_was_given() -> None:
    """No other kind of server is assumed."""
    assert scheduler().profile is OPENAI


def test_patience_that_was_not_needed_ends_nothing() -> None:
    """The outage was over before it ran out."""
    drive = Drive(scheduler(slots=4), hold=True)
    probe, *_ = [drive.ask() for _ in range(4)]
    waits = drive.ask(patience_ns=20 * S)
    for _ in range(FAILURES_TO_CLOSE):
        drive.machine.failed(probe, TIMEOUT, now_ns=0)
    drive.to(10)
    drive.machine.observe(probe, Signals(200), now_ns=drive.now_ns)
    drive.to(100)

    assert (drive.expired, waits.state) == ([], State.QUEUED)


def test_a_reading_that_would_not_be_used_need_not_be_read() -> None:
    """One in five milliseconds is; without any so far, every one."""
    drive = Drive(scheduler(), hold=True)
    ticket = drive.ask()
    assert drive.machine.reading_due(ticket, now_ns=0)
    drive.end(ticket, Signals(200, readings={"requests": Reading(100, 50, window_s=60.0)}))
    assert not drive.machine.reading_due(ticket, now_ns=S // 250)
    assert drive.machine.reading_due(ticket, now_ns=S // 200)
