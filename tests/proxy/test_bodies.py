"""How much of requests a proxy holds."""

from __future__ import annotations

import asyncio
import gc
import json

import pytest

from ratelimit_client import Backoff, Limiter, RetryPolicy
from ratelimit_client.adapters.aiohttp.exchange import Call
from ratelimit_client.proxy.asking import MOST_VALUES
from tests.adapters.aiohttp.rawserver import END, Move, RawServer, Step, answer, chunked
from tests.proxy.talking import CHAT, TARGET, Line, Said, proxied, until

CHUNKED = "POST /v1/x HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n"
SMALL = {"most_body": 100_000, "most_held": 150_000}


@pytest.mark.parametrize("way", ["by its length", "in chunks"])
def test_requests_have_a_most_together(way: str):
    """
    One waits in the queue with its body, a second of that size is told to come again, and can once the first has ended.
    """

    async def story() -> tuple[Said, int, list[int]]:
        limiter, looked = Limiter(max_in_flight=1), asyncio.Event()
        async with (
            RawServer([looked, answer()], [answer()]) as server,
            proxied(server.url, limiter=limiter, **SMALL) as proxy,
        ):
            async with Line(proxy.url) as first, Line(proxy.url) as second, Line(proxy.url) as third:
                first.say("/v1/x", b"a" * 80_000)
                await until(lambda: server.requests)
                if way == "by its length":
                    second.say("/v1/x", b"a" * 80_000)
                else:
                    head = CHUNKED.format(second.place).encode()
                    second.writer.write(head + b"%x\r\n%b\r\n0\r\n\r\n" % (80_000, b"a" * 80_000))
                refused = await second.hear()
                held = json.loads((await third.ask("/healthz")).body)["held_bytes"]
                looked.set()
                later = [(await first.hear()).status, (await third.ask("/v1/x", b"a" * 80_000)).status]
            return refused, held, later

    refused, held, later = asyncio.run(story())

    assert (refused.status, refused.error["code"], refused.error["type"]) == (503, "memory_full", "server_error")
    assert int(refused.header("retry-after") or 0) >= 1
    assert refused.header("x-should-retry") == "true"
    assert held == 80_000
    assert later == [200, 200]


def test_who_leaves_in_the_middle_of_a_request_holds_nothing():
    """
    What came of it is free at once, and so is what was refused.
    """

    async def story() -> list[int]:
        async with RawServer([answer()]) as server, proxied(server.url, **SMALL) as proxy:
            held = []
            async with Line(proxy.url) as asking:
                for size in (90_000, 110_000):
                    async with Line(proxy.url) as line:
                        head = f"POST /v1/x HTTP/1.1\r\nHost: {line.place}\r\nContent-Length: {size}\r\n\r\n"
                        line.writer.write(head.encode() + b"a" * 80_000)
                        if size > SMALL["most_body"]:
                            assert (await line.hear()).status == 413
                        else:
                            await until(lambda: proxy._bodies.held == 80_000)
                            held.append(json.loads((await asking.ask("/healthz")).body)["held_bytes"])
                    await until(lambda: proxy._bodies.held == 0)
            return held

    assert asyncio.run(story()) == [80_000]


def test_what_is_announced_is_not_held():
    """
    A request that has said how long it is and not begun keeps nobody out.
    """

    async def story() -> int:
        async with (
            RawServer([answer()]) as server,
            proxied(server.url, **SMALL) as proxy,
            Line(proxy.url) as one,
            Line(proxy.url) as two,
            Line(proxy.url) as three,
        ):
            for line in (one, two):
                head = f"POST /v1/x HTTP/1.1\r\nHost: {line.place}\r\nContent-Length: 100000\r\n"
                line.writer.write((head + "Expect: 100-continue\r\n\r\n").encode())
                assert await line.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            return (await three.ask("/v1/x", b"a" * 100_000)).status

    assert asyncio.run(story()) == 200


def test_a_body_of_nothing_but_brackets_is_not_taken_apart():
    """
    Millions of values would hold everybody up and fill the memory: it goes on as it is, under the key of all others.
    """
    crowded = b'{"model":"gpt-4o","x":[' + b"[]," * MOST_VALUES + b"1]}"
    long = json.dumps({**CHAT, "x": "a,[{" * 200_000}).encode()

    async def story() -> tuple[list[int], set[str]]:
        async with RawServer([answer()]) as server, proxied(server.url) as proxy, Line(proxy.url) as line:
            for body in (crowded, long):
                assert (await line.ask(TARGET, body)).status == 200
            sizes = [len(request.body) for request in server.requests]
            return sizes, {str(key) for key in proxy.forwarder.limiter.statistics().keys}

    assert asyncio.run(story()) == ([len(crowded), len(long)], {"default", "gpt-4o"})


ENDS: dict[str, list[Step]] = {
    "an answer": [answer()],
    "a stream": [chunked(b"data: 1\n\n", kind="text/event-stream"), END],
    "an error": [answer(status="400 X")],
    "an error that stays": [answer(status="503 X")],
    "a redirect": [answer(status="302 X", location="/v1/y")],
    "no answer": [Move.CLOSE],
    "half an answer": [chunked(b"{"), Move.CLOSE],
    "silence": [Move.SILENCE],
}


@pytest.mark.parametrize("way", ENDS)
def test_a_call_that_is_over_is_not_kept_by_what_it_ended_in(way: str):
    """
    An error that was told holds nothing of the request: its memory is free before anybody looks for circles.
    """

    async def story() -> int:
        policy = RetryPolicy(max_attempts=2, backoff=Backoff(base_s=0.01, cap_s=0.01), budget=1.0)
        async with (
            RawServer(ENDS[way]) as server,
            proxied(server.url, limiter=Limiter(retry=policy)) as proxy,
            Line(proxy.url) as line,
        ):
            await line.ask("/v1/x", b"a" * 1000, headers=[("x-ratelimit-client-deadline", "0.3")] * (way == "silence"))
            await until(lambda: proxy._bodies.held == 0)
            await asyncio.sleep(0)
            return sum(isinstance(one, Call) for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(one, Call) for one in gc.get_objects())
        assert asyncio.run(story()) == before
    finally:
        gc.enable()
