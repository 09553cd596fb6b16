"""
How much of a bucket others spend.

Law of this file: what a reading lacks against prediction was spent by somebody
else. Single differences are noise (a reading is floored, requests overtake each
other), but they cancel when added up: over ten seconds only real spending is
left, and that is all this file reports. At the two ends of the ten seconds
nothing cancels, so what may be overtaking there is taken off first, and what the last
reading lacks counts only once the next one lacks it, too: calls let go after it may have
come before it, and how many those are nobody knows when it is read. A bucket
that gets less than twenty units in ten seconds is too slow for this measure.
"""

from __future__ import annotations

import attrs

from .units import NS

_SPAN_NS = 10 * NS
_SLOT_NS = NS // 2
_MILLION = 1_000_000
_LEAST_UNITS = 20


def is_measurable(limit: int, window_ns: float) -> bool:
    """Is a bucket quick enough for what others take of it to be seen?"""
    return limit * _SPAN_NS >= _LEAST_UNITS * window_ns


@attrs.define(eq=False)
class ForeignMeter:
    """Differences between predicted and read levels over the last ten seconds."""

    _slots: list[list[int]] = attrs.field(factory=list)  # 21 at most; an empty deque has 760 bytes
    _sum: int = 0
    _latest: int = 0
    _covered_ns: int = 0
    _edge: int | None = None

    def add(self, residual: int, span_ns: int, unsure: int, *, now_ns: int) -> None:
        """*residual* credits, *unsure* of them, were missing from a reading that looked at *span_ns* of time."""
        if self._edge is None:
            self._edge = unsure
        slot = now_ns // _SLOT_NS
        if not self._slots or self._slots[-1][0] != slot:
            self._slots.append([slot, 0, 0, 0])
        last = self._slots[-1]
        last[1] += residual
        last[2] += span_ns
        last[3] = max(last[3], unsure)
        self._sum += residual
        self._latest = residual
        self._covered_ns += span_ns
        self.forget(now_ns=now_ns)

    def forget(self, *, now_ns: int) -> None:
        """Drop what is older than ten seconds."""
        oldest = (now_ns - _SPAN_NS) // _SLOT_NS
        while self._slots and self._slots[0][0] < oldest:
            _, residual, span_ns, self._edge = self._slots.pop(0)
            self._sum -= residual
            self._covered_ns -= span_ns

    def ppm(self, limit: int, window_ns: int, *, now_ns: int) -> int:
        """Millionths of the refill that others took; 0 when they took none or nothing is known."""
        self.forget(now_ns=now_ns)
        if self._sum <= 0 or not is_measurable(limit, window_ns):
            return 0
        sure = self._sum - max(0, self._latest) - (self._edge or 0) - self._slots[-1][3]
        if sure <= 0:
            return 0
        # Less than ten seconds seen is read as ten, so that a first odd reading is no alarm.
        refill = limit * max(_SPAN_NS, self._covered_ns)
        return min(_MILLION, sure * _MILLION // refill)
