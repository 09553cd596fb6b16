"""
What a server can do to an answer, and what a caller gets: one golden table.

Every row runs on real sockets and on a virtual loop, and has to end alike on both.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import attrs
import pytest

from ratelimit_client import Client, IncompleteResponse, ResponseError, RetryPolicy, Timeout, TransportError
from ratelimit_client.errors import Overloaded, RateLimitClientError
from tests.adapters.aiohttp.rawserver import END, Move, RawServer, Step, answer, chunked
from tests.adapters.aiohttp.running import in_virtual_time, on_real_sockets

IDLE_S = 0.2
JSON = json.dumps({"text": "three little words " * 200}).encode()
ZIPPED = gzip.compress(JSON)
GAP = 0.02


@attrs.frozen
class Row:
    """A fault, as the steps of the server, and what the call ends with: a type and words of its message."""

    name: str
    steps: Sequence[Step]
    ends: type[RateLimitClientError] | None
    says: str = ""


def lines(*text: str) -> bytes:
    return "\r\n".join([*text, "", ""]).encode("latin-1")


OK = "HTTP/1.1 200 OK"
NO_HTTP = "is no HTTP"

TABLE = [
    # No answer at all.
    Row("reset before a byte", [Move.RESET], TransportError, "closed the connection without an answer"),
    Row("end before a byte", [Move.CLOSE], TransportError, "closed the connection without an answer"),
    Row("half a head, then the end", [b"HTTP/1.1 200 OK\r\nConte", Move.CLOSE], TransportError, "without an answer"),
    Row("silence", [Move.SILENCE], TransportError, "sent no byte for 0.2 s"),
    Row("half a head, then silence", [b"HTTP/1.1 200 OK\r\nConte", Move.SILENCE], TransportError, "no byte"),
    # Something that is no HTTP.
    Row("bad status line", [lines("HTTQ/1.1 200 OK")], TransportError, NO_HTTP),
    Row("HTTP/0.9", [b"hello\n"], TransportError, NO_HTTP),
    Row("two lengths", [lines(OK, "Content-Length: 3", "Content-Length: 5") + b"abcde"], TransportError, NO_HTTP),
    Row(
        "a length and chunks",
        [lines(OK, "Content-Length: 3", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n" + END],
        TransportError,
        NO_HTTP,
    ),
    Row("bad chunk beside the head", [chunked() + b"zz\r\n"], TransportError, NO_HTTP),
    Row("header line without end", [answer(x_long="y" * 9000)], TransportError, NO_HTTP),
    Row("200 headers", [lines(OK, *(f"X-{n}: 1" for n in range(200)), "Content-Length: 0")], TransportError, NO_HTTP),
    Row("NUL in a header", [answer(x_odd="a\0b")], TransportError, NO_HTTP),
    Row("an upgrade", [lines("HTTP/1.1 101 Switching Protocols", "Upgrade: x", "Connection: upgrade")], TransportError),
    # A success that is not whole.
    Row("reset in the body", [answer(JSON[:99], length=5000), GAP, Move.RESET], IncompleteResponse, "cut short"),
    Row("body ends early", [answer(JSON[:99], length=5000), GAP, Move.CLOSE], IncompleteResponse, "cut short"),
    Row("head, then silence", [answer(b"", length=10), GAP, Move.SILENCE], IncompleteResponse, "stopped"),
    Row("some body, then silence", [answer(JSON[:99], length=999), Move.SILENCE], IncompleteResponse, "stopped"),
    Row("length too small", [answer(b"", length=100), GAP, JSON], IncompleteResponse, "is not"),
    Row("length too small, at once", [answer(JSON, length=100)], TransportError, NO_HTTP),
    Row("bad chunk after the head", [chunked(JSON[:99]), GAP, b"zz\r\nxx"], IncompleteResponse),
    Row("chunk without its end", [chunked(JSON[:99]), GAP, b"9\r\nab", Move.CLOSE], IncompleteResponse, "cut short"),
    Row("closed body, cut", [lines(OK, "Content-Type: application/json") + JSON[:99], Move.CLOSE], IncompleteResponse),
    Row("HTTP/1.0, cut", [b"HTTP/1.0 200 OK\r\n\r\n" + JSON[:99], Move.CLOSE], IncompleteResponse, "is not"),
    Row("gzip, cut", [chunked(ZIPPED[:-20], coding="gzip") + END], IncompleteResponse, "gzip stream was cut short"),
    Row("gzip, cut at once", [chunked(ZIPPED[:5], coding="gzip") + END], IncompleteResponse, "cut short"),
    Row("gzip, without checksum", [chunked(ZIPPED[:-8], coding="gzip") + END], IncompleteResponse, "cut short"),
    Row("gzip, corrupt", [chunked(b"\x1f\x8b" + JSON, coding="gzip") + END], IncompleteResponse, "corrupt"),
    Row("plain, labelled gzip", [answer(JSON, content_encoding="gzip")], IncompleteResponse, "corrupt"),
    Row("br, unasked", [answer(JSON, content_encoding="br")], IncompleteResponse, "not asked for"),
    Row("empty", [answer(b"")], IncompleteResponse, "is empty"),
    Row("null", [answer(b"null")], IncompleteResponse, "null"),
    Row("cut JSON", [answer(JSON[:-2])], IncompleteResponse, "is not"),
    Row("NaN", [answer(b'{"a":NaN}')], IncompleteResponse, "is not"),
    Row("not UTF-8", [answer(b'{"a":"\xff"}')], IncompleteResponse, "UTF-8"),
    Row("100 000 brackets", [answer(b"[" * 100_000)], IncompleteResponse, "is not"),
    Row("a web page", [answer(b"<html>hi</html>", kind="text/html; charset=utf-8")], IncompleteResponse, "web page"),
    # An answer that says no: by its status, whatever its body is.
    Row(
        "502 and a page", [answer(b"<html>x</html>", status="502 Bad Gateway", kind="text/html")], ResponseError, "502"
    ),
    Row("503, body cut", [answer(b'{"error', status="503 X", length=99), Move.CLOSE], Overloaded, "503"),
    Row("500, body silent", [answer(b"", status="500 X", length=99), Move.SILENCE], ResponseError, "500"),
    Row("500, cut gzip", [answer(ZIPPED[:9], status="500 X", content_encoding="gzip")], ResponseError, "500"),
    Row("400, br", [answer(JSON, status="400 X", content_encoding="br")], ResponseError, "400"),
    Row("400, 100 000 brackets", [answer(b"[" * 100_000, status="400 X")], ResponseError, "400"),
    Row("999", [answer(status="999 X")], ResponseError, "999"),
    Row(
        "307 elsewhere",
        [answer(status="307 X", location="https://evil.example/p?a=b")],
        ResponseError,
        "'evil.example'",
    ),
    Row("302 to nowhere", [answer(status="302 X")], ResponseError, "nowhere"),
    Row("303 nearby", [answer(status="303 X", location="/login")], ResponseError, "another place on the same host"),
    Row("304", [lines("HTTP/1.1 304 Not Modified")], ResponseError, "304"),
    Row("000", [answer(status="000 X")], TransportError, "nobody asked for"),
    Row("099", [answer(status="099 X")], TransportError, "nobody asked for"),
    # Odd, and yet an answer.
    Row("JSON in chunks", [chunked(JSON[:9], JSON[9:]), GAP, END], None),
    Row("gzip, byte by byte", [chunked(*(bytes([byte]) for byte in ZIPPED), coding="gzip"), END], None),
    Row("closed body, whole", [lines(OK, "Content-Type: application/json") + JSON, Move.CLOSE], None),
    Row("50 early hints", [lines("HTTP/1.1 103 Early Hints") * 50 + answer(JSON)], None),
    Row("100 first", [lines("HTTP/1.1 100 Continue"), GAP, answer(JSON)], None),
    Row("a header in Latin-1", [answer(JSON, x_odd="é")], None),
    Row("no type, but a bracket", [lines(OK, f"Content-Length: {len(JSON)}") + JSON], None),
]


def client_of(server: RawServer, session: aiohttp.ClientSession | None = None) -> Client:
    options: dict[str, Any] = {"timeout": Timeout(idle_s=IDLE_S), "retry": RetryPolicy.none(), "session": session}
    return Client(server.url, api_key="sk-canary-0123", **options)


@pytest.mark.parametrize("run", [on_real_sockets, in_virtual_time])
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_fault_ends_as_it_should(row: Row, run: Callable[[Any], Any]):
    """
    One typed end for each fault, nothing of aiohttp on it, and the next call gets its own answer.
    """

    async def story() -> tuple[Any, Any]:
        async with RawServer(row.steps, [answer(b'{"n":2}')]) as server, client_of(server) as client:
            return await ended(client), await client.post("/echo", json={"n": 2})

    judge(row, *run(story))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_fault_ends_alike_on_a_session_of_the_users(row: Row):
    """
    The same, through aiohttp's session instead of connections of our own.
    """

    async def story() -> tuple[Any, Any]:
        async with (
            RawServer(row.steps, [answer(b'{"n":2}')]) as server,
            aiohttp.ClientSession() as session,
            client_of(server, session) as client,
        ):
            return await ended(client), await client.post("/echo", json={"n": 2})

    judge(row, *in_virtual_time(story))


def judge(row: Row, first: Any, second: Any) -> None:
    assert second.data == {"n": 2}
    if row.ends is None:
        assert json.loads(JSON) == first.data
        return
    assert row.ends is type(first)
    assert re.search(row.says, str(first))
    assert first.__cause__ is None
    assert first.__context__ is None
    assert len(str(first)) < 500
    assert len(getattr(first, "body_excerpt", "")) <= 1024
    for secret in ("canary", "p?a=b", "little words"):
        assert secret not in str(first)


async def ended(client: Client) -> Any:
    """What a call ends with: its reply or its error."""
    try:
        return await client.post("/echo", json={"n": 1})
    except RateLimitClientError as error:
        return error
