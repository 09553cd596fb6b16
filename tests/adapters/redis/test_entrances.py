"""Whatever calls come through, their budget is one: each way into a limiter, twice, on one real store."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import openai
import pytest
import redis

from ratelimit_client import Client, Limiter, RetryPolicy, per_hour, per_minute
from ratelimit_client.adapters.aiohttp import middleware
from ratelimit_client.adapters.httpx import LimitedTransport
from ratelimit_client.adapters.httpx.openai import http_client, sync_http_client
from ratelimit_client.adapters.redis import RedisStore
from ratelimit_client.proxy import Forwarder, Proxy
from ratelimit_client.runtime.background import background
from ratelimit_client.testing import serve_model
from ratelimit_client.testing.serve import serve_in_process
from tests import canary
from tests.redis_server import RedisServer, running

LIMIT, CALLERS = 24, 20
PATH = "/chat/completions"
MESSAGES: list[Any] = [{"role": "user", "content": "Say hello."}]
BODY = {"model": "gpt-4o", "messages": MESSAGES}
HEADERS = {"Authorization": f"Bearer {canary.KEY}"}

Call = Callable[[], Awaitable[object]]
Way = Callable[[Limiter, str], contextlib.AbstractAsyncContextManager[Call]]


@contextlib.asynccontextmanager
async def by_permit(limiter: Limiter, url: str) -> AsyncIterator[Call]:
    async with limiter, aiohttp.ClientSession(headers=HEADERS) as session:

        async def call() -> None:
            async with limiter.permit(key="gpt-4o"), session.post(url + PATH, json=BODY) as answer:
                await answer.read()

        yield call


@contextlib.asynccontextmanager
async def by_attempts(limiter: Limiter, url: str) -> AsyncIterator[Call]:
    async with limiter, aiohttp.ClientSession(headers=HEADERS) as session:

        async def call() -> None:
            async for attempt in limiter.attempts(key="gpt-4o"):
                async with attempt, session.post(url + PATH, json=BODY) as answer:
                    await attempt.check(answer)
                    await answer.read()
                    return

        yield call


@contextlib.asynccontextmanager
async def by_client(limiter: Limiter, url: str) -> AsyncIterator[Call]:
    async with limiter, Client(url, api_key=canary.KEY, limiter=limiter) as client:
        yield lambda: client.post(PATH, json=BODY)


@contextlib.asynccontextmanager
async def by_middleware(limiter: Limiter, url: str) -> AsyncIterator[Call]:
    async with limiter, aiohttp.ClientSession(headers=HEADERS, middlewares=(middleware(limiter),)) as session:

        async def call() -> None:
            async with session.post(url + PATH, json=BODY) as answer:
                await answer.read()

        yield call


@contextlib.asynccontextmanager
async def by_httpx(limiter: Limiter, url: str) -> AsyncIterator[Call]:
    transport = LimitedTransport(limiter)
    async with limiter, httpx.AsyncClient(transport=transport, headers=HEADERS) as client:
        yield lambda: client.post(url + PATH, json=BODY)


@contextlib.asynccontextmanager
async def by_sdk(limiter: Limiter, url: str) -> AsyncIterator[Call]:
    async with (
        limiter,
        openai.AsyncOpenAI(base_url=url, api_key=canary.KEY, http_client=http_client(limiter)) as client,
    ):
        yield lambda: client.chat.completions.create(model="gpt-4o", messages=MESSAGES)


@contextlib.asynccontextmanager
async def by_proxy(limiter: Limiter, url: str) -> AsyncIterator[Call]:
    forwarder = Forwarder(url, limiter=limiter, api_key=canary.KEY)
    async with Proxy(forwarder, port=0) as proxy, aiohttp.ClientSession() as session:

        async def call() -> None:
            async with session.post(proxy.url + PATH, json=BODY) as answer:
                await answer.read()

        yield call


WAYS: dict[str, Way] = {
    "permit": by_permit,
    "attempts": by_attempts,
    "client": by_client,
    "aiohttp middleware": by_middleware,
    "httpx transport": by_httpx,
    "OpenAI SDK": by_sdk,
    "proxy": by_proxy,
}


async def all_at_once(call: Call) -> int:
    """So many callers; how many had an answer within a second, or, on a machine that stood still, soon after."""
    calls = [asyncio.ensure_future(call()) for _ in range(CALLERS)]
    await asyncio.wait(calls, timeout=20.0, return_when=asyncio.FIRST_COMPLETED)
    done, late = await asyncio.wait(calls, timeout=1.0)
    for each in late:
        each.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    return sum(each.exception() is None for each in done)


def leased(server: RedisServer) -> list[str]:
    """The processes that the store knows of."""
    with redis.Redis(port=server.port, decode_responses=True) as client:
        fields: Any = [client.hkeys(key) for key in client.scan_iter("ratelimit_client:*")]
    return [name for found in fields for name in found if name.startswith("m:")]


@pytest.mark.parametrize("way", WAYS)
def test_two_that_come_this_way_spend_one_budget(tmp_path: Path, way: str) -> None:
    """No more than the limit together, whoever comes first; and what is left is given back at the end."""

    async def story(server: RedisServer) -> None:
        async with serve_model(per_minute(requests=10_000), api_keys=[canary.KEY]) as url:
            stores = [RedisStore(server.url, name="here") for _ in range(2)]
            limiters = [Limiter(per_hour(requests=LIMIT), store=store, retry=RetryPolicy.none()) for store in stores]
            async with WAYS[way](limiters[0], str(url)) as one, WAYS[way](limiters[1], str(url)) as other:
                counts = await asyncio.gather(all_at_once(one), all_at_once(other))
                assert leased(server), "while they go on there are leases"
            for store in stores:
                await store.close()
            assert min(counts) >= 1
            assert sum(counts) <= LIMIT
            assert leased(server) == []

    with running(tmp_path) as server:
        asyncio.run(story(server))


def test_threads_spend_it_too(tmp_path: Path) -> None:
    """A program without a loop shares with one that has one, through the loop in the background."""

    async def of_a_loop(server: RedisServer, url: str) -> int:
        store = RedisStore(server.url, name="here")
        async with by_client(Limiter(per_hour(requests=LIMIT), store=store), url) as call:
            count = await all_at_once(call)
        await store.close()
        return count

    with running(tmp_path) as server, serve_in_process(per_minute(requests=10_000), latency=0.01) as url:
        store = RedisStore(server.url, name="here")
        limiter = Limiter(per_hour(requests=LIMIT), store=store)
        with openai.OpenAI(base_url=url, api_key=canary.KEY, http_client=sync_http_client(limiter)) as client:
            for _ in range(LIMIT // 2):
                client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        background().run(limiter.drain())
        background().run(store.close())
        assert leased(server) == []
        count = asyncio.run(of_a_loop(server, url))
    assert 1 <= count <= LIMIT // 2
