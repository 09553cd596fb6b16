"""Where a page is, and what is said when it is not there."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from ratelimit_client import Limiter
from ratelimit_client.adapters.prometheus import MetricsPage, watch
from ratelimit_client.cli.endpoint import Endpoint, NoAnswer, NotAPage, place
from ratelimit_client.cli.seen import Seen
from ratelimit_client.errors import ConfigurationError
from tests.cli.states import state, waiting

CERTIFICATES = Path(__file__).parent.parent / "adapters" / "aiohttp" / "data"
HERE = "http://127.0.0.1:9464"

PLACES = [
    ("9464", [f"{HERE}/state.json"], "127.0.0.1:9464"),
    (" 127.0.0.1:9464 ", [f"{HERE}/state.json"], "127.0.0.1:9464"),
    (HERE, [f"{HERE}/state.json"], "127.0.0.1:9464"),
    (f"{HERE}/", [f"{HERE}/state.json"], "127.0.0.1:9464"),
    (f"{HERE}/state.json", [f"{HERE}/state.json"], "127.0.0.1:9464"),
    (f"{HERE}/events?x=1#y", [f"{HERE}/state.json"], "127.0.0.1:9464"),
    (f"{HERE}/metrics/", [f"{HERE}/state.json", f"{HERE}/metrics/state.json"], "127.0.0.1:9464"),
    ("https://m.example/a//b/", ["https://m.example/a/b/state.json"], "https://m.example/a/b"),
    ("http://u:pw@h:1/metrics", ["http://u:pw@h:1/state.json", "http://u:pw@h:1/metrics/state.json"], "***@h:1"),
    ("[::1]:9464", ["http://[::1]:9464/state.json"], "[::1]:9464"),
    ("host.example", ["http://host.example/state.json"], "host.example"),
]


@pytest.mark.parametrize(("typed", "urls", "shown"), PLACES, ids=[typed.strip() for typed, _, _ in PLACES])
def test_an_address_is_understood_as_people_type_it(typed: str, urls: list[str], shown: str) -> None:
    """With or without scheme, path and slash, or the port alone; a password is not shown."""
    found = place(typed)
    assert (list(found.urls), found.shown) == (urls, shown)


@pytest.mark.parametrize(
    "typed",
    ["ftp://h", "http://", "http://[::1", "http://h:99999", "http://h:x", "h:0", "two words", "a\x1b[31m", "://"],
)
def test_what_is_no_address_is_said(typed: str) -> None:
    """With an example, and harmless."""
    with pytest.raises(ConfigurationError, match="is no address of a page: give what") as caught:
        place(typed)
    assert str(caught.value).isprintable()


def test_a_password_is_in_no_complaint() -> None:
    """Nor in that of an address that cannot be."""
    with pytest.raises(ConfigurationError) as caught:
        place("ftp://me:hunter2@h")
    assert "hunter2" not in str(caught.value)


# -- asking ---------------------------------------------------------------------------

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def asked(answer: Answer, path: str = "", *, scheme: str = "http", tls: ssl.SSLContext | None = None) -> Seen:
    """What a server on this machine that answers so is taken for."""

    async def handle(request: Any) -> web.StreamResponse:
        return await answer(request)

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        host, port = runner.addresses[0]
        async with Endpoint(place(f"{scheme}://{host}:{port}{path}")) as endpoint:
            return await endpoint.look()
    finally:
        await runner.cleanup()


def answers(status: int = 200, body: str = "", **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body, headers={name.title(): text for name, text in headers.items()})

    return answer


def test_a_page_of_ours_is_read() -> None:
    """A real one, by any of its addresses; the second look goes where the first found it."""

    async def story() -> None:
        registry = CollectorRegistry()
        limiter = Limiter("60 requests/min", name="mine")
        watch(limiter, registry)
        async with MetricsPage("0", registry) as page:
            assert page.url is not None
            async with limiter.permit("gpt-4o"):
                for typed in (page.url, page.url.removesuffix("metrics"), page.url.removeprefix("http://")):
                    async with Endpoint(place(typed)) as endpoint:
                        for _ in range(2):
                            (key,) = (await endpoint.look()).keys
                            assert (key.client, key.model, key.in_flight) == ("mine", "gpt-4o", 1)

    asyncio.run(story())


def test_a_page_that_is_mounted_below_metrics_is_found() -> None:
    """Where nothing is beside it."""

    async def answer(request: web.Request) -> web.StreamResponse:
        there = request.path == "/metrics/state.json"
        return web.Response(status=200 if there else 404, text=json.dumps(state(waiting())) if there else "")

    assert len(asyncio.run(asked(answer, "/metrics")).keys) == 1


ODD = [
    (answers(404), "shows no state (404); give the address that a program of this version said with --metrics"),
    (answers(401), "asks for a password (401): put it into the address, http://USER:PASSWORD@HOST"),
    (answers(403), "does not answer by this name (403): ask it as 127.0.0.1 or localhost"),
    (answers(503), "is ending, or is too busy (503)"),
    (answers(500), "answers 500; give the address"),
    (answers(302, location="http://127.0.0.1:1/state.json"), "sends elsewhere (302)"),
    (answers(200, "<!doctype html><title>Hello</title>"), "shows a web page, and no state of a limiter"),
    (answers(200, '{"version": 1, "clients": [], "now_s": NaN}'), "shows something else, and no state"),
    (answers(200, "[" * 100_000), "shows something else, and no state"),
    (answers(200, '{"error": {"message": "no such route"}}'), "shows something else, and no state"),
    (answers(200, "x" * (17 << 20)), "sends more than a state has"),
]


@pytest.mark.parametrize(("answer", "said"), ODD, ids=range(len(ODD)))
def test_who_is_none_of_ours_is_told(answer: Answer, said: str) -> None:
    """What it answered, and what to type instead; nobody is followed elsewhere."""
    with pytest.raises(NotAPage) as caught:
        asyncio.run(asked(answer))
    assert said in str(caught.value)
    assert str(caught.value).startswith("127.0.0.1:")


def test_a_port_that_speaks_no_tls_is_told() -> None:
    """And what to try."""
    with pytest.raises(NotAPage, match="speaks no TLS: try http:// instead of https://"):
        asyncio.run(asked(answers(), scheme="https"))


async def _raw(reply: bytes) -> None:
    """Ask a port that sends *reply* to whatever it is asked, and closes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(reply)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with Endpoint(place(str(port))) as endpoint:
            await endpoint.look()


def test_what_is_no_http_is_told() -> None:
    """Such as the port of something else; and one that closes without a word may speak later."""
    with pytest.raises(NotAPage, match="does not speak HTTP as this program does"):
        asyncio.run(_raw(b"SSH-2.0-OpenSSH_9.2\r\n"))
    with pytest.raises(NoAnswer, match=r"the connection to 127\.0\.0\.1:\d+ broke \(ServerDisconnectedError\)"):
        asyncio.run(_raw(b""))


def test_where_nobody_listens_is_told() -> None:
    """A port that was free a moment ago; a host that nobody knows is another matter."""

    async def story() -> None:
        server = await asyncio.start_server(lambda _, __: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        async with Endpoint(place(f"u:secret@127.0.0.1:{port}")) as endpoint:
            with pytest.raises(NoAnswer) as caught:
                await endpoint.look()
        said = f"nobody listens at ***@127.0.0.1:{port} (Connection refused); does the program run, with --metrics?"
        assert str(caught.value) == said

    asyncio.run(story())


def test_a_certificate_that_is_not_trusted_is_told() -> None:
    """With what is wrong, and the variable that names another authority."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(CERTIFICATES / "stranger.pem")
    with pytest.raises(NotAPage) as caught:
        asyncio.run(asked(answers(), scheme="https", tls=tls))
    assert re.search(
        r"the certificate of https://127\.0\.0\.1:\d+ is not trusted \(.*(signed|issuer).*\); SSL_CERT_FILE may name",
        str(caught.value),
    )


def test_one_that_does_not_answer_is_not_waited_for() -> None:
    """Nor one that answers byte by byte."""

    async def story() -> None:
        writers = []

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            await reader.read()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with Endpoint(place(str(port)), slowest_s=0.05) as endpoint:
            with pytest.raises(NoAnswer, match=rf"127\.0\.0\.1:{port} did not answer within 0\.05 s"):
                await endpoint.look()
        for writer in writers:
            writer.close()
        server.close()
        await server.wait_closed()

    asyncio.run(story())
