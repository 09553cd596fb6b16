"""Calls that come back, settle or end, and a scheduler whose set-up changes."""

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
from ratelimit_client.core.quota import Quota, per_hour, per_minute, per_second
from ratelimit_client.core.retry import CallHistory, RetryAt, RetryPolicy
from ratelimit_client.core.settling import matters
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.ticket import Patience, State
from ratelimit_client.core.units import MAX_AMOUNT
from ratelimit_client.core.units import NS as S
from ratelimit_client.errors import (
    Closed,
    CostExceedsQuota,
    WouldBlock,
)
from tests.core.driving import OPENAI, Drive, scheduler

TIMEOUT = TransportFailure(kind=FailureKind.TIMEOUT)


def level(drive: Drive, unit: str = "requests", key: str = "m") -> int:
    return drive.machine.keys[key].budget.by_unit[unit][0].level(now_ns=drive.now_ns)


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


def test_closing_keeps_nothing_for_those_who_waited() -> None:
    """What was set aside for a call that is too large for now is everyone's again."""
    drive = Drive(scheduler(per_hour(requests=10, tokens=1000)), hold=True)
    drive.ask(requests=8)
    large, small = drive.ask(requests=9), drive.ask(requests=3, tenant="other")
    (bucket,) = drive.machine.keys["m"].budget.by_unit["requests"]
    assert bucket.holds_for(large)
    assert repr(large) == f"<Ticket {large.seq} of 'm': Cost(requests=9), queued>"
    assert drive.machine.close(now_ns=0) == [large, small]
    assert bucket.escrow is None


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


def test_ten_thousand_keys_that_wait_for_a_slot_do_not_all_ask_for_it() -> None:
    """A slot comes free: a few keys are looked at, the least served first, and not each of them."""
    drive = Drive(scheduler(slots=1), hold=True)
    drive.ask("first")
    for number in range(10_000):
        drive.ask(f"k{number}", polled=False)
    drive.turn()
    looks = []
    for _ in range(20):
        before = drive.machine.agenda._number
        drive.end(drive.log[-1][1])
        looks.append(drive.machine.agenda._number - before)

    assert [ticket.key for _, ticket in drive.log[1:4]] == ["k0", "k1", "k2"]
    assert max(looks) < 10


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
        (Kind.EXPIRED, {"error": "DeadlineExpiredInQueue"}),
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
    waits = drive.ask(patience=Patience(20 * S))
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
    assert drive.machine.keys["m"].reading_due(now_ns=0)
    drive.end(ticket, Signals(200, readings={"requests": Reading(100, 50, window_s=60.0)}))
    assert not drive.machine.keys["m"].reading_due(now_ns=S // 250)
    assert drive.machine.keys["m"].reading_due(now_ns=S // 200)


def test_a_key_that_is_begun_anew_begins_now() -> None:
    """Whatever brings it back: its buckets are full and flow from this instant on."""
    drive = Drive(scheduler(per_hour(requests=10)))
    machine, ticket = drive.machine, drive.ask()
    for act in (
        lambda: machine.settle(ticket, {}, now_ns=S),
        lambda: machine.decide(ticket, TIMEOUT, CallHistory(0), RetryPolicy(), now_ns=S),
        lambda: machine.failed(ticket, TIMEOUT, now_ns=S),
        lambda: machine.requeue(ticket, not_before_ns=S, now_ns=S),
    ):
        machine.keys.clear()
        act()
        (bucket,) = machine.keys["m"].budget.by_unit["requests"]
        assert (bucket.as_of_ns, bucket.level(now_ns=2 * S)) == (S, 10)

    other = drive.ask("n")
    machine.keys.clear()
    machine.cancel(other, now_ns=3 * S)
    (bucket,) = machine.keys["n"].budget.by_unit["requests"]
    assert (bucket.as_of_ns, bucket.level(now_ns=4 * S)) == (3 * S, 10)


@pytest.mark.parametrize(("used", "left"), [(MAX_AMOUNT, -1000), (MAX_AMOUNT + 1, 700), (0, 1000)])
def test_the_most_that_is_believed_of_a_call(used: int, left: int) -> None:
    """Up to the largest amount there is; debt ends at a whole bucket all the same."""
    drive = Drive(scheduler(per_hour(tokens=1000)), hold=True)
    ticket = drive.ask(tokens=300)
    drive.machine.settle(ticket, {"tokens": used}, now_ns=0)

    assert level(drive, "tokens") == left


def test_quotas_by_key_of_which_one_key_is_set_concern_no_other() -> None:
    """The mapping says nothing of it and nothing of the rest: it has none."""
    drive = Drive(scheduler(per_second(requests=1)), hold=True)
    drive.ask()
    drive.machine.set_quotas({"other": per_second(requests=2)}, key="m", now_ns=0)

    assert drive.machine.keys["m"].budget.by_unit == {}


def test_what_a_call_used_matters_where_something_comes_of_it() -> None:
    """To a bucket that nobody reads, to other tenants, and to who listens; else nobody has to look for it."""
    unread, read, several, heard = (Drive(scheduler(per_minute(tokens=1000)), hold=True) for _ in range(4))
    heard.machine.subscribe([Kind.SETTLED])
    said = []
    for drive in (unread, read, several, heard):
        ticket = drive.ask(tokens=900)
        for tenant in ("b", "c") if drive is several else ():
            drive.ask(tokens=900, tenant=tenant)
        if drive is not unread:
            shown = {"tokens": Reading(1000, 100, window_s=60.0)}
            drive.machine.observe(ticket, Signals(200, readings=shown), now_ns=drive.now_ns)
        state = drive.machine.keys["m"]
        said.append([matters(drive.machine, state, "tokens", now_ns=drive.now_ns) for _ in range(2)])

    assert said == [[True] * 2, [False] * 2, [True] * 2, [True] * 2]
