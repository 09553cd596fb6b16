from __future__ import annotations

import asyncio
import contextlib
import logging
import socket

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from ratelimit_client import ConfigurationError, Limiter
from ratelimit_client.adapters.prometheus import MetricsPage, address_of, watch


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9464", ("127.0.0.1", 9464)),
        (" 0 ", ("127.0.0.1", 0)),
        ("0.0.0.0:9464", ("0.0.0.0", 9464)),
        ("[::1]:9464", ("::1", 9464)),
        ("metrics.local:80", ("metrics.local", 80)),
    ],
)
def test_an_address(text: str, address: tuple[str, int]):
    """
    A port is this machine alone; wider takes a host, by name.
    """
    assert address_of(text) == address


@pytest.mark.parametrize("text", ["", "x", ":9464", "host:", "99999", "-1", "١٢", "1.5", "host:port"])
def test_what_is_no_address(text: str):
    """
    A sentence with an example.
    """
    with pytest.raises(ConfigurationError, match="such as 9464"):
        address_of(text)


def page() -> MetricsPage:
    registry = CollectorRegistry()
    watch(Limiter(), registry)
    return MetricsPage("0", registry)


def test_the_page():
    """
    /metrics on loopback, in the format that was asked for; nothing else is there.
    """

    async def story() -> None:
        shown = page()
        assert shown.url is None
        async with shown, aiohttp.ClientSession() as session:
            assert shown.url is not None
            assert shown.url.startswith("http://127.0.0.1:")
            async with session.get(shown.url) as answer:
                assert answer.status == 200
                assert answer.content_type == "text/plain"
                assert "ratelimit_client_build_info" in await answer.text()
            async with session.get(shown.url, headers={"Accept": "application/openmetrics-text"}) as answer:
                assert answer.content_type == "application/openmetrics-text"
                assert (await answer.text()).endswith("# EOF\n")
            async with session.head(shown.url) as answer:
                assert (answer.status, await answer.read()) == (200, b"")
            async with session.post(shown.url) as answer:
                assert answer.status == 405
            async with session.get(shown.url.replace("metrics", "admin")) as answer:
                assert answer.status == 404
        assert shown.url is None
        assert "closed" in repr(shown)
        await shown.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("address", "host", "status"),
    [
        ("127.0.0.1:0", "127.0.0.1", 200),
        ("127.0.0.1:0", "localhost:9464", 200),
        ("127.0.0.1:0", "LOCALHOST.", 200),
        ("127.0.0.1:0", "[::1]:9464", 200),
        ("127.0.0.1:0", "metrics.localhost:9464", 200),
        ("127.0.0.1:0", "node", 200),
        ("127.0.0.1:0", "", 200),
        ("127.0.0.1:0", "evil.example", 403),
        ("127.0.0.1:0", "evil.example:9464", 403),
        ("127.0.0.1:0", "Evil.Example.:9464", 403),
        ("127.0.0.1:0", "127.0.0.1.evil.example", 403),
        ("127.0.0.1:0", "localhost.evil.example", 403),
        ("localhost:0", "localhost", 200),
        ("localhost:0", "evil.example", 403),
        ("0.0.0.0:0", "metrics.example", 200),
    ],
)
def test_a_page_for_this_machine_answers_to_its_names(address: str, host: str, status: int):
    """
    A web site that points its own name to loopback reads nothing; who listens wider answers to any name.
    """

    async def story() -> None:
        registry = CollectorRegistry()
        watch(Limiter(name="ours"), registry)
        async with MetricsPage(address, registry) as shown, aiohttp.ClientSession() as session:
            assert shown.url is not None
            port = shown.url.split(":")[2].partition("/")[0]
            async with session.get(f"http://127.0.0.1:{port}/metrics", headers={"Host": host}) as answer:
                assert answer.status == status
                assert ("build_info" in await answer.text()) == (status == 200)

    asyncio.run(story())


def test_a_port_that_is_taken(caplog: pytest.LogCaptureFixture):
    """
    A warning, no page, and no error.
    """

    async def story() -> None:
        async with page() as first:
            assert first.url is not None
            port = first.url.split(":")[2].partition("/")[0]
            async with MetricsPage(port) as second:
                assert second.url is None

    with caplog.at_level(logging.WARNING):
        asyncio.run(story())
    assert "no metrics at 127.0.0.1" in caplog.text


def test_a_scraper_that_says_nothing():
    """
    It holds a connection and nobody up; leaving does not wait for it.
    """

    async def story() -> None:
        async with page() as shown, aiohttp.ClientSession() as session:
            assert shown.url is not None
            port = int(shown.url.split(":")[2].partition("/")[0])
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
            async with session.get(shown.url) as answer:
                assert answer.status == 200
        writer.close()

    asyncio.run(asyncio.wait_for(story(), 5))


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("asks", [b"", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_connection_of_the_last_moment_is_closed(turns: int, asks: bytes):
    """
    However far its way to the page is when that closes, a scraper hears of the end and does not wait for it.
    """
    late: list[socket.socket] = []

    async def story() -> None:
        async with page() as shown:
            assert shown.url is not None
            late.append(socket.create_connection(("127.0.0.1", int(shown.url.split(":")[2].partition("/")[0])), 10))
            late[0].sendall(asks)
            for _ in range(turns):
                await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(story())
    with late[0] as sock, contextlib.suppress(ConnectionResetError):  # it was never accepted, or never read
        while sock.recv(65536):
            pass


def test_opened_twice_it_listens_once():
    """
    The second time changes nothing, and one close is enough.
    """

    async def story() -> None:
        shown = page()
        url = await shown.open()
        assert await shown.open() == url == shown.url
        await shown.close()
        async with aiohttp.ClientSession() as session:
            assert url is not None
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(url)

    asyncio.run(story())


@pytest.mark.parametrize("at", range(1, 9))
def test_cancelled_while_it_opens_or_closes_it_does_not_listen(at: int):
    """
    Wherever the cancellation comes: the port is free again.
    """

    async def story() -> None:
        free = socket.create_server(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        shown = MetricsPage(str(port), CollectorRegistry())

        async def opens_and_closes() -> None:
            await shown.open()
            await shown.close()

        task = asyncio.create_task(opens_and_closes())
        for _ in range(at):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await shown.close()
        async with MetricsPage(str(port), CollectorRegistry()) as second:
            assert second.url is not None

    asyncio.run(story())
