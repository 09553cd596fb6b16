"""A place lives as long as the body, whichever way that ends; and so does the connection."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ratelimit_client import Limiter
from tests.adapters.httpx.scripted import BODY, MODULES, URL, Said, Scripted, client_of, limiter_of, refusal, run

both = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)


async def exhausted(answer: Any) -> None:
    async for _ in answer.aiter_raw():
        pass


async def closed_unread(answer: Any) -> None:
    await answer.aclose()


async def closed_half_read(answer: Any) -> None:
    async for _ in answer.aiter_raw():
        break
    await answer.aclose()


async def read_whole(answer: Any) -> None:
    await answer.aread()


async def dropped(answer: Any) -> None:
    pass


async def dropped_half_read(answer: Any) -> None:
    async for _ in answer.aiter_raw():
        break


async def cancelled_in_it(answer: Any) -> None:
    task = asyncio.create_task(answer.aread())
    await asyncio.sleep(0.15)
    task.cancel()
    await asyncio.wait([task])
    await answer.aclose()


async def cancelled_and_not_closed(answer: Any) -> None:
    async def read() -> None:
        async for _ in answer.aiter_raw():
            pass

    task = asyncio.create_task(read())
    await asyncio.sleep(0.15)
    task.cancel()
    await asyncio.wait([task])


ENDS = (
    exhausted,
    closed_unread,
    closed_half_read,
    read_whole,
    dropped,
    dropped_half_read,
    cancelled_in_it,
    cancelled_and_not_closed,
)


async def let_go() -> None:
    """What was dropped is collected, and what is to be done about it is done."""
    for _ in range(3):
        gc.collect()
        await asyncio.sleep(1)


@both
@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_however_a_body_ends_its_place_is_free(module: Any, end: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    """
    Held while it is there, free when it is not; the stream within is closed in the end.
    """
    said = Said(parts=3, pause_s=0.1)
    limiter, server = limiter_of(), Scripted(said)

    async def begun(client: Any) -> None:
        answer = await client.send(client.build_request("POST", URL, json=BODY), stream=True)
        assert limiter.in_flight == 1
        await end(answer)
        del answer

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            await begun(client)
            await let_go()
            assert limiter.in_flight == 0

    run(main, limiter)
    assert said.closed >= 1


def test_a_dropped_body_of_httpx2_needs_no_collector() -> None:
    """
    Nothing refers to anything that refers to it: the place is free at once. (httpx makes a ring around it.)
    """
    limiter, server = limiter_of(), Scripted(Said())

    async def main() -> None:
        gc.collect()
        gc.disable()
        try:
            async with client_of(MODULES[1], limiter, server) as client:
                answer = await client.send(client.build_request("POST", URL, json=BODY), stream=True)
                assert limiter.in_flight == 1
                del answer
                assert limiter.in_flight == 0
        finally:
            gc.enable()
        await let_go()

    run(main, limiter)


@both
def test_a_body_that_breaks_off_says_so(module: Any) -> None:
    """
    The caller gets what broke it, and a server that breaks off often is backed away from.
    """
    limiter = limiter_of(max_in_flight=8)
    server = Scripted(*(Said(breaks=module.ReadError("gone")) for _ in range(8)))

    async def call(client: Any) -> None:
        with pytest.raises(module.ReadError):
            await client.post(URL, json=BODY)

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            await asyncio.gather(*(call(client) for _ in range(8)))
        window = limiter.statistics().keys["gpt-4o"].window
        assert window is not None
        assert window < 8

    run(main, limiter)


# -- cancelled ------------------------------------------------------------------------------------


async def stopped(call: asyncio.Task[Any]) -> None:
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def turns_until(reached: Callable[[], bool]) -> None:
    for _ in range(100):
        if reached():
            return
        await asyncio.sleep(0)
    raise AssertionError("it was not reached")


async def in_the_queue(client: Any, limiter: Limiter) -> None:
    first, second = (asyncio.create_task(client.post(URL, json=BODY)) for _ in range(2))
    await asyncio.sleep(0.05)
    assert (limiter.queued, limiter.in_flight) == (1, 1)
    await stopped(second)
    await first


async def at_its_grant(client: Any, limiter: Limiter) -> None:
    first, second = (asyncio.create_task(client.post(URL, json=BODY)) for _ in range(2))
    await asyncio.sleep(0.05)
    await first
    await turns_until(lambda: limiter.queued == 0)
    await stopped(second)


async def in_flight(client: Any, limiter: Limiter) -> None:
    call = asyncio.create_task(client.post(URL, json=BODY))
    await asyncio.sleep(0.05)
    assert limiter.in_flight == 1
    await stopped(call)


async def in_the_body(client: Any, limiter: Limiter) -> None:
    call = asyncio.create_task(client.post(URL, json=BODY))
    await asyncio.sleep(0.25)
    assert limiter.in_flight == 1
    await stopped(call)


@both
@pytest.mark.parametrize("moment", [in_the_queue, at_its_grant, in_flight, in_the_body], ids=lambda each: each.__name__)
def test_a_cancelled_request_leaves_nothing(module: Any, moment: Callable[..., Coroutine[Any, Any, None]]) -> None:
    """
    In the queue, at the moment of its grant, in flight and in the body: afterwards the ledger balances.
    """
    limiter = limiter_of(max_in_flight=1)
    server = Scripted(Said(pause_s=0.1), Said(pause_s=0.1))

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            await moment(client, limiter)

    run(main, limiter)


@both
def test_cancelled_while_an_error_is_read_its_head_has_been_heard(module: Any) -> None:
    """
    The place is free, the stream is closed, and that the server refused is known.
    """
    said = refusal(**{"retry-after": "500"})
    said.pause_s = 1.0
    limiter, server = limiter_of(), Scripted(said)

    async def main() -> None:
        async with client_of(module, limiter, server) as client:
            call = asyncio.create_task(client.post(URL, json=BODY))
            await asyncio.sleep(0.5)
            await stopped(call)

    run(main, limiter)
    assert said.closed == 1
    assert limiter.statistics().keys["gpt-4o"].refused == 1


@both
def test_what_is_open_when_its_loop_ends_disturbs_nobody(module: Any) -> None:
    """
    A body that outlives its loop is dropped without a word.
    """
    limiter, server = limiter_of(), Scripted(Said())
    kept: list[Any] = []

    async def main() -> None:
        client = client_of(module, limiter, server)
        kept.append(await client.send(client.build_request("POST", URL, json=BODY), stream=True))

    run(main)
    kept.clear()
    gc.collect()
    assert limiter.in_flight == 0
