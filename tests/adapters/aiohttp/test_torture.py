"""Cancelled at any await, a client's call leaves nothing behind: no place, no connection, no task, no timer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from ratelimit_client import Client, Limiter, per_second
from ratelimit_client.testing import run_virtual
from tests.adapters.aiohttp.rawserver import END, Move, RawServer, answer, chunked
from tests.adapters.aiohttp.running import KEY, OTHER_KEY, QUICK, ledger_is_even
from tests.runtime.torture import MODES, Mode, Victim
from tests.sizes import SCALE

HOUR_S = 3600.0
REFUSED = [0.1, answer(b'{"error":{"code":"rate_limit_exceeded"}}', status="429 X", retry_after="1")]
SLOW = [0.1, chunked(b'{"a":'), 0.1, chunked(b"1}").partition(b"\r\n\r\n")[2], 0.1, END]
HARD_TIMES = (REFUSED, [0.1, Move.CLOSE], [answer(status="401 X")], [chunked(b"{"), 0.1, Move.RESET], SLOW)
"""Refused, dropped, told that the key is old, cut off, and then answered bit by bit."""

Way = Callable[[Client], Awaitable[Any]]


async def post(client: Client) -> None:
    assert (await client.post("/v1/x", json={})).data == {"a": 1}


async def post_large(client: Client) -> None:
    assert (await client.post("/v1/x", data=b"x" * 2**20)).data == {"a": 1}


async def with_a_deadline(client: Client) -> None:
    assert (await client.get("/v1/x", deadline=HOUR_S)).data == {"a": 1}


async def mapped(client: Client) -> None:
    async with client.map([{"path": "/v1/x", "json": {}}] * 3) as results:
        assert [result.unwrap().data async for result in results] == [{"a": 1}] * 3


async def drained(client: Client) -> None:
    call = asyncio.create_task(post(client))
    await asyncio.sleep(0.01)  # it is inside now
    try:
        assert await client.drain()
        assert call.done(), "it was inside, waiting for the key, and is waited for"
    finally:
        await asyncio.wait([call])
        call.result()


WAYS: list[Way] = [post, post_large, with_a_deadline, mapped, drained]


class Vault:
    """Gives another key each time, after a while."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self) -> str:
        self.asked += 1
        await asyncio.sleep(0.1)
        return (KEY, OTHER_KEY)[self.asked % 2]


async def once(way: Way, at: int, mode: Mode, *, shared: bool) -> bool:
    """One run, cancelled at suspension *at*; True when the end did not come first."""
    limits: dict[str, Any] = {"quotas": per_second(requests=10), "max_in_flight": 1}
    limiter = Limiter(limits["quotas"], max_in_flight=1, retry=QUICK) if shared else None
    options = {"limiter": limiter} if shared else limits | {"retry": QUICK}
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(RawServer(*HARD_TIMES))
        client = await stack.enter_async_context(Client(server.url, api_key=Vault(), **options))
        others = [asyncio.create_task(post(client))]
        victim = Victim(way(client), at, mode)  # type: ignore[arg-type]

        async def run() -> None:
            await asyncio.sleep(0)
            others.append(asyncio.create_task(post(client)))
            await victim

        task = asyncio.create_task(run())
        await asyncio.wait([task])
        assert task.cancelled() == victim.struck, task
        if not task.cancelled():
            task.result()
        async with asyncio.timeout(HOUR_S):
            for other in await asyncio.gather(*others, return_exceptions=way is drained):
                assert other is None or "draining" in str(other)
            if way is drained:
                client._door.open()
                client.limiter._desk.dispatcher.reopen()
            await post(client)
        assert ledger_is_even(client)
        assert client.limiter._desk.dispatcher.at_rest
        assert client._door._inside == 0
        assert sum(client.tally.outcomes.values()) >= 3
        assert server.open_connections <= 2, "every connection of a cancelled call is closed, others are kept"
    return victim.struck


@pytest.mark.parametrize("shared", [False, True], ids=["own limiter", "shared limiter"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", WAYS)
def test_cancelled_at_any_await_nothing_is_left(way: Way, mode: Mode, shared: bool) -> None:
    """Whatever a call was waiting for (key, turn, connection, head, body), the next one goes through."""
    for seed in range(SCALE):
        assert cancelled_everywhere(lambda at: once(way, at, mode, shared=shared), seed) > 3


def cancelled_everywhere(run: Callable[[int], Coroutine[Any, Any, bool]], seed: int = 0) -> int:
    """*run*, with the cancellation at each suspension in turn, tasks in the order of *seed*; how often that was."""
    for at in range(1, 200):
        struck, loop = run_virtual(lambda at=at: run(at), seed=seed)  # type: ignore[misc]
        assert not loop.left_behind, (at, seed, loop.left_behind)
        if not struck:
            return at
    raise AssertionError("it never ends")


@pytest.mark.parametrize("mode", MODES)
def test_closing_can_be_cancelled(mode: Mode) -> None:
    """What was not closed then is closed by the next close, and calls under way end with an error of ours."""

    async def story(at: int) -> bool:
        async with RawServer([Move.SILENCE]) as server:
            client = Client(server.url, api_key=KEY)
            calls = [asyncio.create_task(client.post("/v1/x", data=b"x" * size)) for size in (1, 2**20)]
            await asyncio.sleep(1)
            victim = Victim(client.close(), at, mode)

            async def run() -> None:
                await victim

            task = asyncio.create_task(run())
            await asyncio.wait([task])
            assert task.cancelled() == victim.struck
            await client.close()
            async with asyncio.timeout(10):
                ends = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(end).__name__ for end in ends] == ["TransportError"] * 2
            assert ledger_is_even(client)
            return victim.struck

    cancelled_everywhere(story)
