"""
A server that sends exactly the bytes it is told to.

A conversation is a list of steps for one request: bytes are sent as they are,
numbers are seconds to wait, an event is waited for, and a ``Move`` does something to the connection. The
first request gets the first conversation, the second the second, and the last
conversation is repeated.
"""

from __future__ import annotations

import asyncio
import enum
import socket
import struct
from collections.abc import Sequence
from ssl import SSLContext

import attrs

from tests.connections import Connections


class Move(enum.Enum):
    """What can be done to a connection besides writing on it."""

    CLOSE = "close"
    """An orderly end: FIN."""
    RESET = "reset"
    """RST: what the system says for a process that died."""
    HALF_CLOSE = "half-close"
    """FIN, and the connection stays open for what the client still has to say."""
    SILENCE = "silence"
    """Nothing more, for as long as the test lasts."""


Step = bytes | float | asyncio.Event | Move


@attrs.frozen
class Request:
    """One request as it arrived; ``connection`` counts them from 0."""

    line: str
    headers: dict[str, str]
    body: bytes
    connection: int


class RawServer(Connections):
    """``async with RawServer([step, ...], [step, ...]) as server: server.url``"""

    def __init__(self, *conversations: Sequence[Step], ssl: SSLContext | None = None) -> None:
        super().__init__(ssl)
        self.conversations = conversations
        self.requests: list[Request] = []

    def __repr__(self) -> str:
        """Without the requests, which hold whatever was sent."""
        return f"<RawServer {len(self.requests)} requests on {self.connections} connections>"

    async def left_alone(self) -> None:
        """Return when every connection has ended."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def converse(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await self._serve_one(number, reader, writer):
            pass

    async def _serve_one(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in lines if text)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.requests.append(Request(line, headers, body, number))

        turn = min(len(self.requests), len(self.conversations)) - 1
        for step in self.conversations[turn]:
            if not await _take(step, reader, writer):
                return False
        return True


async def _take(step: Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Take one step; False when the connection is over."""
    match step:
        case bytes():
            writer.write(step)
            await writer.drain()
        case Move.CLOSE:
            writer.close()
            return False
        case Move.RESET:
            # Without lingering a close is a reset; a virtual connection resets by itself.
            real = getattr(writer.get_extra_info("socket"), "setsockopt", None)
            if real is not None:
                real(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        case Move.HALF_CLOSE:
            writer.write_eof()
        case Move.SILENCE:
            await asyncio.Event().wait()
        case asyncio.Event():
            await step.wait()
        case _:
            await asyncio.sleep(step)
    return True


def answer(
    body: bytes = b'{"ok":true}',
    *,
    status: str = "200 OK",
    kind: str = "application/json",
    length: int | None = None,
    **headers: str,
) -> bytes:
    """A well-formed answer, unless *length* says something else about its body."""
    size = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {size}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(*chunks: bytes, kind: str = "application/json", coding: str = "") -> bytes:
    """A head and whole chunks, without the last one of size 0."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n"
    if coding:
        head += f"Content-Encoding: {coding}\r\n"
    return head.encode() + b"\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)


END = b"0\r\n\r\n"
