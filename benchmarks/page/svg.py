"""
Pictures of numbers, as SVG and by nothing but text.

Law of this file: a drawing is a list of shapes in the order in which they lie upon each other;
the same numbers give the same bytes. It says in words what it shows (``title``, ``desc``), and
every mark says its own value when one points at it. Colours are classes, of which there is a light
and a dark set, chosen by the reader's ``prefers-color-scheme``; nothing is told by colour alone.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

import attrs

WIDTH: Final = 760

_STYLE: Final = """\
text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.page { fill: #ffffff } .small { font-size: 12px; fill: #59636e } .name { font-size: 16px; font-weight: 600 }
.grid { stroke: #d8dee4; fill: none } .axis { stroke: #818b98; fill: none } .strong { font-weight: 600 }
.goal { stroke: #59636e; stroke-dasharray: 2 4; fill: none } .key { fill: #1f2328 }
.a { stroke: #0969da; fill: #0969da } .b { stroke: #bc4c00; fill: #bc4c00 } .c { stroke: #1a7f37; fill: #1a7f37 }
.other { stroke: #818b98; fill: #818b98 } .curve { fill: none; stroke-width: 2.5 } .dashed { stroke-dasharray: 7 5 }
.hollow { fill: #ffffff; stroke-width: 1.6 }
text.a { stroke: none } text.b { stroke: none } text.c { stroke: none }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .page { fill: #0d1117 } .small { fill: #9198a1 } .grid { stroke: #2a313c }
.axis { stroke: #656c76 } .goal { stroke: #9198a1 } .key { fill: #e6edf3 } .hollow { fill: #0d1117 }
.other { stroke: #9198a1; fill: #9198a1 }
.a { stroke: #4493f8; fill: #4493f8 } .b { stroke: #f0883e; fill: #f0883e } .c { stroke: #3fb950; fill: #3fb950 }
.curve { fill: none } .hollow { fill: #0d1117 }
}"""


_DIGITS: Final = ((2.5, (1,)), (0.9, (1, 2, 5)), (-math.inf, (1, 1.2, 1.5, 2, 3, 5, 7)))
"""For an axis of more than so many powers of ten: which multiples of a power it shows."""


class Kind(enum.Enum):
    """How far apart numbers lie: their logarithms, or those of one more than they are, so that there is a 0."""

    LOG = "log"
    LOG_FROM_ZERO = "log from zero"


@attrs.frozen
class Axis:
    """
    Numbers *low* to *high* between the places *start* and *end* of a drawing.

    A number outside lies on the end that it is beyond.
    """

    low: float
    high: float
    start: float
    end: float
    kind: Kind = Kind.LOG

    def at(self, value: float) -> float:
        """Where it lies."""
        inside = min(max(value, self.low), self.high)
        share = (self._far(inside) - self._far(self.low)) / (self._far(self.high) - self._far(self.low))
        return self.start + share * (self.end - self.start)

    def _far(self, value: float) -> float:
        return math.log10(value if self.kind is Kind.LOG else 1 + value)

    @property
    def ticks(self) -> list[float]:
        """Round numbers: powers of ten, and the more between them the shorter the axis is."""
        least = self.low if self.kind is Kind.LOG else 1.0
        powers = range(math.floor(math.log10(least)), math.ceil(math.log10(self.high)) + 1)
        digits = next(digits for length, digits in _DIGITS if math.log10(self.high / least) > length)
        found = [digit * 10.0**power for power in powers for digit in digits]
        kept = [round(tick, 9) for tick in found if self.low <= tick * 1.000001 and tick <= self.high * 1.000001]
        return kept if self.kind is Kind.LOG else [0.0, *(tick for tick in kept if tick >= 1)]


def short(number: float) -> str:
    """A number as a tick says it: 0.5, 20, 1 k, 10 M."""
    for size, word in ((1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:g}{word}"
    return f"{number:g}"


class Drawing:
    """
    Args:
        name, says: what it shows, in a few words and in a sentence or two.
        height: of it; the width of all is the same.
    """

    def __init__(self, name: str, says: str, height: int) -> None:
        self.name = name
        self.says = says
        self.height = height
        self._parts: list[str] = []
        self.text(20, 28, name, "name")

    def __str__(self) -> str:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" '
            f'width="{WIDTH}" height="{self.height}" role="img" aria-labelledby="title desc">'
        )
        about = f'<title id="title">{escape(self.name)}</title>\n<desc id="desc">{escape(self.says)}</desc>'
        page = f'<rect class="page" width="{WIDTH}" height="{self.height}" rx="6"/>'
        return "\n".join([head, about, f"<style>\n{_STYLE}\n</style>", page, *self._parts, "</svg>", ""])

    # -- shapes -------------------------------------------------------------------------

    def text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> None:
        """Words whose line stands at *y*."""
        where = "" if anchor == "start" else f' text-anchor="{anchor}"'
        named = f' class="{kind}"' if kind else ""
        self._parts.append(f'<text x="{_n(x)}" y="{_n(y)}"{where}{named}>{escape(words)}</text>')

    def line(self, x: float, y: float, to_x: float, to_y: float, kind: str) -> None:
        """A straight one."""
        self._parts.append(f'<path class="{kind}" d="M{_n(x)} {_n(y)}L{_n(to_x)} {_n(to_y)}"/>')

    def curve(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """Points, joined."""
        path = "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
        self._parts.append(f'<path class="{kind} curve" d="M{path}"/>')

    def dot(self, x: float, y: float, kind: str, says: str = "", radius: float = 4.5) -> None:
        """A round mark."""
        self._mark(f'<circle class="{kind}" cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}"', "circle", says)

    def diamond(self, x: float, y: float, kind: str, says: str = "", radius: float = 8) -> None:
        """A mark that stands out."""
        r = _n(radius)
        path = f"M{_n(x)} {_n(y - radius)}l{r} {r}l-{r} {r}l-{r} -{r}z"
        self._mark(f'<path class="{kind}" d="{path}"', "path", says)

    def cross(self, x: float, y: float, kind: str, says: str = "", radius: float = 4) -> None:
        """A mark for what did not end."""
        size = _n(2 * radius)
        path = f"M{_n(x - radius)} {_n(y - radius)}l{size} {size}m0 -{size}l-{size} {size}"
        self._mark(f'<path class="{kind}" style="fill: none; stroke-width: 1.8" d="{path}"', "path", says)

    def _mark(self, opened: str, element: str, says: str) -> None:
        self._parts.append(f"{opened}><title>{escape(says)}</title></{element}>" if says else f"{opened}/>")

    # -- what surrounds them --------------------------------------------------------------

    def grid_below(self, axis: Axis, top: float, bottom: float, label: str) -> None:
        """Upright lines at the ticks of an axis that lies at the bottom."""
        for tick in axis.ticks:
            self.line(axis.at(tick), top, axis.at(tick), bottom, "grid")
            self.text(axis.at(tick), bottom + 18, short(tick), "small", "middle")
        self.text((axis.start + axis.end) / 2, bottom + 38, label, "small", "middle")

    def grid_left(self, axis: Axis, left: float, right: float, label: str) -> None:
        """Level lines at the ticks of an axis that stands at the left; its label stands over it."""
        for tick in axis.ticks:
            self.line(left, axis.at(tick), right, axis.at(tick), "grid")
            self.text(left - 8, axis.at(tick) + 4, short(tick), "small", "end")
        self.text(20, min(axis.start, axis.end) - 14, label, "small")


def apart(wanted: Iterable[float], least: float) -> list[float]:
    """Heights for labels that want to be at the heights given, in that order, at least so far apart."""
    order = sorted(enumerate(wanted), key=lambda pair: pair[1])
    found = [0.0] * len(order)
    last = -math.inf
    for number, height in order:
        last = max(height, last + least)
        found[number] = last
    return found


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
