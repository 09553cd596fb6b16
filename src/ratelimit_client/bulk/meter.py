"""
How much of each limit a run uses, and how long the rest will take.

Law of this file: it looks at the limiter's statistics now and then and adds up
what must have flowed in between. What a bucket offered is the level it was first
seen with and its refill since; what was used is what is missing of that, as far
as the bucket did not run over.

Theory. A job ends when its remaining cost has flowed through every bucket. The
bucket through which it takes longest is the one that binds; the time it takes is
the estimate people want: (remaining cost - level) / rate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import attrs

from ..core.foreign import is_measurable
from ..core.statistics import BucketStatistics, LimiterStatistics
from ..core.units import NS, to_s

LEARNT: Final = "learnt rate"
"""How the limiter calls a limit of requests that it inferred from refusals."""
_INFERRED: Final = "learned"
# What others take is measured over ten seconds (core/foreign.py); before that it is not known.
_LEAST_WATCHED_S: Final = 10.0


@attrs.define(eq=False)
class Gauge:
    """One bucket of one key, seen over time."""

    unit: str
    limit: int
    window_s: float
    source: str
    level: float
    at_ns: int
    offered: float
    used: float = 0.0
    _others: float = 0.0
    _watched_s: float = 0.0

    @property
    def rate(self) -> float:
        """Units a second."""
        return self.limit / self.window_s

    @property
    def share(self) -> float:
        """Used part of what was offered."""
        return min(1.0, self.used / self.offered) if self.offered > 0 else 0.0

    @property
    def others_share(self) -> float | None:
        """The part of its refill that others took; None where that cannot be seen, or was not for long enough."""
        return self._others / self._watched_s if self._watched_s >= _LEAST_WATCHED_S else None

    @property
    def is_of_requests(self) -> bool:
        """Does a call take one of it?"""
        return self.unit == LEARNT or self.unit.endswith("requests")

    def see(self, bucket: BucketStatistics, let_out: int, *, now_ns: int) -> None:
        """A later look at the same bucket; *let_out* calls went since the last."""
        passed_s = to_s(now_ns - self.at_ns)
        refill = self.rate * passed_s
        is_exact = self.unit.endswith("requests") and is_measurable(self.limit, self.window_s * NS)
        if is_exact and bucket.series == "alive":
            self._watched_s += passed_s
            self._others += bucket.foreign_ratio * passed_s
        without_use = min(max(float(self.limit), self.level), self.level + refill)
        # A learnt rate runs over at once, so its level tells nothing.
        self.used += let_out if self.unit == LEARNT else max(0.0, without_use - bucket.level)
        self.offered += refill
        self.limit, self.window_s, self.source = bucket.limit, bucket.window_s, bucket.source
        self.level = bucket.level
        self.at_ns = now_ns


@attrs.frozen
class Binding:
    """The limit that decides how long the rest takes."""

    key: str
    name: str
    gauge: Gauge
    remaining_s: float


@attrs.define(eq=False)
class Meter:
    """The buckets of a run; ``see`` it at least every few seconds."""

    gauges: dict[tuple[str, str], Gauge] = attrs.field(factory=dict)
    _granted: dict[str, int] = attrs.field(factory=dict)

    def see(self, statistics: LimiterStatistics, *, now_ns: int) -> None:
        """Take a look."""
        for key, state in statistics.keys.items():
            let_out = state.granted - self._granted.get(key, 0)
            self._granted[key] = state.granted
            for name, bucket in state.buckets.items():
                gauge = self.gauges.get((key, name))
                if gauge is not None:
                    gauge.see(bucket, let_out, now_ns=now_ns)
                elif bucket.limit > 0 and bucket.window_s > 0:
                    self.gauges[key, name] = _first_look(bucket, state.granted, now_ns)

    def utilisation(self) -> tuple[float, str, str] | None:
        """(share, key, bucket) of the limit that was used most; None while no limit is known."""
        if not self.gauges:
            return None
        (key, name), gauge = max(self.gauges.items(), key=lambda item: item[1].share)
        return gauge.share, key, name

    def binding(self, remaining_rows: Mapping[str, float], cost_of: Callable[[str, str], float]) -> Binding | None:
        """
        The limit through which the rest of the rows takes longest.

        Args:
            remaining_rows: rows left of each key.
            cost_of: mean cost of a row of (key, unit), where the gauge has not seen enough; 1 for requests.
        """
        found: Binding | None = None
        for (key, name), gauge in self.gauges.items():
            rows = remaining_rows.get(key, 0.0)
            cost = rows * self._cost(key, gauge, cost_of)
            seconds = max(0.0, cost - gauge.level) / gauge.rate
            if found is None or seconds > found.remaining_s:
                found = Binding(key, name, gauge, seconds)
        return found

    def _cost(self, key: str, gauge: Gauge, cost_of: Callable[[str, str], float]) -> float:
        if gauge.is_of_requests:
            return 1.0
        granted = self._granted.get(key, 0)
        return gauge.used / granted if granted >= 10 and gauge.used else cost_of(key, gauge.unit)


def _first_look(bucket: BucketStatistics, granted: int, now_ns: int) -> Gauge:
    """
    A bucket that came into sight: full before the calls that are out, as far as we know.

    One that was learnt of refusals never was.
    """
    limit = float(bucket.limit)
    used = limit - bucket.level if granted and bucket.source != _INFERRED else 0.0
    return Gauge(
        unit=bucket.unit,
        limit=bucket.limit,
        window_s=bucket.window_s,
        source=bucket.source,
        level=bucket.level,
        at_ns=now_ns,
        offered=bucket.level + max(0.0, used),
        used=max(0.0, used),
    )
