"""
The proxy: a server in front of one API, for programs in any language.

Law of this file: every request is answered once. It is turned away, refused with a reason,
or handed on; and whatever ends it (an answer, whoever asked leaving, the proxy itself), its
place in the queue or in flight is free.

One request, top to bottom: who asks (``guests``), what for (``asking``) and how urgently
(``steering``); then it waits its turn and is sent (``Forwarder``), and the answer is passed
on as it comes (``passing``). What has no answer of the server's gets one of ours
(``refusals``).

Theory. A request is read whole before it is queued: what it costs stands in its body, and
only what is at hand can be sent again. Its body is as large as it may be, and not larger.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from ..adapters.aiohttp.exchange import Call
from ..adapters.aiohttp.forwarder import Forwarder, let_go
from ..adapters.aiohttp.forwarding import Broken
from ..errors import ConfigurationError, RateLimitClientError
from ..runtime.listening import end_serving
from ..runtime.logs import fields
from .asking import Asking
from .bodies import LONGEST_UPLOAD_S, MOST_BODY, MOST_HELD, Bodies, Held, NoRoom, TooLarge
from .files import let_more_wait
from .files import most_connections as files_for
from .guests import Guests
from .health import health_of
from .passing import Passed, head_of, pass_on, refuse, refused, say
from .refusals import DRAINING, Refusal, refusal_of
from .steering import BadSteering, steering_of

LOOPBACK: Final = "127.0.0.1"
HEALTH_PATHS: Final = frozenset({"/healthz", "/readyz"})

# Longer than common clients keep a connection, so that none is closed under a request.
_KEEPALIVE_S: Final = 120.0
_LINGER_S: Final = 2.0
_SHUTDOWN_S: Final = 0.5
_BACKLOG: Final = 4096
# Connections that are accepted in one turn of the loop: as often it would say that there is no file left for one.
_AT_ONCE: Final = 64
_METHOD: Final = re.compile(r"[A-Z]{1,20}")
_NEVER: Final = frozenset({"CONNECT", "TRACE"})
_log = logging.getLogger("ratelimit_client")


class Proxy:
    """
    An endpoint that forwards to one API, on the event loop that opens it.

        async with Proxy(Forwarder("https://api.openai.com/v1", limiter=Limiter())) as proxy:
            print(proxy.url)                # for OPENAI_BASE_URL

    Leaving ``async with`` drains it and closes it, its forwarder and its limiter; after an
    error it is closed at once.

    Args:
        forwarder: what the calls go through.
        host, port: where to listen: this machine alone unless another host is named; port 0 takes any.
        hosts: further names that lead here; ``Host`` may hold no other.
        origins: web pages that may ask, as ``Origin`` has them.
        most_body: bytes that a request may have.
        most_held: bytes that all of them may have at once.
        most_connections: callers at once; None: as many as there are files for.
    """

    def __init__(
        self,
        forwarder: Forwarder,
        *,
        host: str = LOOPBACK,
        port: int = 8080,
        hosts: Iterable[str] = (),
        origins: Iterable[str] = (),
        most_body: int = MOST_BODY,
        most_held: int = MOST_HELD,
        most_connections: int | None = None,
    ) -> None:
        self.forwarder = forwarder
        self.url = ""
        """The base URL to give to others; "" while it listens nowhere."""
        self._host, self._port = host, port
        self._hosts, self._origins = tuple(hosts), tuple(origins)
        self._bodies = Bodies(most_body, most_held)
        self._most_connections = most_connections
        self._asking = Asking(forwarder)
        self._guests: Guests
        self._runner: web.ServerRunner | None = None
        self._server: asyncio.Server | None = None

    def __repr__(self) -> str:
        return f"<Proxy {self.url or 'closed'} to {self.forwarder.upstream}>"

    # -- life ---------------------------------------------------------------------

    @property
    def private(self) -> bool:
        """Can only this machine reach it?"""
        return self._guests.private

    async def open(self) -> str:
        """
        Listen. Cancelled, it does not.

        Returns: the base URL.

        Raises:
            OSError: nobody can listen there. ConfigurationError: the upstream is this proxy.
        """
        runner = self._runner = web.ServerRunner(self._aiohttp_server(), shutdown_timeout=_SHUTDOWN_S)
        try:
            await runner.setup()
            assert runner.server is not None  # it was set up
            loop = asyncio.get_running_loop()
            server = self._server = await loop.create_server(
                runner.server, self._host, self._port, backlog=_AT_ONCE, start_serving=False
            )
            names = [sock.getsockname() for sock in server.sockets]
            self._check_upstream(names)
            self._guests = Guests([name[0] for name in names], self._host, hosts=self._hosts, origins=self._origins)
            await server.start_serving()
            let_more_wait(server.sockets, _BACKLOG)
        except BaseException:
            await self.close()
            raise
        host, port = names[0][:2]
        shown = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)
        self.url = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/v1"
        return self.url

    def _check_upstream(self, names: list[Any]) -> None:
        """
        Raises:
            ConfigurationError: every call would come back to where it is.
        """
        parts = urlsplit(self.forwarder.upstream)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        here = {name[0] for name in names if name[1] == port}
        if here and (parts.hostname in here | {"localhost", self._host} or _is_any(here, parts.hostname or "")):
            message = f"the upstream {self.forwarder.upstream} is this proxy itself: name the API that it is for"
            raise ConfigurationError(message)

    async def drain(self, timeout_s: float | None = None) -> bool:
        """
        Take no further calls, and wait for those inside: queued, in flight, or on their way to whoever asked.

        Meanwhile it listens, and answers 503.

        Returns: True when all have ended, False after *timeout_s* seconds.
        """
        return await self.forwarder.drain(timeout_s)

    async def close(self) -> None:
        """Listen no more, fail what is queued, break off what is under way. Idempotent."""
        runner, server = self._runner, self._server
        self._runner = self._server = None
        self.url = ""
        try:
            await self.forwarder.close()
        finally:
            if runner is not None:
                await end_serving(server, runner)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self.drain()
        finally:
            await self.close()

    def _aiohttp_server(self) -> web.Server:
        loop = asyncio.get_running_loop()

        def make_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
            return web.BaseRequest(message, payload, protocol, writer, task, loop)

        return _Server(
            self._most_connections or files_for(),
            self._handle,  # what it returns is all that aiohttp asks of an answer
            request_factory=make_request,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=_KEEPALIVE_S,
            lingering_time=_LINGER_S,
        )

    # -- one request ----------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> Passed:
        try:
            refusal = self._turn_away(request)
            if refusal is not None:
                return refuse(request, refusal, close=True)
            if request.raw_path.partition("?")[0] in HEALTH_PATHS:
                return self._tell_health(request)
            with self._bodies.one() as held:
                made = await self._call(request, held)
                if isinstance(made, Refusal):
                    return refuse(request, made, close=self.forwarder.is_shut or made.status in _UNREAD)
                return await self._forward(request, made)
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 - aiohttp would log it, with all that its frames hold
            extra = fields("proxy_failed", error=type(error).__name__)
            _log.error("a bug in the proxy ended a request: %s", type(error).__name__, extra=extra)
            return refuse(
                request, Refusal(500, "proxy_failed", "the proxy failed: this is a bug", "server_error"), close=True
            )

    def _turn_away(self, request: web.BaseRequest) -> Refusal | None:
        """What cannot be asked here, whoever asks."""
        if (why := self._guests.why_not(request.headers)) is not None:
            return Refusal(403, *why)
        method = request.method
        if method in _NEVER or not _METHOD.fullmatch(method):
            return Refusal(405, "method_not_allowed", "this proxy opens no tunnels and mirrors no requests")
        if not request.raw_path.startswith("/"):
            return Refusal(400, "invalid_path", "a request to this proxy names a path, and nothing else of a URL")
        headers = request.headers
        if "websocket" in headers.get("Upgrade", "").lower():
            return Refusal(501, "websocket_not_supported", "this proxy forwards requests and no websockets")
        if headers.get("Transfer-Encoding", "chunked").strip().lower() != "chunked":
            # Chunks would be undone and the coding not, so that the server could not know what came.
            return Refusal(501, "coding_not_supported", "a body comes to this proxy in chunks, and in no other coding")
        return None

    def _tell_health(self, request: web.BaseRequest) -> Passed:
        if request.method not in ("GET", "HEAD"):
            return refuse(request, Refusal(405, "method_not_allowed", "how the proxy is can be asked for with GET"))
        status, body = health_of(self.forwarder, self._bodies.held)
        return say(request, status, body, [("Cache-Control", "no-store")], close=self.forwarder.is_shut)

    async def _call(self, request: web.BaseRequest, held: Held) -> Call | Refusal:
        """What *request* asks for, read whole."""
        if self.forwarder.is_shut:
            return DRAINING
        try:
            steering = steering_of(request.headers)
            raw = await held.read(request)
            return self._asking.call(request.method, request.raw_path, request.headers, raw, steering)
        except BadSteering as bad:
            return Refusal(400, "invalid_header", str(bad), param=bad.header)
        except ConfigurationError as error:
            return Refusal(400, "invalid_request", str(error))
        except TooLarge:
            most = self._bodies.most_body
            words = f"a request to this proxy has at most {most} bytes, which it holds while the call waits"
            return Refusal(413, "body_too_large", words, again=False)
        except NoRoom:
            most, after_s = self._bodies.most_held, self.forwarder.limiter.next_in_s or 1.0
            words = f"the requests that wait here hold {most} bytes together, which is the most; nothing was sent"
            return Refusal(503, "memory_full", words, "server_error", after_s=after_s, again=True)
        except TimeoutError:
            return Refusal(408, "upload_too_slow", f"the request did not come within {LONGEST_UPLOAD_S:g} s")
        except web.RequestPayloadError:
            return Refusal(400, "invalid_body", "the body of the request is not what its head says")

    async def _forward(self, request: web.BaseRequest, call: Call) -> Passed:
        forwarder = self.forwarder
        try:
            forwarded = await forwarder.forward(call)
        except RateLimitClientError as error:
            next_in_s = forwarder.limiter.next_in_s
            refusal = refusal_of(error, deadline_s=call.deadline_s, next_in_s=next_in_s)
            let_go(error)
            return refuse(request, refusal, close=forwarder.is_shut)
        broken: Exception | None = None
        try:
            return await pass_on(request, forwarded, close=forwarder.is_shut)
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 - part of an answer is written, and nothing can be said any more
            broken = error
            if not isinstance(error, Broken | TimeoutError):
                extra = fields("proxy_failed", error=type(error).__name__)
                _log.error("a bug in the proxy broke an answer off: %s", type(error).__name__, extra=extra)
            return Passed(keep_alive=False)
        finally:
            forwarded.close(broken)
            if broken is not None:
                let_go(broken)


def _is_any(here: Iterable[str], host: str) -> bool:
    """Is *host* an address of this machine that is among all of them?"""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    any_of_its_kind = "0.0.0.0" if address.version == 4 else "::"
    return any_of_its_kind in here and (address.is_loopback or address.is_unspecified)


# Refusals after which the rest of a body may still be on its way.
_UNREAD: Final = frozenset({400, 408, 413, 503})


class _Connection(RequestHandler):
    """aiohttp's end of a connection; what is no HTTP gets the API's form of an error, and is not logged."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What the parser did not understand may hold a key, so nothing of it is repeated."""
        refusal = Refusal(400, "invalid_http", "this is no request of HTTP/1.1, or one with too large a head")
        return refuse(request, refusal, close=True)  # type: ignore[return-value]  # all that is asked of an answer

    def _pause_reading_for_buffer(self) -> None:
        """
        It has sent dozens of requests ahead of their answers; that is the end of it.

        aiohttp would read no further, and what is not read from does not tell when the other side has left: its
        place would be held for as long as the server takes.
        """
        if self.transport is not None:
            self.transport.abort()

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Nothing: frames hold what was sent."""


class _Full(asyncio.Protocol):
    """A connection too many: it is told so, whatever it asks, and left."""

    def connection_made(self, transport: Any) -> None:
        """It is there."""
        lines = [("Content-Length", str(len(_FULL.body))), *refused(_FULL), ("Connection", "close")]
        transport.write(head_of(_FULL.status, [("Content-Type", "application/json"), *lines]) + _FULL.body)
        transport.close()


_FULL: Final = Refusal(
    503,
    "too_many_connections",
    "this proxy has as many connections as it has files for; nothing was sent. Raise the limit of files (ulimit -n)",
    "server_error",
    after_s=1.0,
    again=True,
)


class _Server(web.Server):
    """Of such connections; *most* of them at once."""

    def __init__(self, most: int, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._most = most

    def __call__(self) -> RequestHandler:
        if len(self._connections) >= self._most:
            return _Full()  # type: ignore[return-value]  # a protocol, which is all that a loop asks for
        return _Connection(self, loop=self._loop, **self._kwargs)
