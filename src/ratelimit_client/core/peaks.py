"""
How high a level can be at most, given that a bucket overflows.

Law of this file: what flows into a full bucket is lost. A snapshot plus all the
refill since counts what was lost, too, so an old snapshot is trusted only up to
the level of a bucket that was full at the best moment since.

Theory. A bucket that was full at the instant u holds, at t, at most

    brim - (D(t) - D(u)) + rate x (t - u)

whatever happened before. The least of these over all u since the snapshot is the
bound; it depends on u only through g(u) = D(u) - rate x u, which is least just
before a debit. So g is noted before debits of a bucket that may be full, and
kept as a rising list: a later and lower one makes all before it useless.
"""

from __future__ import annotations

from bisect import bisect_left

import attrs

_KEPT = 4096


@attrs.define(eq=False)
class Peaks:
    """The moments at which one bucket may have been full. All values in its credits."""

    _at: list[int] = attrs.field(factory=list)
    _g: list[int] = attrs.field(factory=list)

    def note(self, debited: int, rate: int, *, now_ns: int) -> None:
        """
        A debit follows, and the bucket may be full.

        Args:
            debited: credits of all debits before it.
            rate: credits that flow back each nanosecond.
        """
        g = debited - rate * now_ns
        heights = self._g
        if heights and heights[-1] >= g:
            while len(heights) > 1 and heights[-2] >= g:
                heights.pop()
                self._at.pop()
            heights[-1], self._at[-1] = g, now_ns
            return
        if len(heights) >= _KEPT:
            # The oldest belong to the oldest readings, which are the least likely to come.
            del heights[: _KEPT // 2], self._at[: _KEPT // 2]
        heights.append(g)
        self._at.append(now_ns)

    def bound(self, brim: int, debited: int, rate: int, *, since_ns: int, at_ns: int) -> int:
        """Credits the bucket holds at most at *at_ns*, when *debited* credits were debited."""
        index = bisect_left(self._at, since_ns)
        if index == len(self._at) or self._at[index] > at_ns:
            return brim
        return min(brim, brim - debited + rate * at_ns + self._g[index])

    def clear(self) -> None:
        """The quota changed: what was noted counts in other credits."""
        self._at.clear()
        self._g.clear()
