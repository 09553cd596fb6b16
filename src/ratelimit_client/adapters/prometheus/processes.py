"""
Several processes that serve together and are scraped as one, such as the workers of gunicorn.

    PROMETHEUS_MULTIPROC_DIR=/run/metrics gunicorn ...

Law of this file: what a process counted is written down, for whichever of them is asked. Its
files are those of prometheus_client, and so is what makes one page of them.

Theory. Whoever is scraped knows nothing of the others, so a collector that is asked at a scrape
shows one process of many. Instruments that write each change into a file are what
prometheus_client has for this; they take ten times as long as an addition, and none has a place
for numbers that are looked up. So here they are not told of calls: once a second while calls
come and go, and seldom while none do, they are told what the collector would have shown. Where
that takes long it is done more seldom, so that it takes a hundredth of the time at most.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import math
import os
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from ...core.events import Event, Kind
from ...runtime.limiter import Limiter
from ...runtime.logs import fields
from .collector import Collector
from .families import FAMILIES, PREFIX, Family

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
_EACH_S = 1.0
_AT_REST = 10  # seconds, while nothing goes on but buckets that fill
_LEAST_SHARE = 100

_At = tuple[str, ...]
_log = logging.getLogger("ratelimit_client")


def are_several() -> bool:
    """Processes write down what they count: PROMETHEUS_MULTIPROC_DIR was set before this one began."""
    return bool(os.environ.get(FOLDER))


def registry_of(given: CollectorRegistry | None) -> Callable[[], CollectorRegistry]:
    """What makes the registry that a page shows; None: the default one, or what all processes wrote down."""
    if given is None and are_several():
        return _of_all
    registry = REGISTRY if given is None else given
    return lambda: registry


def _of_all() -> CollectorRegistry:
    exporter().write()  # of this one what is true now
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # as prometheus-client has it
    return registry


class Exporter:
    """
    An instrument of limiters that writes down what a collector shows of them.

    Args:
        collector: is asked once a second while calls come and go.
    """

    kinds = frozenset({Kind.RELEASED})

    def __init__(self, collector: Collector) -> None:
        self.collector = collector
        self._limiters: weakref.WeakSet[Limiter] = weakref.WeakSet()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._seen: tuple[int, ...] = ()
        self._quiet = 0
        self._complained = False
        self._instruments: dict[str, Any] = {}
        self._written: dict[tuple[str, _At], float] = {}

    def watch(self, what: Any) -> None:
        """Write down what a limiter, or a client of one, does from now on; a second time changes nothing."""
        limiter = what if isinstance(what, Limiter) else what.limiter
        self.collector.watch(what)
        if limiter not in self._limiters:
            self._limiters.add(limiter)
            limiter.add_instrument(self)
        with contextlib.suppress(RuntimeError):  # none runs here yet: the first call brings one
            self._keep_time(asyncio.get_running_loop())

    def on_event(self, event: Event) -> None:
        """A call has ended, on the loop where there may be more."""
        self._keep_time(asyncio.get_running_loop())

    def gauge(self, name: str, labels: Mapping[str, str], read: Callable[[], float]) -> None:
        """The collector looks for itself."""

    def _keep_time(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop:
            if self._timer is not None:
                self._timer.cancel()
            self._loop, self._timer = loop, loop.call_later(_EACH_S, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        wait_s = _EACH_S
        limiters = list(self._limiters)
        seen = tuple(number for each in limiters for number in (each.counts.turns, each.queued, each.in_flight))
        self._quiet = 0 if seen != self._seen or any(each.queued for each in limiters) else self._quiet + 1
        self._seen = seen
        if self._quiet % _AT_REST == 0:
            began_s = time.perf_counter()
            self.try_to_write()
            wait_s = max(wait_s, _LEAST_SHARE * (time.perf_counter() - began_s))
        self._timer = loop.call_later(wait_s, self._tick, loop)

    def begin_again(self) -> None:
        """In a forked child: nothing was counted, and the parent's loop is not ours."""
        self.collector.begin_again()
        self._written.clear()
        self._timer = self._loop = None

    def try_to_write(self) -> None:
        """Write; that a folder is full or gone is told once, and is no error of a call."""
        try:
            self.write()
        except (OSError, ValueError):
            if not self._complained:
                self._complained = True
                said = "no metrics can be written into %s; not reported again"
                _log.warning(said, FOLDER, exc_info=True, extra=fields("metrics_failed"))

    def write(self) -> None:
        """What is true now."""
        gauges: dict[tuple[str, _At], float] = {}
        for metric in self.collector.collect():
            family = FAMILIES[metric.name.removeprefix(PREFIX)]
            if family.kind == "histogram":
                self._write_histogram(family, metric)
            elif family.kind == "counter":
                for sample in metric.samples:
                    at = _place(family, sample.labels)
                    if more := self._since(family.name, at, sample.value):
                        self._of(family).labels(*at).inc(more)
            else:
                for sample in metric.samples:
                    gauges[family.name, _place(family, sample.labels)] = sample.value
        self._write_gauges(gauges)

    def _write_gauges(self, gauges: dict[tuple[str, _At], float]) -> None:
        gone = [at for at in self._written if FAMILIES[at[0]].kind in ("gauge", "info") and at not in gauges]
        for name, labels in gone:
            # A series cannot be taken back from a file: a sum without it, or no number.
            family = FAMILIES[name]
            self._of(family).labels(*labels).set(math.nan if family.several == "livemostrecent" else 0.0)
            del self._written[name, labels]
        for (name, labels), value in gauges.items():
            self._of(FAMILIES[name]).labels(*labels).set(value)
            self._written[name, labels] = value

    def _write_histogram(self, family: Family, metric: Metric) -> None:
        before: dict[_At, float] = {}
        places: dict[_At, int] = {}
        for sample in metric.samples:
            at = _place(family, sample.labels)
            if sample.name.endswith("_bucket"):
                place = places.get(at, 0)
                alone = sample.value - before.get(at, 0.0)  # without those of smaller bounds
                before[at], places[at] = sample.value, place + 1
                if more := self._since(family.name, (*at, str(place)), alone):
                    self._of(family).labels(*at)._buckets[place].inc(more)
            elif sample.name.endswith("_sum") and (more := self._since(family.name, (*at, "sum"), sample.value)):
                self._of(family).labels(*at)._sum.inc(more)

    def _since(self, name: str, at: _At, value: float) -> float:
        """What came since the last time."""
        more = value - self._written.get((name, at), 0.0)
        self._written[name, at] = value
        return max(0.0, more)

    def _of(self, family: Family) -> Any:
        instrument = self._instruments.get(family.name)
        if instrument is None:
            instrument = self._instruments[family.name] = _instrument(family)
        return instrument


def _place(family: Family, labels: Mapping[str, str]) -> _At:
    return tuple(labels[label] for label in family.labels)


def _instrument(family: Family) -> Counter | Gauge | Histogram:
    # In no registry: the page of all processes is made of their files.
    name, text, labels = PREFIX + family.name, family.help, family.labels
    if family.kind == "counter":
        return Counter(name, text, labels, registry=None)
    if family.kind == "histogram":
        return Histogram(name, text, labels, registry=None, buckets=family.bounds)
    if family.kind == "info":
        return Gauge(f"{name}_info", text, labels, registry=None, multiprocess_mode="livemax")
    return Gauge(name, text, labels, registry=None, multiprocess_mode=family.several)


_exporters: dict[str, Exporter] = {}


def exporter() -> Exporter:
    """The one of this process; made when it is first asked for. At the end of the process it writes once more."""
    found = _exporters.get(FOLDER)
    if found is None:
        found = _exporters[FOLDER] = Exporter(Collector(None))
        atexit.register(found.try_to_write)
    return found


def _after_fork() -> None:
    for each in _exporters.values():
        each.begin_again()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
