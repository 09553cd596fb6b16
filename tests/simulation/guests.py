"""
Who calls through an HTTP client of somebody else's, with the limiter under it.

Law of this file: guests joined later than the rest. Their dice are their own, and they take
the place of parties that bring a session of their own and try again, so that days without
them are what they were.

Theory. What a guest is owed is the HTTP client's own answer or exception, or an error of
this library. A deadline is kept up to the head of the answer; its body is the guest's
matter, and so is how long it takes to read it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any

import aiohttp
import attrs
import httpx

from ratelimit_client import Limiter, Timeout
from ratelimit_client.adapters.aiohttp import middleware
from ratelimit_client.adapters.httpx import LimitedTransport
from ratelimit_client.proxy import Forwarder, Proxy

from .callers import PATH, Names, body_of, place_of, text_of
from .serving import GATE
from .world import DAWDLES_S, Call, Gate, Party

_REPLACED = frozenset({"attempts", "call"})
_PATIENCE_S = 1800.0
"""For so long is a proxy silent to somebody who waits for his turn there."""
_PROXIED = frozenset({"permit", "attempts", "call", "limited"})
_STREAMED = frozenset({"streams", "glances"})


def with_guests(seed: int, parties: tuple[Party, ...], *, calm: bool = False) -> tuple[Party, ...]:
    """The same, with some of those who try again put under a limiter that does it for them."""
    dice = random.Random(f"guests {seed}")
    who = []
    for party in parties:
        if party.way in _REPLACED and dice.random() < 0.6:
            way = dice.choice(("session", "httpx"))
            calls = tuple(_of_guest(dice, call, way, calm=calm) for call in party.calls)
            party = attrs.evolve(party, way=way, calls=calls)
        who.append(party)
    return tuple(who)


def with_proxies(seed: int, parties: tuple[Party, ...], *, calm: bool = False) -> tuple[Party, ...]:
    """The same, with some of those who bring a session behind a proxy that has the limiter."""
    dice = random.Random(f"proxies {seed}")
    who = []
    for party in parties:
        if party.way in _PROXIED and dice.random() < 0.3:
            quirks = ("",) if calm else ("", "", "", "dawdles", "leaves", "streams", "streams", "glances")
            calls = tuple(attrs.evolve(call, quirk=dice.choice(quirks)) for call in party.calls)
            party = attrs.evolve(party, way="proxy", calls=calls)
        who.append(party)
    return tuple(who)


def _of_guest(dice: random.Random, call: Call, way: str, *, calm: bool) -> Call:
    if calm:  # all answers are owed, and read
        return attrs.evolve(call, quirk="")
    quirk = dice.choice(("", "", "", "once", "dawdles", "leaves", "puts", "streams", "streams", "glances"))
    total_s = dice.choice((None, None, None, None, 0.5, 4.0, 40.0)) if way == "session" else None
    return attrs.evolve(call, quirk=quirk, total_s=total_s)


@attrs.frozen
class Way:
    """
    How guests ask here.

    Args:
        headed: is told of a call whose answer has begun, and its headers.
    """

    limiter: Limiter
    client: Any
    url: str
    headers: dict[str, str]
    headed: Callable[[Call, Any], None]
    idle_s: float
    connect_s: float

    is_near = True
    """An answer is over here as soon as it is over for the limiter."""

    def _said(self, call: Call) -> Any:
        key = call.model if call.quirk == "once" else None  # whose body cannot be looked at
        return self.limiter.call_options(key=key, tokens=call.tokens, **place_of(call))

    def _headers(self, call: Call) -> dict[str, str]:
        return self.headers

    async def _told(self, call: Call, lines: AsyncIterable[Any], over: Callable[[], bool]) -> str:
        """The text of an answer that comes in events, or of its first."""
        text = ""
        async for line in lines:
            if self.is_near and not over() and not self.limiter.in_flight:
                raise AssertionError("an answer that is not over holds no place")
            event = (line if isinstance(line, str) else line.decode()).strip().removeprefix("data: ")
            if event == "[DONE]":
                return text
            if event.startswith('{"error"'):
                raise BrokenOff(f"{call.mark} got {event}")
            if event:
                text += json.loads(event)["choices"][0]["delta"].get("content") or ""
            if text and call.quirk == "glances":
                return _unread(call)
        raise BrokenOff(f"{call.mark} got {text!r}")


class Session(Way):
    """A session of aiohttp's with the middleware."""

    async def __call__(self, call: Call) -> str:
        body: dict[str, Any] = {"data": _once(call)} if call.quirk == "once" else {"json": _asked(call)}
        method = "PUT" if call.quirk == "puts" else "POST"
        timeout = aiohttp.ClientTimeout(total=call.total_s, sock_connect=self.connect_s, sock_read=self.idle_s)
        with self._said(call):
            asked = self.client.request(method, self.url, headers=self._headers(call), timeout=timeout, **body)
            async with asked as response:
                self.headed(call, response.headers)
                response.raise_for_status()
                if call.quirk == "dawdles":
                    await asyncio.sleep(DAWDLES_S)
                if call.quirk in _STREAMED:
                    return await self._told(call, response.content, lambda: response.connection is None)
                return _unread(call) if call.quirk == "leaves" else text_of(await response.json())


class Proxied(Session):
    """A plain session; what the limiter is to know stands in headers, and the proxy on the way reads them."""

    is_near = False

    def _said(self, call: Call) -> Any:
        return contextlib.nullcontext()

    def _headers(self, call: Call) -> dict[str, str]:
        said = {**place_of(call), "tokens": call.tokens}
        steering = {f"x-ratelimit-client-{name}": str(value) for name, value in said.items() if value is not None}
        return {**self.headers, **steering}


class OfHttpx(Way):
    """A client of httpx's with the transport."""

    async def __call__(self, call: Call) -> str:
        body: dict[str, Any] = {"content": _once(call)} if call.quirk == "once" else {"json": _asked(call)}
        with self._said(call):
            async with self.client.stream("POST", self.url, headers=self.headers, **body) as response:
                self.headed(call, response.headers)
                response.raise_for_status()
                if call.quirk == "dawdles":
                    await asyncio.sleep(DAWDLES_S)
                if call.quirk in _STREAMED:
                    return await self._told(call, response.aiter_lines(), lambda: response.is_stream_consumed)
                return _unread(call) if call.quirk == "leaves" else text_of(json.loads(await response.aread()))


class BrokenOff(ConnectionError):
    """What a guest makes of events that end too early."""


def _asked(call: Call) -> dict[str, Any]:
    return {**body_of(call), "stream": True} if call.quirk in _STREAMED else body_of(call)


async def _once(call: Call) -> AsyncIterator[bytes]:
    """A body that nobody can send a second time."""
    yield json.dumps(body_of(call)).encode()


def _unread(call: Call) -> str:
    return f"Answer to {call.mark}: it was not read."


@contextlib.asynccontextmanager
async def open_way(
    way: str,
    gate: Gate,
    limiter: Limiter,
    url: str,
    headers: dict[str, str],
    net: Any,
    headed: Callable[[Call, Any], None],
) -> AsyncIterator[Way]:
    """Open the HTTP client of a gate's guests."""
    given = (url + PATH, headers, headed, gate.idle_s, gate.connect_s)
    if way == "proxy":
        forwarder = Forwarder(
            url, limiter=limiter, timeout=Timeout(connect_s=gate.connect_s, idle_s=gate.idle_s), allow_insecure=True
        )
        forwarder._names = Names(f"proxy-{headers[GATE]}")  # type: ignore[assignment]
        connector = aiohttp.TCPConnector(limit=0, resolver=net, socket_factory=net.socket_factory, use_dns_cache=False)
        host = net.add_host(f"proxy{headers[GATE]}.test")
        async with Proxy(forwarder, host=host) as proxy, aiohttp.ClientSession(connector=connector) as session:
            yield Proxied(limiter, session, proxy.url + PATH, headers, headed, _PATIENCE_S, gate.connect_s)
        return
    if way == "session":
        connector = aiohttp.TCPConnector(limit=0, resolver=net, socket_factory=net.socket_factory, use_dns_cache=False)
        async with aiohttp.ClientSession(connector=connector, middlewares=(middleware(limiter),)) as session:
            yield Session(limiter, session, *given)
        return
    timeout = httpx.Timeout(gate.idle_s, connect=gate.connect_s, pool=None)
    async with httpx.AsyncClient(transport=LimitedTransport(limiter), timeout=timeout) as client:
        yield OfHttpx(limiter, client, *given)
