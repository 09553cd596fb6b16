"""
Requests of a session of somebody else's under the limiter, over connections in memory.

A request holds its place from its grant to the end of its answer's body, and its connection no
longer. What was cancelled before aiohttp began to write is not charged; what it had begun with
may not have left, and is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp

from ratelimit_client import DeadlineExceeded, DeadlineExpiredInQueue, Limiter, per_day
from ratelimit_client.adapters.aiohttp import middleware
from tests.adapters.aiohttp.rawserver import Move, answer
from tests.runtime.torture import at_rest, level
from tests.torture.echo import BAD, CUT_OFF, NO_ANSWER, REFUSED, SILENT, Echo, Fate
from tests.torture.scenes_client import QUICK, far_away
from tests.torture.scenes_limiter import QUOTA
from tests.torture.trial import HOUR_S, Scene, Stage

BUSY: Fate = [0.1, answer(b'{"error":{"code":"busy"}}', length=400, status="503 X"), 0.1, b" " * 375]
HERE: Fate = [0.1, answer(status="307 X", Location="/v1/victim")]
NO_LIMIT = aiohttp.ClientTimeout(total=None)

Session = aiohttp.ClientSession
Way = Callable[[Session, str], Awaitable[object]]


async def ask(session: Session, url: str, name: str) -> None:
    """A request, and its own answer."""
    async with session.post(f"{url}/v1/{name}", json={}) as response:
        assert await response.json() == {"name": name}


async def post(session: Session, url: str) -> None:
    """To its end."""
    await ask(session, url, "victim")


async def get(session: Session, url: str) -> None:
    """The same, of what a session would repeat on its own."""
    async with session.get(f"{url}/v1/victim") as response:
        assert await response.json() == {"name": "victim"}


async def send_pieces(session: Session, url: str) -> None:
    """A body that can be sent once."""

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"one", b"two"):
            yield piece
            await asyncio.sleep(0.05)

    async with session.post(f"{url}/v1/victim", data=pieces(), headers={"Content-Length": "6"}) as response:
        await response.read()


async def leave(session: Session, url: str) -> None:
    """After the first bytes, for something better."""
    async with session.post(f"{url}/v1/victim", json={}) as response:
        await response.content.readany()
        await asyncio.sleep(0.1)


async def refused(session: Session, url: str) -> None:
    """For good: the error is read, and handed on to be read again."""
    async with session.post(f"{url}/v1/victim", json={}) as response:
        assert len(await response.read()) == 400


async def cut_off(session: Session, url: str) -> None:
    """The answer has begun."""
    with contextlib.suppress(aiohttp.ClientPayloadError):
        await ask(session, url, "victim")
    await asyncio.sleep(0.1)


async def too_late_in_the_queue(session: Session, url: str) -> None:
    """The total timeout strikes there; a cancellation at that instant is a cancellation."""
    try:
        await session.post(f"{url}/v1/victim", json={}, timeout=aiohttp.ClientTimeout(total=0.2))
    except (DeadlineExpiredInQueue, DeadlineExceeded):
        await asyncio.sleep(0.1)


async def too_late(session: Session, url: str) -> None:
    """The total timeout strikes while the answer comes."""
    with contextlib.suppress(TimeoutError):
        async with session.post(f"{url}/v1/victim", json={}, timeout=aiohttp.ClientTimeout(total=2.0)) as response:
            await response.read()
    await asyncio.sleep(0.1)


def beside_others(way: Way, *fates: Fate, exact: bool = True, ahead_s: float = 0.0) -> Scene:
    """
    A scene: *way* as one request among others of the same session.

    Args:
        fates: what the victim's requests go through.
        exact: refusals do not blur the books.
        ahead_s: how long the request ahead takes.
    """

    @far_away
    async def scene(stage: Stage) -> None:
        limiter = Limiter(per_day(requests=QUOTA), max_in_flight=1, retry=QUICK)
        connector = aiohttp.TCPConnector(use_dns_cache=False)
        between = (middleware(limiter, key="default"),)
        ahead: Fate = [ahead_s, answer(b'{"name":"ahead"}')]
        async with (
            Echo(victim=fates, ahead=[ahead]) as server,
            Session(connector=connector, middlewares=between, timeout=NO_LIMIT) as session,
        ):
            others = [asyncio.create_task(ask(session, server.url, "ahead"))]

            async def victim() -> object:
                await asyncio.sleep(0)
                others.append(asyncio.create_task(ask(session, server.url, "behind")))
                return await way(session, server.url)

            assert await stage.torture(victim()) is None
            others.append(asyncio.create_task(ask(session, server.url, "late")))
            async with asyncio.timeout(HOUR_S):
                await asyncio.gather(*others)
            at_rest(limiter)
            assert not connector._acquired
            if exact:
                assert 0 <= QUOTA - level(limiter) - server.begun.total() <= stage.cancelled
            await asyncio.sleep(0)
            assert server.open <= 2, "the connection of a cancelled request is closed, others are kept"

    scene.__name__ = "-".join(["session", way.__name__, *["hard"] * bool(fates)])
    return scene


HARD_TIMES = (REFUSED, BUSY, NO_ANSWER, HERE)

SCENES: tuple[Scene, ...] = (
    beside_others(post),
    beside_others(get),
    beside_others(send_pieces),
    beside_others(leave, SILENT),
    beside_others(refused, BAD),
    beside_others(cut_off, CUT_OFF),
    beside_others(too_late, SILENT),
    beside_others(too_late_in_the_queue, ahead_s=1.0),
    beside_others(send_pieces, BUSY, exact=False),
    beside_others(get, [0.1, Move.CLOSE], exact=False),
    beside_others(post, *HARD_TIMES, exact=False),
)
