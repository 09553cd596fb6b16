"""
The same transport for threads that have no event loop.

    client = httpx.Client(transport=LimitedSyncTransport(limiter))

Law of this file: the limiter is asked on the background loop, and everything that blocks
is done by the thread that makes the request. So one limiter serves all threads of a
program, and no request is slower for another thread's.

Theory. One coroutine on the loop goes through the attempts of a request, the same as for
coroutines. Where that one would send, this one leaves an errand for the thread, which
waits for errands as long as the coroutine lives. A thread cannot be cancelled: when a
deadline ends the coroutine while its thread is in a socket, the socket's own timeout,
which was cut to what is left, brings the thread back a moment later.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import time
from collections.abc import Callable
from functools import cache
from types import TracebackType
from typing import Any, Self

from ...runtime.attempts import Attempt
from ...runtime.background import Call, background
from ...runtime.options import options_of
from .bodies import OneShot, SyncBody
from .head import Head
from .trace import Trace
from .transport import Limited
from .usage import bystander_of

_LATE_S = 0.05
"""The deadline itself comes first, and says what happened."""

_Job = tuple[Callable[..., Any], tuple[Any, ...], "asyncio.Future[Any]"]


class Errands:
    """What a coroutine leaves for the thread that waits for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()

    async def do(self, work: Callable[..., Any], *args: Any) -> Any:
        """What *work* returns or raises, over there."""
        done: asyncio.Future[Any] = self._loop.create_future()
        self._jobs.put((work, args, done))
        return await done

    def serve(self, call: concurrent.futures.Future[Any]) -> Any:
        """Do errands until *call* is over; then what it returned or raised."""
        call.add_done_callback(lambda _: self._jobs.put(None))
        while (job := self._jobs.get()) is not None:
            self._work(*job)
        return call.result()

    def _work(self, work: Callable[..., Any], args: tuple[Any, ...], done: asyncio.Future[Any]) -> None:
        try:
            found, error = work(*args), None
        except Exception as raised:  # noqa: BLE001 - the coroutine gets it
            found, error = None, raised
        self._loop.call_soon_threadsafe(_hand_in, self._loop, done, found, error)


def _hand_in(loop: asyncio.AbstractEventLoop, done: asyncio.Future[Any], found: Any, error: Exception | None) -> None:
    if done.done():  # the coroutine was cancelled meanwhile; nobody wants the answer
        if (close := getattr(found, "close", None)) is not None:
            loop.run_in_executor(None, close)
    elif error is not None:
        done.set_exception(error)
    else:
        done.set_result(found)


class ThreadWire:
    """How one request goes out: by the thread that makes it."""

    def __init__(
        self, transport: LimitedSync, errands: Errands, loop: asyncio.AbstractEventLoop, over_s: float
    ) -> None:
        self._transport = transport
        self._errands = errands
        self._loop = loop
        self._over_s = over_s

    async def send(self, request: Any, attempt: Attempt, *, once: bool) -> Any:
        """The head of the answer to one attempt."""
        transport, given, stream = self._transport, request.extensions, request.stream
        trace = Trace(attempt, given.get("trace"), self._loop.call_soon_threadsafe)
        if once:
            request.stream = transport._one_shot(stream, attempt)
        request.extensions = self._with_timeout(given)
        if transport._traces:
            request.extensions = {**request.extensions, "trace": trace.heard_sync}
        try:
            return await self._errands.do(transport.inner.handle_request, request)
        except BaseException as error:
            if trace.nothing_written and not isinstance(error, Exception):
                attempt.unsent()
            raise
        finally:
            trace.over()
            request.extensions, request.stream = given, stream

    async def read(self, response: Any, parts: list[bytes], most: int) -> None:
        """The body of an error."""
        await self._errands.do(_read, response.stream, parts, most)

    def body(self, response: Any, attempt: Attempt, request: Any) -> Any:
        """The body of a success."""
        bystander = bystander_of(Head(response.headers), request.url.path) if attempt.counts_use() else None
        return self._transport._body(response.stream, attempt, bystander, self._loop)

    def _with_timeout(self, extensions: Any) -> Any:
        left_s = self._over_s - time.monotonic()
        if left_s == float("inf"):
            return extensions
        given = extensions.get("timeout") or {}
        most = max(0.0, left_s) + _LATE_S
        cut = {name: most if (each := given.get(name)) is None else min(each, most) for name in _TIMEOUTS}
        return {**extensions, "timeout": cut}


_TIMEOUTS = ("connect", "read", "write", "pool")


def _read(stream: Any, parts: list[bytes], most: int) -> None:
    try:
        for part in stream:
            parts.append(part[:most])
            most -= len(part)
            if most <= 0:
                break
    finally:
        stream.close()


class LimitedSync(Limited):
    """For a ``Client``; the arguments are those of ``Limited``."""

    @classmethod
    def _plain_one(cls, connections: int) -> Any:
        limits = cls._httpx.Limits(max_connections=connections, max_keepalive_connections=min(connections, 100))
        return cls._httpx.HTTPTransport(limits=limits)

    def handle_request(self, request: Any) -> Any:
        """
        The answer that the caller is to see, when the limits let the request go.

        The thread waits its turn. Interrupted there (Ctrl-C), it leaves the queue without
        a trace. Otherwise as ``handle_async_request`` of the other one.
        """
        said = options_of(self.limiter)
        over_s = float("inf") if said.deadline is None else time.monotonic() + said.deadline
        loop = background().loop
        errands = Errands(loop)
        call = Call(self._way.answer(request, ThreadWire(self, errands, loop, over_s), said))
        try:
            return errands.serve(background().submit(call.run()))
        except BaseException:
            call.stop(loop)
            raise

    def close(self) -> None:
        """Close the inner transport; the limiter stays open."""
        self.inner.close()

    def __enter__(self) -> Self:
        self.inner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.inner.__exit__(kind, error, trace)


@cache
def limited_sync_transport(httpx: Any) -> Any:
    """The ``LimitedSyncTransport`` for clients of the module *httpx*."""
    stream = httpx.SyncByteStream
    names = {
        "__module__": __name__,
        "__doc__": LimitedSync.__doc__,
        "_httpx": httpx,
        "_body": type("LimitedSyncBody", (SyncBody, stream), {}),
        "_one_shot": type("OneShotBody", (OneShot, stream), {}),
    }
    return type("LimitedSyncTransport", (LimitedSync, httpx.BaseTransport), names)
