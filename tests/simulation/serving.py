"""
The servers of a day.

Law of this file: a model server that is told which gate a request came through, tells the
checkers what it decided, and answers in the words of its vendor. Its clock is its own: what
happens to the date of the client's machine does not happen here.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any

from aiohttp import web

from ratelimit_client.core.units import NS, to_ns
from ratelimit_client.testing import Answer, ModelApp, ModelServer, VirtualLoop
from ratelimit_client.testing.answers import NOBODY
from ratelimit_client.testing.clock import NEW_YEAR_2026_NS

from .tongues import TONGUES
from .world import Site

GATE = "X-Gate"
PORT = 80


_gate: ContextVar[int] = ContextVar("gate")


class Heard(ModelServer):
    """A model server whose responses on sockets are told as well, which are no requests."""

    tell: Callable[[Answer, int], None]

    def decide(self, ask: Any, caller: Any = NOBODY, *, now_ns: int, **more: Any) -> Answer:
        answer = super().decide(ask, caller, now_ns=now_ns, **more)
        if ask.endpoint == "realtime":
            self.tell(answer, now_ns)
        return answer


class App(ModelApp):
    """The handler of one site, by a *server* that may have served on another loop before."""

    def __init__(
        self,
        site: Site,
        loop: VirtualLoop,
        arrived: Callable[[int, Answer, int], None],
        server: ModelServer | None = None,
    ) -> None:
        super().__init__(server or Heard(site.limits, **site.options))
        if isinstance(self.server, Heard):
            self.server.tell = lambda answer, now_ns: arrived(_gate.get(), answer, now_ns)
        self._tongue = TONGUES[site.tongue]
        self._loop = loop
        self._ahead_ns = NEW_YEAR_2026_NS + to_ns(abs(site.ahead_s)) * (1 if site.ahead_s >= 0 else -1)
        self._arrived = arrived

    def decide(self, request: web.BaseRequest, body: bytes, *, now_ns: int) -> Answer:
        method = "POST" if request.method == "PUT" else request.method  # there is nothing to put, but to repeat
        answer = self.server.handle(method, request.path, request.headers, body, now_ns=now_ns)
        self._arrived(int(request.headers.get(GATE, 0)), answer, now_ns)
        return answer

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        _gate.set(int(request.headers.get(GATE, 0)))
        return await super().handle(request)

    def headers_of(self, answer: Answer) -> dict[str, str]:
        return self._tongue(answer, self._loop.clock.monotonic_ns() - 1000 * NS + self._ahead_ns)


@contextlib.asynccontextmanager
async def serving(
    site: Site, loop: VirtualLoop, arrived: Callable[[int, Answer, int], None], server: ModelServer | None = None
) -> AsyncIterator[App]:
    """Serve *site* at its host."""
    app = App(site, loop, arrived, server)
    runner: Any = web.ServerRunner(app.aiohttp_server(), shutdown_timeout=0.5)
    await runner.setup()
    try:
        listening = await loop.create_server(runner.server, site.name, PORT)
        try:
            yield app
        finally:
            listening.close()
    finally:
        await runner.cleanup()
