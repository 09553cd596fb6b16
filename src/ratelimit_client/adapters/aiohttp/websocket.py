"""
One websocket: frames in and out, its heartbeat and its end.

Law of this file: it ends once, for one reason, and then its connection is gone and its timer
is off, whichever side it was and whatever was on its way. What comes is handed on as it
comes, in the turn of the loop that brought it, without the secrets that it may quote; what is
written is written at once.

Theory. aiohttp parses and writes the frames; the loop around them is ours, because aiohttp's
waits to be asked: it answers no ping, sees no close and counts no message while nobody reads.
Three of its habits are made up for: a pong that is missing for half a heartbeat ends a socket
there as an error without a code, here as 1006; a wait for room to write is shared by all who
write, so one who is cancelled in it cancels the others; and a socket that is dropped is closed by
nobody. A connection that is lost has code 1006 and was not closed by anybody.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

import attrs
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_websocket import WebSocketError, WebSocketReader, WebSocketWriter, WSMsgType

from ...core.failure import FailureKind
from .answer import Answer
from .watchdog import Stalled, Watchdog

NORMAL = 1000
NO_CODE = 1005
LOST = 1006
UNSUPPORTED = 1003
NO_SENSE = 1007
TOO_BIG = 1009

_NEVER = 2**62
_CLOSING_S = 1.0
_MOST_REST = 2**20


@attrs.frozen(kw_only=True)
class End:
    """
    Why a websocket is over.

    Args:
        code: the close code; 1006 when it was lost.
        said: the text that came with the code, as the other side wrote it.
        why: what happened, in our words.
        kind: of a connection that was lost or garbled.
        ours: we wanted it.
    """

    code: int
    said: str = ""
    why: str = ""
    kind: FailureKind | None = None
    ours: bool = False


class Owner(Protocol):
    """Who is told what comes."""

    def came(self, raw: bytes, text: bool) -> None:
        """A message is whole."""
        ...

    def over(self, end: End) -> None:
        """Nothing more will come."""
        ...


class _Inbox(WebSocketDataQueue):
    """Where aiohttp's parser puts what it has parsed; nothing stays in it."""

    def __init__(self, socket: WebSocket, protocol: ResponseHandler, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(protocol, 2**16, loop=loop)
        self._socket = socket

    def is_eof(self) -> bool:
        return self._socket.end is not None

    def feed_data(self, data: Any, size: int) -> None:
        self._socket.message(data)

    def feed_eof(self) -> None:
        self._socket.lost(None)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        self._socket.lost(exc)


class WebSocket:
    """
    Args:
        answer: the one that opened it; its connection is this socket's.
        owner: is told what comes.
        dog: looks whether the connection died without a word.
        most: bytes of one message.
        heartbeat_s: seconds of silence after which the other side is asked for a sign of life, which it has half as
            long for; None: it is not asked.
    """

    def __init__(self, answer: Answer, owner: Owner, dog: Watchdog, *, most: int, heartbeat_s: float | None) -> None:
        self.end: End | None = None
        self._answer = answer
        self._owner = owner
        self._dog = dog
        self._most = most
        self._heartbeat_s = heartbeat_s
        self._loop = asyncio.get_running_loop()
        self._protocol = _protocol(answer)
        self._transport = self._protocol.transport
        self._writer: WebSocketWriter | None = None
        self._heard_at = self._loop.time()
        self._asked = self._paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._leaving: deque[tuple[Mapping[str, Any], int]] = deque()
        self._gone: asyncio.Future[None] | None = None
        self._ticks = itertools.count()
        self._rest = _MOST_REST

    def __repr__(self) -> str:
        return f"<WebSocket, {'open' if self.end is None else f'over: {self.end.code}'}>"

    def begin(self) -> None:
        """From now on what comes is handed on; also what has come already."""
        self._answer.lend(self._dog)
        protocol, transport = self._protocol, self._transport
        gone = transport is None or transport.is_closing()
        if transport is not None and not gone:
            self._writer = WebSocketWriter(protocol, transport, use_mask=True, limit=_NEVER)
        inbox = _Inbox(self, protocol, self._loop)
        # The parser is held by the protocol, and the protocol by the transport.
        reader = WebSocketReader(inbox, self._most, compress=False, decode_text=False)
        protocol.read_timeout = None  # silence is looked for by asking
        if self._heartbeat_s is not None:
            self._timer = self._loop.call_later(self._heartbeat_s, self._beat)
        self._dog.watch(self)
        if self.end is not None:  # the client was closed meanwhile
            return
        protocol.set_parser(reader, inbox, data_received_cb=self._heard)
        if gone:  # what came before that was handed on
            self.lost(None)

    # -- in -----------------------------------------------------------------------

    def message(self, message: Any) -> None:
        """One of the parser's messages; never raises."""
        kind = message[0]
        if self.end is not None:
            self._rest -= len(message[1]) if kind is not WSMsgType.CLOSE else self._rest
            if self._rest <= 0:
                self._it_is_gone()
            return
        if kind is WSMsgType.TEXT or kind is WSMsgType.BINARY:
            try:
                self._owner.came(self._answer.shown(message[1]), kind is WSMsgType.TEXT)
            except Exception as error:  # noqa: BLE001 - aiohttp's parser would drop it, and the session would hang
                self._finish(End(code=LOST, why=f"it could not be read ({type(error).__name__})"))
        elif kind is WSMsgType.PING:
            self._control(message[1], WSMsgType.PONG)
        elif kind is WSMsgType.CLOSE:
            code = message[1] or NO_CODE
            self._say_goodbye(NORMAL if code == NO_CODE else code)
            said = self._answer.shown(message[2].encode()).decode("utf-8", "replace")
            self._finish(End(code=code, said=said))

    def lost(self, error: BaseException | None) -> None:
        """The parser gives up, or nothing more can come."""
        if self.end is not None:
            self._it_is_gone()
        elif isinstance(error, WebSocketError):
            self.refuse(int(error.code), str(error))
        elif isinstance(error, Stalled):
            self._finish(End(code=LOST, why=str(error), kind=FailureKind.CONNECTION))
        else:
            how = "closed without a word" if error is None else "reset"
            self._finish(End(code=LOST, why=f"the connection was {how}", kind=FailureKind.CONNECTION))

    def refuse(self, code: int, why: str) -> None:
        """What came cannot be taken: say so, and end."""
        self._say_goodbye(code)
        self._finish(End(code=code, why=why, kind=FailureKind.PROTOCOL))

    def pause(self) -> None:
        """Take no more for now."""
        if not self._paused and self.end is None:
            self._paused = True
            self._protocol.pause_reading()

    def resume(self) -> None:
        """Take more."""
        if self._paused and self.end is None:
            self._paused = False
            self._heard_at = self._loop.time()
            self._protocol.resume_reading()

    # -- out ------------------------------------------------------------------------

    def write(self, event: Mapping[str, Any], raw: bytes) -> None:
        """
        One message, which is on its way, or in the queue of the system, when this returns.

        Raises:
            ConnectionError: it cannot go any more.
        """
        self._frame(raw, WSMsgType.TEXT)
        self._leaving.append((event, len(raw) + (6 if len(raw) < 126 else 8 if len(raw) < 65536 else 14)))
        self._look_what_left()

    async def room(self) -> None:
        """Return when the other side has taken enough for more to be written."""
        protocol = self._protocol
        while self.end is None and protocol.writing_paused:
            waiter = protocol._drain_waiter
            if waiter is None or waiter.done():
                waiter = protocol._drain_waiter = self._loop.create_future()
                waiter.add_done_callback(_never_mind)
            # As a shared future: cancelled here, the others go on waiting.
            await asyncio.wait([waiter])

    @property
    def unsent(self) -> tuple[Mapping[str, Any], ...]:
        """What was written and not seen to leave."""
        return tuple(event for event, _ in self._leaving)

    def _frame(self, raw: bytes, kind: WSMsgType) -> None:
        if self._writer is None or self.end is not None:
            raise ConnectionResetError("it is over")
        step = self._writer.send_frame(raw, kind)
        try:
            step.send(None)  # it waits for nothing
        except StopIteration:
            return
        finally:
            step.close()

    def _control(self, raw: bytes, kind: WSMsgType) -> None:
        try:
            self._frame(raw, kind)
        except ConnectionError:  # then the end is on its way here
            pass

    def _say_goodbye(self, code: int) -> None:
        sayable = code if code not in (NO_CODE, LOST, 1015) else NORMAL
        self._control(sayable.to_bytes(2, "big"), WSMsgType.CLOSE)

    def _look_what_left(self) -> None:
        leaving, transport = self._leaving, self._transport
        # One that is closing may have thrown away what it had.
        if not leaving or transport is None or transport.is_closing():
            return
        here = transport.get_write_buffer_size()
        size = sum(length for _, length in leaving)
        while leaving and size - leaving[0][1] >= here:
            size -= leaving.popleft()[1]

    # -- signs of life ----------------------------------------------------------------

    def _heard(self) -> None:
        self._heard_at = self._loop.time()
        self._asked = False
        if self._leaving:
            self._look_what_left()

    def _beat(self) -> None:
        """Silent for how long?"""
        every_s = self._heartbeat_s
        assert every_s is not None
        self._look_what_left()
        now = self._loop.time()
        if self._paused:  # it is not silent, it is not listened to
            self._timer = self._loop.call_later(every_s, self._beat)
        elif self._asked:
            why = f"it gave no sign of life for {now - self._heard_at:g} s, asked or not"
            self._finish(End(code=LOST, why=why, kind=FailureKind.TIMEOUT))
        elif now - self._heard_at < every_s:
            self._timer = self._loop.call_at(self._heard_at + every_s, self._beat)
        else:
            self._asked = True
            self._control(b"", WSMsgType.PING)
            self._timer = self._loop.call_later(every_s / 2, self._beat)

    def moved(self) -> int:
        """For the watchdog: silence is looked for here."""
        return next(self._ticks)

    def alive(self) -> bool:
        """Can more come?"""
        return self._transport is not None and not self._transport.is_closing()

    def stop(self, error: Stalled) -> None:
        """The watchdog has found it dead, or the client was closed."""
        self.lost(error)

    # -- the end ------------------------------------------------------------------------

    async def close(self) -> None:
        """
        End it well: say so, and give the other side a moment to say so, too. Idempotent.

        Cancelled, the connection is gone at once.
        """
        if self.end is None:
            self._say_goodbye(NORMAL)
            self._finish(End(code=NORMAL, ours=True), keep=True)
        gone = self._gone
        if gone is None:
            return
        try:
            async with asyncio.timeout(_CLOSING_S):
                await asyncio.wait([gone])
        except TimeoutError:
            pass
        finally:
            self.drop()

    def drop(self) -> None:
        """End it at once, without waiting for anything. Idempotent."""
        self._finish(End(code=NORMAL, ours=True))
        self._gone = None
        self._protocol.abort()
        self._answer.drop()

    def _it_is_gone(self) -> None:
        """The other side has said goodbye, too."""
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def _finish(self, end: End, *, keep: bool = False) -> None:
        if self.end is not None:
            return
        self._look_what_left()
        self.end = end
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._dog.leave(self)
        if keep:
            self._gone = self._loop.create_future()
            if self._paused:
                self._protocol.resume_reading()  # or its goodbye is never read
        elif end.kind is FailureKind.TIMEOUT or end.kind is FailureKind.CONNECTION:
            self._protocol.abort()
        if not keep:
            self._answer.drop()
        self._owner.over(end)


def _protocol(answer: Answer) -> ResponseHandler:
    """aiohttp's end of the connection that an answer came on."""
    line: Any = answer.line
    found = line if isinstance(line, ResponseHandler) else line.protocol
    assert isinstance(found, ResponseHandler)
    return found


def _never_mind(waiter: asyncio.Future[None]) -> None:
    """Take note of its error, which everybody learns otherwise."""
    if not waiter.cancelled():
        waiter.exception()
