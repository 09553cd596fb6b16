"""One function over many rows, one result for each."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

from ratelimit_client import Limiter, Result, per_hour, per_minute, per_second
from tests.runtime.torture import at_rest, level, virtual


async def double(number: int) -> int:
    await asyncio.sleep(0.01)
    return 2 * number


async def slowly(count: int) -> AsyncIterator[int]:
    for number in range(count):
        await asyncio.sleep(0.001)
        yield number


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("make", [range, lambda count: iter(range(count)), slowly])
def test_every_row_gives_one_result(make: object, ordered: bool) -> None:
    """From any iterable, in order or as they come: each row once, with its place."""

    async def main() -> None:
        limiter = Limiter(per_minute(requests=60_000), max_in_flight=8)
        async with limiter.map(double, make(300), ordered=ordered) as results:  # type: ignore[operator]
            found = [result async for result in results]
        assert sorted(result.index for result in found) == list(range(300))
        assert all(result == Result(result.index, result.index, 2 * result.row, None) for result in found)
        if ordered:
            assert [result.index for result in found] == list(range(300))
        at_rest(limiter)

    virtual(main)


def test_no_rows_no_results() -> None:
    """An empty input ends at once."""

    async def main() -> None:
        async with Limiter().map(double, []) as results:
            assert [result async for result in results] == []

    virtual(main)


def test_costs_and_keys_may_depend_on_the_row() -> None:
    """A function of the row or a value, for each of them."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=100, tokens=1000))
        rows = [("a", 10), ("b", 20), ("a", 30)]
        async with limiter.map(_echo, rows, key=lambda row: row[0], tokens=lambda row: row[1]) as results:
            assert len([result.unwrap() async for result in results]) == 3
        assert (level(limiter, "tokens", "a"), level(limiter, "tokens", "b")) == (960, 980)
        async with limiter.map(_echo, rows, key="c", cost={"tokens": 5}) as results:
            assert len([result async for result in results]) == 3
        assert level(limiter, "tokens", "c") == 985

    virtual(main)


async def _echo(row: object) -> object:
    return row


def test_a_failed_row_is_a_result_with_its_error() -> None:
    """Others go on; unwrap() raises it. With on_error="raise" it ends the iteration and cancels the rest."""
    running = 0

    async def odd(number: int) -> int:
        nonlocal running
        running += 1
        try:
            await asyncio.sleep(number)
            if number == 2:
                raise ValueError("two")
            return number
        finally:
            running -= 1

    async def main() -> None:
        limiter = Limiter(per_minute(requests=60_000))
        async with limiter.map(odd, range(5)) as results:
            found = {result.index: result async for result in results}
        assert [number for number, result in found.items() if result.error is None] == [0, 1, 3, 4]
        with pytest.raises(ValueError, match="two"):
            found[2].unwrap()

        seen = []
        with pytest.raises(ValueError, match="two"):
            async for result in limiter.map(odd, range(5), on_error="raise"):
                seen.append(result.index)
        assert seen == [0, 1]
        assert running == 0
        at_rest(limiter)

        with pytest.raises(ValueError, match="'yield' or 'raise'"):
            limiter.map(odd, [], on_error="ignore")  # type: ignore[arg-type]

    virtual(main)


def test_a_row_that_was_cancelled_is_told_and_not_lost() -> None:
    """A task cancelled inside the function fails its row and no other."""

    async def sometimes(number: int) -> int:
        if number == 1:
            raise asyncio.CancelledError
        return number

    async def main() -> None:
        async with Limiter().map(sometimes, range(3), ordered=True) as results:
            found = [result async for result in results]
        assert [result.reply for result in found] == [0, None, 2]
        assert isinstance(found[1].error, asyncio.CancelledError)

    virtual(main)


def test_leaving_early_cancels_what_is_under_way() -> None:
    """After the block nothing of it runs, also not the rows' own generator."""
    ended: list[str] = []

    async def rows() -> AsyncIterator[int]:
        try:
            for number in range(1000):
                yield number
        finally:
            ended.append("rows")

    async def work(number: int) -> int:
        try:
            await asyncio.sleep(number)
        finally:
            ended.append("work")
        return number

    async def main() -> None:
        limiter = Limiter(per_second(requests=100), max_in_flight=10)
        async with limiter.map(work, rows()) as results:
            async for result in results:
                assert result.index == 0
                break
        assert ended.count("rows") == 1
        assert ended.count("work") >= 4
        assert len(asyncio.all_tasks()) == 1
        at_rest(limiter)

    virtual(main)


def test_a_consumer_cancelled_while_waiting_loses_nothing() -> None:
    """The next call of anext goes on where the cancelled one stopped."""

    async def main() -> None:
        async with Limiter().map(double, range(3), ordered=True) as results:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await anext(results)
            assert [result.index async for result in results] == [0, 1, 2]
            assert "3 rows begun" in repr(results)

    virtual(main)


def test_the_tail_may_spend_the_reserve() -> None:
    """When no more rows come nothing is kept back: the last of a full bucket goes without a wait."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=500), max_in_flight=64, dialect="openai")
        async with limiter.map(_echo, range(500)) as results:
            assert len([result async for result in results]) == 500
        at_rest(limiter)

    assert virtual(main).elapsed_s < 60


def test_the_tail_may_spend_the_reserve_also_when_rows_join_late() -> None:
    """A row that first does something else says nothing of itself when the input ends; it counts all the same."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=100), max_in_flight=64, dialect="openai")

        async def late(number: int) -> int:
            await asyncio.sleep(0.5)
            async with limiter.permit():
                return number

        async with limiter.results(late, range(100)) as results:
            assert len([result async for result in results]) == 100

    assert virtual(main).elapsed_s < 30


def test_a_second_cancellation_does_not_wait_for_rows_that_are_slow_to_end() -> None:
    """The block is left at once; the rows, cancelled already, end by themselves and give back what they hold."""
    ended = 0

    async def stubborn(number: int) -> None:
        nonlocal ended
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(10)
            ended += 1

    async def main() -> None:
        limiter = Limiter(max_in_flight=3)

        async def consume() -> None:
            async with limiter.map(stubborn, range(100)) as results:
                await anext(results)

        task = asyncio.ensure_future(consume())
        await asyncio.sleep(5)
        task.cancel()
        await asyncio.sleep(1)
        assert not task.done()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert ended == 0
        await asyncio.sleep(10)
        assert ended == 3
        at_rest(limiter)

    virtual(main)


def test_an_iterator_that_is_left_without_a_block_ends_what_it_began() -> None:
    """``break`` out of a plain loop: no further row is begun and those under way are cancelled."""
    begun = 0

    async def work(number: int) -> None:
        nonlocal begun
        begun += 1
        await asyncio.sleep(number)

    async def main() -> None:
        limiter = Limiter(max_in_flight=4)
        async for result in limiter.map(work, range(10_000)):
            assert result.index == 0
            break
        gc.collect()
        await asyncio.sleep(0.001)
        before = begun
        await asyncio.sleep(1e5)
        assert begun == before
        assert len(asyncio.all_tasks()) == 1
        at_rest(limiter)

    virtual(main)
