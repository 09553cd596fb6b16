"""
What a stream holds, and how it is given back.

Law of this file: a stream that has begun holds a place in flight, a connection, its count
at the door and its timers; it gives all of them back once, whoever ends it and how often
that is said, and is counted once.

Theory. It is no part of the stream itself, for a stream may be forgotten: then only this
is left, and is freed on the loop it belongs to.
"""

from __future__ import annotations

import asyncio
import contextlib

import attrs

from ...runtime.attempts import Attempt
from .door import Door
from .events import EventBody
from .tally import Operation, Tally, outcome_of


@attrs.define(eq=False, repr=False)
class Held:
    """
    Args:
        attempt: the place.
        body: the connection.
        door, tally: of the client; *key*: whose calls it is counted among.
        loop: where all of it lives.
        began: when the call did.
    """

    attempt: Attempt
    body: EventBody
    door: Door
    tally: Tally
    key: str
    loop: asyncio.AbstractEventLoop
    began: float
    timers: dict[str, asyncio.TimerHandle] = attrs.field(factory=dict)
    free: bool = False
    _placed: bool = True
    _operation: Operation | None = attrs.field(default=None, init=False)
    _name: str | None = attrs.field(default=None, init=False)

    def told_by(self, operation: Operation, name: str | None) -> None:
        """Somebody tells of the call; *name* is the server's for it."""
        self._operation, self._name = operation, name
        operation.opened()

    def give_back_place(self, error: Exception | None = None) -> None:
        """Settle what was used, as far as the server told it, and end the call for the limiter."""
        if not self._placed:
            return
        self._placed = False
        self._stop_timers()
        reader = self.body.reader
        if reader.tokens is not None:
            self.attempt.settle(tokens=reader.tokens)
        self.tally.used(self.key, reader.usage)
        self.attempt.finish(error)

    def end(self, error: Exception | None, outcome: str = "success") -> None:
        """It is over: everything is free. Once, whoever says so again."""
        if not self.free:
            self.free = True
            self.give_back_place(error)
            self.body.close()
            self._count(outcome if error is None else outcome_of(error), error)

    def drop(self) -> None:
        """Nobody has the stream any more; said by the collector, in any thread."""
        if self.free:
            return
        if self.loop.is_running():
            with contextlib.suppress(RuntimeError):  # it has been closed since
                self.loop.call_soon_threadsafe(self.end, None, "cancelled")
                return
        # Its loop rests or is closed. The place is free when the attempt is dropped, which knows such loops.
        self.free = True
        self._stop_timers()
        with contextlib.suppress(RuntimeError):
            self.body.close()
        with contextlib.suppress(RuntimeError):
            self._count("cancelled")

    def _stop_timers(self) -> None:
        while self.timers:
            self.timers.popitem()[1].cancel()

    def _count(self, outcome: str, error: Exception | None = None) -> None:
        self.tally.add(self.key, outcome, self.loop.time() - self.began)
        self.door.leave()
        operation, self._operation = self._operation, None
        if operation is not None:
            operation.answered(usage=self.body.reader.usage, attempts=self.attempt.number, request_id=self._name)
            operation.ended(error, why=None if outcome == "success" else outcome)
