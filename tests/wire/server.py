"""
A server that plays a script on a connection, in segments cut as it is told.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence

import attrs

from tests.adapters.aiohttp.rawserver import Request
from tests.connections import Connections
from tests.wire.chunkings import Chunking, whole
from tests.wire.script import Forever, Heard, Move, Pause, Step, answer

WELL = answer(b'{"n":2}')


@attrs.frozen
class Pace:
    """
    How time passes for both sides.

    Args:
        idle_s: the silence that the client puts up with.
        gap_s: between two segments, long enough for the client to see them apart.
        again_s: between two pieces of what never ends.
    """

    idle_s: float
    gap_s: float
    again_s: float


class ScriptedServer(Connections):
    """
    ``async with ScriptedServer(chunking, pace) as server: server.play(script, heard)``

    Until told what to play, and after ``well()``, it answers well.

    Args:
        chunking: how the bytes of a step are cut.
        pace: its pauses.
    """

    def __init__(self, chunking: Chunking, pace: Pace) -> None:
        super().__init__()
        self._chunking = chunking
        self._pace = pace
        self.requests: list[Request] = []
        self.turns = 0
        self.connection = -1
        self.well()
        self._playing = 0
        self._changed: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        """Without the requests, which hold whatever was sent."""
        return f"<ScriptedServer, turn {self.turns}>"

    def well(self) -> None:
        """Answer as a server should."""
        self._script: Sequence[Sequence[Step]] = [[WELL]]
        self._heard = Heard.ALL
        self._cut = whole

    def play(self, script: Sequence[Sequence[Step]], heard: Heard) -> None:
        """Do this to all that comes from now on, one entry per attempt; the last stands for all later ones."""
        self._script, self._heard, self._cut = script, heard, self._chunking
        self.turns = 0

    async def over(self) -> None:
        """Return when nothing that was begun is still being played."""
        while self._playing:
            self._changed = asyncio.get_running_loop().create_future()
            await self._changed

    async def converse(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._heard is Heard.NOTHING:
            await self._play(number, writer)
        while await self._serve_one(number, reader, writer):
            pass

    async def _serve_one(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        self.requests.append(await _request(reader, number, with_body=self._heard is not Heard.HEAD))
        if self._heard is Heard.NOTHING:
            await self._send(WELL, writer)  # what it said before was nothing to do with the request
            return True
        return await self._play(number, writer)

    async def _play(self, number: int, writer: asyncio.StreamWriter) -> bool:
        """One turn; False when the connection is over."""
        script = self._script[min(self.turns, len(self._script) - 1)]
        self.turns += 1
        self.connection = number
        self._plays(1)
        try:
            for step in script:
                if step is Move.SILENCE:
                    break
                if not await self._take(step, writer):
                    return False
        finally:
            self._plays(-1)
        if Move.SILENCE in script:
            await asyncio.Event().wait()
        return True

    def _plays(self, more: int) -> None:
        self._playing += more
        if not self._playing and self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    async def _take(self, step: Step, writer: asyncio.StreamWriter) -> bool:
        """Take one step; False when the connection is over."""
        match step:
            case bytes():
                for segment in self._cut(step):
                    await self._send(segment, writer)
            case Forever(piece):
                self._plays(-1)
                try:
                    while True:
                        await self._send(piece, writer)
                        await asyncio.sleep(self._pace.again_s)
                finally:
                    self._plays(1)
            case Move.HALF_CLOSE:
                writer.write_eof()
            case Move.CLOSE:
                writer.close()
                return False
            case Move.RESET:
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return False
            case Pause(idles):
                await asyncio.sleep(idles * self._pace.idle_s)
            case float():
                await asyncio.sleep(step)
        return True

    async def _send(self, segment: bytes, writer: asyncio.StreamWriter) -> None:
        if writer.transport.is_closing():
            raise ConnectionResetError
        writer.write(segment)
        await writer.drain()
        await asyncio.sleep(self._pace.gap_s)


async def _request(reader: asyncio.StreamReader, connection: int, *, with_body: bool) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in rest if text)}
    body = await reader.readexactly(int(headers.get("content-length", "0"))) if with_body else b""
    return Request(line, headers, body, connection)
