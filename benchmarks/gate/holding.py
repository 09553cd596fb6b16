"""What is held while a call waits or is under way, and what anybody holds who has a task wait for a future."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs

from ratelimit_client import Limiter, per_day, per_minute
from ratelimit_client.testing.clock import ManualClock

from .workloads import parked, wait_for

Hold = Callable[[int], Awaitable[object]]


@attrs.frozen
class Holding:
    """
    Args:
        says: what is held.
        make: gives a function that holds so many more and returns them.
        count: how many at a time.
        floor: the name of the holding it is a multiple of; a floor has none.
    """

    says: str
    make: Callable[[], Hold]
    count: int = 2048  # a power of two: what grows by doubling grows between two lots
    floor: str = ""


def _tasks() -> Hold:
    loop = asyncio.get_running_loop()

    async def hold(count: int) -> object:
        tasks = [asyncio.ensure_future(wait_for(loop.create_future())) for _ in range(count)]
        await asyncio.sleep(0)
        return tasks

    return hold


def _limiter(**options: Any) -> Limiter:
    quotas = per_minute(requests=10**9, tokens=10**12) + per_day(requests=10**12)
    return Limiter(quotas, **{"clock": ManualClock(), "dice": lambda: 0.5, **options})


def _waiters() -> Hold:
    limiter = _limiter(max_in_flight=1)
    place = limiter.permit(key="gpt-4o", tokens=1)

    async def hold(count: int) -> object:
        if not limiter.in_flight:
            await place.__aenter__()
        return await parked(limiter, count)

    return hold


def _permits() -> Hold:
    clock = ManualClock()
    limiter = _limiter(max_in_flight=100_000, clock=clock)

    async def hold(count: int) -> object:
        permits = [limiter.permit(key="gpt-4o", tokens=1500) for _ in range(count)]
        for permit in permits:
            clock.advance(1.0)  # a limiter that has heard no answer lets out 32 at once, and these not in one instant
            await permit.__aenter__()
        return permits

    return hold


HOLDINGS: Final[dict[str, Holding]] = {
    "bare waiter, bytes": Holding("a task and the future it waits for", _tasks),
    "waiter, bytes": Holding("a call that waits, its task included", _waiters, floor="bare waiter, bytes"),
    "permit, bytes": Holding("a permit that is held; 3 buckets", _permits, 12, floor="bare waiter, bytes"),
}
