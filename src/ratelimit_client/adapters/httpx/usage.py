"""
What an answer says that it used, read beside whoever reads it.

Law of this file: it is a bystander. The bytes go by as they are, it keeps at most a few
of them, and whatever it cannot read it leaves alone; nothing of it ever raises.

Theory. Of a JSON body the last bytes are enough, however long it is. Of the events of a
stream those are read that say it, and those that say that it is over.
"""

from __future__ import annotations

import re
import zlib
from typing import Protocol

from ...dialects.features import tokens_used
from ...dialects.sse import EventParser
from ...dialects.streams import StreamReader, stream_dialect_of
from ...dialects.usage import KEPT, usage_at_end
from .head import Head

_MOST_PACKED = 64 * 1024
_MOST_UNPACKED = 2**20
_SHORT = 64
"""Characters of an event; one that only says that it is the last has fewer."""
_SAYS_USAGE = re.compile(r'usage(?:Metadata)?"\s*:\s*\{')
_ANY_WRAPPER = 47  # of zlib: gzip or zlib, whichever it is


class Bystander(Protocol):
    """Looks at the bytes of one body."""

    def take(self, part: bytes) -> None:
        """More of it."""

    def tokens(self, *, whole: bool) -> int | None:
        """It has ended, *whole* or left before its end: what it says that it used, or None."""


def bystander_of(head: Head, path: str) -> Bystander | None:
    """
    One for an answer with this *head*; None when it could not read it.

    Args:
        path: the request's.
    """
    kind = head.get(b"content-type")
    packed = head.get(b"content-encoding")
    if kind.startswith("application/json"):
        return EndOfJson() if not packed else PackedJson() if packed in ("gzip", "deflate") else None
    if kind.startswith("text/event-stream") and not packed:
        return Events(path)
    return None


class EndOfJson:
    """The last bytes of a JSON text."""

    __slots__ = ("_end",)

    def __init__(self) -> None:
        self._end = b""

    def take(self, part: bytes) -> None:
        """More of it."""
        self._end = part if len(part) >= KEPT else self._end[-KEPT:] + part

    def tokens(self, *, whole: bool) -> int | None:
        """It has ended."""
        return tokens_used(usage_at_end(self._end)) if whole else None


class PackedJson:
    """A whole JSON text that is compressed, if it is small."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def take(self, part: bytes) -> None:
        """More of it."""
        self._size += len(part)
        if self._size <= _MOST_PACKED:
            self._parts.append(part)

    def tokens(self, *, whole: bool) -> int | None:
        """It has ended."""
        if not whole or self._size > _MOST_PACKED:
            return None
        try:
            text = zlib.decompressobj(_ANY_WRAPPER).decompress(b"".join(self._parts), _MOST_UNPACKED)
        except zlib.error:
            return None
        return tokens_used(usage_at_end(text))


class Events:
    """The events of a stream."""

    __slots__ = ("_parser", "_reader")

    def __init__(self, path: str) -> None:
        self._parser: EventParser | None = EventParser()
        self._reader = StreamReader(stream_dialect_of(path))

    def take(self, part: bytes) -> None:
        """More of it."""
        if self._parser is None:
            return
        try:
            for event in self._parser.feed(part):
                # The others say nothing of it, and would be parsed twice: here, and by who they are for.
                if len(event.data) < _SHORT or _SAYS_USAGE.search(event.data) is not None:
                    self._reader.read(event)
        except Exception:  # noqa: BLE001 - whatever is wrong with it, somebody else reads it
            self._parser = None

    def tokens(self, *, whole: bool) -> int | None:
        """It has ended; SDKs close a stream as soon as they have read its last event."""
        return self._reader.tokens if whole or self._reader.over else None
