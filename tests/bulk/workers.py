"""
Workers in this process, for tests of what gives them rows.

A hand on one can be told that the worker's process is gone, or that nothing comes
through for a while; the worker itself is the real one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from ratelimit_client.bulk.engines.crew import Crew, Seat
from ratelimit_client.bulk.engines.hand import Away, Lost
from ratelimit_client.bulk.engines.recipe import Recipe
from ratelimit_client.bulk.engines.worker import News, Task, Worker

T = TypeVar("T")


class Direct:
    """
    A hand on a worker.

    ``is_away``: nothing comes through; ``drops``: so many answers with news in them do not arrive;
    ``misses``: nor do so many hands full of rows.
    """

    def __init__(self) -> None:
        self.worker = Worker(look_s=0.0)
        self.is_lost = asyncio.Event()
        self.is_away = False
        self.is_new = False
        self.drops = 0
        self.misses = 0
        self.taken: list[int] = []
        self.recipes: list[Recipe] = []
        self.after_collect: Callable[[], Awaitable[None]] | None = None

    async def open(self, recipe: Recipe, key: str | None) -> str:
        if self.is_lost.is_set():  # whoever looks for it finds a new one
            self.is_lost.clear()
            await self.worker.close()
            self.worker = Worker(look_s=0.0)
        if self.is_new:
            self.is_away = self.is_new = False
            await self.worker.close()
            self.worker = Worker(look_s=0.0)
        self.recipes.append(recipe)
        return await self._ask(self.worker.open(recipe, key))

    async def take(self, tasks: Sequence[Task]) -> None:
        self.taken += [task.number for task in tasks]
        if self.misses:
            self.misses -= 1
            raise Away
        await self._ask(self.worker.take(tasks))

    async def collect(self, after: int) -> News:
        news = await self._ask(self.worker.collect(after))
        if self.drops and news.ended:
            self.drops -= 1
            raise Away
        if self.after_collect is not None:
            await self.after_collect()
        return news

    async def end_of_input(self) -> None:
        await self._ask(self.worker.end_of_input())

    async def refuse_queued(self) -> None:
        await self._ask(self.worker.refuse_queued())

    async def close(self) -> None:
        await self.worker.close()

    def restart(self) -> None:
        """It is away for a moment, and is another when it answers again."""
        self.is_away = self.is_new = True

    async def kill(self) -> None:
        """The process is gone, and with it all it had."""
        self.is_lost.set()
        await self.worker.close()

    async def _ask(self, asking: Awaitable[T]) -> T:
        if self.is_away:
            asyncio.ensure_future(asking).cancel()
            raise Away
        answer, gone = asyncio.ensure_future(asking), asyncio.ensure_future(self.is_lost.wait())
        try:
            await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                raise Lost
            return answer.result()
        finally:
            gone.cancel()
            answer.cancel()


def crew_of(recipe: Recipe, count: int, **more: float) -> tuple[Crew, list[Direct]]:
    """So many workers."""
    hands = [Direct() for _ in range(count)]
    return Crew([Seat(hand, recipe) for hand in hands], lambda: None, **more), hands  # type: ignore[arg-type]
