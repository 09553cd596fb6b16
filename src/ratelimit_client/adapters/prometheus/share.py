"""
How much of the loop's time whoever only looks on may have.

Law of this file: however often somebody asks, what is made for him takes a twentieth of the time at most.

Theory. A page takes milliseconds to make, and while it is made nothing else is. One look in
many seconds is none to speak of; a thousand at once are. Time that was not spent is saved, a
quarter of a second at most, so whoever comes seldom always finds the present.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SHARE = 0.05
_SAVED_S = 0.25


class Share:
    """
    Args:
        now_s: tells the time.
    """

    def __init__(self, now_s: Callable[[], float] = time.perf_counter) -> None:
        self._now_s = now_s
        self._saved_s = _SAVED_S
        self._at_s = now_s()

    @property
    def is_spent(self) -> bool:
        """There is nothing left: what was made last has to do."""
        now_s = self._now_s()
        self._saved_s = min(_SAVED_S, self._saved_s + _SHARE * (now_s - self._at_s))
        self._at_s = now_s
        return self._saved_s <= 0

    @contextmanager
    def spending(self) -> Iterator[None]:
        """The time of the block is taken from it."""
        began_s = self._now_s()
        try:
            yield
        finally:
            self._saved_s -= self._now_s() - began_s
