"""
What ``async with`` hands out: the right to make one call, now.

Law of this file: whoever gets in gets out, whatever happens between. A permit that
was granted is released exactly once, with the lesson its end teaches; one that was
not granted costs nothing, at whatever instant its task was cancelled.

How a call ended is read off what was observed and what was raised, so it cannot be
forgotten: a success *succeeded*; a refusal, another 4xx or an exception of the
caller's own is *ignored* (concurrency learns nothing from it); overload and a lost
answer are *dropped* (back off). A cancelled call is ignored and keeps its charge,
because the server may have done the work, unless the caller says ``unsent()``.
"""

from __future__ import annotations

import asyncio
import enum
import warnings
from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any, Self, TypeVar

from ..core.concurrency import Ending
from ..core.failure import TransportFailure
from ..core.signals import Reason, Signals
from ..core.units import NS
from ..dialects.dialect import Dialect
from ..errors import DeadlineExceeded, ResponseError, WouldBlock
from .deadline import DeadlineGuard
from .desk import Desk, Told
from .dispatcher import ROW
from .failures import answer_on, failure_of
from .hearing import hear
from .waiting import Ask, Waiting

_OVERLOAD_STATUS = frozenset({503, 529})


P = TypeVar("P", bound="Permit")


class Place(enum.IntEnum):
    """Where a permit is."""

    OUTSIDE = 0
    GRANTED = 1
    INSIDE = 2
    UNSENT = 3
    """Inside, and sure that nothing was written."""
    OVER = 4


# Looked at on the hot path, where a global is cheaper than an attribute of an enum.
_OUTSIDE, _GRANTED, _INSIDE, _UNSENT, _OVER = Place

_SUCCEEDED = Ending.SUCCEEDED
_OK = Reason.OK

BARE = object()
"""In place of a guard: the call outlives the function that begins it, so there is no body to cancel."""


class Permit:
    """
    One call's place.

    While it waits its task sleeps in the queue; cancelled there, it leaves without
    a trace. Once inside, the place is held until the body of ``async with`` ends.

        async with limiter.permit(tokens=1_500) as permit:
            response = await session.post(...)
            permit.observe(response.status, response.headers)

    ``permit = await limiter.permit(...)`` is the form for a call that outlives the
    function that begins it; ``permit.finish()`` ends it, and its deadline holds for
    the queue only.
    """

    __slots__ = ("_ask", "_desk", "_guard", "_place", "_said", "_ticket")

    _may_be_dropped = False
    """Before it was entered, without a warning."""

    def __init__(self, desk: Desk, ask: Ask) -> None:
        self._desk = desk
        self._ask: Ask | None = ask
        self._place = _OUTSIDE
        self._ticket: Ask | None = None
        self._said: Signals | Told | None = None
        """What was heard last; of a success perhaps not read yet."""
        self._guard: Any = None

    # -- in -----------------------------------------------------------------------

    def __aenter__(self) -> Coroutine[Any, Any, Self]:
        # No coroutine: of the calls that wait there may be very many, and its frame would wait with each of them.
        ask = self._ask
        if ask is None or self._desk.pacing is not None:
            return self._enter_otherwise(ask)
        self._ask = None
        dispatcher = self._desk.dispatcher
        granted = dispatcher.submit(ask)
        self._ticket = ask
        if not granted:
            return Waiting(self)
        if dispatcher.row >= ROW:
            dispatcher.row = 0
            return Waiting(self, a_round=True)
        if ask.deadline_ns is None:
            self._place = _INSIDE
        else:
            self.begin(ask)
        return _at_once(self)

    def _enter_otherwise(self, ask: Ask | None) -> Coroutine[Any, Any, Self]:
        """It was granted before it is entered, or it has to be paced first."""
        if ask is not None:
            self._ask = None
            return self._paced(ask)
        if self._place is not _GRANTED:
            raise _used_up()
        self.begin(self.ticket)
        return _at_once(self)

    async def _paced(self, ask: Ask) -> Self:
        desk = self._desk
        if desk.pacing is not None:
            await desk.pace(desk.pacing, ask.deadline_ns)
        granted = desk.dispatcher.submit(ask)
        self._ticket = ask
        if not granted:
            return await Waiting(self)
        self.begin(ask)
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        self._guard = BARE
        return self.__aenter__().__await__()

    def begin(self, ticket: Ask) -> None:
        """Its turn has come: it is inside, and from here on its deadline cancels the body."""
        self._place = _INSIDE
        if ticket.deadline_ns is not None and self._guard is None:
            desk = self._desk
            left_s = (ticket.deadline_ns - desk.clock.monotonic_ns()) / NS
            self._guard = DeadlineGuard(desk.dispatcher.here(), left_s)

    def not_granted(self) -> None:
        """The wait ended without it: the place in the queue, or the grant that was on its way, is given back."""
        dispatcher = self._desk.dispatcher
        dispatcher.from_anywhere(dispatcher.take_back, self.ticket)

    def take_now(self) -> Self:
        """
        Be granted at once or not at all.

        Raises:
            WouldBlock: it would have to wait; nothing was charged.
        """
        pacing = self._desk.pacing
        if pacing is not None and not pacing.has_room():
            raise WouldBlock("the pacing of starts lets no call go now", ready_in_s=None)
        ask = self._ask
        if ask is None:
            raise _used_up()
        self._ask = None
        self._desk.dispatcher.submit(ask, waits=False)
        self._ticket = ask
        self._place = _GRANTED
        if pacing is not None:
            pacing.take()  # not before it is granted: a call that cannot go takes no start from others
        return self

    def _timed_out(self) -> bool:
        """End the watch; True when the deadline cancelled the body."""
        guard = self._guard
        return isinstance(guard, DeadlineGuard) and guard.disarm()

    def granted(self, ticket: Ask) -> None:
        """Its turn has come already; entering it waits for nothing."""
        self._ask = None
        self._ticket = ticket
        self._place = _GRANTED

    # -- inside ---------------------------------------------------------------------

    @property
    def ticket(self) -> Ask:
        """The place in the scheduler's books. Before the permit was entered there is none."""
        if self._ticket is None:
            raise RuntimeError("this permit was not entered: use it with 'async with'")
        return self._ticket

    @property
    def place(self) -> Place:
        """Where it is."""
        return self._place

    @property
    def signals(self) -> Signals | None:
        """What the latest observed answer said."""
        said = self._said
        return said.signals if isinstance(said, Told) else said

    @property
    def _signals(self) -> Signals | None:
        """As much of it as was learnt from."""
        said = self._said
        return said.learnt if isinstance(said, Told) else said

    @property
    def dialect(self) -> Dialect | None:
        """How this server's answers are read, as far as that is known."""
        return self._desk.dialect

    @property
    def wall_s(self) -> float:
        """The date, in seconds since 1970: what an instant that a server names is measured from."""
        return self._desk.clock.wall_ns() / NS

    def observe(self, status: int, headers: Any, body: Any = None) -> Signals:
        """
        Learn from an answer; never raises for what a server said.

        Args:
            status: the HTTP status.
            headers: any mapping, or pairs; spelled as the server spelled them.
            body: of an error, when it is at hand: text, bytes or parsed JSON. It
                names the limit that was reached.

        Returns:
            What it says, in the one vocabulary for all servers.

        Raises:
            RuntimeError: the permit was not entered.
        """
        ticket, desk = self._ticket or self.ticket, self._desk
        self._said = signals = desk.read(status, headers, body)
        desk.dispatcher.observe(ticket, signals)
        return signals

    def succeeded(self, status: int, headers: Any) -> Told:
        """
        As ``observe``, of an answer that is a success by its status.

        Its headers are read now if the limiter learns from them, and else when somebody
        asks what is returned for its ``signals``.
        """
        ticket, desk = self._ticket or self.ticket, self._desk
        self._said = told = desk.told(status, headers)
        told.learnt = desk.dispatcher.unread(ticket, status)
        if told.learnt is None:
            told.learnt = told.signals
            desk.dispatcher.observe(ticket, told.learnt)
        return told

    def unread(self, status: int) -> bool:
        """
        As ``succeeded``, for those who want nothing of the answer for themselves.

        False: its headers are wanted, and it is to be told to ``observe``; nothing was learnt yet.
        """
        desk = self._desk
        self._said = desk.dispatcher.unread(self._ticket or self.ticket, status) if desk.sure else None
        return self._said is not None

    def heard(self, signals: Signals) -> None:
        """
        Learn from what a server says after the head of its answer: an error inside a stream, limits in an event.

        An error takes the place of what the head has said, also for whether the call is tried again.
        """
        if signals.reason is not _OK:
            self._said = signals
        self._desk.dispatcher.heard(self.ticket, signals)

    def observe_event(self, event: Any) -> Signals:
        """
        Learn from one event of a realtime session; never raises for what a server said.

        For a client of the SDK's own: a permit for each response, from its
        ``response.create`` to its ``response.done``. Limits move levels, a response
        that failed and an ``error`` are learnt from as answers are, and what a response
        used is settled. Of all other events nothing is learnt.

        Args:
            event: a mapping, its JSON as text or bytes, or an object with ``model_dump()``.

        Raises:
            RuntimeError: the permit was not entered.
        """
        return hear(self, event).signals

    def written(self) -> None:
        """The first byte of the request reached the socket (optional; it makes the ramp exact)."""
        self._desk.dispatcher.written(self.ticket)

    def unsent(self) -> None:
        """Nothing was written, so nothing is charged. The place is held until the body ends."""
        if self._place is _INSIDE or self._place is _GRANTED:
            self._place = _UNSENT
            self._desk.dispatcher.unsent(self.ticket)

    def counts_use(self, unit: str = "tokens") -> bool:
        """Whether ``settle`` would make a difference now; for those to whom it is work to find the amount."""
        return self._desk.dispatcher.counts_use(self._ticket or self.ticket, unit)

    def settle(self, *, tokens: int | None = None, **units: int) -> None:
        """
        What the call really used, in whole units; also after the body has ended.

        It may be more than was asked for, which later calls then wait for, or less.
        """
        if tokens is not None:
            units["tokens"] = tokens
        self._desk.dispatcher.settle(self.ticket, units)

    # -- out ------------------------------------------------------------------------

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ticket = self._ticket
        if error is None and self._said is None and self._guard is None and ticket is not None:
            # What follows, for a call of which nothing is known but that it went well.
            if self._place is not _OVER:
                self._place = _OVER
                self._desk.dispatcher.release(ticket, _SUCCEEDED)
            return
        timed_out = self._timed_out()
        self.finish(error)
        if timed_out and isinstance(error, asyncio.CancelledError):
            raise self._deadline_exceeded() from error

    def finish(self, error: BaseException | None = None) -> None:
        """
        The call is over: the same as leaving ``async with``, with *error* if it failed. Idempotent.

        Inside ``async with`` it gives the place back before the body has ended.
        """
        if _OUTSIDE < self._place < _OVER:
            said = self._said
            if error is None and (said is None or (type(said) is Signals and said.reason is _OK)):
                self._release(_SUCCEEDED)  # which is what would be found
            else:
                self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        """Release the place; the lesson is in what was observed and what was raised."""
        ending = Ending.IGNORED
        try:
            failure = self._learn_from(error) if isinstance(error, Exception) else None
            ending = self._ending(error, failure)
        finally:
            self._release(ending)

    def _release(self, ending: Ending) -> None:
        ticket = self._ticket
        assert ticket is not None
        self._place = _OVER
        self._desk.dispatcher.release(ticket, ending)

    def _learn_from(self, error: Exception) -> TransportFailure:
        """Tell the scheduler what an exception says, unless an answer has said it already."""
        failure = failure_of(error)
        if self._said is None:
            if isinstance(error, ResponseError) and error.signals is not None:
                self._said = error.signals
                self._desk.dispatcher.observe(self.ticket, error.signals)
            elif (answer := answer_on(error)) is not None:
                self.observe(answer.status, answer.headers)
            elif failure.may_pass:
                self._desk.dispatcher.failed(self.ticket, failure)
                if failure.unsent:
                    self.unsent()
        return failure

    def _ending(self, error: BaseException | None, failure: TransportFailure | None) -> Ending:
        signals = self._signals
        if signals is not None and signals.reason is not _OK:
            overloaded = signals.reason is Reason.OVERLOADED or signals.status in _OVERLOAD_STATUS
            return Ending.DROPPED if overloaded else Ending.IGNORED
        if failure is not None and failure.may_pass:
            return Ending.DROPPED
        return _SUCCEEDED if error is None else Ending.IGNORED

    def _deadline_exceeded(self) -> DeadlineExceeded:
        ticket = self.ticket
        total_s = (self._desk.clock.monotonic_ns() - ticket.submitted_ns) / NS
        message = (
            f"the deadline passed while the call of {ticket.key!r} was under way, {total_s:.1f} s after it was asked "
            f"for, {ticket.waited_ns / NS:.1f} s of them in the queue; it was cancelled and what it cost stays charged"
        )
        signals = self.signals
        request_id = signals.request_id if signals is not None else None
        return DeadlineExceeded(message, attempts=1, request_id=request_id)

    def __del__(self) -> None:
        # Only one who was let in and never left: a handle that was dropped, or never entered.
        place = self._place
        if place is not _OVER and place is not _OUTSIDE:
            self._place = _OVER
            dispatcher = self._desk.dispatcher
            dispatcher.from_anywhere(dispatcher.release, self.ticket, Ending.IGNORED)
            if isinstance(self._guard, DeadlineGuard):
                dispatcher.from_anywhere(self._guard.give_up)
            if self._guard is not BARE and not (self._may_be_dropped and place is _GRANTED):
                warnings.warn(f"{self!r} was never left: use it with 'async with'", ResourceWarning, stacklevel=2)

    def __repr__(self) -> str:
        ticket = self._ask or self._ticket
        if ticket is None:
            return f"<{type(self).__name__} that was not admitted>"
        return f"<{type(self).__name__} {ticket.key}: {ticket.cost!r}, {self._place.name.lower()}>"


async def _at_once(permit: P) -> P:
    """What ``await`` asks for when there is nothing to wait for."""
    return permit


def _used_up() -> RuntimeError:
    return RuntimeError("a permit is for one call: ask the limiter for another")
