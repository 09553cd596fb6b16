"""A server that shakes hands as told and then sends exactly the frames it is told to."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from ssl import SSLContext
from types import TracebackType
from typing import Any

from tests.connections import Connections

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(kind: int, payload: bytes, first: int = 0x80) -> bytes:
    """One frame as a server writes it."""
    size = len(payload)
    if size < 126:
        return bytes([first | kind, size]) + payload
    if size < 65536:
        return bytes([first | kind, 126]) + size.to_bytes(2, "big") + payload
    return bytes([first | kind, 127]) + size.to_bytes(8, "big") + payload


def event(name: str, **members: Any) -> bytes:
    """One event in a frame."""
    return frame(TEXT, json.dumps({"type": name, **members}).encode())


def goodbye(code: int, text: str = "") -> bytes:
    """The end, in a frame."""
    return frame(CLOSE, code.to_bytes(2, "big") + text.encode())


class Peer:
    """The server's side of one socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        self.head = head
        self._reader = reader
        self._writer = writer

    @property
    def headers(self) -> dict[str, str]:
        """Of the handshake, in lower case."""
        lines = self.head.split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}

    async def write(self, *pieces: bytes) -> None:
        self._writer.write(b"".join(pieces))
        await self._writer.drain()

    async def read(self) -> tuple[int, bytes]:
        """One frame of the client's, unmasked."""
        first, second = await self._reader.readexactly(2)
        assert second & 0x80, "a client masks what it sends"
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8), "big")
        mask = await self._reader.readexactly(4)
        payload = await self._reader.readexactly(size)
        return first & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))

    async def event(self) -> dict[str, Any]:
        """The next event of the client's."""
        kind, payload = await self.read()
        assert kind == TEXT, (kind, payload)
        parsed: dict[str, Any] = json.loads(payload)
        return parsed

    def abort(self) -> None:
        self._writer.transport.abort()

    def close(self) -> None:
        self._writer.close()


Script = Callable[[Peer], Awaitable[object]]


class SocketServer(Connections):
    """``async with SocketServer(script) as server: server.url``; each connection runs the script, and then stays."""

    path = "/v1"

    def __init__(
        self, script: Script, *, head: bytes | None = None, accept: bytes | None = None, ssl: SSLContext | None = None
    ) -> None:
        super().__init__(ssl)
        self._script = script
        self._head = head
        self._accept = accept
        self.targets: list[str] = []
        self.problems: list[BaseException] = []

    def __repr__(self) -> str:
        return f"<SocketServer {len(self.targets)} handshakes>"

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        if error is None and self.problems:
            raise self.problems[0]

    async def converse(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.targets.append(head.split()[1])
            peer = Peer(reader, writer, head)
            await peer.write(self._answer(peer.headers))
            await self._script(peer)
            while await reader.read(65536):  # until the client is gone
                pass
        except AssertionError as problem:
            self.problems.append(problem)

    def _answer(self, headers: Mapping[str, str]) -> bytes:
        if self._head is not None:
            return self._head
        key = headers["sec-websocket-key"].encode()
        accept = self._accept or base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\nx-request-id: req_of_the_handshake\r\n\r\n"
        )
