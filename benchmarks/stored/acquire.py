"""
What one acquisition costs in a process that shares its limit through a Redis.

    python acquire.py NAME REDIS_URL COUNT

Law of this file: one process, one budget that is never short, one acquisition after another: all that is measured is
what the limiter takes to say yes. Wall time and CPU of this process are its own; commands and CPU of the store are
the store's, by its own INFO, less what it takes to ask for that.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import redis
import redis.asyncio

PLENTY = 10**9
"""A minute."""

Acquire = Callable[[], Awaitable[object]]


async def ours(url: str, stack: AsyncExitStack) -> Acquire:
    from ratelimit_client import Limiter, per_minute
    from ratelimit_client.adapters.redis import RedisStore

    store = RedisStore(url, name="bench")
    limiter = Limiter(per_minute(requests=PLENTY), store=store)
    stack.push_async_callback(store.close)
    await stack.enter_async_context(limiter)
    return _permit(limiter)


async def alone(url: str, stack: AsyncExitStack) -> Acquire:
    from ratelimit_client import Limiter, per_minute

    return _permit(await stack.enter_async_context(Limiter(per_minute(requests=PLENTY))))


def _permit(limiter: Any) -> Acquire:
    async def acquire() -> None:
        async with limiter.permit():
            pass

    return acquire


async def token_throttle(url: str, stack: AsyncExitStack) -> Acquire:
    from token_throttle import PerModelConfig, Quota, RateLimiter, RedisBackendBuilder, UsageQuotas

    client = redis.asyncio.Redis.from_url(url)
    stack.push_async_callback(client.aclose)
    config = PerModelConfig(quotas=UsageQuotas([Quota(metric="requests", limit=PLENTY, per_seconds=60)]))
    limiter = RateLimiter(config, backend=RedisBackendBuilder(client, key_prefix="bench"))
    usage = {"requests": 1}

    async def acquire() -> None:
        async with limiter.reserve(usage, model="gpt-4o") as handle:
            handle.set_actual_usage(usage)

    return acquire


async def limits(url: str, stack: AsyncExitStack) -> Acquire:
    return await _limits(url, "FixedWindowRateLimiter")


async def limits_sliding(url: str, stack: AsyncExitStack) -> Acquire:
    return await _limits(url, "SlidingWindowCounterRateLimiter")


async def _limits(url: str, strategy: str) -> Acquire:
    from limits import RateLimitItemPerMinute
    from limits.aio import storage, strategies

    limiter = getattr(strategies, strategy)(storage.RedisStorage(f"async+{url}", implementation="redispy"))
    item = RateLimitItemPerMinute(PLENTY)

    async def acquire() -> None:
        assert await limiter.hit(item, "gpt-4o")

    return acquire


async def pyrate(url: str, stack: AsyncExitStack) -> Acquire:
    from pyrate_limiter import Duration, Limiter, Rate, RedisBucket

    client = redis.asyncio.Redis.from_url(url)
    stack.push_async_callback(client.aclose)
    bucket = await RedisBucket.init([Rate(PLENTY, Duration.MINUTE)], client, "bench")
    limiter = Limiter(bucket)

    async def acquire() -> None:
        assert await limiter.try_acquire_async("gpt-4o")

    return acquire


SUBJECTS: dict[str, Callable[[str, AsyncExitStack], Awaitable[Acquire]]] = {
    "ours": ours,
    "alone": alone,
    "token-throttle": token_throttle,
    "limits": limits,
    "limits-sliding": limits_sliding,
    "pyrate-limiter": pyrate,
}


def _info(url: str) -> tuple[int, float]:
    """How often the store was asked (what a script does of its own is not asked), and its CPU."""
    with redis.Redis.from_url(url) as client:
        told = client.info()
    return int(told["total_reads_processed"]), float(told["used_cpu_user"]) + float(told["used_cpu_sys"])


async def measure(name: str, url: str, count: int) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        acquire = await SUBJECTS[name](url, stack)
        for _ in range(max(200, count // 20)):
            await acquire()
        if name in ("ours", "alone"):
            await asyncio.sleep(1.5)  # until the first lease has been renewed
        empty, _ = _info(url)
        trips, cpu_s = _info(url)
        asking = trips - empty
        began, own_s = time.perf_counter(), time.process_time()
        for _ in range(count):
            await acquire()
        spent_s, own_s = time.perf_counter() - began, time.process_time() - own_s
        trips_after, cpu_after_s = _info(url)
    asked = max(0, trips_after - trips - asking)
    return {
        "count": count,
        "seconds": round(spent_s, 3),
        "us": round(spent_s / count * 1e6, 2),
        "own_us": round(own_s / count * 1e6, 2),
        "trips": round(asked / count, 5),
        "trips_per_s": round(asked / spent_s, 2),
        "store_us": round((cpu_after_s - cpu_s) / count * 1e6, 3),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
