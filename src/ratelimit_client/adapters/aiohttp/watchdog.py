"""
Ends a read that nothing will ever end.

Law of this file: every wait for the wire is looked at, from outside, by a timer
that does not depend on the HTTP library noticing anything.

Theory. A malformed chunk that arrives after the headers makes aiohttp close the
transport without waking the reader, and closing also drops its read timeout, so
the read hangs for ever (seen in 3.11.18 to 3.14.5). A server that stops taking
a large request body is not noticed either: the read timeout starts when the body
is out. So each client has one timer, and while anything is watched it looks at
all of them: has anything moved since the last look, and is the connection
still open? A timer per read, rescheduled per chunk, would cost more than the
reads; so would a look at the clock, and therefore a wait is timed from the first
look at it.

A stalled loop is not a silent server: when a look comes late, everybody is
granted the time by which it was late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

import attrs

# A connection that died without a word is found within two looks.
_LONGEST_LOOK_S = 1.0


class Stalled(Exception):
    """
    The wait was ended by the watchdog; the text says why.

    Args:
        silent: because nothing came for too long, and not because nothing can come any more.
    """

    def __init__(self, why: str, *, silent: bool = True) -> None:
        super().__init__(why)
        self.silent = silent


class Watched(Protocol):
    """A wait for the wire."""

    def moved(self) -> int:
        """A number that changes when something went or came."""
        ...

    def alive(self) -> bool:
        """Can more come, or has the end been told?"""
        ...

    def stop(self, error: Stalled) -> None:
        """End the wait with *error*."""
        ...


@attrs.define(eq=False)
class _Seen:
    """What earlier looks have seen."""

    number: int
    since: float
    dead_looks: int = 0


class Watchdog:
    """
    The one timer of a client on one event loop.

    Args:
        idle_s: seconds without progress that end a wait; None looks for dead connections only.
    """

    def __init__(self, idle_s: float | None, loop: asyncio.AbstractEventLoop) -> None:
        self.idle_s = idle_s
        self._loop = loop
        self._every_s = _LONGEST_LOOK_S if idle_s is None else min(_LONGEST_LOOK_S, idle_s / 4)
        self._watched: dict[Watched, _Seen | None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Watchdog watching {len(self._watched)}, idle_s={self.idle_s}>"

    def watch(self, what: Watched) -> None:
        """From now on *what* is stopped when it stands still or is dead."""
        if self._closed:
            what.stop(_closed_meanwhile())
            return
        self._watched[what] = None
        if self._timer is None:
            self._timer = self._loop.call_later(self._every_s, self._look)

    def leave(self, what: Watched) -> None:
        """*what* has ended. Idempotent."""
        # The timer is left to run out: arming it anew for each short read would cost more.
        self._watched.pop(what, None)

    def close(self) -> None:
        """Stop looking, and end every wait: what is closed under a reader does not wake it by itself."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._watched:
            what, _ = self._watched.popitem()
            what.stop(_closed_meanwhile())

    def _look(self) -> None:
        assert self._timer is not None
        now = self._loop.time()
        late = now - self._timer.when()
        for what, seen in tuple(self._watched.items()):
            if seen is None:
                self._watched[what] = _Seen(what.moved(), now, int(not what.alive()))
            else:
                if late > self._every_s:
                    # It was blocked from some instant between two looks on.
                    seen.since = min(now, seen.since + late + self._every_s)
                self._look_at(what, seen, now)

        self._timer = self._loop.call_later(self._every_s, self._look) if self._watched else None

    def _look_at(self, what: Watched, seen: _Seen, now: float) -> None:
        number = what.moved()
        if number != seen.number:
            seen.number = number
            seen.since = now

        # Two looks, because an orderly close wakes the reader one loop turn later.
        seen.dead_looks = 0 if what.alive() else seen.dead_looks + 1
        if seen.dead_looks == 2:
            verdict = Stalled("the connection was closed in the middle of a message", silent=False)
        elif self.idle_s is not None and now - seen.since >= self.idle_s:
            verdict = Stalled(f"no byte for {self.idle_s:g} s")
        else:
            return
        del self._watched[what]
        what.stop(verdict)


def _closed_meanwhile() -> Stalled:
    return Stalled("the client was closed meanwhile", silent=False)


class TaskWatch:
    """
    A wait of the task that enters it: ``with TaskWatch(dog, moved): await ...``

    The task is cancelled, as ``asyncio.timeout`` does, and the cancellation is turned
    back into an error on the way out; a cancellation that somebody else asked for
    passes through.
    """

    __slots__ = ("_cancelling", "_dog", "_error", "_moved", "_task")

    def __init__(self, dog: Watchdog, moved: Callable[[], int]) -> None:
        self._dog = dog
        self._moved = moved
        self._error: Stalled | None = None

    def moved(self) -> int:
        """As told by whoever made it."""
        return self._moved()

    def alive(self) -> bool:
        """Nothing is known of a connection."""
        return True

    def stop(self, error: Stalled) -> None:
        """Cancel the task; once, whoever says so again."""
        if self._error is None:
            self._error = error
            self._task.cancel()

    def __enter__(self) -> TaskWatch:
        task = asyncio.current_task()
        assert task is not None, "a watch is held by a task"
        self._task = task
        self._cancelling = task.cancelling()
        self._dog.watch(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._dog.leave(self)
        if self._error is None:
            return

        ours_alone = self._task.uncancel() <= self._cancelling
        if ours_alone and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise self._error from None
