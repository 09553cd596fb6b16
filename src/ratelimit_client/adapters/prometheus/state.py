"""
What limiters and clients know, as one JSON object: ``/state.json``, and each event of ``/events``.

Law of this file: it shows what a scrape shows, from the same place, and of each key besides it
why a call would wait. It is made when somebody looks.

Theory. Names are what rows and servers call things, so they are cut and made UTF-8 as labels
are, and as many have an entry of their own as have a label; what is under way for all others is
one sum. A number that is none is null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from prometheus_client.metrics_core import Metric

from ... import __version__
from ...core.counts import Names, as_label
from ...core.statistics import BandStatistics, BucketStatistics, KeyStatistics
from ...runtime.limiter import Limiter
from .collector import Collector
from .families import FAMILIES, PREFIX
from .history import POINTS, History

_DIGITS = 6


def state_of(collector: Collector, history: History, *, now_s: float, points: int = POINTS) -> dict[str, Any]:
    """
    All that is known.

    Args:
        now_s: the date.
        points: of the history, the newest.
    """
    return {
        "version": __version__,
        "now_s": now_s,
        "clients": [_client(limiter, collector.models, history, points) for limiter in collector.limiters],
        "counts": _counts(collector.counters()),
        "jobs": collector.jobs(),
        "history": {"at_s": history.times(points)},
    }


def as_json(state: Any) -> bytes:
    """In one line."""
    return json.dumps(_plain(state), separators=(",", ":"), allow_nan=False).encode()


def _plain(value: Any) -> Any:
    """Numbers that JSON has, no longer than somebody reads, and texts that are UTF-8."""
    if isinstance(value, float):
        return round(value, _DIGITS) if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_plain(str(name)): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _client(limiter: Limiter, models: Names, history: History, points: int) -> dict[str, Any]:
    keys, others = [], {"keys": 0, "queued": 0, "in_flight": 0}
    for key, statistics, bands in limiter.glance(models.shows):
        if models.shows(key):
            keys.append(_key(limiter, key, models.of(key), statistics, bands, history, points))
        else:
            others["keys"] += 1
            others["queued"] += statistics.queued
            others["in_flight"] += statistics.in_flight
    return {
        "client": limiter.name,
        "queued": limiter.queued,
        "in_flight": limiter.in_flight,
        "max_in_flight": limiter.max_in_flight,
        "next_in_s": limiter.next_in_s,
        "keys": keys,
        "others": others,
    }


def _key(
    limiter: Limiter,
    key: str,
    model: str,
    statistics: KeyStatistics,
    bands: Mapping[int, BandStatistics],
    history: History,
    points: int,
) -> dict[str, Any]:
    admitted, refused = history.columns((limiter.name, model), points)
    waiting = sum(band.tokens for band in bands.values())
    # A call such as those that wait, and behind them.
    tokens = max(1, waiting // statistics.queued) if waiting and statistics.queued else None
    first = limiter.explain_first(key)
    shown = attrs.asdict(statistics, filter=lambda field, _: field.name != "buckets")
    return {
        "model": model,
        **shown,
        "buckets": [_bucket(name, bucket) for name, bucket in statistics.buckets.items()],
        "queue": [{"priority": priority, **attrs.asdict(bands[priority])} for priority in sorted(bands)],
        "explanation": attrs.asdict(limiter.explain(key, tokens=tokens)),
        "first": None if first is None else attrs.asdict(first),
        "history": {"admitted": admitted, "refused": refused},
    }


def _bucket(name: str, bucket: BucketStatistics) -> dict[str, Any]:
    return {"name": as_label(name), **attrs.asdict(bucket), "unit": as_label(bucket.unit)}


def _counts(metrics: Iterable[Metric]) -> list[dict[str, Any]]:
    """The counters of a scrape, by client and model."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for metric in metrics:
        family = FAMILIES[metric.name.removeprefix(PREFIX)]
        for sample in metric.samples:
            client, model, what = (sample.labels[label] for label in family.labels)
            row = found.setdefault((client, model), {"client": client, "model": model})
            row.setdefault(family.name, {})[what] = int(sample.value)
    return [found[at] for at in sorted(found)]
