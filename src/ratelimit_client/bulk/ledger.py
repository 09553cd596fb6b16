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

from collections.abc import Iterable
from typing import Final

import attrs

from ..errors import ConfigurationError
from .fingerprints import Fingerprints, Seen, State, row_bits
from .journal import Tail, look_at_tail
from .jsonl import lines_of
from .lines import Finished, read_line
from .row import glance, mark_of, mark_of_line, read_row
from .source import Source

_FIRST: Final = b'{"id": "rlc_'
SHOWN: Final = 10


@attrs.define(eq=False)
class Ledger:
    """
    Args:
        table: every finished name.
        done, failed: lines that say so, of OUT and of the errors file.
        bad: files and line numbers that could not be read; their rows run again.
    """

    table: Fingerprints = attrs.field(factory=Fingerprints)
    done: int = 0
    failed: int = 0
    bad: list[tuple[str, int]] = attrs.field(factory=list)
    bad_count: int = 0

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
        ours = 0
        for line in lines_of(fd, end=tail.keep):
            finished = None if line.too_long else read_line(line.data)
            if finished is None:
                self._bad(path, line.number)
            elif not finished.id:
                raise _foreign(path, line.number)
            else:
                ours += 1
                self._take(finished, state)
        if not ours and not self._could_be_ours(tail):
            raise _foreign(path, 1)
        return tail

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
        if state is State.DONE:
            self.done += 1
        else:
            self.failed += 1

    def _bad(self, path: str, number: int) -> None:
        self.bad_count += 1
        if len(self.bad) < SHOWN:
            self.bad.append((path, number))


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
    for line in source.lines():
        guess = glance(line)
        if guess is not None and table.look(guess[0], row_bits(guess[1])) is Seen.DONE:
            continue
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
