"""
What limiters and clients know, for Prometheus.

    from ratelimit_client.adapters.prometheus import watch

    watch(client)                          # or watch(limiter); the default registry

Law of this file: nothing is computed until somebody scrapes. One collector stands
in each registry, however many limiters there are, and it keeps none of them alive.

Theory. Two limiters of one name show one set of series: counts are added, and so
are queues; of other gauges the last one is shown. Counts are kept by name, so they
go on when a limiter is forgotten and another of its name is made. A family is
written for a model once it has a value.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric

from ... import __version__
from ...core.statistics import BandStatistics, BucketStatistics, KeyStatistics
from ...runtime.limiter import Limiter
from .leases import LEASE, shared_families
from .meter import ATTEMPT_S, Amounts, Meter, Names, as_label, cumulative

_PREFIX = "ratelimit_client_"
_MOST_MODELS = 32
_WHOLE = ("client", "model")

_HELP = {
    "requests": "Calls by how they ended, one for each logical call.",
    "attempts": "Requests sent, by status or by what came instead of an answer.",
    "retries": "Attempts after the first, by what made them necessary.",
    "rate_limited": "Refusals by the limit they name.",
    "tokens": "Tokens used, as answers say.",
    "queue_depth": "Calls waiting for their turn.",
    "queued_tokens": "Tokens that the waiting calls cost together, as we estimate.",
    "queue_oldest_wait_seconds": "How long the longest-waiting call has waited.",
    "in_flight": "Calls under way.",
    "concurrency_limit": "Calls that may be under way.",
    "limit": "Units in a full window, as we believe.",
    "available": "Units left, as we believe.",
    "server_remaining": "Units left, as the server said last.",
    "foreign_usage_ratio": "Share of the refill that others take.",
    "cooldown_seconds": "Seconds until the wait a server asked for is over.",
    "queue_wait_seconds": "Time in the queue for each turn.",
    "attempt_duration_seconds": "Time an attempt held its place, the body included.",
    "token_estimate_ratio": "Tokens charged over tokens estimated, where answers show what was charged.",
    "request_duration_seconds": "Time of a logical call, queue and retries included.",
    "bulk_rows": "Rows of a bulk job by what has become of them.",
    "bulk_last_progress_timestamp_seconds": "When a bulk job last finished a row.",
}


class Counted(Protocol):
    """What a client keeps of its calls; see ``adapters.aiohttp.tally``."""

    outcomes: Mapping[tuple[str, str], int]
    retries: Mapping[tuple[str, str], int]
    exhausted: Mapping[str, int]
    tokens: Mapping[tuple[str, str], int]
    seconds: list[int]
    total_s: float


class Collector:
    """
    All families of one registry.

    Args:
        registry: where it registers itself.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._models = Names(_MOST_MODELS)
        self._meters: dict[str, Meter] = {}
        self._limiters: weakref.WeakSet[Limiter] = weakref.WeakSet()
        self._tallies: dict[str, list[Counted]] = {}
        self._others: dict[str, dict[tuple[tuple[str, str], ...], Callable[[], float]]] = {}
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering does not scrape."""
        return ()

    def watch(self, what: Any) -> None:
        """Show *what*, a limiter or a client of one, from now on; watching twice changes nothing."""
        limiter = what if isinstance(what, Limiter) else what.limiter
        if limiter not in self._limiters:
            self._limiters.add(limiter)
            meter = self._meters.get(limiter.name)
            if meter is None:
                meter = self._meters[limiter.name] = Meter(self._models)
            limiter.add_instrument(meter)
        tally = getattr(what, "tally", None)
        if tally is not None:
            tallies = self._tallies.setdefault(limiter.name, [])
            if tally not in tallies:
                tallies.append(tally)

    def gauge(self, name: str, labels: Mapping[str, str], read: Callable[[], float]) -> None:
        """Show what *read* says at each scrape; the same name and labels again replace it."""
        self._others.setdefault(name, {})[tuple(labels.items())] = read

    def collect(self) -> Iterator[Metric]:
        """Every family that has a value, for one scrape."""
        yield InfoMetricFamily(_PREFIX + "build", "The version of the library.", {"version": __version__})
        yield from self._counters()
        yield from self._gauges()
        yield from self._histograms()
        yield from self._told()
        yield from shared_families(self._limiters)

    def _told(self) -> Iterator[Metric]:
        for name, reads in self._others.items():
            family = GaugeMetricFamily(_PREFIX + name, _HELP[name], labels=[label for label, _ in next(iter(reads))])
            for labels, read in reads.items():
                family.add_metric([as_label(value) for _, value in labels], read())
            yield family

    def _counters(self) -> Iterator[Metric]:
        requests, retries = _Sums("requests", "outcome"), _Sums("retries", "reason")
        attempts, refused = _Sums("attempts", "code"), _Sums("rate_limited", "limit")
        tokens = _Sums("tokens", "type")
        for client, meter in self._meters.items():
            attempts.add(client, meter.attempts.items())
            refused.add(client, meter.refused.items())
        for client, tallies in self._tallies.items():
            for tally in tallies:
                requests.add(client, self._capped(tally.outcomes))
                retries.add(client, self._capped(tally.retries))
                tokens.add(client, self._capped(tally.tokens))
                refused.add(client, self._capped({(key, "quota"): n for key, n in tally.exhausted.items()}))
        for sums in (requests, attempts, retries, refused, tokens):
            yield from sums.family()

    def _capped(self, counts: Mapping[tuple[str, str], int]) -> Iterator[tuple[tuple[str, str], int]]:
        return (((self._models.of(key), label), count) for (key, label), count in list(counts.items()))

    def _gauges(self) -> Iterator[Metric]:
        gauges = _Gauges()
        for limiter in list(self._limiters):
            for key, bands in limiter.waiting().items():
                for priority, band in bands.items():
                    gauges.add_band((limiter.name, self._models.of(key)), priority, band)
            for key, statistics in limiter.statistics().keys.items():
                model = self._models.of(key)
                gauges.add_key((limiter.name, model), statistics)
                if model == key:  # levels of different models are no sum
                    for bucket in statistics.buckets.values():
                        if bucket.source == LEASE:
                            continue  # it is filled from the others
                        gauges.add_bucket((limiter.name, model), bucket)
        yield from gauges.families()

    def _histograms(self) -> Iterator[Metric]:
        queue, attempt = _histogram("queue_wait_seconds"), _histogram("attempt_duration_seconds")
        estimate = _histogram("token_estimate_ratio")
        for client, meter in self._meters.items():
            for family, amounts in ((queue, meter.queued), (attempt, meter.held), (estimate, meter.estimates)):
                _add(family, client, amounts)
        request = _histogram("request_duration_seconds")
        for client, tallies in self._tallies.items():
            whole = Amounts(ATTEMPT_S)
            for tally in tallies:
                whole.counts = [a + b for a, b in zip(whole.counts, tally.seconds, strict=True)]
                whole.total += tally.total_s
            _add(request, client, whole)
        yield from (family for family in (queue, attempt, estimate, request) if family.samples)


_GAUGES: Mapping[str, tuple[str, ...]] = {
    "queue_depth": (*_WHOLE, "priority"),
    "queued_tokens": (*_WHOLE, "priority"),
    "queue_oldest_wait_seconds": (*_WHOLE, "priority"),
    "in_flight": _WHOLE,
    "concurrency_limit": _WHOLE,
    "limit": (*_WHOLE, "limit", "window", "source"),
    "available": (*_WHOLE, "limit"),
    "server_remaining": (*_WHOLE, "limit"),
    "foreign_usage_ratio": (*_WHOLE, "limit"),
    "cooldown_seconds": _WHOLE,
}


class _Sums:
    """A counter family whose series of equal labels are added."""

    def __init__(self, name: str, label: str) -> None:
        self._name = name
        self._label = label
        self._values: dict[tuple[str, ...], float] = {}

    def add(self, client: str, counts: Iterable[tuple[tuple[str, str], int]]) -> None:
        for (model, label), count in list(counts):
            at = (client, model, label)
            self._values[at] = self._values.get(at, 0) + count

    def family(self) -> Iterator[Metric]:
        family = CounterMetricFamily(_PREFIX + self._name, _HELP[self._name], labels=(*_WHOLE, self._label))
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        if self._values:
            yield family


class _Gauges:
    """The gauges of one scrape: queues add up, levels do not."""

    def __init__(self) -> None:
        self._values: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in _GAUGES}

    def add_key(self, whose: tuple[str, str], key: KeyStatistics) -> None:
        self._sum("in_flight", whose, key.in_flight)
        self._sum("concurrency_limit", whose, key.window)
        self._most("cooldown_seconds", whose, max((bucket.gate_s for bucket in key.buckets.values()), default=0.0))

    def add_band(self, whose: tuple[str, str], priority: int, band: BandStatistics) -> None:
        at = (*whose, str(priority))
        self._sum("queue_depth", at, band.queued)
        self._sum("queued_tokens", at, band.tokens)
        self._most("queue_oldest_wait_seconds", at, band.oldest_wait_s)

    def add_bucket(self, whose: tuple[str, str], bucket: BucketStatistics) -> None:
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

    def families(self) -> Iterator[Metric]:
        for name, values in self._values.items():
            family = GaugeMetricFamily(_PREFIX + name, _HELP[name], labels=_GAUGES[name])
            for labels, value in values.items():
                family.add_metric(labels, value)
            if values:
                yield family

    def _sum(self, name: str, at: tuple[str, ...], value: float) -> None:
        self._values[name][at] = self._values[name].get(at, 0) + value

    def _most(self, name: str, at: tuple[str, ...], value: float) -> None:
        self._values[name][at] = max(self._values[name].get(at, 0), value)


def _histogram(name: str) -> HistogramMetricFamily:
    return HistogramMetricFamily(_PREFIX + name, _HELP[name], labels=("client",))


def _add(family: HistogramMetricFamily, client: str, amounts: Amounts) -> None:
    if any(amounts.counts):
        family.add_metric((client,), cumulative(amounts.bounds, amounts.counts), amounts.total)


_collectors: weakref.WeakKeyDictionary[CollectorRegistry, Collector] = weakref.WeakKeyDictionary()


def watch(what: Any, registry: CollectorRegistry = REGISTRY) -> None:
    """
    Show a limiter, or a client and its limiter, in *registry*.

    Nothing listens because of this; see ``MetricsPage`` for a page of one's own.
    """
    _collector(registry).watch(what)


def gauge(
    name: str, labels: Mapping[str, str], read: Callable[[], float], registry: CollectorRegistry = REGISTRY
) -> None:
    """Show what *read* says at each scrape, such as the rows of a bulk job that are done."""
    _collector(registry).gauge(name, labels, read)


def _collector(registry: CollectorRegistry) -> Collector:
    collector = _collectors.get(registry)
    if collector is None:
        collector = _collectors[registry] = Collector(registry)
    return collector
