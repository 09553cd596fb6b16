"""The metrics as a part of a server that is there already."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from ratelimit_client import Limiter
from ratelimit_client.adapters.prometheus import make_metrics_app, watch


def registry() -> CollectorRegistry:
    made = CollectorRegistry()
    watch(Limiter(name="ours"), made)
    return made


def test_below_an_application_of_aiohttp():
    """
    Mounted at a path it answers there, with and without a slash; alone it answers anywhere.
    """

    async def story() -> None:
        app = web.Application()
        app.add_subapp("/metrics", make_metrics_app(registry()))
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as session:
            for path in ("/metrics", "/metrics/"):
                async with session.get(url + path) as answer:
                    assert (answer.status, "build_info" in await answer.text()) == (200, True)
            async with session.head(f"{url}/metrics") as answer:
                assert (answer.status, await answer.read()) == (200, b"")
            async with session.post(f"{url}/metrics") as answer:
                assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
            async with session.get(f"{url}/other") as answer:
                assert answer.status == 404
        await runner.cleanup()

    asyncio.run(story())


def asked(scope: dict[str, Any], *received: dict[str, Any]) -> list[dict[str, Any]]:
    """What an ASGI application sends."""
    sent: list[dict[str, Any]] = []
    messages = iter(received)

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(make_metrics_app(registry(), asgi=True)(scope, receive, send))
    return sent


def http(method: str = "GET", accept: bytes = b"*/*") -> dict[str, Any]:
    return {"type": "http", "method": method, "path": "/x", "headers": [(b"host", b"h"), (b"accept", accept)]}


def test_below_any_asgi_application():
    """
    Head and body, in the format that was asked for.
    """
    head, body = asked(http())
    assert (head["type"], head["status"]) == ("http.response.start", 200)
    assert (b"content-length", str(len(body["body"])).encode()) in head["headers"]
    assert b"build_info" in body["body"]
    head, body = asked(http(accept=b"application/openmetrics-text"))
    assert body["body"].endswith(b"# EOF\n")


def test_what_asgi_knows_besides():
    """
    HEAD has no body, POST is not for it, a lifespan is followed, a socket is refused.
    """
    assert asked(http("HEAD"))[1]["body"] == b""
    head, body = asked(http("POST"))
    assert (head["status"], head["headers"], body["body"]) == (405, [(b"allow", b"GET, HEAD")], b"")
    told = asked({"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    assert [each["type"] for each in told] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    with pytest.raises(NotImplementedError, match="websocket"):
        asked({"type": "websocket"})
