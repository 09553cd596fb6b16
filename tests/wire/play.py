"""
One row, played once: a call against the script, then another call against a server that is well again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Literal

import aiohttp
import attrs

from ratelimit_client import (
    Backoff,
    Client,
    IncompleteResponse,
    Reply,
    ResponseError,
    RetryPolicy,
    Timeout,
    TransportError,
    per_second,
)
from ratelimit_client.errors import RateLimitClientError
from tests import canary
from tests.wire.chunkings import Chunking
from tests.wire.script import DATA, Ends, Heard, Row
from tests.wire.server import Pace, ScriptedServer

Way = Literal["own", "upload", "theirs"]
"""Connections of our own, a session of our own (large bodies), a session of the user's."""
WAYS: tuple[Way, ...] = ("own", "upload", "theirs")

TWICE = RetryPolicy(max_attempts=2, max_refusals=1, budget=1.0, backoff=Backoff(base_s=0.01, cap_s=0.01))
"""One retry, whatever it is for: so what went out twice was tried again."""
MOST_BYTES = 256 * 1024
_LARGE = 256 * 1024 + 1


@attrs.frozen
class Outcome:
    """What became of a row: how the call ended, the excerpt on its error, what else is not as it should be."""

    ends: Ends
    excerpt: str
    wrong: tuple[str, ...]


async def play(row: Row, chunking: Chunking, way: Way, pace: Pace) -> Outcome:
    """One row."""
    wrong: list[str] = []
    async with ScriptedServer(chunking, pace) as server, _client(server, way, pace.idle_s) as client:
        if row.warm is not None:
            server.play([row.warm], Heard.ALL)
            await _call(client, row, way, None)
            await _arrived(server, pace)
        server.play(row.script, row.heard)
        got = await _call(client, row, way, row.deadline_idles and row.deadline_idles * pace.idle_s)
        await _arrived(server, pace)
        sent, last = server.turns, server.connection
        server.well()
        second = await client.post("/second", json={"n": 2}, key="second")
        if second.data != {"n": 2} or second.attempts != 1:
            wrong.append(f"the next call got {second.data!r} in attempt {second.attempts}")
        kept = server.connection == last
        wrong += _wrong(client, got, server)
    excerpt = getattr(got, "body_excerpt", "")
    return Outcome(_ends(got, sent, kept, server.url), excerpt, tuple(wrong))


async def _arrived(server: ScriptedServer, pace: Pace) -> None:
    """Return when all that the server had to say has come."""
    await server.over()
    await asyncio.sleep(2 * pace.gap_s)


@contextlib.asynccontextmanager
async def _client(server: ScriptedServer, way: Way, idle_s: float) -> AsyncIterator[Client]:
    options: dict[str, Any] = {"retry": TWICE, "quotas": per_second(requests=1000), "timeout": Timeout(idle_s=idle_s)}
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession()) if way == "theirs" else None
        client = await stack.enter_async_context(Client(server.url, api_key=canary.KEY, session=session, **options))
        client._sender.most_bytes = MOST_BYTES
        yield client


async def _call(client: Client, row: Row, way: Way, deadline: float | None) -> Reply | RateLimitClientError:
    body: dict[str, Any] = {} if row.method != "POST" else {"json": {"n": 1}}
    if way == "upload":
        body = {"data": b"x" * _LARGE}
    try:
        return await client.request(row.method, "/first", key="first", deadline=deadline, **body)
    except RateLimitClientError as error:
        return error


def _ends(got: Reply | RateLimitClientError, sent: int, kept: bool, url: str) -> Ends:
    why, says, status = "", "", None
    match got:
        case Reply():
            why, status = "as sent" if got.data == DATA else repr(got.data), got.status
        case ResponseError():
            why, status = got.reason, got.status
        case TransportError():
            why = f"{got.kind}{', stale' * got.stale}{', unsent' * got.unsent}"
        case IncompleteResponse():
            why, status = str(got.kind), got.status
    if isinstance(got, Exception):
        says = str(got).replace(url, "URL").partition(" (X-Client-Request-Id")[0]
    return Ends(type(got).__name__, why, status, sent, kept, says)


def _wrong(client: Client, got: Reply | RateLimitClientError, server: ScriptedServer) -> list[str]:
    """What may never be, whatever the row."""
    wrong = []
    limiter = client.limiter
    if limiter.queued or limiter.in_flight or not limiter._desk.dispatcher.at_rest:
        wrong.append(f"the limiter is not at rest: {limiter!r}")
    if client._wire._dog._watched:
        wrong.append("something is still watched")
    if any("cookie" in request.headers for request in server.requests):
        wrong.append("a cookie was sent back")
    if isinstance(got, Exception):
        if not isinstance(got.__cause__ or got.__context__, asyncio.CancelledError | None):
            wrong.append(f"the error hangs on {got.__cause__ or got.__context__!r}")
        if any(quoted in str(got) for quoted in ("little words", "p?a=b")):
            wrong.append("the message quotes what was only for the caller")
        if len(str(got)) > 500 or not str(got).isprintable():
            wrong.append(f"the message is {str(got)!r}")
        if len(getattr(got, "body_excerpt", "")) > 1024:
            wrong.append("the excerpt is too long")
        if canary.shows(canary.told(got) + repr(vars(got))):
            wrong.append("the key shows")
    return wrong
