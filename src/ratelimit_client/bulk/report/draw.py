"""
Plots, as SVG that stands in a page.

Law of this file: numbers in, a picture out. Each has a title and a description for those who do
not see it, and no size in it depends on a name from outside.

Theory. A picture that is made smaller makes its words smaller, too. So each plot is drawn twice, for
a wide page and for a phone, and the page shows one of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Final

import attrs

from ..spread import Bar
from ..words import brief
from . import axes

WIDE: Final = 736
NARROW: Final = 340
_LEFT: Final = 58
_RIGHT: Final = 14
_TOP: Final = 26
_BOTTOM: Final = 26
_MARK: Final = 15

Scale = Callable[[float], float]


@attrs.frozen
class Curve:
    """
    Args:
        kind: the class by which the page colours it.
        points: (seconds since the start, value).
        filled: down to the axis.
    """

    kind: str
    points: Sequence[tuple[float, float]]
    filled: bool = False


@attrs.frozen
class Timeline:
    """
    Args:
        name: of the plot, short and without blanks; unique in the page.
        title, description: for those who do not see it.
        unit: what the vertical axis counts.
        most: values above it are drawn there; None for no such bound.
    """

    name: str
    title: str
    description: str
    unit: str
    curves: Sequence[Curve]
    most: float | None = None

    def draw(self, width: int) -> str:
        """The picture, so many pixels wide."""
        height = 250 if width == WIDE else 210
        end_s = max((point[0] for curve in self.curves for point in curve.points), default=0.0) or 1.0
        top = max((point[1] for curve in self.curves for point in curve.points), default=0.0)
        ticks = axes.round_ticks(min(top, self.most) if self.most else top or 1.0, 5)
        x = _linear(0.0, end_s, _LEFT, width - _RIGHT)
        y = _linear(0.0, ticks[-1], height - _BOTTOM, _TOP)
        parts = [*_horizontal(ticks, y, width, self.unit), *_clock(end_s, x, height, width)]
        for curve in self.curves:
            points = [(x(seconds), y(min(value, ticks[-1]))) for seconds, value in curve.points]
            path = "".join(f"{'L' if number else 'M'}{a:.1f} {b:.1f}" for number, (a, b) in enumerate(points))
            if curve.filled and points:
                ground = height - _BOTTOM
                closed = f"{path}L{points[-1][0]:.1f} {ground}L{points[0][0]:.1f} {ground}Z"
                parts.append(f'<path class="area {curve.kind}" d="{closed}"/>')
            if points:
                parts.append(f'<path class="line {curve.kind}" d="{path}"/>')
        return _svg(self.name, self.title, self.description, width, height, parts)


@attrs.frozen
class Histogram:
    """
    Args:
        name, title, description: as of a timeline.
        kind: the class by which the page colours it.
        bars: as ``Spread`` makes them; one at least.
        marks: label -> seconds, in rising order.
    """

    name: str
    title: str
    description: str
    kind: str
    bars: Sequence[Bar]
    marks: Sequence[tuple[str, float]]

    def draw(self, width: int) -> str:
        """The picture, so many pixels wide."""
        top = _TOP + _MARK * len(self.marks)
        height = (190 if width == WIDE else 170) + top
        x, low_s, high_s = self._scale(width)
        most = max(bar.number for bar in self.bars)
        ticks = [tick for tick in axes.round_ticks(most, 4) if tick == round(tick)]
        y = _linear(0.0, max(ticks[-1], most), height - _BOTTOM, top)
        parts = _horizontal(ticks, y, width, "rows")
        for bar in self.bars:
            left, right = (_LEFT, x(bar.high_s)) if not bar.low_s else (x(bar.low_s), x(bar.high_s))
            gap = 1.0 if right - left > 5 else 0.0
            if bar.number:
                size = f'x="{left + gap / 2:.1f}" y="{y(bar.number):.1f}" width="{max(0.5, right - left - gap):.1f}"'
                parts.append(f'<rect class="bar {self.kind}" {size} height="{y(0) - y(bar.number):.1f}"/>')
        for tick in axes.ratio_ticks(low_s, high_s, 9 if width == WIDE else 5):
            parts.append(_below(x(tick), brief(tick), height, width))
        parts += self._marks(x, low_s, high_s, y(0), width)
        return _svg(self.name, self.title, self.description, width, height, parts)

    def _scale(self, width: int) -> tuple[Scale, float, float]:
        """Equal ratios equally wide; beside the bar of what took no time, which has a place of its own."""
        at_once = not self.bars[0].low_s
        rest = self.bars[1:] if at_once else self.bars
        low_s = rest[0].low_s if rest else self.bars[0].high_s
        high_s = rest[-1].high_s if rest else low_s * 16
        if high_s < low_s * 4:  # a single bar is no wall
            middle = math.sqrt(low_s * high_s)
            low_s, high_s = (low_s if at_once else middle / 2), middle * 2
        begin = _LEFT + (0.06 * width if at_once else 0)
        to = _linear(math.log(low_s), math.log(high_s), begin, width - _RIGHT)
        return lambda seconds: to(math.log(min(max(seconds, low_s), high_s))), low_s, high_s

    def _marks(self, x: Scale, low_s: float, high_s: float, ground: float, width: int) -> list[str]:
        parts = []
        for row, (label, seconds) in enumerate(self.marks):
            at = x(seconds) if seconds >= low_s else (_LEFT + x(low_s)) / 2
            above = _TOP + _MARK * row
            right = at > 0.6 * width
            text = f'<text class="mark" x="{at - 5 if right else at + 5:.1f}" y="{above + 4}"'
            anchor = ' text-anchor="end"' if right else ""
            parts.append(f'<path class="mark" d="M{at:.1f} {above - 6}V{ground:.1f}"/>')
            parts.append(f"{text}{anchor}>{escape(label)} {brief(seconds)}</text>")
        return parts


def _linear(low: float, high: float, begin: float, end: float) -> Scale:
    return lambda value: begin + (value - low) / (high - low) * (end - begin)


def _horizontal(ticks: Sequence[float], y: Scale, width: int, unit: str) -> list[str]:
    """The grid, with its numbers and, above them, what they count."""
    parts = [f'<text class="unit" x="2" y="11">{escape(unit)}</text>']
    for tick in ticks:
        kind = "grid" if tick else "axis"
        parts.append(f'<path class="{kind}" d="M{_LEFT} {y(tick):.1f}H{width - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 7}" y="{y(tick) + 4:.1f}" text-anchor="end">{axes.amount(tick)}</text>')
    return parts


def _clock(end_s: float, x: Scale, height: int, width: int) -> list[str]:
    ticks = axes.clock_ticks(end_s, 8 if width == WIDE else 4)
    step = ticks[1] if len(ticks) > 1 else end_s
    return [_below(x(tick), axes.clock(tick, step), height, width) for tick in ticks]


def _below(at: float, label: str, height: int, width: int) -> str:
    ground = height - _BOTTOM
    anchor = "end" if at > width - _RIGHT - 12 else "middle"
    tick = f'<path class="axis" d="M{at:.1f} {ground}v4"/>'
    return f'{tick}<text x="{at:.1f}" y="{height - 8}" text-anchor="{anchor}">{label}</text>'


def _svg(name: str, title: str, description: str, width: int, height: float, parts: Sequence[str]) -> str:
    kind = "wide" if width == WIDE else "narrow"
    at = f"{name}-{kind}"
    return (
        f'<svg class="{kind}" viewBox="0 0 {width} {height:g}" role="img" aria-labelledby="{at}-t {at}-d">'
        f'<title id="{at}-t">{escape(title)}</title><desc id="{at}-d">{escape(description)}</desc>'
        f"{''.join(parts)}</svg>"
    )


def stairs(spans: Sequence[tuple[float, float, float]]) -> list[tuple[float, float]]:
    """The points of what was the same throughout each (from, to, value)."""
    return [point for begin, end, value in spans for point in ((begin, value), (end, value))]

