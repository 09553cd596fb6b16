"""
Connections of our own, and one request on one of them.

Law of this file: a request is written once and in one piece, on a connection that
nobody else uses until its answer is whole. The key is added in the expression
that writes, and stays in no variable.

Theory. A session of aiohttp knows redirects, cookies, proxies, middlewares and
repeats, starts a task for each body and a timer for each read. None of it is
wanted here, and together it costs more than all the rest of a call. So a request
of ordinary size does without: aiohttp makes the connections and parses what comes
in; what goes out is written here, and connections are kept here. Large bodies,
which have to be written while the answer may come already, go through a session.

A connection on which an answer has ended is kept for the next request, the latest
first, and closed when it was idle for a while. It is looked at again as it is
taken out: an answer nobody asked for may have come meanwhile, and would be handed
to the next request as its own.
"""

from __future__ import annotations

import asyncio
import functools
import weakref
from collections.abc import Callable, Mapping
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from .answer import Answer
from .credentials import Credentials
from .failures import LeftOrigin, NoAnswer, told
from .timeouts import Timeout
from .url import Base
from .watchdog import Stalled, Watchdog

# Half of what aiohttp allows: a connection is idle for one to two of these when it is closed.
_IDLE_S = 7.5
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_SWITCHING = 101
# Enough for every server that means well: 103 may come a few times.
_MOST_INTERIM = 100


class Handler(ResponseHandler):
    """
    aiohttp's end of a connection, which can also tell whether anything moves on it.

    Attributes:
        used: it has carried a request before.
        idle: it has been idle since the last sweep.
        heard: how often something came on it.
        content: the body that comes on it now.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.used = self.idle = False
        self.content: aiohttp.StreamReader | None = None
        self.heard = 0
        self._connection: Connection | None = None
        self._pool: Pool | None = None

    def data_received(self, data: bytes) -> None:
        """Something came."""
        self.heard += 1
        super().data_received(data)

    def belong(self, connection: Connection, pool: Pool) -> None:
        """It is *pool*'s, and carries a request now."""
        self._connection = connection
        self._pool = pool

    def close_line(self, *, whole: bool) -> None:
        """The answer has ended: kept when it is *whole*, else closed. Idempotent."""
        self.content = None
        pool = self._pool
        if pool is not None:
            pool.end(self, whole)

    def drop(self) -> None:
        """Close the connection."""
        connection, self._connection, self._pool = self._connection, None, None
        if connection is not None:
            connection.close()

    # -- watched ------------------------------------------------------------------

    def moved(self) -> int:
        """A number that changes with every byte in or out."""
        transport = self.transport
        return self.heard if transport is None else self.heard - transport.get_write_buffer_size()

    def alive(self) -> bool:
        """Can more come?"""
        return self.transport is not None and not self.transport.is_closing()

    def stop(self, error: Stalled) -> None:
        """Whoever waits for the head or the body gets *error*."""
        if self.content is not None:
            self.content.set_exception(error)
        else:
            self.set_exception(error)


class Connector(aiohttp.TCPConnector):
    """Makes connections, without a limit (the limiter has one); tells used ones of its own from new ones."""

    def __init__(self, **options: Any) -> None:
        super().__init__(limit=0, limit_per_host=0, **options)
        # Where aiohttp keeps what makes its end of a connection; there is no argument for it.
        self._factory = cast("functools.partial[ResponseHandler]", functools.partial(Handler, loop=self._loop))
        self.reusing: weakref.WeakSet[aiohttp.ClientRequest] = weakref.WeakSet()
        """Requests of a session that were given a connection which had been used."""

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """A connection: of the session's kept ones, or a new one."""
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            assert isinstance(protocol, Handler)
            if not protocol.used:
                protocol.used = True
                return connection
            if not protocol.should_close:
                self.reusing.add(req)
                return connection
            connection.close()


class Pool:
    """
    Args:
        base: where everything goes.
        credentials: whose key goes along.
        timeout: for connecting, and for silence.
        dog: looks for silence and for connections that died.
        keep: connections are used again.
    """

    def __init__(self, base: Base, credentials: Credentials, timeout: Timeout, dog: Watchdog, *, keep: bool) -> None:
        self.connector = Connector() if keep else Connector(force_close=True)
        self._base = base
        self._credentials = credentials
        self._timeout = aiohttp.ClientTimeout(total=None, connect=timeout.connect_s)
        self._idle_s = timeout.idle_s
        self._dog = dog
        self._keep = keep
        self._loop = asyncio.get_running_loop()
        self._kept: list[Handler] = []
        self._sweeper: asyncio.TimerHandle | None = None
        # All that a connector wants to know of a request is where it goes, and all go to one place.
        self._to = aiohttp.ClientRequest("GET", base.origin, loop=self._loop)
        self._line = f" HTTP/1.1\r\nHost: {base.origin.host_port_subcomponent}\r\n"
        if not keep:
            self._line += "Connection: close\r\n"

    def __repr__(self) -> str:
        return f"<Pool to {self._base}: {len(self._kept)} kept>"

    async def send(
        self, method: str, url: URL, headers: Mapping[str, str], raw: bytes | None, written: Callable[[], object]
    ) -> Answer:
        """
        One request, to the head of its answer.

        Args:
            written: called as the first byte has reached the socket.

        Raises:
            TransportError: no answer, with ``unsent``, ``kind`` and ``stale``.
        """
        handler: Handler | None = None
        used = False
        try:
            if not self._base.owns(url):
                raise LeftOrigin
            handler = self._take()
            used = handler is not None
            if handler is None:
                handler = await self._connect()
            heard = handler.heard
            handler.set_response_params(
                skip_payload=method == "HEAD", read_until_eof=True, auto_decompress=False, read_timeout=None
            )
            self._write(handler, f"{method} {url.raw_path_qs}", headers, _length(method, raw), raw or b"")
            written()
            self._dog.watch(handler)
            message, content = await self._head(handler)
            handler.content = content
            return Answer(message.code, message.headers, content, handler)
        except BaseException as error:
            if handler is not None:
                used = used and handler.heard == heard
                handler.close_line(whole=False)
            if not isinstance(error, Exception):
                # The frames below hold aiohttp's locals; nobody who prints this needs them.
                error.__traceback__ = error.__context__ = None
                raise
            failure = told(_as_lost(error, used), str(self._base.origin), self._idle_s)
        raise failure

    async def _head(self, handler: Handler) -> tuple[Any, aiohttp.StreamReader]:
        """The head of the final answer, after as many interim ones as anybody could want."""
        for _ in range(_MOST_INTERIM):
            message, content = await handler.read()
            if not 100 <= message.code < 200 or message.code == _SWITCHING:
                return message, content
        problem = f"{_MOST_INTERIM} answers that are not final"
        raise aiohttp.http_exceptions.HttpProcessingError(message=problem)

    def _write(self, handler: Handler, target: str, headers: Mapping[str, str], length: str, raw: bytes) -> None:
        transport = handler.transport
        if transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection was closed")
        # Names and values were checked where they were given: ASCII, and no line breaks.
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        key = self._credentials.key
        if key is None:
            transport.write(f"{target}{self._line}{lines}{length}\r\n".encode("ascii") + raw)
        else:
            transport.write(
                f"{target}{self._line}{lines}Authorization: Bearer {key.reveal()}\r\n{length}\r\n".encode("ascii") + raw
            )

    # -- connections --------------------------------------------------------------

    def _take(self) -> Handler | None:
        """A kept connection that is as good as new, or None."""
        while self._kept:
            handler = self._kept.pop()
            if handler.is_connected() and not handler.should_close:
                handler.idle = False
                return handler
            handler.drop()
        return None

    async def _connect(self) -> Handler:
        try:
            connection = await self.connector.connect(self._to, [], self._timeout)
        except TimeoutError:
            raise aiohttp.ConnectionTimeoutError from None
        handler = connection.protocol
        assert isinstance(handler, Handler)
        handler.belong(connection, self)
        return handler

    def end(self, handler: Handler, whole: bool) -> None:
        """An exchange on one of ours has ended."""
        self._dog.leave(handler)
        if not whole or not self._keep or handler.should_close or self.connector.closed:
            handler.drop()
            return
        self._kept.append(handler)
        if self._sweeper is None:
            self._sweep_later()

    def _sweep_later(self) -> None:
        # It holds nothing: a pool that was forgotten is not to wait for its sweeper.
        self._sweeper = self._loop.call_later(_IDLE_S, _sweep, weakref.ref(self))

    def sweep(self) -> None:
        """Close what was idle at the last sweep already."""
        stays = []
        for handler in self._kept:
            if handler.idle:
                handler.drop()
            else:
                handler.idle = True
                stays.append(handler)
        self._kept = stays
        self._sweeper = None
        if stays:
            self._sweep_later()

    async def close(self) -> None:
        """Close all connections; who waits for an answer on one learns that it is gone."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        while self._kept:
            self._kept.pop().drop()
        await self.connector.close()


def _sweep(pool: weakref.ref[Pool]) -> None:
    if (alive := pool()) is not None:
        alive.sweep()


def _as_lost(error: Exception, used: bool) -> Exception:
    """The end of a connection that was made, by our own name for it; others as they are."""
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ServerTimeoutError):
        return error
    if isinstance(error, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError):
        return NoAnswer(getattr(error, "strerror", None) or "end of stream", used)
    return error


def _length(method: str, raw: bytes | None) -> str:
    """The line that tells how long the body is; none where nobody expects a body."""
    if raw is None and method in _BODILESS:
        return ""
    return f"Content-Length: {len(raw or b'')}\r\n"
