"""
The live block as lines of text with styles.

Law of this file: pure, a view and a size give the lines. No line is wider than the
terminal, nothing that grows moves what stands beside it, and the block is as high
in the first second as in the last hour. What colours say, shapes and words say too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..bulk.words import number
from .activity import Tone
from .cells import ELLIPSIS, cells, cut, pace, span, squeeze
from .view import View

Part = tuple[str, str]
"""Text and its style."""

LABEL: Final = 7
_TEXT: Final = 47  # what may stand beside a bar: "1 000 000 of 1 000 000  100%  12 345 failed"
_LEAST_BAR, _WIDEST_BAR = 8, 23  # wider lines would be broken when the terminal is made as narrow as most are
_COLUMNS: Final = (19, 23, 16)  # "23 h 59 min so far", "about 23 h 59 min left", "123 456 refused"
_WIDE: Final = 80
_LOW: Final = 8  # a terminal with fewer lines gets the two that matter
_TONES: Final = {Tone.WELL: "", Tone.WAITING: "bold", Tone.TROUBLE: "bold red"}


def block(view: View, width: int, height: int = 24, *, ascii_only: bool = False) -> list[list[Part]]:
    """The lines of the block on a terminal of *width* times *height* cells."""
    lines = [
        _line("rows", *_rows(view, width, ascii_only)),
        _line("time", _columns([f"{span(view.seconds)} so far", _left(view), pace(view.rate)], width)),
        _line("limit", *_limit(view, width, ascii_only)),
        *([_line("model", *_model(view, width))] if view.models > 1 else []),
        _line("calls", _columns(_calls(view), width)),
        _line("now", (view.state, _TONES[view.tone])),
    ]
    if height < _LOW:
        lines = [lines[0], lines[-1]]
    return [_fit(line, width - 1, ascii_only) for line in lines]


def _line(label: str, *parts: Part) -> list[Part]:
    return [(f"{label:<{LABEL}}", "bold"), *parts]


def _fit(line: Sequence[Part], width: int, ascii_only: bool) -> list[Part]:
    """A line that is cut where the terminal ends, and has no blanks at its end."""
    found: list[Part] = []
    room = width
    for text, style in line:
        text = cut(text, room)
        found.append((text.replace(ELLIPSIS, "~") if ascii_only else text, style))
        room -= cells(text)
    return found


def _columns(texts: Sequence[str], width: int) -> Part:
    """Texts below those of other lines; one after the other where the terminal is too narrow for that."""
    if width < _WIDE:
        return (", ".join(filter(None, texts)), "")
    padded = [f"{text:<{size - 1}} " for text, size in zip(texts, _COLUMNS, strict=False)]
    return ("".join([*padded, *texts[len(_COLUMNS) :]]).rstrip(), "")


def _bar(share: float, width: int, colour: str, ascii_only: bool) -> list[Part]:
    """A bar whose two parts differ in shape, so that it can be read without colours."""
    size = min(_WIDEST_BAR, width - 1 - LABEL - 2 - _TEXT)
    if size < _LEAST_BAR:
        return []
    full, empty = ("#", "-") if ascii_only else ("━", "┄")
    filled = int(size * min(1.0, max(0.0, share)))
    return [(full * filled, colour), (empty * (size - filled), "dim"), ("  ", "")]


def _rows(view: View, width: int, ascii_only: bool) -> list[Part]:
    failed = (f"  {number(view.failed)} failed", "bold red" if view.failed else "")
    if not view.total:
        return [(f"{number(view.done)} done", ""), failed]
    share = view.done / view.total
    total = number(view.total)
    # cut, not rounded: 100% is said when all is done, not when all but one are
    words = f"{number(view.done):>{len(total)}} of {total}  {int(share * 100):>3}%"
    return [*_bar(share, width, "green", ascii_only), (words, ""), failed]


def _left(view: View) -> str:
    return "" if view.eta_s is None else f"about {span(view.eta_s)} left"


def _limit(view: View, width: int, ascii_only: bool) -> list[Part]:
    if view.limit is None or view.share is None:
        return [("none known yet" if not view.rate else "none known: the server shows none", "")]
    bar = _bar(view.share, width, "cyan", ascii_only)
    return [*bar, (f"{int(view.share * 100 + 0.5):>3}% of {view.limit} used", "")]


def _model(view: View, width: int) -> list[Part]:
    if view.model is None:
        return [(f"{view.models} models", "")]
    # whose limit it is matters most when rows have to wait for it
    more = f", the slowest of {view.models} models" if view.binds else f", 1 of {view.models} models"
    return [(squeeze(view.model, width - 1 - LABEL - len(more)) + more, "")]


def _calls(view: View) -> list[str]:
    return [
        f"{number(view.in_flight)} in flight",
        f"{number(view.queued)} queued",
        f"{number(view.refused)} refused",
        f"{number(view.retried)} retried",
    ]


def text_of(line: Sequence[Part]) -> str:
    """A line without its styles."""
    return "".join(text for text, _ in line)
