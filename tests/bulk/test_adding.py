"""What several limiters know, as if they were one."""

from __future__ import annotations

import attrs

from ratelimit_client.bulk.engines.adding import added, only_counts
from ratelimit_client.core.statistics import BucketStatistics, KeyStatistics, LimiterStatistics, Mode


def bucket(**more: object) -> BucketStatistics:
    usual = BucketStatistics("requests", 60.0, 100, 40, 1.0, 50, "config", 0.0, None, 0.0, "alive")
    return attrs.evolve(usual, **more)  # type: ignore[arg-type]


def look(mode: Mode = Mode.STEADY, queued: int = 1, **of_bucket: object) -> LimiterStatistics:
    buckets = {"requests": bucket(**of_bucket)}
    key = KeyStatistics(queued, 2.0, 3, 10, buckets, 7, 1, 1.5, mode)
    return LimiterStatistics("bulk", {"m": key}, {"odd": 2})


def key_of(*looks: LimiterStatistics, in_parts: bool = True) -> KeyStatistics:
    return added(looks, in_parts=in_parts).keys["m"]


def test_what_happened_and_what_waits_is_added() -> None:
    """
    Counts and places of all; the longest wait is the longest of any.
    """
    whole = key_of(look(), look())

    assert (whole.queued, whole.in_flight, whole.window, whole.granted, whole.refused) == (2, 6, 20, 14, 2)
    assert (whole.oldest_wait_s, whole.estimate_ratio) == (2.0, 1.5)
    assert added([look(), look()], in_parts=True).unread == {"odd": 4}


def test_parts_of_a_limit_are_added_and_a_whole_is_seen_once() -> None:
    """
    A typed limit that is divided adds up; of one that all see the lowest level counts.
    """
    parts, seen = (look(level=40), look(level=10)), (look(source="header", level=40), look(source="header", level=10))

    assert [key_of(*parts).buckets["requests"].limit, key_of(*parts).buckets["requests"].level] == [200, 50]
    for whole in (key_of(*seen), key_of(*parts, in_parts=False)):
        assert [whole.buckets["requests"].limit, whole.buckets["requests"].level] == [100, 10]
    assert key_of(look(server_remaining=None), look(server_remaining=9)).buckets["requests"].server_remaining == 9


def test_the_server_is_away_when_all_find_it_so() -> None:
    """
    One that is at work is enough to know better; who has nothing to do knows nothing.
    """
    idle = LimiterStatistics("", {"m": attrs.evolve(look().keys["m"], queued=0, in_flight=0)})

    assert key_of(look(Mode.OUTAGE), look(Mode.OUTAGE)).mode is Mode.OUTAGE
    assert key_of(look(Mode.OUTAGE), idle).mode is Mode.OUTAGE
    assert key_of(look(Mode.OUTAGE), look(Mode.RAMP)).mode is Mode.RAMP
    assert key_of(look(Mode.STEADY), look(Mode.SHARING)).mode is Mode.SHARING


def test_who_is_gone_counts_for_what_it_sent() -> None:
    """
    Its queue, its calls and its level are nobody's any more.
    """
    whole = key_of(look(), only_counts(look()))

    assert (whole.granted, whole.refused, whole.queued, whole.in_flight) == (14, 2, 1, 3)
    assert whole.buckets["requests"].limit == 100
    assert added([], in_parts=True).keys == {}
