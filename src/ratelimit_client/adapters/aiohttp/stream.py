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
import contextlib
import warnings
import weakref
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Self

from ...core.signals import Reading, Signals
from ...dialects.streams import StreamEvent
from ...errors import DeadlineExceeded, StreamError
from ...runtime.answers import sentence
from .body import BadBody
from .door import Door
from .events import Cut, Failed
from .exchange import EXCERPT, Call
from .opening import Opened, broken
from .tally import Tally, outcome_of
from .watchdog import Stalled

IDLE_CONSUMER_S = 300.0


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
        self._run = run
        self._door = door
        self._tally = tally
        self._total_s = total_s
        self._idle_consumer_s = idle_consumer_s
        self._opened: Opened | None = None
        self._key = ""
        self._began = self._taken = 0.0
        self._waits = self._over = False
        self._error: Exception | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timers: list[asyncio.TimerHandle] = []

    # -- in -----------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        prepare, self._call = self._call, None
        if prepare is None:
            raise RuntimeError("a stream is for one call: ask the client for another")
        loop = self._loop = asyncio.get_running_loop()
        self._began = loop.time()
        call = await prepare
        self._key = call.key
        try:
            self._door.enter()
            try:
                self._opened = await self._run(call)
            except BaseException:
                self._door.leave()
                raise
        except BaseException as error:
            self._tally.add(call.key, outcome_of(error), loop.time() - self._began)
            raise
        self._start(loop)
        return self

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        me = weakref.ref(self)  # whoever keeps a timer is not to keep the stream
        self._taken = loop.time()
        if self._total_s is not None:
            self._timers.append(loop.call_at(self._began + self._total_s, _too_late, me))
        if self._idle_consumer_s is not None:
            self._timers.append(loop.call_later(self._idle_consumer_s, _look_at_consumer, me))

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
        opened = self._open()
        if self._over:
            error, self._error = self._error, None
            if error is not None:
                raise error
            raise StopAsyncIteration
        self._waits = True
        try:
            event = await opened.body.next()
            if event is not None:
                return event
            await self._end_well(opened)
        except (Failed, Cut, Stalled, BadBody) as ended:
            error = self._error or self._error_of(opened, ended)
            self._error = None
            self._end(error)
        else:
            raise StopAsyncIteration
        finally:
            self._waits = False
            if self._loop is not None:
                self._taken = self._loop.time()
        raise error

    async def _end_well(self, opened: Opened) -> None:
        """The last event was taken: first the place is free, then the connection."""
        self._settle(opened)
        opened.attempt.finish()
        outcome = "cancelled"
        try:
            await opened.body.rest()
            outcome = "success"
        finally:
            self._end(None, outcome)

    def _error_of(self, opened: Opened, ended: Failed | Cut | Stalled | BadBody) -> Exception:
        delivered = self.delivered
        if not isinstance(ended, Failed):
            return broken(ended, opened.status, opened.name, delivered=delivered)
        signals = ended.signals
        opened.attempt.heard(signals)
        return StreamError(
            f"the stream failed after {delivered} events: {sentence(signals)}; it is not tried again, for what was "
            "delivered would come twice",
            delivered=delivered,
            status=signals.status,
            reason=str(signals.reason),
            request_id=signals.request_id or opened.name,
            body_excerpt=opened.body.answer.shown(ended.raw.encode()).decode("utf-8", "replace")[:EXCERPT],
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
        opened = self._opened
        if opened is not None and not self._over:
            self._settle(opened)
            self._end(None, outcome="success" if finished and opened.body.reader.finished else "cancelled")

    def _settle(self, opened: Opened) -> None:
        reader = opened.body.reader
        if reader.tokens is not None:
            opened.attempt.settle(tokens=reader.tokens)
        self._tally.used(self._key, reader.usage)

    def _end(self, error: Exception | None, outcome: str = "success") -> None:
        """It is over, and everything it held is free."""
        opened, loop = self._opened, self._loop
        assert opened is not None
        assert loop is not None
        self._over = True
        for timer in self._timers:
            timer.cancel()
        opened.attempt.finish(error)
        opened.body.close()
        self._door.leave()
        outcome = outcome if error is None else outcome_of(error)
        self._tally.add(self._key, outcome, loop.time() - self._began)

    def break_off(self, error: Exception) -> None:
        """End it from outside: whoever waits for an event gets *error*, and so does whoever asks for the next."""
        if self._over or self._opened is None:
            return
        self._error = error
        body = self._opened.body
        if self._waits:
            body.stop(Stalled(str(error), silent=False))
        else:
            self._end(error)

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
        loop, idle_s = self._loop, self._idle_consumer_s
        if self._over or loop is None or idle_s is None:
            return
        left_s = idle_s if self._waits else self._taken + idle_s - loop.time()
        if left_s > 0:
            self._timers.append(loop.call_later(left_s, _look_at_consumer, weakref.ref(self)))
            return
        message = (
            f"no event was taken for {idle_s:g} s, so the place and the connection of the stream were given back, "
            f"after {self.delivered} events; take events faster, or give a longer idle_consumer_s"
        )
        self.break_off(StreamError(message, delivered=self.delivered, request_id=self.request_id))

    def __del__(self) -> None:
        if self._call is not None:
            self._call.close()
        loop = self._loop
        if self._opened is None or self._over or loop is None:
            return
        warnings.warn(f"{self!r} was dropped: use it with 'async with'", ResourceWarning, stacklevel=2)
        self._over = True
        with contextlib.suppress(RuntimeError):  # the loop is closed, and with it all that it held
            loop.call_soon_threadsafe(_drop, self._opened, self._door, self._tally, self._key, self._timers)

    # -- what it tells ------------------------------------------------------------------

    def _open(self) -> Opened:
        if self._opened is None:
            raise RuntimeError("this stream was not entered: use it with 'async with'")
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
        return body.reader.delivered - body.held

    @property
    def finished(self) -> bool:
        """The last event was read: what was delivered is the whole answer."""
        return self._open().body.reader.finished

    @property
    def usage(self) -> Any:
        """What the server says was used, as it wrote it; None when it has not said it (yet)."""
        return self._open().body.reader.usage

    def __repr__(self) -> str:
        if self._opened is None:
            return "<Stream, not begun>"
        state = "over" if self._over else "open"
        return f"<Stream {self._opened.status}: {self.delivered} events delivered, {state}>"


def _too_late(stream: weakref.ref[Stream]) -> None:
    if (alive := stream()) is not None:
        alive.too_late()


def _look_at_consumer(stream: weakref.ref[Stream]) -> None:
    if (alive := stream()) is not None:
        alive.look_at_consumer()


def _drop(opened: Opened, door: Door, tally: Tally, key: str, timers: list[asyncio.TimerHandle]) -> None:
    """Free what a stream held that nobody has any more."""
    for timer in timers:
        timer.cancel()
    opened.attempt.finish()
    opened.body.close()
    door.leave()
    tally.add(key, "cancelled", 0.0)
