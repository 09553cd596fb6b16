"""
Days of several processes that tell each other what they learnt, and some that tell nonsense.

I20 to I22 hold whatever is told: words move prices and first rates, never what is lent.
"""

from __future__ import annotations

import statistics
from functools import partial

import attrs
import pytest

from ratelimit_client.core.debits import Debits
from ratelimit_client.core.estimate import Features
from ratelimit_client.core.fitting import Evidence
from ratelimit_client.core.learner import RateLearner
from ratelimit_client.core.lease import Call, Lease
from ratelimit_client.core.lore import MOST_TELLERS, Lore, mark
from ratelimit_client.core.pool import Store
from ratelimit_client.core.quota import Quota
from ratelimit_client.core.units import NS
from tests.core.processes import KEY, Process, World
from tests.core.test_leasing import Bench
from tests.core.test_leasing_days import LIMIT, misfortune
from tests.sizes import SCALE

TOKENS = Quota("tokens", 600_000)
SIZES = (1_000, 4_000, 12_000, 700, 30_000)
MARK = mark(KEY, "/chat")


class Silent(Store):
    """A store that passes no words on."""

    def renew(self, call: Call, *, now_us: int) -> tuple[Lease, ...]:
        return tuple(attrs.evolve(lease, told=()) for lease in super().renew(call, now_us=now_us))


def nonsense(world: World) -> None:
    """Somebody tells what cannot be, as an old version or a broken one would; then again."""
    dice = world.dice
    for pool in world.store.pools.values():
        terms = (dice.randrange(9000), 0, 0, 0, dice.randrange(1, 9000), 4)
        charged = dice.choice((1, dice.randrange(1, 10**6), 10**14))
        word = Lore(dice.choice((0, 1, 10**12)), ((MARK, (Evidence(terms, charged, 1),) * 6),))
        pool._note(f"x{dice.randrange(3)}", word, world.now_ns // 1000 + 10**15)
    world.after(5 * dice.random(), partial(nonsense, world))


@pytest.mark.parametrize("seed", range(2 * SCALE))
def test_whatever_is_told_nothing_is_lent_twice(seed: int) -> None:
    """Three to a dozen processes that join, leave, crash, stall, are cut off; and one that tells nonsense."""
    world = World(1000 + seed, LIMIT, spends=False, loses=0.05)
    for per_s in (-1, -1, 2, 0.3):
        world.join(per_s)
    world.after(1.0, lambda: misfortune(world))
    world.after(0.5, lambda: nonsense(world))
    world.run(60)
    assert world.least >= 0
    assert world.truth.worst >= 0
    assert world.truth.spent > 500


def test_fifty_that_tell_cost_the_store_no_more_than_eight() -> None:
    """Each of them has learnt something; the words of the last few are kept, and trips stay what they were."""
    world = World(3, TOKENS, reads=True, sizes=SIZES)
    many = [world.join(3) for _ in range(50 if SCALE > 1 else 20)]
    world.run(3)
    for process in many:
        for chars in SIZES:
            process.machine.keys[KEY].estimator.learn(Features(chars, 500, 0, "/chat"), 1, chars // 4)
    trips = world.trips
    world.run(20)
    (pool,) = world.store.pools.values()
    assert len(pool.words) == MOST_TELLERS
    assert world.trips - trips <= 2 * 20 * len(many)


def fifth(world: World) -> Process:
    """One learns alone, three more come, then it: what it did in its first minute."""
    world.join(-1)
    world.run(30)
    for _ in range(3):
        world.join(-1)
    world.run(10)
    one = world.join(-1)
    world.run(30)
    return one


def test_a_fifth_worker_begins_informed() -> None:
    """Its first prices are right; without words they would be several times too high."""
    told = fifth(World(5, TOKENS, reads=True, sizes=SIZES))
    alone = fifth(World(5, TOKENS, reads=True, sizes=SIZES, store=Silent()))
    assert statistics.mean(told.errors[:20]) <= 0.02
    assert statistics.mean(told.errors) <= 0.02
    assert statistics.mean(alone.errors[:20]) >= 0.3


@pytest.mark.parametrize("loses", [0.0, 0.3])
def test_words_arrive_in_the_end(loses: float) -> None:
    """Where three of ten questions or answers are lost as well."""
    world = World(11, TOKENS, reads=True, sizes=SIZES, loses=loses)
    one = fifth(world)
    assert statistics.median(one.errors) <= 0.02


# -- one process ---------------------------------------------------------------------------


def test_nothing_is_learnt_of_prices_while_others_spend() -> None:
    """The fall of a level is what all of them were charged, and would be laid to this one's calls."""
    world = World(7, TOKENS, reads=True, sizes=SIZES)
    both = [world.join(-1), world.join(-1)]
    world.run(3)
    before = [process.machine.keys[KEY].estimator.evidences for process in both]
    world.run(20)
    assert [process.machine.keys[KEY].estimator.evidences for process in both] == before
    world.leave(both[1])
    world.run(20)
    assert both[0].machine.keys[KEY].estimator.evidences > before[0]


def test_a_rate_that_another_learnt_is_begun_with_and_not_passed_on() -> None:
    """Of a server that says nothing but no; half of the rate is whose it was."""
    first = Bench(())
    first.submit()
    first.renew()
    learner = first.machine.keys["m"].budget.learner
    learner.hear(40_000, first.machine.keys["m"].budget.debits, now_ns=first.now_ns)
    assert first.ask().renewals[0].tells is None, "it has it from others"
    learner.heard = False
    first.keeper._asking = ()
    first.renew()

    second = Bench((), process="b", store=first.store)
    second.submit()
    second.renew()
    budget = second.machine.keys["m"].budget
    assert budget.learner.bucket is not None
    assert (budget.learner.bucket.limit, list(budget.by_unit["requests"])) == (20_000, [budget.learner.bucket])
    assert second.ask().renewals[0].tells is None


def test_where_a_limit_of_calls_is_known_no_rate_is_begun_with() -> None:
    """It is the pace."""
    first, second = Bench(), Bench(process="b")
    first.submit()
    first.renew()
    first.store.pools[next(iter(first.store.pools))]._note("x", Lore(5), 0)
    second.store = first.store
    second.submit()
    second.renew()
    assert second.machine.keys["m"].budget.learner.bucket is None


def test_a_rate_learnt_here_is_not_taken_for_anothers() -> None:
    """Hearing does not touch it, and the first cut makes a heard one one's own."""
    learner, debits = RateLearner(), Debits()
    learner.hear(9_000, debits, now_ns=NS)
    assert learner.heard
    assert learner.refused(2 * NS, 5, debits, now_ns=3 * NS)
    assert not learner.heard
    assert learner.bucket is not None
    rate = learner.bucket.limit
    learner.hear(50_000, debits, now_ns=4 * NS)
    assert (learner.bucket.limit, learner.heard) == (rate, False)
