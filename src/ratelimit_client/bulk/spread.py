"""
How long things took: all of them, in a few kilobytes.

Law of this file: one more costs next to nothing when it comes, and however many there were, a
quantile is wrong by at most a thirtieth of itself; the shortest and the longest are exact.

Theory. Durations are counted in bins, 16 to each doubling (an HDR histogram), from a microsecond to
two years. A bin is as wide as a sixteenth of its lower end, so its middle is off by half of that.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

_PER_DOUBLING: Final = 16
_EXACT: Final = 2 * _PER_DOUBLING
_LONGEST_US: Final = (1 << 46) - 1
_BINS: Final = 43 * _PER_DOUBLING
# Below it nobody tells times apart: the first bar of a plot. A power of two, so that a bin begins there.
_AT_ONCE_US: Final = 1024
_MOST_BARS: Final = 40


class Bar(NamedTuple):
    """So many took at least *low_s* seconds and less than *high_s*."""

    low_s: float
    high_s: float
    number: int


def _bin(us: int) -> int:
    shift = us.bit_length() - 5
    return us if shift <= 0 else shift * _PER_DOUBLING + (us >> shift)


def _begin_us(number: int) -> int:
    """Where a bin begins."""
    if number < _EXACT:
        return number
    shift = number // _PER_DOUBLING - 1
    return (number - shift * _PER_DOUBLING) << shift


class Spread:
    """
    Durations, by how long they were.

    ``add(seconds)`` keeps one more as it comes; ``digest`` counts what was kept, and is to be called now and then.
    """

    __slots__ = ("_bins", "_fresh", "_least_s", "_most_s", "add")

    def __init__(self) -> None:
        self._bins = [0] * _BINS
        self._fresh = array("d")
        self._least_s, self._most_s = float("inf"), 0.0
        self.add: Callable[[float], None] = self._fresh.append

    def digest(self) -> None:
        """Count what came since the last time."""
        fresh, bins = self._fresh, self._bins
        if not fresh:
            return
        for seconds in fresh:
            us = min(int(seconds * 1_000_000), _LONGEST_US) if seconds > 0 else 0
            shift = us.bit_length() - 5
            bins[us if shift <= 0 else shift * _PER_DOUBLING + (us >> shift)] += 1
        self._least_s = min(self._least_s, max(0.0, min(fresh)))
        self._most_s = max(self._most_s, max(fresh))
        del fresh[:]

    @property
    def count(self) -> int:
        """How many there were."""
        self.digest()
        return sum(self._bins)

    @property
    def least_s(self) -> float:
        """The shortest; 0 when there is none."""
        return self._least_s if self.count else 0.0

    @property
    def most_s(self) -> float:
        """The longest; 0 when there is none."""
        self.digest()
        return self._most_s

    def quantile(self, permille: int) -> float | None:
        """
        Seconds within which so many thousandths of them were over; None when there is none.

        It is that of the smallest one of which it is true, to the middle of its bin.
        """
        total = self.count
        if not total:
            return None
        left = max(1, -(-total * permille // 1000))
        number = 0
        for number, count in enumerate(self._bins):  # noqa: B007  # the bin in which it ends is what is looked for
            left -= count
            if left <= 0:
                break
        middle_s = (_begin_us(number) + _begin_us(number + 1)) / 2_000_000
        return min(max(middle_s, self.least_s), self.most_s)

    def bars(self) -> list[Bar]:
        """
        Them all in at most 40 bars of one width by ratio, without gaps; the first of those under a millisecond.
        """
        self.digest()
        filled = [number for number, count in enumerate(self._bins) if count]
        if not filled:
            return []
        floor = _bin(_AT_ONCE_US)
        first, last = max(floor, filled[0]), max(floor, filled[-1])
        together = next(n for n in (1, 2, 4, 8, 16) if last // n - first // n < _MOST_BARS - 1)
        bars = [Bar(0.0, _AT_ONCE_US / 1e6, sum(self._bins[:floor]))] if filled[0] < floor else []
        return bars + list(self._bars(first // together * together, last, together))

    def _bars(self, first: int, last: int, together: int) -> Iterator[Bar]:
        if not any(self._bins[first:]):
            return
        for begin in range(first, last + 1, together):
            end = begin + together
            yield Bar(_begin_us(begin) / 1e6, _begin_us(end) / 1e6, sum(self._bins[begin:end]))
