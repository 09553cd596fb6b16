"""
Admissions and refusals of the last minutes, for whoever draws them.

Law of this file: it has a bound, in time and in names. What is sampled are differences of
counts that are kept anyway; a second in which nothing happened takes no room.

Theory. A ring of points. Each is the moment at which it was taken and, of keys that moved, by
how much. A key that is not in a point stood still, so keys may come and go, and whoever reads
gets columns of equal length. A point is a second unless the loop was late: a rate is the
difference over the time since the point before.
"""

from __future__ import annotations

import weakref
from collections import defaultdict, deque
from collections.abc import Iterable

from ...core.counts import Names
from ...runtime.limiter import Limiter

POINTS = 300

Whose = tuple[str, str]
"""(client, model)"""


class Column(list[int]):
    """Counts, the newest last."""


Columns = defaultdict[Whose, tuple[Column, Column]]
"""Admitted and refused, by key; of a key that stood still zeros."""

_Moved = tuple[int, int]
_Tally = tuple[str, int, int]


class History:
    """Of the keys that have a label of their own."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, dict[Whose, _Moved]]] = deque(maxlen=POINTS + 1)
        self._before: weakref.WeakKeyDictionary[Limiter, dict[str, _Moved]] = weakref.WeakKeyDictionary()

    def sample(self, limiters: Iterable[Limiter], models: Names, *, now_s: float) -> None:
        """
        One point more.

        Args:
            models: which keys have labels.
            now_s: the date.
        """
        moved: dict[Whose, _Moved] = {}
        for limiter in limiters:
            tallies = list(limiter.tallies(models.shows))
            if (before := self._before.get(limiter)) is None:
                before = self._before[limiter] = {} if self._is_new(limiter, tallies) else _by_key(tallies)
            for key, granted, refused in tallies:
                old = before.get(key, (0, 0))
                if (granted, refused) != old:
                    before[key] = (granted, refused)
                    whose = (limiter.name, models.of(key))
                    sum_of = moved.get(whose, (0, 0))
                    moved[whose] = (sum_of[0] + granted - old[0], sum_of[1] + refused - old[1])
        self._points.append((now_s, moved))

    def _is_new(self, limiter: Limiter, tallies: Iterable[_Tally]) -> bool:
        """All that it counted it counted since the point before; of others nobody knows when they did."""
        return bool(self._points) and limiter.counts.turns >= sum(granted for _, granted, _ in tallies)

    def times(self, last: int = POINTS) -> list[float]:
        """When the last so many points were taken, and before them the moment since when they count."""
        return [round(at_s, 3) for at_s, _ in list(self._points)[-last - 1 :]]

    def columns(self, last: int = POINTS) -> Columns:
        """How many were admitted and refused in each of the last so many points, of each key that moved."""
        points = list(self._points)[-last - 1 :][1:]
        found: Columns = defaultdict(lambda: (Column([0] * len(points)), Column([0] * len(points))))
        for at, (_, moved) in enumerate(points):
            for whose, (granted, refused) in moved.items():
                admissions, refusals = found[whose]
                admissions[at], refusals[at] = granted, refused
        return found


def _by_key(tallies: Iterable[_Tally]) -> dict[str, _Moved]:
    return {key: (granted, refused) for key, granted, refused in tallies}
