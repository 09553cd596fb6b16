"""
Many lines at one look, for starts that have a million rows to pass.

Law of this file: what is said of a piece of a file is what would be said of its lines
one by one. Lines of the usual form are taken together; for a line of input that has
another form the close look is taken, and a piece of OUT with one that has another form
is left to those who read line by line.

A line of OUT counts only when it is JSON, so it is parsed here as well: all lines of a
piece as one list, in one call. A line of input is believed to be finished, and nothing
else, when its identity is that of a finished row, so its shape is enough (``shapes``).
"""

from __future__ import annotations

import re
import struct
from hashlib import sha256
from typing import Final

import attrs

from .fingerprints import ROW_SHIFT_OF_WORD, Fingerprints, Passed, Seen, row_bits
from .jsonl import line_of
from .lines import parse
from .row import DUPLICATE, INVALID_LINE, glance, identify
from .shapes import Order, order_of, roomy, shuffled, spelled_out, usual

Prints = tuple[list[int], list[int]]

_IDS: Final = re.compile(r"(?:rlc_[0-9a-f]{20})*")
_ID_LENGTH: Final = 24
_ABOUT_LINES: Final = frozenset({INVALID_LINE, DUPLICATE})
_NAME: Final = b'"custom_id"'
_NOTHING: Final = Passed(0, 0, 0)


@attrs.define(eq=False)
class Piece:
    """
    Whole lines of input.

    Args:
        data: the lines.
        number, offset: of the first of them.
    """

    data: bytes
    number: int = 1
    offset: int = 0
    _prints: Prints | None = attrs.field(init=False, default=None)
    _order: Order | None = attrs.field(init=False, default=None)  # None: the usual shape
    _lines: list[bytes] | None = attrs.field(init=False, default=None)

    @property
    def prints(self) -> Prints:
        """
        Marks and row bits of the lines; of those before the first blank one only.

        Guesses (see ``shapes``), of the kind that the first line and those that turned out wrong have called for.
        """
        if self._prints is None:
            self._prints = self._prints_of(self.data, self.number)
        return self._prints

    def begins_finished(self, table: Fingerprints) -> bool:
        """Is the first line finished, and met for the first time?"""
        line = line_of(self.number, self.offset, self.data[: self.data.index(b"\n")])
        if line is None:
            return False
        guess = glance(line)
        if guess is not None and table.is_finished(guess[0], row_bits(guess[1])):
            return True
        mark, id_ = identify(line)
        self._order = order_of(line.data)
        return table.is_finished(mark, row_bits(id_))

    def look_closely(self, index: int) -> bool:
        """Put what line *index* says in the place of a guess; False when the guess was right."""
        marks, rows = self.prints
        if self._lines is None:
            self._lines = self.data.split(b"\n")
        line = line_of(self.number + index, self.offset, self._lines[index])
        assert line is not None  # there are guesses up to the first blank line
        mark, id_ = identify(line)
        before, (marks[index], rows[index]) = (marks[index], rows[index]), (mark, row_bits(id_))
        if before == (marks[index], rows[index]):
            return False
        if self._order is None:
            self._order = order_of(line.data)
            self._guess_anew(index + 1)
        return True

    def size_of(self, lines: int) -> int:
        """Bytes of the first *lines* lines."""
        if lines == len(self.prints[0]) and self.data.count(b"\n") == lines:
            return len(self.data)
        return sum(map(len, self.data.split(b"\n", lines)[:lines])) + lines

    def _guess_anew(self, index: int) -> None:
        """A guess of the usual shape was wrong: more will be, so from line *index* on they are made with more care."""
        assert self._lines is not None
        marks, rows = self.prints
        marks[index:], rows[index:] = self._prints_of(b"\n".join(self._lines[index:]), self.number + index)

    def _prints_of(self, data: bytes, number: int) -> Prints:
        names, bodies = [], []
        parts = usual(data) if self._order is None else roomy(data, self._order)
        for index, (name, url, body, other) in enumerate(parts):
            if name:
                hashed = b'"POST"' + url + body
            else:
                line = line_of(number + index, self.offset, other)
                if line is None:
                    break
                found = shuffled(line.data)
                if found is None:
                    mark, id_ = identify(line)
                    names.append(mark.to_bytes(8, "big"))
                    bodies.append(bytes.fromhex(id_[4:12]))
                    continue
                name, hashed = found
            names.append(sha256(spelled_out(name)).digest()[:8])
            bodies.append(sha256(hashed).digest()[:4])
        return _marks(b"".join(names)), _rows(b"".join(bodies))


def prints_of_output(data: bytes) -> Prints | None:
    """The same of whole lines of OUT or of the errors file, all of which name a row."""
    count = data.count(b"\n")
    found = parse(b"[%b]" % data[:-1].replace(b"\n", b","))
    if not isinstance(found, list) or len(found) != count:
        return None  # among others: a line that goes on in the next
    try:
        ids = "".join([line["id"] for line in found])
        marks = _marks(b"".join([sha256(line["custom_id"].encode()).digest()[:8] for line in found]))
        about_lines = [line for line in found if line["error"] and line["error"].get("code") in _ABOUT_LINES]
    except (KeyError, TypeError, AttributeError, ValueError):
        return None
    if about_lines or len(ids) != _ID_LENGTH * count or _IDS.fullmatch(ids) is None:
        return None
    digits = "".join([line["id"][4:12] for line in found])
    return marks, _rows(bytes.fromhex(digits))


def pass_finished(table: Fingerprints, piece: Piece, *, failed: bool = True) -> Passed:
    """Visit the lines at the beginning of *piece* that are finished and met for the first time."""
    if not piece.begins_finished(table):
        return _NOTHING  # most lines are not finished: a piece of them must not cost a look at all
    marks, rows = piece.prints
    lines, failures = table.visit_finished(marks, rows, failed=failed)
    while lines < len(marks) and piece.look_closely(lines):
        lines, more = table.visit_finished(marks, rows, start=lines, failed=failed)
        failures += more
    return Passed(piece.size_of(lines), lines, failures)


def undo(table: Fingerprints, piece: Piece, passed: Passed) -> None:
    """Forget that the lines of *passed* were met."""
    table.forget_visits(piece.prints[0][: passed.lines])


def has_edited(table: Fingerprints, piece: Piece) -> bool:
    """May one of the lines be a finished row that was edited? A closer look tells."""
    marks, rows = piece.prints
    if len(marks) != piece.data.count(b"\n") or piece.data.count(_NAME) > len(marks):
        return True  # a blank line, or one that may have two names, of which the usual shape shows the first
    for index, mark in enumerate(marks):
        if table.look(mark, rows[index]) is Seen.EDITED:
            piece.look_closely(index)
            if table.look(marks[index], rows[index]) is Seen.EDITED:
                return True
    return False


def _marks(digests: bytes) -> list[int]:
    """What ``mark_of`` says of names, from the first 8 bytes of the digest of each."""
    return list(struct.unpack(f">{len(digests) // 8}Q", digests))


def _rows(digests: bytes) -> list[int]:
    """What ``row_bits`` says of identities, from the first 4 bytes of the digest of each."""
    return [word >> ROW_SHIFT_OF_WORD for word in struct.unpack(f">{len(digests) // 4}I", digests)]
