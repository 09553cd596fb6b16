"""
Rows whose model the server does not know.

Law of this file: an unknown model fails its own rows, unless it is all there is.
Then it is a slip of the user's, a million error lines would help nobody, and the
run ends with every row still to be done.

So such rows are held back until a row of another model succeeds (then they
failed), or until it is sure that none can (then they stay to be done). A row that an
earlier run finished has succeeded as well; its model stands in the input only, which is
read again for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import attrs

from .feeder import Feeder
from .fingerprints import Seen, row_bits
from .outcome import Failed, Unknown
from .row import Row
from .stops import Stop
from .walk import MODELS_CAP

_CAP: Final = 1000
_ROWS_IN_A_ROW: Final = 64


@attrs.define(eq=False)
class UnknownModels:
    """
    Args:
        feeder: knows what is begun and what is left.
        fail: ends a row as failed.
        is_other_answered: has a row of another model than this succeeded?
        held: rows whose fate is open.
    """

    feeder: Feeder
    fail: Callable[[Row, Failed], None]
    is_other_answered: Callable[[str], bool]
    held: list[tuple[Row, Unknown]] = attrs.field(factory=list)
    _looking: asyncio.Task[None] | None = None

    def hold(self, row: Row, unknown: Unknown, end: Callable[[Stop], None]) -> None:
        """Keep a row until its fate is known; the first one makes us look whether other models are left."""
        self.held.append((row, unknown))
        if len(self.held) > _CAP:  # more than anybody's slip: they fail like other rows
            self._fail_all()
        elif self._looking is None and self.feeder.source.regular:
            self._looking = asyncio.create_task(self._look(row.model, unknown.stop, end), name="bulk: other models")

    def succeeded(self) -> None:
        """A row succeeded: those of other models failed by themselves."""
        held, self.held = self.held, []
        for row, unknown in held:
            if self.is_other_answered(row.model):
                self.fail(row, unknown.failed)
            else:
                self.held.append((row, unknown))

    async def judge(self, *, all_done: bool, end: Callable[[Stop], None]) -> None:
        """The run is over: if it did all it could, unknown models are all there is."""
        if self._looking is not None:
            if not all_done:
                self._looking.cancel()
            try:
                await asyncio.wait([self._looking])
            finally:
                self._looking.cancel()  # also when it is the run that is cancelled
            if not self._looking.cancelled() and (error := self._looking.exception()) is not None:
                raise error
        if self.held and all_done:
            end(self.held[0][1].stop)

    def looking(self) -> list[asyncio.Task[None]]:
        """The look that is under way, if any: for a run that ends without being judged."""
        return [] if self._looking is None else [self._looking]

    def _fail_all(self) -> None:
        held, self.held = self.held, []
        for row, unknown in held:
            self.fail(row, unknown.failed)

    async def _look(self, model: str, stop: Stop, end: Callable[[Stop], None]) -> None:
        """Nothing is begun while we look; ends the run when every row that is left asks for *model*."""
        lanes = self.feeder.lanes
        lanes.pauses += 1
        try:
            await self._recall()
            self.succeeded()
            if not self.held or any(row.model != model for row in lanes.rows()) or await self._is_other_ahead(model):
                return
            end(stop)
        finally:
            lanes.pauses -= 1
            lanes.look()

    async def _recall(self) -> None:
        """Find out whose rows earlier runs finished."""
        feeder, walk = self.feeder, self.feeder.walk
        if not feeder.output.ledger.done:
            return
        for number, row in enumerate(feeder.source.after(0)):
            if len(walk.answered) >= MODELS_CAP:
                return
            if number % _ROWS_IN_A_ROW == 0:
                await asyncio.sleep(0)
            if isinstance(row, Row) and walk.table.is_answered(row.mark, row_bits(row.id)):
                walk.note_answered(row.model)

    async def _is_other_ahead(self, model: str) -> bool:
        feeder = self.feeder
        # From the line the walk met last: it may not be begun yet.
        for number, row in enumerate(feeder.source.after(feeder.walk.offset)):
            if number % _ROWS_IN_A_ROW == 0:
                await asyncio.sleep(0)
            if isinstance(row, Row) and row.model != model and feeder.walk.takes(row):
                seen = feeder.walk.table.look(row.mark, row_bits(row.id))
                if seen in (Seen.NEW, Seen.EDITED) or number == 0:
                    return True
        return False
