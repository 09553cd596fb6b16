"""
A deadline over the body of ``async with``: the semantics of ``asyncio.timeout_at``.

Theory. At the instant the task is cancelled, once, and the guard remembers that it
was the one who did it. When the body ends, that one cancellation is taken back
(``Task.uncancel``), and only if no other was asked for meanwhile does the
``CancelledError`` become a timeout. So a cancellation from outside always wins,
and one of ours never leaks into code that comes after.

``asyncio.timeout_at`` itself is a coroutine on both ends, and can neither be
entered at the moment of a grant nor name our error; hence these forty lines.
"""

from __future__ import annotations

import asyncio


class DeadlineGuard:
    """Cancels the task that armed it when the time has come."""

    __slots__ = ("_cancelling", "_handle", "_task", "expired")

    def __init__(self, loop: asyncio.AbstractEventLoop, delay_s: float) -> None:
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a deadline needs a task to cancel; call this from a coroutine run by asyncio")
        self.expired = False
        self._task: asyncio.Task[object] = task
        self._cancelling = task.cancelling()
        self._handle: asyncio.TimerHandle = loop.call_later(max(0.0, delay_s), self._expire)

    def _expire(self) -> None:
        self.expired = True
        self._task.cancel()

    def give_up(self) -> None:
        """End the watch of a body that nobody will ever end: the task has gone on without it."""
        self._handle.cancel()

    def disarm(self) -> bool:
        """
        End the watch; True when the deadline, and nothing else, cancelled the body.

        To be called exactly once, by the task that armed it, when the body is over.
        """
        self._handle.cancel()
        return self.expired and self._task.uncancel() <= self._cancelling
