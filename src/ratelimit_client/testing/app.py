"""
The model server on a socket: an aiohttp server that carries what the pure one decides.

Law of this file: it decides nothing. It reads a request, asks, waits as long as the
answer says and writes it, or breaks off where the answer says so. When the client leaves
before that, the waiting ends and the server is told, as with real ones. The clock is that of
the running loop, so the same app is real on a real loop and virtual on a `VirtualLoop`.

It is aiohttp's low-level server, without routes: the two processes of a benchmark share
two cores, and what the server spends the client does not have.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import json
import socket
import struct
import time
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from ..runtime.listening import end_serving
from .answers import Answer, Ending
from .model_server import Limits, ModelServer
from .realtime import Session
from .sockets import Speaker, shake_hands, wants_session
from .tally import Tally

STATS_PATH = "/__stats__"
_MAX_BODY = 256 * 1024 * 1024
# Longer than any pause of a client, so that no kept connection is closed under a request.
_KEEPALIVE_S = 3600.0
# Answers still being waited for at the end are of no use to anybody.
_SHUTDOWN_S = 0.5


class ModelURL(str):
    """The base URL of a model server that is being served; a string with the server on it."""

    __slots__ = ("server",)

    server: ModelServer

    def __new__(cls, url: str, server: ModelServer) -> ModelURL:
        made = super().__new__(cls, url)
        made.server = server
        return made

    @property
    def url(self) -> str:
        """The base URL as a plain string."""
        return str.__str__(self)

    @property
    def tally(self) -> Tally:
        """What the server remembers of the run."""
        return self.server.tally


class ModelApp:
    """
    The handler of an aiohttp server around a `ModelServer`.

        runner = web.ServerRunner(ModelApp(server).aiohttp_server())

    ``GET /__stats__`` gives the tally as JSON, ``/__stats__?marks=1`` with every row.
    """

    def __init__(self, server: ModelServer) -> None:
        self.server = server
        clock = getattr(asyncio.get_running_loop(), "clock", None)
        self._now_ns = time.monotonic_ns if clock is None else clock.monotonic_ns
        # aiohttp dates answers by the clock of the machine; a virtual answer has a virtual date.
        self._wall_ns = None if clock is None else clock.wall_ns

    def aiohttp_server(self) -> web.Server:
        """An aiohttp server that answers with this app; for a ``ServerRunner``."""
        loop = asyncio.get_running_loop()

        def make_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
            return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_MAX_BODY)

        return web.Server(
            self.handle,
            request_factory=make_request,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=_KEEPALIVE_S,
        )

    def decide(self, request: web.BaseRequest, body: bytes, *, now_ns: int) -> Answer:
        """What the server makes of a request that is all there; for a subclass that wants to see it."""
        return self.server.handle(request.method, request.path, request.headers, body, now_ns=now_ns)

    def headers_of(self, answer: Answer) -> dict[str, str]:
        """The header fields to be sent; for a subclass that speaks the language of another vendor."""
        headers = dict(answer.headers)
        if self._wall_ns is not None:
            headers["date"] = email.utils.formatdate(self._wall_ns() / 1e9, usegmt=True)
        return headers

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        body = await request.read()
        if request.path == STATS_PATH:
            report = self.server.tally.report(marks="marks" in request.query)
            return web.Response(body=json.dumps(report).encode(), content_type="application/json")
        now_ns = self._now_ns()
        if wants_session(self.server, request):
            granted = shake_hands(self.server, request, now_ns=now_ns)
            if isinstance(granted, Session):
                return await Speaker(granted, self._now_ns, self._wall_s).run(request)
            answer = granted
        else:
            answer = self.decide(request, body, now_ns=now_ns)
        if answer.latency_ns:
            try:
                await asyncio.sleep(answer.latency_ns / 1e9)
            except asyncio.CancelledError:  # the client is gone, or this server is
                self.server.left(answer)
                raise
        if answer.ending is Ending.RESET:
            return _reset(request)
        headers = self.headers_of(answer)
        if answer.in_events:
            return await self._tell(request, answer, headers)
        if answer.ending is Ending.TRUNCATED:
            return await _half(request, answer, headers)
        return web.Response(status=answer.status, headers=headers, body=answer.body)

    def _wall_s(self) -> float:
        return time.time() if self._wall_ns is None else self._wall_ns() / 1e9

    async def _tell(self, request: web.BaseRequest, answer: Answer, headers: dict[str, str]) -> web.StreamResponse:
        """Send the events of a stream, evenly in time."""
        response = web.StreamResponse(status=answer.status, headers=headers)
        response.enable_chunked_encoding()
        events = answer.events()
        pause_s = answer.streaming_ns / 1e9 / max(1, len(events) - 1)
        try:
            await response.prepare(request)
            if not pause_s:
                await response.write(b"".join(events))
            for at, event in enumerate(events if pause_s else ()):
                if at:
                    await asyncio.sleep(pause_s)
                await response.write(event)
        except ConnectionResetError:  # the client is gone
            self.server.left(answer)
            return response
        except asyncio.CancelledError:  # the same, or this server is
            self.server.left(answer)
            raise
        if answer.ending is Ending.TRUNCATED and request.transport is not None:
            request.transport.close()  # without the chunk that says "this was all"
        return response


def _reset(request: web.BaseRequest) -> web.StreamResponse:
    """Drop the connection so that the other side sees a reset and not an end."""
    transport = request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response(status=500)  # never sent: the connection is gone


async def _half(request: web.BaseRequest, answer: Answer, headers: dict[str, str]) -> web.StreamResponse:
    """Send half of the body under the length of the whole, then close."""
    response = web.StreamResponse(status=answer.status, headers=headers)
    response.content_length = len(answer.body)
    with contextlib.suppress(ConnectionResetError):  # the client has gone first
        await response.prepare(request)
        await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


@contextlib.asynccontextmanager
async def serve_model(
    server: ModelServer | Limits = None, *, host: str = "127.0.0.1", port: int = 0, **options: Any
) -> AsyncIterator[ModelURL]:
    """
    Serve a model server and give its base URL, ``http://127.0.0.1:PORT/v1``.

        async with serve_model(per_minute(requests=300), latency=0.15) as url:
            async with Client(url) as client: ...
            assert url.tally.refusals == 0

    It runs on the event loop of the caller, by that loop's clock. A client that leaves
    before its answer is not served any further: the call stays charged, its place in
    flight is free, and it does not count as answered. Leaving the block (or being
    cancelled in it) stops listening, gives answers under way half a second, and ends
    every connection.

    Args:
        server: a `ModelServer`, or the limits of a new one.
        host, port: where to listen; port 0 takes a free one.
        options: keyword arguments of the new `ModelServer`.

    Yields:
        The base URL: a ``str`` that has the server as ``.server`` and its log as ``.tally``.

    Raises:
        OSError: nobody can listen there. InvalidQuota: the limits are none.
        TypeError: options for a server that is made already.
    """
    if isinstance(server, ModelServer):
        if options:
            raise TypeError(f"the server is made already: {', '.join(options)} came too late")
    else:
        server = ModelServer(server, **options)
    runner = web.ServerRunner(ModelApp(server).aiohttp_server(), shutdown_timeout=_SHUTDOWN_S)
    listening: asyncio.Server | None = None
    try:
        await runner.setup()
        assert runner.server is not None  # it was set up
        # Not serving yet: whoever is cancelled in here is to have something to close.
        listening = await asyncio.get_running_loop().create_server(
            runner.server, host, port, backlog=4096, start_serving=False
        )
        address = listening.sockets[0].getsockname()
        await listening.start_serving()
        yield ModelURL(f"http://{address[0]}:{address[1]}{server.base_path}", server)
    finally:
        await end_serving(listening, runner)
