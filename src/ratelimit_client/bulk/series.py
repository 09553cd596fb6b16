"""
What grew over time, in a bounded number of points.

Law of this file: between any two points that are kept the sum is exact, whatever was forgotten
between them; and the first and the last point are always kept.

Theory. A point is a reading of counters that only grow, and not what happened since the one before.
So a point can be forgotten and nothing is lost but when, within twice the time, it happened. When
there are too many, every other one is forgotten and from then on they are taken half as often:
an hour and a month take the same room.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import attrs

from ..core.units import NS, to_s

MOST: Final = 240


class Point(NamedTuple):
    """What the counters showed at an instant."""

    at_ns: int
    values: tuple[float, ...]


class Span(NamedTuple):
    """
    What happened between two points.

    Args:
        from_s, to_s: seconds since the first point.
        values: by how much each counter grew.
    """

    from_s: float
    to_s: float
    values: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.to_s - self.from_s


@attrs.define(eq=False)
class Series:
    """
    Args:
        most: an even number of points.
        step_ns: the least time between two of them, about.
    """

    most: int = MOST
    step_ns: int = NS
    _kept: list[Point] = attrs.field(factory=list)
    _last: Point | None = None

    def see(self, values: tuple[float, ...], *, now_ns: int) -> None:
        """The counters show *values* now."""
        point = Point(now_ns, values)
        kept = self._kept
        # A look comes a little early or late: one that is nearly due counts.
        if kept and 4 * (now_ns - kept[-1].at_ns) < 3 * self.step_ns:
            self._last = point
            return
        self._last = None
        kept.append(point)
        if len(kept) > self.most:
            del kept[1::2]  # an odd number there is, so the last stays, as the first does
            self.step_ns *= 2

    @property
    def points(self) -> Sequence[Point]:
        """All that are kept, the last look among them."""
        return self._kept if self._last is None else [*self._kept, self._last]

    def spans(self, most: int = MOST) -> Iterator[Span]:
        """What happened, in at most so many spans of time without gaps."""
        points = self.points
        each = max(1, -(-(len(points) - 1) // most))
        chosen = [*points[:-1:each], *points[-1:]]
        for before, after in pairwise(chosen):
            grown = tuple(b - a for a, b in zip(before.values, after.values, strict=True))
            yield Span(self._since(before), self._since(after), grown)

    def _since(self, point: Point) -> float:
        return to_s(point.at_ns - self._kept[0].at_ns)
