"""One function over many rows, one result for each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from ratelimit_client import Limiter, Result, per_hour, per_minute, per_second
from ratelimit_client.runtime.mapping import LOOK_AHEAD, MOST_HELD
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
def test_a_slow_consumer_holds_up_the_input(ordered: bool) -> None:
    """Nobody takes results: at most 1024 are held, and no further row is begun."""
    begun = 0

    async def count(number: int) -> int:
        nonlocal begun
        begun += 1
        return number

    async def main() -> None:
        limiter = Limiter()
        async with limiter.map(count, range(10_000), ordered=ordered) as results:
            await anext(results)
            await asyncio.sleep(1000)
            assert begun <= MOST_HELD + 64 + 2
            assert len([result async for result in results]) == 9999

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
