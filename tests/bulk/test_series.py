"""What grew over time, in a bounded number of points."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.bulk.series import Point, Series
from ratelimit_client.core.units import NS

STEPS = st.lists(st.tuples(st.integers(1, 20 * NS), st.integers(0, 1000), st.integers(0, 10)), max_size=300)
MOST = st.integers(2, 8).map(lambda half: 2 * half)


def grown(steps: list[tuple[int, int, int]], most: int) -> tuple[Series, list[Point]]:
    """A series that was shown so much more, so much later each time; and all that it was shown."""
    series, shown = Series(most=most), [Point(0, (0, 0))]
    series.see((0, 0), now_ns=0)
    for passed_ns, more, other in steps:
        at_ns, (first, second) = shown[-1]
        shown.append(Point(at_ns + passed_ns, (first + more, second + other)))
        series.see(shown[-1].values, now_ns=shown[-1].at_ns)
    return series, shown


@given(STEPS, MOST, st.integers(1, 30))
def test_the_sum_is_kept_however_much_is_forgotten(steps: list[tuple[int, int, int]], most: int, drawn: int) -> None:
    """
    All points together, and in however few spans they are told.
    """
    series, shown = grown(steps, most)

    for spans in (list(series.spans()), list(series.spans(drawn))):
        assert tuple(sum(span.values[n] for span in spans) for n in (0, 1)) == shown[-1].values
        assert all(a.to_s == b.from_s for a, b in pairwise(spans))
        assert not spans or (spans[0].from_s, spans[-1].to_s) == (0.0, shown[-1].at_ns / NS)
    assert len(list(series.spans(drawn))) <= drawn


@given(STEPS, MOST)
def test_points_are_bounded_and_none_is_made_up(steps: list[tuple[int, int, int]], most: int) -> None:
    """
    Each was shown; the first and the last are there; at most so many and the last.
    """
    series, shown = grown(steps, most)
    points = list(series.points)

    assert len(points) <= most + 1
    assert set(points) <= set(shown)
    assert (points[0], points[-1]) == (shown[0], shown[-1])
    assert points == sorted(points)


def test_when_it_is_full_every_other_point_goes_and_the_step_doubles() -> None:
    """
    Ten seconds in six points: every two seconds from the sixth on.
    """
    series = Series(most=6)
    for second in range(11):
        series.see((10 * second,), now_ns=second * NS)

    assert [point.at_ns // NS for point in series.points] == [0, 2, 4, 6, 8, 10]
    assert series.step_ns == 2 * NS


def test_a_look_that_comes_a_little_early_counts() -> None:
    """
    A timer is never exact, and a plot should not have gaps for it.
    """
    series = Series()
    for at in (0.0, 0.99, 1.98, 2.97):
        series.see((0,), now_ns=int(at * NS))

    assert len(series._kept) == 4


def test_without_two_points_nothing_happened() -> None:
    """
    No span of time.
    """
    series = Series()
    assert list(series.spans()) == []
    series.see((5,), now_ns=NS)
    assert list(series.spans()) == []
