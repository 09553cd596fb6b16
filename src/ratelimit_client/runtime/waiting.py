"""
A wait without a coroutine: what ``async with`` sleeps on while its turn has not come.

Law of this file: a wait ends in one of three ways. The turn came, and the permit is
inside; the queue ended it with an error; or it was cancelled, at whatever instant,
and what was held for it is given back before anything else runs.

Theory. ``await`` asks an object for three things: the future to sleep on, what to do
when it is woken, and what to do when something is thrown in. A coroutine answers
them with a frame of 250 bytes. A hundred thousand calls may wait at once, so here
they are answered by hand, in 48, by the protocol between a future and its task.

Once it is awaited it is *asleep*: another object, which only the frame that awaits
holds, and which has no ``throw`` to be asked by. What is thrown in is then raised
where the ``await`` stands, and the wait gives back what it held as it goes. A
``throw`` of its own would stand in the traceback that the cancelled task keeps, and
keep permit and ticket with it until the collector comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from .permit import Permit

P = TypeVar("P", bound="Permit")


def _over() -> RuntimeError:
    return RuntimeError("this wait is over: ask the limiter for another permit")


class Round:
    """In place of a turn that has come already: one round of the loop, in which others live."""

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        self._begun = False

    def done(self) -> bool:
        """The round is over: it was asked before."""
        begun, self._begun = self._begun, True
        return begun

    def result(self) -> None: ...


class Asleep(Generic[P]):
    """The wait of one permit for its turn, under way."""

    __slots__ = ("_permit", "_turn")

    def __init__(self, permit: P, turn: asyncio.Future[None] | Round) -> None:
        self._permit = permit
        self._turn: asyncio.Future[None] | Round | None = turn
        """None when it is over: what becomes of the permit then is no business of this."""

    def __iter__(self) -> Asleep[P]:
        return self

    def __next__(self) -> asyncio.Future[None] | None:
        """One step: what to sleep on, or StopIteration with the permit."""
        turn = self._turn
        if turn is None:
            raise _over()
        if not turn.done():
            if isinstance(turn, Round):
                return None  # which a task takes for "again in the next round"
            turn._asyncio_future_blocking = True
            return turn
        self._turn = None
        turn.result()
        permit = self._permit
        permit.begin(permit.ticket)
        raise StopIteration(permit)

    def send(self, value: Any, /) -> asyncio.Future[None] | None:
        return self.__next__()

    def close(self) -> None:
        """The task is gone, or cancelled: leave without a trace."""
        if self._turn is not None:
            self._turn = None
            self._permit.not_granted()

    def __del__(self) -> None:
        # Nobody awaits it, so nobody would give back what it will be granted.
        if self._turn is not None:
            self.close()


class Waiting(Asleep[P], Coroutine[Any, Any, P]):
    """The same before it is awaited: whoever steps it by hand has a coroutine before him."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, P]:
        turn, self._turn = self._turn, None
        if turn is None:
            raise _over()
        return Asleep(self._permit, turn)  # type: ignore[return-value]  # an iterator is all that await needs

    def throw(
        self,
        kind: type[BaseException] | BaseException,
        error: BaseException | object = None,
        trace: TracebackType | None = None,
        /,
    ) -> Any:
        """Cancelled in the queue, or after the grant and before the task ran again: leave without a trace."""
        self.close()
        thrown = kind if isinstance(kind, BaseException) else error if isinstance(error, BaseException) else kind()
        raise thrown
