"""
Where a request can be made to go: one table of what could lead astray, tried at every door.

The doors are the ``url`` of a batch row, the path of a call, the base URL, the answer that points
elsewhere. What a door lets in is sent for real, and the bytes that arrive are looked at.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from ratelimit_client import Client, RetryPolicy
from ratelimit_client.adapters.aiohttp.url import Base, endpoint
from ratelimit_client.bulk.jsonl import Line
from ratelimit_client.bulk.row import Flaw, read_row
from ratelimit_client.errors import ConfigurationError, RateLimitClientError, ResponseError
from tests.adapters.aiohttp.rawserver import RawServer, answer
from tests.canary import KEY, clean

PREFIX = "/base/v1"

ASTRAY = [
    # Another host or scheme.
    "//evil.example/v1/x",
    "///evil.example/v1/x",
    "http://evil.example/v1/x",
    "HTTP://evil.example/v1/x",
    "https:evil.example",
    "https:/evil.example",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "ws://evil.example/v1/x",
    "/\\evil.example/v1/x",
    "\\\\evil.example\\v1\\x",
    "\t//evil.example",
    " //evil.example",
    "/\t/evil.example",
    # User names, ports, addresses.
    "@evil.example/v1/x",
    ":80@evil.example/v1/x",
    "/v1/@evil.example/../x",
    ".evil.example/v1/x",
    ":99999/v1/x",
    "//[::1]/v1/x",
    "//[::ffff:169.254.169.254]/latest/meta-data",
    "//0x7f000001/",
    "//2130706433/",
    # Out of the directory.
    "/v1/../../admin",
    "/v1/..",
    "/v1/.",
    "/v1/./x",
    "/v1/...",
    "/v1/..;/admin",
    "/v1/%2e%2e/admin",
    "/v1/%2E%2e/admin",
    "/v1/.%2e/admin",
    "/v1/%252e%252e/admin",
    "/v1/..%2fadmin",
    "/v1/..%5cadmin",
    "/v1/..\\admin",
    "/v1/%c0%ae%c0%ae/admin",
    "/v1//admin",
    "/v1/x//",
    # What looks like a dot or a slash.
    "/v1/\uff0e\uff0e/admin",
    "/v1/\u3002\u3002/admin",
    "/v1/\u2024\u2024/admin",
    "/v1\uff0fadmin",
    "/v1\u2215admin",
    "/v1/\u202e/x",
    "/v1/x\u0000",
    "/v1/x\u2028y",
    "/v1/\u212a",  # the Kelvin sign, which is a k in lower case
    # A second request, a header, a query, a fragment.
    "/v1/x HTTP/1.1\r\nHost: evil.example\r\n\r\nGET /v1/y",
    "/v1/x\r\nX-Injected: 1",
    "/v1/x\nX-Injected: 1",
    "/v1/x\rX-Injected: 1",
    "/v1/x%0d%0aX-Injected:%201",
    "/v1/x%00",
    "/v1/x?key=value",
    "/v1/x#fragment",
    "/v1/x%3fkey=value",
    "/v1/x%23",
    "/v1/x y",
    "/v1/x\x7f",
    "/v1/%",
    "/v1/%zz",
    "/v1/ü",
    "",
    "/",
]


def names(text: str) -> str:
    return text.encode("unicode_escape").decode() or "nothing"


@pytest.mark.parametrize("url", ASTRAY, ids=names)
def test_no_row_of_a_batch_goes_there(url: str):
    """
    Neither through a bulk job, where it is an error row, nor through ``map``, where it is an error.
    """
    line = json.dumps({"custom_id": "a", "method": "POST", "url": url, "body": {}}).encode()
    row = read_row(Line(number=1, offset=0, data=line))

    assert isinstance(row, Flaw)
    assert row.code == "invalid_url"
    assert "nothing was sent" in row.message
    assert "\n" not in row.message
    with pytest.raises(ConfigurationError, match="nothing was sent"):
        endpoint(url)


def test_no_call_goes_there():
    """
    A path is refused, or arrives as it was written, below the base, at the server of the base, in one request.
    """

    async def story() -> tuple[list[str], RawServer]:
        async with (
            RawServer([answer()]) as server,
            Client(server.url + PREFIX, api_key=KEY, retry=RetryPolicy.none()) as client,
        ):
            return [path for path in ASTRAY if await arrives(client, path)], server

    sent, server = asyncio.run(story())
    host = server.requests[0].headers["host"]
    assert [request.line for request in server.requests] == [f"POST {PREFIX}{below(path)} HTTP/1.1" for path in sent]
    assert {request.headers["host"] for request in server.requests} == {host}
    assert {"127.0.0.1"} == {host.partition(":")[0]}
    for path in sent:
        parts = path.split("/")
        assert not {"..", ".", "..."} & set(parts), path
        assert path.isascii()
        assert path.isprintable()
        assert not set(path) & set(" \\?#"), path


async def arrives(client: Client, path: str) -> bool:
    try:
        await client.post(path, json={})
    except ConfigurationError as error:
        said = str(error)
    else:
        return True
    assert "nothing was sent" in said
    assert said.isprintable()
    return False


def below(path: str) -> str:
    """Where a path stands below a base that has one of its own."""
    whole = path if path.startswith("/") else "/" + path
    return whole.removeprefix("/v1") if whole.startswith("/v1/") else whole


BASES = [
    "https://host\\@evil.example/v1",
    "https://host%2f@evil.example",
    "https://host:443@evil.example",
    "https://host#@evil.example",
    "https://host?@evil.example",
    "https://host\r\nHost: evil.example",
    "https://host\n.evil.example",  # parsers drop the line break, and it is host.evil.example
    "https://ho\tst.example",
    "https://ho st.example",
    "https://host\uff0eevil.example",  # a dot that is none to the reader
    "https://host\u3002evil.example",
    "https://\u24d4vil.example",
    "https://host\u2044v1.example",
    "https://host:\uff14\uff14\uff13",
    "https://host:+443",
    "https://host:443:1",
    "https://host:0",
    "https://host:65536",
    "https://host,evil.example",
    "https://host;evil.example",
    "https://*.example",
    "https://host/v1/..",
    "https://host/v1/%2e%2e",
    "https://host/\u202ev1",
    "https://[fe80::1%25eth0]",
    "https://[::1",
    "https:host",
    "https:///host",
    "//host/v1",
    "file:///etc/passwd",
    "unix:///run/x.sock",
    "ws://host/v1",
    # Plain http to what looks like this machine, or is only mostly it.
    "http://127.0.0.1.evil.example",
    "http://127.0.0.1@evil.example",
    "http://localhost.evil.example",
    "http://localhost.",
    "http://0.0.0.0",
    "http://0",
    "http://127.1",
    "http://0x7f.0.0.1",
    "http://017700000001",
    "http://2130706433",
    "http://[::]",
    "http://[::ffff:127.0.0.1]",
    "http://[::ffff:10.0.0.1]",
    "http://169.254.169.254/latest",
]


@pytest.mark.parametrize("base", BASES, ids=names)
def test_no_client_is_made_for_it(base: str):
    """
    The base URL goes where it reads as if it went, over TLS or to this very machine, or there is no client.
    """
    with pytest.raises(ConfigurationError) as caught:
        Client(base, api_key=KEY)
    assert str(caught.value).isprintable()
    assert "@evil" not in str(caught.value)


@pytest.mark.parametrize(
    ("base", "as_sent"),
    [
        ("https://host.example:8443/v1", "https://host.example:8443/v1"),
        ("HTTPS://Host.Example/V1/", "https://host.example/V1"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://[2001:db8::1]:8443/v1", "https://[2001:db8::1]:8443/v1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://127.8.8.8/v1", "http://127.8.8.8/v1"),
        ("https://my_gateway.internal", "https://my_gateway.internal"),
    ],
)
def test_what_reads_plainly_is_taken(base: str, as_sent: str):
    """
    Names in any script, addresses of both kinds, ports.
    """
    assert as_sent == str(Base(base))


# ---- an answer that points elsewhere --------------------------------------------------------------


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308, 399])
@pytest.mark.parametrize("where", ["elsewhere", "upwards", "same", "//", "nowhere"])
@pytest.mark.parametrize("whose", ["ours", "a session's", "a large body's"])
def test_no_redirect_is_followed(status: int, where: str, whose: str):
    """
    Not to another server, not to the same one; the key, the prompt and the cookie go to nobody a second time.
    """

    async def story() -> None:
        async with RawServer([answer()]) as other, aiohttp.ClientSession() as session:
            port = other.url.rpartition(":")[2]
            targets = {"elsewhere": f"{other.url}/v1/y", "same": "/v1/y", "//": f"//127.0.0.1:{port}/", "upwards": ".."}
            pointing: dict[str, Any] = {} if where == "nowhere" else {"location": targets[where]}
            moved = answer(status=f"{status} X", set_cookie="session=1; Path=/", **pointing)
            options: dict[str, Any] = {"session": session} if whose == "a session's" else {}
            async with (
                RawServer([moved]) as server,
                Client(server.url, api_key=KEY, retry=RetryPolicy.none(), **options) as client,
            ):
                sent = {"data": b"x" * 2**20} if whose == "a large body's" else {"json": {"prompt": "secret words"}}
                with pytest.raises(ResponseError) as caught:
                    await client.post("/v1/x", **sent)
                assert caught.value.status == status
                assert "redirects are not followed" in str(caught.value)
                clean(str(caught.value), "the error")
                assert len(server.requests) == 1
            assert other.requests == []
            assert other.connections == 0

    asyncio.run(story())


@pytest.mark.parametrize("theirs", [False, True])
def test_no_cookie_comes_back(theirs: bool):
    """
    Not to the same path, not to another one, whatever the server says of its life; a session of the user's
    keeps what is its own business and is told nothing by us.
    """
    wishes = ["a=1", "b=2; Path=/; Max-Age=99", "c=3; Domain=127.0.0.1", "d=4; HttpOnly; SameSite=None"]

    async def story() -> None:
        jar = aiohttp.DummyCookieJar()
        async with (
            aiohttp.ClientSession(cookie_jar=jar) as session,
            RawServer(*([answer(set_cookie=wish)] for wish in wishes), [answer()]) as server,
            Client(server.url, api_key=KEY, session=session if theirs else None) as client,
        ):
            for _ in range(len(wishes) + 1):
                await client.post("/v1/x", json={})
            await client.post("/v1/x", data=b"x" * 2**20)
            await client.get("/v1/y")
            assert len(server.requests) == len(wishes) + 3
            assert [request for request in server.requests if "cookie" in request.headers] == []

    asyncio.run(story())


def test_a_header_of_an_answer_is_no_address():
    """
    What tells other clients where to go next changes nothing: the next call goes where the first went.
    """
    hints = {
        "location": "http://evil.example/",
        "content_location": "http://evil.example/",
        "alt_svc": 'h2="evil.example:443"; ma=99',
        "refresh": "0; url=http://evil.example/",
        "link": "<http://evil.example/>; rel=preconnect",
        "azure_asyncoperation": "http://evil.example/",
    }

    async def story() -> None:
        async with RawServer([answer(**hints)]) as server, Client(server.url, api_key=KEY) as client:
            for _ in range(2):
                assert (await client.post("/v1/x", json={})).status == 200
            assert [request.line for request in server.requests] == ["POST /v1/x HTTP/1.1"] * 2

    asyncio.run(story())


def test_the_table_is_hostile():
    """
    Every row of it is one that a plain join of URLs would follow, or that no endpoint is called.
    """
    assert len(ASTRAY) == len(set(ASTRAY)) > 60
    for url in ("/v1/chat/completions", "/v1/responses", "/v1/images/generations"):
        assert endpoint(url) == url
        assert not isinstance(read_row(Line(number=1, offset=0, data=_row(url))), Flaw)
    assert issubclass(ConfigurationError, RateLimitClientError)


def _row(url: str) -> bytes:
    return json.dumps({"custom_id": "a", "method": "POST", "url": url, "body": {}}).encode()
