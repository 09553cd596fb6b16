"""
Calls of a client over connections in memory, and the client's own life.

Connecting takes a while, a head and a body come bit by bit, and so does the key. A call is
charged when its head reached the server, and only then.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from ratelimit_client import (
    Backoff,
    Client,
    Closed,
    ConfigurationError,
    DeadlineExceeded,
    DeadlineExpiredInQueue,
    IncompleteResponse,
    Limiter,
    ResponseError,
    RetryPolicy,
    Timeout,
    TransportError,
    per_day,
)
from ratelimit_client.testing import Route, Wire
from tests.adapters.aiohttp.rawserver import answer
from tests.runtime.torture import at_rest, level
from tests.torture.echo import BAD, CUT_OFF, ELSEWHERE, NO_ANSWER, OLD_KEY, REFUSED, SILENT, Echo
from tests.torture.scenes_limiter import QUOTA
from tests.torture.trial import HOUR_S, Scene, Stage

QUICK = RetryPolicy(backoff=Backoff(base_s=0.01, cap_s=0.01), budget=1.0)
"""Retries that take no time, as often as it takes."""

KEYS = ("sk-canary-0123456789abcdef", "sk-canary-fedcba9876543210")
LARGE = b"x" * 300_000
LATENCY_S = 0.01
FAR = Route.slow(LATENCY_S)
NARROW = Route(up=Wire(latency_s=LATENCY_S, bytes_per_s=1e6), down=Wire(latency_s=LATENCY_S))
BLOCKED = Route(up=Wire(latency_s=LATENCY_S, stall_after=100_000), down=Wire(latency_s=LATENCY_S))
AHEAD = b'{"name":"ahead"}'
ENDED = Closed | TransportError | IncompleteResponse
"""How calls end that were inside when the client was closed."""


def far_away(scene: Scene) -> Scene:
    """In a scene bytes are on their way for a while; what was sent last arrives after its end."""

    @functools.wraps(scene)
    async def with_latency(stage: Stage) -> None:
        stage.loop.net.route = lambda *_: FAR
        await scene(stage)
        await asyncio.sleep(3 * LATENCY_S)

    return with_latency


class Vault:
    """Gives another key each time, after a while."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self) -> str:
        self.asked += 1
        await asyncio.sleep(0.1)
        return KEYS[self.asked % 2]


def slow_function() -> Callable[[], Awaitable[str]]:
    """A key that a plain function promises."""
    given = Vault()
    return lambda: given()


def vault() -> Vault:
    return Vault()


def plain_function() -> Callable[[], str]:
    """A key that is asked for in a thread."""
    return lambda: KEYS[0]


def text() -> str:
    return KEYS[0]


async def ask(client: Client, name: str) -> None:
    """A call, and its own answer."""
    assert (await client.post(f"/v1/{name}", json={})).data == {"name": name}


Way = Callable[[Client], Awaitable[object]]


def beside_others(
    way: Way,
    *fates: Any,
    exact: bool = True,
    key: Callable[[], Any] = vault,
    shared: bool = False,
    given: bool = False,
    ahead_s: float = 0.0,
    route: Route = FAR,
    **options: Any,
) -> Scene:
    """
    A scene: *way* as one call among others of the same client.

    Args:
        fates: what the victim's requests go through.
        exact: refusals do not blur the books.
        shared: the limiter is the user's.
        given: the session is.
        ahead_s: how long the call ahead takes.
        route: what connections are like.
    """

    @far_away
    async def scene(stage: Stage) -> None:
        stage.loop.net.route = lambda *_: route
        limits: dict[str, Any] = {"quotas": per_day(requests=QUOTA), "max_in_flight": 1, "retry": QUICK}
        if shared:
            limits = {"limiter": Limiter(per_day(requests=QUOTA), max_in_flight=1, retry=QUICK)}
        async with contextlib.AsyncExitStack() as stack:
            server = await stack.enter_async_context(Echo(victim=fates, ahead=[[ahead_s, answer(AHEAD)]]))
            if given:
                connector = aiohttp.TCPConnector(use_dns_cache=False)
                limits["session"] = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            client = await stack.enter_async_context(Client(server.url, api_key=key(), **limits, **options))
            others = [asyncio.create_task(ask(client, "ahead"))]

            async def victim() -> object:
                await asyncio.sleep(0)
                others.append(asyncio.create_task(ask(client, "behind")))
                return await way(client)

            assert await stage.torture(victim()) is None
            others.append(asyncio.create_task(ask(client, "late")))
            async with asyncio.timeout(HOUR_S):
                await asyncio.gather(*others)
            at_rest(client.limiter)
            assert client._door._inside == 0
            outcomes = client.tally.outcomes
            assert sum(outcomes.values()) >= len(others)
            if exact:
                assert level(client.limiter) == QUOTA - server.begun.total()
            await asyncio.sleep(0)
            if route is not BLOCKED:  # where no end arrives either
                assert server.open <= 2, "the connection of a cancelled call is closed, others are kept"

    words = [way.__name__, key.__name__, "narrow" * (route is NARROW), "limiter" * shared, "session" * given]
    scene.__name__ = "-".join([word for word in words if word] + ["hard"] * bool(fates))
    return scene


# -- one call --------------------------------------------------------------------------


async def post(client: Client) -> None:
    await ask(client, "victim")


async def get(client: Client) -> None:
    assert (await client.get("/v1/victim", deadline=HOUR_S)).data == {"name": "victim"}


async def post_large(client: Client) -> None:
    """Through a session, which writes it bit by bit while the answer may come already."""
    assert (await client.post("/v1/victim", data=LARGE)).data == {"name": "victim"}


async def post_after_a_minute(client: Client) -> None:
    """Its turn comes when the key has grown old; then it is given back, and asked for again."""
    await ask(client, "victim")


async def post_form(client: Client) -> None:
    form = aiohttp.FormData({"purpose": "batch"})
    form.add_field("file", b"{}", filename="a.jsonl")
    assert (await client.request("POST", "/v1/victim", data=form)).data == {"name": "victim"}


async def refused(client: Client) -> None:
    with contextlib.suppress(ResponseError):
        await ask(client, "victim")


async def redirected(client: Client) -> None:
    with contextlib.suppress(ResponseError):
        await ask(client, "victim")


async def lost(client: Client) -> None:
    with contextlib.suppress(TransportError):
        await client.post("/v1/victim", json={})


async def no_key_in_time(client: Client) -> None:
    """Its deadline passes while it waits for the key; others wait on for the same answer."""
    try:
        await client.post("/v1/victim", json={}, deadline=0.05)
    except DeadlineExpiredInQueue:
        await asyncio.sleep(0.1)


async def stalled(client: Client) -> None:
    """The server takes no more; a cancellation at the instant at which that is noticed is a cancellation."""
    with contextlib.suppress(TransportError):
        await client.post("/v1/victim", data=LARGE)
    await asyncio.sleep(0.1)


async def too_late(client: Client) -> None:
    """Its deadline passes while the answer comes; a cancellation at that instant is a cancellation."""
    try:
        await client.post("/v1/victim", json={}, deadline=1.0)
    except DeadlineExceeded:
        await asyncio.sleep(0.1)


async def mapped(client: Client) -> None:
    async with client.map([{"path": "/v1/victim", "json": {}}] * 3) as results:
        assert [result.unwrap().data async for result in results] == [{"name": "victim"}] * 3


async def mapped_lines(client: Client) -> None:
    """Rows as they stand in a batch file."""
    rows = [{"custom_id": "x", "url": "/v1/victim", "body": {"n": number}} for number in range(2)]
    async with client.map(rows) as results:
        assert [result.unwrap().data async for result in results] == [{"name": "victim"}] * 2


HARD_TIMES = (REFUSED, NO_ANSWER, OLD_KEY, CUT_OFF)


# -- the client's own life ---------------------------------------------------------------


@far_away
async def client_drained(stage: Stage) -> None:
    """A cancelled drain leaves those inside alone."""
    await drain(stage, {"quotas": per_day(requests=QUOTA)})


@far_away
async def client_drained_beside_others(stage: Stage) -> None:
    """The same where the limiter serves others, too, and goes on."""
    await drain(stage, {"limiter": Limiter(per_day(requests=QUOTA))})


async def drain(stage: Stage, limits: dict[str, Any]) -> None:
    async with Echo() as server, Client(server.url, api_key=Vault(), **limits) as client:
        others = [asyncio.create_task(ask(client, name)) for name in ("one", "two")]

        async def victim() -> None:
            await asyncio.sleep(0)
            assert not await client.drain(0.15)
            assert await client.drain()
            assert all(other.done() for other in others)

        await stage.torture(victim())
        async with asyncio.timeout(HOUR_S):
            await asyncio.gather(*others)
        assert await client.drain()
        at_rest(client.limiter)
        assert level(client.limiter) == QUOTA - server.begun.total() == QUOTA - 2


@far_away
async def client_life(stage: Stage) -> None:
    """Entered, used by others, left: whatever is cancelled, every connection is closed and every call has its end."""
    async with Echo() as server:
        client = Client(server.url, api_key=Vault(), quotas=per_day(requests=QUOTA), max_in_flight=2)
        calls: list[asyncio.Task[None]] = []

        async def victim() -> None:
            async with client:
                await ask(client, "first")
                calls.extend(asyncio.create_task(ask(client, name)) for name in ("one", "two", "three"))
                calls.append(asyncio.create_task(post_large_as(client, "large")))
                await asyncio.sleep(0.15)

        await stage.torture(victim())
        async with asyncio.timeout(1.0):
            ends = await asyncio.gather(*calls, return_exceptions=True)
        assert all(end is None or isinstance(end, ENDED) for end in ends), ends
        at_rest(client.limiter)
        if server.begun:
            lost = sum(isinstance(end, TransportError) for end in ends)  # written maybe, and never read
            assert 0 <= QUOTA - level(client.limiter) - server.begun.total() <= lost
        await asyncio.sleep(0.5)  # so long the server writes on
        assert server.open == 0


async def post_large_as(client: Client, name: str) -> None:
    assert (await client.post(f"/v1/{name}", data=LARGE)).data == {"name": name}


@far_away
async def closing(stage: Stage) -> None:
    """What a cancelled close has not closed, the next one does; calls inside end at once, wherever they are."""
    async with Echo(one=[[HOUR_S]], large=[[HOUR_S]]) as server:
        client = Client(server.url, api_key=Vault(), quotas=per_day(requests=QUOTA), max_in_flight=2)
        calls = [asyncio.create_task(ask(client, "one")), asyncio.create_task(post_large_as(client, "large"))]
        await asyncio.sleep(0.15)
        calls += [asyncio.create_task(ask(client, "queued"))]
        await asyncio.sleep(0.2)

        async def victim() -> None:
            await client.close()
            await asyncio.sleep(0)
            await client.close()

        await stage.torture(victim())
        await client.close()
        async with asyncio.timeout(1.0):
            ends = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(end) for end in ends] == [TransportError, TransportError, Closed], ends
        at_rest(client.limiter)


@far_away
async def closing_while_asking(stage: Stage) -> None:
    """Whoever waits for the key when the client is closed is told so, and nobody asks on."""
    async with Echo() as server:
        client = Client(server.url, api_key=Vault(), quotas=per_day(requests=QUOTA))
        calls = [asyncio.create_task(ask(client, name)) for name in ("one", "two")]

        async def victim() -> None:
            async with client:
                await ask(client, "victim")

        await stage.torture(victim())
        if not stage.cancelled:
            await asyncio.gather(*calls)
            return
        await client.close()
        async with asyncio.timeout(0.01):
            ends = await asyncio.gather(*calls, return_exceptions=True)
        assert all(end is None or isinstance(end, ENDED) for end in ends), ends
        at_rest(client.limiter)


async def no_key(stage: Stage) -> None:
    """Whoever waited for a key that never came is told; when all of them are gone, nobody is."""

    async def fails() -> str:
        await asyncio.sleep(0.1)
        raise OSError

    async with Client("http://127.0.0.1:9", api_key=fails, quotas=per_day(requests=QUOTA)) as client:

        async def victim() -> None:
            await asyncio.sleep(0)
            with contextlib.suppress(ConfigurationError):
                await ask(client, "victim")
            await asyncio.sleep(0.1)

        await stage.torture(victim())
        await asyncio.sleep(0.2)
        at_rest(client.limiter)


SCENES: tuple[Scene, ...] = (
    beside_others(post),
    beside_others(post, key=plain_function),
    beside_others(post, key=slow_function),
    beside_others(post, key=text),
    beside_others(post, shared=True),
    beside_others(post, given=True),
    beside_others(get),
    beside_others(get, given=True, exact=False),  # nobody tells when a session of the user's writes a head
    beside_others(post_large),
    beside_others(post_large, key=text, route=NARROW),
    beside_others(post_form, key=text),
    beside_others(post_after_a_minute, ahead_s=70.0),
    beside_others(refused, BAD),
    beside_others(redirected, ELSEWHERE, exact=False),
    beside_others(lost, CUT_OFF),
    beside_others(no_key_in_time),
    beside_others(too_late, SILENT),
    beside_others(stalled, key=text, route=BLOCKED, timeout=Timeout(idle_s=1.0)),
    beside_others(mapped),
    beside_others(mapped_lines),
    beside_others(post, *HARD_TIMES, exact=False),
    beside_others(post_large, *HARD_TIMES, exact=False),
    beside_others(post, *HARD_TIMES, exact=False, shared=True, given=True),
    beside_others(mapped, *HARD_TIMES, exact=False),
    client_drained,
    client_drained_beside_others,
    client_life,
    closing,
    closing_while_asking,
    no_key,
)
