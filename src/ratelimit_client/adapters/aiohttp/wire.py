"""
One request out, one answer in.

Law of this file: what leaves here goes to the client's own origin, once, with
the key added in the last frame before aiohttp and taken away when the head of
the answer is there; what comes back is an ``Answer`` or an error of ours.

aiohttp repeats GET, PUT and DELETE by itself when a kept-alive connection breaks,
unseen by any limiter. The middleware below turns those breaks into an exception
aiohttp does not recognise, so every request on the wire is one that was admitted.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from ...errors import Closed, RateLimitClientError
from .answer import Answer
from .credentials import Credentials
from .failures import LeftOrigin, NoAnswer, told
from .headers import Shy
from .payload import Pieces
from .timeouts import Timeout
from .url import Base
from .watchdog import Watchdog

# Pools whose event loop runs in another process or thread: closing their sockets here
# would take them out of a selector in use there, so they are kept, untouched.
_left_alone: list[aiohttp.BaseConnector] = []


class _Connector(aiohttp.TCPConnector):
    """
    A pool without a limit (the limiter has one), which tells used connections from new ones.

    aiohttp looks at a kept connection only as it is given back. An answer nobody
    asked for that arrives later would be handed to the next request as its own;
    so a connection is looked at again as it is taken out.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(limit=0, limit_per_host=0, **options)
        self._met: weakref.WeakSet[Any] = weakref.WeakSet()
        self.reusing: set[int] = set()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            assert protocol is not None
            if protocol not in self._met:
                self._met.add(protocol)
                return connection
            if not protocol.should_close:
                self.reusing.add(id(req))
                return connection
            connection.close()


class Wire:
    """
    The connections of one client, on the event loop that uses them.

    Args:
        base: where everything goes.
        credentials: whose key goes along.
        timeout: for connecting, and for silence.
        session: the user's own, which is used as it is and never closed.
    """

    def __init__(
        self, base: Base, credentials: Credentials, timeout: Timeout, session: aiohttp.ClientSession | None
    ) -> None:
        self._base = base
        self._credentials = credentials
        self._timeout = timeout
        self._given = session
        self._own: aiohttp.ClientSession | None = None
        self._unpooled: aiohttp.ClientSession | None = None
        self._connector: _Connector | None = None
        self._dog: Watchdog | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        self._closed = False
        self._keepers: list[AsyncGenerator[None, None]] = []

    async def send(self, method: str, url: URL, headers: dict[str, str], raw: bytes | None, *, fresh: bool) -> Answer:
        """
        One request, to the head of its answer.

        Args:
            fresh: on a connection of its own.

        Raises:
            TransportError: no answer, with ``unsent``, ``kind`` and ``stale``.
            Closed: the user's session is closed.
        """
        session = await self._session(fresh)
        try:
            if raw is None or Pieces.fits(raw):
                response = await session.request(method, url, data=raw, headers=headers, **self._options)
            else:
                response = await self._upload(session, method, url, headers, raw)
            assert self._dog is not None
            return Answer(response, self._dog)
        except asyncio.CancelledError as stop:
            stop.__traceback__ = stop.__context__ = None
            raise
        except RateLimitClientError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it may hold the request and so the key
            failure = told(error, str(self._base.origin), self._timeout.idle_s)
        raise failure

    def open(self) -> None:
        """Requests may go out; connections are made as they are needed."""
        self._closed = False

    async def close(self) -> None:
        """Close what is ours. The user's session stays as it is."""
        self._closed = True
        if self._dog is not None:
            self._dog.close()
        if self._loop is not asyncio.get_running_loop() or self._pid != os.getpid():
            self._leave()
        while self._keepers:
            await self._keepers.pop().aclose()
        self._own = self._unpooled = self._connector = self._loop = None

    async def _upload(
        self, session: aiohttp.ClientSession, method: str, url: URL, headers: dict[str, str], raw: bytes
    ) -> aiohttp.ClientResponse:
        """As ``send``, with an eye on a server that stops reading."""
        progress = _Upload(len(raw))
        assert self._dog is not None
        with self._dog.watch(progress.moved, lambda: True):
            return await session.request(method, url, data=Pieces(raw, progress.sent), headers=headers, **self._options)

    async def _guard(self, request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        """The last frame before aiohttp: check where it goes, add the key, and take it away again."""
        if not self._base.owns(request.url):
            raise LeftOrigin
        if (key := self._credentials.key) is not None:
            request.headers["Authorization"] = Shy(f"Bearer {key.reveal()}")
        reusing = self._connector.reusing if self._connector is not None else set()
        try:
            response: aiohttp.ClientResponse = await handler(request)
            return response
        except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError):
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            broken = NoAnswer(getattr(error, "strerror", None) or "end of stream", id(request) in reusing)
        finally:
            request.headers.popall("Authorization", None)
            reusing.discard(id(request))
        raise broken

    async def _session(self, fresh: bool) -> aiohttp.ClientSession:
        """The session to use; suspends for nothing."""
        if self._closed:
            raise Closed("the client was closed while the call waited; nothing was sent")
        if self._loop is not asyncio.get_running_loop() or self._pid != os.getpid():
            self._move()
        if self._given is not None:
            if self._given.closed:
                raise Closed("the session given to the client is closed; nothing was sent")
            return self._given
        if fresh:
            if self._unpooled is None:
                self._unpooled = await self._new(_Connector(force_close=True))
            return self._unpooled
        if self._own is None:
            self._connector = _Connector()
            self._own = await self._new(self._connector)
        return self._own

    def _move(self) -> None:
        """Another event loop, or another process: begin anew."""
        self._leave()
        self._loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._dog = Watchdog(self._timeout.idle_s, self._loop)
        self._options = self._options_of(self._given)

    def _leave(self) -> None:
        for session in (self._own, self._unpooled):
            if session is not None and not session.closed:
                _leave_alone(session)
        self._own = self._unpooled = self._connector = None
        self._keepers.clear()

    async def _new(self, connector: _Connector) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=self._client_timeout(),
            middlewares=(self._guard,),
        )
        keeper = _until_the_loop_ends(session)
        await anext(keeper)
        self._keepers.append(keeper)
        return session

    def _options_of(self, given: aiohttp.ClientSession | None) -> dict[str, Any]:
        options: dict[str, Any] = {"allow_redirects": False}
        if given is not None:
            theirs: Iterable[Any] = getattr(given, "_middlewares", ())
            options |= {
                "auto_decompress": False,
                "raise_for_status": False,
                "timeout": self._client_timeout(),
                "middlewares": (*theirs, self._guard),
            }
        return options

    def _client_timeout(self) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(
            total=None, connect=self._timeout.connect_s, sock_connect=None, sock_read=self._timeout.idle_s
        )


class _Upload:
    """How far a large body has come; once it is out, aiohttp's own read timeout takes over."""

    __slots__ = ("_looks", "_size", "_written")

    def __init__(self, size: int) -> None:
        self._size = size
        self._written = self._looks = 0

    def sent(self, written: int) -> None:
        self._written = written

    def moved(self) -> int:
        if self._written >= self._size:
            self._looks += 1
        return self._written + self._looks


async def _until_the_loop_ends(session: aiohttp.ClientSession) -> AsyncGenerator[None, None]:
    """
    Holds a session; closed by whoever closes it, or else by the event loop as it shuts down.

    So a client that moves to another loop leaves no connection open on the one before.
    """
    try:
        yield
    finally:
        await session.close()


def _leave_alone(session: aiohttp.ClientSession) -> None:
    """Let go of a session of another loop without a warning and without touching its sockets."""
    connector = session.connector
    session.detach()
    if connector is not None:
        _left_alone.append(connector)
