"""Rows on their way to the limiter."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import cast

import pytest

from ratelimit_client.bulk.engines.local import LocalEngine
from ratelimit_client.bulk.jsonl import Line
from ratelimit_client.bulk.lanes import AHEAD, AHEAD_IN_ALL, AHEAD_OF_DEADLINE, PARKED, Lanes
from ratelimit_client.bulk.row import Row, read_row
from ratelimit_client.bulk.tally import Tally
from tests.jobs import row as row_of


def row(number: int, model: str = "m", size: int = 10) -> Row:
    found = read_row(Line(number, 0, json.dumps(row_of(f"{model}{number}", "x" * size, model)).encode()))
    assert isinstance(found, Row)
    return found


class Engine:
    """Lets calls out when the test says so."""

    deadline_s: float | None = None
    workers = 1

    def __init__(self) -> None:
        self.out: Counter[str] = Counter()
        self.tell: Callable[[], None] = lambda: None
        self.ends_told = 0
        self.asked = 0

    def in_flight(self, model: str | None = None) -> int:
        self.asked += 1
        return self.out.total() if model is None else self.out[model]

    def on_room(self, tell: Callable[[], None]) -> None:
        self.tell = tell

    def end_of_input(self) -> None:
        self.ends_told += 1

    def let_out(self, model: str, count: int = 1) -> None:
        for _ in range(count):
            self.out[model] += 1
            self.tell()


class Bench:
    """Lanes whose rows wait until they are ended by the test."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.begun: list[Row] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.emptied = 0
        self.lanes = Lanes(cast(LocalEngine, self.engine), Tally(lambda: 0.0))
        self.lanes.send = self.send
        self.lanes.on_empty = self.empty
        self.lanes.open()

    def empty(self) -> None:
        self.emptied += 1

    async def send(self, row: Row) -> None:
        self.begun.append(row)
        await self.ends.setdefault(row.custom_id, asyncio.Event()).wait()
        self.engine.out[row.model] -= 1

    async def end(self, *rows: Row) -> None:
        for row in rows:
            self.ends[row.custom_id].set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def close(self) -> None:
        self.lanes.drop()
        for task in list(self.lanes.tasks):
            task.cancel()
        await asyncio.gather(*self.lanes.tasks, return_exceptions=True)


def test_a_few_are_begun_beyond_those_that_are_out() -> None:
    """
    64 of a model; each that is let out makes room for one, in order, in the same turn.
    """

    async def bench() -> None:
        bench = Bench()
        for number in range(200):
            bench.lanes.offer(row(number))
        await asyncio.sleep(0)
        assert len(bench.begun) == AHEAD
        assert bench.lanes.parked == 200 - AHEAD

        bench.engine.let_out("m", 10)
        assert len(bench.lanes.tasks) == AHEAD + 10
        await asyncio.sleep(0)
        assert [one.number for one in bench.begun] == list(range(AHEAD + 10))

        await bench.end(*bench.begun[:3])
        assert len(bench.begun) == AHEAD + 10
        assert len(list(bench.lanes.rows())) == 197
        await bench.close()

    asyncio.run(bench())


def test_the_end_of_the_input_is_told_again_as_rows_end() -> None:
    """A row that joined the limiter's queue after it was told has taken it back."""

    async def bench() -> None:
        bench = Bench()
        for number in range(3):
            bench.lanes.offer(row(number))
        await asyncio.sleep(0)
        await bench.end(bench.begun[0])
        assert bench.engine.ends_told == 0

        bench.lanes.end_input()
        assert bench.engine.ends_told == 1
        await bench.end(*bench.begun[1:])
        assert bench.engine.ends_told == 3
        await bench.close()

    asyncio.run(bench())


def test_a_model_that_waits_holds_up_no_other() -> None:
    """
    Its rows are parked; those of others begin at once, even behind a hundred of its.
    """

    async def bench() -> None:
        bench = Bench()
        for number in range(150):
            bench.lanes.offer(row(number, "slow"))
        for number in range(10):
            bench.lanes.offer(row(number, "quick"))
        await asyncio.sleep(0)
        assert Counter(one.model for one in bench.begun) == {"slow": AHEAD, "quick": 10}
        await bench.close()

    asyncio.run(bench())


def test_many_models_share_the_look_ahead() -> None:
    """
    512 in all, however many models there are.
    """

    async def bench() -> None:
        bench = Bench()
        for model in range(20):
            for number in range(AHEAD):
                bench.lanes.offer(row(number, f"m{model}-"))
        await asyncio.sleep(0)
        assert len(bench.begun) == AHEAD_IN_ALL
        await bench.close()

    asyncio.run(bench())


def test_parked_rows_are_bounded_in_number_and_in_bytes() -> None:
    """
    Then the feeder waits until one begins.
    """

    async def bench() -> None:
        bench = Bench()
        for number in range(AHEAD + PARKED):
            assert not bench.lanes.full
            bench.lanes.offer(row(number))
        assert bench.lanes.full
        moved = asyncio.create_task(bench.lanes.moved())
        await asyncio.sleep(0)
        assert not moved.done()
        bench.engine.let_out("m")
        await moved
        assert not bench.lanes.full
        await bench.close()

        bench = Bench()
        for number in range(40):
            bench.lanes.offer(row(number, size=1 << 20))
        await asyncio.sleep(0)
        assert len(bench.begun) == 32
        bench = Bench()
        for number in range(80):
            bench.lanes.offer(row(number, size=1 << 19))
        assert bench.lanes.full is False
        for number in range(80, 100):
            bench.lanes.offer(row(number, size=1 << 20))
        assert bench.lanes.full
        await bench.close()

    asyncio.run(bench())


@pytest.mark.parametrize("size", [40 << 20])
def test_a_row_larger_than_the_look_ahead_goes_alone(size: int) -> None:
    """
    When nothing else of its model waits.
    """

    async def bench() -> None:
        bench = Bench()
        big = row(1, size=size)
        bench.lanes.offer(big)
        bench.lanes.offer(row(2))
        await asyncio.sleep(0)
        assert bench.begun == [big]
        bench.engine.let_out("m")
        await asyncio.sleep(0)
        assert len(bench.begun) == 2
        await bench.close()

    asyncio.run(bench())


def test_while_paused_nothing_begins() -> None:
    """
    And then what waited begins; the last ending is told.
    """

    async def bench() -> None:
        bench = Bench()
        bench.lanes.pauses += 1
        bench.lanes.offer(row(1))
        assert not bench.lanes.tasks
        bench.lanes.pauses -= 1
        bench.lanes.look()
        await asyncio.sleep(0)
        assert len(bench.begun) == 1
        await bench.end(bench.begun[0])
        assert (bench.emptied, bench.lanes.tasks) == (1, {})

    asyncio.run(bench())


def test_rows_that_end_without_having_been_let_out_make_room_in_one_look() -> None:
    """
    Ten of those that wait fail in one turn; the next ten begin in the next one, and nobody looks ten times.
    """

    async def bench() -> None:
        bench = Bench()
        for number in range(200):
            bench.lanes.offer(row(number))
        await asyncio.sleep(0)
        failed = bench.begun[:10]
        bench.engine.out["m"] += len(failed)  # which the ends take back: none of them was ever let out
        asked = bench.engine.asked
        await bench.end(*failed)
        await asyncio.sleep(0)

        assert len(bench.lanes.tasks) == AHEAD
        assert bench.lanes.parked == 200 - AHEAD - 10
        assert bench.engine.asked - asked < 10
        await bench.close()

    asyncio.run(bench())


def test_with_a_deadline_hardly_any_wait() -> None:
    """
    It runs while a row waits in the queue.
    """

    async def bench() -> None:
        bench = Bench()
        bench.engine.deadline_s = 30.0
        for number in range(20):
            bench.lanes.offer(row(number))
        assert len(bench.lanes.tasks) == AHEAD_OF_DEADLINE
        bench.engine.let_out("m")
        assert len(bench.lanes.tasks) == AHEAD_OF_DEADLINE + 1
        await asyncio.sleep(0)
        await bench.close()

    asyncio.run(bench())
