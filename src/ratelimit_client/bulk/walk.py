"""
One walk over the input: what has to be done for each line.

Law of this file: every line that is not blank gets exactly one of four ends. It
is run, it is finished already, it is written to the errors file as a flaw, or it
waits for a proof because its name looks like one met before.

The walk decides and counts; the job carries out.
"""

from __future__ import annotations

import enum
from typing import ClassVar, Final

import attrs

from .fingerprints import Fingerprints, Passed, Seen, row_bits
from .jsonl import Line
from .row import Flaw, Row, glance, mark_of_line, read_row
from .skim import Piece, pass_finished, undo

# Rows that wait for their proof: enough to make reading the input again rare, few enough to hold.
SUSPECTS_CAP: Final = 20_000
MODELS_CAP: Final = 2


class Step(enum.Enum):
    """What has to be done for a line."""

    RUN = "run"
    DONE = "done"
    FAILED = "failed"
    FLAW = "flaw"
    SUSPECT = "suspect"
    EDITED = "edited"
    OTHER = "other"  # not for this run


@attrs.define(eq=False)
class Walk:
    """
    Args:
        table: names finished by earlier runs; names met are noted there.
        rerun_edited: run rows that were edited since they finished.
        glances: lines that are done need not be read closely; only where the input can be read again.
        rows: lines met that are not blank.
        offset, bytes: where the line met last begins, and where it ends.
        done_before, failed_before: rows met that earlier runs finished.
        passed: rows met that are left to other runs.
        suspects: rows whose names look like earlier ones, to be proved.
        answered: models of rows that earlier runs finished, as far as anybody looked; two at most.
    """

    table: Fingerprints
    rerun_edited: bool = False
    glances: bool = False
    rows: int = 0
    offset: int = 0
    bytes: int = 0
    done_before: int = 0
    failed_before: int = 0
    passed: int = 0
    suspects: list[Row | Flaw] = attrs.field(factory=list)
    answered: set[str] = attrs.field(factory=set)
    skips_failed: ClassVar[bool] = True

    def __attrs_post_init__(self) -> None:
        if self.table.passed and not self.glances:
            self.table.forget_all_visits()

    def take(self, line: Line) -> tuple[Step, Row | Flaw | None]:
        """The next line of the input; it is not read closely when it is finished at a glance."""
        self.rows += 1
        self.offset = line.offset
        self.bytes = line.offset + len(line.data)
        if self.glances and (step := self._glance(line)) is not None:
            return step, None
        row = read_row(line)
        seen = self.table.visit(row.mark, row_bits(row.id))
        if seen is Seen.NEW:
            return (Step.FLAW if isinstance(row, Flaw) else Step.RUN), row
        if seen is Seen.DONE:
            self.done_before += 1
            if isinstance(row, Row):
                self.note_answered(row.model)
            return Step.DONE, row
        if seen is Seen.FAILED:
            self.failed_before += 1
            return Step.FAILED, row
        if seen is Seen.REPEATED:
            return self._repeated(row), row
        return self._edited(row), row

    def skip(self, piece: Piece) -> Passed:
        """Pass the finished rows at the beginning of a piece of the input."""
        passed = self.table.passed.pop(piece.offset, None)
        if passed is not None and passed.failed and not self.skips_failed:
            undo(self.table, piece, passed)
            passed = None
        if passed is None or passed.size > len(piece.data):
            passed = pass_finished(self.table, piece, failed=self.skips_failed)
        if passed.size:
            self.rows += passed.lines
            self.done_before += passed.lines - passed.failed
            self.failed_before += passed.failed
            self.offset = piece.offset + piece.data.rfind(b"\n", 0, passed.size - 1) + 1
            self.bytes = piece.offset + passed.size - 1
        return passed

    def note_answered(self, model: str) -> None:
        """An earlier run got an answer of *model*; two say of each whether another one answered."""
        if len(self.answered) < MODELS_CAP:
            self.answered.add(model)

    def takes(self, row: Row) -> bool:
        """Is *row*, done or not, one of this run?"""
        return True

    def _glance(self, line: Line) -> Step | None:
        guess = glance(line)
        if guess is None:
            return None
        mark, row = guess[0], row_bits(guess[1])
        seen = self.table.look(mark, row)
        if seen is Seen.DONE:
            self.table.visit(mark, row)
            self.done_before += 1
            return Step.DONE
        return None

    def _repeated(self, row: Row | Flaw) -> Step:
        if self.table.visit(mark_of_line(row.number, row.id), row_bits(row.id)) is Seen.FAILED:
            self.failed_before += 1
            return Step.FAILED
        if row.custom_id is None:  # another row's fingerprint happens to be its own
            return Step.FLAW
        self.suspects.append(row)
        return Step.SUSPECT

    def _edited(self, row: Row | Flaw) -> Step:
        if not self.rerun_edited:
            return Step.EDITED
        return Step.FLAW if isinstance(row, Flaw) else Step.RUN
