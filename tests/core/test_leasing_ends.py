"""Who leaves and is not heard."""

from __future__ import annotations

import pytest

from ratelimit_client.core.keeper import EVER_NS
from ratelimit_client.core.units import NS
from tests.core.test_leasing import Bench


@pytest.mark.parametrize("heard", [False, True], ids=["the question was lost", "the answer was lost"])
def test_who_was_not_heard_leaves_again(heard: bool) -> None:
    """It holds nothing from the first time on, whichever way was lost; and what it held is there for others."""
    bench = Bench()
    bench.submit()
    bench.renew()
    bench.later(0.5)
    assert bench.unit().held > 0
    call = bench.ask(leaves=True)
    if heard:
        bench.store.renew(call, now_us=bench.now_ns // 1000 + 10**12)
    bench.machine.store_failed(call, now_ns=bench.now_ns)
    assert bench.unit().held == 0

    bench.renew(leaves=True)
    (pool,) = bench.store.pools.values()
    assert (dict(pool.members), [each.level for each in pool.buckets.values()]) == ({}, [59])
    assert bench.keeper.ask(leaves=True, now_ns=bench.now_ns) is None


def test_after_the_end_of_its_lease_nobody_has_to_be_told() -> None:
    """The store counts on it no more."""
    bench = Bench()
    bench.submit()
    bench.renew()
    call = bench.ask(leaves=True)
    bench.now_ns += 3 * NS
    bench.machine.store_failed(call, now_ns=bench.now_ns)
    assert bench.keeper.ask(leaves=True, now_ns=bench.now_ns) is None


def test_who_went_to_sleep_while_the_store_was_lost_asks_it_with_the_next_call() -> None:
    """However long ago that was; nobody has looked since."""
    bench = Bench()
    bench.submit()
    bench.renew()
    bench.later(12.0)
    for _ in range(9):  # it would leave, and nobody hears
        bench.now_ns += 2 * NS
        call = bench.keeper.ask(now_ns=bench.now_ns)
        if call is not None:
            bench.machine.store_failed(call, now_ns=bench.now_ns)
    assert bench.keeper.renew_ns == EVER_NS
    assert bench.keeper.lost_ns is not None

    bench.now_ns += 600 * NS
    bench.submit()
    assert bench.keeper.renew_ns <= bench.now_ns
    bench.renew()
    assert bench.keeper.lost_ns is None
    bench.renew()
    assert bench.later(1.0) >= 1
