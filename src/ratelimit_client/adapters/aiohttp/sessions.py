"""
One call of a session, which may come by several times.

Law of this file: what aiohttp does not show is not guessed. Where a total timeout cannot be
seen, the wait in the queue is not bounded by it; it ends the wait all the same, and that is
told in words of its own.

Theory. ``ClientTimeout(total)`` runs from the moment the user asked, over redirects and over
the wait in the queue. It is seen in two places. Its length stands among the variables of the
function that sends, which is the innermost handler. That it is over is told by the timer of
the request, which cancels the task: in the queue that cancellation is taken back here, as
aiohttp would have done itself, and becomes an error that says what was waited for.

A session repeats GET, PUT and DELETE once when a kept connection breaks. The timer is the
same for all that belongs to one call, and so such a repetition is known.
"""

from __future__ import annotations

import asyncio
import copy
import math
import weakref
from typing import Any

import aiohttp

from ...errors import DeadlineExceeded, DeadlineExpiredInQueue

_REPEATED = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
_MOST_MIDDLEWARES = 100
_TIMEOUT = "real_timeout"
_WITHIN = ("next_h", "handler")
# So that of two timers for one instant aiohttp's is the one that ends a request under way.
_LATER_S = 0.01


class Round:
    """
    What one call of a session has come to.

    Args:
        timer: of the call; it is nobody else's.
        began: when it came by first.

    Attributes:
        ended: what to say when the session repeats on its own what has failed.
        sent: attempts, of this time around.
        sending: one of them is under way, up to the verdict on it: nothing waits in the queue.
    """

    __slots__ = ("_method", "began", "ended", "sending", "sent", "timer", "total")

    def __init__(self, timer: Any, began: float) -> None:
        self.timer = timer
        self.began = began
        self.ended: Exception | None = None
        self.total: aiohttp.ClientTimeout | None = None
        self._method = ""
        self.sent = 0
        self.sending = False

    @property
    def is_over(self) -> bool:
        """The total timeout has passed."""
        return bool(getattr(self.timer, "_cancelled", False))

    def deadline_s(self, said_s: float | None) -> tuple[float | None, bool]:
        """How many seconds are left for it, and whether the total timeout says so and not *said_s*."""
        now = asyncio.get_running_loop().time()
        if said_s is not None:
            said_s = max(0.0, said_s - (now - self.began))
        timeout = self.total
        if timeout is None or timeout.total is None or timeout.total <= 0:
            return said_s, False
        until = self.began + timeout.total
        if timeout.total >= timeout.ceil_threshold:
            until = math.ceil(until)
        left_s = max(0.0, until - now) + _LATER_S
        if said_s is not None and said_s <= left_s:
            return said_s, False
        return left_s, True

    def too_late(self) -> DeadlineExceeded | DeadlineExpiredInQueue | None:
        """The error for a cancellation in the queue that is the total timeout's alone; it is taken back then."""
        task = asyncio.current_task()
        if self.sending or not self.is_over or task is None:
            return None
        if task.cancelling() - 1 > self.timer._cancelling:
            return None
        task.uncancel()
        waited_s = asyncio.get_running_loop().time() - self.began
        if not self.sent:
            message = self.explained(f"the time was over after {waited_s:.1f} s, before its turn came; it was not sent")
            return DeadlineExpiredInQueue(message, waited_s=waited_s)
        tries = "try" if self.sent == 1 else "tries"
        message = f"the time was over after {waited_s:.1f} s, in the queue after {self.sent} {tries}"
        return DeadlineExceeded(self.explained(message), attempts=self.sent, request_id=None)

    def explained(self, what: str) -> str:
        """*what* happened, and whose deadline it was."""
        total = "" if self.total is None else f" ({self.total.total:g} s)"
        return (
            f"{what}. The deadline is the ClientTimeout(total=...) of the session or the request{total}, against which "
            "the wait in the queue counts. Set ClientTimeout(total=None, sock_connect=..., sock_read=...), and where "
            "the whole is to be bounded limiter.call_options(deadline=...)"
        )

    def end(self, error: Exception) -> None:
        """It failed. If the session is going to repeat it on its own, that is to fail the same way."""
        if self._method not in _REPEATED or not _is_repeated(error):
            return
        try:
            self.ended = copy.copy(error)  # without the frames
        except Exception:  # noqa: BLE001 - somebody's own class; the repetition is one more request then
            self.ended = None

    def seen(self, request: aiohttp.ClientRequest, handler: Any) -> None:
        """It comes by."""
        self._method = request.method
        self.total = _timeout_of(handler)
        self.sent = 0
        self.sending = False

    def __repr__(self) -> str:
        return f"<Round, {self.sent} sent>"


class Rounds:
    """The calls that are under way, or were a task's last."""

    def __init__(self) -> None:
        self._of: weakref.WeakKeyDictionary[Any, Round] = weakref.WeakKeyDictionary()

    def begin(self, request: aiohttp.ClientRequest, handler: Any) -> Round:
        """The call that *request* belongs to: the one before of the same task, or a new one."""
        task = asyncio.current_task()
        timer = getattr(request, "_timer", request)
        found = self._of.get(task)
        if found is None or found.timer is not timer:
            found = Round(timer, asyncio.get_running_loop().time())
            if task is not None:
                self._of[task] = found
        found.seen(request, handler)
        return found

    def __repr__(self) -> str:
        return f"<Rounds of {len(self._of)} tasks>"


def _is_repeated(error: Exception) -> bool:
    if isinstance(error, aiohttp.ConnectionTimeoutError | aiohttp.ClientConnectorError):
        return False
    return isinstance(error, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError)


def _timeout_of(handler: Any) -> aiohttp.ClientTimeout | None:
    """The timeouts of a request, which aiohttp shows to nobody: they stand where it sends, behind other middlewares."""
    for _ in range(_MOST_MIDDLEWARES):
        code, cells = getattr(handler, "__code__", None), getattr(handler, "__closure__", None)
        if code is None or cells is None:
            return None
        names = code.co_freevars
        if _TIMEOUT in names:
            found = cells[names.index(_TIMEOUT)].cell_contents
            return found if isinstance(found, aiohttp.ClientTimeout) else None
        within = next((name for name in _WITHIN if name in names), None)
        if within is None:
            return None
        handler = cells[names.index(within)].cell_contents
    return None
