"""
Reading a body whole, or knowing that it is not.

Law of this file: a body that was cut short is never a success, and no body takes
more memory than it may.

Theory. Framing (content-length, chunks) tells aiohttp when the bytes on the wire
are complete, and it is not enough. A gzip stream can end early inside intact
framing, and aiohttp then hands out the prefix; a content-length that is too
small cuts the rest off; a body that ends with the connection has no framing at
all; and 300 KiB of gzip can hold 300 MiB, or go on for ever and hold nothing. So
decoding is done here, in pieces that are counted, on the wire and off it, up to the
checksum at the end of the stream, and what says it is JSON has to be JSON to the
last brace.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from . import codec

MOST_BYTES = 64 * 2**20
"""Decoded bytes of one body; base64 images come close to it, chat never does."""

MOST_MESSAGE_BYTES = 16 * 2**20
"""Of one message of a session."""

_STEP = 2**20
# What follows a member of a gzip stream is copied, so members of nothing cost the square of what they stand in.
_SLICE = 16 * 1024
# A stream of several members has something in most of them: bgzip puts up to 64 KiB in each.
_MOST_EMPTY_MEMBERS = 64
# Of what is too large: an excerpt is cut from it, and the reason of a refusal is looked for in it.
_MOST_SHOWN = 16 * 1024
_GZIP = 16 + zlib.MAX_WBITS


class BadBody(Exception):
    """
    The body cannot be used; the text says why.

    Args:
        why: half a sentence about the body.
        read: the bytes there were, decoded, for an excerpt.
        may_pass: another attempt may bring a better one.
    """

    def __init__(self, why: str, read: bytes = b"", *, may_pass: bool = True) -> None:
        super().__init__(why)
        self.read = read
        self.may_pass = may_pass


class Kept:
    """The decoded bytes of one body so far."""

    __slots__ = ("_empty", "_full", "_inflate", "_most", "_parts", "_size", "_wire", "_zipped", "since_pause")

    def __init__(self, coding: str, most: int = MOST_BYTES) -> None:
        coding = coding.strip().lower()
        self._zipped = coding in ("gzip", "x-gzip")
        if not self._zipped and coding not in ("", "identity"):
            raise BadBody(f"it is encoded as {coding!r:.40}, which was not asked for")

        self._inflate: Any = None
        self._most = most
        self._parts: list[bytes] = []
        self._size = self._wire = self._empty = self._full = 0
        self.since_pause = 0

    def add(self, piece: bytes) -> None:
        """Take the next bytes of the wire."""
        if not self._zipped:
            self._keep(piece)
            return
        try:
            for start in range(0, len(piece), _SLICE):
                part = piece[start : start + _SLICE]
                self._wire += len(part)
                if self._wire > 2 * self._most:  # what does not shrink grows a little, and no more than that
                    raise self._too_large()
                self._unzip(part)
        except zlib.error as error:
            problem = BadBody(f"its gzip stream is corrupt ({error})", self.sofar())
        else:
            return
        raise problem

    def steps(self, piece: bytes, most: int) -> Iterator[bytes]:
        """
        The next bytes of the wire, decoded, in steps of at most *most* bytes, of which none is kept.

        Raises:
            BadBody: at the step that cannot be had.
        """
        if not self._zipped:
            for start in range(0, len(piece), most):
                yield self.counted(piece[start : start + most])
            return
        try:
            for start in range(0, len(piece), _SLICE):
                part = piece[start : start + _SLICE]
                self._wire += len(part)
                if self._wire > 2 * self._most:
                    raise self._too_large()
                yield from self._unzipped(part, most)
        except zlib.error as error:
            problem = BadBody(f"its gzip stream is corrupt ({error})")
        else:
            return
        raise problem

    def whole(self) -> bytes:
        """All of it, once the message has ended."""
        if self._inflate is not None:
            self._keep(self._inflate.flush())
            if not self._inflate.eof:
                raise BadBody("its gzip stream was cut short", self.sofar())
        return self.sofar()

    def take(self) -> bytes:
        """What was decoded since the last call, handed over."""
        taken = self.sofar()
        self._parts.clear()
        return taken

    def sofar(self) -> bytes:
        """What has been decoded, whole or not."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def _unzip(self, piece: bytes) -> None:
        while piece:
            if self._inflate is None or self._inflate.eof:
                # Another member may follow (RFC 1952, 2.2), and so may zeros as padding.
                if self._inflate is not None and not piece.strip(b"\0"):
                    return
                self._inflate = self._next_member()

            self._keep(self._inflate.decompress(piece, _STEP))
            piece = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail

    def _unzipped(self, piece: bytes, most: int) -> Iterator[bytes]:
        full = False
        while piece or full:  # what filled a step may have left something in the unpacker
            if self._inflate is None or self._inflate.eof:
                if self._inflate is not None and not piece.strip(b"\0"):
                    return
                self._inflate = self._next_member()
            data = self._inflate.decompress(piece, most)
            piece = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
            full = len(data) == most and not self._inflate.eof
            if data:
                yield self.counted(data)

    @property
    def plain(self) -> bool:
        """What is on the wire is what is meant."""
        return not self._zipped

    def counted(self, data: bytes) -> bytes:
        """*data*, which is not kept."""
        self._size += len(data)
        if self._size > self._most:
            raise self._too_large()
        return data

    def _next_member(self) -> Any:
        if self._inflate is not None:
            self._empty += self._size == self._full
            self._full = self._size
            if self._empty > _MOST_EMPTY_MEMBERS:
                raise BadBody("its gzip stream holds nothing, again and again", self.sofar(), may_pass=False)
        return zlib.decompressobj(_GZIP)

    def _keep(self, data: bytes) -> None:
        if not data:
            return
        self._size += len(data)
        self.since_pause += len(data)
        self._parts.append(data)
        if self._size > self._most:
            raise self._too_large()

    def _too_large(self) -> BadBody:
        head = b""
        while self._parts and len(head) < _MOST_SHOWN:
            head += self._parts.pop(0)[:_MOST_SHOWN]
        self._parts.clear()
        return BadBody(f"it is larger than {self._most} bytes", head, may_pass=False)


def meaning(raw: bytes, content_type: str, *, must_be_data: bool) -> Any:
    """
    The parsed JSON of a whole body, or None when it is something else (audio, a file, text).

    Args:
        raw: the decoded body.
        content_type: as the answer says.
        must_be_data: the call cannot have a web page for an answer.

    Raises:
        BadBody: it says it is JSON and is not, says nothing by saying ``null``, or is
            the page of a proxy where an answer was due.
    """
    kind = _kind_of(content_type)
    if kind == "application/json" or kind.endswith("+json"):
        return _json(raw)
    if must_be_data and kind in ("text/html", "application/xhtml+xml"):
        raise BadBody("it is a web page, as a proxy or a login page sends it", raw)
    if not kind and raw[:1] in (b"{", b"["):
        # Nothing said what it is; a bracket says it for itself.
        return _json(raw)
    return None


@lru_cache(maxsize=64)
def _kind_of(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _json(raw: bytes) -> Any:
    try:
        value = codec.decode(raw)
    except codec.NotJson as error:
        problem = f"it says it is JSON and is not ({error!s:.100})" if raw else "it says it is JSON and is empty"
    else:
        if value is not None:
            return value
        problem = "it says no more than null"
    raise BadBody(problem, raw)
