"""
What the store of a shared budget does for its limiters.

Law of this file: a limiter without a store has no series here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from ...runtime.keeping import Keeping
from ...runtime.limiter import Limiter
from .families import FAMILIES, PREFIX
from .sums import Spread

_ERRORS, _FALLBACK, _LATENCY = "shared_budget_errors", "shared_budget_fallback", "shared_budget_latency_seconds"
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
    errors = CounterMetricFamily(PREFIX + _ERRORS, FAMILIES[_ERRORS].help, labels=FAMILIES[_ERRORS].labels)
    lost = GaugeMetricFamily(PREFIX + _FALLBACK, FAMILIES[_FALLBACK].help, labels=FAMILIES[_FALLBACK].labels)
    latency = Spread(_LATENCY)
    for name, several in by_name.items():
        labels = (name, _OP)
        errors.add_metric(labels, sum(each.errors for each in several))
        lost.add_metric(labels, sum(each.lost for each in several))
        counts = [sum(column) for column in zip(*(each.latencies for each in several), strict=True)]
        latency.add(labels, counts, sum(each.total_s for each in several))
    yield from (errors, lost)
    yield from latency.family()
