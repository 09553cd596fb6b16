"""
One process of a crowd that spends one budget.

    python -m benchmarks.processes.worker BASE_URL STORE_URL|- PER_S SECONDS CALLS

It says READY and waits for a line, so that all of a crowd begin at once. PER_S calls come to it each second, evenly;
0: as many as it can send, CALLS at a time. After SECONDS it says in one line of JSON what became of it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from ratelimit_client import Limiter
from ratelimit_client.adapters.aiohttp import Client

_BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}]}


async def _spend(base_url: str, store_url: str, per_s: float, seconds: float, calls: int) -> dict[str, Any]:
    store = None
    if store_url != "-":
        from ratelimit_client.adapters.redis import RedisStore

        store = RedisStore(store_url, name="crowd")
    limiter = Limiter(store=store)
    waits_s: list[float] = []
    async with Client(base_url, api_key="a-key-of-nobody", limiter=limiter) as client:

        async def call() -> None:
            came = time.perf_counter()
            await client.post("/chat/completions", json=_BODY)
            waits_s.append(time.perf_counter() - came)

        async def greedy() -> None:
            while True:
                await call()

        async def light() -> None:
            due, tasks = time.perf_counter(), set[asyncio.Task[None]]()
            while True:
                tasks.add(asyncio.create_task(call()))
                due += 1 / per_s
                await asyncio.sleep(max(0.0, due - time.perf_counter()))

        print("READY", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        began, cpu = time.perf_counter(), time.process_time()
        tasks = [asyncio.create_task(light() if per_s else greedy()) for _ in range(1 if per_s else calls)]
        ended, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for task in ended:
            task.result()  # none ends by itself
        waits_s.sort()
        facts = {
            "done": len(waits_s),
            "median_s": round(waits_s[len(waits_s) // 2], 3) if waits_s else None,
            "longest_s": round(waits_s[-1], 3) if waits_s else None,
            "lasted_s": round(time.perf_counter() - began, 3),
            "cpu_s": round(time.process_time() - cpu, 2),
            "trips": None if limiter.sharing is None else limiter.sharing.trips,
        }
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await client.close()
    return facts


def main(words: list[str]) -> None:
    """As above."""
    base_url, store_url, per_s, seconds, calls = words
    print(json.dumps(asyncio.run(_spend(base_url, store_url, float(per_s), float(seconds), int(calls)))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
