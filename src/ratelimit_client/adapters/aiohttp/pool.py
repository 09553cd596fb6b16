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
import itertools
import weakref
from collections.abc import Callable, Mapping
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from ...errors import Closed
from .answer import Answer
from .credentials import Credentials
from .failures import LeftOrigin, NoAnswer, told
from .handler import Handler, as_new
from .heads import Shapes
from .timeouts import Timeout
from .url import Base
from .watchdog import Stalled, TaskWatch, Watchdog

# Half of what aiohttp allows: a connection is idle for one to two of these when it is closed.
_IDLE_S = 7.5
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


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
            if as_new(protocol):
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
        self._owned: URL | None = None
        self.shapes: Shapes | None = Shapes()
        """What answers look like here; None: nobody wants to know."""
        self._sweeper: asyncio.TimerHandle | None = None
        # All that a connector wants to know of a request is where it goes, and all go to one place.
        self._to = aiohttp.ClientRequest("GET", base.origin, loop=self._loop)
        self._line = f" HTTP/1.1\r\nHost: {base.origin.host_port_subcomponent}"
        if not keep:
            self._line += "\r\nConnection: close"

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
            if url is not self._owned:  # one that is the same cannot have changed
                if not self._base.owns(url):
                    raise LeftOrigin
                self._owned = url
            handler = self._take()
            used = handler is not None
            if handler is None:
                handler = await self._connect()
            handler.set_response_params(
                skip_payload=method == "HEAD", read_until_eof=True, auto_decompress=False, read_timeout=None
            )
            self._write(handler, f"{method} {url.raw_path_qs}", headers, _length(method, raw), raw or b"")
            written()
            self._dog.watch(handler)
            message, content = await handler.answer()
            handler.content = None if isinstance(content, bytes) else content
            return Answer(message.code, message.headers, content, handler)
        except BaseException as error:
            if handler is not None:
                used = used and handler.heard == handler.began
                handler.close_line(whole=False)
            if not isinstance(error, Exception):
                # The frames below hold aiohttp's locals; nobody who prints this needs them.
                error.__traceback__ = error.__context__ = None
                raise
            failure = told(_as_lost(error, used), str(self._base.origin), self._idle_s)
        try:
            raise failure
        finally:
            del failure  # it leads back to here, and would keep the body until somebody collects it

    def _write(self, handler: Handler, target: str, headers: Mapping[str, str], length: str, raw: bytes) -> None:
        transport = handler.transport
        if transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection was closed")
        # Names and values were checked where they were given: ASCII, and no line breaks.
        lines = "\r\n".join([target + self._line, *map(": ".join, headers.items())])
        key = self._credentials.key
        if key is None:
            transport.write(f"{lines}\r\n{length}\r\n".encode("ascii") + raw)
        else:
            transport.write(
                f"{lines}\r\nAuthorization: Bearer {key.reveal()}\r\n{length}\r\n".encode("ascii") + raw
            )

    # -- connections --------------------------------------------------------------

    def _take(self) -> Handler | None:
        """A kept connection that is as good as new, or None."""
        while self._kept:
            handler = self._kept.pop()
            if as_new(handler):
                handler.idle = False
                return handler
            handler.drop()
        return None

    async def _connect(self) -> Handler:
        try:
            with TaskWatch(self._dog, itertools.count().__next__):  # it has a timeout of its own; a close ends it, too
                connection = await self.connector.connect(self._to, [], self._timeout)
        except TimeoutError:
            raise aiohttp.ConnectionTimeoutError from None
        except Stalled:
            raise Closed("the client was closed while it connected; nothing was sent") from None
        handler = connection.protocol
        assert isinstance(handler, Handler)
        handler.belong(connection, self)
        return handler

    def end(self, handler: Handler, whole: bool) -> None:
        """An exchange on one of ours has ended."""
        self._dog.leave(handler)
        if not whole or not self._keep or self.connector.closed or (not handler.known and handler.should_close):
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
