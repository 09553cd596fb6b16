"""
A wait without a coroutine and without a future: what ``async with`` sleeps on while its turn has not come.

Law of this file: a wait ends in one of three ways. The turn came, and the permit is
inside; the queue ended it with an error; or it was cancelled, at whatever instant,
and what was held for it is given back before anything else runs.

Theory. ``await`` asks an object for three things: the future to sleep on, what to do
when it is woken, and what to do when something is thrown in. A coroutine answers
them with a frame of 250 bytes, and a future has 144. A hundred thousand calls may
wait at once, so here they are answered by hand, by the protocol that any future has
with its task: the future is the ticket, which is there anyhow, and the wait an object
of 48 bytes beside it.

As a future a ticket keeps what wakes its task, for the queue to call, and is told
when the task is cancelled: then it lets nobody wake it any more, and its task is the
next to run and takes it out of the queue.

Once the wait is awaited it is *asleep*: another object, which only the frame that
awaits holds, and which has no ``throw`` to be asked by. What is thrown in is then
raised where the ``await`` stands, and the wait gives back what it held as it goes. A
``throw`` of its own would stand in the traceback that the cancelled task keeps, and
keep permit and ticket with it until the collector comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..core.ticket import Ticket

if TYPE_CHECKING:
    from .dispatcher import Dispatcher
    from .permit import Permit

P = TypeVar("P", bound="Permit")

Outcome = asyncio.Future[None]
Wake = Callable[[Outcome], object]


def unheard(_: Outcome) -> None:
    """What a ticket wakes in whose wait no task sleeps yet: that one looks for itself."""


def given_up(_: Outcome) -> None:
    """What a ticket wakes in whose task was cancelled while it slept, and is on its way to leave the queue."""


class Ask(Ticket):
    """A ticket that a task can sleep on."""

    __slots__ = ("_asyncio_future_blocking", "_context", "_dispatcher")

    def wait(self, dispatcher: Dispatcher) -> None:
        """It is in the queue of *dispatcher*."""
        self.waiter = unheard
        self._context: Context | None = None
        self._dispatcher = dispatcher

    def asleep(self) -> Ask:
        """Itself, as what a task is to sleep on."""
        self._asyncio_future_blocking = True
        return self

    def over(self) -> None:
        """Its wait is: raise what ended it, if that was no grant."""
        if (error := self.error) is not None:
            raise error

    def __await__(self) -> Generator[Ask, None, None]:
        """Until its turn has come; for whoever gives it back by himself."""
        if self.waiter is not None:
            yield self.asleep()
        self.over()

    # -- what its task asks of a future ------------------------------------------------

    get_loop = staticmethod(asyncio.get_running_loop)
    """Asked when the task goes to sleep, and that is where it came into the queue."""

    def done(self) -> bool:
        """There is nothing to sleep for."""
        return self.waiter is None or self.waiter is given_up

    def add_done_callback(self, wake: Wake, /, *, context: Context | None = None) -> None:
        """Of the task that sleeps on it; very seldom of somebody else besides."""
        if self.waiter is unheard:
            self.waiter, self._context = wake, context
        elif self.done():
            self._dispatcher.loop.call_soon(wake, self._dispatcher.came(), context=context)
        else:
            self.waiter, self._context = _Several([(self.waiter, self._context), (wake, context)]), None

    def cancel(self, msg: object = None) -> bool:
        """Its task is cancelled. False when its turn has come: then the task itself is to be told."""
        wake = self.waiter
        if wake is None or wake is given_up:
            return False
        self.waiter = given_up
        gone = self._dispatcher.cancelled(msg)
        gone.get_loop().call_soon(wake, gone, context=self._context)
        return True

    def rouse(self, came: Outcome) -> bool:
        """Its wait is over: let its task look. False when it never will: it was cancelled, or its loop is closed."""
        wake, self.waiter = self.waiter, None
        if wake is not unheard and wake is not given_up:
            try:
                came.get_loop().call_soon(wake, came, context=self._context)
            except RuntimeError:  # "Event loop is closed"
                return False
        return wake is not given_up


class _Several:
    """What several have asked to be called when it is over, in their order."""

    def __init__(self, calls: list[tuple[Wake, Context | None]]) -> None:
        self._calls = calls

    def __call__(self, outcome: Outcome) -> None:
        for wake, context in self._calls:
            (context or copy_context()).run(wake, outcome)


def _over() -> RuntimeError:
    return RuntimeError("this wait is over: ask the limiter for another permit")


class Asleep(Generic[P]):
    """The wait of one permit for its turn, under way."""

    __slots__ = ("_permit", "_round")

    def __init__(self, permit: P, *, a_round: bool = False) -> None:
        self._permit: P | None = permit
        """None when it is over: what becomes of the permit then is no business of this."""
        self._round = a_round
        """Its turn has come already, and it lets others live for one round of the loop."""

    def __iter__(self) -> Asleep[P]:
        return self

    def __next__(self) -> Ask | None:
        """One step: what to sleep on, or StopIteration with the permit."""
        permit = self._permit
        if permit is None:
            raise _over()
        if self._round:
            self._round = False
            return None  # which a task takes for "again in the next round"
        ticket = permit.ticket
        if ticket.waiter is not None:
            if ticket.waiter is given_up:
                self.close()
                raise asyncio.CancelledError
            return ticket.asleep()
        self._permit = None
        ticket.over()
        permit.begin(ticket)
        raise StopIteration(permit)

    def send(self, value: Any, /) -> Ask | None:
        return self.__next__()

    def close(self) -> None:
        """The task is gone, or cancelled: leave without a trace."""
        permit = self._permit
        if permit is not None:
            self._permit = None
            permit.not_granted()

    def __del__(self) -> None:
        # Nobody awaits it, so nobody would give back what it will be granted.
        if self._permit is not None:
            self.close()


class Waiting(Asleep[P], Coroutine[Any, Any, P]):
    """The same before it is awaited: whoever steps it by hand has a coroutine before him."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, P]:
        permit, self._permit = self._permit, None
        if permit is None:
            raise _over()
        return Asleep(permit, a_round=self._round)  # type: ignore[return-value]  # an iterator is all that await needs

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
