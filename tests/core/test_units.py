from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.core.units import NS, to_ns, to_s, unit_name, whole


@pytest.mark.parametrize(
    ("seconds", "ns"),
    [
        (0, 0),
        (1, NS),
        (0.5, NS // 2),
        (-1.25, -5 * NS // 4),
        (1e-9, 1),
        (0.4e-9, 0),
        (8.64, 8_640_000_000),
        (10**30, 10**39),
    ],
)
def test_seconds_become_the_nearest_nanosecond(seconds: float, ns: int) -> None:
    """Every number of seconds has one whole number of nanoseconds."""
    assert to_ns(seconds) == ns


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, 10**400], ids=str)
def test_a_time_is_finite(seconds: float) -> None:
    """What is no finite number of seconds is refused and never becomes a wait."""
    with pytest.raises(ValueError, match="finite number of seconds"):
        to_ns(seconds)


@given(st.integers(-(2**52), 2**52))
def test_a_time_survives_the_way_to_seconds_and_back(ns: int) -> None:
    """No nanosecond is lost for windows up to 52 days."""
    assert to_ns(to_s(ns)) == ns


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("requests", "requests"),
        ("request", "requests"),
        ("tok", "tokens"),
        ("image", "images"),
        ("project-tokens", "project-tokens"),
    ],
)
def test_a_unit_has_one_name(written: str, kept: str) -> None:
    """Singular and short forms of the common units are the same unit."""
    assert unit_name(written) == kept


@pytest.mark.parametrize("name", ["", "Tokens", "2x", "a b", "tokens\n", "größe", "x" * 65])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    """The message shows the name and says what one looks like."""
    with pytest.raises(ValueError, match="no name of a unit: lower-case"):
        unit_name(name)


class Numpyish:
    """An integer of another library: no int, but it says what it is worth."""

    def __index__(self) -> int:
        return 7


@pytest.mark.parametrize(
    ("amount", "number"),
    [
        (3, 3),
        (2e5, 200_000),
        (Numpyish(), 7),
        (1.5, None),
        (math.nan, None),
        (math.inf, None),
        (True, None),
        ("3", None),
        (None, None),
    ],
)
def test_what_counts_as_a_whole_amount(amount: object, number: int | None) -> None:
    """Integers of any kind and floats without a fraction do; booleans and text do not."""
    assert whole(amount) == number
