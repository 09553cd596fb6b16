"""Where the rows of a map are between the input and the consumer: how many, and what ends a wait."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from ratelimit_client import Limiter, per_hour
from ratelimit_client.runtime.rows import LOOK_AHEAD, MOST_HELD
from tests.runtime.servers import AiohttpLike
from tests.runtime.torture import at_rest, virtual


async def double(number: int) -> int:
    await asyncio.sleep(0.01)
    return 2 * number


async def same(row: object) -> object:
    return row


def test_rows_are_taken_as_they_are_needed() -> None:
    """At most 64 beyond those in flight, however long the input."""
    taken = 0

    def rows() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    async def forever(number: int) -> None:
        await asyncio.sleep(1e6)

    async def main() -> None:
        limiter = Limiter(per_hour(requests=10_000), max_in_flight=3)
        async with limiter.map(forever, rows()):
            await asyncio.sleep(1000)
            assert limiter.in_flight == 3
            assert taken <= 3 + LOOK_AHEAD
        at_rest(limiter)

    virtual(main)


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("lasts_s", [0.0, 10.0])
def test_a_slow_consumer_holds_up_the_input(ordered: bool, lasts_s: float) -> None:
    """Nobody takes results: no row is begun without a place for its result, and there are 1024."""
    begun = 0

    async def count(number: int) -> int:
        nonlocal begun
        begun += 1
        await asyncio.sleep(lasts_s)
        return number

    async def main() -> None:
        limiter = Limiter(max_in_flight=512)
        async with limiter.map(count, range(10_000), ordered=ordered) as results:
            await anext(results)
            await asyncio.sleep(1000)
            assert begun <= MOST_HELD + 1
            assert f"{MOST_HELD} held" in repr(results)
            assert len([result async for result in results]) == 9999

    virtual(main)


def test_places_for_results_are_no_cap_on_the_calls_in_flight() -> None:
    """A limiter that allows more calls at once than 1024 gets them all under way, and holds as many results."""

    async def work(number: int) -> AiohttpLike:
        await asyncio.sleep(0.1 if number < 5000 else 1000)  # short ones first, for the ramp
        return AiohttpLike(200)

    async def main() -> None:
        limiter = Limiter(max_in_flight=1500)
        async with limiter.map(work, itertools.count()) as results:
            for _ in range(5000):
                await anext(results)
            await asyncio.sleep(900)
            assert limiter.in_flight == 1500
            await asyncio.sleep(1e5)
            assert f"0 under way, {1500 + LOOK_AHEAD} held" in repr(results)
        at_rest(limiter)

    virtual(main)


async def _endless() -> AsyncIterator[int]:
    number = 0
    while True:
        yield number
        number += 1


@pytest.mark.parametrize("ordered", [False, True])
def test_an_endless_input_is_taken_as_far_as_there_are_places(ordered: bool) -> None:
    """An async iterator that never waits and never ends leaves the loop alive and the memory bounded."""

    async def main() -> None:
        limiter = Limiter(max_in_flight=512)
        async with limiter.map(same, _endless(), ordered=ordered) as results:
            for _ in range(3):
                await asyncio.sleep(10)
                assert repr(results).startswith(f"<Results of map: {MOST_HELD} rows begun, 0 under way")
            async for result in results:
                if result.index > 5000:
                    break
        at_rest(limiter)

    virtual(main)


def test_the_first_row_is_slow_and_the_order_is_kept() -> None:
    """In order, a slow first row lets 1024 others finish behind it, then everything waits for it."""
    finished = 0

    async def first_is_slow(number: int) -> int:
        nonlocal finished
        if number == 0:
            await asyncio.sleep(1000)
        finished += 1
        return number

    async def main() -> None:
        async with Limiter().map(first_is_slow, range(3000), ordered=True) as results:
            await asyncio.sleep(900)
            assert finished <= MOST_HELD
            assert [result.index async for result in results] == list(range(3000))

    virtual(main)


def test_an_error_of_the_rows_comes_after_the_results_they_gave() -> None:
    """What the input raises is the caller's to know, once everything taken is answered."""

    def rows() -> Iterator[int]:
        yield from range(5)
        raise OSError("disk")

    async def main() -> None:
        seen = []
        with pytest.raises(OSError, match="disk"):
            async for result in Limiter().map(double, rows()):
                seen.append(result.index)
        assert sorted(seen) == [0, 1, 2, 3, 4]

    virtual(main)


@pytest.mark.parametrize("rows", [None, 5, object()])
def test_what_is_no_iterable_is_told(rows: object) -> None:
    """The consumer gets the TypeError; it does not wait for rows that can never come."""

    async def main() -> None:
        async with asyncio.timeout(10):
            with pytest.raises(TypeError, match="not iterable"):
                async for _ in Limiter().map(same, rows):  # type: ignore[arg-type]
                    pass

    virtual(main)


def test_a_cancellation_inside_the_input_is_no_end_of_it() -> None:
    """An input that was cut off by a CancelledError of its own does not look complete."""

    async def rows() -> AsyncIterator[int]:
        yield 1
        raise asyncio.CancelledError

    async def main() -> None:
        seen = []
        results = Limiter().map(same, rows())
        with pytest.raises(asyncio.CancelledError):
            async for result in results:
                seen.append(result.row)
        assert seen == [1]

    virtual(main)


def test_several_consumers_share_the_results() -> None:
    """Each result goes to one of them, and all hear of the end."""

    async def main() -> None:
        seen: list[int] = []

        async def consume() -> None:
            async for result in results:
                seen.append(result.index)

        async with Limiter().map(double, range(50)) as results, asyncio.timeout(10):
            await asyncio.gather(consume(), consume(), consume())
        assert sorted(seen) == list(range(50))

    virtual(main)


def test_closing_ends_who_waits_for_a_result() -> None:
    """Closed by another task, the iteration ends; it does not wait for rows that were cancelled."""

    async def main() -> None:
        limiter = Limiter()
        results = limiter.map(asyncio.sleep, [1e6] * 3)

        async def consume() -> list[object]:
            return [result async for result in results]

        consumer = asyncio.create_task(consume())
        await asyncio.sleep(1)
        await results.close()
        async with asyncio.timeout(10):
            assert await consumer == []
        await results.close()
        at_rest(limiter)

    virtual(main)


def test_waiting_with_a_timeout_leaves_nothing_behind() -> None:
    """Whoever polls is forgotten each time."""

    async def main() -> None:
        async with Limiter().map(asyncio.sleep, [100.0]) as results:
            for _ in range(50):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(1):
                        await anext(results)
            assert results._rows._consumers == []
            assert (await anext(results)).index == 0

    virtual(main)


def test_a_loop_that_was_closed_over_a_map_does_not_hold_up_the_next() -> None:
    """Its rows can never go on: those queued are out of the way, those in flight as soon as they are collected."""
    limiter = Limiter(max_in_flight=100)
    kept: list[object] = []

    async def begins() -> None:
        results = limiter.map(asyncio.sleep, itertools.repeat(1e6))
        kept.extend([results, asyncio.ensure_future(anext(results))])
        await asyncio.sleep(0.01)  # long enough for some to be let out; how many is all the same

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begins())
    loop.close()
    under_way = limiter.in_flight
    assert under_way

    async def goes_on() -> None:
        for _ in range(3):
            async with limiter.permit("another"):
                assert limiter.in_flight == under_way + 1
        assert limiter.in_flight == under_way
        assert limiter.queued == 0

    assert limiter.queued
    asyncio.run(goes_on())
    forget(kept)
    at_rest(limiter)


def forget(kept: list[object]) -> None:
    """Let tasks go whose loop is closed; asyncio says of each that it was pending."""
    silent = logging.getLogger("asyncio")
    silent.disabled = True
    kept.clear()
    gc.collect()
    silent.disabled = False


def test_cancelled_while_it_closes_the_rows_are_closed_all_the_same() -> None:
    """Whoever closes may be cancelled before it comes to where rows are from; that is ended by who reads them."""
    closed: list[bool] = []

    async def rows() -> AsyncIterator[int]:
        try:
            for number in itertools.count():
                yield number
        finally:
            await asyncio.sleep(0.1)
            closed.append(True)

    async def main() -> None:
        limiter = Limiter(max_in_flight=1)
        results = limiter.map(asyncio.sleep, rows())
        assert (await anext(results)).index == 0
        closing = asyncio.create_task(results.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
        assert closing.cancelled()
        await asyncio.sleep(1.0)
        assert closed
        await results.close()
        at_rest(limiter)

    virtual(main)


def test_an_error_of_closing_the_rows_is_told_once() -> None:
    """What a generator raises as it is closed comes out of close()."""

    async def rows() -> AsyncIterator[int]:
        try:
            for number in itertools.count():
                yield number
        finally:
            raise LookupError("no end")

    async def main() -> None:
        results = Limiter(max_in_flight=1).map(asyncio.sleep, rows())
        await anext(results)
        with pytest.raises(LookupError, match="no end"):
            await results.close()
        await results.close()

    virtual(main)
