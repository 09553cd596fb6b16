"""Many streams at once, each ended in one of all the ways there are: nothing is held afterwards."""

from __future__ import annotations

import asyncio
import random
import warnings
from collections import Counter

from ratelimit_client import Client, RateLimitClientError, per_minute
from ratelimit_client.adapters.aiohttp.stream import Stream
from ratelimit_client.testing import Faults, serve_model
from tests.adapters.aiohttp.running import CHAT, QUICK, in_virtual_time
from tests.adapters.aiohttp.streaming import take
from tests.sizes import SCALE

STREAMS = min(10_000, 1000 * SCALE)
AT_ONCE = 100
KINDS = {
    "StreamError",
    "StreamTruncated",
    "DeadlineExceeded",
    "DeadlineExpiredInQueue",
    "ValueError",
    "CancelledError",
}


async def exhaust(stream: Stream) -> None:
    async with stream:
        await take(stream, [])


async def leave(stream: Stream) -> None:
    async with stream:
        await anext(stream)


async def close(stream: Stream) -> None:
    async with stream:
        stream.close()


async def fail(stream: Stream) -> None:
    async with stream:
        raise ValueError("mine")


async def drop(stream: Stream) -> None:
    await stream.__aenter__()
    await anext(stream)


async def never(stream: Stream) -> None:
    assert "not begun" in repr(stream)


async def cancelled(stream: Stream) -> None:
    task = asyncio.ensure_future(exhaust(stream))
    await asyncio.sleep(random.Random(id(stream)).random())
    task.cancel()
    await task


WAYS = (exhaust, leave, close, fail, drop, never, cancelled)


def test_slots_and_sockets_are_back() -> None:
    """A server of which a fifth of all streams break in some way, and consumers who leave in every way."""

    async def story() -> None:
        faults = Faults(stream_error=0.05, unfinished=0.05, truncated=0.05, reset=0.02, server_error=0.03)
        ends: Counter[str] = Counter()
        async with (
            serve_model(per_minute(requests=10**6), latency=0.1, streaming=1.0, faults=faults) as url,
            Client(url, api_key="", retry=QUICK, max_in_flight=AT_ONCE) as client,
        ):
            dice = random.Random(7)

            async def run(number: int) -> None:
                way = WAYS[number % len(WAYS)]
                total = 0.5 if dice.random() < 0.1 else None
                try:
                    body = {**CHAT, "user": str(number)}
                    await way(client.stream("/chat/completions", json=body, deadline_total=total))
                except (RateLimitClientError, ValueError, asyncio.CancelledError) as error:
                    ends[type(error).__name__] += 1
                else:
                    ends["none"] += 1

            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                for first in range(0, STREAMS, 2 * AT_ONCE):
                    await asyncio.gather(*(run(number) for number in range(first, min(STREAMS, first + 2 * AT_ONCE))))
            assert ends.total() == STREAMS
            assert set(ends) == {*KINDS, "none"}
            assert (client.limiter.queued, client.limiter.in_flight) == (0, 0)
            assert not client._wire._dog._watched
            assert sum(len(pool.connector._acquired) for pool in client._wire._pools.values()) <= AT_ONCE
            await asyncio.sleep(60)
            assert sum(len(pool.connector._acquired) for pool in client._wire._pools.values()) == 0

    in_virtual_time(story)
