"""
The OpenAI SDK with and without the limiter underneath: CPU of a call, and a job at a limit nobody typed in.

    python -m benchmarks.openai_sdk [cpu|race]

*CPU*: two clients of one process, in turn A B A B, each for a few hundred calls to a server in
another process that limits nothing; process time, pair by pair. The same for streams.
*Race*: 300 calls at once over 600 a minute, then 100 streams; the SDK's defaults are untouched.
*Ideal* is (calls - burst) / rate + one answer.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ratelimit_client import Limiter
from ratelimit_client.core.quota import per_minute
from ratelimit_client.testing.enforcement import sliced
from ratelimit_client.testing.serve import RemoteURL, serve_in_process

CALLS = 400
PAIRS = 15
IN_FLIGHT = 16
SLICE_S = 5
BODY: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say a number in words. " * 20}]}

Use = Callable[[Any, int], Awaitable[None]]


async def plain(client: Any, number: int) -> None:
    """One call."""
    await client.chat.completions.create(**BODY, user=f"row-{number}")


async def streamed(client: Any, number: int) -> None:
    """One stream, read to its end."""
    options = {"include_usage": True}
    async for _ in await client.chat.completions.create(
        **BODY, user=f"row-{number}", stream=True, stream_options=options
    ):
        pass


async def _cpu_s(client: Any, use: Use, calls: int) -> float:
    numbers = iter(range(calls))

    async def work() -> None:
        for number in numbers:
            await use(client, number)

    gc.collect()
    began = time.process_time()
    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    return time.process_time() - began


async def _pairs(url: RemoteURL, use: Use, calls: int, pairs: int) -> dict[str, float]:
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    from ratelimit_client.adapters.httpx.openai import http_client

    bare, ours = [], []
    under = http_client(Limiter(dialect="openai", max_in_flight=1000))
    key = {"api_key": "the-key-of-a-benchmark", "base_url": str(url)}
    async with (
        AsyncOpenAI(**key, http_client=DefaultAsyncHttpxClient()) as alone,
        AsyncOpenAI(**key, http_client=under) as limited,
    ):
        for each in (alone, limited):
            await _cpu_s(each, use, calls)  # connections, and what is made once
        for number in range(pairs):
            turns = [(alone, bare), (limited, ours)]
            for client, seconds in turns if number % 2 else reversed(turns):
                seconds.append(await _cpu_s(client, use, calls))
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    return {
        "sdk_us": round(statistics.median(bare) / calls * 1e6, 1),
        "with_us": round(statistics.median(ours) / calls * 1e6, 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_least": round(min(ratios), 3),
        "ratio_most": round(max(ratios), 3),
    }


def cpu(calls: int = CALLS, pairs: int = PAIRS) -> dict[str, dict[str, float]]:
    """Microseconds of a call, plain and streamed, and how many times that it is with the limiter."""
    with serve_in_process(per_minute(requests=10**9, tokens=10**12), latency=0.0) as url:
        return {
            "plain": asyncio.run(_pairs(url, plain, calls, pairs)),
            "streamed": asyncio.run(_pairs(url, streamed, calls // 4, pairs)),
        }


async def _job(url: RemoteURL, use: Use, calls: int) -> float:
    from openai import AsyncOpenAI

    from ratelimit_client.adapters.httpx.openai import http_client

    client = AsyncOpenAI(
        api_key="the-key-of-a-benchmark", base_url=str(url), http_client=http_client(Limiter(dialect="openai"))
    )
    async with client:
        began = time.perf_counter()
        await asyncio.gather(*(use(client, number) for number in range(calls)))
        return time.perf_counter() - began


def race() -> list[dict[str, Any]]:
    """
    What became of both jobs at 600 a minute.

    A minute's worth is there at the start, so that 300 calls would never meet the limit:
    slices of 5 s beside the minute, which no header shows, make them wait for it.
    """
    jobs = (("300 calls", plain, 300), ("100 streams", streamed, 100))
    return [_raced(name, use, count) for name, use, count in jobs]


def _raced(name: str, use: Use, count: int) -> dict[str, Any]:
    options: dict[str, Any] = {"latency": 0.15, "refusal_latency": 0.02, "enforcement": sliced(SLICE_S)}
    with serve_in_process(per_minute(requests=600, tokens=10**9), **options) as url:
        seconds = asyncio.run(_job(url, use, count))
        stats = url.stats(marks=True)
    ideal_s = max(0.0, count - 10 * SLICE_S) / 10 + 0.15
    return {
        "name": name,
        "seconds": round(seconds, 2),
        "ratio": round(seconds / ideal_s, 3),
        "refused": stats["refusals"],
        "calls": stats["calls"],
        "lost": count - stats["rows_answered"],
        "repeated": stats["rows_repeated"],
    }


def sdk() -> dict[str, Any]:
    """Both, as ``make bench`` wants them."""
    return {"cpu": cpu(), "race": race()}


PARTS: dict[str, Callable[[], Any]] = {"cpu": cpu, "race": race}

if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(Path.cwd()))
    for part in sys.argv[1:] or PARTS:
        print(part, json.dumps(PARTS[part](), indent=2))
