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
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator

from aiohttp.hdrs import CONTENT_ENCODING

from ...dialects.sse import EventParser, EventTooLarge
from ...dialects.streams import EventKind, StreamEvent, StreamReader
from .answer import Answer
from .body import BadBody, Kept
from .watchdog import Stalled, Watchdog

# No stream of text comes near it; it is there so that nothing is without end.
_MOST_OF_A_STREAM = 2**32
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
        wall_s: the date, for errors that name an instant.
    """

    def __init__(self, answer: Answer, reader: StreamReader, dog: Watchdog, wall_s: float) -> None:
        self.reader = reader
        self.answer = answer
        self._content = answer.lend(dog)
        self._dog = dog
        self._wall_s = wall_s
        self._parser = EventParser()
        self._kept = Kept(answer.headers.get(CONTENT_ENCODING, ""), _MOST_OF_A_STREAM)
        self._ready: deque[StreamEvent] = deque()
        self._failed: StreamEvent | None = None
        self._ended: Cut | Stalled | None = None
        self._seen = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<EventBody {self.reader!r}, {len(self._ready)} ready>"

    @property
    def held(self) -> int:
        """Events that are here and were not taken."""
        return len(self._ready)

    async def open(self) -> None:
        """
        Return when something of the answer is there: then a further try would say it twice.

        Raises:
            Failed, Cut, Stalled: what ``next`` does, and nothing was delivered.
        """
        with self._watched():
            while not (self.reader.begun or self.reader.over):
                await self._read()
        if self._ended is not None and not self.reader.begun:
            raise self._ended
        if self._failed is not None and not self.reader.begun:
            raise Failed(self._failed)

    async def next(self) -> StreamEvent | None:
        """
        The next event, when it is there; None: that was the last.

        Cancelled, nothing is lost.

        Raises:
            Failed: the server says so. Once; then it is over.
            Cut: it was cut off, broken, or too large. Stalled: nothing came for too long.
        """
        if self._ready:
            return self._ready.popleft()
        with self._watched():
            while not self._ready:
                if self._failed is not None:
                    raise Failed(self._failed)
                if self.reader.over and self._ended is None:
                    return None
                await self._read()
        return self._ready.popleft()

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        self._dog.watch(self)
        try:
            yield
        finally:
            self._dog.leave(self)

    async def _read(self) -> None:
        """Take one piece off the wire, with the events that end in it."""
        if self._ended is not None:
            raise self._ended
        content = self._content
        try:
            piece = b"" if content.at_eof() else (await content.readchunk())[0]
        except asyncio.CancelledError as stop:
            # The frames below hold aiohttp's locals; nobody who prints this needs them.
            stop.__traceback__ = stop.__context__ = None
            raise
        except Exception as error:  # noqa: BLE001 - every way for a body to break ends here, and none may leave as it is
            self._ended = error if isinstance(error, Stalled) else Cut(f"it was cut short ({type(error).__name__})")
            # aiohttp tells of the end before what came before it; that it keeps what came is no promise of its.
            piece = content._read_nowait(-1)
        try:
            self._feed(piece)
            if self._ended is None and not self.reader.over and content.at_eof():
                self._end()
        except (BadBody, EventTooLarge) as bad:
            self._ended = Cut(str(bad))

    def _feed(self, piece: bytes) -> None:
        self._kept.add(piece)
        for sse in self._parser.feed(self._kept.take()):
            self._seen += 1
            event = self.reader.read(sse, now_wall_s=self._wall_s)
            if event.kind is EventKind.ERROR:
                self._failed = event
            elif event.deliver:
                self._ready.append(event)

    def _end(self) -> None:
        """The bytes have ended, and all of them were read."""
        self._kept.whole()
        if not self.reader.end(self._parser.end()):
            self._ended = Cut("it ended without its last event")

    # -- the end ----------------------------------------------------------------------

    async def rest(self) -> None:
        """After the last event: take what belongs to the answer still, so that its connection can be used again."""
        content, taken = self._content, 0
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
        self._content.set_exception(error)
