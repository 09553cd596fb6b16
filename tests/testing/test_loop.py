"""aiohttp, client and server, unmodified, on a virtual loop."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import subprocess
import sys
import zlib
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from ratelimit_client.testing import Route, VirtualLoop, run_virtual


def net() -> Any:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.net


async def serve(handler: Callable[..., Any], host: str = "api.test", port: int = 80) -> web.AppRunner:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner


def session(limit: int = 100, **options: Any) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        limit=limit, resolver=net(), socket_factory=net().socket_factory, use_dns_cache=False
    )
    return aiohttp.ClientSession(connector=connector, **options)


async def two_seconds(request: web.Request) -> web.StreamResponse:
    await request.read()
    await asyncio.sleep(2)
    return web.json_response({"path": request.path})


async def two_hundred_calls() -> list[str]:
    """200 calls of 2 s through 20 connections."""
    runner = await serve(two_seconds)

    async with session(limit=20) as client:

        async def call(number: int) -> str:
            async with client.post(f"http://api.test/{number}", json={"text": "x" * number * 50}) as response:
                return str((await response.json())["path"])

        paths = await asyncio.gather(*map(call, range(200)))
    await runner.cleanup()
    return paths


@pytest.mark.parametrize("seed", range(5))
def test_200_calls_of_2_s_through_20_connections_take_20_s(seed: int) -> None:
    """To the nanosecond, whatever the order of tasks; every call gets its own answer; nothing is left behind."""
    paths, loop = run_virtual(two_hundred_calls, seed=seed)

    assert paths == [f"/{number}" for number in range(200)]
    assert loop.elapsed_s == 20.0
    assert loop.net.connections == 20
    assert not loop.left_behind


def test_latency_is_paid_once_per_turn() -> None:
    """50 ms each way: one round trip to connect, one for each call; not for every chunk."""

    async def main() -> None:
        net().route = lambda host, port, number: Route.slow(0.05)
        await two_hundred_calls()

    _, loop = run_virtual(main)

    assert loop.elapsed_s == pytest.approx(10 * 2.1 + 0.1, abs=1e-9)


def test_a_timeout_is_virtual_too() -> None:
    """total=3 ends a call of 1000 s after 3 s."""

    async def main() -> float:
        async def never(request: web.Request) -> web.StreamResponse:
            await asyncio.sleep(1000)
            return web.Response()

        runner = await serve(never)
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with session(timeout=aiohttp.ClientTimeout(total=3)) as client:
            with pytest.raises(TimeoutError):
                await client.get("http://api.test/")
        took_s = loop.time() - started
        await runner.shutdown()
        await runner.cleanup()
        return took_s

    assert run_virtual(main)[0] == 3.0


def test_big_and_packed_bodies_arrive_whole() -> None:
    """Three megabytes each way, the answer packed: executors run in line, writers are paused and resumed."""

    async def main() -> tuple[int, int]:
        async def echo(request: web.Request) -> web.StreamResponse:
            response = web.Response(body=await request.read())
            response.enable_compression()
            return response

        app = web.Application(client_max_size=2**24)
        app.router.add_post("/", echo)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "api.test", 80).start()
        body = os.urandom(3_000_000)
        async with session() as client, client.post("http://api.test/", data=io.BytesIO(body)) as response:
            got = await response.read()
        await runner.cleanup()
        return zlib.crc32(got), zlib.crc32(body)

    (got, sent), _ = run_virtual(main)
    assert got == sent


def test_a_stream_arrives_event_by_event() -> None:
    """Ten events, one a second."""

    async def main() -> list[float]:
        async def events(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            for number in range(10):
                await asyncio.sleep(1)
                await response.write(f"data: {number}\n\n".encode())
            return response

        runner = await serve(events)
        loop = asyncio.get_running_loop()
        seen = []
        async with session() as client, client.get("http://api.test/") as response:
            async for _ in response.content:
                seen.append(loop.time())
        await runner.cleanup()
        return [at_s - seen[0] for at_s in seen[::2]]

    assert run_virtual(main)[0] == [float(second) for second in range(10)]


def test_a_plain_session_works_as_well() -> None:
    """Without the resolver and the socket factory, by name and by address."""

    async def main() -> list[int]:
        runner = await serve(two_seconds)
        local = await serve(two_seconds, "127.0.0.1", 8000)
        async with aiohttp.ClientSession() as client:
            statuses = []
            for url in ("http://api.test/", "http://127.0.0.1:8000/", "http://localhost:8000/"):
                async with client.get(url) as response:
                    statuses.append(response.status)
        await runner.cleanup()
        await local.cleanup()
        return statuses

    statuses, loop = run_virtual(main)

    assert statuses == [200, 200, 200]
    assert loop.elapsed_s == 6.0
    assert not loop.left_behind


def test_streams_work_as_well() -> None:
    """asyncio.open_connection and start_server, half-close included."""

    async def main() -> bytes:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.read()).upper())
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(answer, "echo.test", 7)
        reader, writer = await asyncio.open_connection("echo.test", 7)
        writer.write(b"hello")
        writer.write_eof()
        got = await reader.read()
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        return got

    assert run_virtual(main)[0] == b"HELLO"


def test_executors_run_in_line() -> None:
    """to_thread gives the result or the error, at the same instant."""

    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(None)  # type: ignore[arg-type]
        seen: list[Any] = [await asyncio.to_thread(sum, [1, 2, 3])]
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, lambda: 1 // 0)
        seen.append(loop.time())
        return seen

    result, loop = run_virtual(main)
    assert result == [6, loop.time()]


@pytest.mark.parametrize(
    ("what", "act"),
    [
        ("TLS", lambda loop: loop.create_connection(asyncio.Protocol, "api.test", 443, ssl=True)),
        ("TLS", lambda loop: loop.create_server(asyncio.Protocol, "api.test", 443, ssl=True)),
        ("socket", lambda loop: loop.create_server(asyncio.Protocol, sock=object())),
        ("signals", lambda loop: loop.add_signal_handler(2, print)),
        ("subprocesses", lambda loop: loop.subprocess_exec(asyncio.SubprocessProtocol, "true")),
        ("raw sockets", lambda loop: loop.sock_recv(None, 1)),
        ("file descriptors", lambda loop: loop.add_reader(0, print)),
    ],
)
def test_what_is_not_simulated_says_so(what: str, act: Callable[[Any], Any]) -> None:
    """Nothing leaves the process in silence."""

    async def main() -> None:
        with pytest.raises(NotImplementedError, match=what):
            await act(asyncio.get_running_loop())

    run_virtual(main)


def test_names_resolve_to_addresses() -> None:
    """getaddrinfo knows who listens, and nobody else."""

    async def main() -> tuple[Any, Any]:
        loop = asyncio.get_running_loop()
        address = net().add_host("api.test")
        with pytest.raises(socket.gaierror):
            await loop.getaddrinfo("nobody.test", 80)
        return await loop.getaddrinfo("api.test", 80), await loop.getaddrinfo(None, None), address  # type: ignore[return-value]

    (named, nameless, address), _ = run_virtual(main)
    assert named[0][4] == (address, 80)
    assert nameless[0][4] == ("127.0.0.1", 0)


DIGEST = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("story", sys.argv[1])
story = importlib.util.module_from_spec(spec)
spec.loader.exec_module(story)
from ratelimit_client.testing import run_virtual
for seed in (0, 7):
    print(run_virtual(story.two_hundred_calls, seed=seed)[1].net.digest)
"""


def test_one_seed_is_one_run_in_every_process() -> None:
    """The digest of all that was sent is the same whatever PYTHONHASHSEED; another seed is another run."""

    def run(hash_seed: str) -> list[str]:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", DIGEST, __file__], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    first, second, third = run("0"), run("1"), run("4711")
    assert first == second == third
    assert first[0] != first[1]


def story_of(main: Callable[[], Coroutine[Any, Any, Any]], seed: int) -> str:
    return run_virtual(main, seed=seed)[1].net.digest


def test_the_digest_sees_a_difference_of_a_byte_and_of_an_instant() -> None:
    """What was sent and when; nothing else."""

    def main(text: str, pause_s: float) -> Callable[[], Coroutine[Any, Any, None]]:
        async def run() -> None:
            runner = await serve(two_seconds)
            async with session() as client:
                await asyncio.sleep(pause_s)
                async with client.post("http://api.test/", data=text) as response:
                    await response.read()
            await runner.cleanup()

        return run

    assert story_of(main("a", 1), 0) == story_of(main("a", 1), 0)
    assert len({story_of(main("a", 1), 0), story_of(main("b", 1), 0), story_of(main("a", 2), 0)}) == 3
