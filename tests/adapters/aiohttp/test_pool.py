"""Connections of the client's own: which are kept, for how long, and what is written on them."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from ratelimit_client import IncompleteResponse, RetryPolicy, TransportError
from ratelimit_client.core.failure import FailureKind
from tests.adapters.aiohttp.rawserver import Move, answer
from tests.adapters.aiohttp.running import KEY, in_virtual_time, on_real_sockets, served, virtual_loop

SLOW = [1.0, answer()]


def test_the_latest_is_used_first():
    """
    Two calls at once need two connections; calls one after the other go on with the one that was used last.
    """

    async def story() -> None:
        async with served(SLOW, [2.0, answer()], [answer()]) as (server, client):
            await asyncio.gather(client.get("/v1/a"), client.get("/v1/b"))
            for _ in range(3):
                await client.get("/v1/c")
            assert [request.connection for request in server.requests] == [0, 1, 1, 1, 1]
            assert "1 kept" not in repr(client._wire._pools[False])
            assert "2 kept" in repr(client._wire._pools[False])

    in_virtual_time(story)


def test_what_idles_is_closed():
    """
    After 7.5 to 15 s without a call, by one timer, which ends with the last of them.
    """

    async def story() -> None:
        async with served(SLOW) as (server, client):
            await asyncio.gather(*(client.get("/v1/a") for _ in range(3)))
            assert server.open == 3
            for _ in range(6):
                await asyncio.sleep(4)
                await client.get("/v1/a")
            assert server.open == 1
            assert server.connections == 3
            await asyncio.sleep(15.1)
            assert server.open == 0
            assert virtual_loop().pending_timers == 0
            await client.get("/v1/a")
            assert server.connections == 4

    in_virtual_time(story)


@pytest.mark.parametrize(
    "first",
    [
        [answer(connection="close")],
        [b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"],
        [answer(b"[1]"), answer(b"[2]")],
        [answer(), Move.CLOSE],
    ],
)
def test_what_is_not_kept(first: list[Any]):
    """
    A connection that is to be closed, was closed, or holds more than was asked for.
    """

    async def story() -> None:
        async with served(first, [answer()], retry=RetryPolicy.none()) as (server, client):
            await client.post("/v1/x", json={})
            await asyncio.sleep(0.1)
            await client.post("/v1/x", json={})
            assert [request.connection for request in server.requests] == [0, 1]

    in_virtual_time(story)


def test_an_answer_without_a_body_ends_with_its_head():
    """
    HEAD, 204 and 304 leave the connection ready for the next call, whatever length they speak of.
    """

    async def story() -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"
        nothing = b"HTTP/1.1 204 No Content\r\n\r\n"
        async with served([head], [nothing], [answer()]) as (server, client):
            assert (await client.request("HEAD", "/v1/x")).content == b""
            assert (await client.request("DELETE", "/v1/x")).status == 204
            await client.get("/v1/x")
            assert server.connections == 1

    for run in (on_real_sockets, in_virtual_time):
        run(story)


@pytest.mark.parametrize(
    ("method", "data", "length"),
    [("GET", None, None), ("POST", None, "0"), ("DELETE", None, "0"), ("POST", b"", "0"), ("PUT", b"abc", "3")],
)
def test_the_length_of_a_body(method: str, data: bytes | None, length: str | None):
    """
    It is told wherever one may be expected, and the request is the same on a session of the user's.
    """

    async def story() -> None:
        sent = []
        for session in (None, aiohttp.ClientSession()):
            async with served([answer()], session=session) as (server, client):
                await client.request(method, "/v1/x", data=data, params={"a": "b c"}, headers={"X-Mine": "1"})
                (request,) = server.requests
                assert request.headers.pop("host") == server.url.removeprefix("http://")
            assert request.headers.get("content-length") == length
            assert request.body == (data or b"")
            assert request.headers.pop("authorization") == f"Bearer {KEY}"
            for name in ("x-client-request-id", "idempotency-key", "content-type"):
                request.headers.pop(name, None)
            sent.append((request.line, request.headers))
            if session is not None:
                await session.close()
        assert sent[0] == sent[1]
        assert sent[0][0] == f"{method} /v1/x?a=b+c HTTP/1.1"

    in_virtual_time(story)


def test_first_calls_at_once_share_a_pool():
    """
    However many come before there is one.
    """

    async def story() -> None:
        async with served(SLOW) as (_, client):
            await asyncio.gather(*(client.get("/v1/x") for _ in range(4)))
            assert list(client._wire._pools) == [False]
            assert "4 kept" in repr(client._wire._pools[False])

    in_virtual_time(story)


def test_large_bodies_have_connections_of_their_own():
    """
    They go through a session, which keeps its connections as well; one that the server had hung up on is replaced.
    """

    async def story() -> None:
        large = bytes(300_000)
        conversations = ([answer()], [answer()], [answer()], [Move.CLOSE], [answer()])
        async with served(*conversations, retry=RetryPolicy(max_attempts=2, budget=0.0)) as (server, client):
            for body in (b"{}", large, large, large):
                await client.post("/v1/x", data=body)
            assert [request.connection for request in server.requests] == [0, 1, 1, 1, 2]
            assert all(request.body == large for request in server.requests[1:])

    for run in (on_real_sockets, in_virtual_time):
        run(story)


def test_closing_ends_who_waits_for_a_head():
    """
    And who waits in a body; both learn that the connection is gone, at once.
    """

    async def story() -> None:
        for steps in ([Move.SILENCE], [answer(b"{", length=9), Move.SILENCE]):
            async with served(steps, retry=RetryPolicy.none()) as (_, client):
                call = asyncio.create_task(client.post("/v1/x", json={}))
                await asyncio.sleep(1)
                await client.close()
                error = (await asyncio.gather(call, return_exceptions=True))[0]
                assert isinstance(error, TransportError | IncompleteResponse)
                assert virtual_loop().elapsed_s < 5

    in_virtual_time(story)


def test_interim_answers_without_end():
    """
    A hundred are put up with, which is more than anybody sends; a server that goes on is no server.
    """

    async def story() -> None:
        hints = b"HTTP/1.1 103 Early Hints\r\n\r\n"
        async with served([hints * 99 + answer()], [hints * 100 + answer()], retry=RetryPolicy.none()) as (_, client):
            assert (await client.post("/v1/x", json={})).status == 200
            with pytest.raises(TransportError, match="100 answers that are not final") as caught:
                await client.post("/v1/x", json={})
            assert caught.value.kind is FailureKind.PROTOCOL

    in_virtual_time(story)


@pytest.mark.parametrize(
    ("says", "stale"),
    [([], True), ([b"HTTP/1.1 200 O"], False), ([b"HTTP/1.1 103 Early Hints\r\n\r\n"], False)],
    ids=["nothing", "half a head", "a hint"],
)
def test_a_used_connection_is_stale_only_if_it_says_nothing(says: list[Any], stale: bool):
    """
    A byte of an answer shows that the server took the request, so the connection had not been closed before.
    """

    async def story() -> None:
        ends = [*says, 0.1, Move.CLOSE]
        async with served([answer()], ends, retry=RetryPolicy.none()) as (server, client):
            await client.post("/v1/x", json={})
            with pytest.raises(TransportError) as caught:
                await client.post("/v1/x", json={})
            assert [request.connection for request in server.requests] == [0, 0]
            assert caught.value.stale is stale
            assert not caught.value.unsent

    in_virtual_time(story)
