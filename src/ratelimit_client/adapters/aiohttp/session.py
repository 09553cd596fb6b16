"""
One request through a session of aiohttp's: the user's own, or ours for large bodies.

Law of this file: a call ends here as it does on connections of our own.

Theory. A session is used with no redirects and no decoding, and some of its habits are
made up for:

* it repeats GET, PUT and DELETE by itself when a kept connection breaks, unseen by any
  limiter. The middleware turns such a break into an exception it does not recognise, so
  every request on the wire is one that was admitted;
* it takes up a kept connection on which something came that nobody asked for, and hands
  that out as the answer to the next request. Such connections are closed before it looks;
* it gives a connection back with the last byte of a body, whatever the body turns out to be;
* after an interim answer it forgets its read timeout. So the watchdog looks at the wait
  for a head as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from .answer import Answer
from .body import MOST_BYTES, BadBody
from .credentials import Credentials
from .failures import LeftOrigin, NoAnswer
from .handler import Handler, as_new
from .headers import Shy
from .payload import Pieces
from .timeouts import Timeout
from .url import Base
from .watchdog import Stalled, TaskWatch, Watchdog


class Errand:
    """
    One request through *session*.

    Args:
        session: which is used as it is.
        base: where it goes, and nowhere else.
        credentials: whose key goes along.
        timeout: for connecting, and for silence.
        dog: looks whether anything moves.
        reused: was the request given a connection that had been used? Nobody knows of a session of the user's.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base: Base,
        credentials: Credentials,
        timeout: Timeout,
        dog: Watchdog,
        reused: Callable[[aiohttp.ClientRequest], bool],
    ) -> None:
        self._session = session
        self._base = base
        self._credentials = credentials
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=timeout.connect_s, sock_connect=None, sock_read=timeout.idle_s
        )
        self._dog = dog
        self._reused = reused
        self._request: aiohttp.ClientRequest | None = None
        self._body: Pieces | None = None
        self._looks = 0

    async def run(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        raw: bytes | None,
        written: Callable[[], object],
        middlewares: Iterable[Any] = (),
    ) -> Answer:
        """The head of the answer; what goes wrong is aiohttp's exception, a ``NoAnswer`` or a ``Stalled``."""
        self._body = None if raw is None else Pieces(raw, written)
        with TaskWatch(self._dog, self.moved):  # a server that stops reading is silent, too
            response = await self._session.request(
                method,
                url,
                data=self._body,
                headers=headers,
                allow_redirects=False,
                auto_decompress=False,
                raise_for_status=False,
                timeout=self._timeout,
                middlewares=(*middlewares, self._guard),
            )
        return _Lent(response, Borrowed(response, self._dog))

    def moved(self) -> int:
        """A number that changes with every byte in or out, as far as a session shows them."""
        protocol = self._protocol()
        if protocol is None:
            self._looks += 1  # connecting has a timeout of its own
            return self._looks
        out = 0 if self._body is None else self._body.written
        if protocol.transport is not None:
            out -= protocol.transport.get_write_buffer_size()
        if isinstance(protocol, Handler):
            return protocol.heard + out
        # Set anew with every byte, and taken away by an interim answer.
        timer = protocol._read_timeout_handle
        return out if timer is None else hash(timer.when()) + out

    def _protocol(self) -> ResponseHandler | None:
        """The connection's end, once it waits for an answer."""
        response: Any = getattr(self._request, "response", None)
        return getattr(response, "_protocol", None)

    def _heard(self) -> bool:
        """Has a byte of an answer come?"""
        protocol = self._protocol()
        return isinstance(protocol, Handler) and protocol.heard > protocol.began

    async def _guard(self, request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        """The last frame before aiohttp: check where it goes, add the key, and take it away again."""
        if not self._base.owns(request.url):
            raise LeftOrigin
        self._request = request
        self._close_spoilt(request)
        if (key := self._credentials.key) is not None:
            request.headers["Authorization"] = Shy(f"Bearer {key.reveal()}")
        try:
            response: aiohttp.ClientResponse = await handler(request)
            return response
        except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError):
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            stale = self._reused(request) and not self._heard()
            broken = NoAnswer(getattr(error, "strerror", None) or "end of stream", stale)
        finally:
            request.headers.popall("Authorization", None)
        raise broken

    def _close_spoilt(self, request: aiohttp.ClientRequest) -> None:
        """Close kept connections with something on them, as far as the session could take them up now."""
        # It takes the first that is connected; there is no argument to make it look closer.
        for protocol, _ in getattr(self._session.connector, "_conns", {}).get(request.connection_key, ()):
            if as_new(protocol):
                return
            protocol.close()


class Borrowed:
    """The connection of a response of a session, which gives it back by itself when the body has ended."""

    __slots__ = ("_dog", "_protocol", "_response")

    def __init__(self, response: aiohttp.ClientResponse, dog: Watchdog) -> None:
        self._response = response
        self._protocol: ResponseHandler | None = response._protocol
        self._dog = dog
        dog.watch(self)

    @property
    def protocol(self) -> ResponseHandler | None:
        """aiohttp's end of it."""
        return self._protocol

    def close_line(self, *, whole: bool) -> None:
        """The answer has ended. Idempotent."""
        self._dog.leave(self)
        if not whole and self._protocol is not None:
            self._protocol.force_close()  # it may be given back already
        if not self._response.closed:
            self._response.close()

    def was_reset(self) -> bool:
        """Did the connection break where its end was to be the end of the body?"""
        headers = self._response.headers
        framed = "Content-Length" in headers or "Transfer-Encoding" in headers
        return not framed and self._protocol is not None and isinstance(self._protocol.exception(), OSError)

    def moved(self) -> int:
        """A number that changes with every byte of the body."""
        return self._response.content.total_bytes

    def alive(self) -> bool:
        """Can more come, or has the end been told?"""
        connection, content = self._response.connection, self._response.content
        if connection is None or content.is_eof() or content.exception() is not None:
            return True
        return connection.transport is not None and not connection.transport.is_closing()

    def stop(self, error: Stalled) -> None:
        """Whoever reads the body gets *error*."""
        self._response.content.set_exception(error)


class _Lent(Answer):
    """An answer on a session's connection."""

    __slots__ = ("_borrowed",)

    def __init__(self, response: aiohttp.ClientResponse, line: Borrowed) -> None:
        super().__init__(response.status, response.headers, response.content, line)
        self._borrowed = line

    def was_reset(self) -> bool:
        """A reset is no end, though aiohttp takes it for one."""
        return self._borrowed.was_reset()

    async def whole(self, most: int = MOST_BYTES) -> bytes:
        """As of ``Answer``."""
        raw = await super().whole(most)
        if self.was_reset():
            raise BadBody("it was cut short (the connection was reset)", raw)
        return raw
