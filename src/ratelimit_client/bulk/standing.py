"""
How a job stands, read off its files.

Law of this file: it looks and changes nothing; what it says is what the next run
would find. A row is answered when a line of OUT says so, whatever the errors
file holds of it; it failed when only the errors file does; else it is still to
be done. Of several lines of one name the last is valid.

Names are fingerprints here as in a run (fingerprints.py), so of ten million rows
a count may be off by one in one of 200 jobs.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections import Counter
from collections.abc import Iterator, Set

import attrs

from ..errors import ConfigurationError
from . import manifest
from .fingerprints import Fingerprints, Seen, State, row_bits
from .journal import look_at_tail
from .jsonl import lines_of
from .lines import Finished, read_line
from .manifest import Manifest, Paths
from .mended import LineErrors, stale
from .row import mark_of, mark_of_line
from .shards import Shard, parts_of

_SHOWN = 10
_COUNTED_BYTES = 2 << 30


@attrs.define(eq=False)
class Standing:
    """
    Args:
        paths: the files of one output, or of one shard of it.
        shard: which; None for a whole output.
        manifest: what ``OUT.job.json`` says; None when there is none.
        ok, failed: rows by how they ended.
        retried: rows put aside by a retry that have no line since: they are still to be done.
        repeated: lines that a later one of the same name replaces.
        mended: errors about lines that the input has no more.
        codes: failed rows by the code of their error.
        bad: files and numbers of lines that cannot be read, the first ten; *bad_count* of all.
        torn: files whose last line is not whole.
    """

    paths: Paths
    shard: Shard | None = None
    manifest: Manifest | None = None
    ok: int = 0
    failed: int = 0
    retried: int = 0
    repeated: int = 0
    mended: int = 0
    codes: Counter[str] = attrs.field(factory=Counter)
    bad: list[tuple[str, int]] = attrs.field(factory=list)
    bad_count: int = 0
    torn: list[str] = attrs.field(factory=list)
    about_lines: LineErrors = attrs.field(factory=LineErrors)
    _table: Fingerprints = attrs.field(factory=Fingerprints)
    _failed: dict[int, str] = attrs.field(init=False, factory=dict)
    _again: set[int] = attrs.field(init=False, factory=set)

    def read(self) -> None:
        """
        Take in all files.

        Raises:
            ConfigurationError: there is no such output, or it is none of ours.
        """
        self.manifest = manifest.load(self.paths.manifest)
        for mark, finished in self._lines(self.paths.out):
            before = len(self._table)
            self._table.record(mark, row_bits(finished.id), State.DONE)
            self.repeated += len(self._table) == before
        self.ok = len(self._table)
        if os.path.exists(self.paths.errors):
            for mark, finished in self._lines(self.paths.errors):
                if self._table.look(mark, 0) is Seen.NEW:
                    self.repeated += mark in self._failed
                    self._failed[mark] = finished.code or ""
                    self.about_lines.add(mark, finished)
        for path in self.paths.retired():
            for mark, finished in self._lines(path):
                if mark not in self._failed and self._table.look(mark, 0) is Seen.NEW:
                    self._again.add(mark)
                    self.about_lines.add(mark, finished)
        self._count()

    def forget(self, stale: Set[int]) -> None:
        """Errors with these marks count no more."""
        before = self.failed + self.retried
        self._failed = {mark: code for mark, code in self._failed.items() if mark not in stale}
        self._again -= stale
        self._count()
        self.mended = before - self.failed - self.retried

    def _count(self) -> None:
        self.failed, self.codes, self.retried = len(self._failed), Counter(self._failed.values()), len(self._again)

    def _lines(self, path: str) -> Iterator[tuple[int, Finished]]:
        """Mark and content of every line of *path* that can be read."""
        with opened(path) as fd:
            tail = look_at_tail(fd)
            if tail.cut or tail.newline:
                self.torn.append(path)
            for line in lines_of(fd, end=tail.keep):
                finished = None if line.too_long else read_line(line.data)
                if finished is None:
                    self._note_bad(path, line.number)
                elif not finished.id:
                    raise ConfigurationError(
                        f"{path} is no output of this program: line {line.number} is none of its lines"
                    )
                else:
                    yield _mark(finished), finished

    def _note_bad(self, path: str, number: int) -> None:
        self.bad_count += 1
        if len(self.bad) < _SHOWN:
            self.bad.append((path, number))


def _mark(finished: Finished) -> int:
    if finished.line is not None or finished.custom_id is None:
        return mark_of_line(finished.line or 0, finished.id)
    return mark_of(finished.custom_id)


@contextlib.contextmanager
def opened(path: str) -> Iterator[int]:
    """
    A descriptor of a file that is read and not changed.

    Raises:
        ConfigurationError: it cannot be read, or is no regular file.
    """
    try:
        # Without blocking, or a FIFO would wait for its writer.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ConfigurationError(f"{path} is no file of answers")
        yield fd
    finally:
        os.close(fd)


@attrs.frozen
class Report:
    """
    An output with all its shards.

    Args:
        parts: each shard that was begun, or the one output.
        rows: of the input; None when nobody knows.
        missing: shards that were not begun.
    """

    parts: list[Standing]
    rows: int | None
    missing: list[Shard]

    @property
    def ok(self) -> int:
        return sum(part.ok for part in self.parts)

    @property
    def failed(self) -> int:
        return sum(part.failed for part in self.parts)

    @property
    def left(self) -> int | None:
        """Rows still to be done; None when nobody knows."""
        return None if self.rows is None else max(0, self.rows - self.ok - self.failed)

    @property
    def well(self) -> bool:
        """All rows are answered, and every line can be read."""
        return self.left == 0 and not self.failed and not self.missing and not any(p.bad_count for p in self.parts)


def look(out: str) -> Report:
    """
    How the job of *out* stands.

    Raises:
        ConfigurationError: there is no such output, or it is none of ours.
    """
    parts = parts_of(out)
    found = [Standing(Paths(path), shard) for shard, path in parts.items()]
    if os.path.exists(out) or not found:
        found.insert(0, Standing(Paths(out)))
    for standing in found:
        standing.read()
    missing = [
        Shard(number, of)
        for of in sorted({shard.of for shard in parts})
        for number in range(1, of + 1)
        if Shard(number, of) not in parts
    ]
    return Report(found, _rows(found, missing), missing)


def _rows(parts: list[Standing], missing: list[Shard]) -> int | None:
    """Rows of the input as it is now; where it cannot be read, as the job files noted them."""
    inputs = {part.manifest.input for part in parts if part.manifest is not None}
    if len(inputs) == 1 and (counted := _hold_against(inputs.pop(), parts)) is not None:
        return counted
    for part in parts:
        if part.manifest is not None and part.manifest.of_all and part.manifest.rows is not None:
            return part.manifest.rows
    noted = [None if part.manifest is None else part.manifest.rows for part in parts]
    known = [rows for rows in noted if rows is not None]
    return sum(known) if len(known) == len(noted) and not missing else None


def _hold_against(path: str, parts: list[Standing]) -> int | None:
    """
    Lines of *path* that are not blank, with the errors dropped that they have outlived.

    None for what is no file, cannot be read or is too large to read just for this.
    """
    try:
        if path == "-" or not os.path.isfile(path) or os.path.getsize(path) > _COUNTED_BYTES:
            return None
        with open(path, "rb") as file:
            count, marks = stale((part.about_lines for part in parts), file.fileno())
    except OSError:
        return None
    for part in parts if marks else ():
        part.forget(marks)
    return count
