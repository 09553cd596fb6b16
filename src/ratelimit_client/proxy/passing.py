"""
Writing an answer to whoever asked.

Law of this file: status, headers and body are the server's, byte for byte; what belongs to
one connection (its framing, whether it is kept) is made anew, and our own headers come
last. An answer that broke is never ended as if it were whole.

Theory. The answers of aiohttp's server add what they miss (a date, a name, a type), and a
client that compares would find out. So the head is written here, in one piece with the
beginning of the body. A body of unknown length stays one, in chunks; they are those in
which it came. Who reads slowly slows the server down, and who reads nothing for long is
left.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from aiohttp.hdrs import CONTENT_LENGTH, TRANSFER_ENCODING
from aiohttp.http import HttpVersion11

from ..adapters.aiohttp.forwarder import HOP_BY_HOP
from ..adapters.aiohttp.forwarding import Broken, Forwarded
from .asking import named_by_connection
from .refusals import Refusal
from .steering import PREFIX

IDLE_CALLER_S: Final = 300.0
"""As long as ``client.stream`` waits for a consumer that takes nothing."""

_BODILESS: Final = frozenset({204, 304})
_LAST_CHUNK: Final = b"0\r\n\r\n"
_STEERS_A_PARSER: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


class Passed:
    """
    That the answer was written already; for aiohttp's server, which asks for no more.

    Args:
        keep_alive: the connection is good for another request.
    """

    __slots__ = ("keep_alive",)

    def __init__(self, keep_alive: bool) -> None:
        self.keep_alive = keep_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        """Nothing is left to do."""

    async def write_eof(self) -> None:
        """Nor here."""


async def pass_on(request: web.BaseRequest, forwarded: Forwarded, *, close: bool) -> Passed:
    """
    Write *forwarded*, and return when it has ended.

    Args:
        close: say that the connection ends with it.

    Raises:
        Broken: the server's answer did; so did ours. ConnectionError: whoever asked has left.
        TimeoutError: he takes nothing any more.
    """
    headers = forwarded.headers
    bodiless = request.method == "HEAD" or forwarded.status in _BODILESS
    framed = bodiless or (CONTENT_LENGTH in headers and TRANSFER_ENCODING not in headers)
    chunked = not framed and request.version >= HttpVersion11
    keeps = request.keep_alive and not close and (framed or chunked)
    lines = [*_of_server(headers, named=forwarded.named), *_of_ours(forwarded)]
    if chunked:
        lines.append(("Transfer-Encoding", "chunked"))
    lines.extend(_of_connection(request, keeps))
    head, first = head_of(forwarded.status, lines), forwarded.first
    if chunked and first:
        first = _chunk(first)
    try:
        if forwarded.whole:
            _write(request, head + first + (_LAST_CHUNK if chunked else b""))
            await _taken(request)
            return Passed(keeps)
        _write(request, head + first)
        while piece := await forwarded.piece():
            _write(request, _chunk(piece) if chunked else piece)
            await _taken(request)
        if chunked:
            _write(request, _LAST_CHUNK)
    except Broken:
        _break_off(request, told=framed or chunked)
        raise
    except ConnectionError:
        raise
    except Exception:
        _break_off(request, told=False)
        raise
    return Passed(keeps)


def say(
    request: web.BaseRequest, status: int, body: bytes, headers: Iterable[tuple[str, str]], *, close: bool
) -> Passed:
    """Write an answer of our own, which is JSON."""
    keeps = request.keep_alive and not close
    lines = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers]
    lines.extend(_of_connection(request, keeps))
    _write(request, head_of(status, lines) + (b"" if request.method == "HEAD" else body))
    return Passed(keeps)


def refuse(request: web.BaseRequest, refusal: Refusal, *, close: bool = False) -> Passed:
    """Write *refusal*."""
    return say(request, refusal.status, refusal.body, refused(refusal), close=close)


def refused(refusal: Refusal) -> list[tuple[str, str]]:
    """The headers that tell of *refusal*."""
    return [
        *refusal.headers,
        (PREFIX + "error", refusal.code),
        (PREFIX + "attempts", str(refusal.attempts)),
        (PREFIX + "queue-ms", str(round(refusal.queue_s * 1000))),
    ]


def head_of(status: int, lines: Iterable[tuple[str, str]]) -> bytes:
    """The head of an answer; what of *lines* could be read as several is left out."""
    text = "".join([f"{name}: {value}\r\n" for name, value in lines if not _STEERS_A_PARSER.search(value)])
    # As they were read: bytes that are no UTF-8 are kept as what they were.
    return f"HTTP/1.1 {status} {_PHRASES.get(status, 'Unknown')}\r\n{text}\r\n".encode("utf-8", "surrogateescape")


def _of_server(headers: Any, *, named: bool) -> list[tuple[str, str]]:
    """Its headers, less those of the connection to it and those that are ours: of two proxies the last one speaks."""
    gone = named_by_connection(headers)
    framed_anew = TRANSFER_ENCODING in headers
    return [
        (name, value)
        for name, value in headers.items()
        if not (
            (lowered := name.lower()) in HOP_BY_HOP
            or lowered in gone
            or lowered.startswith(PREFIX)
            or (framed_anew and lowered == "content-length")
            or (named and lowered == "x-client-request-id")
        )
    ]


def _of_ours(forwarded: Forwarded) -> list[tuple[str, str]]:
    ours = [
        (PREFIX + "attempts", str(forwarded.attempts)),
        (PREFIX + "queue-ms", str(round(forwarded.queue_s * 1000))),
    ]
    if forwarded.gave_up and "x-should-retry" not in forwarded.headers:
        ours.append(("x-should-retry", "false"))  # it was tried again here for as long as that may help
    return ours


def _of_connection(request: web.BaseRequest, keeps: bool) -> list[tuple[str, str]]:
    """Whether it is kept, where that does not go without saying."""
    if not keeps:
        return [("Connection", "close")]
    # An old client that asked for it waits for the end of the connection unless it is told.
    return [] if request.version >= HttpVersion11 else [("Connection", "keep-alive")]


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def _write(request: web.BaseRequest, data: bytes) -> None:
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("whoever asked has left")
    transport.write(data)


async def _taken(request: web.BaseRequest) -> None:
    """Return when whoever asked has taken most of what was written."""
    if request.protocol.writing_paused:
        async with asyncio.timeout(IDLE_CALLER_S):
            await request.writer.drain()


def _break_off(request: web.BaseRequest, *, told: bool) -> None:
    """
    End the connection in the middle.

    Args:
        told: that it is the middle shows in the framing, so that what was written may arrive first.
    """
    transport = request.transport
    if transport is not None:
        if told:
            transport.close()
        else:
            transport.abort()
