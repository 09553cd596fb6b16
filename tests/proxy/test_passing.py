"""What a caller gets through the proxy is what it gets without."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from ratelimit_client import Backoff, Limiter, RetryPolicy
from ratelimit_client.testing import Faults, ModelServer, Route, Wire, serve_model
from tests.adapters.aiohttp.rawserver import END, Move, RawServer, answer, chunked
from tests.adapters.aiohttp.running import in_virtual_time, virtual_loop
from tests.proxy.talking import BEARER, CHAT, KEY, STREAMED, TARGET, Line, Said, is_even, proxied, until

RESPONSES = {"model": "gpt-4o", "input": "Say hello.", "stream": True}


def undated(said: Said) -> Any:
    """Without what differs from answer to answer of the model server."""
    status, headers, body = said.of_server
    moving = ("date", "x-request-id", "x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens")
    return status, [pair for pair in headers if pair[0].lower() not in moving], body


@pytest.mark.parametrize(
    ("target", "body"),
    [
        (TARGET, CHAT),
        (TARGET, STREAMED),
        (TARGET, {**CHAT, "stream": True}),
        ("/v1/completions", {"model": "gpt-4o", "prompt": "Say", "stream": True}),
        ("/v1/responses", RESPONSES),
        ("/v1/embeddings", {"model": "gpt-4o", "input": "x"}),
        ("/v1/models", None),
        ("/v1/no/such/endpoint", {"model": "gpt-4o"}),
        (TARGET, {"model": "no-such-model", "messages": []}),
        (TARGET, b"{"),
    ],
    ids=["chat", "stream", "bare-stream", "completions", "responses", "embeddings", "models", "404", "model", "400"],
)
def test_an_answer_through_the_proxy_is_the_answer(target: str, body: Any):
    """
    Status, every header in its order, every byte of the body, of two servers that differ in nothing.
    """

    async def story() -> tuple[Said, Said]:
        direct, behind = (ModelServer(models=["gpt-4o"], api_keys=[KEY]) for _ in range(2))
        async with serve_model(direct) as one, serve_model(behind) as other, proxied(str(other)) as proxy:
            async with Line(str(one)) as line:
                first = await line.ask(target, body, headers=[BEARER])
            async with Line(proxy.url) as line:
                return first, await line.ask(target, body, headers=[BEARER])

    direct, through = asyncio.run(story())

    assert undated(through) == undated(direct)
    assert len(through.body) > 10
    assert (through.header("x-ratelimit-client-attempts"), direct.header("x-ratelimit-client-attempts")) == ("1", None)
    assert through.header("x-ratelimit-client-queue-ms") == "0"


PLAIN = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nSet-Cookie: a=1\r\nx-b: 2\r\nSet-Cookie: b=2\r\n"
LONG = b'{"text":"%s","usage":{"total_tokens":7}}' % (b"0123456789" * 50_000)
PACKED = gzip.compress(LONG, mtime=0)
ANSWERS = {
    "no type, no date, several cookies": PLAIN + b"Content-Length: 2\r\n\r\nhi",
    "bytes that are no text": PLAIN + b"X-C: \xe9t\xe9 \xff\r\nContent-Length: 3\r\n\r\n\x00\xff\x80",
    "nothing": PLAIN + b"Content-Length: 0\r\n\r\n",
    "204": b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
    "304": b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n',
    "long": answer(LONG),
    "long and packed": answer(PACKED, Content_Encoding="gzip"),
    "an unknown packing": answer(b"\x1b\x00\xf8", Content_Encoding="br"),
    "chunks": chunked(b"a" * 10, b"b" * 100_000, b"c") + END,
    "to the end of the connection": PLAIN + b"\r\nto the end",
    "events of nobody's": chunked(b"data: x\r", b"\ndata: y\n\n", b": z\n\n", kind="text/event-stream") + END,
    "307": b"HTTP/1.1 307 Temporary Redirect\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n",
    "an error": answer(b'{"error":{"message":"no"}}', status="400 Bad Request", x_request_id="req_1"),
    "an error that is packed": answer(gzip.compress(b'{"error":{}}'), status="404 Not Found", Content_Encoding="gzip"),
    "an error that is long": answer(LONG, status="400 Bad Request"),
    "an error in chunks": chunked(b"<html>", b"x" * 200_000).replace(b"200 OK", b"418 I'm a Teapot") + END,
}


def test_no_byte_is_added_or_lost():
    """
    Whatever its status, framing, packing or length; the same parser reads it with the proxy and without.
    """

    async def story() -> dict[str, tuple[Said, Said]]:
        found = {}
        for name, sent in ANSWERS.items():
            ends = name == "to the end of the connection"
            async with RawServer([sent, Move.CLOSE] if ends else [sent]) as server, proxied(server.url) as proxy:
                async with Line(server.url) as line:
                    direct = await line.ask("/v1/x", {}, headers=[BEARER])
                async with Line(proxy.url) as line:
                    found[name] = direct, await line.ask("/v1/x", {}, headers=[BEARER])
                assert is_even(proxy)
        return found

    found = asyncio.run(story())

    assert {name: through.of_server for name, (_, through) in found.items()} == {
        name: direct.of_server for name, (direct, _) in found.items()
    }
    assert all(through.whole for _, through in found.values())


@pytest.mark.parametrize("size", [200_000, 300_000, 3_000_000])
def test_a_large_request_goes_on_whole(size: int):
    """
    Byte for byte, in whatever pieces it comes; and so does a large answer.
    """
    body = bytes(range(256)) * (size // 256)

    async def story() -> tuple[bytes, dict[str, str], Said]:
        async with RawServer([answer(LONG)]) as server, proxied(server.url) as proxy, Line(proxy.url) as line:
            said = await line.ask("/v1/x", body, headers=[BEARER, ("Content-Type", "audio/wav"), ("User-Agent", "x")])
            return server.requests[0].body, server.requests[0].headers, said

    sent, headers, said = asyncio.run(story())

    assert sent == body
    assert (headers["content-type"], headers["user-agent"]) == ("audio/wav", "x")
    assert (said.status, said.body) == (200, LONG)


def test_a_head_alone_has_the_length_of_what_it_stands_for():
    """
    HEAD is answered without a body, and the connection is good for the next request.
    """

    async def story() -> list[Said]:
        async with (
            RawServer([b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"], [answer()]) as server,
            proxied(server.url) as proxy,
            Line(proxy.url) as line,
        ):
            return [await line.ask("/v1/x", method="HEAD"), await line.ask("/v1/x")]

    head, next_ = asyncio.run(story())

    assert (head.status, head.header("content-length")) == (200, "1234")
    assert next_.body == b'{"ok":true}'


def test_a_body_goes_on_piece_by_piece():
    """
    The head before the body is there, each event when it comes; the place is held to the end and free after it.
    """

    async def story() -> list[bytes]:
        first, last = b"data: 1\n\n", b"data: [DONE]\n\n"
        head = chunked(first, kind="text/event-stream")
        async with RawServer([head, Move.SILENCE]) as server, proxied(server.url) as proxy, Line(proxy.url) as line:
            line.say(TARGET, STREAMED, headers=[BEARER])
            status, _ = await line.hear_head()
            heard = [await line.hear_chunk()]
            assert (status, proxy.forwarder.limiter.in_flight) == (200, 1)
            return [*heard, last]

    assert asyncio.run(story())[0] == b"data: 1\n\n"


def test_an_old_client_that_wants_to_stay_is_told_that_it_may():
    """
    HTTP/1.0 with ``keep-alive`` waits for the end of the connection unless the answer says that there is none.
    """

    async def story() -> list[str | None]:
        async with RawServer([answer()]) as server, proxied(server.url) as proxy, Line(proxy.url) as line:
            found = []
            for target, more in (
                ("/v1/x", "Connection: keep-alive\r\n"),
                ("/healthz", "Connection: keep-alive\r\n"),
                ("/v1/x", ""),
            ):
                line.writer.write(f"GET {target} HTTP/1.0\r\nHost: {line.place}\r\n{more}\r\n".encode())
                found.append((await line.hear()).header("connection"))
            return found

    assert asyncio.run(story()) == ["keep-alive", "keep-alive", "close"]


def test_an_old_client_gets_no_chunks():
    """
    HTTP/1.0: the answer ends with the connection.
    """

    async def story() -> bytes:
        async with (
            RawServer([chunked(b"one", b"two") + END]) as server,
            proxied(server.url) as proxy,
            Line(proxy.url) as line,
        ):
            line.writer.write(f"GET /v1/x HTTP/1.0\r\nHost: {line.place}\r\n\r\n".encode())
            return await line.left()

    head, _, body = asyncio.run(story()).partition(b"\r\n\r\n")

    assert body == b"onetwo"
    assert b"Connection: close" in head
    assert b"Transfer-Encoding" not in head


# ---- ends that are none -------------------------------------------------------------------


CUT = {
    "in a chunk": [chunked(b"data: 1\n\n", kind="text/event-stream") + b"20\r\ndata", Move.CLOSE],
    "between chunks": [chunked(b"data: 1\n\n", kind="text/event-stream"), Move.CLOSE],
    "by a reset": [chunked(b"data: 1\n\n", kind="text/event-stream"), 0.05, Move.RESET],
    "in a length": [answer(b"data: 1\n\n", length=100), Move.CLOSE],
    "by what is no chunk": [chunked(b"data: 1\n\n", kind="text/event-stream"), 0.05, b"zz\r\n"],
    "without an end": [b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n", 0.05, Move.RESET],
}


@pytest.mark.parametrize("way", CUT)
def test_an_answer_that_breaks_is_not_ended_as_if_it_were_whole(way: str):
    """
    What came arrives, the caller's library sees that something is missing, and the place is free.
    """

    async def story() -> tuple[Said, dict[Any, int]]:
        async with RawServer(CUT[way]) as server, proxied(server.url) as proxy:
            async with Line(proxy.url) as line:
                said = await line.ask(TARGET, STREAMED, headers=[BEARER])
            await until(lambda: is_even(proxy))
            return said, dict(proxy.forwarder.tally.outcomes)

    said, outcomes = asyncio.run(story())

    assert (said.status, said.whole) == (200, False)
    assert said.body in (b"data: 1\n\n", b"data: 1\n\ndata")
    assert outcomes == {("gpt-4o", "error"): 1}


@pytest.mark.parametrize("streaming", [0.0, 0.1], ids=["at once", "bit by bit"])
@pytest.mark.parametrize("fault", ["unfinished", "stream_error"])
def test_a_stream_that_does_not_end_well_is_passed_on_and_counts_as_an_error(fault: str, streaming: float):
    """
    As HTTP it is whole, so the bytes are the caller's to judge; the limiter hears that the server did not finish.
    """

    async def story() -> tuple[Said, dict[Any, int]]:
        faults = Faults(**{fault: 1.0})
        async with serve_model(faults=faults, streaming=streaming) as url, proxied(str(url)) as proxy:
            async with Line(proxy.url) as line:
                said = await line.ask(TARGET, STREAMED, headers=[BEARER])
            await until(lambda: proxy.forwarder.tally.outcomes)
            return said, dict(proxy.forwarder.tally.outcomes)

    said, outcomes = asyncio.run(story())

    assert said.status == 200
    assert b"[DONE]" not in said.body
    assert outcomes == {("gpt-4o", "error"): 1}


@pytest.mark.parametrize("leaves", ["before the head", "in the body", "with a reset"])
def test_a_caller_that_leaves_frees_its_place(leaves: str):
    """
    At once, whether it closes its connection or resets it.
    """

    async def story() -> dict[Any, int]:
        head = chunked(b"data: 1\n\n", kind="text/event-stream")
        steps = [Move.SILENCE] if leaves == "before the head" else [head, Move.SILENCE]
        async with RawServer(steps) as server, proxied(server.url) as proxy:
            async with Line(proxy.url) as line:
                line.say(TARGET, STREAMED, headers=[BEARER])
                if leaves == "before the head":
                    await until(lambda: server.requests)
                else:
                    await line.hear_head()
                assert proxy.forwarder.limiter.in_flight == 1
                if leaves != "with a reset":
                    line.writer.close()
                    await until(lambda: is_even(proxy))
            await until(lambda: is_even(proxy))
            return dict(proxy.forwarder.tally.outcomes)

    assert asyncio.run(story()) == {("gpt-4o", "cancelled"): 1}


def test_a_caller_that_leaves_the_queue_leaves_no_trace():
    """
    The one call that fits is under way; who waits and goes is not sent, and the next one gets its turn.
    """

    async def story() -> tuple[int, int]:
        limiter, gone = Limiter(max_in_flight=1), asyncio.Event()
        async with RawServer([gone, answer()]) as server, proxied(server.url, limiter=limiter) as proxy:
            async with Line(proxy.url) as first, Line(proxy.url) as last:
                first.say("/v1/x", {}, headers=[BEARER])
                await until(lambda: server.requests)
                async with Line(proxy.url) as second:
                    second.say("/v1/x", {}, headers=[BEARER])
                    await until(lambda: limiter.queued == 1)
                await until(lambda: limiter.queued == 0)
                last.say("/v1/x", {}, headers=[BEARER])
                gone.set()
                statuses = [(await line.hear()).status for line in (first, last)]
            return statuses.count(200), len(server.requests)

    assert asyncio.run(story()) == (2, 2)


def test_hundreds_of_streams_that_are_dropped_in_every_way_leave_nothing():
    """
    Read to the end, left after the head, left unread, asked for and left at once: no place and no connection is kept.
    """

    async def story() -> tuple[int, int]:
        async with serve_model("1000000 requests/min", streaming=0.02) as url, proxied(str(url)) as proxy:

            async def one(number: int) -> None:
                async with Line(proxy.url) as line:
                    line.say(TARGET, STREAMED, headers=[BEARER])
                    if number % 4 == 0:
                        assert (await line.hear()).body.endswith(b"data: [DONE]\n\n")
                    elif number % 4 == 1:
                        await line.hear_head()
                    elif number % 4 == 2:
                        await line.hear_head()
                        await line.hear_chunk()

            await asyncio.gather(*(one(number) for number in range(200)))
            await until(lambda: is_even(proxy))
            assert proxy._runner is not None
            assert proxy._runner.server is not None
            server = proxy._runner.server
            await until(lambda: not server.connections)
            return proxy.forwarder.limiter.in_flight, len(server.connections)

    assert asyncio.run(story()) == (0, 0)


# ---- tried again ----------------------------------------------------------------------------


def test_what_is_refused_is_tried_again_and_the_caller_sees_the_success():
    """
    Two failures and a lost connection before it; the same idempotency key on each, and the body byte for byte.
    """
    failure = answer(b"{}", status="503 Service Unavailable")

    async def story() -> tuple[Said, list[Any]]:
        async with RawServer([failure], [Move.CLOSE], [failure], [answer()]) as server, proxied(server.url) as proxy:
            async with Line(proxy.url) as line:
                said = await line.ask("/v1/x", b'{ "model":"a" }', headers=[BEARER])
            return said, server.requests

    said, requests = asyncio.run(story())

    assert (said.status, said.header("x-ratelimit-client-attempts")) == (200, "4")
    assert len({request.headers["idempotency-key"] for request in requests}) == 1
    assert {request.body for request in requests} == {b'{ "model":"a" }'}


@pytest.mark.parametrize("status", [408, 500, 503])
def test_an_error_that_stays_is_the_servers_last_answer(status: int):
    """
    Unchanged, once the policy has given up; and a library that tries again by itself is told not to.
    """
    bodies = [b'{"error":{"message":"%d"}}' % number for number in range(3)]
    steps = [[answer(body, status=f"{status} Sorry", x_request_id=f"req_{body[-4]}")] for body in bodies]
    policy = RetryPolicy(max_attempts=3, backoff=Backoff(base_s=0.01, cap_s=0.01), budget=1.0)

    async def story() -> Said:
        async with (
            RawServer(*steps) as server,
            proxied(server.url, limiter=Limiter(retry=policy)) as proxy,
            Line(proxy.url) as line,
        ):
            return await line.ask("/v1/x", {}, headers=[BEARER])

    said = asyncio.run(story())

    assert (said.status, said.body) == (status, bodies[-1])
    assert said.header("x-ratelimit-client-attempts") == "3"
    assert said.header("x-should-retry") == "false"
    assert said.header("x-ratelimit-client-error") is None


def test_what_no_wait_can_help_is_not_tried_again():
    """
    A key that is not accepted, an account without money, a bad request: one attempt, and no word on trying again.
    """
    no_money = answer(b'{"error":{"code":"insufficient_quota"}}', status="429 Too Many Requests")
    answers = [answer(b"{}", status=f"{status} X") for status in (400, 401, 403, 404, 422)]

    async def story() -> list[Said]:
        found = []
        for sent in (*answers, no_money):
            async with RawServer([sent]) as server, proxied(server.url) as proxy, Line(proxy.url) as line:
                found.append(await line.ask("/v1/x", {}, headers=[BEARER]))
                assert len(server.requests) == 1
        return found

    for said in asyncio.run(story()):
        assert said.header("x-ratelimit-client-attempts") == "1"
        assert said.header("x-should-retry") is None


def test_usage_is_settled_and_counted():
    """
    Of a JSON answer, a packed one and a stream; what it is not told, the proxy does not make up.
    """
    packed = gzip.compress(json.dumps({"choices": [], "usage": {"total_tokens": 7, "prompt_tokens": 3}}).encode())

    async def story() -> list[int]:
        found = []
        for sent in (answer(b'{"usage":{"prompt_tokens":3}}'), answer(packed, Content_Encoding="gzip"), answer(b"{}")):
            async with RawServer([sent]) as server, proxied(server.url) as proxy, Line(proxy.url) as line:
                await line.ask(TARGET, CHAT, headers=[BEARER])
                found.append(proxy.forwarder.tally.tokens["gpt-4o", "input"])
        async with serve_model() as url, proxied(str(url)) as proxy, Line(proxy.url) as line:
            said = await line.ask(TARGET, STREAMED, headers=[BEARER])
            chunks = [json.loads(event[6:]) for event in said.body.split(b"\n\n") if event.startswith(b"data: {")]
            await until(lambda: proxy.forwarder.tally.outcomes)
            found.append(proxy.forwarder.tally.tokens["gpt-4o", "input"])
            found.append(next(chunk["usage"]["prompt_tokens"] for chunk in chunks if chunk.get("usage")))
        return found

    plain, packed_, none, streamed, told = asyncio.run(story())

    assert (plain, packed_, none) == (3, 3, 0)
    assert streamed == told > 0


# ---- slow callers ------------------------------------------------------------------------------


def test_who_takes_nothing_is_left():
    """
    A caller that stops reading slows the server down, and after five minutes its place is somebody else's.
    """

    async def story() -> tuple[float, bool]:
        loop = virtual_loop()
        piece = b"%x\r\n%b\r\n" % (50_000, b"x" * 50_000)
        steps = [chunked(kind="text/event-stream"), *[step for _ in range(50) for step in (piece, 0.01)], Move.SILENCE]
        async with RawServer(steps) as server, proxied(server.url, port=8080) as proxy:
            loop.net.route = lambda host, port, number: (
                Route(down=Wire(stall_after=100_000)) if port == 8080 else Route()
            )
            transport, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", 8080)
            began = loop.time()
            transport.write(b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
            await asyncio.sleep(10.0)
            assert proxy.forwarder.limiter.in_flight == 1
            while not is_even(proxy):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(1.0)
            took_s = loop.time() - began
            transport.abort()
            return took_s, proxy.forwarder.tally.outcomes == {("default", "cancelled"): 1}

    took_s, counted = in_virtual_time(story)

    assert 300 <= took_s < 305
    assert counted


def test_requests_may_follow_each_other_at_once():
    """
    Two in one piece are answered one after the other, on the connection that they came on.
    """

    async def story() -> list[Said]:
        async with (
            RawServer([answer(b"1")], [answer(b"2")]) as server,
            proxied(server.url) as proxy,
            Line(proxy.url) as line,
        ):
            request = f"GET /v1/x HTTP/1.1\r\nHost: {line.place}\r\n\r\n".encode()
            line.writer.write(request + request)
            return [await line.hear() for _ in range(2)]

    assert [said.body for said in asyncio.run(story())] == [b"1", b"2"]
