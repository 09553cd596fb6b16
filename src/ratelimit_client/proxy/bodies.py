"""
The bodies of requests, for as long as they are held.

Law of this file: what is held has a most, for one request and for all of them together.
Whoever comes when that is used up is told so at once, and what a request held is free when
the request is over, whichever way.

Theory. A call waits with its body, which may have to be sent again; so the memory of a
proxy is its queue times the size of a request, and neither bounds the other. Counted is
what has come and not what was announced, because announcing costs nothing; but who
announces more than is left is turned away before he sends it.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

from aiohttp import web
from aiohttp.http import HttpVersion11

MOST_BODY: Final = 64 * 2**20
"""Bytes of a request."""
MOST_HELD: Final = 512 * 2**20
"""Bytes of all requests together."""
LONGEST_UPLOAD_S: Final = 120.0


class TooLarge(Exception):
    """A request has more bytes than one may have."""


class NoRoom(Exception):
    """A request has more bytes than are left."""


class Bodies:
    """
    What all requests hold.

    Args:
        most_body: bytes of a request.
        most_held: of all together; at least those of one.

    Attributes:
        held: bytes that have come and are not free yet.
    """

    def __init__(self, most_body: int, most_held: int) -> None:
        self.most_body = most_body
        self.most_held = max(most_body, most_held)
        self.held = 0

    def one(self) -> Held:
        """For one request: ``with bodies.one() as held: raw = await held.read(request)``."""
        return Held(self)

    def __repr__(self) -> str:
        return f"<Bodies: {self.held} of {self.most_held} bytes>"


class Held:
    """What one request holds."""

    __slots__ = ("_of", "_size")

    def __init__(self, of: Bodies) -> None:
        self._of = of
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._of.held -= self._size
        self._size = 0

    async def read(self, request: web.BaseRequest) -> bytes:
        """
        The body of *request*, whole.

        Raises:
            TooLarge, NoRoom: it is not read. TimeoutError: it did not come. RequestPayloadError: it is none.
        """
        content = request.content
        if content.is_eof():
            self._add(content.total_bytes)
            return content.read_nowait()
        self._look(request.content_length or 0)
        if "Expect" in request.headers and request.version >= HttpVersion11 and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = bytearray()  # and no list of pieces, which would leave the heap full of holes
        async with asyncio.timeout(LONGEST_UPLOAD_S):
            while piece := await content.readany():
                self._add(len(piece))
                body += piece
        return bytes(body)

    def _add(self, size: int) -> None:
        self._look(size)
        self._size += size
        self._of.held += size

    def _look(self, more: int) -> None:
        of = self._of
        if self._size + more > of.most_body:
            raise TooLarge
        if of.held + more > of.most_held:
            raise NoRoom

    def __repr__(self) -> str:
        return f"<Held {self._size} bytes>"
