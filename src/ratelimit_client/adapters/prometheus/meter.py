"""
Things that count, of one client, and what became of them.

Law of this file: a count is never lost and never goes down. What counted for somebody who is
gone goes on counting in the sum.

Theory. A limiter is looked at while it lives and is not kept alive by that; what it counted is
kept. A call may end a moment after its client was forgotten, so the few that died last are kept
as they are, and only those before them become one. Whoever dies says so in any thread and in
the middle of anything, so that is an entry in a queue, and nothing else.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable
from itertools import accumulate
from typing import Generic, Protocol, Self, TypeVar

_DEAD_KEPT = 16


class Countable(Protocol):
    """What can be added up, and begun again."""

    def merge(self, more: Self, /) -> None:
        """All that *more* counted, too."""
        ...

    def clear(self) -> None:
        """Nothing has happened."""
        ...


C = TypeVar("C", bound=Countable)


class Kept(Generic[C]):
    """
    Args:
        new: makes an empty one, for the sum.
    """

    def __init__(self, new: Callable[[], C]) -> None:
        self._sum = new()
        self._things: dict[int, C] = {}
        self._dead: deque[int] = deque()
        self._lock = threading.Lock()

    def add(self, owner: object, thing: C) -> None:
        """Look at *thing* from now on; it counts for *owner*. A second time changes nothing."""
        with self._lock:
            if id(thing) not in self._things:
                self._things[id(thing)] = thing
                weakref.finalize(owner, self._dead.append, id(thing)).atexit = False
            while len(self._dead) > _DEAD_KEPT:
                self._sum.merge(self._things.pop(self._dead.popleft()))

    def all(self) -> list[C]:
        """The sum of those long gone, and every other."""
        with self._lock:
            return [self._sum, *self._things.values()]

    def clear(self) -> None:
        """In a forked child: what the parent counted is the parent's."""
        self._lock = threading.Lock()
        for thing in self.all():
            thing.clear()


def cumulative(bounds: tuple[float, ...], counts: list[int]) -> list[tuple[str, float]]:
    """Buckets as Prometheus wants them: each holds all before it, the last is +Inf."""
    names = [*(f"{bound:g}" if bound % 1 else f"{bound:.1f}" for bound in bounds), "+Inf"]
    return list(zip(names, map(float, accumulate(counts)), strict=True))
