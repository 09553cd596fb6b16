"""
Rows on their way to the limiter: a few of each model, no more.

Law of this file: bounded look-ahead. Of each model at most 64 rows for each worker are
begun beyond those that are out, so that the limiter can choose and memory stays flat;
one model that has to wait holds up no other.

A row whose model has enough begun is parked. A parked row costs its body and
nothing else: no task, no place in the queue. When a thousand are parked, nothing
more is read. A grant makes room, and the next parked row begins in the same turn
of the loop; so does an ending, and then it begins in the next turn, for many rows
end in one, and most of them make no room beyond what their grants made.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

import attrs

from .engines import Engine
from .row import Row
from .tally import Tally

AHEAD: Final = 64
# A deadline runs while a row waits in the queue, so with one hardly any may wait there.
AHEAD_OF_DEADLINE: Final = 2
AHEAD_IN_ALL: Final = 512
AHEAD_BYTES: Final = 32 << 20
PARKED: Final = 1024
PARKED_BYTES: Final = 16 << 20


@attrs.define(eq=False)
class Lane:
    """The rows of one model: begun and not ended (a count), and parked."""

    model: str
    begun: int = 0
    parked: deque[Row] = attrs.field(factory=deque)


@attrs.define(eq=False)
class Lanes:
    """
    Args:
        engine: knows how many calls are out.
        tally: is told of each row that is begun.
        send: what a row's task does.
        on_empty: called when the last row that was begun has ended.
        tasks: rows begun and not ended.
        pauses: while above zero no row is begun.
    """

    engine: Engine
    tally: Tally
    send: Callable[[Row], Coroutine[Any, Any, None]] = attrs.field(init=False)
    on_empty: Callable[[], None] = attrs.field(init=False)
    tasks: dict[asyncio.Task[None], Row] = attrs.field(init=False, factory=dict)
    parked: int = attrs.field(init=False, default=0)
    pauses: int = attrs.field(init=False, default=0)
    _lanes: dict[str, Lane] = attrs.field(init=False, factory=dict)
    _waiting: dict[str, Lane] = attrs.field(init=False, factory=dict)  # lanes with parked rows
    _bytes: int = attrs.field(init=False, default=0)
    _parked_bytes: int = attrs.field(init=False, default=0)
    _moved: asyncio.Future[None] | None = attrs.field(init=False, default=None)
    _input_ended: bool = attrs.field(init=False, default=False)
    _looks_soon: bool = attrs.field(init=False, default=False)
    _loop: asyncio.AbstractEventLoop = attrs.field(init=False)

    def open(self) -> None:
        """From now on every call that is let out makes room for the next."""
        self._loop = asyncio.get_running_loop()
        self.engine.on_room(self.look)

    def offer(self, row: Row) -> None:
        """Begin *row*, or park it."""
        lane = self._lanes.get(row.model)
        if lane is None:
            lane = self._lanes[row.model] = Lane(row.model)
        if not lane.parked:
            room, ahead = self._room(lane)
            if room > 0 and self._has_bytes(ahead):
                self._begin(lane, row)
                return
        lane.parked.append(row)
        self._waiting[row.model] = lane
        self.parked += 1
        self._parked_bytes += len(row.body)

    @property
    def full(self) -> bool:
        """Enough is parked: offer nothing more until something moved."""
        return self.parked >= PARKED or self._parked_bytes >= PARKED_BYTES

    async def moved(self) -> None:
        """Wait until a parked row was begun."""
        self._moved = self._loop.create_future()
        await self._moved

    def look(self) -> None:
        """Something changed: begin parked rows where there is room now."""
        if not self.parked:
            return
        moved = False
        for lane in tuple(self._waiting.values()):
            room, ahead = self._room(lane)
            while room > 0 and lane.parked and self._has_bytes(ahead):
                row = lane.parked.popleft()
                self.parked -= 1
                self._parked_bytes -= len(row.body)
                self._begin(lane, row)
                room -= 1
                ahead += 1
                moved = True
            if not lane.parked:
                del self._waiting[lane.model]
        if moved and self._moved is not None and not self._moved.done():
            self._moved.set_result(None)

    def end_input(self) -> None:
        """No more rows come: the limiter is told, and again as rows end, for one may have joined its queue late."""
        self._input_ended = True
        self.engine.end_of_input()

    def drop(self) -> None:
        """Forget what is parked: the run is ending, and those rows stay to be done."""
        self.parked = self._parked_bytes = 0
        for lane in self._waiting.values():
            lane.parked.clear()
        self._waiting.clear()

    def rows(self) -> Iterator[Row]:
        """All rows that are begun or parked."""
        yield from self.tasks.values()
        for lane in self._waiting.values():
            yield from lane.parked

    def _room(self, lane: Lane) -> tuple[int, int]:
        """How many rows may be begun now, and how many are begun beyond those that are out. None goes out meanwhile."""
        engine = self.engine
        ahead = lane.begun - engine.in_flight(lane.model)
        if self.pauses:
            return 0, ahead
        most = engine.workers * (AHEAD if engine.deadline_s is None else AHEAD_OF_DEADLINE)
        if ahead >= most:
            return 0, ahead
        most_in_all = engine.workers * AHEAD_IN_ALL
        return min(most - ahead, most_in_all + engine.in_flight() - len(self.tasks)), ahead

    def _has_bytes(self, ahead: int) -> bool:
        return self._bytes < AHEAD_BYTES or ahead <= 0

    def _begin(self, lane: Lane, row: Row) -> None:
        self.tally.start(row.model)
        self._bytes += len(row.body)
        lane.begun += 1
        task = self._loop.create_task(self.send(row))
        self.tasks[task] = row
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        row = self.tasks.pop(task)
        self._bytes -= len(row.body)
        self._lanes[row.model].begun -= 1
        if self.parked and not self._looks_soon:
            self._looks_soon = True
            self._loop.call_soon(self._look_again)
        if self._input_ended:
            self.engine.end_of_input()
        if not self.tasks:
            self.on_empty()

    def _look_again(self) -> None:
        self._looks_soon = False
        self.look()
