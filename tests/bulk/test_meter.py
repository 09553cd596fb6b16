"""How much of each limit a run uses, and how long the rest will take."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from ratelimit_client.bulk.meter import Meter
from ratelimit_client.core.statistics import BucketStatistics, KeyStatistics, LimiterStatistics, Mode
from ratelimit_client.core.units import NS


def bucket(level: int, limit: int = 600, unit: str = "requests", window_s: float = 60.0) -> BucketStatistics:
    return BucketStatistics(unit, window_s, limit, level, 0.0, None, "header", 0.0, None, 0.0, "alive")


def seen(granted: int = 0, **buckets: BucketStatistics) -> LimiterStatistics:
    facts: dict[str, Any] = {"queued": 0, "oldest_wait_s": 0.0, "in_flight": 0, "window": 4, "refused": 0}
    return LimiterStatistics(
        "x", {"m": KeyStatistics(buckets=buckets, granted=granted, estimate_ratio=None, mode=Mode.STEADY, **facts)}
    )


@pytest.mark.parametrize(
    ("levels", "used"),
    [
        ([600, 600, 600, 600], 0),
        ([600, 300, 100, 0], 800),
        ([600, 0, 0, 0], 800),
        ([600, 300, 300, 300], 500),
        ([0, 100, 200, 300], 0),
        ([100, -50, -50, 0], 400),
    ],
)
def test_used_is_what_is_missing_of_what_flowed_in(levels: list[int], used: int) -> None:
    """
    600 a minute, looked at every ten seconds: 100 more each time, but for what ran over.
    """
    meter = Meter()
    for number, level in enumerate(levels):
        meter.see(seen(requests=bucket(level)), now_ns=number * 10 * NS)

    gauge = meter.gauges["m", "requests"]
    assert (gauge.offered, gauge.used) == (levels[0] + 300, used)
    assert gauge.share == used / (levels[0] + 300)


def test_a_bucket_that_comes_into_sight_late_was_full_before() -> None:
    """
    What is missing at the first look has been used.
    """
    meter = Meter()
    meter.see(seen(granted=150, requests=bucket(450)), now_ns=0)

    assert meter.utilisation() == (0.25, "m", "requests")


def test_no_limit_no_share() -> None:
    """
    Nothing is known before the first answer.
    """
    meter = Meter()
    meter.see(seen(), now_ns=0)

    assert meter.utilisation() is None
    assert meter.binding({"m": 10.0}, lambda key, unit: 1.0) is None


def test_the_limit_that_takes_longest_binds() -> None:
    """
    100 rows left: 10 s by requests at 10 a second, 50 s by tokens at 100 a second and 50 tokens a row.
    """
    meter = Meter()
    buckets = {"requests": bucket(0), "tokens": bucket(0, limit=6000, unit="tokens")}
    meter.see(seen(granted=100, **buckets), now_ns=0)
    meter.gauges["m", "tokens"].used = 5000.0

    binding = meter.binding({"m": 100.0}, lambda key, unit: 0.0)
    assert binding is not None
    assert (binding.key, binding.name, binding.remaining_s) == ("m", "tokens", 50.0)

    binding = meter.binding({"m": 0.0}, lambda key, unit: 0.0)
    assert binding is not None
    assert binding.remaining_s == 0.0


def test_of_a_rate_that_was_learnt_the_calls_are_used() -> None:
    """
    It begins empty and runs over at once, so its level tells nothing: 25 calls of the 40 that ten seconds allow.
    """
    meter = Meter()
    for second, granted in ((0, 500), (5, 510), (10, 525)):
        learnt = attrs.evolve(bucket(0, limit=4000, unit="learnt rate", window_s=1000.0), source="learned")
        meter.see(seen(granted=granted, **{"learnt rate": learnt}), now_ns=second * NS)

    assert meter.utilisation() == (0.625, "m", "learnt rate")
    binding = meter.binding({"m": 100.0}, lambda key, unit: 0.0)
    assert binding is not None
    assert binding.remaining_s == 25.0
