"""
Failed rows once more.

Law of this file: the errors file is put aside, never lost. Before a row runs
again its error line stands in ``OUT.errors.<n>.jsonl``; the new errors file holds
the lines of the rows that do not run again. At every moment the name
``OUT.errors.jsonl`` is the old file or the new one, each of them whole.

Rows are chosen by their names, so a row that was mended in the input runs as it
is now. A line that was no row had no name: whatever stands there now and was never
run is chosen in its place. A retry that was stopped goes on: what stands in a file put aside and has
no line since is chosen, too. All other rows are passed over.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any, ClassVar, Final

import attrs

from . import journal
from .disk import sync_folder, write_all
from .fingerprints import Seen, row_bits
from .journal import Journal
from .jsonl import Line, lines_of
from .lines import parse, read_line
from .output import Output
from .row import Flaw, Row, mark_of, mark_of_line
from .shards import ShardWalk
from .walk import Step

# Lines in one write.
_TOGETHER: Final = 1000
_STATUS: Final = re.compile(r"[1-5](?:\d\d|xx)", re.ASCII)
_NAME: Final = re.compile(r"[a-z][a-z0-9_.-]*", re.ASCII)


@attrs.frozen
class Codes:
    """
    Which failures run again.

    Args:
        words: "429", "5xx", or the code of an error line such as "deadline_exceeded"; none: all.
    """

    words: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str) -> Codes:
        """
        Codes as people type them: "429,5xx,deadline_exceeded".

        Raises:
            ValueError: one of them can be no code.
        """
        words = tuple(word.strip().lower() for word in text.split(",") if word.strip())
        wrong = [word for word in words if not _STATUS.fullmatch(word) and not _NAME.fullmatch(word)]
        if wrong or not words:
            raise ValueError(f"{text!r} holds no codes; write statuses and codes of error lines: 429,5xx,no_answer")
        return cls(words)

    def match(self, line: bytes) -> bool:
        """Did the row of this line of the errors file fail with one of them?"""
        if not self.words:
            return True
        found: Any = parse(line)
        status = (found.get("response") or {}).get("status_code")
        code = (found.get("error") or {}).get("code")
        return any(word == code or _fits(word, status) for word in self.words)


def _fits(word: str, status: object) -> bool:
    if not isinstance(status, int) or not _STATUS.fullmatch(word):
        return False
    return word == f"{status // 100}xx" if word.endswith("xx") else word == str(status)


@attrs.frozen
class Chosen:
    """
    What runs again.

    Args:
        marks: of rows.
        lines: numbers of lines of the input.
    """

    marks: frozenset[int] = frozenset()
    lines: frozenset[int] = frozenset()


def set_aside(output: Output, codes: Codes) -> Chosen:
    """
    Put the errors file of *output* aside and begin a new one; returns what is to run.

    Where no line of it runs again the file stays as it is.
    """
    paths = output.paths
    assert paths is not None, "an output on stdout has no errors file"
    again: dict[int, bool] = {}
    lines: dict[int, int] = {}
    for mark, text, line in _lines(output.errors.fd):
        again[mark] = codes.match(text)
        if line is not None:
            lines[mark] = line
    chosen = {mark for mark, matches in again.items() if matches}
    if chosen:
        output.errors = _renewed(output.errors, paths.next_retired(), chosen)
    for path in paths.retired():
        for mark, line in _marks(path):
            if mark not in again:
                chosen.add(mark)
                if line is not None:
                    lines[mark] = line
    return Chosen(frozenset(chosen), frozenset(line for mark, line in lines.items() if mark in chosen))


def _renewed(errors: Journal, aside: str, chosen: set[int]) -> Journal:
    disk, path = errors.disk, errors.name
    temporary = path + ".tmp"  # nobody else is at it: OUT is locked
    with contextlib.suppress(FileNotFoundError):
        disk.unlink(temporary)
    fd = journal.open_file(temporary, disk)
    try:
        kept: list[bytes] = []
        for mark, text, _ in _lines(errors.fd):
            if mark not in chosen:
                kept.append(text + b"\n")
            if len(kept) >= _TOGETHER:
                write_all(fd, b"".join(kept), disk)
                kept.clear()
        write_all(fd, b"".join(kept), disk)
        disk.sync(fd)
        try:
            disk.link(path, aside)
        except (OSError, NotImplementedError):  # a file system without links
            disk.rename(path, aside)
        disk.rename(temporary, path)
        sync_folder(path, disk)
    except BaseException:
        with contextlib.suppress(OSError):
            disk.close(fd)
        with contextlib.suppress(OSError):
            disk.unlink(temporary)
        raise
    with contextlib.suppress(OSError):  # it was read only
        disk.close(errors.fd)
    return attrs.evolve(errors, fd=fd)


def _lines(fd: int) -> Iterator[tuple[int, bytes, int | None]]:
    """Every line of an errors file that can be read, with its mark, and the line of the input it is about, if any."""
    for line in lines_of(fd):
        finished = None if line.too_long else read_line(line.data)
        if finished is not None and finished.id:
            about_line = finished.line is not None or finished.custom_id is None
            mark = mark_of_line(finished.line or 0, finished.id) if about_line else mark_of(finished.custom_id or "")
            yield mark, line.data, finished.line


def _marks(path: str) -> Iterator[tuple[int, int | None]]:
    with open(path, "rb") as file:
        for mark, _, line in _lines(file.fileno()):
            yield mark, line


@attrs.define(eq=False)
class RetryWalk(ShardWalk):
    """
    Args:
        chosen: what runs again; of the other rows those that are done or failed stay so,
            and those that nobody has run yet are passed over.
    """

    chosen: Chosen = attrs.field(kw_only=True, factory=Chosen)
    _is_repeated: bool = attrs.field(init=False, default=False)
    skips_failed: ClassVar[bool] = False  # they need a look here

    def take(self, line: Line) -> tuple[Step, Row | Flaw | None]:
        self._is_repeated = False
        step, row = super().take(line)
        if row is None or self._is_repeated or step is Step.DONE:
            return step, row
        if row.mark in self.chosen.marks or (step is not Step.FAILED and row.number in self.chosen.lines):
            if step is Step.FAILED:
                self.failed_before -= 1
            return (Step.FLAW if isinstance(row, Flaw) else Step.RUN), row
        if step is Step.FAILED:
            return step, row
        self.passed += 1
        return Step.OTHER, row

    def _repeated(self, row: Row | Flaw) -> Step:
        self._is_repeated = True
        mark = mark_of_line(row.number, row.id)
        known = self.table.visit(mark, row_bits(row.id))
        if mark not in self.chosen.marks:
            if known is Seen.FAILED:
                self.failed_before += 1
                return Step.FAILED
            self.passed += 1
            return Step.OTHER
        if row.custom_id is None:  # another row's fingerprint happens to be its own
            return Step.FLAW
        self.suspects.append(row)
        return Step.SUSPECT
