"""
Many rows through a limiter, and the limiter's own life.

Rows are tasks of the library's own, and callers' functions run in them and tidy up there.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

from ratelimit_client import Limiter, per_day
from tests.runtime.torture import at_rest, level
from tests.torture.scenes_limiter import QUOTA, Others, Sent, beside_others, permit
from tests.torture.trial import HOUR_S, Scene, Stage

# -- many rows -------------------------------------------------------------------------


async def mapped(limiter: Limiter, sent: Sent) -> None:
    async def double(number: int) -> int:
        sent.count += 1
        await asyncio.sleep(0.05)
        return 2 * number

    async with limiter.map(double, range(3)) as results:
        assert sorted([result.unwrap() async for result in results]) == [0, 2, 4]


async def mapped_in_order(limiter: Limiter, sent: Sent) -> None:
    """Rows come from a generator that tidies up, and so do the calls."""

    async def rows() -> AsyncIterator[int]:
        try:
            for number in range(3):
                await asyncio.sleep(0.01)
                yield number
        finally:
            await asyncio.sleep(0.01)

    async def same(number: int) -> int:
        sent.count += 1
        try:
            await asyncio.sleep(0.05 * (3 - number))
        finally:
            await asyncio.sleep(0.01)
        return number

    async with limiter.map(same, rows(), ordered=True) as results:
        assert [result.index async for result in results] == [0, 1, 2]


async def mapped_and_left(limiter: Limiter, sent: Sent) -> None:
    """Left early, it waits for those under way."""

    async def same(number: int) -> int:
        sent.count += 1
        try:
            await asyncio.sleep(0.05)
        finally:
            await asyncio.sleep(0.01)
        return number

    results = limiter.map(same, range(5), on_error="raise")
    try:
        assert (await anext(results)).reply in range(5)
    finally:
        await results.close()


async def mapped_to_an_error(limiter: Limiter, sent: Sent) -> None:
    """The first row that fails ends it, and those under way have to be waited for."""

    async def fails(number: int) -> int:
        sent.count += 1
        try:
            await asyncio.sleep(0.05)
        finally:
            await asyncio.sleep(0.01)
        raise LookupError

    with contextlib.suppress(LookupError):
        async with limiter.map(fails, range(5), on_error="raise") as results:
            async for _ in results:
                raise AssertionError("each row fails")


async def mapped_without_end(limiter: Limiter, sent: Sent) -> None:
    """There are more rows than may be begun; left early, where they come from is closed, too."""

    async def rows() -> AsyncIterator[int]:
        try:
            for number in itertools.count():
                yield number
        finally:
            await asyncio.sleep(0.01)

    async def same(number: int) -> int:
        sent.count += 1
        return number

    async with limiter.map(same, rows()) as results:
        assert (await anext(results)).reply in range(100)


# -- the limiter's own life ------------------------------------------------------------


async def limiter_drained(stage: Stage) -> None:
    limiter = Limiter(per_day(requests=QUOTA), max_in_flight=1)
    others = Others(limiter, ahead=3)

    async def victim() -> None:
        await asyncio.sleep(0)
        assert not await limiter.drain(0.1)
        assert await limiter.drain()

    await stage.torture(victim())
    limiter._desk.dispatcher.reopen()
    await others.unharmed()
    at_rest(limiter)
    assert level(limiter) == QUOTA - others.sent


async def limiter_life(stage: Stage) -> None:
    """Entered, used by others, and left when they have ended; after a cancellation those in the queue fail."""
    limiter = Limiter(per_day(requests=QUOTA), max_in_flight=1, pacing=4.0)
    sent = Sent()
    calls: list[asyncio.Task[None]] = []

    async def victim() -> None:
        async with limiter:
            calls.extend(asyncio.create_task(permit(limiter, sent)) for _ in range(3))
            await asyncio.sleep(0.15)

    await stage.torture(victim())
    async with asyncio.timeout(HOUR_S):
        ends = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(end).__name__ for end in ends} <= {"NoneType", "Closed"}
    assert granted(limiter) == sent.count == sum(end is None for end in ends)
    await limiter.close()
    at_rest(limiter)
    if sent.count:
        assert level(limiter) == QUOTA - sent.count


def granted(limiter: Limiter) -> int:
    return sum(key.granted for key in limiter.statistics().keys.values())


async def fast_path(stage: Stage) -> None:
    """Every 64th grant in a row lets the loop run once; cancelled there, the grant is given back."""
    limiter = Limiter(per_day(requests=QUOTA))
    sent = Sent()

    async def victim() -> None:
        for _ in range(200):
            async with limiter.permit():
                sent.count += 1

    await stage.torture(victim())
    at_rest(limiter)
    assert level(limiter) == QUOTA - sent.count


SCENES: tuple[Scene, ...] = (
    *(beside_others(way) for way in (mapped, mapped_in_order, mapped_and_left, mapped_to_an_error)),
    beside_others(mapped_without_end),
    beside_others(mapped, exact=False, pacing=4.0),
    limiter_drained,
    limiter_life,
    fast_path,
)
