"""
Realtime sessions of a client: opened, used, left and lost, over connections in memory.

A session holds its connection from its handshake to its end, and a place for each response
that is under way. Whatever is cancelled, afterwards nothing is held; what was written stays charged.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from ratelimit_client import Client, StreamError, per_day
from ratelimit_client.testing import ModelServer, Route, Wire, serve_model
from ratelimit_client.testing.realtime import RealtimeConduct
from tests.runtime.torture import at_rest, level
from tests.torture.scenes_client import FAR, LATENCY_S, QUICK, Vault, far_away
from tests.torture.scenes_limiter import QUOTA
from tests.torture.trial import HOUR_S, Scene, Stage

MODEL = "gpt-realtime"
CREATE = {"type": "response.create"}
ITEM = {"type": "conversation.item.create", "item": {"content": [{"type": "input_text", "text": "x" * 100_000}]}}
THIN = Route(up=Wire(latency_s=LATENCY_S, bytes_per_s=1e6), down=Wire(latency_s=LATENCY_S))

Way = Callable[[Client], Awaitable[object]]


async def respond(session: Any) -> None:
    """One response, to its last word."""
    await session.send(CREATE)
    async for event in session:
        if event["type"] == "response.done":
            return


async def talk(client: Client) -> None:
    """Two responses; both wait for the one of somebody else."""
    async with client.realtime(MODEL) as session:
        await respond(session)
        await respond(session)


async def write_much(client: Client) -> None:
    """More than the way takes at once."""
    async with client.realtime(MODEL) as session:
        for _ in range(4):
            await session.send(ITEM)
        await respond(session)


async def cancel(client: Client) -> None:
    """A response that the client does not want any more."""
    async with client.realtime(MODEL) as session:
        await session.send(CREATE)
        async for event in session:
            if event["type"] == "response.created":
                await session.send({"type": "response.cancel"})
            if event["type"] == "response.done":
                break


async def outlive(client: Client) -> None:
    """The session ends while it waits for its turn; another is opened for what was not sent."""
    session = client.realtime(MODEL)
    async with session:
        with contextlib.suppress(StreamError):
            while True:
                await respond(session)
    async with session:
        await respond(session)


async def lose(client: Client) -> None:
    """The server drops the connection behind a response."""
    async with client.realtime(MODEL) as session:
        await respond(session)
        with contextlib.suppress(StreamError):
            async for _ in session:
                pass


async def is_silent(client: Client) -> None:
    """The server gives no sign of life."""
    async with client.realtime(MODEL, heartbeat_s=0.2) as session:
        with contextlib.suppress(StreamError):
            async for _ in session:
                pass
        await asyncio.sleep(0.1)


def beside_another(way: Way, conduct: RealtimeConduct, *, given: bool = False, route: Route = FAR) -> Scene:
    """
    A scene: *way* beside the session of somebody else, with one place for the responses of both.

    Args:
        conduct: of the server.
        given: the aiohttp session is the user's.
        route: what connections are like.
    """

    @far_away
    async def scene(stage: Stage) -> None:
        stage.loop.net.route = lambda *_: route
        server = ModelServer(per_day(requests=QUOTA), latency=0.1, streaming=0.1, realtime=conduct)
        limits: dict[str, Any] = {"quotas": per_day(requests=QUOTA), "max_in_flight": 1, "retry": QUICK}
        async with contextlib.AsyncExitStack() as stack:
            url = await stack.enter_async_context(serve_model(server))
            if given:
                connector = aiohttp.TCPConnector(use_dns_cache=False)
                limits["session"] = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            client = await stack.enter_async_context(Client(url, api_key=Vault(), **limits))

            async def somebody_else() -> None:
                with contextlib.suppress(StreamError):
                    async with client.realtime(MODEL) as session:
                        await respond(session)
                        await respond(session)

            other = asyncio.create_task(somebody_else())

            async def victim() -> object:
                await asyncio.sleep(0)
                return await way(client)

            assert await stage.torture(victim()) is None
            async with asyncio.timeout(HOUR_S):
                await other
            at_rest(client.limiter)
            assert client._door._inside == 0
            await asyncio.sleep(1.0)
            charged = QUOTA - level(client.limiter, key=MODEL)
            assert server.tally.admitted <= charged <= server.tally.admitted + 1, (server.tally, charged)

    scene.__name__ = "-".join(["realtime", way.__name__] + ["session"] * given)
    return scene


PLAIN = RealtimeConduct()

SCENES: tuple[Scene, ...] = (
    beside_another(talk, PLAIN),
    beside_another(talk, RealtimeConduct(refused=1), given=True),
    beside_another(write_much, PLAIN, route=THIN),
    beside_another(cancel, PLAIN),
    beside_another(outlive, RealtimeConduct(session_s=0.7)),
    beside_another(lose, RealtimeConduct(close_after=(1, 1006))),
    beside_another(is_silent, RealtimeConduct(pongs=False)),
)
