"""
How a run went over time: what was let out, what waited, how much of each limit was used.

Law of this file: it looks when the job looks at its limits, once a second, so a row pays nothing
for it; and it takes the same room for ten rows and for ten million.
"""

from __future__ import annotations

from typing import Final

import attrs

from ..core.statistics import LimiterStatistics
from ..core.units import to_s
from .meter import Meter
from .series import Series

GAUGES_MOST: Final = 32
"""Limits whose use over time is kept: the first that came into sight."""


@attrs.define(eq=False)
class Record:
    """
    Args:
        flow: calls let out, refusals, and the seconds that calls spent waiting and under way.
        gauges: by (key, name of the limit): units used, and units there were.
        most_queued, most_in_flight: of all looks.
    """

    flow: Series = attrs.field(factory=Series)
    gauges: dict[tuple[str, str], Series] = attrs.field(factory=dict)
    most_queued: int = 0
    most_in_flight: int = 0
    _queued_s: float = 0.0
    _in_flight_s: float = 0.0
    _seen_ns: int = 0

    def begin(self, *, now_ns: int) -> None:
        """Nothing has happened yet."""
        self._seen_ns = now_ns
        self.flow.see((0, 0, 0.0, 0.0), now_ns=now_ns)

    def see(self, statistics: LimiterStatistics, meter: Meter, *, now_ns: int) -> None:
        """Take a look; *meter* has taken it already."""
        passed_s = to_s(now_ns - self._seen_ns)
        queued, in_flight = statistics.queued, statistics.in_flight
        self._queued_s += queued * passed_s
        self._in_flight_s += in_flight * passed_s
        self.most_queued = max(self.most_queued, queued)
        self.most_in_flight = max(self.most_in_flight, in_flight)
        keys = statistics.keys.values()
        granted, refused = sum(key.granted for key in keys), sum(key.refused for key in keys)
        self.flow.see((granted, refused, self._queued_s, self._in_flight_s), now_ns=now_ns)
        for name, gauge in meter.gauges.items():
            series = self.gauges.get(name)
            if series is None:
                if len(self.gauges) >= GAUGES_MOST:
                    continue
                series = self.gauges[name] = Series()
                # It came into sight since the last look, and was full then.
                series.see((0.0, max(0.0, gauge.offered)), now_ns=self._seen_ns)
            series.see((gauge.used, gauge.offered), now_ns=now_ns)
        self._seen_ns = now_ns
