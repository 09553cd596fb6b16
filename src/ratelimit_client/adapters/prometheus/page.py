"""
A page of metrics on this machine.

    async with MetricsPage("9464"):       # http://127.0.0.1:9464/metrics
        ...

Law of this file: the page is a spectator. Its port being taken is a warning, and scrapers,
slow, hostile or a thousand, get a twentieth of the loop and a few dozen connections at most.
When it is closed, every connection is, also one that came at the last moment.

Theory. A page on loopback is for this machine, and so is the browser on it: a web site
can let its own name point to 127.0.0.1 and have its script read what answers (DNS
rebinding). Such a request says in ``Host`` which name it was for. A public name has a
dot, so on loopback a name with a dot is turned away unless it is an address or the one
that was asked for here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from prometheus_client import CollectorRegistry

from ...errors import ConfigurationError
from ...runtime.listening import end_serving
from ...runtime.logs import fields
from .live import Live
from .processes import registry_of
from .serving import READS, SLOWEST_READER_S, respond, whole
from .text import Text
from .watching import known_collector

LOOPBACK = "127.0.0.1"

# A file each, which calls need as well; one more, and the one that has been there longest goes.
_MOST_CONNECTIONS = 32
# Accepting one takes as long as a call takes to be let out.
_ACCEPTED_IN_A_TURN = 16
_PORT = re.compile(r":[0-9]*\Z")
_NOT_FOR_YOU = (
    "these metrics are for this machine and were asked for by another name; behind a proxy, let it send "
    "Host: localhost, or name the address to listen on\n"
)
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


class _Quiet(logging.LoggerAdapter[logging.Logger]):
    """Whoever sends what is no request fills no log with it."""

    def log(self, level: int, *args: Any, **kwargs: Any) -> None:
        super().log(logging.DEBUG, *args, **kwargs)


class MetricsPage:
    """
    ``/metrics`` for Prometheus and ``/`` for people, on the event loop that opens it.

    Args:
        address: ``[HOST:]PORT``; loopback unless a host is named; port 0 takes any.
        registry: what it shows; None: the default one, or where PROMETHEUS_MULTIPROC_DIR is set what
            all processes wrote there.
    """

    def __init__(self, address: str, registry: CollectorRegistry | None = None) -> None:
        self.url: str | None = None
        """Where it is; None when it is nowhere."""
        self._host, self._port = address_of(address)
        self._text = Text(registry_of(registry))
        self._live = Live(lambda: known_collector(registry))
        self._private = True
        self._runner: web.ServerRunner | None = None
        self._server: asyncio.Server | None = None

    @property
    def live_url(self) -> str | None:
        """Where people watch what is done; None when it is nowhere."""
        return self.url and self.url.removesuffix("metrics")

    @property
    def listeners(self) -> int:
        """How many are told each second what is done."""
        return self._live.listeners

    async def open(self) -> str | None:
        """
        Listen; cancelled, it does not. Opening what is open changes nothing.

        Returns:
            The address, or None after a warning when that cannot be.
        """
        if self._runner is not None:
            return self.url
        runner = self._runner = web.ServerRunner(
            web.Server(
                self._answer,
                access_log=None,
                logger=_Quiet(_log),
                keepalive_timeout=SLOWEST_READER_S,
                lingering_time=0,
            ),
            handle_signals=False,
            shutdown_timeout=0.1,
        )
        try:
            await self._listen(runner)
        except OSError as error:
            await self.close()
            why = error.strerror or type(error).__name__
            extra = fields("no_page", host=self._host, port=self._port, error=why)
            _log.warning("no metrics at %s:%d: %s", self._host, self._port, why, extra=extra)
        except BaseException:
            await self.close()
            raise
        return self.url

    async def _listen(self, runner: web.ServerRunner) -> None:
        await runner.setup()
        served = runner.server
        assert served is not None  # it was set up

        def admit() -> asyncio.Protocol:
            _make_room(served)
            return served()

        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            admit, self._host, self._port, backlog=_ACCEPTED_IN_A_TURN, start_serving=False
        )
        host, port = self._server.sockets[0].getsockname()[:2]
        self._private = all(_is_loopback(each.getsockname()[0]) for each in self._server.sockets)
        self._live.open()
        await self._server.start_serving()
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"

    async def close(self) -> None:
        """
        Listen no more, and end every connection; an answer under way has a moment to be written. Idempotent.

        Cancelled, it has stopped listening; answers under way get less than a moment, or none.
        """
        runner, server = self._runner, self._server
        self._runner = self._server = self.url = None
        self._live.close()
        if runner is not None:
            await end_serving(server, runner)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._private and not self._is_ours(request.headers.get("Host", "")):
            return web.Response(status=403, text=_NOT_FOR_YOU)
        if request.method not in READS:
            return web.Response(status=405, headers={"Allow": ", ".join(READS)})
        if request.path == "/metrics":
            status, body, kind = self._text.read(request.headers.get("Accept", ""))
            return await whole(request, web.Response(status=status, body=body, headers={"Content-Type": kind}))
        shown = await respond(self._live, request, request.path.removeprefix("/"))
        return shown or web.Response(status=404, text="/ and /metrics are what there is\n")

    def _is_ours(self, host: str) -> bool:
        """Is this ``Host`` a name of this machine, or at least none that a stranger could point here?"""
        name = _PORT.sub("", host).strip("[]").rstrip(".").lower()
        return "." not in name or name == self._host.lower() or name.endswith(".localhost") or _is_address(name)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<MetricsPage {self.url or 'closed'}>"


def _make_room(served: web.Server) -> None:
    """One connection more is coming: there are to be no more than so many."""
    there = [each.transport for each in served.connections if each.transport is not None]
    alive = [transport for transport in there if not transport.is_closing()]
    too_many = max(0, len(alive) + 1 - _MOST_CONNECTIONS)
    for transport in alive[:too_many]:
        transport.abort()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(address: str) -> bool:
    return _is_address(address) and ipaddress.ip_address(address).is_loopback
