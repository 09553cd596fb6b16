from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.core.backoff import Backoff
from ratelimit_client.core.units import to_s
from ratelimit_client.errors import ConfigurationError

S = 1_000_000_000


def test_the_ceiling_doubles_and_meets_its_cap() -> None:
    """0.5 s, then twice as much each time, never above 30 s."""
    assert [to_s(Backoff().ceiling_ns(attempt)) for attempt in range(1, 10)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_the_dice_choose_between_floor_and_ceiling() -> None:
    """Full jitter: the least is the floor, the most is the ceiling, evenly between."""
    backoff = Backoff(base_s=1, cap_s=30, floor_s=0.2)

    assert backoff.delay_ns(1, lambda: 0.0) == 0.2 * S
    assert backoff.delay_ns(1, lambda: 0.5) == 0.6 * S
    assert backoff.delay_ns(3, lambda: 0.5) == 2.1 * S


@given(
    base_s=st.floats(0, 100),
    more_s=st.floats(0, 1e6),
    multiplier=st.floats(1, 10),
    floor_s=st.floats(0, 200),
    attempt=st.integers(-5, 10**12),
    die=st.floats(0, 1, exclude_max=True),
)
def test_every_attempt_has_a_delay_in_its_bounds(
    base_s: float, more_s: float, multiplier: float, floor_s: float, attempt: int, die: float
) -> None:
    """No attempt number overflows, and no delay leaves [min(floor, ceiling), cap]."""
    backoff = Backoff(base_s, base_s + more_s, multiplier, floor_s)
    delay_ns = backoff.delay_ns(attempt, lambda: die)

    assert min(round(floor_s * S), backoff.ceiling_ns(attempt)) - 1 <= delay_ns <= (base_s + more_s) * S + 1


def test_the_milliardth_attempt_waits_the_cap() -> None:
    """A number no power of two would survive."""
    assert Backoff().ceiling_ns(10**9) == 30 * S


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"base_s": -1}, "base_s=-1"),
        ({"base_s": 31}, "the base not above the cap"),
        ({"cap_s": math.inf}, "cap_s=inf"),
        ({"base_s": math.nan}, "base_s=nan"),
        ({"multiplier": 0.5}, "multiplier is from 1 to 10, such as 2; got 0.5"),
        ({"multiplier": 11}, "got 11"),
        ({"floor_s": -1}, "floor_s is 0 or more seconds"),
        ({"floor_s": math.inf}, "got inf"),
    ],
)
def test_a_backoff_that_cannot_be_is_refused(fields: dict[str, Any], complaint: str) -> None:
    """The message shows the number and an example."""
    with pytest.raises(ConfigurationError, match=complaint):
        Backoff(**fields)


@pytest.mark.parametrize(
    "bounds",
    [
        {"multiplier": 1},
        {"multiplier": 10},
        {"base_s": 0},
        {"base_s": 30},
        {"base_s": 0, "cap_s": 0},
        {"floor_s": 0},
        {"floor_s": 1e9},
    ],
)
def test_a_bound_is_in_its_range(bounds: dict[str, Any]) -> None:
    """From 1 to 10 means 10 as well, and no wait at all is a wait."""
    assert Backoff(**bounds).ceiling_ns(1) >= 0
