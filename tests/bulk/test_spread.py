"""How long things took, in a few kilobytes."""

from __future__ import annotations

import math
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.bulk.spread import Spread

TIMES = st.lists(st.floats(0.0, 1e7), min_size=1, max_size=200)


def spread(*seconds: float) -> Spread:
    found = Spread()
    for each in seconds:
        found.add(each)
    return found


@given(TIMES, st.sampled_from([1, 500, 900, 990, 1000]))
def test_a_quantile_is_that_of_the_sorted_list_to_a_thirtieth(times: list[float], permille: int) -> None:
    """
    Or to a microsecond, where that is more; never below the shortest or above the longest.
    """
    true_s = sorted(times)[max(1, math.ceil(len(times) * permille / 1000)) - 1]
    told_s = spread(*times).quantile(permille)

    assert told_s is not None
    assert abs(told_s - true_s) <= true_s / 30 + 1e-6
    assert min(times) <= told_s <= max(times)


@given(TIMES)
def test_bars_hold_everything_and_leave_no_gap(times: list[float]) -> None:
    """
    Forty at most, each beginning where the one before it ends; each time is within them.
    """
    bars = spread(*times).bars()

    assert sum(bar.number for bar in bars) == len(times)
    assert 1 <= len(bars) <= 40
    assert all(a.high_s == b.low_s for a, b in pairwise(bars))
    assert all(bar.low_s < bar.high_s for bar in bars)
    assert bars[0].low_s <= min(times)
    assert max(times) <= bars[-1].high_s


def test_one_is_every_quantile() -> None:
    """
    Exactly.
    """
    one = spread(0.123456789)

    assert [one.quantile(permille) for permille in (1, 500, 999)] == [0.123456789] * 3
    assert (one.count, one.least_s, one.most_s) == (1, 0.123456789, 0.123456789)


def test_of_none_nothing_is_told() -> None:
    """
    No quantile, no bar.
    """
    none = Spread()

    assert (none.count, none.quantile(500), none.bars(), none.least_s, none.most_s) == (0, None, [], 0.0, 0.0)


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 1e-9, 1e12])
def test_what_no_clock_should_show_is_counted_all_the_same(seconds: float) -> None:
    """
    A negative time is none; one of thirty thousand years is in the last bin.
    """
    found = spread(seconds)

    assert found.count == 1
    assert sum(bar.number for bar in found.bars()) == 1


def test_ten_million_take_no_more_room_than_ten() -> None:
    """
    What is kept as it comes goes whenever it is digested.
    """

    def size(found: Spread) -> int:
        return sys.getsizeof(found._bins) + sys.getsizeof(found._fresh)

    found = spread(*(number / 7 for number in range(10)))
    found.digest()
    few = size(found)
    for _ in range(5):
        for number in range(1000):
            found.add(number / 7)
        found.digest()

    assert found.count == 5010
    assert size(found) <= few
