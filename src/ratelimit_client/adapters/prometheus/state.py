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
from .history import POINTS, Column, Columns, History

_DIGITS = 6


def state_of(collector: Collector, history: History, *, now_s: float, points: int = POINTS) -> dict[str, Any]:
    """
    All that is known.

    Args:
        now_s: the date.
        points: of the history, the newest.
    """
    columns = history.columns(points)
    return {
        "version": __version__,
        "now_s": now_s,
        "clients": [_client(limiter, collector.models, columns) for limiter in collector.limiters],
        "counts": _counts(collector.counters()),
        "jobs": collector.jobs(),
        "history": {"at_s": history.times(points)},
    }


def as_json(state: Any) -> bytes:
    """In one line."""
    return json.dumps(_plain(state), separators=(",", ":"), allow_nan=False).encode()


def _plain(value: Any) -> Any:
    """Numbers that JSON has, no longer than somebody reads, and texts that are UTF-8."""
    kind = type(value)
    if kind is float:
        return round(value, _DIGITS) if math.isfinite(value) else None
    if kind is int or kind is bool or kind is Column or value is None:
        return value
    if kind is dict or isinstance(value, Mapping):
        return {_text(str(name)): _plain(each) for name, each in value.items()}
    if kind is list or kind is tuple:
        return [_plain(each) for each in value]
    return _plain(_facts(value)) if attrs.has(kind) else _text(str(value))


def _text(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _client(limiter: Limiter, models: Names, columns: Columns) -> dict[str, Any]:
    keys, others = [], {"keys": 0, "queued": 0, "in_flight": 0}
    for key, statistics, bands in limiter.glance(models.shows):
        if models.shows(key):
            keys.append(_key(limiter, key, statistics, bands) | _past(models.of(key), limiter, columns))
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


def _past(model: str, limiter: Limiter, columns: Columns) -> dict[str, Any]:
    admitted, refused = columns[limiter.name, model]
    return {"model": model, "history": {"admitted": admitted, "refused": refused}}


def _key(
    limiter: Limiter, key: str, statistics: KeyStatistics, bands: Mapping[int, BandStatistics]
) -> dict[str, Any]:
    waiting = sum(band.tokens for band in bands.values())
    # A call such as those that wait, and behind them.
    tokens = max(1, waiting // statistics.queued) if waiting and statistics.queued else None
    first = limiter.explain_first(key)
    return {
        **_facts(statistics),
        "buckets": [_bucket(name, bucket) for name, bucket in statistics.buckets.items()],
        "queue": [{"priority": priority, **_facts(bands[priority])} for priority in sorted(bands)],
        "explanation": _facts(limiter.explain(key, tokens=tokens)),
        "first": None if first is None else _facts(first),
    }


def _facts(facts: attrs.AttrsInstance) -> dict[str, Any]:
    return attrs.asdict(facts, recurse=False)


def _bucket(name: str, bucket: BucketStatistics) -> dict[str, Any]:
    return {"name": as_label(name), **_facts(bucket), "unit": as_label(bucket.unit)}


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
