"""Which window a bucket has, from its own numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.core.units import NS
from ratelimit_client.core.windows import (
    MILLISECOND_NS,
    USUAL_WINDOWS_NS,
    infer_window_ns,
    infer_window_of_wait_ns,
    infer_window_s,
    window_bounds_ns,
    window_of_reset_ns,
)

MINUTE, DAY, MONTH = 60.0, 86_400.0, 2_592_000.0


@pytest.mark.parametrize(
    ("limit", "remaining", "reset_s", "window_s"),
    [
        (500, 499, 0.120, MINUTE),
        (10_000, 9_999, 8.64, DAY),  # the same header, a day
        (10_000, 9_998, 16.227, DAY),
        (10_000, 9_997, 17.333, DAY),
        (200, 197, 1_252.666, DAY),
        (100_000, 88_447, 299_439.057, MONTH),  # and 30 days, labelled per minute
        (30_000, 29_999, 0.002, MINUTE),
        (14_400, 14_397, 17.399999999, DAY),
        (150_000, 149_984, 360.0, None),  # an example in a document: no window explains it
        (1_000_000, 999_910, 0.002, None),  # one of two recorded answers that fit no law
        (30_000, 29_999, 0.0, None),  # 0s is less than a millisecond from full, not full
        (30_000, 30_000, 0.0, None),
        (30_000, 30_000, 5.0, None),
        (0, 0, 5.0, None),
        (30_000, -1, 5.0, None),
    ],
)
def test_the_numbers_of_an_answer_tell_its_window(limit, remaining, reset_s, window_s):
    """A minute, a day and 30 days are told apart under one header name; the rest stays undetermined."""
    assert infer_window_s(limit, remaining, reset_s) == window_s


def test_an_overdrawn_bucket_still_tells_its_window():
    """A reset beyond the window belongs to an empty bucket that owes: 60.052 s and 63 s are a minute."""
    assert infer_window_s(30_000_000, 0, 60.052) == MINUTE
    assert infer_window_s(25_000, 0, 63.0) == MINUTE
    assert infer_window_s(25_000, 0, 90.0) is None


def test_of_a_refused_call_nobody_knows_what_it_paid() -> None:
    """A hundredth of a unit that was still missing is no window of a second."""
    assert infer_window_ns(60, 59, NS // 60) == NS
    assert infer_window_ns(60, 59, NS // 60, 0) is None
    assert infer_window_ns(60, 50, 10 * NS, 0) == 60 * NS


def test_an_interval_wide_enough_for_two_windows_tells_neither():
    """One grain of reset and two units of use may be a second's limit or ten's."""
    assert infer_window_ns(1_000, 998, MILLISECOND_NS * 2, grain_ns=40 * MILLISECOND_NS) is None
    assert infer_window_ns(1_000, 998, MILLISECOND_NS * 2) == NS


def test_what_the_call_paid_narrows_the_interval():
    """A call that paid all that is used leaves nothing in doubt; one that claims more is believed up to that."""
    loose = infer_window_ns(1_000, 998, MILLISECOND_NS * 2, 1, grain_ns=15 * MILLISECOND_NS)
    assert loose is None
    assert infer_window_ns(1_000, 998, MILLISECOND_NS * 2, 2, grain_ns=15 * MILLISECOND_NS) == NS
    assert infer_window_ns(1_000, 998, MILLISECOND_NS * 2, 9, grain_ns=15 * MILLISECOND_NS) == NS


@pytest.mark.parametrize(
    ("limit", "used", "requested", "wait_ms", "window_s"),
    [
        (10_000, 8_554, 3_082, 9_816, 60),
        (30_000, 29_937, 385, 644, 60),
        (40_000_000, 40_000_000, 29_693, 44, 60),
        (3, 3, 1, 20_000, 60),
        (200, 200, 1, 432_000, 86_400),
        (100_000, 96_749, 19_126, 411_480_000, 2_592_000),
        (500_000, 500_370, 252, 107_585, 86_400),  # more used than there is: the law still holds
        (30_000, 10, 10, 5_000, None),  # it would have fitted: the wait is about something else
        (30_000, 30_000, 10, 0, None),
        (0, 5, 5, 1_000, None),
        (1_000, 1_000, 500, 7_000, None),
    ],
)
def test_the_numbers_of_a_refusal_tell_its_window(limit, used, requested, wait_ms, window_s):
    """wait = (used + requested - limit) x window / limit, whatever the label says."""
    found = infer_window_of_wait_ns(limit, used, requested, wait_ms * MILLISECOND_NS)
    assert found == (None if window_s is None else window_s * NS)


@given(
    limit=st.integers(1, 10**9),
    window_ns=st.sampled_from(USUAL_WINDOWS_NS),
    level=st.fractions(0, 1),
)
def test_a_true_bucket_is_never_given_another_window(limit, window_ns, level):
    """Whatever a bucket of a usual window shows, the answer is that window or none."""
    exact = (limit - 1) * level  # the call itself paid one
    reset_ns = (limit - exact) * window_ns / limit // MILLISECOND_NS * MILLISECOND_NS
    found = infer_window_ns(limit, int(exact), int(reset_ns))
    assert found in (None, window_ns)
    if reset_ns >= 10 * MILLISECOND_NS and limit - int(exact) >= 4:
        assert found == window_ns


@given(
    st.integers(1, 10**9),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.sampled_from(USUAL_WINDOWS_NS),
)
def test_the_bounds_of_an_answer_hold_its_window(limit: int, used: int, fraction: int, window_ns: int) -> None:
    """Whatever part of a unit the floored numbers hide, and up to twice the limit in debt."""
    used %= 2 * limit
    exact = used * NS + fraction  # billionths of a unit
    reset_ns = exact * window_ns // (limit * NS) // MILLISECOND_NS * MILLISECOND_NS
    remaining = max(0, limit - -(-exact // NS))
    bounds = window_bounds_ns(limit, remaining, reset_ns)
    if bounds is None:
        assert remaining == limit
    else:
        least_ns, most_ns = bounds
        assert least_ns <= window_ns <= most_ns


@pytest.mark.parametrize(("limit", "remaining"), [(0, 0), (10, -1), (10, 10), (10, 11)])
def test_what_is_not_used_has_no_bounds(limit: int, remaining: int) -> None:
    """Nor has a number that cannot be."""
    assert window_bounds_ns(limit, remaining, NS) is None


@pytest.mark.parametrize(
    ("reset_s", "window_s"), [(0, 1), (0.9, 1), (1, 1), (1.5, 10), (45, 60), (61, 60), (62, 3600), (10**9, 2_592_000)]
)
def test_the_end_of_a_window_is_less_than_a_window_away(reset_s: float, window_s: int) -> None:
    """The least usual window that is long enough, with 2 % to spare; there is none above the last."""
    assert window_of_reset_ns(round(reset_s * NS)) == window_s * NS


def test_what_one_answer_leaves_open_is_told_to_the_nanosecond():
    """Two per cent either way, and one unit more or less than was used; an empty bucket may owe as much again."""
    reset_ns = 6 * NS
    assert window_bounds_ns(1000, 900, reset_ns) == (6 * NS * 98 // 10, (reset_ns + MILLISECOND_NS) * 1020 // 99)
    assert window_bounds_ns(1000, 0, reset_ns) == (6 * NS * 49 // 100, (reset_ns + MILLISECOND_NS) * 1020 // 999)
    assert window_bounds_ns(1000, 999, reset_ns) == (6 * NS * 980, USUAL_WINDOWS_NS[-1])
    assert window_bounds_ns(1000, 998, reset_ns) == (6 * NS * 490, (reset_ns + MILLISECOND_NS) * 1020)


@pytest.mark.parametrize(("wait_s", "window_s"), [(58.8, None), (58.9, 60), (61.2, 60), (61.3, None)])
def test_a_wait_tells_a_window_within_two_per_cent(wait_s, window_s):
    """A whole bucket is missing, so the wait is the window."""
    window_ns = infer_window_of_wait_ns(100, 100, 100, round(wait_s * NS))
    assert window_ns == (None if window_s is None else window_s * NS)
