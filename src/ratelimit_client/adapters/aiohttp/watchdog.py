"""
Ends a read that nothing will ever end.

Law of this file: every wait for the wire is looked at, from outside, by a timer
that does not depend on the HTTP library noticing anything.

Theory. A malformed chunk that arrives after the headers makes aiohttp close the
transport without waking the reader, and closing also drops its read timeout, so
the read hangs for ever (seen in 3.11.18 to 3.14.5). A server that stops taking
a large request body is not noticed either: the read timeout starts when the body
is out. So each client has one timer, and while anything is watched it looks at
all of them: has the byte count moved since the last look, and is the connection
still open? A timer per read, rescheduled per chunk, would cost more than the
reads.

A stalled loop is not a silent server: when a look comes late, everybody is
granted the time by which it was late.

The task of a stalled wait is cancelled, as ``asyncio.timeout`` does, and the
cancellation is turned back into an error by ``Watch.__exit__``; a cancellation
that somebody else asked for passes through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

# A connection that died without a word is found within two looks.
_LONGEST_LOOK_S = 1.0


class Stalled(Exception):
    """The wait was ended by the watchdog; the text says why."""


class Watch:
    """One wait under observation: ``with watchdog.watch(moved, alive): await ...``"""

    __slots__ = ("_alive", "_cancelling", "_dead_looks", "_dog", "_moved", "_seen", "_since", "_task", "_verdict")

    def __init__(self, dog: Watchdog, moved: Callable[[], int], alive: Callable[[], bool]) -> None:
        self._dog = dog
        self._moved = moved
        self._alive = alive
        self._verdict: str | None = None
        self._dead_looks = 0

    def __enter__(self) -> Watch:
        task = asyncio.current_task()
        assert task is not None, "a watch is held by a task"
        self._task = task
        self._cancelling = task.cancelling()
        self._seen = self._moved()
        self._dog._add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._dog._remove(self)
        if self._verdict is None:
            return

        ours_alone = self._task.uncancel() <= self._cancelling
        if ours_alone and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise Stalled(self._verdict) from None

    def _look(self, now: float, idle_s: float | None) -> None:
        seen = self._moved()
        if seen != self._seen:
            self._seen = seen
            self._since = now

        # Two looks, because an orderly close wakes the reader one loop turn later.
        self._dead_looks = 0 if self._alive() else self._dead_looks + 1
        if self._dead_looks == 2:
            self._stop("the connection was closed in the middle of a message")
        elif idle_s is not None and now - self._since >= idle_s:
            self._stop(f"no byte for {idle_s:g} s")

    def _stop(self, verdict: str) -> None:
        self._dog._remove(self)
        self._verdict = verdict
        self._task.cancel()


class Watchdog:
    """
    The one timer of a client on one event loop.

    Args:
        idle_s: seconds without progress that end a wait; None looks for dead connections only.
    """

    def __init__(self, idle_s: float | None, loop: asyncio.AbstractEventLoop) -> None:
        self._idle_s = idle_s
        self._loop = loop
        self._every_s = _LONGEST_LOOK_S if idle_s is None else min(_LONGEST_LOOK_S, idle_s / 4)
        self._watched: set[Watch] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Watchdog watching {len(self._watched)}, idle_s={self._idle_s}>"

    def watch(self, moved: Callable[[], int], alive: Callable[[], bool]) -> Watch:
        """A wait that ends with ``Stalled`` when *moved* stands still or *alive* says no."""
        return Watch(self, moved, alive)

    def close(self) -> None:
        """Stop looking. Whoever is still watched is on its own."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _add(self, watch: Watch) -> None:
        watch._since = self._loop.time()
        self._watched.add(watch)
        if self._timer is None:
            self._timer = self._loop.call_later(self._every_s, self._look)

    def _remove(self, watch: Watch) -> None:
        # The timer is left to run out: arming it anew for each short read would cost more.
        self._watched.discard(watch)

    def _look(self) -> None:
        assert self._timer is not None
        now = self._loop.time()
        late = now - self._timer.when()
        if late > self._every_s:
            # It was blocked from some instant between two looks on.
            for watch in self._watched:
                watch._since = min(now, watch._since + late + self._every_s)

        for watch in tuple(self._watched):
            watch._look(now, self._idle_s)

        self._timer = self._loop.call_later(self._every_s, self._look) if self._watched else None
