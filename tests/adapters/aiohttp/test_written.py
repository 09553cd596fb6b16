"""The limiter hears when the first byte of a request reached the socket."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import aiohttp
import pytest

from ratelimit_client import Client, Limiter
from ratelimit_client.core.units import NS
from ratelimit_client.testing import Route
from tests.adapters.aiohttp.rawserver import RawServer, answer
from tests.adapters.aiohttp.running import KEY, QUICK, in_virtual_time, served, virtual_loop

UNMEASURED_NS, LEAST_NS = NS // 4, NS // 20


def jitter_ns(limiter: Limiter) -> int:
    """How far calls are thought to overtake each other; measured from the sixteenth written call on."""
    return limiter._desk.dispatcher.scheduler.jitter.ns


@pytest.mark.parametrize("body", [b"{}", b"x" * 300_000, None], ids=["small", "large", "none"])
@pytest.mark.parametrize("theirs", [False, True])
def test_it_is_told_before_the_answer(body: bytes | None, theirs: bool):
    """
    The answer takes a second; what is measured is the instant the request left. On a session of the user's a request
    without a body cannot be seen, and is not guessed.
    """

    async def story() -> None:
        async with contextlib.AsyncExitStack() as stack:
            session = await stack.enter_async_context(aiohttp.ClientSession()) if theirs else None
            server, client = await stack.enter_async_context(served([1.0, answer()], session=session))
            assert jitter_ns(client.limiter) == UNMEASURED_NS
            for _ in range(16):
                await client.request("GET" if body is None else "POST", "/v1/x", data=body)
            assert len(server.requests) == 16
            assert jitter_ns(client.limiter) == (UNMEASURED_NS if theirs and body is None else LEAST_NS)

    in_virtual_time(story)


def test_connecting_is_part_of_the_way():
    """
    Sixteen calls at once, each on a connection of its own that takes its time.
    """

    async def story() -> None:
        virtual_loop().net.route = lambda host, port, number: Route.slow(0.2)
        async with served([answer()], max_in_flight=100, quotas=()) as (server, client):
            await asyncio.gather(*(client.post("/v1/x", json={}) for _ in range(16)))
            assert server.connections > 4
            assert jitter_ns(client.limiter) >= NS // 5
        await asyncio.sleep(1)  # the ends of the connections are on their way, too

    in_virtual_time(story)


def test_the_ramp_waits_for_what_was_written():
    """
    A limiter of somebody else is told, too, with the keys it has; silence counts from the first byte, not the grant.
    """

    async def story() -> None:
        limiter = Limiter()
        async with limiter.permit(key="old"):
            pass
        async with RawServer([answer()]) as server, Client(server.url, api_key=KEY, retry=QUICK, limiter=limiter):
            scheduler = limiter._desk.dispatcher.scheduler
            assert scheduler.reports_written
            assert scheduler.keys["old"].window.waits_for_written
            async with limiter.permit(key="new"):
                assert scheduler.keys["new"].window.waits_for_written
        assert not Limiter()._desk.dispatcher.scheduler.reports_written

    in_virtual_time(story)


def test_an_attempt_that_is_made_again_is_told_again():
    """
    Each attempt is written once more.
    """

    async def story() -> None:
        async with served([answer(status="500 X")], [answer()]) as (_, client):
            reply = await client.post("/v1/x", json={})
            assert reply.attempts == 2
            assert len(samples(client)) == 2

    in_virtual_time(story)


def samples(client: Client) -> list[Any]:
    return client.limiter._desk.dispatcher.scheduler.jitter._samples


@pytest.mark.parametrize("size", [2, 300_000])
@pytest.mark.parametrize("theirs", [False, True])
@pytest.mark.parametrize(("after_s", "charged"), [(0.1, 0), (0.3, 1)])
def test_cancelled_before_a_byte_was_written_it_costs_nothing(size: int, theirs: bool, after_s: float, charged: int):
    """
    While it connects nobody can have done its work; from the first byte on somebody may.
    """

    async def story() -> None:
        virtual_loop().net.route = lambda host, port, number: Route.slow(0.1)
        async with contextlib.AsyncExitStack() as stack:
            session = await stack.enter_async_context(aiohttp.ClientSession()) if theirs else None
            _, client = await stack.enter_async_context(served([10.0, answer()], session=session))
            call = asyncio.create_task(client.post("/v1/x", data=b"x" * size))
            await asyncio.sleep(after_s)
            call.cancel()
            await asyncio.wait([call])
            assert client.limiter.statistics().keys["default"].buckets["requests"].level == 1000 - charged
        await asyncio.sleep(1)  # the ends of the connections are on their way, too

    in_virtual_time(story)
