"""How a run went over time."""

from __future__ import annotations

from typing import Any

import attrs

from ratelimit_client.bulk.meter import Meter
from ratelimit_client.bulk.record import GAUGES_MOST, Record
from ratelimit_client.core.statistics import BucketStatistics, KeyStatistics, LimiterStatistics, Mode
from ratelimit_client.core.units import NS


def key(level: int | None = None, **facts: Any) -> KeyStatistics:
    buckets = {} if level is None else {"requests": bucket(level)}
    known: dict[str, Any] = {"queued": 0, "in_flight": 0, "granted": 0, "refused": 0} | facts
    return KeyStatistics(
        oldest_wait_s=0.0, window=4, buckets=buckets, estimate_ratio=None, mode=Mode.STEADY, **known
    )


def bucket(level: int, **facts: Any) -> BucketStatistics:
    known: dict[str, Any] = {"foreign_ratio": 0.0, "series": "alive"} | facts
    return BucketStatistics(
        unit="requests",
        window_s=60.0,
        limit=600,
        level=level,
        reserve=0.0,
        server_remaining=None,
        source="header",
        gate_s=0.0,
        learnt_burst=None,
        **known,
    )


def record(*looks: tuple[float, dict[str, KeyStatistics]]) -> tuple[Record, Meter]:
    """A run that was looked at so many seconds after it began."""
    found, meter = Record(), Meter()
    found.begin(now_ns=0)
    for at_s, keys in looks:
        statistics = LimiterStatistics("x", keys)
        meter.see(statistics, now_ns=int(at_s * NS))
        found.see(statistics, meter, now_ns=int(at_s * NS))
    return found, meter


def test_calls_are_counted_and_what_waits_is_an_average() -> None:
    """
    Ten waited for the first second and four for the next two: six on average.
    """
    found, _ = record(
        (1.0, {"m": key(queued=10, in_flight=1, granted=5, refused=1)}),
        (3.0, {"m": key(queued=2, in_flight=3, granted=9, refused=1), "n": key(queued=2, granted=4)}),
    )

    [whole] = found.flow.spans(1)
    assert (whole.seconds, whole.values) == (3.0, (13, 1, 18.0, 7.0))
    assert (found.most_queued, found.most_in_flight) == (10, 3)


def test_a_limit_that_comes_into_sight_was_full_at_the_look_before() -> None:
    """
    What is missing when it is first seen was used since then.
    """
    found, meter = record((1.0, {"m": key()}), (2.0, {"m": key(500, granted=100)}), (3.0, {"m": key(400, granted=210)}))

    points = found.gauges["m", "requests"].points
    assert [(point.at_ns // NS, *point.values) for point in points] == [(1, 0, 600), (2, 100, 600), (3, 210, 610)]
    assert points[-1].values == (meter.gauges["m", "requests"].used, meter.gauges["m", "requests"].offered)


def test_so_many_limits_are_followed_and_no_more() -> None:
    """
    Names of models come from outside.
    """
    found, meter = record((1.0, {f"m{number}": key(600) for number in range(100)}))

    assert (len(found.gauges), len(meter.gauges)) == (GAUGES_MOST, 100)


def others(seconds: int, *, limit_ratio: float = 0.25, **facts: Any) -> float | None:
    meter = Meter()
    for second in range(seconds + 1):
        seen = {"requests": bucket(600, foreign_ratio=limit_ratio, **facts)}
        statistics = LimiterStatistics("x", {"m": attrs.evolve(key(), buckets=seen)})
        meter.see(statistics, now_ns=second * NS)
    return meter.gauges["m", "requests"].others_share


def test_what_others_take_is_known_after_ten_seconds() -> None:
    """
    On average over the time in which it could be seen.
    """
    assert others(9) is None
    assert others(10) == 0.25
    assert others(60) == 0.25
    assert others(60, limit_ratio=0.0) == 0.0


def test_what_others_take_is_not_known_where_answers_do_not_show_it() -> None:
    """
    Then it is None, and not 0.
    """
    assert others(60, series="none") is None
    assert others(60, series="asleep") is None
