"""
One request out, one answer in.

Law of this file: what leaves here goes to the client's own origin, once, with
the key added in the last frame before aiohttp; what comes back is an ``Answer``
or an error of ours.

There are two ways out. Our own connections (``pool``) take every request of
ordinary size. A session takes the rest: everything when the user gave one, and
large bodies (``session``).
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping
from typing import Any

import aiohttp
from yarl import URL

from ...errors import Closed, RateLimitClientError
from ...runtime import process
from .answer import Answer
from .credentials import Credentials
from .failures import told
from .handshakes import Handshakes
from .payload import Pieces
from .pool import Pool
from .timeouts import Timeout
from .url import Base
from .watchdog import Watchdog

# Pools whose event loop runs in another process or thread: closing their sockets here
# would take them out of a selector in use there, so they are kept, untouched.
_left_alone: list[Pool] = []


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
        self._pools: dict[bool | None, Pool] = {}
        """For requests that may go on a kept connection (False), that may not, and for handshakes (None)."""
        self._uploads: dict[bool, aiohttp.ClientSession] = {}
        self._dog: Watchdog
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        self._closed = False
        self._keepers: list[AsyncGenerator[None, None]] = []

    def send(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        raw: bytes | None,
        *,
        fresh: bool = False,
        written: Callable[[], object],
    ) -> Coroutine[Any, Any, Answer]:
        """
        One request, to the head of its answer.

        Args:
            fresh: on a connection of its own.
            written: called when the first byte has reached the socket, as far as that can be seen.

        Raises:
            TransportError: no answer, with ``unsent``, ``kind`` and ``stale``.
            Closed: the client, or the user's session, is closed.
        """
        self._come_here()
        if self._given is not None or (raw is not None and not Pieces.fits(raw)):
            return self._told(self._through_session(method, url, headers, raw, fresh, written))
        pool = self._pools.get(fresh)
        if pool is not None:
            return pool.send(method, url, headers, raw, written)
        return self._through_new_pool(method, url, headers, raw, fresh, written)

    def upgrade(
        self, url: URL, headers: Mapping[str, str], written: Callable[[], object]
    ) -> Coroutine[Any, Any, Answer]:
        """
        One request for a websocket, on a connection of its own, to the head of its answer.

        Raises:
            as of ``send``.
        """
        self._come_here()
        if self._given is not None:
            return self._told(self._through_session("GET", url, headers, None, False, written))
        return self._through_new_pool("GET", url, headers, None, None, written)

    @property
    def dog(self) -> Watchdog:
        """What looks for silence, on this event loop."""
        return self._dog

    def tells_written(self, raw: bytes | None) -> bool:
        """Is ``written`` called for whatever goes out? The user's session says nothing of a request without a body."""
        return self._given is None or bool(raw)

    def __del__(self) -> None:
        mine = self._pid == process.pid
        if mine and any(not pool.connector.closed for pool in self._pools.values()):
            # Its keepers, collected with it, close the connections if the event loop still runs.
            message = f"unclosed connections to {self._base}: use the client with 'async with'"
            warnings.warn(message, ResourceWarning, stacklevel=2)

    def open(self) -> None:
        """Requests may go out; connections are made as they are needed."""
        self._closed = False

    async def close(self) -> None:
        """Close what is ours. The user's session stays as it is."""
        self._closed = True
        if self._loop is None:
            return
        if self._loop is not asyncio.get_running_loop() or self._pid != process.pid:
            self._leave()  # whoever waits there is not to be woken from here, or never can be
        else:
            self._dog.close()
        for session in self._uploads.values():
            await session.close()
        while self._keepers:
            await self._keepers.pop().aclose()
        self._pools, self._uploads, self._loop = {}, {}, None

    def _come_here(self) -> None:
        """See that what there is belongs to this event loop and this process."""
        if self._closed:
            raise Closed("the client was closed while the call waited; nothing was sent")
        if self._loop is not asyncio.get_running_loop() or self._pid != process.pid:
            # Another event loop, or another process: begin anew.
            self._leave()
            self._loop = asyncio.get_running_loop()
            self._pid = process.pid
            self._dog = Watchdog(self._timeout.idle_s, self._loop)

    def _leave(self) -> None:
        for session in self._uploads.values():
            session.detach()
        _left_alone.extend(pool for pool in self._pools.values() if not pool.connector.closed)
        self._pools, self._uploads = {}, {}
        self._keepers.clear()

    async def _through_new_pool(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        raw: bytes | None,
        fresh: bool | None,
        written: Callable[[], object],
    ) -> Answer:
        pool = self._pools.get(fresh) or await self._open_pool(fresh)
        return await pool.send(method, url, headers, raw, written)

    async def _open_pool(self, fresh: bool | None) -> Pool:
        where = self._base, self._credentials, self._timeout, self._dog
        pool = self._pools[fresh] = Handshakes(*where) if fresh is None else Pool(*where, keep=not fresh)
        keeper = _until_the_loop_ends(pool)
        await anext(keeper)  # suspends for nothing
        self._keepers.append(keeper)
        return pool

    # -- through a session ----------------------------------------------------------------

    async def _through_session(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        raw: bytes | None,
        fresh: bool,
        written: Callable[[], object],
    ) -> Answer:
        from .session import Errand  # what calls of ordinary size do without

        session = self._given or await self._session_for_uploads(fresh)
        if session.closed:
            raise Closed("the session given to the client is closed; nothing was sent")
        theirs: Iterable[Any] = getattr(self._given, "_middlewares", ())
        errand = Errand(session, self._base, self._credentials, self._timeout, self._dog, self._reused)
        return await errand.run(method, url, headers, raw, written, theirs)

    def _reused(self, request: aiohttp.ClientRequest) -> bool:
        return any(request in pool.connector.reusing for pool in self._pools.values())

    async def _told(self, answer: Coroutine[Any, Any, Answer]) -> Answer:
        """What *answer* brings, its errors in our words."""
        try:
            return await answer
        except asyncio.CancelledError as stop:
            stop.__traceback__ = stop.__context__ = None
            raise
        except RateLimitClientError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it may hold the request and so the key
            failure = told(error, str(self._base.origin), self._timeout.idle_s)
            error.__traceback__ = error.__context__ = None  # aiohttp keeps it, with the frames that hold the request
        try:
            raise failure
        finally:
            del failure  # or it would hold this frame, and this frame it, and both the request

    async def _session_for_uploads(self, fresh: bool) -> aiohttp.ClientSession:
        session = self._uploads.get(fresh)
        if session is None:
            pool = self._pools.get(fresh) or await self._open_pool(fresh)
            session = self._uploads[fresh] = aiohttp.ClientSession(
                connector=pool.connector,
                connector_owner=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return session


async def _until_the_loop_ends(pool: Pool) -> AsyncGenerator[None, None]:
    """
    Holds connections; closed by whoever closes them, or else by the event loop as it shuts down.

    So a client that moves to another loop leaves no connection open on the one before.
    """
    try:
        yield
    finally:
        await pool.close()
