"""
The events of one answer, from the wire to whoever takes them.

Law of this file: an event is taken off the wire when somebody waits for it, and not
before; a stream that ends without its last event was cut off, however well it ended as
HTTP.

Theory. What is not read stays in the kernel's buffers, aiohttp's and then the server's:
back-pressure is reading late. So the watchdog looks only while somebody waits, for a
consumer that takes his time is not a silent server. What counts as a sign of life is an
event, a keepalive among them; bytes that become none are none, or a server could hold a
connection for ever with comments.

A piece of a body may hold a hundred thousand events, or unpack to a thousand times its
size. So it is taken step by step, the next one when the events of the last were taken,
and others have their turn in between.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator

from aiohttp.hdrs import CONTENT_ENCODING, CONTENT_LENGTH

from ...dialects.sse import EventParser, EventTooLarge
from ...dialects.streams import EventKind, StreamEvent, StreamReader
from ...runtime.attempts import Attempt
from .answer import Answer
from .body import BadBody, Kept
from .watchdog import Stalled, Watchdog

# No stream of text comes near it; it is there so that nothing is without end.
_MOST_OF_A_STREAM = 2**32
_STEP = 16 * 1024
# Of a server that only ever says that it is about to begin; it says all of the question again, twice.
_MOST_BEFORE = 16 * 2**20
_MOST_EVENTS_BEFORE = 1000
_REST_S = 0.25
_MOST_REST = 64 * 1024
_MOST_SHOWN = 4096


class Cut(Exception):
    """The events ended early; the text says why."""


class Failed(Exception):
    """
    The server says that the call failed.

    Args:
        signals: what it says, as an ordinary answer would.
        raw: how it said it.
    """

    def __init__(self, event: StreamEvent) -> None:
        super().__init__()
        assert event.signals is not None  # it is an ERROR
        self.signals = event.signals
        self.raw = event.raw[:_MOST_SHOWN]


class EventBody:
    """
    Args:
        answer: a success whose body is of events.
        reader: knows what they mean.
        dog: looks for silence.
        attempt: is told of limits in events; knows the date, for errors that name an instant.

    Attributes:
        ready: events that are here and were not taken.
    """

    def __init__(self, answer: Answer, reader: StreamReader, dog: Watchdog, attempt: Attempt) -> None:
        self.reader = reader
        self.answer = answer
        self.ready: deque[StreamEvent] = deque()
        self._content = answer.lend(dog)
        self._dog = dog
        self._attempt = attempt
        self._wall_s = attempt.wall_s
        self._parser = EventParser()
        self._kept = Kept(answer.headers.get(CONTENT_ENCODING, ""), _MOST_OF_A_STREAM)
        self._steps: Iterator[bytes] | None = None
        """Of the piece that was taken off the wire last, what was not looked at."""
        self._failed: StreamEvent | None = None
        self._ended: Cut | Stalled | None = None
        self._seen = self._size = 0
        self._head = b""
        self._loop = asyncio.get_running_loop()
        self._silent_s = 0.0
        """How long was waited in vain, by waits that were cancelled."""
        self._came = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<EventBody {self.reader!r}, {len(self.ready)} ready>"

    @property
    def instead(self) -> str:
        """The beginning of what came, when no event was in it."""
        return "" if self._seen else self.answer.shown(self._head).decode("utf-8", "replace")

    async def open(self) -> None:
        """
        Return when something of the answer is there: then a further try would say it twice.

        Raises:
            Failed, Cut, Stalled: what ``next`` does, and nothing was delivered.
        """
        self._dog.watch(self)
        try:
            while not (self.reader.begun or self.reader.over or self._waits_for_much()):
                await self._read()
        finally:
            self._dog.leave(self)
        if self._ended is not None and not self.reader.begun:
            raise self._ended
        if self._failed is not None and not self.reader.begun:
            raise Failed(self._failed)

    def _waits_for_much(self) -> bool:
        return self._size > _MOST_BEFORE or len(self.ready) > _MOST_EVENTS_BEFORE

    async def next(self) -> StreamEvent | None:
        """
        The next event, when it is there; None: that was the last.

        Cancelled, nothing is lost.

        Raises:
            Failed: the server says so. Once; then it is over.
            Cut: it was cut off, broken, or too large. Stalled: nothing came for too long.
        """
        ready, reader = self.ready, self.reader
        if not ready:
            loop, seen = self._loop, self._seen
            began = loop.time()
            if self._silent_s:
                self._look_at_silence()
            self._dog.watch(self)
            try:
                while not ready:
                    if self._failed is not None:
                        raise Failed(self._failed)
                    if reader.over and reader.finished:  # whatever became of the connection after it
                        return None
                    await self._read()
            except asyncio.CancelledError:
                self._silent_s = loop.time() - began + (self._silent_s if seen == self._seen else 0.0)
                self._came = self._content.total_bytes
                raise
            finally:
                self._dog.leave(self)
            self._silent_s = 0.0
        return ready.popleft()

    def _look_at_silence(self) -> None:
        """Who asks again and again, and waits for a moment each time, waits for a silent server all the same."""
        idle_s = self._dog.idle_s
        if idle_s is not None and self._silent_s >= idle_s and self._content.total_bytes == self._came:
            self._content.set_exception(_silent(idle_s))

    async def _read(self) -> None:
        """Take one step, of the piece that is here or of the next off the wire, with the events that end in it."""
        try:
            if self._steps is None:
                self._feed(await self._take())
            else:
                await asyncio.sleep(0)
                step = next(self._steps, None)
                if step is None:
                    self._steps = None
                else:
                    self._feed(step)
            if self._steps is None and self._ended is None and not self.reader.over and self._content.at_eof():
                self._end()
        except (BadBody, EventTooLarge) as bad:
            self._steps = None
            self._ended = Cut(str(bad))

    async def _take(self) -> bytes:
        """Take what is there off the wire, or what comes next when nothing is; returns the first step of it."""
        if self._ended is not None:
            raise self._ended
        content = self._content
        try:
            # readany() would go on waiting after an error that came together with the end of a chunk.
            piece = content.read_nowait() or (await content.readchunk())[0]
        except asyncio.CancelledError as stop:
            # The frames below hold aiohttp's locals; nobody who prints this needs them.
            stop.__traceback__ = stop.__context__ = None
            raise
        except Exception as error:  # noqa: BLE001 - every way for a body to break ends here, and none may leave as it is
            self._ended = _why(error)
            # aiohttp tells of the end before what came before it; that it keeps what came is no promise of its.
            piece = content._read_nowait(-1)
        if self._kept.plain and len(piece) <= _STEP:
            return self._kept.counted(piece)
        self._steps = self._kept.steps(piece, _STEP)
        return next(self._steps, b"")

    def _feed(self, step: bytes) -> None:
        self._size += len(step)
        if not self._seen and len(self._head) < _MOST_SHOWN:
            self._head += step[:_MOST_SHOWN]
        read, ready, wall_s = self.reader.read, self.ready, self._wall_s
        for sse in self._parser.feed(step):
            self._seen += 1
            event = read(sse, now_wall_s=wall_s)
            kind = event.kind
            if kind is EventKind.OUTPUT:
                ready.append(event)
            elif kind is EventKind.ERROR:
                self._failed = event
            elif event.deliver:
                ready.append(event)
                if kind is EventKind.LIMITS and event.signals is not None:
                    self._attempt.heard(event.signals)

    def _end(self) -> None:
        """The bytes have ended, and all of them were read."""
        self._kept.whole()
        if self.answer.was_reset():
            self._ended = Cut("it was cut short (the connection was reset)")
            return
        if not self.reader.end(self._parser.end()):
            self._ended = Cut("it ended without its last event")
            if CONTENT_LENGTH in self.answer.headers:
                self.answer.drop()  # that may be the lie, and then the next answer would begin within this one

    # -- the end ----------------------------------------------------------------------

    async def rest(self) -> None:
        """After the last event: take what belongs to the answer still, so that its connection can be used again."""
        content, taken = self._content, 0
        if content.at_eof():
            return
        try:
            async with asyncio.timeout(_REST_S):
                while not content.at_eof() and taken < _MOST_REST:
                    taken += len((await content.readchunk())[0])
        except Exception:  # noqa: BLE001 - the answer is whole already, and its connection is closed if it is not
            pass

    def close(self) -> None:
        """Give the connection back, or drop it when the answer is still coming. Idempotent."""
        if not self._closed:
            self._closed = True
            self.answer.close()

    # -- watched ------------------------------------------------------------------------

    def moved(self) -> int:
        """A number that changes with every event."""
        return self._seen

    def alive(self) -> bool:
        """Can more come, or has the end been told?"""
        return self._content.is_eof() or self.answer.connected()

    def stop(self, error: Stalled) -> None:
        """Whoever waits for an event gets *error*."""
        if error.silent and self._dog.idle_s is not None:
            error = _silent(self._dog.idle_s)
        self._content.set_exception(error)


def _silent(idle_s: float) -> Stalled:
    return Stalled(f"no event for {idle_s:g} s")


def _why(error: Exception) -> Cut | Stalled:
    """What an exception of aiohttp's or the watchdog's says of the stream that it ended."""
    if isinstance(error, Stalled):
        return error
    if isinstance(error, TimeoutError):  # of a session of the user's, where aiohttp looks for silence as well
        return Stalled("nothing came for too long")
    return Cut(f"it was cut short ({type(error).__name__})")
