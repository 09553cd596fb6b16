"""
Calls that are handed on, and the proxy that listens.

A call of others is cancelled when whoever asked leaves, so that is the ordinary case; and a
proxy is told to end while its guests are in every stage of their calls.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from ratelimit_client import Limiter, per_day
from ratelimit_client.adapters.aiohttp.forwarding import Broken
from ratelimit_client.proxy import Forwarder, Proxy
from ratelimit_client.testing import Route, VirtualLoop, Wire, serve_model
from tests.adapters.aiohttp.rawserver import answer
from tests.runtime.torture import at_rest, level
from tests.torture.echo import BAD, CUT_OFF, ELSEWHERE, NO_ANSWER, OLD_KEY, Echo
from tests.torture.scenes_client import HOUR_S, QUICK, far_away, vault
from tests.torture.scenes_limiter import QUOTA
from tests.torture.scenes_server import BODY, Guests, free_port
from tests.torture.trial import Scene, Stage

CALLS, STREAMED, UNNAMED, HEALTH = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: %b\r\nContent-Length: %d\r\n\r\n%b" % (host, len(body), body)
    for host, body in (
        (b"localhost", BODY),
        (b"localhost", BODY.replace(b"{", b'{"stream":true,', 1)),
        (b"x", BODY),
        (b"localhost", b""),
    )
)
READS_ALL, READS_SOME, READS_NOTHING = 2**30, 1, 0


async def ask(forwarder: Forwarder, name: str, pieces: int = READS_ALL) -> tuple[int, bytes]:
    """Status and body of a call, or as much of it as is read."""
    options: dict[str, Any] = {"key": "default", "cost": None, "features": None, "priority": 0, "tenant": None}
    call = forwarder.call("POST", f"/v1/{name}", [("X-A", "1")], b"{}", deadline_s=HOUR_S, **options)
    forwarded = await forwarder.forward(call)
    try:
        body = forwarded.first
        while pieces and (piece := await forwarded.piece()):
            body += piece
            pieces -= 1
        return forwarded.status, body
    finally:
        forwarded.close()
        forwarded.close()


def handed_on(
    name: str, *fates: Any, pieces: int = READS_ALL, ends: Sequence[type[Exception]] = (), exact: bool = True
) -> Scene:
    """
    A scene: one call among others of the same proxy.

    Args:
        fates: what the victim's requests go through.
        pieces: how much of the answer is read.
        ends: how it may end besides.
        exact: no attempt is taken back.
    """

    @far_away
    async def scene(stage: Stage) -> None:
        limiter = Limiter(per_day(requests=QUOTA), max_in_flight=1, retry=QUICK)
        async with Echo(victim=fates) as server:
            forwarder = Forwarder(server.url, limiter=limiter, api_key=vault())
            others = [asyncio.create_task(ask(forwarder, "ahead"))]

            async def victim() -> None:
                await asyncio.sleep(0)
                others.append(asyncio.create_task(ask(forwarder, "behind")))
                with contextlib.suppress(*ends):
                    await ask(forwarder, "victim", pieces)

            assert await stage.torture(victim()) is None
            others.append(asyncio.create_task(ask(forwarder, "late")))
            async with asyncio.timeout(HOUR_S):
                answers = await asyncio.gather(*others)
            assert [status for status, _ in answers] == [200] * len(others)
            assert all(body.startswith(b'{"name": "') and body.endswith(b'"}') for _, body in answers)
            at_rest(limiter)
            assert await forwarder.drain(0.0)
            assert sum(forwarder.tally.outcomes.values()) >= len(others)
            if exact:
                assert level(limiter) == QUOTA - server.begun.total()
            await forwarder.close()

    scene.__name__ = name
    return scene


async def proxy(stage: Stage) -> None:
    """Opened, drained and closed with guests that ask, wait, and have said half of what they want."""
    virtual = isinstance(stage.loop, VirtualLoop)
    guests = Guests(CALLS, STREAMED, CALLS[:30], UNNAMED, HEALTH, b"", *[CALLS[:-5]] * virtual)
    async with serve_model("600 requests/min", latency=0.05 * virtual, streaming=0.1 * virtual) as url:
        limiter = Limiter(max_in_flight=1)
        with free_port(stage) as port:

            async def victim() -> None:
                async with Proxy(Forwarder(str(url), limiter=limiter), port=port()) as served:
                    await guests.come(served.url)
                    await asyncio.sleep(0.01)
                    await guests.come(served.url)

            await stage.torture(victim())
            await guests.are_sent_away()
            at_rest(limiter)


async def proxy_that_does_not_wait(stage: Stage) -> None:
    """Closed over the heads of its guests, and closed again."""
    virtual = isinstance(stage.loop, VirtualLoop)
    guests = Guests(CALLS, STREAMED)
    async with serve_model("600 requests/min", latency=0.05 * virtual, streaming=10.0 * virtual) as url:
        limiter = Limiter(max_in_flight=1)
        with free_port(stage) as port:
            served = Proxy(Forwarder(str(url), limiter=limiter), port=port())

            async def victim() -> None:
                await guests.come(await served.open())
                await asyncio.sleep(0.1 if virtual else 0.01)
                await served.close()

            await stage.torture(victim())
            await served.close()
            await guests.are_sent_away()
            at_rest(limiter)


async def proxy_of_a_slow_reader(stage: Stage) -> None:
    """An answer that is taken slowly, while the proxy is told to end."""
    long, slow = answer(b"x" * 400_000), Route(up=Wire(), down=Wire(bytes_per_s=1e6))
    guests = Guests(b"POST /v1/victim HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
    async with Echo(victim=[[long], [long[:200_000], 0.1, long[200_000:]]]) as server:
        limiter = Limiter()
        with free_port(stage) as port:
            stage.loop.net.route = lambda host, to, number: slow if to == port() else Route()

            async def victim() -> None:
                async with Proxy(Forwarder(server.url, limiter=limiter), port=port()) as served:
                    await guests.come(served.url)
                    await guests.come(served.url)
                    await asyncio.sleep(0.01)

            await stage.torture(victim())
            await asyncio.sleep(1.0)  # what was written is on its way
            await guests.are_sent_away()
            at_rest(limiter)


CALLED: list[Scene] = [
    handed_on("forward"),
    handed_on("forward-left", pieces=READS_SOME),
    handed_on("forward-unread", pieces=READS_NOTHING),
    handed_on("forward-hard", OLD_KEY, NO_ANSWER, CUT_OFF, ends=[Broken], exact=False),
    handed_on("forward-bad", BAD),
    handed_on("forward-bad-unread", BAD, pieces=READS_NOTHING),
    handed_on("forward-elsewhere", ELSEWHERE),
]
SERVED: list[Scene] = [proxy, proxy_that_does_not_wait]
SCENES: list[Scene] = [*CALLED, *SERVED, proxy_of_a_slow_reader]
