from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ratelimit_client import (
    Client,
    DeadlineExceeded,
    IncompleteResponse,
    RetryPolicy,
    Timeout,
    TransportError,
)
from ratelimit_client.testing import Connect, Route, Wire
from tests.adapters.aiohttp.rawserver import Move, answer, chunked
from tests.adapters.aiohttp.running import (
    in_virtual_time,
    ledger_is_even,
    on_real_sockets,
    served,
    virtual_loop,
)


@pytest.mark.parametrize(
    "steps",
    [
        [Move.SILENCE],
        [answer(b"", length=10_000), *([1.0, b"x"] * 200)],
        [b"HTTP/1.1 200 OK\r\nX-Slow: ", *([1.0, b"x"] * 200)],
        [0.5, b"HTTP/1.1 103 Early Hints\r\n\r\n"] * 400,
    ],
)
def test_the_deadline_holds_for_everything(steps: list[Any]):
    """
    A byte a second keeps no call alive: head, body or endless hints end at the deadline, and the charge stays.
    """

    async def story() -> None:
        async with served(steps) as (_, client):
            began = asyncio.get_running_loop().time()
            with pytest.raises(DeadlineExceeded) as caught:
                await client.post("/v1/x", json={}, deadline=7.25)
            assert asyncio.get_running_loop().time() - began == pytest.approx(7.25, abs=0.01)
            assert caught.value.attempts == 1
            assert ledger_is_even(client)
            assert client.limiter.statistics().keys["default"].buckets["requests"].level < 1000

    in_virtual_time(story)


def test_no_deadline_no_hurry():
    """
    An answer that drips for half an hour is an answer.
    """

    async def story() -> None:
        body = b'{"a":"' + b"x" * 93 + b'"}'
        drips = [step for byte in body for step in (18.0, bytes([byte]))]
        async with served([answer(b"", length=len(body)), *drips]) as (_, client):
            assert (await client.post("/v1/x", json={})).content == body
            assert virtual_loop().elapsed_s > 1800

    in_virtual_time(story)


def test_silence_ends_a_call():
    """
    600 s without a byte, before the head or in the body.
    """

    async def story() -> None:
        none = RetryPolicy.none()
        for steps in ([Move.SILENCE], [answer(b'{"a"', length=99), Move.SILENCE]):
            async with served(steps, retry=none) as (_, client):
                began = virtual_loop().time()
                with pytest.raises((TransportError, IncompleteResponse), match=r"600 s|stopped"):
                    await client.post("/v1/x", json={})
                assert 600 <= virtual_loop().time() - began <= 602

    in_virtual_time(story)


def test_a_connection_that_died_is_found_in_seconds():
    """
    A malformed chunk closes the connection without waking the reader; nobody waits 600 s for that.
    """

    async def story() -> None:
        async with served([chunked(b'{"a":'), 5.0, b"zz\r\n"], [answer()]) as (_, client):
            began = virtual_loop().time()
            assert (await client.post("/v1/x", json={})).attempts == 2
            assert virtual_loop().time() - began < 8

    in_virtual_time(story)


@pytest.mark.parametrize(
    ("connect", "why", "after"),
    [(Connect.REFUSE, "cannot connect to", 0), (Connect.BLACK_HOLE, "no connection to .* in time", 10)],
)
def test_no_connection(connect: Connect, why: str, after: float):
    """
    Refused or swallowed: nothing was sent, so nothing is charged; it ends by its own timeout and holds up nobody.
    """

    async def story() -> None:
        def route(host: str, port: int, number: int) -> Route:
            return Route(connect=connect if number == 1 else Connect.ACCEPT)

        virtual_loop().net.route = route
        async with served([answer()], retry=RetryPolicy.none()) as (server, client):
            began = virtual_loop().time()
            first = asyncio.create_task(client.post("/v1/x", json={}))
            await asyncio.sleep(0)
            assert (await client.post("/v1/x", json={})).status == 200
            assert virtual_loop().time() == began

            with pytest.raises(TransportError, match=why) as caught:
                await first
            assert caught.value.unsent
            assert virtual_loop().time() - began == pytest.approx(after, abs=1)
            assert len(server.requests) == 1
            assert client.limiter.statistics().keys["default"].buckets["requests"].level == 999

    in_virtual_time(story)


def test_a_name_nobody_knows():
    """
    DNS failed: nothing was sent, and it may pass.
    """

    async def story() -> None:
        async with Client("http://nobody.localhost.invalid", allow_insecure=True, retry=RetryPolicy.none()) as client:
            with pytest.raises(TransportError, match="cannot connect to http://nobody") as caught:
                await client.get("/v1/x")
            assert caught.value.unsent

    on_real_sockets(story)


def test_a_server_that_stops_reading():
    """
    A large body that nobody takes ends by silence; one that is taken slowly does not.
    """

    async def story() -> None:
        body = bytes(3_000_000)
        virtual_loop().net.route = lambda host, port, number: Route(up=Wire(bytes_per_s=1000.0))
        async with served([answer()], timeout=Timeout(idle_s=700.0), retry=RetryPolicy.none()) as (server, client):
            await client.post("/v1/x", data=body)
            assert server.requests[0].body == body
            assert virtual_loop().elapsed_s > 2900

        virtual_loop().net.route = lambda host, port, number: Route(up=Wire(stall_after=100_000))
        async with served([answer()], retry=RetryPolicy.none()) as (_, client):
            began = virtual_loop().time()
            with pytest.raises(TransportError, match="no byte for 600 s"):
                await client.post("/v1/x", data=body)
            assert virtual_loop().time() - began < 1300

    in_virtual_time(story)
