"""
Streams of a client: begun, read, left, broken off and failing, over connections in memory.

A stream holds its place and its connection from its grant to its end, whichever end that
is. A call that has begun to deliver is never made again.
"""

from __future__ import annotations

import asyncio
import contextlib

from ratelimit_client import Client, DeadlineExceeded, StreamError
from tests.adapters.aiohttp.rawserver import END, Move, chunked
from tests.adapters.aiohttp.streaming import DONE, EVENTS, chunk, data, events
from tests.torture.echo import NO_ANSWER, OLD_KEY, REFUSED, Fate
from tests.torture.scenes_client import beside_others
from tests.torture.trial import Scene


def piece(raw: bytes) -> bytes:
    """One chunk on the wire."""
    return b"%x\r\n%s\r\n" % (len(raw), raw)


SLOW: Fate = [
    *(0.1, chunked(chunk(), kind=EVENTS)),
    *(0.1, piece(chunk("one"))),
    *(0.1, piece(chunk("two")), piece(DONE)),
    *(0.1, END),
]
ERROR: Fate = [0.1, events(chunk("one"), data({"error": {"code": "server_error", "message": "x"}}))]
CUT: Fate = [0.1, chunked(chunk("one"), kind=EVENTS), 0.1, Move.RESET]
CUT_EARLY: Fate = [0.1, chunked(chunk(), kind=EVENTS), 0.1, Move.RESET]
WHOLE: Fate = [0.1, chunked(b"{"), 0.1, piece(b"}"), END]
SILENT: Fate = [0.1, chunked(chunk("one"), kind=EVENTS), Move.SILENCE]


async def read(client: Client) -> None:
    """To its end."""
    taken = 0
    async with client.stream("/v1/victim", json={}) as stream:
        async for _ in stream:
            taken += 1
    assert taken == 3


async def read_slowly(client: Client) -> None:
    """Its events are there before they are asked for."""
    async with client.stream("/v1/victim", json={}) as stream:
        async for _ in stream:
            await asyncio.sleep(0.5)


async def leave(client: Client) -> None:
    """After the first event, for something better."""
    async with client.stream("/v1/victim", json={}) as stream:
        await anext(stream)
        await asyncio.sleep(0.1)


async def fails(client: Client) -> None:
    """After its first event, and no second attempt is made."""
    async with client.stream("/v1/victim", json={}) as stream:
        with contextlib.suppress(StreamError):
            async for _ in stream:
                pass
        await asyncio.sleep(0.1)


async def is_none(client: Client) -> None:
    """The answer is something whole, and its beginning is read for the error."""
    with contextlib.suppress(StreamError):
        async with client.stream("/v1/victim", json={}):
            pass


async def ends_too_late(client: Client) -> None:
    """The time for all of it is over while it waits; a cancellation at that instant is a cancellation."""
    async with client.stream("/v1/victim", json={}, deadline_total=1.0) as stream:
        with contextlib.suppress(DeadlineExceeded):
            async for _ in stream:
                pass
        await asyncio.sleep(0.1)


async def takes_nothing(client: Client) -> None:
    """The place is taken from him while he sleeps."""
    async with client.stream("/v1/victim", json={}, idle_consumer_s=0.5) as stream:
        await asyncio.sleep(2.0)
        with contextlib.suppress(StreamError):
            await anext(stream)


async def is_closed(client: Client) -> None:
    """By somebody else, while he waits for an event."""
    async with client.stream("/v1/victim", json={}) as stream:
        closing = asyncio.get_running_loop().call_later(0.05, stream.close)
        try:
            with contextlib.suppress(StreamError):
                async for _ in stream:
                    pass
        finally:
            closing.cancel()
        await asyncio.sleep(0.1)


async def leave_in_silence(client: Client) -> None:
    """From a server that says nothing more."""
    await leave(client)


async def breaks_off(client: Client) -> None:
    """The connection does, after the first event."""
    await fails(client)


async def read_in_hard_times(client: Client) -> None:
    """Refused, unanswered, with an old key, cut off before it said anything; then to its end."""
    await read(client)


HARD_TIMES = (REFUSED, NO_ANSWER, OLD_KEY, CUT_EARLY, SLOW)

SCENES: tuple[Scene, ...] = (
    beside_others(read, SLOW),
    beside_others(read, SLOW, given=True),
    beside_others(read, SLOW, shared=True),
    beside_others(read_slowly, SLOW),
    beside_others(leave, SLOW),
    beside_others(leave_in_silence, SILENT),
    beside_others(is_closed, SLOW),
    beside_others(is_closed, SILENT, given=True),
    beside_others(is_none, WHOLE),
    beside_others(fails, ERROR),
    beside_others(breaks_off, CUT),
    beside_others(breaks_off, CUT, given=True),
    beside_others(ends_too_late, SILENT),
    beside_others(takes_nothing, SILENT),
    beside_others(read_in_hard_times, *HARD_TIMES, exact=False),
    beside_others(read_in_hard_times, *HARD_TIMES, exact=False, given=True),
)
