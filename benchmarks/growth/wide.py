"""
Many keys, and many tenants of one key: 1 to 10 000.

    python benchmarks/growth/wide.py keys|tenants|sizes_of_keys|sizes_of_tenants COUNT

Law of this file: however many there are, the number of calls is the same. Sizes are of what was allocated,
in a process that does nothing else: counting slows everything down.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Coroutine
from typing import Any, Final

from ratelimit_client import Limiter, per_day, per_minute

COUNTS: Final = (1, 10, 100, 1_000, 10_000)
CALLS: Final = 20_000
REPEATS: Final = 3
POINT_S: Final = 120.0
ROOMY: Final = per_minute(requests=10**9, tokens=10**12) + per_day(requests=10**12)


# ---- in the child ------------------------------------------------------------------------------


async def permits_us(count: int) -> float:
    """A permit that waits for nothing, the keys in turn."""
    limiter = Limiter(ROOMY)
    names = _names("model", count)
    await _once_each(limiter, names)
    began_s = time.process_time()
    for number in range(CALLS):
        async with limiter.permit(key=names[number % count], tokens=1500):
            pass
    return (time.process_time() - began_s) / CALLS * 1e6


async def keys(count: int) -> dict[str, float]:
    """Of calls by so many keys: one that goes at once, and one that waits and is let in."""
    free_us = await permits_us(count)
    limiter = Limiter(per_minute(requests=1), max_queue=10**7, max_in_flight=10**6)
    names = _names("model", count)
    await _once_each(limiter, names)
    return {"permit_us": free_us, **await _in_and_out(limiter, [(name, None) for name in names])}


async def tenants(count: int) -> dict[str, float]:
    """Of calls of so many tenants: one that waits and is let in."""
    limiter = Limiter(per_minute(requests=1), max_queue=10**7, max_in_flight=10**6)
    await _once_each(limiter, ["model-0"])
    return await _in_and_out(limiter, [("model-0", name) for name in _names("tenant", count)])


async def sizes_of_keys(count: int) -> dict[str, float]:
    """What a key keeps, once a call of it was made."""
    limiter = Limiter(ROOMY)
    await _once_each(limiter, ["another"])
    names = _names("model", count)
    before = _allocated()
    await _once_each(limiter, names)
    return {"bytes_per_key": (_allocated() - before) / count}


async def sizes_of_tenants(count: int) -> dict[str, float]:
    """What a tenant keeps, while one call of it waits, beyond a call that waits of a tenant with many."""
    limiter = Limiter(per_minute(requests=1), max_queue=10**7)
    await _once_each(limiter, ["model-0"])
    sizes = []
    for names in (["one"], ["one"] * count, _names("tenant", count)):  # the first makes what stays
        before = _allocated()
        waits = [limiter.permit(key="model-0", tokens=1, tenant=name).__aenter__() for name in names]
        sizes.append(_allocated() - before)
        for wait in waits:
            wait.close()
        del waits
    return {"bytes_per_tenant": (sizes[2] - sizes[1]) / max(1, count - 1)}


def _allocated() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _names(what: str, count: int) -> list[str]:
    return [f"{what}-{number}" for number in range(count)]


async def _once_each(limiter: Limiter, names: list[str]) -> None:
    for name in names:
        async with limiter.permit(key=name, tokens=1):
            pass


async def _in_and_out(limiter: Limiter, callers: list[tuple[str, str | None]]) -> dict[str, float]:
    """The same number of calls, dealt out to the callers; all wait, and then all are let go."""

    async def wait(key: str, tenant: str | None) -> None:
        async with limiter.permit(key=key, tokens=1, tenant=tenant):
            pass

    began_s = time.process_time()
    tasks = [asyncio.ensure_future(wait(*callers[number % len(callers)])) for number in range(CALLS)]
    await asyncio.sleep(0)
    joined_s = time.process_time() - began_s
    assert limiter.queued == CALLS
    limiter.set_quotas(per_minute(requests=10**12))
    began_s = time.process_time()
    await asyncio.wait(tasks)
    granted_s = time.process_time() - began_s
    return {"enqueue_us": joined_s / CALLS * 1e6, "grant_us": granted_s / CALLS * 1e6}


CHILDREN: Final[dict[str, Callable[[int], Coroutine[Any, Any, dict[str, float]]]]] = {
    "keys": keys,
    "tenants": tenants,
    "sizes_of_keys": sizes_of_keys,
    "sizes_of_tenants": sizes_of_tenants,
}


# ---- in the parent -----------------------------------------------------------------------------


def wide(what: str, counts: tuple[int, ...] = COUNTS) -> list[dict[str, Any]]:
    """A point for each number of *what*, "keys" or "tenants", the rounds of all numbers in turn."""
    times: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    for number in range(REPEATS):
        for count in counts[:: -1 if number % 2 else 1]:
            try:
                times[count].append(_measured(what, count))
            except subprocess.TimeoutExpired:
                continue
    found = []
    for count, runs in times.items():
        if runs:
            medians = {name: round(statistics.median(run[name] for run in runs), 2) for name in runs[0]}
            sizes = {name: round(size) for name, size in _measured(f"sizes_of_{what}", count).items()}
            found.append({"n": count, **medians, **sizes})
    return found


def _measured(what: str, count: int) -> dict[str, float]:
    words = [sys.executable, __file__, what, str(count)]
    done = subprocess.run(words, capture_output=True, check=True, timeout=POINT_S)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main(what: str, count: str) -> None:
    if what.startswith("sizes"):
        tracemalloc.start(1)
    print(json.dumps(asyncio.run(CHILDREN[what](int(count)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
