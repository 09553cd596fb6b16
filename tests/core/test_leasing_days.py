"""
Days of several processes on one budget, in which things go wrong.

I20: what is lent and not spent is always there; I21: what a dead process held costs one lease
at most; I22: without the store everybody goes on, and together they keep to the limit.
"""

from __future__ import annotations

import pytest

from ratelimit_client.core.leased import LEASE_NS, Leased
from ratelimit_client.core.quota import Quota
from ratelimit_client.core.units import NS
from tests.core.processes import Process, World, jain
from tests.sizes import SCALE

LIMIT = Quota("requests", 3000)
A_SECOND = 50
LEASE_S = LEASE_NS / NS


def used(world: World, seconds: float) -> float:
    """How much of what flows in was spent in that time."""
    before = world.truth.spent
    world.run(seconds)
    return (world.truth.spent - before) / (seconds * world.quota.amount * NS / world.quota.window_ns)


def leases(process: Process) -> list[Leased]:
    """All that it holds."""
    return list(process.machine.keeper.leases.values())


def misfortune(world: World) -> None:
    """Something befalls somebody, and passes; then something else."""
    dice = world.dice
    there = [process for process in world.processes if not process.dead]
    victim = dice.choice(there)
    match dice.randrange(7):
        case 0 if len(there) > 3:
            victim.dead = True  # as kill -9 does
        case 1 if len(there) > 3:
            world.leave(victim)
        case 2 if len(there) < 12:
            world.join(dice.choice((-1, 0.5, 5)))
        case 3:
            victim.stopped_ns = world.now_ns + int(dice.choice((0.3, 2, 20)) * NS)
        case 4:
            victim.cut = True
            world.after(dice.choice((0.5, 5, 30)), lambda: setattr(victim, "cut", False))
        case 5:
            world.store_skew_us += dice.choice((-600_000_000, -2_000_000))  # its clock is set back
        case _:
            victim.per_s = dice.choice((-1, 0, 3))
    world.after(0.2 + 3 * dice.random(), lambda: misfortune(world))


@pytest.mark.parametrize("seed", range(3 * SCALE))
def test_whatever_befalls_them_nothing_is_lent_twice(seed: int) -> None:
    """
    Processes come, go, crash, stall and are cut off, questions and answers are lost, late or doubled,
    and the store's clock is set back: at every moment the server has what all of them hold.
    """
    world = World(seed, LIMIT, spends=False, loses=0.05)
    for per_s in (-1, -1, 2, 0.3):
        world.join(per_s)
    world.after(1.0, lambda: misfortune(world))

    world.run(60.0)

    assert world.least >= 0
    assert world.truth.worst >= 0
    assert world.truth.spent > 500


@pytest.mark.parametrize("seed", range(SCALE))
def test_the_greedy_share_evenly_and_the_light_are_served(seed: int) -> None:
    """Sixteen processes: all of the limit is used, shares are even, and who wants little waits for nothing."""
    world = World(seed, LIMIT)
    greedy = [world.join(-1) for _ in range(8)]
    light = [world.join(per_s) for per_s in (0.5, 0.5, 0.5, 0.5, 2, 2, 2, 2)]
    world.run(25)
    before = [process.spent for process in greedy]
    asked = world.trips

    assert used(world, 20) >= 0.97

    assert jain([process.spent - spent for process, spent in zip(greedy, before, strict=True)]) >= 0.98
    assert (world.trips - asked) / 20 / len(world.processes) <= 2
    assert all(process.longest_ns <= 2 * NS for process in light)
    assert world.least >= 0


def test_fifty_share_one_limit() -> None:
    """A call a second each, evenly."""
    world = World(3, LIMIT)
    for _ in range(50):
        world.join(-1)
    world.run(10)
    before = [process.spent for process in world.processes]

    assert used(world, 6) >= 0.97

    assert jain([process.spent - spent for process, spent in zip(world.processes, before, strict=True)]) >= 0.98
    assert world.least >= 0


def test_a_limit_smaller_than_a_share_goes_round() -> None:
    """Six calls a minute for four processes: one after another is served, the one that waited longest first."""
    world = World(1, Quota("requests", 6))
    for _ in range(4):
        world.join(-1)
    world.run(60)
    before = [process.spent for process in world.processes]

    world.run(120)

    assert [process.spent - spent for process, spent in zip(world.processes, before, strict=True)] == [3, 3, 3, 3]


def test_calls_that_take_nearly_all_are_served_in_turn() -> None:
    """Three processes whose calls are larger than their shares, and one with small ones: nobody starves."""
    world = World(1, Quota("tokens", 60_000))
    for cost in (50_000, 1_000, 50_000, 30_000):
        world.join(-1, cost=cost)
    seconds = 500 if SCALE > 1 else 200

    world.run(seconds)

    assert all(process.spent >= 30_000 for process in world.processes)
    assert world.truth.spent >= 0.9 * seconds * 1000
    assert world.least >= 0


@pytest.mark.parametrize("seed", range(SCALE))
def test_without_the_store_they_keep_to_the_limit_together(seed: int) -> None:
    """It is down for half a minute: nobody stops, all together keep below the limit, and no burst follows."""
    world = World(seed, LIMIT)
    for _ in range(4):
        world.join(-1)
    world.run(30)
    world.store_down = True
    world.run(5)

    before = [process.spent for process in world.processes]
    alone = used(world, 25)
    shares = [process.spent - spent for process, spent in zip(world.processes, before, strict=True)]
    world.store_down = False
    world.run(10)

    assert 0.8 <= alone <= 0.92
    assert min(shares) > 0.8 * 25 * A_SECOND / 4
    assert world.truth.worst >= 0
    assert used(world, 10) >= 0.97
    assert world.truth.worst >= 0


def test_a_store_that_forgot_everything_lends_no_second_bucket() -> None:
    """Flushed while the bucket is empty: what the processes hold stands, and the level is taken for nothing."""
    world = World(2, LIMIT)
    for _ in range(4):
        world.join(-1)
    world.run(30)
    world.store.pools.clear()

    assert used(world, 30) >= 0.97

    assert world.truth.worst >= 0
    assert world.least >= 0


def test_a_store_that_forgot_and_hears_a_newcomer_first_overspends_one_bucket_at_most() -> None:
    """Nobody can tell it better."""
    world = World(2, LIMIT)
    for _ in range(3):
        world.join(-1)
    world.run(30)
    for process in world.processes:
        process.cut = True
    world.store.pools.clear()
    world.join(-1)
    world.run(3)
    for process in world.processes:
        process.cut = False
    world.run(20)

    assert world.truth.worst >= -LIMIT.amount
    assert used(world, 20) <= 1.01


def test_a_crash_costs_one_lease_once() -> None:
    """Its share goes to the others before its lease has ended."""
    world = World(4, LIMIT)
    dead, *others = [world.join(-1) for _ in range(4)]
    world.run(30)
    dead.dead = True
    world.run(LEASE_S + 1)
    before = [process.spent for process in others]

    assert used(world, 10) >= 0.97

    assert min(process.spent - spent for process, spent in zip(others, before, strict=True)) > 10 * A_SECOND / 3 * 0.95


def test_who_sleeps_past_its_lease_wakes_up_with_nothing() -> None:
    """Stopped with a lease in hand, and woken a minute later: it asks before it spends."""
    world = World(5, LIMIT, spends=False)
    sleeper, other = world.join(-1), world.join(-1)
    world.run(20)
    while not (held := sum(unit.held for leased in leases(sleeper) for unit in leased.units.values())):
        world.run(0.05)
    other.per_s = 0.0
    sleeper.stopped_ns = world.now_ns + 60 * NS
    spent = sleeper.spent
    world.run(60)
    assert (held > 0, sleeper.spent) == (True, spent)

    sleeper.machine.poll(now_ns=world.now_ns + sleeper.offset_ns)

    assert not any(unit.held for leased in leases(sleeper) for unit in leased.units.values())
    world.run(5)
    assert sleeper.spent > spent


def test_one_that_is_cut_off_keeps_to_its_part() -> None:
    """The others go on; it comes back without a herd."""
    world = World(6, LIMIT)
    lonely, *_ = [world.join(-1) for _ in range(4)]
    world.run(30)
    lonely.cut = True
    world.run(10)
    spent = lonely.spent
    world.run(20)
    alone = (lonely.spent - spent) / (20 * A_SECOND)
    lonely.cut = False
    world.run(3)
    world.truth.worst = 0

    world.run(20)

    assert alone <= 0.9 / 4 + 0.01
    assert world.truth.at(world.now_ns) >= 0


@pytest.mark.parametrize("seed", range(SCALE))
def test_a_slice_that_nobody_shows_is_learnt_by_all(seed: int) -> None:
    """No limit is typed, and a fifth of the minute is enforced: after a few refusals there are none."""
    world = World(seed, LIMIT, reads=True, slice_s=12.0)
    for _ in range(4):
        world.join(-1, told=False)
    world.run(10)
    before = world.truth.refused

    assert used(world, 25) >= 0.97

    assert before <= 40
    assert world.truth.refused - before <= 3


def test_members_that_come_and_go_each_second_do_not_starve_anybody() -> None:
    """Shares are even again within two leases, whatever came and went before."""
    world = World(7, LIMIT)
    steady = [world.join(-1) for _ in range(3)]
    for _ in range(20):
        guest = world.join(-1)
        world.run(1)
        world.leave(guest)
    before = [process.spent for process in steady]
    world.run(10)

    shares = [process.spent - spent for process, spent in zip(steady, before, strict=True)]
    assert jain(shares) >= 0.98
    assert sum(shares) >= 0.93 * 10 * A_SECOND
    assert world.least >= 0
