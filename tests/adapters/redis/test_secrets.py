"""The password of a store, and the API key beside it, are nowhere but on their wires."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import redis
from prometheus_client import CollectorRegistry, generate_latest

from ratelimit_client import Client, Limiter, RetryPolicy, per_minute
from ratelimit_client.adapters.logging import LoggingInstrument
from ratelimit_client.adapters.prometheus import watch
from ratelimit_client.adapters.redis import RedisStore
from ratelimit_client.testing import serve_model
from tests import canary
from tests.reaching import reachable
from tests.redis_server import RedisServer, running

BODY = {"model": "gpt-4o-canary-model", "messages": [{"role": "user", "content": "Say hello."}]}


def in_store(server: RedisServer) -> str:
    """Every key of the store, and what stands there."""
    with redis.Redis(port=server.port, password=canary.OTHER_KEY, decode_responses=True) as client:
        keys = sorted(client.scan_iter("*"))
        return repr([(key, client.hgetall(key)) for key in keys])


async def until_lost(limiter: Limiter, lost: bool) -> None:
    """Until the limiter has noticed."""
    async with asyncio.timeout(30):
        while limiter.sharing is None or limiter.sharing.lost is not lost:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


def test_neither_shows_in_anything_of_a_client_that_shares(tmp_path: Path) -> None:
    """
    After successes, with the store gone and back again: every object within reach, its statistics, its metrics, its
    events, and what stands in the store itself.
    """

    async def story(server: RedisServer) -> tuple[list[str], str]:
        registry = CollectorRegistry()
        store = RedisStore(server.url.replace("//", f"//:{canary.OTHER_KEY}@"), name="here")
        limiter = Limiter(
            per_minute(requests=6000, tokens=10**7),
            store=store,
            on_event=LoggingInstrument(level=logging.DEBUG),
            retry=RetryPolicy(max_attempts=2),
        )
        async with serve_model(per_minute(requests=6000), api_keys=[canary.KEY]) as url:
            client = Client(str(url), api_key=canary.KEY, limiter=limiter)
            watch(client, registry)
            ends: list[Any] = [await client.post("/chat/completions", json=BODY) for _ in range(3)]
            written = in_store(server)
            server.kill()
            await until_lost(limiter, lost=True)
            ends.append(await client.post("/chat/completions", json=BODY))
            found = [*reachable(client, registry, store, *ends, but=asyncio.get_running_loop())]
            server.start()
            await until_lost(limiter, lost=False)
            ends.append(await client.post("/chat/completions", json=BODY))
            found += [*reachable(client, store, *ends, but=asyncio.get_running_loop())]
            ours = [one for one in found if type(one).__module__.startswith(("ratelimit_client", "builtins"))]
            shown = [repr(one) for one in ours] + [str(one) for one in found if isinstance(one, BaseException)]
            shown += [repr(limiter.statistics()), str(limiter.explain()), generate_latest(registry).decode()]
            await client.close()
            await limiter.close()
            await store.close()
        return shown, written

    with running(tmp_path, f"requirepass {canary.OTHER_KEY}") as server:
        shown, written = asyncio.run(story(server))

    assert len(shown) > 50
    assert [text[:200] for text in shown if canary.shows(text)] == []
    assert "ratelimit_client:1:{here}:" in written
    assert not canary.shows(written)
    assert "canary-model" not in written
