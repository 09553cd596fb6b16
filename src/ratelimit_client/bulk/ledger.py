"""
What an output already holds, and which rows of an input are still to be done.

Law of this file: a row is finished when a whole line of OUT or of the errors
file says so, and never for any other reason. An answer in OUT overrides every
error line; of several lines of one name in one file the last counts.

An output belongs to our job when every whole line in it has an identity of ours.
One that does not is refused before anything in it is touched.

Names in memory are fingerprints (fingerprints.py), so two suspicions are proved
by reading the files again before anything follows from them: that a name
occurred before, and that a finished row was edited.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from ..errors import ConfigurationError
from .fingerprints import Fingerprints, Seen, State, row_bits
from .journal import Tail, look_at_tail
from .jsonl import Line, Splitter, count_lines, lines_of, regions_of
from .lines import Finished, read_line
from .row import mark_of, mark_of_line, read_row
from .skim import Piece, has_edited, pass_finished, prints_of_output, undo
from .source import Source

_FIRST: Final = b'{"id": "rlc_'
SHOWN: Final = 10
_COUNTED_BYTES: Final = 4 << 30


@attrs.define(eq=False)
class Ledger:
    """
    Args:
        table: every finished name.
        done, failed: lines that say so, of OUT and of the errors file.
        bad: files and line numbers that could not be read; their rows run again.
        counted_bytes: longer files are not read twice only to make room for what is in them.
    """

    table: Fingerprints = attrs.field(factory=Fingerprints)
    done: int = 0
    failed: int = 0
    bad: list[tuple[str, int]] = attrs.field(factory=list)
    bad_count: int = 0
    counted_bytes: int = _COUNTED_BYTES

    @property
    def resumes(self) -> bool:
        """Is there anything an earlier run left?"""
        return bool(self.done or self.failed)

    def read(self, fd: int, path: str, state: State) -> Tail:
        """
        Take in one file and say how its end has to be mended.

        Raises:
            ConfigurationError: the file is not ours; nothing in it was changed.
        """
        tail = look_at_tail(fd)
        if tail.keep <= self.counted_bytes:
            self.table.expect(count_lines(fd, end=tail.keep))
        before = self.done + self.failed
        splitter = Splitter()
        with _uncollected():
            for region in regions_of(fd, end=tail.keep):
                if not (splitter.at_start and self._take_all(region, splitter, state)):
                    self._take_singly(splitter.feed(region), path, state)
            self._take_singly(splitter.end(), path, state)
        if self.done + self.failed == before and not self._could_be_ours(tail):
            raise _foreign(path, 1)
        return tail

    def _take_all(self, region: bytes, splitter: Splitter, state: State) -> bool:
        """Whole lines of the usual form at once; False when they have to be taken singly."""
        prints = prints_of_output(region)
        if prints is None:
            return False
        marks, rows = prints
        self.table.record_all(marks, rows, state)
        splitter.skip(len(marks), len(region))
        self._count(len(marks), state)
        return True

    def _take_singly(self, lines: Iterable[Line], path: str, state: State) -> None:
        for line in lines:
            finished = None if line.too_long else read_line(line.data)
            if finished is None:
                self._bad(path, line.number)
            elif not finished.id:
                raise _foreign(path, line.number)
            else:
                self._take(finished, state)

    def _could_be_ours(self, tail: Tail) -> bool:
        """No whole line of ours: empty, or torn in the first line."""
        if tail.keep and not tail.newline:
            return False
        return _FIRST.startswith(tail.text[: len(_FIRST)])

    def _take(self, finished: Finished, state: State) -> None:
        if finished.line is not None or finished.custom_id is None:
            mark = mark_of_line(finished.line or 0, finished.id)
        else:
            mark = mark_of(finished.custom_id)
        self.table.record(mark, row_bits(finished.id), state)
        self._count(1, state)

    def _count(self, lines: int, state: State) -> None:
        if state is State.DONE:
            self.done += lines
        else:
            self.failed += lines

    def _bad(self, path: str, number: int) -> None:
        self.bad_count += 1
        if len(self.bad) < SHOWN:
            self.bad.append((path, number))


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Values of JSON make no cycles: a tenth of the time would go into looking for some."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _foreign(path: str, number: int) -> ConfigurationError:
    return ConfigurationError(
        f"{path} holds something else: line {number} is no row written by this program; "
        "give another output, or --overwrite to replace it"
    )


@attrs.frozen
class Edited:
    """A finished row whose line in the input is another one now."""

    number: int
    custom_id: str


def edited_rows(source: Source, table: Fingerprints, finished_fds: Iterable[int]) -> list[Edited]:
    """All finished rows of a regular input that were edited since, in order."""
    suspects: dict[str, tuple[int, str]] = {}
    with source.reading():
        for line in _unfinished_lines(source, table):
            row = read_row(line)
            if row.custom_id is not None and table.look(row.mark, row_bits(row.id)) is Seen.EDITED:
                suspects.setdefault(row.custom_id, (row.number, row.id))
    if not suspects:
        return []

    known = identities(suspects, finished_fds)
    firsts = dict(found for found in source.first_lines(suspects) if found is not None)
    return [
        Edited(number, custom_id)
        for custom_id, (number, id_) in suspects.items()
        # A later line of a name is a repetition, not an edition.
        if firsts.get(custom_id) == number and known[custom_id] and id_ not in known[custom_id]
    ]


def _unfinished_lines(source: Source, table: Fingerprints) -> Iterator[Line]:
    """
    The lines among which edited rows may be.

    Pieces of the input in which all is finished are passed for good, so that the walk need not look at them again.
    """
    splitter = Splitter()
    for region in regions_of(source.fd, start=source.start):
        if splitter.at_start and region.endswith(b"\n"):
            piece = Piece(region, splitter.number, splitter.offset)
            passed = pass_finished(table, piece)
            if passed.size == len(region):
                table.passed[splitter.offset] = passed
                splitter.skip(passed.lines, passed.size)
                continue
            undo(table, piece, passed)
            if not has_edited(table, piece):
                splitter.skip(region.count(b"\n"), len(region))
                continue
        yield from splitter.feed(region)
    yield from splitter.end()


def identities(names: Iterable[str], fds: Iterable[int]) -> dict[str, set[str]]:
    """The identities under which *names* finished: for each file that of its last line."""
    found: dict[str, set[str]] = {name: set() for name in names}
    for fd in fds:
        last: dict[str, str] = {}
        for line in lines_of(fd):
            finished = None if line.too_long else read_line(line.data)
            if finished is not None and finished.line is None and finished.custom_id in found:
                last[finished.custom_id] = finished.id
        for name, id_ in last.items():
            found[name].add(id_)
    return found
