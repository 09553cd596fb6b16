"""The machine and its leases, a step at a time."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from ratelimit_client.core.budget import Budget
from ratelimit_client.core.concurrency import Ending, InFlightWindow
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.keeper import ASLEEP_NS, EVER_NS, name_of, over_all_name
from ratelimit_client.core.keystate import KeyState
from ratelimit_client.core.lease import Call, Fill
from ratelimit_client.core.leasing import LeasingScheduler
from ratelimit_client.core.pool import Store
from ratelimit_client.core.profile import Refill, ServerProfile
from ratelimit_client.core.quota import Quota, Quotas
from ratelimit_client.core.scopes import Scope, ScopedKey
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.ticket import State
from ratelimit_client.core.together import groups_of
from ratelimit_client.core.units import NS
from ratelimit_client.errors import StoreUnavailable
from tests.core.driving import OPENAI

LIMIT = Quota("requests", 60)


class Bench:
    """One machine, one store, and a clock."""

    def __init__(self, quotas: Any = (LIMIT,), *, process: str = "a", store: Store | None = None, **of: Any) -> None:
        self.now_ns = NS
        self.store = Store() if store is None else store
        self.machine = LeasingScheduler(
            process=process,
            spends=of.pop("spends", True),
            workers=4,
            quotas=quotas if isinstance(quotas, dict) else Quotas(tuple(quotas)),
            profile=of.pop("profile", OPENAI),
            max_in_flight=200,
            dice=lambda: 0.0,
            now_ns=self.now_ns,
            **of,
        )
        self.keeper = self.machine.keeper

    def submit(self, key: str = "m", **cost: int) -> Any:
        return self.machine.submit(key, cost=Cost(**cost) if cost else Cost(), now_ns=self.now_ns)

    def ask(self, **of: Any) -> Call:
        call = self.keeper.ask(now_ns=self.now_ns, **of)
        assert call is not None
        return call

    def renew(self, **of: Any) -> Call:
        """One trip, which takes no time."""
        call = self.ask(**of)
        self.answer(call)
        return call

    def answer(self, call: Call) -> None:
        leases = self.store.renew(call, now_us=self.now_ns // 1000 + 10**12)
        self.machine.store_lent(call, leases, now_ns=self.now_ns)

    def later(self, seconds: float) -> int:
        """How many waiting calls went meanwhile, looked at each portion."""
        granted, end_ns = 0, self.now_ns + int(seconds * NS)
        while self.now_ns < end_ns:
            self.now_ns = min(end_ns, self.now_ns + NS // 40)
            granted += len(self.machine.poll(now_ns=self.now_ns).granted)
        return granted

    def unit(self, name: str = "requests") -> Any:
        (leased,) = self.keeper.leases.values()
        return leased.units[name]


def test_the_first_call_of_a_key_waits_for_the_store_and_not_for_ever() -> None:
    """A quarter of a second; the answer lets it go at once."""
    bench = Bench()
    assert bench.submit().state is State.QUEUED
    bench.later(0.2)
    bench.renew()
    assert bench.later(0.025) == 1
    other = Bench(())
    other.submit()
    assert other.later(0.2) == 0
    assert other.later(0.1) == 1


def test_nothing_is_due_for_a_machine_that_nobody_uses() -> None:
    """Not asked, never; asleep, when somebody comes; the next call joins again."""
    bench = Bench()
    assert (bench.keeper.due_ns, bench.keeper.renew_ns) == (EVER_NS, EVER_NS)
    assert bench.keeper.ask(now_ns=bench.now_ns) is None
    bench.submit()
    bench.renew()
    bench.later(1.0)
    bench.renew()
    bench.now_ns += 11 * NS
    call = bench.renew()
    assert call.renewals[0].leaves
    assert (bench.keeper.due_ns, bench.keeper.renew_ns) == (ASLEEP_NS, EVER_NS)
    assert bench.keeper.ask(now_ns=bench.now_ns) is None
    woken: list[int] = []
    bench.machine.wake = lambda: woken.append(bench.keeper.renew_ns)
    bench.submit()
    assert min(woken) <= bench.now_ns


def test_a_budget_without_limits_that_was_left_is_joined_again_by_its_calls() -> None:
    """Beside one that is in use all the time."""
    bench = Bench({"m": Quotas((LIMIT,))})
    for key in ("m", "free"):
        bench.submit(key)
    bench.renew()
    bench.later(0.5)
    for _ in range(12):
        bench.now_ns += NS
        bench.submit("m")
        bench.renew()
    assert [leased.fence > 0 for leased in bench.keeper.leases.values()] == [True, False]
    bench.submit("free")
    assert len(bench.renew().renewals) == 2


def test_calls_that_wait_ask_sooner_but_not_often() -> None:
    """Twice beside the one of each second; where all is scarce, not at all."""
    bench = Bench([Quota("requests", 6_000)])
    bench.submit()
    bench.renew()
    asked = 0
    for _ in range(100):
        bench.now_ns += NS // 50
        for _ in range(20):
            bench.submit()
        bench.machine.poll(now_ns=bench.now_ns)
        if bench.keeper.renew_ns <= bench.now_ns:
            bench.renew()
            asked += 1
    assert 2 <= asked <= 5
    scarce = Bench([Quota("requests", 6)])
    for _ in range(50):
        scarce.submit()
    scarce.renew()
    scarce.later(1.0)
    scarce.renew()
    scarce.later(0.5)
    due_ns = scarce.keeper.renew_ns
    scarce.submit()
    assert scarce.keeper.renew_ns == due_ns


def test_a_refusal_asks_at_once() -> None:
    """What is believed here and elsewhere is wrong."""
    bench = Bench([Quota("requests", 600)])
    ticket = bench.submit()
    bench.renew()
    bench.later(0.3)
    bench.machine.observe(ticket, Signals(429, Reason.RATE_LIMITED, True, unit="requests"), now_ns=bench.now_ns)
    assert bench.keeper.renew_ns <= bench.now_ns
    assert not bench.keeper.hurry(now_ns=bench.now_ns)


def test_a_question_that_is_past_is_answered_to_nobody() -> None:
    """Late answers and late failures change nothing."""
    bench = Bench()
    bench.submit()
    first = bench.ask()
    assert bench.machine.store_failed(first, now_ns=bench.now_ns)
    assert not bench.machine.store_failed(first, now_ns=bench.now_ns)
    fed = bench.unit().purse.fed
    bench.answer(first)
    assert (bench.unit().purse.fed, bench.keeper.lost_ns) == (fed, bench.now_ns)


def test_a_key_that_opens_while_the_store_is_asked_is_asked_about_next() -> None:
    """And one that opens while it is lost begins with its part."""
    bench = Bench()
    bench.submit("m")
    call = bench.ask()
    bench.submit("n")
    bench.answer(call)
    assert bench.keeper.renew_ns <= bench.now_ns
    call = bench.ask()
    assert len(call.renewals) == 2
    bench.machine.store_failed(call, now_ns=bench.now_ns)
    assert bench.submit("o").state is State.GRANTED or bench.later(0.5) >= 1


def test_many_keys_that_open_at_once_are_one_question() -> None:
    """Or few."""
    bench = Bench()
    for number in range(100):
        bench.submit(f"m{number}")
    assert bench.keeper.renew_ns <= bench.now_ns + NS // 4
    assert len(bench.ask().renewals) == 100


def test_quotas_over_all_keys_are_a_budget_of_their_own() -> None:
    """Two processes share it, whatever keys they call."""
    store = Store()
    one, other = (Bench((), process=name, store=store, shared=Quotas((Quota("requests", 60),))) for name in "ab")
    for number in range(50):
        one.submit(f"m{number % 3}")
        other.submit(f"n{number % 2}")
    granted = 0
    for _ in range(5):
        for bench in (one, other):
            bench.renew()
        granted += sum(bench.later(1.0) for bench in (one, other))
    assert 50 <= granted <= 66
    assert over_all_name() in store.pools
    one.machine.set_quotas(shared=Quotas((Quota("requests", 90),)), now_ns=one.now_ns)
    one.renew()
    pool = store.pools[over_all_name()]
    assert {bucket.limit for bucket in pool.buckets.values()} == {90}


def test_keys_that_count_together_are_one_budget() -> None:
    """By the name of the first of them; those that came together later leave the budget that is no more."""
    bench = Bench({"g": Quotas((LIMIT,))})
    bench.machine.together = groups_of({"g": ["m", "n"]})
    for key in ("m", "n"):
        bench.submit(key)
    assert len(bench.ask().renewals) == 1
    other = Bench(())
    for key in ("m", "n"):
        other.submit(key)
    other.renew()
    states = [other.machine.keys[key] for key in ("m", "n")]
    states[1].budget = states[0].budget
    call = other.renew()
    assert sorted(renewal.leaves for renewal in call.renewals) == [False, True]
    assert len(other.keeper.leases) == 1
    states[1].budget = type(states[0].budget)(OPENAI)
    other.machine.keys.pop("n")
    other.keeper.leases["gone"] = type(next(iter(other.keeper.leases.values())))("gone")
    other.renew()
    assert "gone" not in other.keeper.leases


def test_a_scope_that_nobody_elsewhere_can_name_is_not_shared() -> None:
    """One that names its organization is, and shows neither."""
    bench = Bench()
    scopes = [Scope(1, "o"), Scope(2, "o"), Scope(3, "o", "org", "proj"), Scope(4, "o", "org", "proj")]
    keys = [scope.key("m") for scope in scopes]
    for key in keys:
        bench.machine.open_key(key, now_ns=bench.now_ns)
    states = [bench.machine.keys[key] for key in keys]
    names = [name_of(state, [state]) for state in states]
    assert isinstance(keys[1], ScopedKey)
    assert names[1] is None
    assert names[2] == names[3] != names[0]
    assert all(name is None or ("m" not in name and "org" not in name) for name in names)
    assert len(bench.ask().renewals) == 2


def test_why_nothing_goes_is_told_to_all() -> None:
    """Each hears it in an error of its own."""
    bench = Bench()
    waiting = bench.submit()
    bench.machine.refused = StoreUnavailable("nobody there")
    turn = bench.machine.poll(now_ns=bench.now_ns)
    assert turn.expired == [waiting]
    with pytest.raises(StoreUnavailable) as caught:
        bench.submit()
    assert caught.value is not waiting.error is not bench.machine.refused


def test_what_a_server_shows_is_told_and_what_is_only_expected_is_not() -> None:
    """A limit that was read, how it fills, and a level; a prior, a limit too large, and a unit that nobody pays not."""
    profile = ServerProfile(pays={"requests": "requests", "tokens": "tokens"}, refill=Refill.WINDOW)
    bench = Bench((), profile=profile)
    ticket = bench.submit()
    bench.renew()
    bench.later(0.3)
    readings = {
        "requests": Reading(limit=60, remaining=50, reset_s=30.0, window_s=60.0),
        "tokens": Reading(limit=float(1 << 41), remaining=5.0, window_s=60.0),
        "odd dimension": Reading(limit=5, remaining=5, window_s=60.0),
    }
    bench.machine.observe(ticket, Signals(200, readings=readings), now_ns=bench.now_ns)
    (renewal,) = bench.renew().renewals
    (fact,) = renewal.facts
    assert (fact.id.unit, fact.limit, fact.fill, fact.news) == ("requests", 60, Fill.STEPS, False)
    assert 29_000_000 <= fact.steps_in_us <= 31_000_000
    bench.machine.release(ticket, Ending.SUCCEEDED, bench.now_ns)


def test_a_reading_is_told_once_and_only_when_the_budget_was_known_before_its_call() -> None:
    """With what was lent and out when it was sent."""
    bench = Bench([Quota("requests", 600)])
    ticket = bench.submit()
    bench.renew()
    bench.later(0.1)
    reading = {"requests": Reading(limit=600, remaining=400, reset_s=20.0)}
    bench.machine.observe(ticket, Signals(200, readings=reading), now_ns=bench.now_ns)
    (renewal,) = bench.renew().renewals
    assert [(sight.remaining, sight.sent_us) for sight in renewal.sights] == [(400, 75_000)]
    assert not bench.renew().renewals[0].sights
    assert bench.store.pools[renewal.budget].buckets[renewal.sights[0].id].level <= 401


def test_a_limit_that_a_server_shows_otherwise_than_the_store_is_news() -> None:
    """The store remembers one of yesterday."""
    store = Store()
    for process, limit in (("a", 60), ("b", 600)):
        bench = Bench((), process=process, store=store)
        ticket = bench.submit()
        bench.renew()
        if process == "b":
            assert bench.keeper.renew_ns <= bench.now_ns, "it was told of a unit that it had not asked for"
            bench.renew()
        bench.later(0.3)
        reading = {"requests": Reading(limit=limit, remaining=limit - 1, window_s=60.0)}
        bench.machine.observe(ticket, Signals(200, readings=reading), now_ns=bench.now_ns)
        bench.renew()
        bench.renew()
        (pool,) = store.pools.values()
        assert {bucket.limit for bucket in pool.buckets.values()} == {limit}


def test_a_typed_limit_of_the_one_that_comes_last_counts() -> None:
    """And when it is changed while running."""
    store = Store()
    for process, limit in (("a", 60), ("b", 600)):
        bench = Bench([Quota("requests", limit)], process=process, store=store)
        bench.submit()
        bench.renew()
        (pool,) = store.pools.values()
        assert {bucket.limit for bucket in pool.buckets.values()} == {limit}
    bench.machine.set_quotas(Quotas((Quota("requests", 30),)), now_ns=bench.now_ns)
    bench.renew()
    assert {bucket.limit for bucket in pool.buckets.values()} == {30}


def test_a_slice_that_mended_is_taken_back() -> None:
    """The server's limit fell to it, say."""
    bench = Bench([Quota("requests", 600)])
    tickets = [bench.submit() for _ in range(3)]
    bench.renew()
    bench.later(0.3)
    refused = Signals(
        429, Reason.RATE_LIMITED, True, unit="requests", readings={"requests": Reading(limit=600, remaining=500)}
    )
    bench.machine.observe(tickets[0], refused, now_ns=bench.now_ns)
    (line,) = bench.machine.keys["m"].budget.lines["requests"]
    assert line.lessons.slice is not None
    call = bench.renew()
    assert [fact.id.slice for fact in call.renewals[0].facts] == [False, True]
    again = Signals(
        429, Reason.RATE_LIMITED, True, unit="requests", readings={"requests": Reading(limit=600, remaining=500)}
    )
    size = line.lessons.slice.capacity
    bench.machine.observe(tickets[1], again, now_ns=bench.now_ns)
    assert line.lessons.slice.capacity == size, "others draw on it, too: it is emptied, and not cut"
    line.lessons.slice = None
    call = bench.renew()
    assert [(fact.id.slice, fact.capacity) for fact in call.renewals[0].facts] == [(False, 600), (True, 0)]
    (pool,) = bench.store.pools.values()
    assert not any(id_.slice for id_ in pool.buckets)


def test_what_a_call_settles_comes_back_to_the_purse_only_where_the_server_gives_it_back() -> None:
    """A bucket that readings correct is not settled by calls, nor is what was leased of it."""
    bench = Bench([Quota("tokens", 6_000)])
    ticket = bench.submit(tokens=10)
    bench.renew()
    bench.later(0.3)
    bench.renew()
    bench.later(0.1)
    purse = bench.unit("tokens").purse
    units = purse.units
    bench.machine.settle(ticket, {"tokens": 6}, now_ns=bench.now_ns)
    assert purse.units == units + 4
    reading = {"tokens": Reading(limit=6_000, remaining=5_000, reset_s=10.0)}
    other = bench.submit(tokens=10)
    assert other.state is State.GRANTED
    bench.machine.observe(other, Signals(200, readings=reading), now_ns=bench.now_ns)
    units = purse.units
    bench.machine.settle(other, {"tokens": 6}, now_ns=bench.now_ns)
    assert purse.units == units


def test_a_day_is_no_pace_when_the_store_is_lost() -> None:
    """Of what was left of it each takes its part, and no more until the store is back."""
    bench = Bench([Quota("requests", 100, 86_400), Quota("requests", 6_000)])
    bench.submit()
    bench.renew()
    bench.later(1.0)
    bench.machine.store_failed(bench.ask(), now_ns=bench.now_ns)
    for _ in range(300):
        bench.submit()
    spent = bench.later(60.0)
    assert 20 <= spent <= 101
    only = Bench([Quota("requests", 100, 86_400)])
    only.submit()
    only.renew()
    only.later(1.0)
    only.machine.store_failed(only.ask(), now_ns=only.now_ns)
    for _ in range(30):
        only.submit()
    assert 5 <= only.later(10.0) <= 20


def test_it_shows_its_purses() -> None:
    """Under names of their own, beside the buckets that they are filled from."""
    from ratelimit_client.core.views import key_statistics

    bench = Bench()
    bench.submit()
    bench.renew()
    shown = key_statistics(bench.machine.keys["m"], now_ns=bench.now_ns).buckets
    assert set(shown) == {"requests", "leased requests"}
    assert shown["leased requests"].source == "lease"


def test_what_is_given_back_is_given_back_before_it_is_said() -> None:
    """Two hundred calls that waited went away: from the question on their lease is nobody's here."""
    bench = Bench([Quota("requests", 600)])
    waiting = [bench.submit() for _ in range(200)]
    bench.renew()
    assert bench.unit().held >= 30
    for ticket in waiting:
        bench.machine.cancel(ticket, now_ns=bench.now_ns)
    call = bench.ask()
    (wish,) = call.renewals[0].wishes
    assert wish.keeps <= 10
    assert bench.unit().held == wish.keeps
    bench.answer(call)
    (pool,) = bench.store.pools.values()
    assert pool.out("requests", bench.now_ns // 1000 + 10**12) == bench.unit().held


def test_an_answer_about_something_else_is_none() -> None:
    """A store that answers what nobody asked, and a key that was forgotten meanwhile."""
    bench = Bench()
    bench.submit()
    call = bench.ask()
    (lease,) = bench.store.renew(call, now_us=10**12)
    bench.machine.store_lent(call, [attrs.evolve(lease, budget="another")], now_ns=bench.now_ns)
    assert bench.unit().held == 0
    call = bench.ask()
    bench.machine.keys.clear()
    bench.answer(call)
    assert bench.unit().held > 0


def test_a_key_that_came_in_another_way_is_joined_when_the_store_is_asked() -> None:
    """From a scope that turned out to be another, say."""
    bench = Bench()
    bench.submit()
    bench.machine.keys["other"] = KeyState("other", Budget(OPENAI), InFlightWindow(9))
    assert len(bench.renew().renewals) == 2


def test_what_is_left_of_a_lease_at_its_end_is_no_more_than_a_second_of_the_pace() -> None:
    """Where calls go on without the store."""
    bench = Bench([Quota("requests", 600)])
    for _ in range(30):
        bench.machine.cancel(bench.submit(), now_ns=bench.now_ns)
    waiting = [bench.submit() for _ in range(60)]
    bench.renew()
    for ticket in waiting:
        bench.machine.cancel(ticket, now_ns=bench.now_ns)
    bench.submit()
    bench.later(0.5)
    bench.machine.store_failed(bench.ask(), now_ns=bench.now_ns)
    held = bench.unit().held
    bench.later(7.0)
    assert bench.unit().held <= 9 < held


def test_a_limit_that_is_none_is_not_shared() -> None:
    """Beyond what a store can count."""
    bench = Bench((), shared=Quotas((Quota("requests", 1 << 41), Quota("tokens", 600))))
    bench.submit()
    renewal = next(each for each in bench.renew().renewals if each.budget == over_all_name())
    assert [fact.id.unit for fact in renewal.facts] == ["tokens"]
