"""
Lines of bytes out of chunks of bytes.

Law of this file: a line ends at a newline byte and nowhere else. U+2028, a lone
carriage return or a form feed inside a string of JSON end nothing, so bytes are
split before anything is decoded, and a line is handed on as it stands.

A splitter is fed chunks of any size and answers with the lines that became
whole; the same bytes give the same lines however they were cut. It drops a
byte-order mark at the start of the file, a carriage return before a newline and
blank lines (which keep their numbers). A line longer than the cap is counted and
hashed as it passes, never held.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import Final, NamedTuple

from ..runtime.named import made

CHUNK: Final = 1 << 18

# The Batch API takes files of at most 200 MB; a line of half of that is a mistake, not a row.
LINE_CAP: Final = 100 * 1000 * 1000

_BOM: Final = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """
    One line that is not blank.

    Args:
        number: counted from 1, blank lines included.
        offset: bytes before it in the file.
        data: its bytes without the newline; empty when it was too long to hold.
        digest: SHA-256 of a line that was too long, else None.
    """

    number: int
    offset: int
    data: bytes
    digest: bytes | None = None

    @property
    def too_long(self) -> bool:
        return self.digest is not None


class Splitter:
    """Takes the chunks of one file in order, gives its lines."""

    __slots__ = ("_cap", "_digest", "_held", "_length", "_number", "_offset")

    def __init__(self, *, cap: int = LINE_CAP) -> None:
        self._cap = cap
        self._number = 1  # of the line that is being collected
        self._offset = 0  # of its first byte
        self._length = 0  # bytes of it so far
        self._held: list[bytes] = []
        self._digest: hashlib._Hash | None = None

    @property
    def number(self) -> int:
        """Of the line that is being collected."""
        return self._number

    @property
    def offset(self) -> int:
        """Bytes before the line that is being collected."""
        return self._offset

    @property
    def at_start(self) -> bool:
        """Does the next chunk begin with a line?"""
        return self._length == 0

    def skip(self, lines: int, size: int) -> None:
        """Pass so many whole lines of so many bytes, none of them blank; only ``at_start``."""
        self._number += lines
        self._offset += size

    def unfinished(self) -> Line | None:
        """The line that is being collected, as it would be if the file ended here; None when that is none."""
        if self._digest is not None:
            return Line(self._number, self._offset, b"", self._digest.digest())
        return line_of(self._number, self._offset, b"".join(self._held))

    def feed(self, chunk: bytes) -> list[Line]:
        """The lines that *chunk* made whole."""
        *whole, rest = chunk.split(b"\n")
        lines = []
        for piece in whole:
            if self._length == 0 and piece[-1:] == b"}" and self._number > 1 and len(piece) <= self._cap:
                # What follows, for a line in one piece that needs nothing taken off.
                lines.append(made(Line, (self._number, self._offset, piece, None)))
                self._number += 1
                self._offset += len(piece) + 1
                continue
            self._take(piece)
            line = self._finish()
            if line is not None:
                lines.append(line)
        self._take(rest)
        return lines

    def end(self) -> list[Line]:
        """The last line, when the file does not end with a newline."""
        line = self._finish()
        return [] if line is None else [line]

    def _take(self, piece: bytes) -> None:
        self._length += len(piece)
        if self._digest is not None:
            self._digest.update(piece)
        elif self._length > self._cap:
            self._digest = hashlib.sha256(b"".join(self._held) + piece)
            self._held = []
        elif piece:
            self._held.append(piece)

    def _finish(self) -> Line | None:
        held = self._held
        data = held[0] if len(held) == 1 else b"".join(held)
        number, offset, digest = self._number, self._offset, self._digest
        self._number += 1
        self._offset += self._length + 1
        self._length = 0
        self._held = []
        self._digest = None

        if digest is not None:
            return Line(number, offset, b"", digest.digest())
        return line_of(number, offset, data)


def line_of(number: int, offset: int, data: bytes) -> Line | None:
    """A line without the marks of other systems; None when it is blank then."""
    if data.endswith(b"\r"):
        data = data[:-1]
    if number == 1 and data.startswith(_BOM):
        data = data[len(_BOM) :]
    if not data or data.isspace():
        return None
    return Line(number, offset, data)


def lines_of(fd: int, *, cap: int = LINE_CAP, start: int = 0, end: int | None = None) -> Iterator[Line]:
    """
    The lines of an open regular file, without moving its position.

    Args:
        fd: a descriptor that can be read at any place.
        cap: bytes of the longest line that is held.
        start: where the first line begins; numbers and offsets count from there.
        end: read no further than this; None reads to the end of the file.
    """
    splitter = Splitter(cap=cap)
    for chunk in chunks_of(fd, start=start, end=end):
        yield from splitter.feed(chunk)
    yield from splitter.end()


def regions_of(fd: int, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """
    The bytes of a regular file in pieces that end with a line.

    Two exceptions: the rest after the last newline, and parts of a line that is longer than a piece.
    """
    place = start
    while chunk := os.pread(fd, CHUNK if end is None else min(CHUNK, end - place), place):
        whole = chunk.rfind(b"\n") + 1
        region = chunk[:whole] if whole else chunk
        place += len(region)
        yield region


def chunks_of(fd: int, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """The bytes of an open regular file in pieces, without moving its position."""
    place = start
    while chunk := os.pread(fd, CHUNK if end is None else min(CHUNK, end - place), place):
        place += len(chunk)
        yield chunk


def count_lines(fd: int, *, start: int = 0, end: int | None = None) -> int:
    """Newlines in a regular file, and one more when it does not end with one: rows, if none is blank."""
    count = 0
    last = b"\n"
    for chunk in chunks_of(fd, start=start, end=end):
        count += chunk.count(b"\n")
        last = chunk[-1:]
    return count + (last != b"\n")
