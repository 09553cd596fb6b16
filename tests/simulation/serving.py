"""
The servers of a day.

Law of this file: a model server that is told which gate a request came through, tells the
checkers what it decided, and answers in the words of its vendor. Its clock is its own: what
happens to the date of the client's machine does not happen here.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

from ratelimit_client.core.units import NS, to_ns
from ratelimit_client.testing import Answer, ModelApp, ModelServer, VirtualLoop
from ratelimit_client.testing.clock import NEW_YEAR_2026_NS

from .tongues import TONGUES
from .world import Site

GATE = "X-Gate"
PORT = 80


class App(ModelApp):
    """The handler of one site, by a *server* that may have served on another loop before."""

    def __init__(
        self,
        site: Site,
        loop: VirtualLoop,
        arrived: Callable[[int, Answer, int], None],
        server: ModelServer | None = None,
    ) -> None:
        super().__init__(server or ModelServer(site.limits, **site.options))
        self._tongue = TONGUES[site.tongue]
        self._loop = loop
        self._ahead_ns = NEW_YEAR_2026_NS + to_ns(abs(site.ahead_s)) * (1 if site.ahead_s >= 0 else -1)
        self._arrived = arrived

    def decide(self, request: web.BaseRequest, body: bytes, *, now_ns: int) -> Answer:
        answer = super().decide(request, body, now_ns=now_ns)
        self._arrived(int(request.headers.get(GATE, 0)), answer, now_ns)
        return answer

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
