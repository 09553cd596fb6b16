"""
Errors about lines, held against the input as it is now.

Law of this file: an error that names a line rather than a row stands as long as a run
would say the same of that line again. A line that was no row and has been mended or has
moved, a name that is the first of its kind by now: what was said of them counts no more.
Where the input cannot be read, everything stands.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from .jsonl import Line, lines_of
from .lines import Finished
from .row import INVALID_LINE, mark_of_line, read_row
from .shards import name_at_a_glance


@attrs.define(eq=False)
class LineErrors:
    """
    Args:
        marks: of the errors, by the number of their line.
        names: of rows that were said to have an earlier row's name.
    """

    marks: dict[int, set[int]] = attrs.field(factory=dict)
    names: set[bytes] = attrs.field(factory=set)

    def add(self, mark: int, error: Finished) -> None:
        """Note a line of the errors file, if it is about a line."""
        if error.line is None:
            return
        self.marks.setdefault(error.line, set()).add(mark)
        if error.code != INVALID_LINE and error.custom_id is not None:
            self.names.add(_bytes(error.custom_id))

    def all(self) -> set[int]:
        """Marks of all of them."""
        return {mark for marks in self.marks.values() for mark in marks}

    def standing(self, fd: int) -> tuple[int, set[int]]:
        """The number of lines of an input, and the marks of the errors that stand."""
        count, found, met = 0, set(), set[bytes]()
        for line in lines_of(fd):
            count += 1
            name = self._name(line)
            mark = self._mark(line, name in met) if line.number in self.marks else None
            if mark is not None:
                found.add(mark)
            if name is not None and name in self.names:
                met.add(name)
        return count, found

    def _name(self, line: Line) -> bytes | None:
        """The name of the row that *line* is, if somebody asks for names."""
        if not self.names:
            return None
        name = name_at_a_glance(line.data)
        if name is not None and name not in self.names:
            return None
        row = read_row(line)
        return None if row.custom_id is None else _bytes(row.custom_id)

    def _mark(self, line: Line, is_repeated: bool) -> int | None:
        row = read_row(line)
        if row.custom_id is not None and not is_repeated:
            return None
        mark = mark_of_line(line.number, row.id)
        return mark if mark in self.marks[line.number] else None


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def stale(errors: Iterable[LineErrors], fd: int) -> tuple[int, set[int]]:
    """The number of lines of an input, and the marks of the errors that count no more."""
    whole = LineErrors()
    for each in errors:
        for number, marks in each.marks.items():
            whole.marks.setdefault(number, set()).update(marks)
        whole.names |= each.names
    count, standing = whole.standing(fd)
    return count, whole.all() - standing
