"""
A server that minds how fast a rate grows, whatever its limits allow.

Law of this file: what was admitted in the last minute is at most *growth* times the mean
minute of the quarter of an hour before it, or *floor*, if that is more. A call beyond
that is a 429 ``slow_down``: nothing is charged, no limit is shown, no time is told.

Source: OpenAI's guide to error codes: from a million input tokens a minute on, traffic
should grow by no more than half in fifteen minutes.
"""

from __future__ import annotations

from collections import deque

import attrs

from ..core.units import NS

_MINUTE_S = 60


def _is_past(_: object, field: object, value: tuple[int, int]) -> None:
    least_s, most_s = value
    if not _MINUTE_S <= least_s < most_s:
        raise ValueError(f"compared_s is a stretch of the past before the last minute, such as (60, 960); got {value}")


@attrs.frozen(kw_only=True)
class Ramp:
    """
    How fast the rate of a model, or of a limit group, may grow.

    Args:
        floor: so much in any minute is always allowed.
        growth: the last minute is compared with so many times the mean minute before.
        unit: "tokens" or "requests".
        compared_s: that mean is of the time from so long ago to so long ago, in seconds.
        counts_refused: calls that were refused count as well.

    Raises:
        ValueError: one of them cannot be.
    """

    floor: int = attrs.field(default=1_000_000, validator=attrs.validators.gt(0))
    growth: float = attrs.field(default=1.5, validator=attrs.validators.ge(1))
    unit: str = attrs.field(default="tokens", validator=attrs.validators.in_(("tokens", "requests")))
    compared_s: tuple[int, int] = attrs.field(default=(60, 960), validator=_is_past)
    counts_refused: bool = False

    def cost(self, tokens: int) -> int:
        """What a call of so many tokens counts."""
        return tokens if self.unit == "tokens" else 1


class RampMeter:
    """What was let in, second by second, of the last minute and of the time before it."""

    __slots__ = ("_before", "_between", "_last", "before", "last", "ramp")

    def __init__(self, ramp: Ramp) -> None:
        self.ramp = ramp
        self.last = 0
        self.before = 0
        self._last: deque[list[int]] = deque()
        self._between: deque[list[int]] = deque()
        self._before: deque[list[int]] = deque()

    @property
    def allowed(self) -> int:
        """Units that the last minute may hold."""
        ramp = self.ramp
        least_s, most_s = ramp.compared_s
        return max(ramp.floor, int(ramp.growth * self.before * _MINUTE_S / (most_s - least_s)))

    def advance(self, second: int) -> None:
        """Let time pass."""
        least_s, most_s = self.ramp.compared_s
        while self._last and self._last[0][0] <= second - _MINUTE_S:
            self._between.append(self._last.popleft())
            self.last -= self._between[-1][1]
        while self._between and self._between[0][0] <= second - least_s:
            self._before.append(self._between.popleft())
            self.before += self._before[-1][1]
        while self._before and self._before[0][0] <= second - most_s:
            self.before -= self._before.popleft()[1]

    def allows(self, cost: int, *, now_ns: int) -> bool:
        """Whether a call of *cost* units may come in now; one that has its minute to itself may."""
        self.advance(now_ns // NS)
        return not self.last or self.last + cost <= self.allowed

    def take(self, cost: int, *, now_ns: int) -> None:
        """Count a call that came in."""
        second = now_ns // NS
        self.last += cost
        if self._last and self._last[-1][0] == second:
            self._last[-1][1] += cost
        else:
            self._last.append([second, cost])
