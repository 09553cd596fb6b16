"""Requests that want more than a call to the API."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ratelimit_client.adapters.aiohttp.forwarder import MOST_BUDGETS
from tests import canary
from tests.adapters.aiohttp.rawserver import Move, RawServer, answer
from tests.proxy.talking import BEARER, KEY, TARGET, Line, Said, is_even, proxied, until

TARGETS = [
    "http://evil.example/v1/models",
    "https://127.0.0.1/v1/models",
    "//evil.example/v1/models",
    "/v1//models",
    "/v1/../admin",
    "/v1/./models",
    "/v1/x/..",
    "/..",
    "/v1/%2e%2e/admin",
    "/v1/%2E./admin",
    "/v1/..%2fadmin",
    "/v1%5cadmin",
    "/v1\\admin",
    "/\\evil.example/x",
    "/v1/%252e%252e/admin",
    "/v1/%00",
    "/v1/%0d%0aHost:%20evil.example",
    "/v1/%",
    "/v1/%zz",
    "/v1/x#y",
    "/v1/x;/../y",
    "/v1/@evil.example/../x",
    "*",
    "evil.example:443",
    "/v1/models?a=b#c",
    "/v1/models?a=\\",
]


@pytest.mark.parametrize("target", TARGETS)
def test_no_path_leads_elsewhere(target: str):
    """
    400 in the API's form, and nothing is sent to anybody.
    """

    async def story() -> tuple[Said, list[Any]]:
        async with (
            RawServer([answer()]) as server,
            proxied(server.url + "/v1", lends=True) as proxy,
            Line(proxy.url) as line,
        ):
            return await line.ask(target, method="GET"), server.requests

    said, requests = asyncio.run(story())

    assert (said.status, requests) == (400, [])
    assert said.error["type"] == "invalid_request_error"


PATHS = {
    "/v1/models": "/v1/models",
    "/models": "/v1/models",
    "/v1/models?after=a%20b&x=/..&y=%2e%2e": "/v1/models?after=a%20b&x=/..&y=%2e%2e",
    "/v1/models/gpt-4o:x?": "/v1/models/gpt-4o:x",
    "/v1/models/a...b/c..": "/v1/models/a...b/c..",
    "/v1/files/file%3A1": "/v1/files/file%3A1",
    "/v1/x?q=%e9&&=": "/v1/x?q=%e9&&=",
}


def test_a_path_goes_on_as_it_is():
    """
    Below the base URL, character for character, with its query.
    """

    async def story() -> list[str]:
        async with RawServer([answer()]) as server, proxied(server.url + "/v1") as proxy, Line(proxy.url) as line:
            for target in PATHS:
                assert (await line.ask(target)).status == 200
            return [request.line for request in server.requests]

    assert asyncio.run(story()) == [f"GET {path} HTTP/1.1" for path in PATHS.values()]


def test_parameters_of_every_request_are_added_to_those_it_has():
    """
    Its own stand as they are, and win.
    """

    async def story() -> list[str]:
        query = {"default_query": {"api-version": "1"}}
        async with RawServer([answer()]) as server, proxied(server.url, **query) as proxy, Line(proxy.url) as line:
            for target in ("/v1/x", "/v1/x?a=%20b", "/v1/x?api-version=2"):
                await line.ask(target)
            return [request.line.split()[1] for request in server.requests]

    assert asyncio.run(story()) == ["/v1/x?api-version=1", "/v1/x?a=%20b&api-version=1", "/v1/x?api-version=2"]


REFUSED = {
    b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n": 405,
    b"TRACE /v1/x HTTP/1.1\r\nHost: localhost\r\n\r\n": 405,
    b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n": 501,
    b"GET /v1/x HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c, WebSocket\r\n\r\n": 501,
    b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\na\r\n0\r\n\r\n": 501,
    b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n": 405,
    b"no request at all\r\n\r\n": 400,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n": 400,
    b"GET /v1/x HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n": 400,
    b"GET /v1/x HTTP/1.1\r\nHost: localhost\r\nX-Key: %b\x00\r\n\r\n" % KEY.encode(): 400,
    b"GET /v1/x HTTP/1.1\r\nHost: localhost\r\nX: %b\r\n\r\n" % (b"a" * 9000): 400,
    b"GET /v1/x HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % (b"X: a\r\n" * 200): 400,
    b"GET /v1/x HTTP/1.1\r\nHost: localhost\r\nX: \xc3\xa9\r\n\r\n": 400,
    b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": 400,
    b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab": 400,
    b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n": 400,
    b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n": 400,
    b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n": 413,
}


@pytest.mark.parametrize("sent", REFUSED, ids=range(len(REFUSED)))
def test_what_is_no_request_for_an_api_is_refused(sent: bytes):
    """
    In the API's form, without a word of what was sent, and nothing goes on.
    """

    async def story() -> tuple[Said, list[Any]]:
        async with (
            RawServer([answer()]) as server,
            proxied(server.url, lends=True) as proxy,
            Line(proxy.url) as line,
        ):
            line.writer.write(sent)
            return await line.hear(), server.requests

    said, requests = asyncio.run(story())

    assert (said.status, requests) == (REFUSED[sent], [])
    assert said.error["message"]
    assert said.header("x-ratelimit-client-error") == said.error["code"]
    assert {"server", "date"} & {name.lower() for name, _ in said.headers} == set()
    canary.clean(said.body, "what the proxy says")


def test_one_request_has_one_credential():
    """
    Whose call it is has to be certain.
    """

    async def story() -> tuple[Said, list[Any]]:
        async with RawServer([answer()]) as server, proxied(server.url) as proxy, Line(proxy.url) as line:
            return await line.ask(TARGET, {}, headers=[BEARER, ("authorization", "Bearer another")]), server.requests

    said, requests = asyncio.run(story())

    assert (said.status, requests) == (400, [])


def test_what_is_about_a_connection_goes_no_further():
    """
    Neither to the server nor back: what HTTP names, what ``Connection`` names, cookies, and what steers the proxy.
    """
    dropped = [
        ("Connection", "X-Secret-Hop, keep-alive"),
        ("X-Secret-Hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authorization", "Basic eDp5"),
        ("Proxy-Connection", "keep-alive"),
        ("TE", "trailers"),
        ("Cookie", "session=1"),
        ("Expect", "100-continue"),
        ("X-RateLimit-Client-Priority", "1"),
    ]
    passed = [
        ("X-Mine", "1"),
        ("Accept", "text/event-stream"),
        ("User-Agent", "mine/1"),
        ("X-Two", "a"),
        ("X-Two", "b"),
    ]
    sent = answer(Connection="X-Hop", X_Hop="1", Keep_Alive="timeout=5", X_Yours="1")

    async def story() -> tuple[dict[str, str], Said]:
        async with RawServer([sent]) as server, proxied(server.url) as proxy, Line(proxy.url) as line:
            said = await line.ask(TARGET, {}, headers=[*dropped, *passed, BEARER])
            return server.requests[0].headers, said

    headers, said = asyncio.run(story())

    names = {"host", "x-mine", "accept", "user-agent", "x-two", "authorization", "content-type", "content-length"}
    assert set(headers) == names | {"accept-encoding", "x-client-request-id", "idempotency-key"}
    assert headers["x-two"] == "a, b"
    assert headers["accept-encoding"] == "identity"
    assert {"x-hop", "keep-alive"} & {name.lower() for name, _ in said.headers} == set()
    assert said.header("x-yours") == "1"


def test_what_a_caller_says_of_its_request_stands():
    """
    Which packing it takes, the name it gave the request, and its idempotency key.
    """
    mine = [("accept-encoding", "br"), ("x-client-request-id", "mine-1"), ("idempotency-key", "mine-2"), BEARER]

    async def story() -> tuple[dict[str, str], Said]:
        sent = answer(x_client_request_id="mine-1")
        async with RawServer([sent]) as server, proxied(server.url) as proxy, Line(proxy.url) as line:
            said = await line.ask(TARGET, {}, headers=mine)
            return server.requests[0].headers, said

    headers, said = asyncio.run(story())

    assert {name: headers[name] for name, _ in mine[:3]} == dict(mine[:3])
    assert said.header("x-client-request-id") == "mine-1"


def test_a_header_of_the_server_writes_no_other():
    """
    A value that a parser could read as two is left out, and the rest of the answer stands.
    """
    sent = answer().replace(b"\r\n\r\n", b"\r\nX-Bad: a\rSet-Cookie: b\r\nX-Good: 1\r\n\r\n", 1)

    async def story() -> Said:
        async with RawServer([sent]) as server, proxied(server.url) as proxy, Line(proxy.url) as line:
            return await line.ask(TARGET, {}, headers=[BEARER])

    said = asyncio.run(story())

    assert said.header("set-cookie") is None
    assert all("\r" not in value for _, value in said.headers)


def test_a_large_request_waits_for_leave_to_send_its_body():
    """
    ``Expect: 100-continue`` is answered by the proxy, and not before the head was looked at.
    """

    async def story() -> tuple[bytes, Said, bytes]:
        async with RawServer([answer()]) as server, proxied(server.url) as proxy:
            async with Line(proxy.url) as line:
                head = f"POST /v1/x HTTP/1.1\r\nHost: {line.place}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
                line.writer.write(head.encode())
                leave = await line.reader.readuntil(b"\r\n\r\n")
                line.writer.write(b"abcd")
                said = await line.hear()
            async with Line(proxy.url) as line:
                line.writer.write(head.replace(line.place, "evil.example").encode())
                refused = await line.reader.readuntil(b"\r\n")
            assert server.requests[0].body == b"abcd"
            return leave, said, refused

    leave, said, refused = asyncio.run(story())

    assert leave == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert said.status == 200
    assert refused == b"HTTP/1.1 403 Forbidden\r\n"


@pytest.mark.parametrize("way", ["by its length", "in chunks"])
def test_a_request_has_a_most(way: str):
    """
    413, whether it says how long it is or not; a byte less is sent.
    """

    async def story() -> list[Said]:
        async with RawServer([answer()]) as server, proxied(server.url, most_body=100_000) as proxy:
            found = []
            for size in (100_000, 100_001):
                async with Line(proxy.url) as line:
                    if way == "by its length":
                        found.append(await line.ask("/v1/x", b"a" * size))
                        continue
                    head = f"POST /v1/x HTTP/1.1\r\nHost: {line.place}\r\nTransfer-Encoding: chunked\r\n\r\n"
                    line.writer.write(head.encode() + b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"a" * size))
                    found.append(await line.hear())
            assert [len(request.body) for request in server.requests] == [100_000]
            return found

    assert [said.status for said in asyncio.run(story())] == [200, 413]


def test_an_old_client_is_given_no_leave():
    """
    HTTP/1.0 knows no ``100 Continue``, and its parser would take it for the answer.
    """

    async def story() -> Said:
        async with RawServer([answer()]) as server, proxied(server.url) as proxy, Line(proxy.url) as line:
            head = f"POST /v1/x HTTP/1.0\r\nHost: {line.place}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
            line.writer.write(head.encode())
            await until(lambda: proxy.forwarder.limiter.queued == 0)
            line.writer.write(b"abcd")
            return await line.hear()

    assert asyncio.run(story()).status == 200


def test_budgets_have_a_most():
    """
    A key that is made up costs its maker nothing: beyond the most they share one budget, and each still goes along.
    """

    async def story() -> tuple[list[str | None], int, str]:
        async with RawServer([answer()]) as server, proxied(server.url) as proxy, Line(proxy.url) as line:
            forwarder = proxy.forwarder
            forwarder._budgets.update(range(MOST_BUDGETS - 2))
            for number in range(5):
                said = await line.ask(TARGET, {"model": "m"}, headers=[("Authorization", f"Bearer made-up-{number}")])
                assert said.status == 200
            keys = [str(key) for key in forwarder.limiter.statistics().keys]
            return [request.headers.get("authorization") for request in server.requests], len(keys), keys[-1]

    sent, budgets, last = asyncio.run(story())

    assert sent == [f"Bearer made-up-{number}" for number in range(5)]
    assert (budgets, last) == (3, "other")


def test_a_credential_in_the_query_does_not_mix_with_ours():
    """
    With a key that is lent, parameters that say who asks stay here as headers do; all others go on as they are.
    """
    target = "/v1/models?key=a&after=b%20c&api%2Dkey=d&monkey=e&access_token=f&key"

    async def story() -> list[str]:
        lines = []
        for lends in (True, False):
            async with (
                RawServer([answer()]) as server,
                proxied(server.url, lends=lends) as proxy,
                Line(proxy.url) as line,
            ):
                assert (await line.ask(target)).status == 200
                if lends:
                    assert (await line.ask("/v1/models?key=a")).status == 200
                lines += [request.line.split()[1] for request in server.requests]
        return lines

    assert asyncio.run(story()) == ["/v1/models?after=b%20c&monkey=e", "/v1/models", target]


def test_who_sends_far_ahead_is_left():
    """
    Dozens of requests before the first answer: nobody would read on, and see him leave; so no place waits for that.
    """

    async def story() -> bytes:
        async with RawServer([Move.SILENCE]) as server, proxied(server.url) as proxy, Line(proxy.url) as line:
            line.writer.write(b"GET /v1/x HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200)
            left = await line.left()
            await until(lambda: is_even(proxy))
            return left

    assert asyncio.run(story()) == b""
