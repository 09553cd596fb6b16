"""
One logical call, tried until it is over.

Law of this file: a loop over attempts ends in a ``return``, in an exception or after
a success, and in no other way. An attempt that failed and may be retried is
swallowed, and its ticket goes back into the queue with its rank; the last one, and
every one that may not be retried, leaves the loop as its error.

    async for attempt in limiter.attempts(key="gpt-4o", tokens=1_500):
        async with attempt, session.post(URL, json=body) as response:
            await attempt.check(response)
            return await response.json()

Theory. The end of ``async with attempt`` reports what happened and asks the retry
policy once. What follows a retry happens where the loop asks for its next attempt:
there tenacity's loop runs, and its sleep is the wait in the queue. So the inner
``async with`` (the response) is closed before the call waits, and a place is held
only while something uses it.

``attempts()`` is an iterator object and no async generator: leaving the loop early
leaves nothing behind that would have to be closed. From the second on an attempt is
handed out with its place, and only the loop holds it: where the loop is left before
``async with`` (cancelled, say), the place is free as soon as the attempt is dropped.
"""

from __future__ import annotations

import asyncio
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..core.concurrency import Ending
from ..core.failure import TransportFailure
from ..core.retry import CallHistory, GiveUp, GiveUpReason, RetryAt, RetryPolicy
from ..core.signals import Reason, Signals
from ..core.units import to_ns, to_s
from ..errors import Closed, DeadlineExceeded, DeadlineExpiredInQueue, ResponseError, Throttled
from .answers import error_body, response_error, sentence, status_of
from .desk import Desk
from .permit import BARE, Permit, Place
from .waiting import Ask

if TYPE_CHECKING:
    from .retrying import RetryLoop

_CLOSED = "the limiter was closed while it waited to be sent again"
_SUCCEEDED, _OK = Ending.SUCCEEDED, Reason.OK  # looked at on the hot path, see permit


class Attempt(Permit):
    """
    One try of a call.

    A permit that knows which try it is and can judge a response. ``async with
    attempt`` waits for its turn (the first) or has it already (all later ones).
    """

    __slots__ = ("__weakref__", "_again", "_call", "_held", "number")

    _may_be_dropped = True

    def __init__(self, desk: Desk, ask: Ask, call: Attempts, number: int) -> None:
        super().__init__(desk, ask)
        self._call = call
        self._again = self._held = False
        self.number = number
        """1 for the first; an attempt taken back with ``again()`` is not counted."""

    @property
    def queue_s(self) -> float:
        """Seconds the call has waited for its turns, all attempts so far."""
        return to_s(self.ticket.waited_ns)

    @property
    def replayable(self) -> bool:
        """Can the call be sent again? Set it to False once a one-shot body is begun or output was delivered."""
        return self._call.replayable

    @replayable.setter
    def replayable(self, value: bool) -> None:
        self._call.replayable = value

    async def check(self, response: Any) -> None:
        """
        Judge an answer: returns on success, else raises what ends the body.

        Feeds the limiter what the answer shows. Of an error's body at most 64 KiB
        are read. Inside ``async with attempt`` an outcome that may be retried is
        swallowed there, and the loop makes the next attempt.

        Args:
            response: anything with ``.status`` or ``.status_code``, ``.headers``
                and ``.read()`` or ``.aread()``.

        Raises:
            ResponseError: one of its kinds, by what the answer means.
        """
        status = status_of(response)
        body = b""
        try:
            if status >= 400:
                body = await error_body(response)
        finally:
            # Also when cancelled while reading: the head of the answer is a fact already.
            signals = self.observe(status, response.headers, body or None)
        if signals.reason is not _OK:
            raise response_error(signals, body)

    def again(self) -> None:
        """
        Take this attempt back: nothing charged, none counted, the same rank.

        For what turns out between the grant and the first byte, such as a credential
        gone stale. Leave the body after it (``continue``); the loop makes the
        attempt again as soon as its turn comes.
        """
        self._again = True
        self.unsent()

    def hold(self) -> None:
        """
        Keep the place when ``async with`` ends well: the answer has begun, and its body is still to come.

            async for attempt in limiter.attempts(...):
                async with attempt:
                    response = await begin()
                    await attempt.check(response)
                    attempt.hold()
                    return Body(response, attempt)  # and its end calls attempt.finish()

        With ``async with`` its deadline ends, too, and there is no further attempt. What
        comes later is told to ``settle`` and ``finish``; if nobody calls that, the place
        is free when the attempt is dropped.
        """
        self._held = True

    # A permit never swallows what its body raises, and type checkers may rely on that; an attempt may.
    async def __aexit__(  # type: ignore[override]  # so it answers bool, and a permit None
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        call, said = self._call, self._said
        if self._held and error is None and self._guard is None and type(said) is Signals and said.reason is _OK:
            self._guard = BARE
            call.held()
            return False
        timed_out = self._timed_out()
        if self._place is Place.OVER:  # finish() was called inside: there is nothing left to judge
            call.over()
            if timed_out and isinstance(error, asyncio.CancelledError):
                raise self._deadline_exceeded() from error
            return False
        if self._again and error is None:
            self._release(Ending.IGNORED)
            call.taken_back(self.ticket)
            return False
        signals = self._signals
        if error is None and (signals is None or signals.reason is _OK):
            if self._held:
                self._guard = BARE
                call.held()
                return False
            self._release(_SUCCEEDED)
            call.over()
            return False
        ending = Ending.IGNORED
        try:
            failure = self._learn_from(error) if isinstance(error, Exception) else None
            ending = self._ending(error, failure)
            verdict = call.judge(self.ticket, self._outcome(error, failure))
        finally:  # also when the policy's own retry_on raised
            self._release(ending)
        if timed_out and isinstance(error, asyncio.CancelledError):
            raise self._deadline_exceeded() from error
        return call.ended(error, self._signals, verdict)

    def _outcome(
        self, error: BaseException | None, failure: TransportFailure | None
    ) -> Signals | TransportFailure | None:
        """What the policy is to judge; None after a success, and of what nobody may swallow."""
        if error is not None and failure is None:
            return None
        refused = self._signals is not None and self._signals.reason is not _OK
        return self._signals if refused else failure

    def _deadline_exceeded(self) -> DeadlineExceeded:
        error = super()._deadline_exceeded()
        error.attempts = self.number
        error.request_id = error.request_id or self._call.request_id
        return error


class Attempts:
    """
    The attempts of one call; an iterator object, see ``Limiter.attempts``.

    Args:
        desk: where the call queues.
        ask: what it asks for.
        policy: what it outlives.
    """

    __slots__ = (
        "_ask",
        "_current",
        "_desk",
        "_error",
        "_held",
        "_history",
        "_loop",
        "_next",
        "_number",
        "_policy",
        "_signals",
        "_ticket",
        "replayable",
        "request_id",
    )

    def __init__(self, desk: Desk, ask: Ask, policy: RetryPolicy) -> None:
        self._desk = desk
        self._ask = ask
        self._policy = policy
        self._current: Attempt | weakref.ref[Attempt] | None = None
        self._number = 0
        self._held = False
        self._signals: Signals | None = None
        self._ticket: Ask | None = None
        self._history: CallHistory | None = None
        self._loop: RetryLoop | None = None
        self._error: Exception | None = None
        self._next: int | None = None
        """The least instant of the next attempt; None when there is none to be."""
        self.replayable = True
        self.request_id: str | None = None
        """The server's name for the last attempt that it answered."""

    def __aiter__(self) -> Attempts:
        return self

    async def __anext__(self) -> Attempt:
        """
        The next attempt; from the second on its turn has come.

        Cancelled while waiting, the call leaves the queue without a trace.

        Raises:
            DeadlineExceeded: the deadline passed in the queue, after at least one try.
            StopAsyncIteration: the attempt before succeeded, or is held.
        """
        last = self._current
        if self._held:
            raise StopAsyncIteration
        if last is None:
            self._number = 1
            self._current = attempt = Attempt(self._desk, self._ask, self, 1)
            return attempt
        if isinstance(last, weakref.ref):
            last = last()
        if last is None or last.place is not Place.OVER:
            raise RuntimeError(f"attempt {self._number} was not used up: use it with 'async with attempt'")
        ticket = self._ticket
        if ticket is None or self._next is None:
            if self._error is not None:
                raise self._error
            raise StopAsyncIteration
        try:
            await self._next_turn(ticket)
        except BaseException:
            # Cancelled in the queue, or with the grant on its way here.
            self._desk.dispatcher.take_back(ticket)
            raise
        self._number += self._error is not None
        self._error = self._next = None
        attempt = Attempt(self._desk, self._ask, self, self._number)
        attempt.granted(ticket)
        self._current = weakref.ref(attempt)
        return attempt

    async def _next_turn(self, ticket: Ask) -> None:
        """Through the queue once more; tenacity's loop decides whether and when, unless the last was taken back."""
        try:
            if self._error is None:
                await self._requeue(0.0)
                return
            if self._loop is None:
                from .retrying import RetryLoop  # and with it tenacity, which a program without failures never needs

                self._loop = RetryLoop(self._policy, self._requeue, self._elapsed_s)
            await self._loop.next_turn(self._error, self._left_s())
        except Exception as error:
            last = self._error
            if last is error:
                self._tell_how_it_ended(last, f"not tried again: {GiveUpReason.STOPPED}")
            if isinstance(error, Throttled) and error is not last:
                error.attempts = self._number  # the refusal was another call's, but this one was sent, too
            if last is None or last is error or not isinstance(error, DeadlineExpiredInQueue | Closed):
                raise
            if isinstance(error, DeadlineExpiredInQueue) and ticket.deadline_ns is not None:
                raise self._expired(error) from last
            # "Nothing was sent" would be wrong of a call that was tried: its last outcome is its end.
            why = _CLOSED if isinstance(error, Closed) else GiveUpReason.OUTAGE
            self._tell_how_it_ended(last, f"not tried again: {why}", getattr(error, "waited_s", 0.0))
            raise last from error

    async def _requeue(self, seconds: float) -> None:
        """Back into the queue, and return when the turn has come. This is what tenacity calls its sleep."""
        desk, ticket = self._desk, self._ticket
        assert ticket is not None
        assert self._next is not None
        not_before_ns = self._next
        if seconds > self._left_s():
            not_before_ns = desk.clock.monotonic_ns() + to_ns(seconds)
        if desk.pacing is not None:
            await desk.pace(desk.pacing, ticket.deadline_ns)
        desk.dispatcher.requeue(ticket, not_before_ns)
        await ticket

    def _left_s(self) -> float:
        """Seconds until the policy allows the next attempt."""
        assert self._next is not None
        return max(0.0, to_s(self._next - self._desk.clock.monotonic_ns()))

    def _elapsed_s(self) -> float:
        assert self._ticket is not None
        return to_s(self._desk.clock.monotonic_ns() - self._ticket.submitted_ns)

    # -- what an attempt reports ------------------------------------------------------

    def over(self) -> None:
        """It succeeded, or nobody may go on."""
        self._next = self._error = None

    def held(self) -> None:
        """It succeeded, and whoever has it keeps it: it is free when he drops it."""
        self._next = self._error = self._current = None
        self._held = True

    def taken_back(self, ticket: Ask) -> None:
        """It was nothing: once more, at once."""
        self._ticket = ticket
        self._error = None
        self._next = self._desk.clock.monotonic_ns()

    def judge(self, ticket: Ask, outcome: Signals | TransportFailure | None) -> RetryAt | GiveUp | None:
        """What the policy says to an outcome; None: there is nothing to ask it."""
        if outcome is None:
            return None
        history = self._history
        if history is None:
            history = self._history = CallHistory(ticket.submitted_ns, deadline_ns=ticket.deadline_ns)
        history.replayable = self.replayable
        history.waited_ns = ticket.waited_ns
        self._ticket = ticket
        return self._desk.dispatcher.decide(ticket, outcome, history, self._policy)

    def ended(self, error: BaseException | None, signals: Signals | None, verdict: RetryAt | GiveUp | None) -> bool:
        """The attempt is over. True: swallow *error*, there will be another."""
        self.over()
        if verdict is None:
            return False
        failed = error if isinstance(error, Exception) else None
        self._signals = signals
        if signals is not None:
            self.request_id = signals.request_id or self.request_id
        if failed is None and signals is not None:
            failed = response_error(signals)  # observed, and the body ended as if nothing were wrong
        self._error = failed
        if isinstance(verdict, RetryAt):
            self._next = verdict.not_before_ns
            return True
        if failed is not None:
            self._tell_how_it_ended(failed, self._because(verdict))
        return False

    def _tell_how_it_ended(self, error: Exception, because: str, waited_s: float = 0.0) -> None:
        """Fill in what only the loop knows: how often it was tried, how long it waited, why it ends."""
        assert self._ticket is not None
        attempts, signals = self._number, self._signals
        waited_s = max(waited_s, to_s(self._ticket.waited_ns))
        if hasattr(error, "attempts"):
            error.attempts = attempts
        if isinstance(error, ResponseError):
            error.waited_s = waited_s
            if signals is not None and error.signals is signals:
                error.args = (sentence(signals, attempts=attempts, waited_s=waited_s, because=because),)

    def _because(self, verdict: GiveUp) -> str:
        if verdict.reason is GiveUpReason.NOT_RETRYABLE:
            return ""
        if verdict.reason is GiveUpReason.HINT_TOO_LONG:
            return f"not waited for: max_hint_s is {self._policy.max_hint_s:g}"
        return f"not tried again: {verdict.reason}"

    def _expired(self, error: DeadlineExpiredInQueue) -> DeadlineExceeded:
        """In the queue, but not for the first time: it was sent before."""
        attempts = self._number
        message = (
            f"the deadline passed in the queue after {attempts} {'try' if attempts == 1 else 'tries'} and "
            f"{error.waited_s:.1f} s of waiting; the last one ended so: {self._error}"
        )
        return DeadlineExceeded(message, attempts=attempts, request_id=self.request_id)

    def __repr__(self) -> str:
        if not self._number:
            return f"<Attempts of {self._ask.key!r}, none yet>"
        return f"<Attempts of {self._ask.key!r}, at number {self._number}>"
