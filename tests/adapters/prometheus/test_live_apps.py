"""The live page as a part of a server that is there already."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from ratelimit_client import Limiter
from ratelimit_client.adapters.prometheus import make_live_app, watch
from ratelimit_client.adapters.prometheus.document import document

OURS = Limiter(name="ours")


def registry() -> CollectorRegistry:
    made = CollectorRegistry()
    watch(OURS, made)
    return made


@contextlib.asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def test_below_an_application_of_aiohttp():
    """
    Mounted at a path it sends there whoever forgot the slash; the page, its numbers and its events are below.
    """

    async def story() -> None:
        app = web.Application()
        app.add_subapp("/limits", make_live_app(registry()))
        async with served(app) as url, aiohttp.ClientSession() as session:
            async with session.get(f"{url}/limits") as answer:
                assert str(answer.url) == f"{url}/limits/"
                assert await answer.read() == document().body
                assert answer.headers["Content-Security-Policy"] == document().policy
            async with session.get(f"{url}/limits/state.json") as answer:
                assert [each["client"] for each in (await answer.json())["clients"]] == ["ours"]
            async with session.get(f"{url}/limits/events") as answer:
                assert answer.content_type == "text/event-stream"
                assert (await answer.content.readline()).startswith(b"retry")
            for path in ("", "state.json", "events"):
                async with session.head(f"{url}/limits/{path}") as answer:
                    assert (answer.status, await answer.read()) == (200, b"")
            async with session.post(f"{url}/limits/") as answer:
                assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
            async with session.get(f"{url}/limits/other") as answer:
                assert answer.status == 404

    asyncio.run(story())


def test_the_end_of_a_server_of_aiohttp():
    """
    Whoever listens is told of it, and holds nobody up.
    """

    async def story() -> None:
        async with aiohttp.ClientSession() as session:
            async with served(make_live_app(registry())) as url:
                answer = await session.get(f"{url}/events")
                await answer.content.readuntil(b"\n\n")
            assert (await answer.read()).endswith(b"event: end\ndata: {}\n\n")
            answer.close()

    asyncio.run(asyncio.wait_for(story(), 30))


class Server:
    """What an ASGI application is told and tells, of one request."""

    def __init__(self, app: Any) -> None:
        self.app, self.sent = app, asyncio.Queue[Any]()
        self.received = asyncio.Queue[Any]()
        self.breaks: type[Exception] | None = None

    async def send(self, message: Any) -> None:
        if self.breaks is not None:
            raise self.breaks
        self.sent.put_nowait(message)

    async def ask(self, path: str, method: str = "GET", root: str = "/limits", kind: str = "http") -> None:
        scope = {"type": kind, "method": method, "path": root + path, "root_path": root, "headers": []}
        await self.app(scope, self.received.get, self.send)

    async def got(self, path: str, method: str = "GET", **how: str) -> tuple[int, dict[str, str], bytes]:
        """Of an answer that ends."""
        await self.ask(path, method, **how)
        start, body = self.sent.get_nowait(), self.sent.get_nowait()
        assert self.sent.empty()
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], headers, body.get("body", b"")


def test_below_any_asgi_application():
    """
    The same, mounted or alone, with the path it was mounted at told apart from the path that was asked for.
    """

    async def story() -> None:
        server = Server(make_live_app(registry(), asgi=True))
        for root in ("/limits", ""):
            status, headers, body = await server.got("/", root=root)
            assert (status, body) == (200, document().body)
            assert headers["content-security-policy"] == document().policy
            assert headers["content-length"] == str(len(body))
        status, headers, body = await server.got("/state.json")
        assert json.loads(body)["clients"][0]["client"] == "ours"
        assert (await server.got("/", "HEAD"))[2] == b""
        assert (await server.got("/events", "HEAD"))[1]["content-type"].startswith("text/event-stream")
        assert (await server.got(""))[:2] == (308, {"location": "./limits/"})
        assert (await server.got("", root="//javascript:é"))[1] == {"location": "./javascript%3A%C3%A9/"}
        assert (await server.got("/", "POST"))[:2] == (405, {"allow": "GET, HEAD"})
        assert (await server.got("/other"))[0] == 404
        with pytest.raises(NotImplementedError, match="websocket"):
            await server.ask("/events", kind="websocket")

    asyncio.run(story())


def test_events_of_asgi():
    """
    One after the other, until the listener leaves; nothing is left behind then.
    """

    async def story() -> None:
        server = Server(make_live_app(registry(), asgi=True))
        before = asyncio.all_tasks()
        listening = asyncio.create_task(server.ask("/events"))
        assert (await server.sent.get())["status"] == 200
        for _ in range(2):
            message = await server.sent.get()
            assert message["more_body"]
            assert b"data: {" in message["body"]
        server.received.put_nowait({"type": "http.request"})
        server.received.put_nowait({"type": "http.disconnect"})
        await listening
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before

    asyncio.run(asyncio.wait_for(story(), 30))


@pytest.mark.parametrize("breaks", [OSError, TimeoutError])
def test_a_listener_of_asgi_that_is_gone(breaks: type[Exception]):
    """
    Writing to it fails, or takes too long: that is the end of it, and no error.
    """

    async def story() -> None:
        server = Server(make_live_app(registry(), asgi=True))
        listening = asyncio.create_task(server.ask("/events"))
        await server.sent.get()
        server.breaks = breaks
        await listening

    asyncio.run(asyncio.wait_for(story(), 30))


def test_the_end_of_a_server_of_asgi():
    """
    Said to the application itself, it ends what listens to it.
    """

    async def story() -> None:
        server = Server(make_live_app(registry(), asgi=True))
        listening = asyncio.create_task(server.ask("/events"))
        await server.sent.get()
        life = Server(server.app)
        for message in ("lifespan.startup", "lifespan.shutdown"):
            life.received.put_nowait({"type": message})
        await life.ask("", kind="lifespan")
        await listening
        told = [server.sent.get_nowait() for _ in range(server.sent.qsize())]
        assert told[-1] == {"type": "http.response.body"}
        assert told[-2]["body"].endswith(b"event: end\ndata: {}\n\n")

    asyncio.run(asyncio.wait_for(story(), 30))
