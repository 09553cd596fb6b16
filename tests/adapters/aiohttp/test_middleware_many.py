"""Many requests of one session at once, each ended in one of all the ways there are: nothing is held afterwards."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable

import aiohttp

from ratelimit_client import Limiter, RateLimitClientError, per_minute
from ratelimit_client.adapters.aiohttp import middleware
from ratelimit_client.testing import Faults, serve_model
from tests.adapters.aiohttp.running import CHAT, QUICK, in_virtual_time
from tests.runtime.torture import at_rest
from tests.sizes import SCALE

REQUESTS = min(10_000, 1000 * SCALE)
AT_ONCE = 100
PER_MINUTE = 6000


async def read(response: aiohttp.ClientResponse) -> None:
    async with response:
        await response.read()


async def iterate(response: aiohttp.ClientResponse) -> None:
    async with response:
        async for _ in response.content.iter_any():
            pass


async def leave(response: aiohttp.ClientResponse) -> None:
    async with response:
        await response.content.readany()


async def release(response: aiohttp.ClientResponse) -> None:
    response.release()


async def close(response: aiohttp.ClientResponse) -> None:
    response.close()


async def fail(response: aiohttp.ClientResponse) -> None:
    async with response:
        raise ValueError("mine")


async def complain(response: aiohttp.ClientResponse) -> None:
    response.release()
    response.raise_for_status()


async def cancelled(response: aiohttp.ClientResponse) -> None:
    task = asyncio.ensure_future(read(response))
    await asyncio.sleep(random.Random(id(response)).random())
    task.cancel()
    await task


WAYS: tuple[Callable[[aiohttp.ClientResponse], Awaitable[None]], ...] = (
    *(read, iterate, leave, release, close, fail, complain, cancelled),
)


def test_places_and_sockets_are_back() -> None:
    """A server that breaks one in ten answers off or refuses it, and readers who leave in every way."""

    async def story() -> None:
        faults = Faults(unfinished=0.02, truncated=0.03, reset=0.02, server_error=0.03)
        limiter = Limiter(retry=QUICK, max_in_flight=AT_ONCE)
        dice = random.Random(7)
        ends: Counter[str] = Counter()

        async with (
            serve_model(per_minute(requests=PER_MINUTE), latency=0.1, streaming=1.0, faults=faults) as url,
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=AT_ONCE, use_dns_cache=False), middlewares=(middleware(limiter),)
            ) as session,
        ):

            async def run(number: int) -> None:
                body = {**CHAT, "stream": number % 2 == 0}
                asked = asyncio.ensure_future(session.post(f"{url}/chat/completions", json=body))
                if number % 11 == 0:
                    asyncio.get_running_loop().call_later(dice.random(), asked.cancel)
                try:
                    await WAYS[number % len(WAYS)](await asked)
                except (aiohttp.ClientError, RateLimitClientError, ValueError, asyncio.CancelledError) as error:
                    ends[type(error).__name__] += 1
                else:
                    ends["well"] += 1

            tasks = [asyncio.create_task(run(number)) for number in range(REQUESTS)]
            await asyncio.wait(tasks)
            assert not [task for task in tasks if task.exception() is not None]
            at_rest(limiter)
            assert not session.connector._acquired  # type: ignore[union-attr]
        assert ends["well"] > REQUESTS // 2
        assert {"ClientPayloadError", "CancelledError", "ValueError"} <= set(ends)

    in_virtual_time(story)
