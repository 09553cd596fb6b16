"""Where an axis has its ticks, and what stands beside them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.bulk.report import axes

ABOUT = st.integers(2, 10)


@pytest.mark.parametrize(
    ("most", "ticks"),
    [
        (1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (7, [0, 2, 4, 6, 8]),
        (100, [0, 20, 40, 60, 80, 100]),
        (1110, [0, 500, 1000, 1500]),
        (0, [0.0, 2e-10, 4e-10, 6e-10, 8e-10, 1e-9]),
    ],
)
def test_amounts_are_told_in_round_steps(most: float, ticks: list[float]) -> None:
    """
    From zero to the first tick that nothing is above.
    """
    assert axes.round_ticks(most, 5) == pytest.approx(ticks)


@given(st.floats(1e-6, 1e15), ABOUT)
def test_ticks_reach_what_they_are_for_and_are_few(most: float, about: int) -> None:
    """
    One more than was asked for at most, and the last beyond.
    """
    ticks = axes.round_ticks(most, about)

    assert ticks[0] == 0
    assert ticks[-1] >= most * (1 - 1e-6)
    assert 2 <= len(ticks) <= about + 2


@given(st.floats(1e-3, 1e9), ABOUT)
def test_a_clock_has_few_ticks_within_the_time(seconds: float, about: int) -> None:
    """
    From milliseconds to thirty years.
    """
    ticks = axes.clock_ticks(seconds, about)

    assert 1 <= len(ticks) <= max(about, 10) + 1
    assert ticks[0] == 0
    assert ticks[-1] <= seconds * (1 + 1e-6)


@pytest.mark.parametrize(
    ("seconds", "step", "text"),
    [
        (0, 1, "0"),
        (0.02, 0.02, "0.02 s"),
        (0.4, 0.2, "0.4 s"),
        (90, 30, "90 s"),
        (300, 300, "5 min"),
        (5400, 1800, "1:30 h"),
        (7200, 3600, "2 h"),
        (172800, 86400, "2 d"),
    ],
)
def test_a_tick_of_a_clock_is_told_in_the_unit_of_its_step(seconds: float, step: float, text: str) -> None:
    """
    As people say it.
    """
    assert axes.clock(seconds, step) == text


@given(st.floats(1e-3, 1e6), st.floats(4, 1e8), ABOUT)
def test_an_axis_of_ratios_has_few_ticks_within_it(low_s: float, times: float, about: int) -> None:
    """
    In rising order.
    """
    ticks = axes.ratio_ticks(low_s, low_s * times, about)

    assert len(ticks) <= about
    assert all(low_s <= tick <= low_s * times * (1 + 1e-6) for tick in ticks)
    assert ticks == sorted(ticks)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.5, "0.5"), (3, "3"), (3.14159, "3.14"), (1234.4, "1 234"), (12_345_678, "12.3M")],
)
def test_an_amount_is_told_in_as_many_digits_as_tell_anything(value: float, text: str) -> None:
    """
    Three, and all of a large one that is not too large.
    """
    assert axes.amount(value) == text
