"""What the proxy says itself, whose key goes along, how it is, and how it ends."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from ratelimit_client import Backoff, ConfigurationError, Limiter, RetryPolicy, Timeout
from ratelimit_client.proxy import Forwarder, Proxy
from tests import canary
from tests.adapters.aiohttp.rawserver import END, Move, RawServer, answer, chunked
from tests.proxy.talking import BEARER, CHAT, KEY, STREAMED, TARGET, Line, Said, is_even, proxied, until

ONCE = RetryPolicy(max_attempts=1)
TWICE = RetryPolicy(max_attempts=2, backoff=Backoff(base_s=0.01, cap_s=0.01), budget=1.0)
OTHER = ("Authorization", f"Bearer {canary.OTHER_KEY}")


def nobody() -> str:
    """A base URL where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{sock.getsockname()[1]}/v1"


# ---- no answer of the server's ------------------------------------------------------------


def test_a_full_queue_says_when_to_come_again():
    """
    503 and ``Retry-After``; who tries again by itself is told that it may.
    """

    async def story() -> tuple[Said, int]:
        limiter, refused = Limiter(max_in_flight=1, max_queue=1), asyncio.Event()
        async with RawServer([refused, answer()], [answer()]) as server, proxied(server.url, limiter=limiter) as proxy:
            async with Line(proxy.url) as one, Line(proxy.url) as two, Line(proxy.url) as three:
                one.say(TARGET, CHAT)
                await until(lambda: server.requests)
                two.say(TARGET, CHAT)
                await until(lambda: limiter.queued == 1)
                said = await three.ask(TARGET, CHAT)
                refused.set()
                assert [(await line.hear()).status for line in (one, two)] == [200, 200]
            return said, len(server.requests)

    said, sent = asyncio.run(story())

    assert (said.status, sent) == (503, 2)
    assert (said.error["code"], said.error["type"]) == ("queue_full", "server_error")
    assert said.header("x-ratelimit-client-error") == "queue_full"
    assert int(said.header("retry-after") or 0) >= 1
    assert said.header("x-should-retry") == "true"


ENDS: dict[str, Any] = {
    "nobody listens": (None, 502, "upstream_unreachable"),
    "no answer": ([Move.CLOSE], 502, "upstream_failed"),
    "a reset": ([Move.RESET], 502, "upstream_failed"),
    "no HTTP": ([b"SSH-2.0-OpenSSH\r\n\r\n"], 502, "upstream_failed"),
    "101": ([b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"], 502, "upstream_failed"),
    "no body": ([chunked(b"{}") + b"zz\r\n"], 502, "upstream_incomplete"),
    "silence": ([Move.SILENCE], 504, "upstream_timeout"),
}


@pytest.mark.parametrize("way", ENDS)
def test_a_server_without_an_answer_is_told(way: str):
    """
    502 or 504 in the API's form after as many attempts as the policy allows; trying again is the proxy's business.
    """
    steps, status, code = ENDS[way]

    async def story() -> Said:
        options: dict[str, Any] = {"limiter": Limiter(retry=TWICE), "timeout": Timeout(idle_s=0.2)}
        async with (
            RawServer(steps or [answer()]) as server,
            proxied(server.url if steps else nobody(), **options) as proxy,
            Line(proxy.url) as line,
        ):
            said = await line.ask(TARGET, CHAT, headers=[BEARER])
            assert is_even(proxy)
            return said

    said = asyncio.run(story())

    assert (said.status, said.error["code"], said.error["type"]) == (status, code, "server_error")
    assert said.header("x-should-retry") == "false"
    assert said.header("x-ratelimit-client-attempts") == "2"


def test_a_server_that_asks_others_to_wait_too_long_is_believed():
    """
    The call that was told gets the answer; the next one, which was not sent, a 429 with the wait.
    """
    refusal = answer(b'{"error":{"code":"rate_limit_exceeded"}}', status="429 Too Many Requests", retry_after="600")

    async def story() -> tuple[Said, Said, int]:
        async with RawServer([refusal]) as server, proxied(server.url) as proxy, Line(proxy.url) as line:
            said = [await line.ask(TARGET, CHAT, headers=[BEARER]) for _ in range(2)]
            return said[0], said[1], len(server.requests)

    told, believed, sent = asyncio.run(story())

    assert sent == 1
    assert (told.status, told.header("retry-after")) == (429, "600")
    assert told.header("x-ratelimit-client-error") is None
    assert (believed.status, believed.error["code"]) == (429, "rate_limit_exceeded")
    assert 590 <= int(believed.header("retry-after") or 0) <= 601
    assert believed.header("x-ratelimit-client-attempts") == "0"


# ---- whose key ------------------------------------------------------------------------------


def test_a_caller_spends_with_its_own_key():
    """
    It goes on as it came, and each has a budget of its own; without one none goes along.
    """

    async def story() -> tuple[list[str | None], list[str]]:
        async with RawServer([answer()]) as server, proxied(server.url) as proxy, Line(proxy.url) as line:
            for header in (BEARER, OTHER, BEARER, ("X-A", "1"), ("api-key", KEY)):
                await line.ask(TARGET, CHAT, headers=[header])
            keys = [*map(str, proxy.forwarder.limiter.statistics().keys)]
            return [request.headers.get("authorization") for request in server.requests], keys

    sent, keys = asyncio.run(story())

    assert sent == [BEARER[1], OTHER[1], BEARER[1], None, None]
    assert sorted(keys) == ["gpt-4o", "gpt-4o @2", "gpt-4o @3", "gpt-4o @4"]


def test_a_key_in_the_query_is_a_key():
    """
    Each has a budget of its own, and what the server says of one is told to nobody else.
    """
    refusal = answer(
        b'{"error":{"code":"rate_limit_exceeded","message":"slow down, %b"}}' % KEY.encode(),
        status="429 Too Many Requests",
        retry_after="600",
    )

    async def story() -> tuple[list[Said], list[str]]:
        async with RawServer([refusal], [answer()]) as server, proxied(server.url) as proxy, Line(proxy.url) as line:
            said = [await line.ask(f"/v1/x?alt=sse&key={key}", CHAT) for key in (KEY, KEY, canary.OTHER_KEY)]
            return said, [str(key) for key in proxy.forwarder.limiter.statistics().keys]

    said, keys = asyncio.run(story())

    assert [one.status for one in said] == [429, 429, 200]
    assert len(keys) == 2
    canary.clean(said[1].body, "what another call is told")


def test_a_key_that_is_lent_is_the_only_one_that_goes_along():
    """
    Whatever the caller sends to say who it is stays here, its organization included.
    """
    others = [OTHER, ("api-key", "a"), ("X-Api-Key", "b"), ("OpenAI-Organization", "org-c"), ("X-Mine", "d")]

    async def story() -> tuple[dict[str, str], Said, list[str]]:
        async with RawServer([answer()]) as server, proxied(server.url, lends=True) as proxy, Line(proxy.url) as line:
            said = await line.ask(TARGET, CHAT, headers=others)
            return server.requests[0].headers, said, [*map(str, proxy.forwarder.limiter.statistics().keys)]

    headers, said, keys = asyncio.run(story())

    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["x-mine"] == "d"
    assert {"api-key", "x-api-key", "openai-organization"} & set(headers) == set()
    assert (said.status, keys) == (200, ["gpt-4o"])


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_a_server_that_quotes_our_key_does_not_give_it_away(packed: bool):
    """
    In an error's body or headers; what is left of the body is whole, and has the length that its head says.
    """
    body = b'{"error":{"message":"Incorrect API key provided: %b"}}' % KEY.encode()
    sent = answer(
        gzip.compress(body) if packed else body,
        status="401 Unauthorized",
        x_echo=f"Bearer {KEY}",
        **({"Content_Encoding": "gzip"} if packed else {}),
    )

    async def story() -> Said:
        async with RawServer([sent]) as server, proxied(server.url, lends=True) as proxy, Line(proxy.url) as line:
            return await line.ask(TARGET, CHAT)

    said = asyncio.run(story())

    assert (said.status, said.whole, said.header("content-encoding")) == (401, True, None)
    assert "Incorrect API key provided: sk-..." in json.loads(said.body)["error"]["message"]
    canary.clean(said.body + str(said.headers).encode(), "what a caller gets")


@pytest.mark.parametrize(
    ("asked", "sent"),
    [("br, gzip;q=0.5", "gzip"), ("br", "identity"), ("gzip;q=0, br", "identity"), ("*", "identity"), ("GZIP", "gzip")],
)
def test_what_cannot_be_searched_for_our_key_is_not_asked_for(asked: str, sent: str):
    """
    With a key that is lent an answer is plain, or in gzip where the caller takes that.
    """

    async def story() -> str:
        async with RawServer([answer()]) as server, proxied(server.url, lends=True) as proxy, Line(proxy.url) as line:
            await line.ask(TARGET, CHAT, headers=[("Accept-Encoding", asked)])
            return server.requests[0].headers["accept-encoding"]

    assert asyncio.run(story()) == sent


def test_a_caller_is_told_what_the_server_says_of_its_own_key():
    """
    It knows it, and the answer is the server's.
    """
    body = b'{"error":{"message":"Incorrect API key provided: sk-...tail"}}'

    async def story() -> Said:
        sent = answer(body, status="401 Unauthorized", x_echo="Bearer sk-...tail")
        async with RawServer([sent]) as server, proxied(server.url) as proxy, Line(proxy.url) as line:
            return await line.ask(TARGET, CHAT, headers=[BEARER])

    said = asyncio.run(story())

    assert (said.status, said.body, said.header("x-echo")) == (401, body, "Bearer sk-...tail")


def test_a_key_that_was_rotated_is_asked_for_again():
    """
    One that a callable gives, and the server refuses, is renewed; the caller sees the success.
    """
    keys = [KEY, canary.OTHER_KEY]

    async def story() -> tuple[Said, list[str]]:
        async with (
            RawServer([answer(status="401 X")], [answer()]) as server,
            proxied(server.url, api_key=lambda: keys.pop(0)) as proxy,
            Line(proxy.url) as line,
        ):
            said = await line.ask(TARGET, CHAT)
            return said, [request.headers["authorization"] for request in server.requests]

    said, sent = asyncio.run(story())

    assert said.status == 200
    assert sent == [BEARER[1], OTHER[1]]


def test_no_object_of_a_proxy_shows_a_key():
    """
    Neither its own nor a caller's, while a call is under way and after it failed.
    """

    async def story() -> str:
        async with RawServer([Move.SILENCE]) as server, proxied(server.url, lends=True) as proxy:
            async with Line(proxy.url) as line:
                line.say(TARGET, CHAT, headers=[OTHER])
                await until(lambda: server.requests)
                shown = [repr(one) for one in (proxy, proxy.forwarder, vars(proxy), vars(proxy.forwarder))]
                locals_ = [f"{name}={value!r}" for task in asyncio.all_tasks() for name, value in locals_of(task)]
            return "\n".join([*shown, *locals_])

    shown = asyncio.run(story())

    assert "handler=" in shown
    assert "attempt=" in shown
    canary.clean(shown, "what a proxy shows")


def locals_of(task: asyncio.Task[Any]) -> Iterator[tuple[str, Any]]:
    """Those of each frame of the library that *task* waits in."""
    waits: Any = task.get_coro()
    while (frame := getattr(waits, "cr_frame", None)) is not None:
        if "ratelimit_client" in frame.f_code.co_filename:
            yield from frame.f_locals.items()
        waits = waits.cr_await


# ---- health and the end -----------------------------------------------------------------------


def test_it_tells_how_it_is():
    """
    In numbers, by model, without asking the server.
    """

    async def story() -> tuple[Said, Said, Any]:
        async with RawServer([answer()]) as server, proxied(server.url) as proxy, Line(proxy.url) as line:
            await line.ask(TARGET, CHAT, headers=[BEARER])
            await until(lambda: proxy.forwarder.tally.outcomes)
            said = await line.ask("/healthz"), await line.ask("/readyz", method="HEAD"), server.url
            assert len(server.requests) == 1
            return said

    said, head, url = asyncio.run(story())

    facts = json.loads(said.body)
    assert (said.status, head.status, said.header("cache-control")) == (200, 200, "no-store")
    assert {name: facts[name] for name in ("status", "upstream", "queued", "in_flight", "calls")} == {
        "status": "ok",
        "upstream": url,
        "queued": 0,
        "in_flight": 0,
        "calls": {"success": 1},
    }
    assert facts["keys"]["gpt-4o @2"]["granted"] == 1
    canary.clean(said.body, "the health of a proxy")


def test_it_drains():
    """
    Those inside end as they would have, a stream among them; who comes now is told to come to the next one.
    """
    first = chunked(b"data: 1\n\n", kind="text/event-stream")

    async def story() -> tuple[list[Said], Said, Said, bool]:
        limiter = Limiter(max_in_flight=2)
        steps = [[first, 0.3, b"e\r\ndata: [DONE]\n\n\r\n" + END], [0.3, answer()]]
        async with (
            RawServer(*steps) as server,
            proxied(server.url, limiter=limiter) as proxy,
            Line(proxy.url) as stream,
            Line(proxy.url) as whole,
            Line(proxy.url) as queued,
            Line(proxy.url) as late,
            Line(proxy.url) as health,
        ):
            stream.say(TARGET, STREAMED)
            await until(lambda: len(server.requests) == 1)
            whole.say(TARGET, CHAT)
            await until(lambda: len(server.requests) == 2)
            queued.say(TARGET, CHAT)
            await until(lambda: limiter.queued == 1)
            draining = asyncio.create_task(proxy.drain())
            await asyncio.sleep(0)
            refused, sick = await late.ask(TARGET, CHAT), await health.ask("/healthz")
            inside = [await line.hear() for line in (stream, whole, queued)]
            return inside, refused, sick, await draining

    inside, refused, sick, ended = asyncio.run(story())

    assert [(said.status, said.whole) for said in inside] == [(200, True)] * 3
    assert inside[0].body == b"data: 1\n\ndata: [DONE]\n\n"
    assert (refused.status, refused.error["code"]) == (503, "draining")
    assert (refused.header("connection"), refused.header("x-should-retry")) == ("close", "true")
    assert int(refused.header("retry-after") or 0) > 0
    assert (sick.status, json.loads(sick.body)["status"]) == (503, "draining")
    assert ended


def test_it_is_closed():
    """
    What is queued is told so, what is under way is broken off, nobody is let in, and all is free.
    """

    async def story() -> tuple[Said, Said, bool]:
        limiter = Limiter(max_in_flight=1)
        async with RawServer([chunked(b"data: 1\n\n", kind="text/event-stream"), Move.SILENCE]) as server:
            proxy = Proxy(Forwarder(server.url, limiter=limiter), port=0)
            url = await proxy.open()
            async with Line(url) as stream, Line(url) as queued:
                stream.say(TARGET, STREAMED)
                await until(lambda: server.requests)
                await stream.hear_head()
                queued.say(TARGET, CHAT)
                await until(lambda: limiter.queued == 1)
                assert not await proxy.drain(0.01)
                await proxy.close()
                await proxy.close()
                told = await queued.hear()
                rest = await stream.left()
                assert not rest.endswith(END)
            with pytest.raises(OSError, match=r"."):
                await Line(url).__aenter__()
            return told, told, is_even(proxy)

    told, _, even = asyncio.run(story())

    assert (told.status, told.error["code"]) == (503, "draining")
    assert even


def test_it_forwards_to_itself_never():
    """
    A program's base URL in the place of the API's is found out before the first call.
    """

    async def story() -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        for upstream, host in (("localhost", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "0.0.0.0")):
            with pytest.raises(ConfigurationError, match="this proxy itself"):
                await Proxy(Forwarder(f"http://{upstream}:{port}/v1", limiter=Limiter()), host=host, port=port).open()

    asyncio.run(story())


def test_a_port_that_is_taken_is_an_error():
    """
    And nothing is left open.
    """

    async def story() -> None:
        async with RawServer([answer()]) as server:
            port = int(server.url.rpartition(":")[2])
            with pytest.raises(OSError, match=r"in use"):
                await Proxy(Forwarder(nobody(), limiter=Limiter()), port=port).open()

    asyncio.run(story())


def test_a_connection_too_many_is_told_so():
    """
    503 before it has said a word; when one of the others has left there is room again.
    """

    async def story() -> tuple[Said, Said]:
        async with RawServer([answer()]) as server, proxied(server.url, most_connections=2) as proxy:
            async with Line(proxy.url) as first:
                await first.ask("/healthz")
                async with Line(proxy.url) as second:
                    await second.ask("/healthz")
                    async with Line(proxy.url) as third:
                        refused = await third.hear()
                        assert await third.left() == b""
            await until(lambda: not proxy._runner.server.connections)
            async with Line(proxy.url) as fourth:
                return refused, await fourth.ask(TARGET, CHAT)

    refused, answered = asyncio.run(story())

    assert (refused.status, refused.error["code"], answered.status) == (503, "too_many_connections", 200)
    assert refused.header("x-ratelimit-client-error") == "too_many_connections"
    assert refused.header("retry-after") == "1"
