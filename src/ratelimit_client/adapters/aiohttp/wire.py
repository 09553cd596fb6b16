"""
One request out, one answer in.

Law of this file: what leaves here goes to the client's own origin, once, with
the key added in the last frame before aiohttp; what comes back is an ``Answer``
or an error of ours.

There are two ways out. Our own connections (``pool``) take every request of
ordinary size. A session takes the rest: everything when the user gave one, and
large bodies. aiohttp's sessions repeat GET, PUT and DELETE by themselves when a
kept-alive connection breaks, unseen by any limiter. The middleware below turns
those breaks into an exception aiohttp does not recognise, so every request on the
wire is one that was admitted.
"""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from typing import Any

import aiohttp
from yarl import URL

from ...errors import Closed, RateLimitClientError
from .answer import Answer
from .credentials import Credentials
from .failures import LeftOrigin, NoAnswer, told
from .headers import Shy
from .payload import Pieces
from .pool import Pool
from .timeouts import Timeout
from .url import Base
from .watchdog import Watchdog

# Pools whose event loop runs in another process or thread: closing their sockets here
# would take them out of a selector in use there, so they are kept, untouched.
_left_alone: list[aiohttp.BaseConnector] = []


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
        self._pools: dict[bool, Pool] = {}
        self._uploads: aiohttp.ClientSession | None = None
        self._dog: Watchdog
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        self._closed = False
        self._keepers: list[AsyncGenerator[None, None]] = []

    async def send(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        raw: bytes | None,
        *,
        fresh: bool = False,
        written: Callable[[], object],
    ) -> Answer:
        """
        One request, to the head of its answer.

        Args:
            fresh: on a connection of its own.
            written: called when the first byte has reached the socket, as far as that can be seen.

        Raises:
            TransportError: no answer, with ``unsent``, ``kind`` and ``stale``.
            Closed: the user's session is closed.
        """
        self._come_here()
        try:
            if self._given is None and (raw is None or Pieces.fits(raw)):
                pool = self._pools.get(fresh) or await self._open_pool(fresh)
                return await pool.send(method, url, headers, raw, written)
            return await self._through_session(method, url, headers, raw, written)
        except asyncio.CancelledError as stop:
            stop.__traceback__ = stop.__context__ = None
            raise
        except RateLimitClientError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it may hold the request and so the key
            failure = told(error, str(self._base.origin), self._timeout.idle_s)
        raise failure

    def __del__(self) -> None:
        mine = self._pid == os.getpid()
        if mine and any(not pool.connector.closed for pool in self._pools.values()):
            # Its keepers, collected with it, close the connections if the event loop still runs.
            warnings.warn(f"unclosed connections to {self._base}: use the client with 'async with'", ResourceWarning, stacklevel=2)

    def open(self) -> None:
        """Requests may go out; connections are made as they are needed."""
        self._closed = False

    async def close(self) -> None:
        """Close what is ours. The user's session stays as it is."""
        self._closed = True
        if self._loop is None:
            return
        self._dog.close()
        if self._loop is not asyncio.get_running_loop() or self._pid != os.getpid():
            self._leave()
        if self._uploads is not None:
            await self._uploads.close()
        while self._keepers:
            await self._keepers.pop().aclose()
        self._pools = {}
        self._uploads = self._loop = None

    def _come_here(self) -> None:
        """See that what there is belongs to this event loop and this process."""
        if self._closed:
            raise Closed("the client was closed while the call waited; nothing was sent")
        if self._loop is not asyncio.get_running_loop() or self._pid != os.getpid():
            # Another event loop, or another process: begin anew.
            self._leave()
            self._loop = asyncio.get_running_loop()
            self._pid = os.getpid()
            self._dog = Watchdog(self._timeout.idle_s, self._loop)

    def _leave(self) -> None:
        if self._uploads is not None:
            self._uploads.detach()
        _left_alone.extend(pool.connector for pool in self._pools.values() if not pool.connector.closed)
        self._pools = {}
        self._uploads = None
        self._keepers.clear()

    async def _open_pool(self, fresh: bool) -> Pool:
        pool = Pool(self._base, self._credentials, self._timeout, self._dog, keep=not fresh)
        self._pools[fresh] = pool
        keeper = _until_the_loop_ends(pool.connector)
        await anext(keeper)  # suspends for nothing
        self._keepers.append(keeper)
        return pool

    # -- through a session ----------------------------------------------------------------

    async def _through_session(
        self, method: str, url: URL, headers: Mapping[str, str], raw: bytes | None, written: Callable[[], object]
    ) -> Answer:
        session = self._given or await self._session_for_uploads()
        if session.closed:
            raise Closed("the session given to the client is closed; nothing was sent")
        theirs: Iterable[Any] = getattr(self._given, "_middlewares", ())
        upload = None if raw is None else Pieces(raw, written)
        request = session.request(
            method,
            url,
            data=upload,
            headers=headers,
            allow_redirects=False,
            auto_decompress=False,
            raise_for_status=False,
            timeout=aiohttp.ClientTimeout(
                total=None, connect=self._timeout.connect_s, sock_connect=None, sock_read=self._timeout.idle_s
            ),
            middlewares=(*theirs, self._guard),
        )
        if upload is None:
            response = await request
        else:
            with self._dog.watch(upload.moved, _always):  # a server that stops reading is silent, too
                response = await request
        return Answer(response.status, response.headers, response.content, _Borrowed(response), self._dog)

    async def _session_for_uploads(self) -> aiohttp.ClientSession:
        if self._uploads is None:
            pool = self._pools.get(False) or await self._open_pool(False)
            self._uploads = aiohttp.ClientSession(
                connector=pool.connector,
                connector_owner=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._uploads

    async def _guard(self, request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        """The last frame before aiohttp: check where it goes, add the key, and take it away again."""
        if not self._base.owns(request.url):
            raise LeftOrigin
        if (key := self._credentials.key) is not None:
            request.headers["Authorization"] = Shy(f"Bearer {key.reveal()}")
        try:
            response: aiohttp.ClientResponse = await handler(request)
            return response
        except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError):
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            stale = any(request in pool.connector.reusing for pool in self._pools.values())
            broken = NoAnswer(getattr(error, "strerror", None) or "end of stream", stale)
        finally:
            request.headers.popall("Authorization", None)
        raise broken


class _Borrowed:
    """The connection of a response of a session, which gives it back by itself when the body has ended."""

    __slots__ = ("_response",)

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    def moved(self) -> int:
        return self._response.content.total_bytes

    def alive(self) -> bool:
        connection, content = self._response.connection, self._response.content
        if connection is None or content.is_eof() or content.exception() is not None:
            return True
        return connection.transport is not None and not connection.transport.is_closing()

    def close_line(self, *, whole: bool) -> None:
        if not self._response.closed:
            self._response.close()


def _always() -> bool:
    return True


async def _until_the_loop_ends(connector: aiohttp.BaseConnector) -> AsyncGenerator[None, None]:
    """
    Holds connections; closed by whoever closes them, or else by the event loop as it shuts down.

    So a client that moves to another loop leaves no connection open on the one before.
    """
    try:
        yield
    finally:
        await connector.close()
