"""
How several limiters, keys and buckets become one gauge.

Law of this file: what is counted adds up, what is waited for is the longest wait, and levels of
different budgets are no sum.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from ...core.counts import as_label
from ...core.statistics import BandStatistics, BucketStatistics, KeyStatistics
from .families import FAMILIES, PREFIX

Whose = tuple[str, str]
"""(client, model)"""


class Gauges:
    """The gauges of one scrape."""

    def __init__(self) -> None:
        self._values: dict[str, dict[tuple[str, ...], float]] = {
            name: {} for name, family in FAMILIES.items() if family.kind == "gauge"
        }

    def add_key(self, whose: Whose, key: KeyStatistics) -> None:
        """How busy it is."""
        self._sum("in_flight", whose, key.in_flight)
        self._sum("concurrency_limit", whose, key.window)
        self.most("cooldown_seconds", whose, max([key.gate_s, *(bucket.gate_s for bucket in key.buckets.values())]))

    def add_band(self, whose: Whose, priority: int, band: BandStatistics) -> None:
        """What waits in it at one priority."""
        at = (*whose, str(priority))
        self._sum("queue_depth", at, band.queued)
        self._sum("queued_tokens", at, band.tokens)
        self.most("queue_oldest_wait_seconds", at, band.oldest_wait_s)

    def add_bucket(self, whose: Whose, bucket: BucketStatistics) -> None:
        """What is left of one of its limits."""
        values, unit = self._values, as_label(bucket.unit)
        source = "learned" if bucket.source == "prior" else bucket.source  # learnt by an earlier run
        values["limit"][*whose, unit, f"{bucket.window_s:g}", source] = bucket.limit
        # Of several windows of one unit the one with the least left is the one that counts.
        at = (*whose, unit)
        if bucket.level <= values["available"].get(at, float("inf")):
            values["available"][at] = bucket.level
            values["foreign_usage_ratio"][at] = bucket.foreign_ratio
            if bucket.server_remaining is not None:
                values["server_remaining"][at] = bucket.server_remaining

    def most(self, name: str, at: tuple[str, ...], value: float) -> None:
        """The largest of those at the same place."""
        self._values[name][at] = max(self._values[name].get(at, 0), value)

    def put(self, name: str, at: tuple[str, ...], value: float) -> None:
        """What somebody else knows."""
        self._values[name][at] = value

    def of(self, name: str) -> dict[tuple[str, ...], float]:
        """All of one name, by the values of their labels."""
        return dict(self._values[name])

    def _sum(self, name: str, at: tuple[str, ...], value: float) -> None:
        self._values[name][at] = self._values[name].get(at, 0) + value

    def families(self) -> Iterator[Metric]:
        """Those that have a value."""
        for name, values in self._values.items():
            about = FAMILIES[name]
            family = GaugeMetricFamily(PREFIX + name, about.help, labels=about.labels)
            for labels, value in values.items():
                family.add_metric(labels, value)
            if values:
                yield family
