"""
One open session: what came of it and is not taken yet, what waits to be said, and its end.

Law of this file: an event is understood when it comes and handed out when somebody asks, so the
books are right whether or not anybody reads. When the session is over everything it
held is free at once: places, the connection, the door; whoever waits, to read or to say
something, is told.

Theory. What is not taken is bounded: beyond that nothing is read off the socket until
somebody takes events, and the server waits. Who drops the session while it is open leaves this
object to the connection that holds it, so it must not hold the handle.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

from ...core.failure import FailureKind
from ...core.signals import Reason, Signals
from ...dialects.realtime import NORMAL, read_close
from ...dialects.registry import AUTO
from ...errors import StreamError, StreamTruncated
from ...runtime.answers import sentence
from ...runtime.limiter import Limiter
from . import codec
from .asks import Asks
from .door import Door
from .exchange import EXCERPT
from .tally import Tally
from .upgrade import Shaken
from .watchdog import Stalled, TaskWatch, Watchdog
from .websocket import NO_SENSE, UNSUPPORTED, End, WebSocket

_MOST_HELD = 2 * 2**20
_A_MESSAGE = 128
_NEARLY_S = 2.0


class Conversation:
    """
    Args:
        shaken: the connection, and the handshake that brought it.
        limiter: where responses queue.
        key: their budget in its scope, and what it is called outside.
        door, tally: of the client; it is inside already.
        dog: looks for connections that died.
        most: bytes of one message.
        heartbeat_s: seconds of silence that are too many; None: none are.
    """

    def __init__(
        self,
        shaken: Shaken,
        limiter: Limiter,
        key: str,
        door: Door,
        tally: Tally,
        dog: Watchdog,
        *,
        most: int,
        heartbeat_s: float | None,
    ) -> None:
        self.shaken = shaken
        self.key = shaken.scoped.key(key)
        self.delivered = 0
        """Events handed out so far."""
        self.dog = dog
        self._door = door
        self._loop = asyncio.get_running_loop()
        self.asks = Asks(limiter, shaken.attempt, self.key, key, tally, self._loop.time)
        self._ready: deque[tuple[dict[str, Any], int]] = deque()
        self._held = 0
        self._waiter: asyncio.Future[None] | None = None
        self._queued: dict[TaskWatch, Mapping[str, Any]] = {}
        self._never: tuple[Mapping[str, Any], ...] = ()
        self._open_at_end = 0
        self.socket = WebSocket(shaken.answer, self, dog, most=most, heartbeat_s=heartbeat_s)

    def __repr__(self) -> str:
        return f"<Conversation {self.socket!r}: {self.asks!r}, {len(self._ready)} events ready>"

    @property
    def is_over(self) -> bool:
        """Nothing can be said any more, and nothing new comes."""
        return self.socket.end is not None

    # -- in -----------------------------------------------------------------------

    def came(self, raw: bytes, text: bool) -> None:
        """One message of the server's."""
        problem = "is no object"
        try:
            event = codec.decode(raw)
        except codec.NotJson as error:
            event, problem = None, f"is no JSON: {error}"
        if type(event) is not dict:
            self.socket.refuse(NO_SENSE if text else UNSUPPORTED, f"a message of the server's {problem}")
            return
        self.asks.hear(event)
        self._ready.append((event, len(raw)))
        self._held += len(raw) + _A_MESSAGE
        if self._held > _MOST_HELD:
            self.socket.pause()
        self._wake()

    async def next(self) -> dict[str, Any] | None:
        """The next event; None when there will be no other. Cancelled, none is lost."""
        while not self._ready:
            if self.is_over:
                return None
            if self._waiter is not None:
                raise RuntimeError("two tasks cannot wait for the events of one session")
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        event, size = self._ready.popleft()
        self._held -= size + _A_MESSAGE
        self.delivered += 1
        if self._held <= _MOST_HELD // 2:
            self.socket.resume()
        return event

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- out ------------------------------------------------------------------------

    def queues(self, watch: TaskWatch, event: Mapping[str, Any]) -> None:
        """*event* waits for its turn, in the task of *watch*, which is woken should the session end before."""
        self._queued[watch] = event

    def queues_no_more(self, watch: TaskWatch) -> None:
        """It has its turn, or gave up."""
        self._queued.pop(watch, None)

    def say(self, event: Mapping[str, Any], raw: bytes) -> bool:
        """Write *event*; False when it cannot go any more."""
        try:
            self.socket.write(event, raw)
        except ConnectionError:
            return False
        self.asks.talk.sent(event)
        return True

    # -- the end ------------------------------------------------------------------------

    def over(self, end: End) -> None:
        """The socket is over."""
        self._open_at_end = len(self.asks)
        self._never = tuple(self._queued.values())
        self.asks.over(None if end.ours else self.failure())
        for watch in tuple(self._queued):
            watch.stop(Stalled("the session is over", silent=False))
        self._door.leave()
        self._wake()

    @property
    def unsent(self) -> tuple[Mapping[str, Any], ...]:
        """What was to be said and never left: written and not seen to leave, then what waited for its turn."""
        return (*self.socket.unsent, *self._never) if self.is_over else ()

    @property
    def expired(self) -> bool:
        """Its time is over, as the server said it would be."""
        at = self.asks.ends_at
        return self.asks.expired or (at is not None and self._loop.time() >= at - _NEARLY_S)

    def failure(self, unsaid: Mapping[str, Any] | None = None) -> StreamError | None:
        """
        The error for a session that ended otherwise than well; None of one that ended well.

        Args:
            unsaid: an event that could not be said any more.
        """
        end = self.socket.end or End(code=1006, why="the connection is closing", kind=FailureKind.CONNECTION)
        said = end.said[:EXCERPT]
        facts: dict[str, Any] = {
            "delivered": self.delivered,
            "close_code": end.code,
            "request_id": self.shaken.name,
            "unsent_events": (*self.unsent, *(() if unsaid is None else (unsaid,))),
            "body_excerpt": said,
        }
        after = f"after {self.delivered} events"
        if not end.ours and self.expired:
            message = f"the time of the session was over {after}, and the server ended it ({end.code}): open another"
            return StreamError(message, expired=True, **facts)
        if end.kind is not None:
            message = f"the session broke off {after}: {end.why}; what was under way is lost: open another"
            return StreamTruncated(message, kind=end.kind, **facts)
        if end.ours or end.code in NORMAL:
            if self._open_at_end and not end.ours:
                message = f"the server ended the session {after} ({end.code}) in the middle of a response"
                return StreamTruncated(message, kind=FailureKind.INCOMPLETE, **facts)
            if unsaid is None:
                return None
            whose = "it was left" if end.ours else f"the server ended it ({end.code})"
            return StreamError(f"the session is over: {whose}; nothing can be said any more", **facts)
        return self._refusal(end, said, after, facts)

    def _refusal(self, end: End, said: str, after: str, facts: dict[str, Any]) -> StreamError:
        signals: Signals = read_close(end.code, said, server=self.shaken.attempt.dialect or AUTO)
        way = FailureKind.CONNECTION if signals.reason in (Reason.SERVER_ERROR, Reason.OVERLOADED) else None
        message = f"the server closed the session with {end.code} {after}: {end.why or sentence(signals)}"
        return StreamError(
            message, kind=way, status=signals.status, reason=str(signals.reason), signals=signals, **facts
        )
