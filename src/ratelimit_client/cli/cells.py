"""
Text and the cells of a terminal that it takes.

Law of this file: pure text. A line that is cut or folded here is never wider than
it may be, whatever script it is in, and a command is never broken: whoever copies
it has to get all of it.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from ..bulk.words import number

PROGRAM: Final = "ratelimit-client"
ELLIPSIS: Final = "…"
# Spaces at which no line is broken: within a number, and between a number and its unit.
_GLUED: Final = re.compile(r"(?<=\d) (?=\d{3}\b|(?:s|min|h|d|x)\b)")
_GLUE: Final = "\0"
_NO_CELL: Final = frozenset({"Mn", "Me", "Cf"})


def cells(text: str) -> int:
    """Cells that *text* takes: two for a wide character, none for a combining one."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def _cells_of(character: str) -> int:
    if unicodedata.category(character) in _NO_CELL:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, width: int) -> str:
    """*text*, without its end where it is wider than *width*."""
    return text if cells(text) <= width else _head(text, width - 1) + ELLIPSIS if width > 0 else ""


def squeeze(text: str, width: int) -> str:
    """*text*, without its middle where it is wider than *width*: names of models differ at both ends."""
    if cells(text) <= width:
        return text
    if width < 1:
        return ""
    head = _head(text, width // 2)
    tail = _head(text[::-1], width - 1 - cells(head))[::-1]
    return head + ELLIPSIS + tail


def _head(text: str, width: int) -> str:
    taken = 0
    for position, character in enumerate(text):
        taken += _cells_of(character)
        if taken > width:
            return text[:position]
    return text


def fold(line: str, width: int) -> list[str]:
    """
    *line* in lines of at most *width* cells, broken at spaces, those after the first indented.

    The text after a label goes on below the text. A command, from ``: ratelimit-client``
    on, gets a line of its own where it would have to be broken, and is left whole.
    """
    if cells(line) <= width:
        return [line]
    words, sign, command = line.partition(f": {PROGRAM} ")
    indent = _indent(line)
    folded = _fold(words + sign[:1], width, indent)
    return [*folded, f"{' ' * indent}{PROGRAM} {command}"] if sign else folded


def _fold(line: str, width: int, indent: int) -> list[str]:
    found = [line[:indent]] if line[:indent].strip() else [" " * indent]
    begun = False  # there is a word in the last line already
    for glued in _GLUED.sub(_GLUE, line[indent:]).split():
        word = glued.replace(_GLUE, " ")
        if begun and cells(found[-1]) + 1 + cells(word) > width:
            found.append(" " * indent)
            begun = False
        found[-1] += f" {word}" if begun else word
        begun = True
    return found


def _indent(line: str) -> int:
    """Where the text after a label begins: after two spaces; else lines that go on are indented a little."""
    label, sign, rest = line.partition("  ")
    if not sign or " " in label.strip():
        return 0
    return len(line) - len(rest.lstrip())


def span(seconds: float) -> str:
    """A span of time that does not flicker: whole seconds, then minutes, then hours, then days."""
    whole = max(0, round(seconds))
    if whole < 100:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 72:
        return f"{hours // 24} d {hours % 24:02} h"
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def pace(rate: float) -> str:
    """Rows a second for people, or a minute or an hour where that is less than one."""
    for unit, seconds in (("s", 1), ("min", 60)):
        if rate * seconds >= 1 or not rate:
            return f"{rate * seconds:.1f} rows/{unit}" if rate < 1000 else f"{number(round(rate))} rows/s"
    return f"{rate * 3600:.1f} rows/h"
