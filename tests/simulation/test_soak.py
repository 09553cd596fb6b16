"""
A while of real time on real sockets: what is used is given back.

A virtual day ends after some hundred calls. What grows by a little with each call, or is kept
for each cancellation, shows only in thousands, and in the machine's own numbers.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import time

import attrs

from ratelimit_client import Client, RateLimitClientError, RetryPolicy, per_minute
from ratelimit_client.testing import Faults, serve_in_process
from tests.sizes import SCALE

SECONDS = 3.0 if SCALE < 10 else 60.0
AT_ONCE = 40
_MIB = 1 << 20
MOST_GROWTH = 6 * _MIB
"""In the second half; an allocator keeps some of what it was given, a leak of 100 bytes a call would be more."""

KEY = "sk-canary-0123456789abcdef"
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}]}


@attrs.frozen
class Use:
    """What this process holds: descriptors, bytes of memory, tasks."""

    descriptors: int
    memory: int
    tasks: int

    @classmethod
    def now(cls) -> Use:
        gc.collect()
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
        return cls(len(os.listdir("/proc/self/fd")), pages * os.sysconf("SC_PAGE_SIZE"), len(asyncio.all_tasks()))


async def worker(client: Client, dice: random.Random, until: float) -> int:
    """One call after another; some are cancelled, some have no time, some fail: how many there were."""
    calls = 0
    while time.monotonic() < until:
        calls += 1
        deadline = 0.001 if dice.random() < 0.05 else None
        call = asyncio.create_task(client.post("/chat/completions", json=CHAT, deadline=deadline))
        if dice.random() < 0.1:
            await asyncio.sleep(dice.choice((0.0, 0.001, 0.01)))
            call.cancel()
        try:
            await call
        except (RateLimitClientError, asyncio.CancelledError):
            pass
    return calls


async def soak(url: str) -> tuple[int, Use, Use]:
    """All workers for a while: their calls, and what was held at half-time and in the end."""
    dice = random.Random("soak")
    began = time.monotonic()
    retry = RetryPolicy(max_attempts=2, budget=1.0, max_outage_s=0.2)
    async with Client(url, api_key=KEY, retry=retry) as client:
        halves = []
        calls = 0
        for half in (1, 2):
            until = began + half * SECONDS / 2
            calls += sum(await asyncio.gather(*(worker(client, dice, until) for _ in range(AT_ONCE))))
            assert client.limiter.queued == client.limiter.in_flight == 0
            halves.append(Use.now())
    return calls, *halves


def test_memory_and_descriptors_are_flat() -> None:
    """Thousands of calls, one in five of which goes wrong: the second half takes nothing that the first had not."""
    before = len(os.listdir("/proc/self/fd"))
    faults = Faults(server_error=0.02, overloaded=0.02, reset=0.02, truncated=0.02)
    with serve_in_process(per_minute(requests=60_000), latency=0.002, faults=faults) as url:
        held = len(os.listdir("/proc/self/fd"))
        calls, first, second = asyncio.run(soak(url))

    assert calls > 100 * SECONDS
    assert first.tasks == second.tasks == 1
    assert max(first.descriptors, second.descriptors) <= held + AT_ONCE + 10
    assert second.memory <= first.memory + MOST_GROWTH, (
        f"{(second.memory - first.memory) / _MIB:.1f} MiB in {calls} calls"
    )
    assert len(os.listdir("/proc/self/fd")) <= before + 2
