from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from ratelimit_client import (
    Client,
    Closed,
    Limiter,
    RetryPolicy,
    TransportError,
    per_day,
    per_minute,
)
from ratelimit_client.adapters.aiohttp.url import Base
from ratelimit_client.testing import Connect, Route, serve_model
from tests.adapters.aiohttp.rawserver import RawServer, answer
from tests.adapters.aiohttp.running import (
    CHAT,
    KEY,
    in_virtual_time,
    ledger_is_even,
    served,
    virtual_loop,
)


@pytest.mark.parametrize("after_s", [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5])
def test_cancelled_at_any_time(after_s: float):
    """
    In the queue, before the head, in the body, after it: it is a cancellation, nothing is held, and the next call goes.
    """

    async def story() -> None:
        slow = [1.0, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{", 1.0, b"}\n"]
        limiter = Limiter(per_minute(requests=60), max_in_flight=1)
        async with served(slow, slow, slow, limiter=limiter, quotas=()) as (_, client):
            ahead = asyncio.create_task(client.post("/v1/x", json={}))
            await asyncio.sleep(0)
            task = asyncio.create_task(client.post("/v1/x", json={}))
            await asyncio.sleep(after_s)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            await ahead
            await client.post("/v1/x", json={})
            assert ledger_is_even(client)
        await limiter.drain()

    in_virtual_time(story)


def test_a_call_cancelled_in_flight_closes_its_connection():
    """
    The rest of its answer is nobody else's.
    """

    async def story() -> None:
        slow = [answer(b'{"n":', length=7), 1.0, b"1}"]
        async with served(slow, [answer(b'{"n":2}')]) as (server, client):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.post("/v1/x", json={}), 0.5)
            assert (await client.post("/v1/x", json={})).data == {"n": 2}
            assert server.connections == 2

    in_virtual_time(story)


def test_leaving_drains():
    """
    What is queued and in flight is answered before the block is left; afterwards nobody is let in.
    """

    async def story() -> None:
        async with serve_model(per_minute(requests=60), latency=3.0) as url:
            async with Client(url, api_key=KEY, max_in_flight=1) as client:
                calls = [asyncio.create_task(client.post("/chat/completions", json=CHAT)) for _ in range(3)]
                await asyncio.sleep(0)
            assert all(call.done() for call in calls)
            assert url.tally.calls == 3
            with pytest.raises(Closed):
                await client.post("/chat/completions", json=CHAT)
            await client.close()
            await client.close()

    in_virtual_time(story)


def test_leaving_by_an_error_does_not_wait():
    """
    What is queued fails with Closed, what is out with a broken connection, both at once.
    """

    async def story() -> None:
        async with RawServer([1000.0, answer()]) as server:
            calls: list[asyncio.Task[Any]] = []

            async def fails() -> None:
                async with Client(server.url, api_key=KEY, max_in_flight=1) as client:
                    calls.extend(asyncio.create_task(client.post("/v1/x", json=CHAT)) for _ in range(3))
                    await asyncio.sleep(1)
                    raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                await fails()
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(result) for result in results] == [TransportError, Closed, Closed]
            assert virtual_loop().elapsed_s < 10

    in_virtual_time(story)


def test_draining_has_a_limit():
    """
    False after timeout_s; new calls are refused from the beginning, also with a limiter of somebody else.
    """

    async def story() -> None:
        for options in ({}, {"limiter": Limiter()}):
            async with served([100.0, answer()], **options, quotas=()) as (_, client):
                call = asyncio.create_task(client.post("/v1/x", json={}))
                await asyncio.sleep(0)
                assert not await client.drain(1.0)
                with pytest.raises(Closed):
                    await client.post("/v1/x", json={})
                assert await client.drain()
                assert call.done()

    in_virtual_time(story)


def test_one_client_on_two_loops():
    """
    At rest it moves to the loop that uses it next; the first loop closed its connections as it ended.
    """
    client = Client("http://localhost:1", api_key=KEY, quotas=per_day(requests=1000), retry=RetryPolicy.none())

    async def story() -> int:
        async with RawServer([answer()]) as server:
            # A client has one origin; for the test both loops serve it at the same port.
            client._wire._base = client._requests._base = Base(server.url)
            await client.get("/v1/x")
            await client.get("/v1/x")
            return server.connections

    assert [asyncio.run(story()), asyncio.run(story())] == [1, 1]
    assert client.limiter.statistics().keys["default"].granted == 4


def test_there_is_no_way_back_into_a_closed_client():
    """
    Entering it again says so, and it stays closed.
    """

    async def story() -> None:
        async with served([answer()]) as (server, client):
            await client.close()
            with pytest.raises(Closed, match="is closed"):
                await client.__aenter__()
            with pytest.raises(Closed, match="the client is closed"):
                await client.get("/v1/x")
            assert server.requests == []

    in_virtual_time(story)


ABRUPT = """
import asyncio, socket
from ratelimit_client import Client

async def begin(client):
    calls = [asyncio.ensure_future(client.post("/v1/x", data=b"x" * size)) for size in (1, 1_000_000)]
    while client.limiter.in_flight < 2:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    return calls

with socket.create_server(("127.0.0.1", 0)) as silent:
    client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}", api_key="sk-0123456789")
    loop = asyncio.new_event_loop()
    calls = loop.run_until_complete(begin(client))
    loop.close()
    asyncio.run(client.close())
    print(repr(client), flush=True)
"""


def test_a_client_whose_loop_was_closed_under_it_can_be_closed_on_another():
    """
    Calls that can never go on are in nobody's way. (In a process of its own: such an end leaves sockets unclosed.)
    """
    ended = subprocess.run([sys.executable, "-c", ABRUPT], capture_output=True, text=True, timeout=60, check=False)

    assert ended.stdout.rstrip().endswith("closed>>"), ended.stderr


def test_a_client_that_was_forgotten():
    """
    It complains, as a file does, and its connections are closed.
    """

    async def story() -> None:
        async with RawServer([answer()]) as server:
            client = Client(server.url, api_key=KEY)
            await client.get("/v1/x")
            assert server.open == 1
            with pytest.warns(ResourceWarning, match="unclosed connections to"):
                del client
                gc.collect()
            await asyncio.wait_for(server.left_alone(), 5)

    asyncio.run(story())


def test_a_session_that_was_closed_under_the_client():
    """
    The user's own, closed by the user: a typed error, nothing sent, nothing charged.
    """

    async def story() -> None:
        session = aiohttp.ClientSession()
        async with served([answer()], session=session) as (server, client):
            await client.get("/v1/x")
            await session.close()
            with pytest.raises(Closed, match="session given to the client is closed"):
                await client.get("/v1/x")
            assert len(server.requests) == 1
            assert client.limiter.statistics().keys["default"].buckets["requests"].level == 999

    in_virtual_time(story)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_after_a_fork_the_child_has_connections_of_its_own():
    """
    The child's call goes out on a new connection, and the parent's connection goes on working.
    """

    async def in_child(client: Client) -> bytes:
        return (await client.get("/v1/x")).content

    async def story() -> None:
        async with served([answer()]) as (server, client):
            await client.get("/v1/x")
            reader, writer = os.pipe()
            child = fork_and_run(lambda: asyncio.run(in_child(client)), writer)
            os.close(writer)
            said = await asyncio.to_thread(read_all, reader)
            await asyncio.to_thread(os.waitpid, child, 0)
            await client.get("/v1/x")

            assert said == b'{"ok":true}'
            assert [request.connection for request in server.requests] == [0, 1, 0]
            names = [request.headers["x-client-request-id"] for request in server.requests]
            assert len(set(names)) == 3

    asyncio.run(story())


def fork_and_run(run: Callable[[], bytes], writer: int) -> int:
    """Run in a child, which writes what it got and ends without any clean-up of the parent's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of threads; the child uses none of them
        child = os.fork()
    if child == 0:
        try:
            # The child has no running loop, although the parent was in one.
            asyncio._set_running_loop(None)
            os.write(writer, run())
        except BaseException as error:  # noqa: BLE001 - a child of a test says what went wrong and ends
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    return child


def read_all(reader: int) -> bytes:
    parts = []
    while part := os.read(reader, 65536):
        parts.append(part)
    os.close(reader)
    return b"".join(parts)


def test_closing_ends_calls_that_connect_or_wait_for_the_key():
    """
    They are told at once, not when the server or the vault gets round to it; nothing was sent, and nothing is charged.
    """

    async def vault() -> str:
        await asyncio.sleep(3600)
        return KEY

    async def story() -> None:
        virtual_loop().net.route = lambda *_: Route(connect=Connect.BLACK_HOLE)
        for key in (KEY, vault):
            client = Client("http://127.0.0.1:9", api_key=key, quotas=per_day(requests=100))
            calls = [asyncio.create_task(client.post("/v1/x", json={})) for _ in range(2)]
            await asyncio.sleep(1)
            await client.close()
            async with asyncio.timeout(0.01):
                for end in await asyncio.gather(*calls, return_exceptions=True):
                    assert isinstance(end, Closed)
            assert ledger_is_even(client)
            assert all(key.buckets["requests"].level == 100 for key in client.limiter.statistics().keys.values())

    in_virtual_time(story)
