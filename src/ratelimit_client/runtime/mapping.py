"""
One function over many rows, and one result for each.

Law of this file: every row that was taken gives exactly one result, and rows are
taken only as they are needed. What is under way when the block is left is
cancelled and waited for, so nothing runs on behind it.

Theory. Every row is a task that queues in the limiter like any other call. Enough
tasks must wait there that a free place never finds the queue empty, and few enough
that memory does not grow with the input: those in flight and 64 more. So each grant
makes room for one more row. Results wait for the consumer; when it is slow, at
most 1024 are held and no new row is begun.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Generic, Literal, Self, TypeVar, cast

import attrs

from .desk import Desk

Row = TypeVar("Row")
T = TypeVar("T")

LOOK_AHEAD = 64
"""Rows begun beyond those in flight."""

MOST_HELD = 1024
"""Finished results held for a consumer that is slow, or for one that wants them in order."""


@attrs.frozen
class Result(Generic[Row, T]):
    """
    What became of one row.

    Args:
        row: the row itself.
        index: its place in the input, from 0.
        reply: what the function returned; None when it failed.
        error: what it raised; None when it succeeded.
    """

    row: Row
    index: int
    reply: T | None = None
    error: BaseException | None = None

    def unwrap(self) -> T:
        """The reply; raises the error if there is one."""
        if self.error is not None:
            raise self.error
        return cast(T, self.reply)


class Results(Generic[Row, T]):
    """
    The results of ``map``: an async iterator, and a context manager that cleans up.

    Used without ``async with`` it works, but leaving the loop early leaves rows
    under way.
    """

    __slots__ = (
        "_begun",
        "_consumer",
        "_desk",
        "_error",
        "_exhausted",
        "_feeder",
        "_finished",
        "_in_order",
        "_next",
        "_ordered",
        "_raises",
        "_room",
        "_rows",
        "_run",
        "_tasks",
        "_tenant",
    )

    def __init__(
        self,
        desk: Desk,
        run: Callable[[Row], Awaitable[T]],
        rows: Iterable[Row] | AsyncIterable[Row],
        *,
        ordered: bool = False,
        on_error: Literal["yield", "raise"] = "yield",
        tenant: str | None = None,
    ) -> None:
        if on_error not in ("yield", "raise"):
            raise ValueError(f"on_error is 'yield' or 'raise', not {on_error!r}")
        self._desk = desk
        self._run = run
        self._rows = rows
        self._ordered = ordered
        self._raises = on_error == "raise"
        self._tenant = tenant or ""
        self._tasks: dict[asyncio.Task[T], tuple[int, Row]] = {}
        self._finished: deque[Result[Row, T]] = deque()
        self._in_order: dict[int, Result[Row, T]] = {}
        self._begun = 0
        self._next = 0
        self._exhausted = False
        self._error: BaseException | None = None
        self._feeder: asyncio.Task[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._consumer: asyncio.Future[None] | None = None

    # -- the consumer's side ---------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Result[Row, T]:
        """
        The next result; waits until a row is finished.

        Cancelled here, nothing is lost: the next call goes on where this one stopped.

        Raises:
            Whatever the rows' own iterator raised, after the rows it gave.
            A row's error, when ``on_error="raise"``; the others are cancelled then.
        """
        self._start()
        while True:
            result = self._take()
            if result is not None:
                self._look_again()
                if self._raises and result.error is not None:
                    await self.close()
                    raise result.error
                return result
            if self._exhausted and not self._tasks:
                await self.close()
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._consumer = asyncio.get_running_loop().create_future()
            await self._consumer

    def _take(self) -> Result[Row, T] | None:
        if not self._ordered:
            return self._finished.popleft() if self._finished else None
        result = self._in_order.pop(self._next, None)
        if result is not None:
            self._next += 1
        return result

    async def close(self) -> None:
        """Cancel what is under way and wait until it has ended. Idempotent."""
        self._exhausted = True
        if self._look_again in self._desk.dispatcher.on_room:
            self._desk.dispatcher.on_room.remove(self._look_again)
        under_way: list[asyncio.Task[object]] = [*self._tasks]
        self._tasks.clear()
        if self._feeder is not None and self._feeder is not asyncio.current_task():
            under_way.append(self._feeder)
        for task in under_way:
            task.cancel()
        if under_way:
            await asyncio.wait(under_way)
        if isinstance(self._rows, AsyncGenerator):
            await self._rows.aclose()  # one that was given its end already says nothing

    # -- the rows' side ----------------------------------------------------------------

    def _start(self) -> None:
        if self._feeder is None and not self._exhausted:
            self._desk.dispatcher.on_room.append(self._look_again)
            self._feeder = asyncio.create_task(self._feed())

    async def _feed(self) -> None:
        """Begin rows as there is room for them."""
        next_row = self._next_row()
        try:
            while True:
                while not self._has_room():
                    self._room = asyncio.get_running_loop().create_future()
                    await self._room
                try:
                    row = await next_row()
                except StopAsyncIteration:
                    break
                task = asyncio.create_task(self._one(row))
                self._tasks[task] = (self._begun, row)
                self._begun += 1
                task.add_done_callback(self._ended)
        except Exception as error:  # noqa: BLE001 - the caller's own iterator: it gets this from __anext__
            self._error = error
        finally:
            self._exhausted = True
            self._wake_consumer()
        # One round of the loop, in which the last rows join the queue.
        await asyncio.sleep(0)
        self._end_input()

    def _next_row(self) -> Callable[[], Awaitable[Row]]:
        """A function that awaits the next row, whichever kind of iterable they come from."""
        if isinstance(self._rows, AsyncIterable):
            return aiter(self._rows).__anext__
        plain = iter(self._rows)

        async def following() -> Row:
            try:
                return next(plain)
            except StopIteration:
                raise StopAsyncIteration from None

        return following

    async def _one(self, row: Row) -> T:
        return await self._run(row)

    def _ended(self, task: asyncio.Task[T]) -> None:
        place = self._tasks.pop(task, None)
        error: BaseException | None
        if task.cancelled():
            error = asyncio.CancelledError()
        else:
            error = task.exception()  # asked for also when nobody wants it: else asyncio complains
        if place is None:
            return  # cancelled by close()
        index, row = place
        result: Result[Row, T] = Result(row, index, None if error is not None else task.result(), error)
        if self._ordered:
            self._in_order[index] = result
        else:
            self._finished.append(result)
        self._wake_consumer()
        self._look_again()
        if self._exhausted:
            self._end_input()

    def _has_room(self) -> bool:
        under_way, held = len(self._tasks), len(self._finished) + len(self._in_order)
        if self._ordered:
            # All but the first may finish before it, and all those have to be held.
            held += under_way
        return held < MOST_HELD and under_way < self._desk.dispatcher.out + LOOK_AHEAD

    def _look_again(self) -> None:
        """Something left the queue, or a result was taken: is there room for a row?"""
        if self._room is not None and not self._room.done() and self._has_room():
            self._room.set_result(None)

    def _wake_consumer(self) -> None:
        if self._consumer is not None and not self._consumer.done():
            self._consumer.set_result(None)

    def _end_input(self) -> None:
        """What is queued is all there is: nothing needs to be kept back for what may come."""
        if self._tasks and self._desk.dispatcher.waiting:
            self._desk.dispatcher.end_of_input(self._tenant)

    def __repr__(self) -> str:
        held = len(self._finished) + len(self._in_order)
        return f"<Results of map: {self._begun} rows begun, {len(self._tasks)} under way, {held} held>"
