"""
What an answer says of itself, read beside whoever it is for.

Law of this file: the bytes go by as they are. What cannot be read is left alone, little of
it is kept, and nothing of it ever raises.

Theory. Of a JSON answer the last bytes are enough, however long it is. Events are read one
by one, as a client would, for among them are levels of limits and the error of a call
that failed half-way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp.hdrs import CONTENT_ENCODING, CONTENT_TYPE

from ...core.signals import Signals
from ...dialects.dialect import Dialect
from ...dialects.features import tokens_used
from ...dialects.registry import AUTO
from ...dialects.sse import EventParser
from ...dialects.streams import EventKind, StreamReader, stream_dialect_of
from ...dialects.usage import KEPT, usage_at_end
from . import codec
from .answer import Answer
from .body import Kept

_EVENTS = "text/event-stream"
# Decoded bytes that are looked at; what comes behind them goes by unread.
_MOST_JSON = 64 * 2**20
_MOST_EVENTS = 2**32


class Bystander:
    """
    One for one answer; it reads nothing.

    Attributes:
        usage: what the call used, as the server wrote it; None when that is not known.
        tokens: the total of it.
        whole: nothing speaks against the answer being all of it.
        failed: the server has said in it that the call failed.
    """

    usage: Any = None
    tokens: int | None = None
    whole = True
    failed = False

    def take(self, piece: bytes) -> None:
        """The next bytes of the wire."""

    def end(self) -> None:
        """Those were all."""


class OfJson(Bystander):
    """The last bytes of a JSON text."""

    def __init__(self, coding: str) -> None:
        self._kept: Kept | None = Kept(coding, _MOST_JSON) if coding else None
        self._end = b""

    def take(self, piece: bytes) -> None:
        """The next bytes of the wire."""
        if self._kept is not None:
            self._kept.add(piece)
            piece = self._kept.take()
        self._end = piece if len(piece) >= KEPT else self._end[-KEPT:] + piece

    def end(self) -> None:
        """Those were all."""
        self.usage = usage_at_end(self._end)
        self.tokens = tokens_used(self.usage)


class OfEvents(Bystander):
    """
    The events of a stream.

    Args:
        reader: knows what they mean.
        heard: is told what they say of limits and of failure.
        wall_s: the date, for errors that name an instant.
    """

    def __init__(self, coding: str, reader: StreamReader, heard: Callable[[Signals], object], wall_s: float) -> None:
        self._kept: Kept | None = Kept(coding, _MOST_EVENTS) if coding else None
        self._parser = EventParser()
        self._reader = reader
        self._heard = heard
        self._wall_s = wall_s

    def take(self, piece: bytes) -> None:
        """The next bytes of the wire."""
        if self._kept is not None:
            self._kept.add(piece)
            piece = self._kept.take()
        for sse in self._parser.feed(piece):
            event = self._reader.read(sse, now_wall_s=self._wall_s)
            if event.signals is not None and event.kind in (EventKind.ERROR, EventKind.LIMITS):
                self._heard(event.signals)

    def end(self) -> None:
        """Those were all."""
        reader = self._reader
        self.failed = reader.over and not reader.finished
        self.whole = reader.end(self._parser.end()) or self.failed
        self.usage, self.tokens = reader.usage, reader.tokens


class Careful(Bystander):
    """One that leaves at the first thing it does not understand."""

    def __init__(self, inner: Bystander) -> None:
        self._inner: Bystander | None = inner

    def take(self, piece: bytes) -> None:
        """The next bytes of the wire."""
        if self._inner is not None:
            try:
                self._inner.take(piece)
            except Exception:  # noqa: BLE001 - whatever is wrong with it, somebody else reads it
                self._inner = None

    def end(self) -> None:
        """Those were all."""
        inner = self._inner
        if inner is not None:
            try:
                inner.end()
            except Exception:  # noqa: BLE001 - the same
                return
            self.usage, self.tokens = inner.usage, inner.tokens
            self.whole, self.failed = inner.whole, inner.failed


def bystander_of(
    answer: Answer, path: str, url: str, dialect: Dialect | None, heard: Callable[[Signals], object], wall_s: float
) -> Bystander:
    """
    One for *answer*.

    Args:
        path: the request's.
        url: scheme, host and port of the server.
        dialect: whose errors and limits they are, as far as that is known.
        heard: is told what the events of a stream say.
    """
    kind = answer.headers.get(CONTENT_TYPE, "").partition(";")[0].strip().lower()
    coding = answer.headers.get(CONTENT_ENCODING, "").strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip"):
        return Bystander()
    coding = "" if coding == "identity" else coding
    if kind == "application/json":
        return Careful(OfJson(coding))
    if kind == _EVENTS:
        reader = StreamReader(stream_dialect_of(path), server=dialect or AUTO, url=url, decode=codec.decode_text)
        return Careful(OfEvents(coding, reader, heard, wall_s))
    return Bystander()
