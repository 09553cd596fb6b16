"""
A page of metrics on this machine.

    async with MetricsPage("9464"):       # http://127.0.0.1:9464/metrics
        ...

Law of this file: the page is a spectator. Its port being taken is a warning, and no
scraper, slow or hostile, gets more of the loop than one scrape takes. When it is
closed, every connection is, also one that came at the last moment.
"""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Self

from aiohttp import web
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder

from ...errors import ConfigurationError
from ...runtime.listening import stop_listening

LOOPBACK = "127.0.0.1"

_SLOWEST_SCRAPER_S = 10.0
_log = logging.getLogger("ratelimit_client")


def address_of(text: str) -> tuple[str, int]:
    """
    ``[HOST:]PORT`` as (host, port); without a host it is this machine alone.

    Raises:
        ConfigurationError: it is no address.
    """
    host, colon, port = text.strip().rpartition(":")
    if port.isascii() and port.isdigit() and 0 <= int(port) <= 65535 and (host or not colon):
        return host.removeprefix("[").removesuffix("]") or LOOPBACK, int(port)
    raise ConfigurationError(f"{text!r:.80} is no address for metrics: give a port, or HOST:PORT, such as 9464")


class MetricsPage:
    """
    ``/metrics`` for Prometheus, on the event loop that opens it.

    Args:
        address: ``[HOST:]PORT``; loopback unless a host is named; port 0 takes any.
        registry: what it shows.
    """

    def __init__(self, address: str, registry: CollectorRegistry = REGISTRY) -> None:
        self.url: str | None = None
        """Where it is; None when it is nowhere."""
        self._host, self._port = address_of(address)
        self._registry = registry
        self._runner: web.ServerRunner | None = None
        self._server: asyncio.Server | None = None

    async def open(self) -> str | None:
        """
        Listen; cancelled, it does not. Opening what is open changes nothing.

        Returns:
            The address, or None after a warning when that cannot be.
        """
        if self._runner is not None:
            return self.url
        runner = self._runner = web.ServerRunner(
            web.Server(self._answer, access_log=None, keepalive_timeout=_SLOWEST_SCRAPER_S),
            handle_signals=False,
            shutdown_timeout=0.1,
        )
        try:
            await self._listen(runner)
        except OSError as error:
            await self.close()
            _log.warning("no metrics at %s:%d: %s", self._host, self._port, error.strerror or type(error).__name__)
        except BaseException:
            await self.close()
            raise
        return self.url

    async def _listen(self, runner: web.ServerRunner) -> None:
        await runner.setup()
        assert runner.server is not None  # it was set up
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(runner.server, self._host, self._port, start_serving=False)
        host, port = self._server.sockets[0].getsockname()[:2]
        await self._server.start_serving()
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"

    async def close(self) -> None:
        """
        Listen no more, and end every connection; an answer under way has a moment to be written. Idempotent.

        Cancelled, it has stopped listening, and connections end with the event loop.
        """
        runner, server = self._runner, self._server
        self._runner = self._server = self.url = None
        try:
            if server is not None:
                await stop_listening(server)
        finally:
            if runner is not None:
                await runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != "/metrics":
            return web.Response(status=404, text="/metrics is what there is\n")
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})

        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        response = web.Response(body=encode(self._registry), headers={"Content-Type": content_type})
        try:
            async with asyncio.timeout(_SLOWEST_SCRAPER_S):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        return response

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<MetricsPage {self.url or 'closed'}>"
