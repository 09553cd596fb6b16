"""
Limiters on a real store that is killed, stopped, flushed and restarted empty while they work.

No call sees an error of the store, all go on, and what they spend together keeps to the limit: beside one
full bucket for each time the store lost its memory.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import attrs
import pytest
import redis

from ratelimit_client import Limiter, per_minute
from ratelimit_client.adapters.redis import RedisStore
from tests.redis_server import RedisServer, running
from tests.sizes import SCALE

A_SECOND = 100
BUCKET = 60 * A_SECOND
ROUNDS = 2 * SCALE


@attrs.define(eq=False)
class Log:
    """When calls went."""

    at_s: list[float] = attrs.field(factory=list)
    longest_s: float = 0.0

    def most_above_rate(self) -> float:
        """Over all windows, the most by which what went exceeds what flows in."""
        worst, low = 0.0, 0.0
        for number, at_s in enumerate(self.at_s):
            balance = number - A_SECOND * at_s
            low = min(low, balance) if number else balance
            worst = max(worst, balance + 1 - low)
        return worst


async def greedy(limiter: Limiter, log: Log) -> None:
    """Calls one after another, each of which takes a moment."""
    loop = asyncio.get_running_loop()
    while True:
        came_s = loop.time()
        async with limiter.permit():
            log.at_s.append(loop.time())
            log.longest_s = max(log.longest_s, loop.time() - came_s)
            await asyncio.sleep(0.01)


async def misfortune(server: RedisServer, kind: str, dice: random.Random) -> bool:
    """Something happens to the store, and passes. True: it has lost its memory."""
    match kind:
        case "kill":
            server.kill()
            await asyncio.sleep(dice.random())
            server.start()
        case "stop":
            server.stop()
            await asyncio.sleep(0.4 + dice.random())
            server.go_on()
        case "flush":
            with redis.Redis(port=server.port) as client:
                client.flushall()
        case _:
            with redis.Redis(port=server.port) as client:
                client.script_flush()
    return kind in ("kill", "flush")


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_bad_moment_of_the_store_is_none_of_the_calls(tmp_path: Path, seed: int) -> None:
    """One of four things, with three limiters at work."""
    dice = random.Random(seed)
    kind = ("kill", "stop", "flush", "teach again")[seed % 4]

    async def story() -> tuple[Log, int]:
        log, losses = Log(), 0
        with running(tmp_path) as server:
            stores = [RedisStore(server.url, workers=3) for _ in range(3)]
            limiters = [Limiter(per_minute(requests=BUCKET), store=store, max_in_flight=50) for store in stores]
            tasks = [asyncio.create_task(greedy(limiter, log)) for limiter in limiters for _ in range(20)]
            await asyncio.sleep(0.7)
            losses += await misfortune(server, kind, dice)
            before = len(log.at_s)
            for _ in range(600):
                lost = any(limiter._keeping is None or limiter._keeping.lost for limiter in limiters)
                if len(log.at_s) >= before + 50 and not lost:
                    break
                await asyncio.sleep(0.05)
            else:
                raise AssertionError("they did not go on, or did not find the store again")
            assert not any(task.done() for task in tasks), [task.exception() for task in tasks if task.done()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for limiter, store in zip(limiters, stores, strict=True):
                await limiter.close()
                await store.close()
        return log, losses

    log, losses = asyncio.run(story())

    assert log.most_above_rate() <= BUCKET * (1 + losses)
