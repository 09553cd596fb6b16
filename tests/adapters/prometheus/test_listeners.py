"""Listeners that mean no good, or read nothing: the loop, the scrape and the others go on."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry

from ratelimit_client import Limiter
from ratelimit_client.adapters.prometheus import Collector, MetricsPage, progress, watch
from ratelimit_client.adapters.prometheus.document import document
from ratelimit_client.adapters.prometheus.live import MOST_LISTENERS, Live
from ratelimit_client.adapters.prometheus.serving import respond
from tests.adapters.prometheus.test_hostile import CONNECTIONS, more_files, port_of, scrape

ASKS = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def until(right: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        for _ in itertools.count():
            if right():
                return
            await asyncio.sleep(0.01)


async def deaf(port: int) -> socket.socket:
    """A listener with a small ear that never reads."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", port))
    await loop.sock_sendall(sock, ASKS)
    return sock


def test_a_thousand_that_listen_and_do_not_read():
    """
    As many as there is room for are kept; the loop turns meanwhile, a scrape is served, and so is one who reads.
    """

    async def story() -> None:
        registry = CollectorRegistry()
        limiter = Limiter(name="ours")
        watch(limiter, registry)
        # Each event is large, so that a few of them fill a socket.
        progress("large", lambda: {"state": "x" * 2**17}, registry)
        async with MetricsPage("0", registry) as page:
            turns = 0

            async def others() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            beside = asyncio.create_task(others())
            crowd = [await deaf(port_of(page)) for _ in range(CONNECTIONS)]
            assert await scrape(page) == 200
            assert page.listeners <= MOST_LISTENERS
            async with aiohttp.ClientSession() as session, session.get(f"{page.live_url}events") as answer:
                for _ in range(2):
                    while not (await answer.content.readuntil(b"\n\n")).startswith(b"data: {"):
                        pass
            assert await scrape(page) == 200
            assert turns >= CONNECTIONS // 16
            beside.cancel()
            for guest in crowd:
                guest.close()

    with more_files():
        asyncio.run(asyncio.wait_for(story(), 200))


def test_one_that_reads_nothing_is_cut_off():
    """
    After a while, and with all that was still to be written to it; one that reads is told all.
    """

    async def story() -> None:
        collector = Collector(None)
        collector.progress("large", lambda: {"state": "x" * 2**23})
        live = Live(lambda: collector, rests=True)

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            return await respond(live, request, "events", patience_s=0.2) or web.Response(status=404)

        runner = web.ServerRunner(web.Server(answer))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        guest = await deaf(runner.addresses[0][1])
        await until(lambda: live.listeners == 1)
        await until(lambda: live.listeners == 0)
        guest.close()
        live.close()
        await runner.cleanup()

    asyncio.run(story())


def test_closing_does_not_wait_for_listeners():
    """
    One that reads is told of the end, one that does not is not waited for.
    """

    async def story() -> None:
        registry = CollectorRegistry()
        progress("large", lambda: {"state": "x" * 2**23}, registry)
        before = asyncio.all_tasks()
        page = MetricsPage("0", registry)
        await page.open()
        guest = await deaf(port_of(page))
        await until(lambda: page.listeners == 1)
        await page.close()
        assert asyncio.all_tasks() == before
        guest.close()

    asyncio.run(asyncio.wait_for(story(), 30))


def test_a_page_for_this_machine_tells_no_other():
    """
    A web site that points its name to loopback gets neither the page nor what it asks for.
    """

    async def story() -> None:
        async with MetricsPage("0", CollectorRegistry()) as page, aiohttp.ClientSession() as session:
            for path in ("", "state.json", "events"):
                async with session.get(f"{page.live_url}{path}", headers={"Host": "evil.example"}) as answer:
                    assert answer.status == 403

    asyncio.run(story())


def test_the_page_stands_beside_the_metrics():
    """
    With the policy under which it runs; an address that the page does not know is none.
    """

    async def story() -> None:
        page = MetricsPage("0", CollectorRegistry())
        assert page.live_url is None
        async with page, aiohttp.ClientSession() as session:
            assert page.url == f"{page.live_url}metrics"
            async with session.get(str(page.live_url)) as answer:
                assert (answer.status, answer.content_type) == (200, "text/html")
                assert answer.headers["Content-Security-Policy"] == document().policy
                assert await answer.read() == document().body
            async with session.get(f"{page.live_url}page.css") as answer:
                assert (answer.status, await answer.text()) == (404, "/ and /metrics are what there is\n")

    asyncio.run(story())
