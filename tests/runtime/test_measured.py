"""A store of budgets, measured."""

from __future__ import annotations

import asyncio

import pytest

from ratelimit_client.errors import StoreUnavailable
from ratelimit_client.runtime.measured import MeasuredStore
from ratelimit_client.runtime.store import BudgetStore, InProcessStore, Lease, Renewal
from ratelimit_client.testing import ManualClock


class Moody:
    """A store that takes 0.3 s, and is there when it likes."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.up = True

    async def renew(self, renewal: Renewal) -> Lease:
        self.clock.advance(0.3)
        if not self.up:
            raise StoreUnavailable("gone")
        return Lease(units=dict(renewal.wanted))

    async def close(self) -> None:
        self.clock.advance(0.1)
        if not self.up:
            raise StoreUnavailable("gone")


def test_round_trips_are_counted_and_timed():
    """
    What comes back is what the store said; errors are errors, and a budget is without its store until one succeeds.
    """

    async def story() -> None:
        clock = ManualClock()
        moody = Moody(clock)
        store = MeasuredStore(moody, monotonic_ns=clock.monotonic_ns)
        assert isinstance(store, BudgetStore)
        wish = Renewal(budget="b", wanted={"requests": 5})
        assert (await store.renew(wish)).units == {"requests": 5}
        assert store.fallback == {"b": False}
        moody.up = False
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await store.renew(wish)
        assert (store.fallback, store.errors) == ({"b": True}, {("b", "renew"): 2})
        with pytest.raises(StoreUnavailable):
            await store.close()
        assert "3 errors" in repr(store)
        moody.up = True
        await store.renew(wish)
        await store.close()
        assert store.fallback == {"b": False}
        assert store.latency["renew"].total == pytest.approx(1.2e9, abs=10)
        assert sum(store.latency["close"].counts) == 2

    asyncio.run(story())


def test_a_wish_that_is_cancelled_is_no_error():
    """
    The store did nothing wrong; nothing is counted.
    """

    class Slow(InProcessStore):
        async def renew(self, renewal: Renewal) -> Lease:
            await asyncio.sleep(3600)
            return await super().renew(renewal)

    async def story() -> None:
        store = MeasuredStore(Slow(), monotonic_ns=ManualClock().monotonic_ns)
        asking = asyncio.create_task(store.renew(Renewal(budget="b")))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (store.errors, store.fallback, sum(store.latency["renew"].counts)) == ({}, {}, 0)

    asyncio.run(story())
