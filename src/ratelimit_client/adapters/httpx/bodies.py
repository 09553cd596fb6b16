"""
Bodies on their way through: of answers, which hold a place, and of requests that can be sent once.

Law of this file: the bytes are not touched. A place is given back when the body has ended,
whichever way: read to its end, closed, broken off, cancelled, or dropped by everybody.

Theory. The last is nobody's deed, so it hangs on the object: the attempt that holds the
place belongs to the body alone and gives the place back as it is collected, and the
connection, which only a coroutine or a blocking call can close, is closed a moment later
on the loop. No body refers to anything that refers to it. (httpx before 2 makes such a
ring around it, and then it takes Python's collector to find out.)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any

from ...runtime.attempts import Attempt
from .usage import Bystander

_closing: set[asyncio.Task[None]] = set()
"""Somebody has to hold a task while it runs."""


class Body:
    """
    The body of an answer, read by a coroutine.

    Args:
        inner: the stream as it comes.
        attempt: holds the place.
        bystander: what looks for the usage, or None.
    """

    def __init__(self, inner: Any, attempt: Attempt, bystander: Bystander | None) -> None:
        self._inner = inner
        self._attempt = attempt
        self._bystander = bystander
        self._closed = self._ended = False
        self._parts: Any = None
        self._loop = asyncio.get_running_loop()

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._parts = aiter(self._inner)
        return self

    async def __anext__(self) -> bytes:
        # No generator: Python keeps a list of those that are open, and that costs more than the rest.
        try:
            part: bytes = await anext(self._parts)
        except StopAsyncIteration:
            self._end(whole=True)
            raise
        except BaseException as error:
            self._attempt.finish(error)
            raise
        if self._bystander is not None:
            self._bystander.take(part)
        return part

    async def aclose(self) -> None:
        """Give the connection back, or close it when the body is not read to its end."""
        self._closed = True
        try:
            if not self._ended and isinstance(self._parts, AsyncGenerator):
                await self._parts.aclose()
        finally:
            try:
                await self._inner.aclose()
            finally:
                if not self._ended:
                    self._end(whole=False)

    def _end(self, *, whole: bool) -> None:
        self._ended = True
        if self._bystander is not None:
            bystander, self._bystander = self._bystander, None
            settle(self._attempt, bystander, whole=whole)
        self._attempt.finish()

    def __del__(self) -> None:
        if not self._closed and not self._loop.is_closed():
            try:
                self._loop.call_soon_threadsafe(_close_soon, self._loop, self._inner)
            except RuntimeError:  # closed at this very moment: nothing runs there any more
                pass

    def __repr__(self) -> str:
        return f"<Body, {self._attempt.place.name.lower()}>"


class SyncBody:
    """
    The body of an answer, read by a thread that has no loop.

    Args:
        inner, attempt, bystander: as of ``Body``.
        loop: where the place is.
    """

    def __init__(
        self, inner: Any, attempt: Attempt, bystander: Bystander | None, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._inner = inner
        self._attempt = attempt
        self._bystander = bystander
        self._closed = False
        self._loop = loop

    def __iter__(self) -> Iterator[bytes]:
        bystander = self._bystander
        try:
            for part in self._inner:
                if bystander is not None:
                    bystander.take(part)
                yield part
        except GeneratorExit:
            raise
        except BaseException as error:
            self._tell(self._attempt.finish, error)
            raise
        self._tell(self._end, True)

    def close(self) -> None:
        """As ``Body.aclose``."""
        self._closed = True
        try:
            self._inner.close()
        finally:
            self._tell(self._end, False)

    def _end(self, whole: bool) -> None:
        bystander, self._bystander = self._bystander, None
        settle(self._attempt, bystander, whole=whole)
        self._attempt.finish()

    def _tell(self, step: Callable[..., object], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(step, *args)
        except RuntimeError:  # the loop is closed, and the limiter with it
            pass

    def __del__(self) -> None:
        if not self._closed:
            # On another thread: this one may be inside the pool, and hold its lock.
            self._tell(self._loop.run_in_executor, None, self._inner.close)

    def __repr__(self) -> str:
        return f"<SyncBody, {self._attempt.place.name.lower()}>"


class OneShot:
    """
    The body of a request that can be sent once.

    Args:
        inner: the stream as it was given.
        attempt: is told when it is begun.
    """

    def __init__(self, inner: Any, attempt: Attempt) -> None:
        self._inner = inner
        self._attempt = attempt

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._attempt.replayable = False
        async for part in self._inner:
            yield part

    def __iter__(self) -> Iterator[bytes]:
        self._attempt.replayable = False
        yield from self._inner

    def __repr__(self) -> str:
        return "<OneShot>"


def settle(attempt: Attempt, bystander: Bystander | None, *, whole: bool) -> None:
    """The body has ended: what it says that it used is what it used."""
    used = None if bystander is None else bystander.tokens(whole=whole)
    if used is not None:
        attempt.settle(tokens=used)


def _close_soon(loop: asyncio.AbstractEventLoop, inner: Any) -> None:
    task = loop.create_task(_close(inner))
    _closing.add(task)
    task.add_done_callback(_closing.discard)


async def _close(inner: Any) -> None:
    try:
        await inner.aclose()
    except Exception:  # noqa: BLE001 - nobody is there to be told that a connection did not end well
        pass
