"""
What limiters and clients know, for Prometheus.

Law of this file: nothing is computed until somebody scrapes. One collector stands
in each registry, however many limiters there are, and it keeps none of them alive.

Theory. Two limiters of one name show one set of series: counts are added, and so
are queues; of other gauges the last one is shown. Counts are kept by name, so they
go on when a limiter is forgotten and another of its name is made. A family is
written for a model once it has a value.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, Self

from prometheus_client import CollectorRegistry
from prometheus_client.core import InfoMetricFamily
from prometheus_client.metrics_core import Metric

from ... import __version__
from ...core.counts import PPM, Amounts, Counts, Names, as_label
from ...core.scopes import plain
from ...core.units import NS
from ...runtime.limiter import Limiter
from ...runtime.logs import fields
from .exemplars import Marks, counted, of_request
from .families import FAMILIES, PREFIX
from .gauges import Gauges
from .leases import LEASE, shared_families
from .meter import Kept
from .sums import Spread, Sums

_REQUESTS = "request_duration_seconds"
# attempts_total knows three kinds of no answer.
_CODES = {"timeout": "timeout", "connection": "connection", "tls": "connection"}
_log = logging.getLogger("ratelimit_client")

_Told = Callable[[], float]


class Counted(Protocol):
    """What a client keeps of its calls; see ``adapters.aiohttp.tally``."""

    outcomes: Mapping[tuple[str, str], int]
    retries: Mapping[tuple[str, str], int]
    exhausted: Mapping[str, int]
    tokens: Mapping[tuple[str, str], int]
    seconds: list[int]
    total_s: float
    first: Amounts
    marks: Any

    def merge(self, more: Self, /) -> None:
        """All that *more* counted, too."""
        ...

    def clear(self) -> None:
        """Nothing has happened."""
        ...


class Collector:
    """
    All families of one registry.

    Args:
        registry: where it registers itself; None: nowhere.
    """

    def __init__(self, registry: CollectorRegistry | None) -> None:
        self.models = Names()
        """Which keys have a label of their own."""
        self._limiters: weakref.WeakSet[Limiter] = weakref.WeakSet()
        self._counts: dict[str, Kept[Counts]] = {}
        self._tallies: dict[str, Kept[Counted]] = {}
        self._others: dict[str, dict[tuple[str, ...], _Told]] = {}
        self._progress: dict[str, Callable[[], Mapping[str, Any]]] = {}
        self._complained: set[tuple[str, ...]] = set()
        if registry is not None:
            registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering does not scrape."""
        return ()

    # -- what is shown ----------------------------------------------------------------

    def watch(self, what: Any) -> None:
        """Show *what*, a limiter or a client of one, from now on; watching twice changes nothing."""
        limiter = what if isinstance(what, Limiter) else what.limiter
        self._limiters.add(limiter)
        self._counts.setdefault(limiter.name, Kept(Counts)).add(limiter, limiter.counts)
        tally = getattr(what, "tally", None)
        if tally is not None:
            if tally.marks is None:
                tally.marks = Marks(FAMILIES[_REQUESTS].bounds)
            if (kept := self._tallies.get(limiter.name)) is None:
                kept = self._tallies[limiter.name] = Kept(type(tally))
            kept.add(what, tally)

    def gauge(self, name: str, labels: Mapping[str, str], read: _Told) -> None:
        """Show what *read* says at each scrape; the same name and labels again replace it."""
        about = FAMILIES[name]
        self._others.setdefault(name, {})[tuple(as_label(labels[label]) for label in about.labels)] = read

    def progress(self, job: str, read: Callable[[], Mapping[str, Any]]) -> None:
        """Tell what *read* knows of a job whenever somebody looks at the live page."""
        self._progress[as_label(job)] = read

    def begin_again(self) -> None:
        """In a forked child: what the parent counted is the parent's."""
        for counts in self._counts.values():
            counts.clear()
        for tallies in self._tallies.values():
            tallies.clear()

    # -- what somebody looks at ---------------------------------------------------------

    @property
    def limiters(self) -> list[Limiter]:
        """Those that live."""
        return sorted(self._limiters, key=lambda limiter: limiter.name)

    def jobs(self) -> list[dict[str, Any]]:
        """Bulk jobs: their rows by state, and what else they tell of their progress."""
        gauges = Gauges()
        self._read_others(gauges)
        rows = gauges.of("bulk_rows")
        names = sorted({job for job, _ in rows} | self._progress.keys())
        return [
            {
                "job": name,
                "rows": {state: value for (job, state), value in rows.items() if job == name},
                "progress": self._told(name),
            }
            for name in names
        ]

    def _told(self, job: str) -> dict[str, Any] | None:
        if (read := self._progress.get(job)) is None:
            return None
        try:
            return dict(read())
        except Exception:  # noqa: BLE001 - what cannot be told is no reason to tell nothing
            self._complain_once("progress", job)
            return None

    # -- a scrape ---------------------------------------------------------------------

    def collect(self) -> Iterator[Metric]:
        """Every family that has a value, for one scrape."""
        yield InfoMetricFamily(PREFIX + "build", FAMILIES["build"].help, {"version": __version__})
        yield from self.counters()
        yield from self._gauges()
        yield from self._histograms()
        yield from shared_families(self._limiters)

    def counters(self) -> Iterator[Metric]:
        """What has been counted of calls, attempts and tokens."""
        requests, retries, tokens = Sums("requests"), Sums("retries"), Sums("tokens")
        attempts, refused = Sums("attempts"), Sums("rate_limited")
        for client, all_counts in self._counts.items():
            for counts in all_counts.all():
                self._add_attempts(attempts, client, counts)
                self._add_refused(refused, client, counts)
        for client, tallies in self._tallies.items():
            for tally in tallies.all():
                requests.add(client, self._capped(tally.outcomes))
                retries.add(client, self._capped(tally.retries))
                tokens.add(client, self._capped(tally.tokens))
                refused.add(client, self._capped({(key, "quota"): n for key, n in list(tally.exhausted.items())}))
        for sums in (requests, attempts, retries, refused, tokens):
            yield from sums.family()

    def _add_attempts(self, attempts: Sums, client: str, counts: Counts) -> None:
        heard = counts.heard
        for name, row in list(counts.attempts.items()):
            model = self.models.of(name)
            for code, count in list(row.items()):
                at = (model, _code(code))
                attempts.add(client, [(at, count)])
                attempts.like(client, at, counted(of_request(heard.get((name, code)))))

    def _add_refused(self, refused: Sums, client: str, counts: Counts) -> None:
        for (name, limit), count in list(counts.refused.items()):
            at = (self.models.of(name), limit)
            refused.add(client, [(at, count)])
            refused.like(client, at, counted(of_request(counts.heard.get((name, limit)))))

    def _capped(self, counts: Mapping[tuple[str, str], int]) -> Iterator[tuple[tuple[str, str], int]]:
        return (((self.models.of(plain(key)), label), count) for (key, label), count in list(counts.items()))

    def _gauges(self) -> Iterator[Metric]:
        gauges, models = Gauges(), self.models
        for limiter in list(self._limiters):
            for key, statistics, bands in limiter.glance(models.shows):
                model = models.of(key)
                whose = (limiter.name, model)
                gauges.add_key(whose, statistics)
                for priority, band in bands.items():
                    gauges.add_band(whose, priority, band)
                if models.shows(key):  # levels of different models are no sum
                    for bucket in statistics.buckets.values():
                        if bucket.source != LEASE:  # it is filled from the others
                            gauges.add_bucket(whose, bucket)
        self._read_others(gauges)
        yield from gauges.families()

    def _read_others(self, gauges: Gauges) -> None:
        for name, reads in self._others.items():
            for at, read in list(reads.items()):
                try:
                    gauges.put(name, at, float(read()))
                except Exception:  # noqa: BLE001 - one number that cannot be read is no reason to show none
                    self._complain_once(name, *at)

    def _complain_once(self, name: str, *at: str) -> None:
        if (name, *at) not in self._complained:
            self._complained.add((name, *at))
            said = "the gauge %s%r cannot be read; not reported again"
            _log.warning(said, name, at, exc_info=True, extra=fields("gauge_failed", gauge=name))

    def _histograms(self) -> Iterator[Metric]:
        queue, held = Spread("queue_wait_seconds"), Spread("attempt_duration_seconds")
        estimates, requests = Spread("token_estimate_ratio"), Spread(_REQUESTS)
        first = Spread("time_to_first_token_seconds")
        for client, all_counts in self._counts.items():
            counts = _sum(all_counts.all(), Counts())
            waits = counts.waits.counts
            at_once = counts.turns - sum(waits)
            queue.add((client,), [waits[0] + at_once, *waits[1:]], counts.waits.total / NS)
            held.add((client,), counts.held.counts, counts.held.total / NS)
            estimates.add((client,), counts.estimates.counts, counts.estimates.total / PPM)
        for client, tallies in self._tallies.items():
            each = tallies.all()
            whole = _sum(each, type(each[0])())
            requests.add((client,), whole.seconds, whole.total_s, _examples(each))
            first.add((client,), whole.first.counts, whole.first.total / NS)
        for spread in (queue, held, requests, first, estimates):
            yield from spread.family()


def _code(code: int | str) -> str:
    if isinstance(code, int):
        return str(code) if 100 <= code <= 999 else "protocol"
    return _CODES.get(code, "protocol")


def _sum(each: Iterable[Any], into: Any) -> Any:
    for one in each:
        into.merge(one)
    return into


def _examples(tallies: Iterable[Counted]) -> list[Any]:
    """One for each bucket, of whichever tally has one."""
    found: list[Any] = []
    for tally in tallies:
        if tally.marks is not None:
            shown = tally.marks.shown
            found = [new or old for new, old in zip(shown, found or [None] * len(shown), strict=True)]
            tally.marks.scraped()
    return found
