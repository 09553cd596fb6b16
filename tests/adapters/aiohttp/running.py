"""Running a story against a client: in virtual time, or on real sockets where those are the point."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from ratelimit_client import Backoff, Client, RetryPolicy, per_day
from ratelimit_client.testing import VirtualLoop, run_virtual
from tests import canary
from tests.adapters.aiohttp.rawserver import RawServer

T = TypeVar("T")

KEY, OTHER_KEY = canary.KEY, canary.OTHER_KEY

QUICK = RetryPolicy(backoff=Backoff(base_s=0.01, cap_s=0.01), budget=1.0)
"""Retries that take no time, as often as it takes."""

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}]}


def on_real_sockets(story: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return asyncio.run(story())


def in_virtual_time(story: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run *story* on a virtual loop, and see that it leaves nothing behind."""
    result, loop = run_virtual(story)
    assert not loop.left_behind, loop.left_behind
    return result


def virtual_loop() -> VirtualLoop:
    """The loop a story runs on."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def ledger_is_even(client: Client) -> bool:
    """Nobody queued, nobody in flight, no place held."""
    limiter = client.limiter
    return limiter.queued == 0 and limiter.in_flight == 0 and limiter.statistics().in_flight == 0


@contextlib.asynccontextmanager
async def served(*conversations: Any, **options: Any) -> AsyncIterator[tuple[RawServer, Client]]:
    """A raw server and a client of it, with quotas wide enough to be out of the way."""
    options = {"api_key": KEY, "retry": QUICK, "quotas": per_day(requests=1000)} | options
    async with RawServer(*conversations) as server, Client(server.url, **options) as client:
        yield server, client


def granted(client: Client) -> int:
    return sum(key.granted for key in client.limiter.statistics().keys.values())
