from __future__ import annotations

import random

import pytest

from ratelimit_client import Quota
from ratelimit_client.testing import binding, honest, longest, own_cost, shortest, silent, stale
from ratelimit_client.testing.enforcement import Meter, minute
from ratelimit_client.testing.showing import Shown, show, showing

S = 1_000_000_000


def meters(*quotas: Quota) -> list[Meter]:
    return [minute().meter(quota, random.Random(0), now_ns=0) for quota in quotas]


def test_true_and_false_are_kinds_of_showing() -> None:
    """True is honest, False is silent, and a kind is itself."""
    assert showing(True) == honest()
    assert showing(False) == silent()
    assert showing(stale(3)) == stale(3)
    assert stale().every_ns is None
    assert stale(3).every_ns == 3 * S
    assert own_cost() == own_cost() != honest()


def test_of_several_quotas_the_fewest_units_bind() -> None:
    """500 a minute hide 10 000 a day until the day has fewer left; of equals the longer one shows."""
    by_minute, by_day = meters(Quota("requests", 500), Quota("requests", 10_000, 86_400))
    assert binding([by_minute, by_day]) is by_minute

    by_day.take(9_600)
    assert binding([by_minute, by_day]) is by_day
    by_day.drain(400)
    by_minute.drain(500)
    assert binding([by_minute, by_day]) is by_day


def test_the_choice_may_be_by_window() -> None:
    """Small tiers show requests per day under the plain name."""
    by_minute, by_day = meters(Quota("requests", 500), Quota("requests", 10_000, 86_400))

    assert longest([by_minute, by_day]) is by_day
    assert shortest([by_minute, by_day]) is by_minute


@pytest.mark.parametrize(("credits_", "remaining"), [(-1, 0), (0, 0), (60 * S - 1, 0), (60 * S, 1), (-90 * S, 0)])
def test_remaining_is_floored_and_never_negative(credits_: int, remaining: int) -> None:
    """A debt shows as 0; a fraction of a unit is no unit."""
    assert Shown("tokens", 100, credits_, 60 * S, 0).remaining == remaining


def test_what_is_shown_is_the_meter() -> None:
    """Limit, level, window and the time to full, as integers."""
    (meter,) = meters(Quota("requests", 10_000, 86_400))
    meter.take(1)

    assert show(meter) == Shown("requests", 10_000, 9_999 * 86_400 * S, 86_400 * S, 8_640_000_000)
