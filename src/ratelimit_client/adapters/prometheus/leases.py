"""
What the store of a shared budget does for its limiters.

Law of this file: a limiter without a store has no series here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from ...runtime.keeping import LATENCY_S, Keeping
from ...runtime.limiter import Limiter
from .meter import cumulative

_PREFIX = "ratelimit_client_shared_budget_"
_LABELS = ("client", "op")
_OP = "renew"

LEASE = "lease"
"""The source of a bucket that shows what is leased."""


def shared_families(limiters: Iterable[Limiter]) -> Iterator[Metric]:
    """Errors, latencies, and whether the store is lost at present; of limiters of one name together."""
    by_name: dict[str, list[Keeping]] = {}
    for limiter in list(limiters):
        if limiter.sharing is not None:
            by_name.setdefault(limiter.name, []).append(limiter.sharing)
    if not by_name:
        return
    errors = CounterMetricFamily(_PREFIX + "errors", "Questions that the store did not answer.", labels=_LABELS)
    lost = GaugeMetricFamily(_PREFIX + "fallback", "Limiters that go on without their store.", labels=_LABELS)
    latency = HistogramMetricFamily(_PREFIX + "latency_seconds", "How long the store took to answer.", labels=_LABELS)
    for name, several in by_name.items():
        labels = (name, _OP)
        errors.add_metric(labels, sum(each.errors for each in several))
        lost.add_metric(labels, sum(each.lost for each in several))
        counts = [sum(column) for column in zip(*(each.latencies for each in several), strict=True)]
        latency.add_metric(labels, cumulative(LATENCY_S, counts), sum(each.total_s for each in several))
    yield from (errors, lost, latency)
