"""
Walks the input and ends each line in the way the walk says.

Law of this file: a line that is no row, a name that occurred before and a row
that is done are ended here, without a call; all others are offered to the lanes,
in order, as fast as those take them. While it skips what is done it lets the loop
have a turn now and then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import attrs

from .lanes import Lanes
from .ledger import Edited, identities
from .lines import error_line
from .output import Output, edited_sentence
from .row import Flaw, Row, duplicate
from .source import Source
from .stops import Stop, Why
from .tally import Tally
from .walk import SUSPECTS_CAP, Step, Walk

_LINES_IN_A_ROW: Final = 256
# Rounds of the loop in which the last rows join the queue: a call that joins later says that the input goes on.
_ROUNDS_TO_JOIN: Final = 3


@attrs.define(eq=False)
class Feeder:
    """
    Args:
        max_rows: rows to begin at most, or None.
        end: stops the run.
        input_ended: the walk has seen the last line, and every row has begun.
    """

    source: Source
    walk: Walk
    output: Output
    lanes: Lanes
    tally: Tally
    max_rows: int | None
    end: Callable[[Stop], None]
    input_ended: bool = attrs.field(init=False, default=False)

    async def run(self) -> None:
        """Begin every row that has to be sent; return when all are begun, or when the run is to end."""
        self.lanes.open()
        try:
            whole = await self._walk() and await self._prove()
            while self.lanes.parked:
                await self.lanes.moved()
        finally:
            self.lanes.drop()
        if whole:
            self.input_ended = True
            self.output.note_rows(self.walk.rows)
            for _ in range(_ROUNDS_TO_JOIN):
                await asyncio.sleep(0)
            self.lanes.end_input()

    async def _walk(self) -> bool:
        """Take every line; False when the run has to end."""
        in_a_row = 0
        skip = self.walk.skip if self.walk.glances else None
        async with contextlib.aclosing(self.source.batches(skip, busy=self._is_busy)) as batches:
            async for lines in batches:
                for line in lines:
                    step, row = self.walk.take(line)
                    if step is Step.RUN and isinstance(row, Row) and self.max_rows is None:  # what most of them are
                        self.source.remember(row)
                        self.lanes.offer(row)
                        while self.lanes.full:
                            await self.lanes.moved()
                    elif row is not None and not await self._carry_out(step, row):
                        return False
                    in_a_row += 1
                    if in_a_row >= _LINES_IN_A_ROW:
                        in_a_row = 0
                        await asyncio.sleep(0)
        return True

    def _is_busy(self) -> bool:
        return bool(self.lanes.tasks)

    async def _carry_out(self, step: Step, row: Row | Flaw) -> bool:
        """End one line; False when the run has to end."""
        self.source.remember(row)
        if step is Step.EDITED:
            return await self._edited(row)
        if step is Step.SUSPECT:
            self.walk.suspects[-1] = self.source.slim(row)
            return len(self.walk.suspects) < SUSPECTS_CAP or await self._prove()
        if step is Step.RUN or step is Step.FLAW:
            return await self._end_new(row)
        return True

    async def _end_new(self, row: Row | Flaw) -> bool:
        """A row nobody has ended before: send it, or say what is wrong with it."""
        if isinstance(row, Flaw):
            self.write_error(row, row.code, row.message)
            self.tally.refused(row.code)
            return True
        if self.max_rows is not None and self.tally.started + self.lanes.parked >= self.max_rows:
            self.end(Stop(Why.MAX_ROWS, f"the {self.max_rows} rows of --max-rows are done"))
            return False
        self.lanes.offer(row)
        while self.lanes.full:
            await self.lanes.moved()
        return True

    # -- proofs -----------------------------------------------------------------------

    async def _prove(self) -> bool:
        """Look for the first line of every suspected name, and end the suspects; False when the run has to end."""
        suspects, self.walk.suspects = self.walk.suspects, []
        firsts: dict[str, int] = {}
        names = {suspect.custom_id for suspect in suspects if suspect.custom_id is not None}
        for found in self.source.first_lines(names) if names else ():
            if found is None:
                await asyncio.sleep(0)
            else:
                firsts[found[0]] = found[1]

        for suspect in suspects:
            row = self.source.again(suspect)
            first = firsts.get(suspect.custom_id or "", row.number)
            if first < row.number:
                await self._end_new(duplicate(row, first))
            elif not await self._end_as_new(row):
                return False
        return True

    async def _end_as_new(self, row: Row | Flaw) -> bool:
        """A row whose fingerprint is another row's: what the table says of it is worth nothing."""
        if row.custom_id is not None and row.id in self._known(row.custom_id):
            self.walk.done_before += 1
            return True
        return await self._end_new(row)

    async def _edited(self, row: Row | Flaw) -> bool:
        known = set() if row.custom_id is None else self._known(row.custom_id)
        if row.custom_id is not None and known and row.id not in known:
            where = "the output" if self.output.paths is None else self.output.paths.out
            self.end(Stop(Why.EDITED, edited_sentence([Edited(row.number, row.custom_id)], where)))
            return False
        return await self._end_as_new(row)

    def _known(self, custom_id: str) -> set[str]:
        return identities([custom_id], self.output.readable())[custom_id]

    # -- the errors file ----------------------------------------------------------------

    def write_error(
        self,
        row: Row | Flaw,
        code: str,
        message: str,
        status: int | None = None,
        request_id: str | None = None,
        content: bytes = b"",
    ) -> None:
        """Append the line of a failed row."""
        facts = row.lines if isinstance(row, Flaw) else {}
        line = error_line(row, code, message, status=status, request_id=request_id, content=content, **facts)
        self.output.errors.append(line)
