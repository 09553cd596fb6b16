"""When a day ends in California."""

from __future__ import annotations

from datetime import datetime

import pytest

from ratelimit_client.dialects.midnight import until_midnight_pacific_s

H = 3600.0


def instant_s(utc: str) -> float:
    """Seconds since 1970 of an instant of UTC."""
    return datetime.fromisoformat(f"{utc}+00:00").timestamp()


@pytest.mark.parametrize(
    ("utc", "hours"),
    [
        ("2026-01-15T08:00:00", 24),  # midnight itself: the day has just begun
        ("2026-01-15T07:59:59", 1 / 3600),
        ("2026-01-15T20:00:00", 12),  # noon in winter
        ("2026-07-15T19:00:00", 12),  # noon in summer
        ("2026-07-15T06:30:00", 0.5),
        ("2026-07-15T07:30:00", 23.5),  # half past midnight in summer; by the clock of winter it would be half an hour
        ("2026-03-08T07:59:00", 1 / 60),  # the last minute before the day of 23 hours
        ("2026-03-08T08:00:00", 23),
        ("2026-03-08T09:59:00", 21 + 1 / 60),  # 1:59, still in winter
        ("2026-03-08T10:00:00", 21),  # 3:00, in summer: the hour between was none
        ("2026-11-01T06:59:00", 1 / 60),  # the last minute before the day of 25 hours
        ("2026-11-01T07:00:00", 25),
        ("2026-11-01T08:59:00", 23 + 1 / 60),  # 1:59 for the first time
        ("2026-11-01T09:00:00", 23),  # 1:00 for the second time
        ("2026-12-31T20:00:00", 12),
        ("2027-01-01T07:00:00", 1),  # New Year of UTC, and still New Year's Eve there
        ("2015-03-08T08:00:00", 23),
        ("2015-11-01T07:00:00", 25),  # 1 November is a Sunday
        ("2023-11-05T07:00:00", 25),
    ],
)
def test_midnight_comes_when_the_clocks_on_the_walls_say_so(utc: str, hours: float) -> None:
    """In winter, in summer, and on the days on which they are changed."""
    assert until_midnight_pacific_s(instant_s(utc)) == pytest.approx(hours * H, abs=1e-3)


def test_every_hour_of_a_dozen_years_leads_to_the_same_midnight_as_the_next() -> None:
    """An hour later it is an hour less, or a new day of 23 to 25 hours has begun, at 7 or 8 o'clock of UTC."""
    before_s, now_s = until_midnight_pacific_s(instant_s("2026-01-01T00:00:00")), instant_s("2026-01-01T00:00:00")
    lengths = set()
    for _ in range(12 * 366 * 24):
        now_s += H
        left_s = until_midnight_pacific_s(now_s)
        assert 0 < left_s <= 25 * H
        if left_s != before_s - H:
            assert before_s == H
            assert now_s % (24 * H) in (7 * H, 8 * H)
            lengths.add(left_s / H)
        before_s = left_s
    assert lengths == {23, 24, 25}


@pytest.mark.parametrize("now_s", [-1.0, 0.0, 1e300, float("inf"), float("-inf"), float("nan")])
def test_a_clock_that_is_wrong_costs_nothing(now_s: float) -> None:
    """There is always an answer, of a day at most."""
    assert 0 < until_midnight_pacific_s(now_s) <= 25 * H
