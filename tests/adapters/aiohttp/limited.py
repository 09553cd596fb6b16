"""A session of the user's own under a limiter, and what must hold when it is over."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import attrs
from aiohttp import web

from ratelimit_client import Limiter, per_day
from ratelimit_client.adapters.aiohttp import middleware
from tests.adapters.aiohttp.rawserver import RawServer, Step, answer
from tests.adapters.aiohttp.running import CHAT, QUICK
from tests.runtime.torture import at_rest

DAILY = 1000
REFUSED = answer(b'{"error":{"code":"rate_limit_exceeded"}}', status="429 X", retry_after="0.01")
BUSY = answer(b'{"error":{"code":"busy"}}', status="503 X")
FINE = answer(b'{"ok":true}')

Middleware = Callable[[aiohttp.ClientRequest, Any], Any]


@attrs.define(eq=False, repr=False)
class Limited:
    """
    Args:
        server: what is asked.
        session: who asks.
        limiter: what stands between.
    """

    server: RawServer
    session: aiohttp.ClientSession
    limiter: Limiter

    @property
    def url(self) -> str:
        return self.server.url + "/v1/chat/completions"

    @property
    def spent(self) -> int:
        """Requests that were charged, all keys."""
        keys = self.limiter.statistics().keys.values()
        return sum(DAILY - bucket.level for key in keys for bucket in key.buckets.values() if bucket.unit == "requests")


def limiter_of(**options: Any) -> Limiter:
    return Limiter(per_day(requests=DAILY), dice=lambda: 0.0, **{"retry": QUICK, **options})


@contextlib.asynccontextmanager
async def limited(
    *conversations: list[Step],
    limiter: Limiter | None = None,
    before: tuple[Middleware, ...] = (),
    after: tuple[Middleware, ...] = (),
    key: Any = None,
    retry: Any = None,
    **options: Any,
) -> AsyncIterator[Limited]:
    """
    A raw server and a session to it; at the end nobody holds a place, and no connection is out.

    Args:
        before, after: other middlewares, further out and further in.
    """
    limiter = limiter or limiter_of()
    options = {"timeout": aiohttp.ClientTimeout(total=None), **options}
    between = (*before, middleware(limiter, key=key, retry=retry), *after)
    connector = aiohttp.TCPConnector(use_dns_cache=False)
    async with (
        RawServer(*conversations) as server,
        aiohttp.ClientSession(middlewares=between, connector=connector, **options) as session,
    ):
        yield Limited(server, session, limiter)
        await asyncio.sleep(0)
        at_rest(limiter)
        assert connector.closed or not connector._acquired, "a connection that nobody has"


async def read(at: Limited, **options: Any) -> int:
    """One request, to the end of its answer; returns the status."""
    async with at.session.post(at.url, json=CHAT, **options) as response:
        await response.read()
        return response.status


@attrs.define(eq=False, repr=False)
class Noting:
    """A server of aiohttp's own, which reads every body whole: ``async with Noting(503, 200) as server``."""

    statuses: list[int]
    bodies: list[bytes] = attrs.field(factory=list)
    url: str = ""
    _runner: web.AppRunner | None = None

    @classmethod
    def of(cls, *statuses: int) -> Noting:
        return cls(list(statuses))

    async def __aenter__(self) -> Noting:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1/audio/transcriptions"
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        return web.json_response({"read": len(self.bodies[-1])}, status=self.statuses.pop(0))
