"""
What a page is put together from: tables, tiles, plots with their numbers beside them.

Law of this file: whatever it is given as text is escaped here, once; so nothing that comes from
outside can be anything but text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final, TypeAlias

from ..words import shown
from .draw import NARROW, WIDE, Histogram, Timeline

_UNIT: Final = re.compile(r"(?<=\d) (?=(?:\d{3}|ms|s|min|h)\b)", re.ASCII)

Cell: TypeAlias = str
Row: TypeAlias = Sequence[Cell]


def text(words: str) -> str:
    """*words* as HTML: what does not print is shown as an escape, and a long name is cut."""
    return escape(shown(words))


def sentence(words: str) -> str:
    """The same of whole sentences, which may be longer than a name; a number stays with its unit."""
    plain = escape("".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in words))
    return _UNIT.sub("&nbsp;", plain)


def table(caption: str, heads: Row, rows: Iterable[Row], *, names: int = 1, hidden: bool = False) -> str:
    """
    A table, and nothing where it has no row.

    Args:
        names: so many columns hold names; the others hold numbers.
        hidden: the caption is for those who do not see the table.
    """
    body = "".join(f"<tr>{_cells(row, names)}</tr>" for row in rows)
    if not body:
        return ""
    head = "".join(f'<th scope="col"{_kind(number, names)}>{text(words)}</th>' for number, words in enumerate(heads))
    label = f' aria-label="{text(caption)}"' if hidden else ""
    above = "" if hidden else f"<caption>{text(caption)}</caption>"
    return (
        f'<div class="scroll"><table{label}>{above}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _cells(row: Row, names: int) -> str:
    first, *rest = row
    cells = "".join(f"<td{_kind(number, names)}>{text(words)}</td>" for number, words in enumerate(rest, 1))
    return f'<th scope="row"{_kind(0, names)}>{text(first)}</th>{cells}'


def _kind(number: int, names: int) -> str:
    return ' class="name"' if number < names else ' class="n"'


def tiles(facts: Iterable[tuple[str, str, str]]) -> str:
    """(what, figure, a few words more)."""
    found = "".join(
        f'<div><dt>{text(what)}</dt><dd class="figure">{text(figure)}</dd><dd class="about">{text(about)}</dd></div>'
        for what, figure, about in facts
    )
    return f'<dl class="tiles">{found}</dl>'


def plot(picture: Timeline | Histogram, legend: Sequence[tuple[str, str]], numbers: str) -> str:
    """
    A picture and its numbers.

    Args:
        legend: (kind of curve, what it is).
        numbers: the table of them.
    """
    entries = "".join(
        f'<li><svg viewBox="0 0 26 10" aria-hidden="true"><path class="line {kind}" d="M0 5H26"/></svg>'
        f"{text(what)}</li>"
        for kind, what in legend
    )
    keys = f'<ul class="legend">{entries}</ul>' if entries else ""
    beside = f"<details><summary>The numbers of this plot</summary>{numbers}</details>" if numbers else ""
    return f"<figure>{keys}{picture.draw(WIDE)}{picture.draw(NARROW)}{beside}</figure>"


def section(title: str, about: str, *content: str) -> str:
    """A part of the page; *about* is a sentence or two, or nothing."""
    words = f'<p class="soft">{sentence(about)}</p>' if about else ""
    return f"<section><h2>{text(title)}</h2>{words}{''.join(content)}</section>"
