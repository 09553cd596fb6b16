"""
A proxy between a test and a server, and a caller that writes the very bytes a test names.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import attrs

from ratelimit_client import Limiter
from ratelimit_client.proxy import Forwarder, Proxy
from tests import canary
from tests.adapters.aiohttp.running import CHAT, QUICK

KEY = canary.KEY
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}
PATIENCE_S = 20.0


@attrs.frozen
class Said:
    """An answer as it stood on the wire; ``body`` without its chunks, ``whole`` if it was ended as such."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    whole: bool = True

    def header(self, name: str) -> str | None:
        """The one value of a header."""
        found = [value for each, value in self.headers if each.lower() == name.lower()]
        assert len(found) <= 1, found
        return found[0] if found else None

    @property
    def error(self) -> Any:
        """The error in the API's form."""
        error = json.loads(self.body)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error

    @property
    def of_server(self) -> tuple[int, list[tuple[str, str]], bytes]:
        """All of it that is the server's: no header of a connection or of the proxy's own; names have no case."""
        shown = [
            (name.lower(), value)
            for name, value in self.headers
            if name.lower() not in HOP_BY_HOP and not name.lower().startswith("x-ratelimit-client-")
        ]
        return self.status, shown, self.body


class Line:
    """One connection: ``async with Line(url) as line: await line.ask(...)``."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname, parts.port
        self.place = parts.netloc

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.transport.abort()

    async def ask(self, target: str, body: Any = None, *, method: str = "", headers: Any = ()) -> Said:
        """One request and its answer; *body* is bytes, or a value for JSON."""
        method = method or ("GET" if body is None else "POST")
        self.say(target, body, method=method, headers=headers)
        return await self.hear(method)

    def say(self, target: str, body: Any = None, *, method: str = "POST", headers: Any = ()) -> None:
        """One request."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        lines = [*(headers.items() if isinstance(headers, dict) else headers)]
        named = {name.lower() for name, _ in lines}
        if "host" not in named:
            lines.insert(0, ("Host", self.place))
        if "content-type" not in named and raw:
            lines.append(("Content-Type", "application/json"))
        if raw or method == "POST":
            lines.append(("Content-Length", str(len(raw))))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines)
        self.writer.write(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + raw)

    async def hear(self, method: str = "POST") -> Said:
        """The next answer, to its end."""
        async with asyncio.timeout(PATIENCE_S):
            status, headers = await self.hear_head()
            named = {name.lower(): value for name, value in headers}
            if method == "HEAD" or status in (204, 304):
                return Said(status, headers, b"")
            body = bytearray()
            try:
                if named.get("transfer-encoding") == "chunked":
                    while piece := await self.hear_chunk():
                        body += piece
                elif "content-length" in named:
                    body += await self.reader.readexactly(int(named["content-length"]))
                else:
                    body += await self.reader.read()
            except asyncio.IncompleteReadError as cut:
                return Said(status, headers, bytes(body + cut.partial), whole=False)
            except ConnectionError:
                return Said(status, headers, bytes(body), whole=False)
            return Said(status, headers, bytes(body))

    async def hear_head(self) -> tuple[int, list[tuple[str, str]]]:
        """Status and headers of the next answer."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        pairs = [line.partition(": ") for line in lines if line]
        return int(first.split(" ")[1]), [(name, value) for name, _, value in pairs]

    async def hear_chunk(self) -> bytes:
        """The next piece of a body in chunks; none at its end."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def left(self) -> bytes:
        """What comes until the other side ends the connection."""
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read()
            return b""


@contextlib.asynccontextmanager
async def proxied(
    upstream: str, *, limiter: Limiter | None = None, lends: bool = False, **options: Any
) -> AsyncIterator[Proxy]:
    """A proxy in front of *upstream*; with *lends* it has a key of its own."""
    mine = {name: options.pop(name) for name in ("timeout", "default_query", "api_key") if name in options}
    if lends:
        mine.setdefault("api_key", KEY)
    forwarder = Forwarder(upstream, limiter=limiter or Limiter(retry=QUICK), **mine)
    async with Proxy(forwarder, **{"port": 0, **options}) as proxy:
        yield proxy
    assert is_even(proxy)


def is_even(proxy: Proxy) -> bool:
    """Nobody queued, nobody in flight, no place held."""
    limiter = proxy.forwarder.limiter
    return limiter.queued == 0 and limiter.in_flight == 0 and limiter.statistics().in_flight == 0


async def until(true: Any) -> None:
    """Return when *true* says so: the other side of a socket takes a moment."""
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)


BEARER = ("Authorization", f"Bearer {KEY}")
TARGET = "/v1/chat/completions"
STREAMED = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
__all__ = ["BEARER", "CHAT", "KEY", "STREAMED", "TARGET", "Line", "Said", "is_even", "proxied", "until"]
