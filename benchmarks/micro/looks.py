"""
What a limiter does in one go while very many wait, in milliseconds of CPU.

    python -m benchmarks.micro.looks COUNT

A loop is held up as long as a step takes. Where the same step is taken by each call, the longest is told.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import sys
import time
from collections.abc import Callable

from ratelimit_client import Limiter, per_minute


def took_ms(step: Callable[[], object]) -> float:
    began_s = time.process_time()
    step()
    return (time.process_time() - began_s) * 1e3


async def longest_ms(limiter: Limiter, count: int) -> dict[str, float]:
    """Join with a deadline each, then be cancelled in any order; the longest step of each."""
    joining, leaving = 0.0, 0.0
    waits = []
    for number in range(count):
        began_s = time.process_time()
        wait = limiter.permit(key="gpt-4o", tokens=1, deadline=10**9 + number % 1000).__aenter__()
        wait.send(None)
        joining = max(joining, time.process_time() - began_s)
        waits.append(wait)
    await asyncio.sleep(0)
    assert limiter.queued == count
    for wait in random.Random(1).sample(waits, count):
        began_s = time.process_time()
        wait.close()
        leaving = max(leaving, time.process_time() - began_s)
    assert limiter.queued == 0
    return {"deadline": joining * 1e3, "cancel": leaving * 1e3}


async def main(count: int) -> None:
    async def wait() -> None:
        async with limiter.permit(key="gpt-4o", tokens=1):
            pass

    gc.disable()
    limiter = Limiter(per_minute(requests=1), max_queue=10**7)
    async with limiter.permit(key="gpt-4o", tokens=1):
        found = await longest_ms(limiter, count)
        tasks = [asyncio.ensure_future(wait()) for _ in range(count)]
        await asyncio.sleep(0)
        assert limiter.queued == len(tasks)
        found["statistics"] = took_ms(limiter.statistics)
        found["waiting"] = took_ms(limiter.waiting)
        found["explain"] = took_ms(lambda: limiter.explain("gpt-4o", tokens=1))
        found["close"] = took_ms(limiter.close)
    print(json.dumps(found), flush=True)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
