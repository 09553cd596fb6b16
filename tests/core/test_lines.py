"""A bucket with all that is known of it, and what becomes of that when its window was wrong."""

from __future__ import annotations

import attrs
import pytest

from ratelimit_client.core.bucket import Bucket
from ratelimit_client.core.lessons import Lessons
from ratelimit_client.core.lines import Line, allow, config_bucket
from ratelimit_client.core.profile import Refill
from ratelimit_client.core.quota import Quota
from ratelimit_client.core.readings import Series, Snapshot
from ratelimit_client.core.resets import Meaning
from ratelimit_client.core.signals import Reading
from ratelimit_client.core.units import NS as S

MINUTE, HOUR = 60 * S, 3600 * S


def line_of(limit: int = 600, window_s: int = 60, *, ceiling: int | None = None) -> Line:
    bucket = Bucket.full("requests", limit, window_s * S, pays="requests", source="header", now_ns=0)
    bucket.ceiling = ceiling
    series = Series(bucket, exact_reset=True)
    return Line(bucket, series, Lessons(series))


def heed(line: Line, second: int, used: int, reset_s: float, *, order: int | None = None) -> bool:
    snapshot = Snapshot(second if order is None else order, used, used, used, 1, second * S, second * S)
    reading = Reading(line.bucket.limit, line.bucket.limit - used, reset_s)
    return line.heed_reset(reading, snapshot, MINUTE, now_ns=second * S)


def test_another_window_keeps_the_level_and_forgets_the_rest() -> None:
    """Units stay units; readings, lessons and holds begin anew, and the reserve is one per cent."""
    line = line_of()
    line.bucket.take(200, now_ns=0)
    line.bucket.hold_for("call", 5, now_ns=0)
    line.provisional = True
    before = line.series
    line.set_window(HOUR, now_ns=0)

    assert (line.bucket.window_ns, line.bucket.level(now_ns=0), line.bucket.reserve) == (HOUR, 400, 6 * HOUR)
    assert (line.bucket.escrow, line.bucket.special, line.provisional) == (None, False, False)
    assert line.series is not before
    assert line.series.exact_reset
    assert line.lessons.series is line.series


def test_a_server_that_steps_gets_a_bucket_that_steps() -> None:
    """The resets fall with the time: another kind of refill, over the window that was assumed."""
    line = line_of()
    told = [heed(line, second, 20 * second, 50.0 - second) for second in range(1, 20)]

    assert line.resets.meaning is Meaning.TO_STEP
    assert not any(told), "the window stands"
    assert line.bucket.refill is Refill.WINDOW
    assert line.bucket.special
    assert not line.series.exact_reset


def test_a_window_read_off_a_constant_is_none() -> None:
    """Six minutes for ever are no hour's limit: the usual window comes back."""
    line = line_of(window_s=3600)
    told = [heed(line, second, 20 * second, 360.0) for second in range(1, 20)]

    assert line.resets.meaning is Meaning.NOTHING
    assert told.count(True) == 1
    assert line.bucket.window_ns == MINUTE
    assert line.bucket.refill is Refill.CONTINUOUS
    assert not line.series.exact_reset


def test_a_window_that_the_caller_typed_stays() -> None:
    """He knows better."""
    line = line_of(window_s=3600, ceiling=600)
    assert not any(heed(line, second, 20 * second, 360.0) for second in range(1, 20))
    assert line.resets.meaning is Meaning.NOTHING
    assert line.bucket.window_ns == HOUR


def test_a_reading_of_an_earlier_call_says_nothing_of_the_reset() -> None:
    """Nor does one that lacks a number."""
    line = line_of()
    line.series.last_order = 100
    assert not any(heed(line, second, 20 * second, 360.0, order=100 - second) for second in range(1, 20))
    assert line.resets.meaning is Meaning.TO_FULL
    whole, snapshot = Reading(600, 500, 1.0), Snapshot(101, 0, 0, 0, 1, 0, 0)
    for name in ("limit", "remaining", "reset_s"):
        reading = attrs.evolve(whole, **{name: None})
        assert not line.heed_reset(reading, snapshot, MINUTE, now_ns=0)


@pytest.mark.parametrize(
    ("shown", "limit", "source"), [(None, 300, "config"), (900, 300, "config"), (200, 200, "header")]
)
def test_a_caller_may_allow_less_and_a_server_less_than_that(shown: int | None, limit: int, source: str) -> None:
    """The last word is the smaller one's."""
    bucket = config_bucket(Quota("requests", 600, 60), now_ns=0)
    line = Line(bucket, Series(bucket), Lessons(Series(bucket)))
    if shown is not None:
        line.series.use(Reading(shown, 1), Snapshot(1, 0, 0, 0, 1, 0, 0), grain_ns=0, refused=True, now_ns=0)
    allow(line, 300, 0)
    assert (bucket.ceiling, bucket.limit, bucket.source, bucket.firm) == (300, limit, source, source == "config")
    assert bucket.reserve == bucket.brim // 100
