"""
The live page as a part of a server that is there already.

    app.add_subapp("/limits", make_live_app())                   # aiohttp
    app.mount("/limits", make_live_app(asgi=True))               # Starlette, FastAPI, any ASGI

Law of this file: it answers and decides nothing else. Who may ask, and by which name, is the
server's affair.

Theory. The page asks for what stands beside it, wherever it is mounted; so its path has to end
in a slash, and without one whoever asks is sent there. What is below is shown while somebody
looks: of a server that is mounted somewhere nobody says when it begins and ends, so the history
begins with the first look, and is given up when nobody has looked for ten minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, overload
from urllib.parse import quote

from aiohttp import web
from prometheus_client import CollectorRegistry

from .apps import AsgiApp, Message, Scope, lifespan
from .live import Listener, Live
from .serving import EVENTS, READS, SLOWEST_READER_S, STREAM, answer_to, respond
from .watching import known_collector

_Receive = Callable[[], Awaitable[Message]]
_Send = Callable[[Message], Awaitable[None]]
_ALLOW = {"Allow": ", ".join(READS)}


@overload
def make_live_app(registry: CollectorRegistry | None = None, *, asgi: Literal[False] = False) -> web.Application: ...


@overload
def make_live_app(registry: CollectorRegistry | None = None, *, asgi: Literal[True]) -> AsgiApp: ...


def make_live_app(registry: CollectorRegistry | None = None, *, asgi: bool = False) -> web.Application | AsgiApp:
    """
    An application that shows what ``watch`` has put into *registry*: the page, ``state.json`` and ``events``.

    At most 16 listen at once; making what they are told takes a twentieth of the loop's time at most.

    Args:
        registry: None: the default one. Of several processes it shows the one that answers.
        asgi: an ASGI application, and not one of aiohttp.
    """
    live = Live(lambda: known_collector(registry), rests=True)
    return _asgi(live) if asgi else _aiohttp(live)


def _aiohttp(live: Live) -> web.Application:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method not in READS:
            return web.Response(status=405, headers=_ALLOW)
        if (name := request.match_info.get("name")) is None:
            return web.Response(status=308, headers={"Location": _with_slash(request.rel_url.raw_path)})
        return await respond(live, request, name) or web.Response(status=404)

    async def end(app: web.Application) -> None:
        live.close()

    app = web.Application()
    app.router.add_route("*", "", answer)
    app.router.add_route("*", "/{name:.*}", answer)
    app.on_shutdown.append(end)
    return app


def _asgi(live: Live) -> AsgiApp:
    async def app(scope: Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            live.close()
            return
        if scope["type"] != "http":
            raise NotImplementedError(f"this is a page: {scope['type']:.40} is no way to read it")
        below = scope["path"].removeprefix(scope.get("root_path", ""))
        is_head = scope["method"] == "HEAD"
        if scope["method"] not in READS:
            await _answer(send, 405, _ALLOW)
        elif not below:
            await _answer(send, 308, {"Location": _with_slash(quote(scope["path"]))})
        elif below == f"/{EVENTS}":
            await _start(send, 200, STREAM)
            if is_head:
                await send({"type": "http.response.body"})
            else:
                await _tell(live, receive, send)
        elif (found := answer_to(live, below.removeprefix("/"))) is None:
            await _answer(send, 404, {})
        else:
            headers = {**found.headers, "Content-Length": str(len(found.body))}
            await _answer(send, 200, headers, b"" if is_head else found.body)

    return app


async def _answer(send: _Send, status: int, headers: dict[str, str], body: bytes = b"") -> None:
    await _start(send, status, headers)
    await send({"type": "http.response.body", "body": body})


async def _start(send: _Send, status: int, headers: dict[str, str]) -> None:
    told = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": told})


async def _tell(live: Live, receive: _Receive, send: _Send) -> None:
    """All events, until one of both sides leaves."""
    with live.listening() as listener:
        leaving = asyncio.create_task(_until_gone(receive, listener))
        try:
            async for event in listener:
                async with asyncio.timeout(SLOWEST_READER_S):
                    await send({"type": "http.response.body", "body": event, "more_body": True})
            await send({"type": "http.response.body"})
        except (OSError, TimeoutError):  # it left, or it reads nothing: the server ends what was not finished
            pass
        finally:
            leaving.cancel()


async def _until_gone(receive: _Receive, listener: Listener) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    listener.end()


def _with_slash(path: str) -> str:
    """Relative, so that it holds behind whatever rewrites paths; and never the name of another place."""
    return f"./{path.rpartition('/')[2]}/"
