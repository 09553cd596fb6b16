"""
The metrics as a part of a server that is there already.

    app.add_subapp("/metrics", make_metrics_app())               # aiohttp
    app.mount("/metrics", make_metrics_app(asgi=True))           # Starlette, FastAPI, any ASGI

Law of this file: it answers and decides nothing else. Who may ask, and by which name, is the
server's affair.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Literal, overload

from aiohttp import web
from prometheus_client import CollectorRegistry

from .processes import registry_of
from .serving import READS
from .text import Text

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
AsgiApp = Callable[[Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


@overload
def make_metrics_app(registry: CollectorRegistry | None = None, *, asgi: Literal[False] = False) -> web.Application: ...


@overload
def make_metrics_app(registry: CollectorRegistry | None = None, *, asgi: Literal[True]) -> AsgiApp: ...


def make_metrics_app(registry: CollectorRegistry | None = None, *, asgi: bool = False) -> web.Application | AsgiApp:
    """
    An application that shows *registry*, whatever path it is asked for.

    However often it is asked, making the page takes a twentieth of the loop's time at most.

    Args:
        registry: None: the default one; where PROMETHEUS_MULTIPROC_DIR is set, what all processes wrote there.
        asgi: an ASGI application, and not one of aiohttp.
    """
    text = Text(registry_of(registry))
    return _asgi(text) if asgi else _aiohttp(text)


def _aiohttp(text: Text) -> web.Application:
    async def answer(request: web.Request) -> web.Response:
        if request.method not in READS:
            return web.Response(status=405, headers={"Allow": ", ".join(READS)})
        status, body, kind = text.read(request.headers.get("Accept", ""))
        return web.Response(status=status, body=body, headers={"Content-Type": kind})

    app = web.Application()
    app.router.add_route("*", "", answer)
    app.router.add_route("*", "/{any:.*}", answer)
    return app


def _asgi(text: Text) -> AsgiApp:
    async def app(
        scope: Scope, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise NotImplementedError(f"these are metrics: {scope['type']:.40} is no way to read them")
        headers: list[tuple[bytes, bytes]]
        if scope["method"] not in READS:
            status, body, headers = 405, b"", [(b"allow", ", ".join(READS).encode())]
        else:
            accept = b",".join(value for name, value in scope["headers"] if name.lower() == b"accept")
            status, body, kind = text.read(accept.decode("latin-1"))
            headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return app


async def lifespan(receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    """Nothing to begin and nothing to end; said as a server expects it, until it stops."""
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})
    await send({"type": "lifespan.shutdown.complete"})
