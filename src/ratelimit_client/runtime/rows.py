"""
The rows of one ``map``: taken, under way, finished, handed out.

Law of this file: a row is begun only when there is a place for its result, so what
is held has a bound whoever is slow; and whoever waits here is woken by whatever
ends the wait, be it a result, the end, an error of the input, or ``close``.

Theory. Every row is a task that queues in the limiter like any other call. Enough
tasks must wait there that a free place never finds the queue empty, and few enough
that memory does not grow with the input: those in flight and 64 more. So each grant
makes room for one more row. A place belongs to its row from the beginning until the
consumer has the result. There are 1024 of them, or as many as rows may be under way
on this limiter where that is more: fewer would cap the calls in flight. In order
there are 1024 and no more, because all of them may finish behind one that is slow,
and that does cap the calls in flight.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from typing import Generic, TypeVar, cast

import attrs

from .desk import Desk

Row = TypeVar("Row")
T = TypeVar("T")

LOOK_AHEAD = 64
"""Rows begun beyond those in flight."""

MOST_HELD = 1024
"""Places for results; see the theory above for when there are more."""


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


class Rows(Generic[Row, T]):
    """
    Args:
        desk: where the calls queue.
        run: makes the call of one row.
        source: where rows come from.
        ordered: results are handed out in the order of the rows.
        tenant: whose input ends when the source does.
    """

    __slots__ = (
        "_begun",
        "_close_failure",
        "_closed",
        "_consumers",
        "_desk",
        "_exhausted",
        "_feeder",
        "_finished",
        "_in_order",
        "_leaving",
        "_next",
        "_ordered",
        "_places",
        "_room",
        "_run",
        "_source",
        "_tasks",
        "_tenant",
        "error",
    )

    def __init__(
        self,
        desk: Desk,
        run: Callable[[Row], Awaitable[T]],
        source: Iterable[Row] | AsyncIterable[Row],
        *,
        ordered: bool,
        tenant: str,
    ) -> None:
        self._desk = desk
        self._run = run
        self._source = source
        self._ordered = ordered
        self._tenant = tenant
        in_flight = desk.dispatcher.scheduler.max_in_flight
        self._places = MOST_HELD if ordered else max(MOST_HELD, in_flight + LOOK_AHEAD)
        self._tasks: dict[asyncio.Task[T], tuple[int, Row]] = {}
        self._leaving: list[asyncio.Task[object]] = []
        self._finished: deque[Result[Row, T]] = deque()
        self._in_order: dict[int, Result[Row, T]] = {}
        self._begun = 0
        self._next = 0
        self._exhausted = self._closed = False
        self.error: BaseException | None = None
        """What the source raised."""
        self._close_failure: Exception | None = None
        self._feeder: asyncio.Task[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._consumers: list[asyncio.Future[None]] = []

    # -- the consumer's side ---------------------------------------------------------

    def start(self) -> None:
        """Begin to take rows. Idempotent."""
        if self._feeder is None and not self._closed:
            self._desk.dispatcher.on_room.append(self._look_again)
            self._feeder = asyncio.create_task(self._feed())

    def take(self) -> Result[Row, T] | None:
        """The next result, if it is there."""
        if not self._ordered:
            result = self._finished.popleft() if self._finished else None
        else:
            result = self._in_order.pop(self._next, None)
            self._next += result is not None
        if result is not None:
            self._look_again()
        return result

    @property
    def over(self) -> bool:
        """Nothing more will finish."""
        return self._exhausted and not self._tasks

    async def news(self) -> None:
        """Return when there may be something to take, or all is over; any number may wait."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._consumers.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._consumers:  # cancelled: whoever polls with a timeout is not to be remembered
                self._consumers.remove(waiter)

    async def close(self) -> None:
        """Cancel what is under way and wait until it has ended. Idempotent."""
        self.cancel()
        here = asyncio.current_task()
        try:
            if under_way := [task for task in self._leaving if task is not here and not task.done()]:
                await asyncio.wait(under_way)
            if self._feeder is not here:
                await self._close_source()
            failure, self._close_failure = self._close_failure, None
            if failure is not None:
                raise failure
        finally:
            self._wake_consumers()

    def cancel(self) -> None:
        """Take no more rows and cancel what is under way, without waiting for its end. Idempotent."""
        if self._closed:
            return
        self._closed = self._exhausted = True
        if self._look_again in self._desk.dispatcher.on_room:
            self._desk.dispatcher.on_room.remove(self._look_again)
        self._leaving += self._tasks
        self._tasks.clear()
        if self._feeder is not None:
            self._leaving.append(self._feeder)
        here = asyncio.current_task()  # None where the loop itself calls
        for task in self._leaving:
            if task is not here:
                task.cancel()

    def forgotten(self) -> None:
        """Nobody can ask for a result any more: cancel as soon as the loop, whose thread this may not be, is at it."""
        if self._feeder is None or self._closed:
            return
        loop = self._feeder.get_loop()
        if not loop.is_closed():
            loop.call_soon_threadsafe(self.cancel)

    # -- the rows' side ----------------------------------------------------------------

    async def _feed(self) -> None:
        """Begin rows as there is room for them."""
        try:
            next_row = self._next_row()
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
        except (Exception, asyncio.CancelledError) as error:  # the caller's own iterator: __anext__ hands it on
            if self._closed and isinstance(error, asyncio.CancelledError):
                raise
            self.error = error
        finally:
            self._exhausted = True
            self._wake_consumers()
            if self._closed:  # here, for whoever closes may be cancelled before it comes to that
                try:
                    await self._close_source()
                except Exception as error:  # noqa: BLE001 - the caller's own generator: close() hands it on
                    self._close_failure = error
        # One round of the loop, in which the last rows join the queue.
        await asyncio.sleep(0)
        self._end_input()

    async def _close_source(self) -> None:
        if isinstance(self._source, AsyncGenerator):
            await self._source.aclose()  # one that was given its end already says nothing

    def _next_row(self) -> Callable[[], Awaitable[Row]]:
        """A function that awaits the next row, whichever kind of iterable they come from."""
        if isinstance(self._source, AsyncIterable):
            return aiter(self._source).__anext__
        plain = iter(self._source)

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
        self._wake_consumers()
        self._look_again()
        if self._exhausted:
            self._end_input()

    def _has_room(self) -> bool:
        under_way, held = len(self._tasks), len(self._finished) + len(self._in_order)
        return under_way + held < self._places and under_way < self._desk.dispatcher.out + LOOK_AHEAD

    def _look_again(self) -> None:
        """Something left the queue, or a result was taken: is there room for a row?"""
        room = self._room
        if room is None or room.done() or not self._has_room():
            return
        if room.get_loop().is_closed():  # and with it all of this: the limiter has another loop now
            self._desk.dispatcher.on_room.remove(self._look_again)
            return
        room.set_result(None)

    def _wake_consumers(self) -> None:
        for waiter in self._consumers:
            if not waiter.done() and not waiter.get_loop().is_closed():
                waiter.set_result(None)
        self._consumers.clear()

    def _end_input(self) -> None:
        """What is queued is all there is: nothing needs to be kept back for what may come."""
        if self._tasks and self._desk.dispatcher.waiting:
            self._desk.dispatcher.end_of_input(self._tenant)

    def __repr__(self) -> str:
        held = len(self._finished) + len(self._in_order)
        return f"{self._begun} rows begun, {len(self._tasks)} under way, {held} held"
