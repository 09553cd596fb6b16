"""
A server that answers each caller with the caller's own name, after what that one has to go through.

Law of this file: an answer belongs to one request. ``begun`` counts the requests whose head
arrived, which is what calls are charged for.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence

from tests.adapters.aiohttp.rawserver import END, Move, Step, answer, chunked
from tests.connections import Connections

Fate = Sequence[Step]

REFUSED: Fate = [0.1, answer(b'{"error":{"code":"rate_limit_exceeded"}}', status="429 X", retry_after="1")]
OLD_KEY: Fate = [answer(b"{}", status="401 X")]
NO_ANSWER: Fate = [0.1, Move.CLOSE]
CUT_OFF: Fate = [chunked(b"{"), 0.1, Move.RESET]
SILENT: Fate = [chunked(b"{"), Move.SILENCE]
ELSEWHERE: Fate = [0.1, answer(status="307 X", Location="http://evil.test/")]
BAD: Fate = [0.1, answer(b'{"error":{"code":"bad"}}', length=400, status="400 X"), 0.1, b" " * 376]


class Echo(Connections):
    """
    ``async with Echo(victim=[REFUSED, CUT_OFF]) as server: server.url``

    The caller's name is the last part of the path; its first request meets the first of its
    fates, and so on; then it is answered, bit by bit.
    """

    def __init__(self, **fates: Sequence[Fate]) -> None:
        super().__init__()
        self.begun: Counter[str] = Counter()
        self._fates: Mapping[str, Sequence[Fate]] = fates

    async def converse(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await self._answer(reader, writer):
            pass

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        name = head.split()[1].rpartition("/")[2]
        fates = self._fates.get(name, ())
        number, self.begun[name] = self.begun[name], self.begun[name] + 1
        lengths = [line.partition(":")[2] for line in head.split("\r\n") if line.lower().startswith("content-length:")]
        await reader.readexactly(int(lengths[0]) if lengths else 0)
        for step in fates[number] if number < len(fates) else _slowly(name):
            if not await _take(step, writer):
                return False
        return True


def _slowly(name: str) -> Fate:
    text = json.dumps({"name": name}).encode()
    first, _, second = chunked(text[:4], text[4:]).partition(b'{"na\r\n')
    return [0.1, first + b'{"na\r\n', 0.1, second, 0.1, END]


async def _take(step: Step, writer: asyncio.StreamWriter) -> bool:
    """Take one step; False when the connection is over."""
    if isinstance(step, bytes):
        writer.write(step)
        await writer.drain()
    elif step is Move.CLOSE:
        writer.close()
        return False
    elif step is Move.RESET:
        writer.transport.abort()  # unread bytes make it a reset, and so does the mark on the socket
        return False
    elif step is Move.SILENCE:
        await asyncio.Event().wait()
    else:
        assert isinstance(step, float)
        await asyncio.sleep(step)
    return True
