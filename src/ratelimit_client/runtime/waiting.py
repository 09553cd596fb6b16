"""
A wait without a coroutine: what ``async with`` sleeps on while its turn has not come.

Law of this file: a wait ends in one of three ways. The turn came, and the permit is
inside; the queue ended it with an error; or it was cancelled, at whatever instant,
and what was held for it is given back before anything else runs.

Theory. ``await`` asks an object for three things: the future to sleep on, what to do
when it is woken, and what to do when something is thrown in. A coroutine answers
them with a frame of 250 bytes. A hundred thousand calls may wait at once, so here
they are answered by hand, in 64. The future's own iterator does the sleeping.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from .permit import Permit

P = TypeVar("P", bound="Permit")


class Waiting(Coroutine[Any, Any, P], Generic[P]):
    """The wait of one permit for its turn; awaiting it gives the permit, inside."""

    __slots__ = ("_permit", "_steps")

    def __init__(self, permit: P, turn: Awaitable[object]) -> None:
        self._permit = permit
        self._steps: Generator[Any, Any, Any] | None = turn.__await__()
        """None when it is over: what becomes of the permit then is no business of this."""

    def __await__(self) -> Generator[Any, Any, P]:
        return self

    def __iter__(self) -> Waiting[P]:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any, /) -> Any:
        """One step: what to sleep on, or StopIteration with the permit."""
        steps = self._steps
        if steps is None:
            raise RuntimeError("this wait is over: ask the limiter for another permit")
        try:
            return steps.send(value)
        except StopIteration:
            self._steps = None
        except BaseException:
            self._steps = None
            raise
        self._permit.begin(self._permit.ticket)
        raise StopIteration(self._permit)

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

    def close(self) -> None:
        """The task is gone."""
        steps, self._steps = self._steps, None
        if steps is not None:
            self._permit.not_granted()
            steps.close()

    def __del__(self) -> None:
        # Nobody awaits it, so nobody would give back what it will be granted.
        self.close()
