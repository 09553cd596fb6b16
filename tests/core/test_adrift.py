"""How fast one goes on that cannot reach its store."""

from __future__ import annotations

from ratelimit_client.core.adrift import Known, left, part, rate
from ratelimit_client.core.units import NS

MINUTE, DAY = 60_000_000, 86_400_000_000
A_UNIT = 1_000_000


def test_the_part_of_one_is_its_part_of_nine_tenths_of_the_tightest_pace() -> None:
    """A day is no pace."""
    buckets = [Known(600, MINUTE, 5), Known(1200, MINUTE, 5), Known(100, DAY, 80)]
    assert part(buckets, 3) == 3 * A_UNIT
    assert part(buckets[2:], 3) is None


def test_of_a_long_window_each_may_spend_its_part_of_what_was_left() -> None:
    """No less than nothing; where only paces are known, as much as they allow."""
    assert left([Known(100, DAY, 80), Known(600, MINUTE, 5)], 4) == 20
    assert left([Known(100, DAY, -3)], 4) == 0
    assert left([Known(600, MINUTE, 5)], 4) is None


def test_all_go_from_their_rates_to_their_parts_together() -> None:
    """At every age of the loss the sum is between what it was and what it comes to: no more than the limit."""
    before = [8 * A_UNIT, 2 * A_UNIT, 0, 0]
    for tenth in range(70):
        rates = [rate(last, 9 * A_UNIT // 4, lost_ns=tenth * NS // 10) for last in before]
        assert sum(rates) in range(9 * A_UNIT - 4, 10 * A_UNIT + 1)
    assert rates == [9 * A_UNIT // 4] * 4
    assert rate(5, 10, lost_ns=-1) == 5
