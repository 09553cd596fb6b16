"""Plots, as SVG that stands in a page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.bulk.report.draw import NARROW, WIDE, Curve, Histogram, Timeline, stairs
from ratelimit_client.bulk.spread import Spread

HOSTILE = '</title><script>alert("1")</script>&\'<img src=x onerror=y>'
WIDTHS = pytest.mark.parametrize("width", [WIDE, NARROW])


def timeline(*points: tuple[float, float], most: float | None = None, title: str = "Pace") -> Timeline:
    return Timeline("pace", title, "what it shows", "calls", [Curve("use", points, filled=True)], most)


def numbers(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path)]


def line(svg: str) -> list[tuple[float, float]]:
    """The points of the curve."""
    for element in ElementTree.fromstring(svg).iter("path"):
        if element.get("class") == "line use":
            return numbers(element.get("d", ""))
    raise AssertionError("there is no curve")


@WIDTHS
def test_a_curve_stands_where_its_numbers_are(width: int) -> None:
    """
    The time goes to the right edge of the plot, the largest value to the top; halves are in the middle.
    """
    (left, ground), (middle, half), (right, top) = line(timeline((0, 0), (5, 50), (10, 100)).draw(width))

    assert left < middle < right < width
    assert middle == pytest.approx((left + right) / 2, abs=0.1)
    assert half == pytest.approx((ground + top) / 2, abs=0.1)


@WIDTHS
def test_what_is_beyond_the_bound_is_drawn_at_it(width: int) -> None:
    """
    So that a moment does not make all the rest flat.
    """
    points = line(timeline((0, 1_000_000), (1, 10), (2, 20), most=20.0).draw(width))

    assert points[0][1] == points[2][1] < points[1][1]


@given(
    st.lists(st.tuples(st.floats(0, 1e8), st.floats(0, 1e12)), max_size=50).map(sorted), st.sampled_from((WIDE, NARROW))
)
def test_whatever_is_drawn_stays_within_the_picture(points: list[tuple[float, float]], width: int) -> None:
    """
    Also of nothing, of one point and of no time at all; and it is well-formed.
    """
    drawn = timeline(*points).draw(width)
    root = ElementTree.fromstring(drawn)

    _, _, _, height = map(float, root.get("viewBox", "").split())
    for path in root.iter("path"):
        for x, y in numbers(path.get("d", "")):
            assert -0.1 <= x <= width + 0.1
            assert -0.1 <= y <= height + 0.1
    assert "nan" not in drawn


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.sampled_from((WIDE, NARROW)))
def test_bars_and_marks_stay_within_the_picture(times: list[float], width: int) -> None:
    """
    However far apart the times are, and however alike.
    """
    spread = Spread()
    for each in times:
        spread.add(each)
    marks = [(f"p{permille / 10:g}", spread.quantile(permille) or 0.0) for permille in (500, 900, 990)]
    root = ElementTree.fromstring(Histogram("waits", "Waits", "", "queued", spread.bars(), marks).draw(width))

    rectangles = list(root.iter("rect"))
    assert len(rectangles) == sum(bar.number > 0 for bar in spread.bars())
    for rectangle in rectangles:
        x, y, wide, high = (float(rectangle.get(name, "nan")) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + wide <= width + 0.1
        assert 0 <= y <= y + high <= 300
        assert wide > 0
        assert high > 0
    texts = [element.text or "" for element in root.iter("text")]
    assert [text.split()[0] for text in texts if text.startswith("p")] == ["p50", "p90", "p99"]


@WIDTHS
def test_who_does_not_see_it_is_told(width: int) -> None:
    """
    It is an image with a title and a description, whose names differ between the two that are drawn.
    """
    root = ElementTree.fromstring(timeline((0, 0), (1, 1)).draw(width))
    names = [root.find("title"), root.find("desc")]

    assert root.get("role") == "img"
    assert [each.text for each in names if each is not None] == ["Pace", "what it shows"]
    assert root.get("aria-labelledby") == " ".join(each.get("id", "") for each in names if each is not None)
    assert ("wide" if width == WIDE else "narrow") in root.get("aria-labelledby", "")


def test_a_name_from_outside_is_only_text() -> None:
    """
    Whatever it looks like.
    """
    root = ElementTree.fromstring(timeline((0, 0), title=HOSTILE).draw(WIDE))

    assert root.findtext("title") == HOSTILE
    assert {element.tag for element in root.iter()} <= {"svg", "title", "desc", "path", "text"}


def test_stairs_are_level_and_then_steep() -> None:
    """
    Two points for each span of time.
    """
    assert stairs([(0, 1, 5), (1, 3, 2)]) == [(0, 5), (1, 5), (1, 2), (3, 2)]
