"""
Requests of an httpx client through the limiter: in the queue, in flight, in an error and in the body.

The server is in memory and takes its time for each step. Afterwards nothing is held, and
every stream that was begun is closed.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import httpx2

from ratelimit_client import Limiter, per_day
from tests.adapters.httpx.scripted import QUICK, RATE_LIMITED, URL, Said, Scripted, client_of
from tests.runtime.torture import at_rest
from tests.torture.trial import Scene, Stage

Way = Callable[[Any], Coroutine[Any, Any, None]]


class Slow(Scripted):
    """Everything about it takes a while, ends of connections included."""

    async def aclose(self) -> None:
        await _a_while()

    async def __aenter__(self) -> Slow:
        await _a_while()
        return self

    async def __aexit__(self, *error: object) -> None:
        await _a_while()


async def _a_while() -> None:
    await asyncio.sleep(0.01)


def through(way: Way, *answers: Callable[[], Said], written: bool = False, queued: bool = False) -> Scene:
    """
    A scene: *way* with a client of a limiter of its own.

    Args:
        answers: of the server.
        written: the limiter counts on hearing when requests are written.
        queued: another call has the only place for a while.
    """

    @functools.wraps(way)
    async def scene(stage: Stage) -> None:
        limiter = Limiter(per_day(requests=86_400), max_in_flight=1, retry=QUICK, dice=lambda: 0.0)
        if written:
            limiter.reports_written()
        server = Slow(*(make() for make in answers))
        saids = [said for said in server.answers if isinstance(said, Said)]
        client = client_of(httpx2, limiter, server)
        client._transport._can_trace = written
        ahead = limiter.permit_nowait() if queued else None

        gone = None if ahead is None else asyncio.get_running_loop().call_later(0.1, ahead.finish)
        await stage.torture(way(client))
        if ahead is not None and gone is not None:
            gone.cancel()
            ahead.finish()
        if not client.is_closed:
            await client.aclose()
        at_rest(limiter)
        assert all(said.closed for said in saids if said.begun), "a stream was left open"

    return scene


async def post(client: Any) -> None:
    """Read by the client, as SDKs have it."""
    answer = await client.post(URL, json={"model": "gpt-4o"})
    assert answer.status_code in (200, 429, 400)


async def post_in_the_queue(client: Any) -> None:
    """It has to wait first."""
    await post(client)


async def post_in_hard_times(client: Any) -> None:
    """Refused twice, and answered then."""
    await post(client)


async def post_and_tell(client: Any) -> None:
    """What is written is told, to somebody else as well."""

    async def hear(name: str, info: Any) -> None:
        await _a_while()

    await client.post(URL, json={}, extensions={"trace": hear})


async def post_once(client: Any) -> None:
    """A body that comes bit by bit."""

    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        await _a_while()
        yield b"}"

    await client.post(URL, content=body())


async def stream_and_leave(client: Any) -> None:
    """After the first piece."""
    async with client.stream("POST", URL, json={}) as answer:
        async for _ in answer.aiter_raw():
            break


async def whole_life(client: Any) -> None:
    """Entered, used and left."""
    async with client:
        await post(client)


async def closed_by_hand(client: Any) -> None:
    """Used and closed."""
    await post(client)
    await client.aclose()


def _said() -> Said:
    return Said(parts=3, pause_s=0.1)


def _refused() -> Said:
    return Said(429, RATE_LIMITED, {"retry-after": "1"}, parts=2, pause_s=0.1)


SCENES: tuple[Scene, ...] = (
    through(post, _said),
    through(post_in_the_queue, _said, queued=True),
    through(post_in_hard_times, _refused, _refused, _said),
    through(post_and_tell, _said, written=True),
    through(post_once, _said),
    through(stream_and_leave, _said),
    through(whole_life, _said),
    through(closed_by_hand, _said),
)
"""What is cancelled at every place."""
