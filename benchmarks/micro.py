"""
What a call costs the process itself, without any HTTP.

Absolute times are of one machine; the peers stand beside in the same run.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import resource
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiolimiter

from ratelimit_client import Limiter, per_day, per_minute

CALLS = 20_000
WAITERS = 50_000
REPEATS = 7


def _limiter() -> Limiter:
    return Limiter(per_minute(requests=10**9, tokens=10**12) + per_day(requests=10**12))


async def _permits(limiter: Limiter) -> None:
    for _ in range(CALLS):
        async with limiter.permit(key="gpt-4o", tokens=1500):
            pass


async def _aiolimiter(limiter: aiolimiter.AsyncLimiter) -> None:
    for _ in range(CALLS):
        async with limiter:
            pass


async def _semaphore(semaphore: asyncio.Semaphore) -> None:
    for _ in range(CALLS):
        async with semaphore:
            pass


async def _nothing(_: object) -> None:
    for _ in range(CALLS):
        pass


def _each_us(make: Callable[[], Any], run: Callable[[Any], Awaitable[None]]) -> float:
    """Microseconds a call, the median of several repeats, the loop itself taken off."""

    async def timed() -> float:
        subject = make()
        await run(subject)
        started = time.perf_counter()
        await run(subject)
        return (time.perf_counter() - started) / CALLS * 1e6

    return statistics.median(asyncio.run(timed()) for _ in range(REPEATS))


def permits() -> dict[str, float]:
    """An uncontended permit over three buckets, beside the simplest peers."""
    empty = _each_us(lambda: None, _nothing)
    return {
        "permit_3_buckets_us": round(_each_us(_limiter, _permits) - empty, 2),
        "aiolimiter_us": round(_each_us(lambda: aiolimiter.AsyncLimiter(10**9, 60), _aiolimiter) - empty, 2),
        "semaphore_us": round(_each_us(lambda: asyncio.Semaphore(10), _semaphore) - empty, 2),
    }


def _resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


async def _wait(limiter: Limiter) -> None:
    async with limiter.permit(key="gpt-4o", tokens=1):
        pass


def _in(order: str, tasks: list[asyncio.Task[None]]) -> list[asyncio.Task[None]]:
    if order == "any order":
        return random.Random(1).sample(tasks, len(tasks))
    return tasks if order == "oldest first" else tasks[::-1]


async def _cancel_us(tasks: list[asyncio.Task[None]], order: str) -> float:
    """Cancel all and see them end; microseconds each."""
    chosen = _in(order, tasks)
    started = time.perf_counter()
    for task in chosen:
        task.cancel()
    await asyncio.wait(chosen)
    return (time.perf_counter() - started) / len(chosen) * 1e6


async def _waiting(limiter: Limiter, order: str, *, collects: bool) -> dict[str, float]:
    """Park, look at memory and idleness, cancel in some order, with the garbage collector running or not."""
    gc.collect()
    gc.disable()
    before = _resident()
    tasks = [asyncio.ensure_future(_wait(limiter)) for _ in range(WAITERS)]
    while limiter.queued < WAITERS:
        await asyncio.sleep(0)
    each = (_resident() - before) / WAITERS
    gc.collect()
    cpu = time.process_time()
    await asyncio.sleep(2)
    idle = time.process_time() - cpu
    if collects:
        gc.enable()
    cancel = await _cancel_us(tasks, order)
    gc.enable()
    left = limiter.statistics()
    assert left.queued == 0 and left.in_flight == 1, left
    return {"bytes": each, "idle_cpu_s_in_2_s": idle, "cancel_us": cancel}


async def _bare(collects: bool) -> float:
    """The floor: as many tasks, each waiting for a future of its own, cancelled in any order."""
    loop = asyncio.get_running_loop()

    async def wait(future: asyncio.Future[None]) -> None:
        await future

    gc.collect()
    if not collects:
        gc.disable()
    tasks = [asyncio.ensure_future(wait(loop.create_future())) for _ in range(WAITERS)]
    await asyncio.sleep(0)
    try:
        return await _cancel_us(tasks, "any order")
    finally:
        gc.enable()


def waiters() -> dict[str, float]:
    """50 000 parked calls: bytes each with their task, CPU while idle, cost of cancelling in three orders."""
    found: dict[str, float] = {}
    for collects, suffix in ((True, ""), (False, "_collector_off")):
        for order in ("oldest first", "newest first", "any order"):

            async def run(order: str = order, collects: bool = collects) -> dict[str, float]:
                limiter = Limiter(per_minute(requests=1))
                async with limiter.permit(key="gpt-4o", tokens=1):
                    return await _waiting(limiter, order, collects=collects)

            measured = asyncio.run(run())
            found[f"cancel_us_{order.replace(' ', '_')}{suffix}"] = round(measured["cancel_us"], 1)
            found["bytes_per_waiter"] = round(max(found.get("bytes_per_waiter", 0), measured["bytes"]))
            found["idle_cpu_s_in_2_s"] = round(max(found.get("idle_cpu_s_in_2_s", 0), measured["idle_cpu_s_in_2_s"]), 4)
        found[f"bare_cancel_us{suffix}"] = round(asyncio.run(_bare(collects)), 1)
    return found


def micro() -> dict[str, float]:
    """All of it."""
    return {**permits(), **waiters()}


if __name__ == "__main__":
    print(json.dumps(micro(), indent=2))
