"""
An event loop in the background, for programs that have none.

    from ratelimit_client.runtime.background import background

    reply = background().run(client.post("/embeddings", json=row))     # in a thread, a Celery task, a script

Law of this file: there is one such loop in a process, on a thread of its own. It is begun
with the first call, begun anew in a child after a fork, and ended with the program. Whoever
waits for it and is interrupted has called off what he waited for.

Theory. A limiter belongs to one loop, so all threads of a program that are to share one
hand their calls to that loop and wait. A forked child has the memory of the loop and not
its thread. What it must not do is close it: the two processes share what the kernel
keeps of it, and the parent still waits there. So it is left behind as it is.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import threading
import weakref
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

__all__ = ["BackgroundLoop", "background"]

T = TypeVar("T")

_STOP_S = 5.0

_left_behind: list[asyncio.AbstractEventLoop] = []
_all: weakref.WeakSet[BackgroundLoop] = weakref.WeakSet()


class Call(Generic[T]):
    """
    A coroutine on the loop that can be called off at any moment, also while it is being handed over.

    Args:
        coroutine: what is to run there.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._stopped = False
        self._task: asyncio.Task[Any] | None = None

    async def run(self) -> T:
        """To be submitted."""
        self._task = asyncio.current_task()
        if self._stopped:
            self._coroutine.close()
            raise asyncio.CancelledError
        return await self._coroutine

    def stop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Nobody waits for it any more. Of one that has ended it is nothing."""
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        self._stopped = True
        if self._task is not None:
            self._task.cancel()


class BackgroundLoop:
    """
    A loop and its thread; most programs need no other than that of ``background()``.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str = "ratelimit-client") -> None:
        self._name = name
        self._begin()
        _all.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, running."""
        with self._lock:
            if self._loop is None:
                loop = self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_serve, args=(loop,), name=self._name, daemon=True)
                self._thread.start()
            return self._loop

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Begin *coroutine* there, in the context of the caller; cancelling what is returned cancels it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """
        What *coroutine* returns, or raises; the calling thread waits.

        Interrupted (Ctrl-C, or an exception that a signal handler raises), it cancels the coroutine and passes that on.

        Raises:
            RuntimeError: called on the loop itself, which would wait for ever.
        """
        if self._thread is threading.current_thread():
            coroutine.close()
            raise RuntimeError("this is the background loop itself: await the coroutine")
        loop, call = self.loop, Call(coroutine)
        try:
            return asyncio.run_coroutine_threadsafe(call.run(), loop).result()
        except BaseException:
            call.stop(loop)
            raise

    def close(self) -> None:
        """Cancel what runs there and end the thread; the next call begins another."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_STOP_S)

    def _forked(self) -> None:
        if self._loop is not None:
            _left_behind.append(self._loop)
        self._begin()

    def __repr__(self) -> str:
        return f"<BackgroundLoop {self._name!r}, {'idle' if self._loop is None else 'running'}>"


_of_process = BackgroundLoop()


def background() -> BackgroundLoop:
    """The one of this process."""
    return _of_process


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """The life of the thread."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def _after_fork() -> None:
    for each in list(_all):
        each._forked()


@atexit.register
def _at_exit() -> None:
    for each in list(_all):
        each.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
