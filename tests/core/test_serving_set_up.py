"""Closed keys, prices, the reserve and shared buckets, seen from the queue."""

from __future__ import annotations

import pytest

from ratelimit_client.core.bucket import Bucket
from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.estimate import Features
from ratelimit_client.core.failure import FailureKind, TransportFailure
from ratelimit_client.core.quota import Quota, per_minute, per_second
from ratelimit_client.core.signals import Reason, Signals
from ratelimit_client.core.ticket import State, Ticket
from ratelimit_client.core.units import NS as S
from ratelimit_client.errors import CostExceedsQuota
from tests.core.driving import Drive, scheduler


def bucket(drive: Drive, unit: str = "tokens", key: str = "m") -> Bucket:
    return drive.machine.keys[key].budget.by_unit[unit][0]


def emptied(drive: Drive, tokens: int) -> Drive:
    """The same with *tokens* spent at time zero."""
    drive.ask(requests=0, tokens=tokens)
    drive.log.clear()
    return drive


# -- closed keys ------------------------------------------------------------------


def test_a_closed_key_lets_nobody_pass() -> None:
    """A refusal that names no bucket closes all of it until its time has come."""
    drive = Drive(scheduler(per_second(tokens=100)), hold=True)
    refused = drive.ask(tokens=10)
    drive.end(refused, Signals(429, Reason.RATE_LIMITED, True, retry_after_s=2.0), Ending.IGNORED)
    waiting = [drive.ask(tokens=80), drive.ask(tokens=80), drive.ask(tenant="z")]
    drive.to(2.0)
    assert {ticket.state for ticket in waiting} == {State.QUEUED}

    drive.to(4.0)
    assert {ticket.state for ticket in waiting} == {State.GRANTED}


def test_in_an_outage_one_probe_goes_at_a_time() -> None:
    """Ten failures close the key; a second later the first in line asks, alone."""
    drive = Drive(scheduler(slots=20), hold=True)
    drive.machine.reports_written = False
    for _ in range(10):
        ticket = drive.ask()
        drive.machine.failed(ticket, TransportFailure(kind=FailureKind.TIMEOUT), now_ns=0)
        drive.end(ticket, None, Ending.DROPPED)
    waiting = [drive.ask(tenant=tenant) for tenant in "abc"]
    assert drive.machine.next_wakeup() == S

    drive.to(1.5)
    assert [ticket.state for ticket in waiting] == [State.GRANTED, State.QUEUED, State.QUEUED]


# -- prices -----------------------------------------------------------------------


def test_a_better_estimate_reprices_the_queue() -> None:
    """The price of a waiting call is that of the moment of its grant."""
    drive = emptied(Drive(scheduler(per_second(tokens=1000))), 1000)
    ticket = drive.ask(features=Features(chars=400))
    before = ticket.cost["tokens"]
    estimator = drive.machine.keys["m"].estimator
    for _ in range(20):
        estimator.learn(Features(chars=400), 1, 2 * before)
    drive.drain()

    assert ticket.cost["tokens"] == 2 * before
    assert drive.machine.keys["m"].queue.ahead("tokens", 2) == 0


def test_a_waiting_call_that_became_impossible_ends_with_the_reason() -> None:
    """The quota was lowered below what it needs: no wait would help any more."""
    drive = emptied(Drive(scheduler(per_second(tokens=100))), 100)
    impossible, possible = drive.ask(tokens=90), drive.ask(tokens=40)
    drive.machine.set_quotas(per_second(tokens=50), now_ns=0)
    drive.turn()

    assert drive.expired == [impossible]
    assert isinstance(impossible.error, CostExceedsQuota)
    drive.drain()
    assert drive.when(possible) is not None


def test_an_estimate_above_the_bucket_goes_when_it_is_full() -> None:
    """It is only a guess: it waits for a full bucket and leaves it in debt."""
    drive = Drive(scheduler(per_second(tokens=100)))
    drive.ask(tokens=10)
    ticket = drive.ask(features=Features(chars=600))
    assert ticket.state is State.QUEUED
    drive.drain()

    assert drive.when(ticket) == 0.1
    assert bucket(drive).level(now_ns=drive.now_ns) == 100 - ticket.cost["tokens"] < 0


# -- the reserve --------------------------------------------------------------------


def test_the_reserve_is_spent_at_the_end_of_the_input() -> None:
    """
    While calls may follow, a hundredth stays behind; when none do and no more waits than it holds, it is spent.
    """
    drive = Drive(scheduler(per_minute(requests=1000), slots=2000))
    drive.ask(requests=990)
    waiting = [drive.ask(tenant="a") for _ in range(15)]
    drive.machine.end_of_input("a", now_ns=0)
    drive.turn()
    assert sum(ticket.order > 0 for ticket in waiting) == 0, "fifteen wait, ten are kept back"

    drive.to(0.36)  # six more have flowed back: nine are left
    assert all(ticket.order > 0 for ticket in waiting)


def test_the_last_calls_that_the_reserve_covers_go_in_one_turn() -> None:
    """Of seven at ten each one goes by itself; the six behind it cost no more than is kept, and wait for no news."""
    drive = Drive(scheduler(per_minute(requests=6000), slots=10), hold=True)
    drive.ask(requests=5950)
    seven = [drive.ask(requests=10, tenant="a", polled=False) for _ in range(7)]
    drive.machine.end_of_input("a", now_ns=0)
    drive.turn()
    drive.to(0.3)
    assert [drive.when(ticket) for ticket in seven[:3]] == [0.2] * 3, "the others wait for the ramp"


def test_a_call_after_the_end_of_the_input_takes_it_back() -> None:
    """The tenant goes on after all: the reserve is kept again, also from the one that fits at once."""
    drive = Drive(scheduler(per_minute(requests=1000)))
    drive.ask(requests=985)
    drive.machine.end_of_input("a", now_ns=0)
    last = drive.ask(requests=10, tenant="a")
    assert last.state is State.QUEUED
    drive.machine.end_of_input("a", now_ns=0)
    drive.turn()
    assert drive.when(last) == 0.0

    assert drive.ask(requests=1, tenant="a").state is State.QUEUED


def test_the_reserve_stays_while_another_tenant_may_still_ask() -> None:
    """The end of one input is not the end of all."""
    drive = Drive(scheduler(per_minute(requests=1000)))
    drive.ask(requests=995)
    mine, other = drive.ask(tenant="a"), drive.ask(tenant="b")
    drive.machine.end_of_input("a", now_ns=0)
    drive.turn()
    assert (mine.state, other.state) == (State.QUEUED, State.QUEUED)

    drive.machine.end_of_input("b", now_ns=0)
    drive.turn()
    assert drive.machine.queued == 0


def test_whether_all_input_has_ended_is_asked_again_when_a_call_is_sent_back() -> None:
    """Two wait whose input has ended, and then one that was out is sent again, of a tenant that goes on."""
    drive = Drive(scheduler(per_minute(requests=1000), slots=1), hold=True)
    other = drive.ask(tenant="b")
    drive.ask(tenant="a")
    drive.ask(tenant="a")
    state = drive.machine.keys["m"]
    drive.machine.end_of_input("a", now_ns=0)
    assert [state.spends_reserve(), state.spends_reserve()] == [True, True]

    drive.end(other, None, polled=False)
    drive.machine.requeue(other, not_before_ns=0, now_ns=0)
    assert not state.spends_reserve()
    drive.machine.end_of_input("b", now_ns=0)
    assert state.spends_reserve()


def test_what_was_priced_as_it_came_is_priced_again_only_when_prices_changed() -> None:
    """Two wait for a slot; before the second goes a lesson came, and what it pays is what it costs by then."""
    drive = Drive(scheduler(per_minute(tokens=10_000), slots=1), hold=True)
    first, *rest = [drive.ask(features=Features(400, 100)) for _ in range(3)]
    estimator = drive.machine.keys["m"].estimator
    assert [ticket.priced for ticket in rest] == [estimator.version] * 2

    kept = rest[0].cost
    drive.end(first)
    assert rest[0].state is State.GRANTED
    assert rest[0].cost is kept
    for _ in range(8):
        estimator.learn(Features(400, 100), 1, 100)
    drive.end(rest[0])
    assert rest[1].state is State.GRANTED
    assert rest[1].cost["tokens"] < kept["tokens"]


def test_where_nothing_is_paid_nobody_is_counted() -> None:
    """With no bucket there is no reserve to spend, and a long queue is not searched for its tenants."""
    drive = Drive(scheduler(slots=1), hold=True)
    drive.ask()
    for _ in range(5):
        drive.ask(tenant="a")
    drive.machine.end_of_input("a", now_ns=0)
    drive.turn()

    assert not drive.machine.keys["m"].spends_reserve()


# -- shared buckets -----------------------------------------------------------------


def test_a_heavy_call_is_not_starved_by_another_key() -> None:
    """It is alone in its key, but the bucket is everybody's: half of the refill is set aside for it all the same."""
    drive = Drive(scheduler(shared=[Quota("tokens", 6000)], slots=100))
    drive.on_grant = lambda ticket: drive.ask("small", tokens=60, polled=False) and None
    drive.ask("small", tokens=6000)
    heavy = drive.ask("heavy", tokens=5400)
    drive.to(120)

    waited = drive.when(heavy)
    assert waited is not None
    assert waited <= 2 * 54 + 2


def test_what_comes_back_to_a_shared_bucket_is_news_for_all_keys() -> None:
    """A call that was never sent gives its charge back, and one of another key goes at once."""
    drive = Drive(scheduler(shared=[Quota("tokens", 100)]), hold=True)
    held = drive.ask("a", tokens=95)
    waits = drive.ask("b", tokens=50)
    assert waits.state is State.QUEUED

    drive.machine.unsent(held, now_ns=0)
    drive.turn()
    assert waits.state is State.GRANTED


def test_an_escrow_that_ends_is_news_for_all_keys() -> None:
    """What was set aside for a cancelled call of one key lets a call of another go."""
    drive = Drive(scheduler(shared=[Quota("tokens", 100, 1.0)]), hold=True)
    drive.ask("a", tokens=100)
    heavy = drive.ask("a", tokens=90)
    small = drive.ask("b", tokens=30)
    drive.to(0.5)
    assert small.state is State.QUEUED
    drive.machine.cancel(heavy, now_ns=drive.now_ns)
    drive.turn()
    assert small.state is State.GRANTED


def test_a_served_escrow_lets_the_other_keys_look_again() -> None:
    """Their wake-ups were reckoned with half of the refill; with the heavy call gone they are due earlier."""
    drive = Drive(scheduler(shared=[Quota("tokens", 100, 1.0)], slots=100))
    drive.ask("a", tokens=100)
    heavy = drive.ask("a", tokens=40)
    small = drive.ask("b", tokens=50)
    drive.drain()

    assert drive.when(heavy) == pytest.approx(0.41)
    assert drive.when(small) == pytest.approx(0.91)


def test_bands_of_several_keys_share_the_tenth() -> None:
    """
    In a shared bucket a worse band of one key is not starved by a better one of another,
    and neither key clears what is kept for the other.
    """
    drive = Drive(scheduler(shared=[Quota("tokens", 1000, 1.0)], slots=100))

    def again(ticket: Ticket) -> None:
        drive.ask(ticket.key, tokens=10, priority=ticket.priority, polled=False)

    drive.on_grant = again
    drive.ask("a", tokens=1000, priority=-1)
    for _ in range(3):
        drive.ask("a", tokens=10, priority=-1)
        drive.ask("b", tokens=10, priority=1)
        drive.ask("c", tokens=10, priority=1)
    drive.to(20)

    worse = sum(ticket.key in "bc" for second, ticket in drive.log if second > 1)
    assert worse >= 0.09 * 19 * 100


def test_a_ramp_that_is_not_open_yet_sets_nothing_aside() -> None:
    """The buckets are full; what is missing is a place, and that comes by answers and by silence."""
    drive = Drive(scheduler(per_second(tokens=100), slots=20), hold=True)
    waiting = [drive.ask(tokens=1, tenant=tenant) for tenant in "abcdef"]

    assert [ticket.state for ticket in waiting] == [State.GRANTED] * 4 + [State.QUEUED] * 2
    assert bucket(drive).escrow is None
    assert drive.machine.next_wakeup() == S // 4
    drive.to(0.25)
    assert waiting[4].state is State.GRANTED


def test_the_wake_up_is_reckoned_when_everybody_who_may_has_passed() -> None:
    """A small call went by and took some of what the first needs: it is asked again when that is back, not before."""
    drive = emptied(Drive(scheduler(per_second(tokens=100)), hold=True), 60)
    heavy = drive.ask(requests=0, tokens=50, polled=False)
    small = drive.ask(requests=0, tokens=10, tenant="z")

    assert drive.when(small) == 0.0
    due_ns = drive.machine.next_wakeup()
    drive.drain()
    assert drive.when(heavy) == (due_ns or 0) / S == pytest.approx(0.21)
