"""
A page of metrics on this machine.

    async with MetricsPage("9464"):       # http://127.0.0.1:9464/metrics
        ...

Law of this file: the page is a spectator. Its port being taken is a warning, and no
scraper, slow or hostile, gets more of the loop than one scrape takes.
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
    ``/metrics`` for Prometheus.

    Args:
        address: ``[HOST:]PORT``; loopback unless a host is named; port 0 takes any.
        registry: what it shows.
    """

    def __init__(self, address: str, registry: CollectorRegistry = REGISTRY) -> None:
        self._host, self._port = address_of(address)
        self._registry = registry
        self._runner: web.ServerRunner | None = None
        self.url: str | None = None
        """Where it is; None when it is nowhere."""

    async def open(self) -> str | None:
        """Listen; returns the address, or None after a warning when that cannot be."""
        runner = web.ServerRunner(
            web.Server(self._answer, access_log=None, keepalive_timeout=_SLOWEST_SCRAPER_S),
            handle_signals=False,
            shutdown_timeout=0.1,
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, self._port)
            await site.start()
        except OSError as error:
            await runner.cleanup()
            _log.warning("no metrics at %s:%d: %s", self._host, self._port, error.strerror or type(error).__name__)
            return None
        self._runner = runner
        host, port = runner.addresses[0][:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"
        return self.url

    async def close(self) -> None:
        """Listen no more. Idempotent."""
        runner, self._runner, self.url = self._runner, None, None
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
