"""
How long a loop cannot look up while very many wait.

    python -m benchmarks.micro.lag COUNT RATE SECONDS

A beat of a millisecond runs on the loop; how much later than asked it comes is the lag. RATE calls a second
are let out meanwhile: "0" of them wait for something that never comes, "all" for as much as can go. The same
beat with nothing on the loop shows what the machine itself is late. The collector runs as Python sets it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time

from ratelimit_client import Limiter, per_minute, per_second

BEAT_S = 0.001
ALL = 10**9


async def wait(limiter: Limiter) -> None:
    async with limiter.permit(key="gpt-4o", tokens=1):
        pass


async def beats(seconds: float, limiter: Limiter | None) -> tuple[list[float], list[float]]:
    """For each beat how late it came, and the CPU this process used since the one before."""
    late, busy = [], []
    until = time.monotonic() + seconds
    while time.monotonic() < until and (limiter is None or limiter.queued):
        due, used_s = time.monotonic() + BEAT_S, time.process_time()
        await asyncio.sleep(BEAT_S)
        late.append(max(0.0, time.monotonic() - due))
        busy.append(time.process_time() - used_s)
    return late, busy


def told(late: list[float], busy: list[float]) -> dict[str, float]:
    """In milliseconds: the longest of each, and what one in a hundred exceeds."""
    late.sort()
    return {"longest_ms": late[-1] * 1e3, "p99_ms": late[int(0.99 * len(late))] * 1e3, "busy_ms": max(busy) * 1e3}


async def main(count: int, rate: str, seconds: float) -> None:
    quotas = per_minute(requests=1) if rate == "0" else per_second(requests=ALL if rate == "all" else int(rate))
    floor = told(*await beats(seconds / 2, None))
    limiter = Limiter(quotas, max_queue=10**7)
    tasks = [asyncio.ensure_future(wait(limiter)) for _ in range(count)]
    for _ in range(3):
        await asyncio.sleep(0)  # they join, in a round that is their maker's and not counted
    gc.collect()
    began_s = time.monotonic()
    late, busy = await beats(seconds, limiter)
    seconds = time.monotonic() - began_s
    served = sum(task.done() for task in tasks)
    print(json.dumps({**told(late, busy), "served_per_s": served / seconds, "floor": floor}), flush=True)
    os._exit(0)  # what waits is not to be taken down one by one


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
