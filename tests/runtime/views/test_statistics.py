"""A limiter in one line."""

from __future__ import annotations

import pytest

from ratelimit_client.core.statistics import BucketStatistics, KeyStatistics, LimiterStatistics, Mode
from ratelimit_client.runtime.views.statistics import describe, short


def bucket(unit: str, level: int, limit: int) -> BucketStatistics:
    return BucketStatistics(unit, 60.0, limit, level, 0.0, None, "config", 0.0, None, 0.0, "none")


def key(queued: int, in_flight: int, *buckets: BucketStatistics) -> KeyStatistics:
    return KeyStatistics(queued, 0.0, in_flight, 4, {each.unit: each for each in buckets}, 1, 0, None, Mode.RAMP)


def test_the_line_of_one_key() -> None:
    """Levels, queue, flight, and when the next goes."""
    busy = key(12, 8, bucket("requests", 482, 500), bucket("tokens", 31_000, 200_000))
    line = describe(LimiterStatistics("openai", {"gpt": busy}), next_in_s=0.42)

    assert line == "<Limiter openai: 482/500 requests, 31k/200k tokens, 12 queued, 8 in flight, next in 0.4 s>"


def test_of_several_keys_the_busiest_is_shown() -> None:
    """With the number of keys, the totals, and the state."""
    keys = {"a": key(1, 0, bucket("requests", 1, 2)), "b": key(3, 2, bucket("requests", 5, 9))}

    assert (
        describe(LimiterStatistics("n", keys), next_in_s=None, state="closed")
        == "<Limiter n: 5/9 requests, 2 keys, 4 queued, 2 in flight, closed>"
    )


def test_nothing_known_yet() -> None:
    """No keys, no levels."""
    assert describe(LimiterStatistics("n", {}), next_in_s=None) == "<Limiter n: 0 queued, 0 in flight>"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (-3, "-3"),
        (950, "950"),
        (1500, "1.5k"),
        (1234, "1234"),
        (31_000, "31k"),
        (31_456, "31.5k"),
        (200_000, "200k"),
        (1_500_000, "1.5M"),
        (2_000_000_000, "2G"),
        (-31_000, "-31k"),
    ],
)
def test_numbers_for_a_glance(number: int, text: str) -> None:
    """Three digits are enough."""
    assert short(number) == text
