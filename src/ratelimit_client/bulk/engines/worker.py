"""
One of several processes that make the calls of a job.

Law of this file: what a worker was given comes back once it has ended, and is kept
until whoever gave it says that it has arrived. So an answer that was paid for is lost
with the worker and in no other way.

Theory. A worker holds an engine as a lone process does, and is asked for news again and
again; the answer waits until there are some. News are numbered: "I have all before 17"
is the receipt, and an answer that got lost on the way is given again. ``born`` names the
life of a worker: after a restart it is another, and knows nothing of what the one before
had.
"""

from __future__ import annotations

import asyncio
import secrets
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import attrs

from ...adapters.aiohttp.reply import Reply
from ...core.statistics import Explanation, LimiterStatistics
from ...errors import RateLimitClientError
from ..row import Row
from .local import LocalEngine
from .recipe import Recipe, engine_of

# Rows that end together are told together; a call costs the cluster far more than they do.
_GATHER_S: Final = 0.005
_PATIENCE_S: Final = 1.0
_LOOK_S: Final = 0.25


class Task(NamedTuple):
    """A row to be sent, with the number under which its end is told."""

    number: int
    row: Row


@attrs.frozen
class Answer:
    """
    What a row's success brings back: the facts of a ``Reply`` that a line and a count are made of.

    Args:
        data: of the parsed body its ``model`` and ``usage``; None when it is no JSON.
    """

    status: int
    request_id: str | None
    content: bytes = attrs.field(repr=False)
    data: Mapping[str, Any] | None
    attempts: int
    queue_s: float
    latency_s: float | None = None

    @classmethod
    def of(cls, reply: Reply) -> Answer:
        body, data = reply.data, None
        if body is not None:
            data = {name: body[name] for name in ("model", "usage") if name in body} if isinstance(body, dict) else {}
        return cls(reply.status, reply.request_id, reply.content, data, reply.attempts, reply.queue_s, reply.latency_s)


class Ended(NamedTuple):
    """
    How a row ended.

    Args:
        number: of its task.
        answer, error: one of them, or
        bug: what the traceback of a bug of ours says.
    """

    number: int
    answer: Answer | None = None
    error: RateLimitClientError | None = None
    bug: str | None = None


@attrs.frozen
class Look:
    """
    What a worker's limiter knows.

    Args:
        statistics: of it.
        retries: attempts made again, by what made them necessary.
        waits: for the first calls of the models that wait.
        idle_s: how long nothing will happen by itself.
        failures: attempts without success, by status or by what came instead.
        refusals: attempts that a rate limit refused, by the limit they named.
    """

    statistics: LimiterStatistics
    retries: Mapping[str, int] = attrs.field(factory=dict)
    waits: Mapping[str, Explanation] = attrs.field(factory=dict)
    idle_s: float = 0.0
    failures: Mapping[str, int] = attrs.field(factory=dict)
    refusals: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen
class News:
    """
    Args:
        born: the life of the worker.
        first: number of the first end.
        ended: rows, those told before and not acknowledged among them.
        in_flight: calls under way by model.
        look: now and then.
    """

    born: str
    first: int = 0
    ended: Sequence[Ended] = ()
    in_flight: Mapping[str, int] = attrs.field(factory=dict)
    look: Look | None = None


class Worker:
    """
    Makes calls for somebody else; every method is called from one event loop.

    Args:
        look_s: how often it looks at its limiter.
    """

    def __init__(self, look_s: float = _LOOK_S) -> None:
        self._born = secrets.token_hex(8)
        self._engine: LocalEngine | None = None
        self._look_s = look_s
        self._looked_s = float("-inf")
        self._tasks: dict[asyncio.Task[None], Row] = {}
        self._ended: list[Ended] = []
        self._first = 0
        self._input_ended = False
        self._changed = asyncio.Event()
        self._opening = asyncio.Lock()

    async def open(self, recipe: Recipe, key: str | None = None) -> str:
        """
        Get ready; returns the name of this life. A second time it changes nothing, nor does one that comes while
        the first is under way: whoever did not hear of that asks again.

        Raises:
            ConfigurationError: something it needs is not there.
        """
        async with self._opening:
            if self._engine is None:
                engine = engine_of(recipe, key)
                await engine.open()
                self._engine = engine
                self._engine.on_room(self._changed.set)
        return self._born

    async def take(self, tasks: Sequence[Task]) -> None:
        """Begin rows."""
        loop = asyncio.get_running_loop()
        for number, row in tasks:
            task = loop.create_task(self._run(number, row))
            self._tasks[task] = row
            task.add_done_callback(self._over)

    async def collect(self, after: int) -> News:
        """
        What is new, once something is; everything before number *after* has arrived.
        """
        del self._ended[: max(0, after - self._first)]
        self._first = max(self._first, after)
        if not self._ended and await self._is_woken():
            await asyncio.sleep(_GATHER_S)
        self._changed.clear()
        return News(self._born, self._first, tuple(self._ended), self._in_flight(), self._look())

    async def end_of_input(self) -> None:
        """No more rows come but those of others that are lost."""
        self._input_ended = True
        if self._engine is not None:
            self._engine.end_of_input()

    async def refuse_queued(self) -> None:
        """What waits ends with ``Closed``, unsent."""
        if self._engine is not None:
            self._engine.refuse_queued()

    async def close(self) -> None:
        """Let go of everything; what is under way is broken off."""
        for task in tuple(self._tasks):
            task.cancel()
        if self._engine is not None:
            await self._engine.close()

    async def _run(self, number: int, row: Row) -> None:
        if self._engine is None:
            raise RuntimeError("a worker takes rows once it is open")
        try:
            ended = Ended(number, Answer.of(await self._engine.call(row)))
        except RateLimitClientError as error:
            ended = Ended(number, error=error)
        except Exception:  # noqa: BLE001  # a bug: the run shows it, and ends
            ended = Ended(number, bug=traceback.format_exc())
        self._ended.append(ended)
        self._changed.set()

    def _over(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if self._input_ended and self._engine is not None:
            self._engine.end_of_input()  # again: a row may have joined the queue late

    async def _is_woken(self) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _in_flight(self) -> dict[str, int]:
        if self._engine is None:
            return {}
        models = {row.model for row in self._tasks.values()}
        return {model: count for model in models if (count := self._engine.in_flight(model))}

    def _look(self) -> Look | None:
        """Now and then, and always when nothing is left: the last look is what is added up."""
        now_s = asyncio.get_running_loop().time()
        if self._engine is None or (self._tasks and now_s - self._looked_s < self._look_s):
            return None
        self._looked_s = now_s
        engine = self._engine
        return Look(
            engine.statistics(),
            Counter(engine.retries()),
            engine.waits(),
            engine.idle_for_s(),
            engine.failures(),
            engine.refusals(),
        )
