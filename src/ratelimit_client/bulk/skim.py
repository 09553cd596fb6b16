"""
Many lines at one look, for starts that have a million rows to pass.

Law of this file: all or nothing. A piece of a file is taken at once only when every
line in it has the usual form; one that has not sends the whole piece to those who read
line by line, and what they would say of the usual lines is what is said here.

A line of OUT counts only when it is JSON, so it is parsed here as well: all lines of a
piece as one list, in one call. A line of input is believed to be finished, and nothing
else, when its identity is that of a finished row (see ``row.glance``), so one pattern
is enough for it.
"""

from __future__ import annotations

import re
import sys
from array import array
from hashlib import sha256
from typing import Final

from .fingerprints import ROW_SHIFT_OF_WORD, Fingerprints, Passed, Seen, row_bits
from .jsonl import Line
from .lines import parse
from .row import DUPLICATE, INVALID_LINE, glance

Prints = tuple["array[int]", list[int]]

_INPUT: Final = re.compile(
    rb'^\{"custom_id": ?"([^"\\\x00-\x1f]+)", ?"method": ?"POST", ?"url": ?("[a-z0-9_/-]+"), ?'
    rb'"body": ?(\{[^\n]*\})\}\r?\n',
    re.MULTILINE,
)
_IDS: Final = re.compile(r"(?:rlc_[0-9a-f]{20})*")
_ID_LENGTH: Final = 24
_ABOUT_LINES: Final = frozenset({INVALID_LINE, DUPLICATE})
_NOTHING: Final = Passed(0, 0, 0)


def prints_of_input(data: bytes) -> Prints | None:
    """Marks and row bits of the whole lines *data*; None when one of them is unusual."""
    found = _INPUT.findall(data)
    if len(found) != data.count(b"\n"):
        return None
    marks = _words("Q", b"".join([sha256(name).digest()[:8] for name, _, _ in found]))
    words = _words("I", b"".join([sha256(b'"POST"' + url + body).digest()[:4] for _, url, body in found]))
    return marks, [word >> ROW_SHIFT_OF_WORD for word in words]


def prints_of_output(data: bytes) -> Prints | None:
    """The same of whole lines of OUT or of the errors file, all of which name a row."""
    count = data.count(b"\n")
    found = parse(b"[%b]" % data[:-1].replace(b"\n", b","))
    if not isinstance(found, list) or len(found) != count:
        return None  # among others: a line that goes on in the next
    try:
        ids = "".join([line["id"] for line in found])
        marks = _words("Q", b"".join([sha256(line["custom_id"].encode()).digest()[:8] for line in found]))
        about_lines = [line for line in found if line["error"] and line["error"].get("code") in _ABOUT_LINES]
    except (KeyError, TypeError, AttributeError, ValueError):
        return None
    if about_lines or len(ids) != _ID_LENGTH * count or _IDS.fullmatch(ids) is None:
        return None
    digits = "".join([line["id"][4:12] for line in found])
    return marks, [word >> ROW_SHIFT_OF_WORD for word in _words("I", bytes.fromhex(digits))]


def pass_finished(table: Fingerprints, data: bytes, *, failed: bool = True) -> Passed:
    """Visit the lines of input at the beginning of *data* that are finished and met for the first time."""
    first = glance(Line(0, 0, data[: data.find(b"\n")].removesuffix(b"\r")))
    if first is None or not table.is_finished(first[0], row_bits(first[1])):
        return _NOTHING  # most lines are not finished: a piece of them must not cost a look at all
    prints = prints_of_input(data)
    if prints is None:
        return _pass_singly(table, data, failed)
    lines, failures = table.visit_finished(*prints, failed=failed)
    return Passed(_size_of(data, lines, len(prints[0])), lines, failures)


def _pass_singly(table: Fingerprints, data: bytes, failed: bool) -> Passed:
    """The same where one line is unusual: up to that one at most."""
    size = lines = failures = 0
    while size < len(data):
        end = data.index(b"\n", size)
        guess = glance(Line(0, 0, data[size:end].removesuffix(b"\r")))
        if guess is None:
            break
        passed, failure = table.visit_finished((guess[0],), (row_bits(guess[1]),), failed=failed)
        if not passed:
            break
        size, lines, failures = end + 1, lines + 1, failures + failure
    return Passed(size, lines, failures)


def undo(table: Fingerprints, data: bytes, passed: Passed) -> None:
    """Forget that the lines of *passed* were met."""
    prints = prints_of_input(data[: passed.size])
    if prints is not None:
        table.forget_visits(prints[0])


def has_edited(table: Fingerprints, data: bytes) -> bool:
    """May one of the lines *data* be a finished row that was edited? A closer look tells."""
    prints = prints_of_input(data)
    if prints is None:
        return True
    return any(table.look(mark, row) is Seen.EDITED for mark, row in zip(*prints, strict=True))


def _size_of(data: bytes, lines: int, of: int) -> int:
    """Bytes of the first *lines* lines."""
    if lines == of:
        return len(data)
    return sum(map(len, data.split(b"\n", lines)[:lines])) + lines


def _words(code: str, digests: bytes) -> array[int]:
    """Big-endian words, as ``int.from_bytes(..., "big")`` of each would be."""
    words = array(code)
    words.frombytes(digests)
    if sys.byteorder == "little":
        words.byteswap()
    return words
