"""
A stream in the hands of its consumer.

Law of this file: a stream holds its place and its connection until it ends: exhausted,
left, cancelled, failed, too late, forgotten by its consumer, or dropped; and then both
are free at once, whichever it was.

Theory. What was delivered cannot be taken back, so from the first event on there are no
further attempts, and an end that is none is an error with the count of what was
delivered. Three clocks can end a stream from outside: ``deadline_total``, the
watchdog's (a server that says nothing), and the consumer's own: whoever takes no event
for ``idle_consumer_s`` has gone to lunch with a place that others wait for.
"""

from __future__ import annotations

import asyncio
import math
import warnings
import weakref
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Self

from ...core.signals import Reading, Reason, Signals
from ...dialects.streams import StreamEvent
from ...errors import ConfigurationError, DeadlineExceeded, StreamError, StreamTruncated
from ...runtime.answers import sentence
from .body import BadBody
from .door import Door
from .events import Cut, Failed
from .exchange import EXCERPT, Call
from .held import Held
from .opening import Opened, broken
from .tally import Tally, tell_end
from .timeouts import IDLE_CONSUMER_S
from .watchdog import Stalled


class Stream:
    """
    The events of one answer, for ``async with`` and ``async for``.

        async with client.stream("/chat/completions", json={...}) as stream:
            async for event in stream:
                print(event.data)

    Made by ``Client.stream``, which says what happens while it waits.
    """

    def __init__(
        self,
        call: Coroutine[Any, Any, Call],
        run: Callable[[Call], Coroutine[Any, Any, Opened]],
        door: Door,
        tally: Tally,
        *,
        total_s: float | None = None,
        idle_consumer_s: float | None = IDLE_CONSUMER_S,
    ) -> None:
        self._call: Coroutine[Any, Any, Call] | None = call
        self._opened: Opened | None = None
        self._held: Held | None = None
        if idle_consumer_s is not None and not idle_consumer_s > 0:
            call.close()
            raise ConfigurationError(f"idle_consumer_s={idle_consumer_s!r:.40}: it must be more than 0, or None")
        if total_s is not None and not math.isfinite(total_s):
            call.close()
            raise ConfigurationError(f"deadline_total={total_s!r:.40} is no number of seconds: leave it out")
        self._run = run
        self._door = door
        self._tally = tally
        self._total_s = total_s
        self._idle_consumer_s = None if idle_consumer_s == math.inf else idle_consumer_s
        self._taken = 0.0
        self._waits = False
        self._error: Exception | None = None

    # -- in -----------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        prepare, self._call = self._call, None
        if prepare is None:
            raise RuntimeError("a stream is for one call: ask the client for another")
        loop = asyncio.get_running_loop()
        began = loop.time()
        call = await prepare
        operation = self._tally.begin(call)
        try:
            self._door.enter()
            try:
                opened = self._opened = await self._run(call)
            except BaseException:
                self._door.leave()
                raise
        except BaseException as error:
            self._tally.add(call.key, tell_end(error, operation), loop.time() - began)
            raise
        self._held = Held(opened.attempt, opened.body, self._door, self._tally, call.key, loop, began)
        if operation is not None:
            self._held.told_by(operation, opened.name)
        self._start(self._held, loop)
        return self

    def _start(self, held: Held, loop: asyncio.AbstractEventLoop) -> None:
        me = weakref.ref(self)  # whoever keeps a timer is not to keep the stream
        self._taken = loop.time()
        if self._total_s is not None:
            held.timers["total"] = loop.call_at(held.began + self._total_s, _too_late, me)
        if self._idle_consumer_s is not None:
            held.timers["consumer"] = loop.call_later(self._idle_consumer_s, _look_at_consumer, me)

    # -- events ---------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent:
        """
        The next event.

        Cancelled, none is lost; the stream stays open until it is left.

        Raises:
            StreamError: the server said that the call failed, after what it delivered.
            StreamTruncated: it ended without its last event, or nothing came for too long.
            DeadlineExceeded: ``deadline_total`` has passed.
        """
        held = self._held
        if held is None:
            raise _not_entered()
        ready = held.body.ready
        if ready and not held.free:
            self._taken = held.loop.time()
            return ready.popleft()
        if not held.free:
            event = await self._wait(held)
            if event is not None:
                return event
        del ready  # a traceback that shows locals shows this one
        error, self._error = self._error, None
        if error is None:
            raise StopAsyncIteration
        raise error

    async def _wait(self, held: Held) -> StreamEvent | None:
        """The next event; None: it is over, and why is told."""
        if self._waits:
            raise RuntimeError("another task waits for the next event of this stream: a stream has one consumer")
        self._waits = True
        try:
            event = await held.body.next()
            if event is None:
                await self._end_well(held)
            elif held.free:  # somebody ended the stream in the instant in which it came
                held.body.ready.appendleft(event)
            else:
                return event
        except (Failed, Cut, Stalled, BadBody) as ended:
            if not held.free:
                self._error = self._error_of(held, ended)
                held.end(self._error)
        finally:
            self._waits = False
            self._taken = held.loop.time()
        return None

    async def _end_well(self, held: Held) -> None:
        """The last event was taken: first the place is free, then the connection."""
        held.give_back_place()
        outcome = "cancelled"
        try:
            await held.body.rest()
            outcome = "success"
        finally:
            held.end(None, outcome)

    def _error_of(self, held: Held, ended: Failed | Cut | Stalled | BadBody) -> Exception:
        delivered, opened = self.delivered, self._open()
        if not isinstance(ended, Failed):
            return broken(ended, opened.status, opened.name, delivered=delivered)
        signals = ended.signals
        held.attempt.heard(signals)
        if signals.reason is Reason.QUOTA_EXHAUSTED:
            self._tally.ran_out(held.key)
        return StreamError(
            f"the stream failed after {delivered} events: {sentence(signals)}; it is not tried again, for what was "
            "delivered would come twice",
            delivered=delivered,
            status=signals.status,
            reason=str(signals.reason),
            request_id=signals.request_id or opened.name,
            body_excerpt=ended.raw[:EXCERPT],
            signals=signals,
        )

    # -- out --------------------------------------------------------------------------

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(finished=not isinstance(error, asyncio.CancelledError))

    def close(self) -> None:
        """Leave it: its place is free, and its connection is closed if the answer is still coming. Idempotent."""
        self._leave(finished=True)

    def _leave(self, *, finished: bool) -> None:
        """Before the last event was taken; *finished*: if it is here already, that is a success."""
        held = self._held
        if held is None or held.free:
            return
        whole = held.body.reader.finished
        if self._waits and not whole:
            message = f"the stream was left: it was closed by another task, after {self.delivered} events"
            self._error = StreamTruncated(message, delivered=self.delivered, request_id=self.request_id)
            held.body.stop(Stalled("it was closed", silent=False))
        held.end(None, "success" if finished and whole else "cancelled")

    def break_off(self, error: Exception) -> None:
        """End it from outside: whoever waits for an event gets *error*, and so does whoever asks for the next."""
        held = self._held
        if held is None or held.free:
            return
        self._error = error
        if self._waits:
            held.body.stop(Stalled(str(error), silent=False))
        held.end(error)

    def too_late(self) -> None:
        """``deadline_total`` has passed."""
        opened = self._opened
        if opened is not None:
            message = (
                f"the deadline of {self._total_s:g} s for the whole stream passed after {self.delivered} events; "
                "what it cost stays charged"
            )
            self.break_off(
                DeadlineExceeded(
                    message, attempts=opened.attempt.number, request_id=opened.name, delivered=self.delivered
                )
            )

    def look_at_consumer(self) -> None:
        """Has he taken an event lately?"""
        held, idle_s = self._held, self._idle_consumer_s
        if held is None or held.free or idle_s is None:
            return
        left_s = idle_s if self._waits else self._taken + idle_s - held.loop.time()
        if left_s > 0:
            held.timers["consumer"] = held.loop.call_later(left_s, _look_at_consumer, weakref.ref(self))
            return
        message = (
            f"no event was taken for {idle_s:g} s, so the place and the connection of the stream were given back, "
            f"after {self.delivered} events; take events faster, or give a longer idle_consumer_s"
        )
        self.break_off(StreamError(message, delivered=self.delivered, request_id=self.request_id))

    def __del__(self) -> None:
        if self._call is not None:
            self._call.close()
        held = self._held
        if held is None or held.free:
            return
        said = f"{self!r} was dropped: use it with 'async with'"
        held.drop()
        warnings.warn(said, ResourceWarning, stacklevel=2)  # last: where warnings are errors, it raises

    # -- what it tells ------------------------------------------------------------------

    def _open(self) -> Opened:
        if self._opened is None:
            raise _not_entered()
        return self._opened

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._open().status

    @property
    def headers(self) -> Mapping[str, str]:
        """Case-insensitive, as the server sent them."""
        return self._open().headers

    @property
    def signals(self) -> Signals:
        """Everything its headers say about limits and about who answered."""
        return self._open().told.signals

    @property
    def rate_limits(self) -> dict[str, Reading]:
        """What the headers showed of each limit, by the server's own name for it."""
        return self.signals.readings

    @property
    def request_id(self) -> str | None:
        """The server's name for this call: log it, support asks for it."""
        return self._open().name

    @property
    def attempts(self) -> int:
        """How often the call was sent."""
        return self._open().attempt.number

    @property
    def queue_s(self) -> float:
        """Seconds it waited for its turn, all attempts."""
        return self._open().attempt.queue_s

    @property
    def delivered(self) -> int:
        """Events handed out so far."""
        body = self._open().body
        return body.reader.delivered - len(body.ready)

    @property
    def finished(self) -> bool:
        """The last event was read: what was delivered is the whole answer."""
        return self._open().body.reader.finished

    @property
    def usage(self) -> Any:
        """What the server says was used, as it wrote it; None when it has not said it (yet)."""
        return self._open().body.reader.usage

    def __repr__(self) -> str:
        if self._opened is None or self._held is None:
            return "<Stream, not begun>"
        state = "over" if self._held.free else "open"
        return f"<Stream {self._opened.status}: {self.delivered} events delivered, {state}>"


def _too_late(stream: weakref.ref[Stream]) -> None:
    if (alive := stream()) is not None:
        alive.too_late()


def _look_at_consumer(stream: weakref.ref[Stream]) -> None:
    if (alive := stream()) is not None:
        alive.look_at_consumer()


def _not_entered() -> RuntimeError:
    return RuntimeError("this stream was not entered: use it with 'async with'")
