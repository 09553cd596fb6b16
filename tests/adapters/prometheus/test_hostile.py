"""Scrapers that mean no good: each gets its answer or its end, and nobody else hears of it."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import Iterator

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from ratelimit_client.adapters.prometheus import MetricsPage
from tests.sizes import SCALE

CONNECTIONS = min(1000, 200 * SCALE)


class Large:
    """A page of some megabytes."""

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("large", "x" * 8 * 2**20, 1)


def port_of(page: MetricsPage) -> int:
    assert page.url is not None
    return int(page.url.split(":")[2].partition("/")[0])


async def scrape(page: MetricsPage) -> int:
    async with aiohttp.ClientSession() as session, session.get(str(page.url)) as answer:
        await answer.read()
        return answer.status


@contextlib.contextmanager
def more_files() -> Iterator[None]:
    """As many as the system gives."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, 3 * CONNECTIONS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_reader_that_does_not_read():
    """
    It holds megabytes that are written already, and neither the loop nor the next scraper.
    """

    async def story() -> None:
        registry = CollectorRegistry()
        registry.register(Large())  # type: ignore[arg-type]
        before = asyncio.all_tasks()
        async with MetricsPage("0", registry) as page:
            slow = socket.socket()
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(slow, ("127.0.0.1", port_of(page)))
            await loop.sock_sendall(slow, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert await loop.sock_recv(slow, 100)
            assert await scrape(page) == 200
            slow.close()
        assert asyncio.all_tasks() == before

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("line", [b"X-%d: y\r\n", b"x" * 100])
def test_a_header_without_an_end(line: bytes, caplog: pytest.LogCaptureFixture):
    """
    Of many lines, or of one: it is answered or cut off after some kilobytes, and the log stays as it is.
    """

    async def story() -> None:
        async with MetricsPage("0", CollectorRegistry()) as page:
            reader, writer = await asyncio.open_connection("127.0.0.1", port_of(page))
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n" + (b"" if b"%" in line else b"X: "))
            sent = 0
            with contextlib.suppress(ConnectionError):
                while sent < 2**20 and not reader.at_eof() and not writer.transport.is_closing():
                    writer.write(line % sent if b"%" in line else line)
                    sent += len(line)
                    await writer.drain()
                    await asyncio.sleep(0)
                await reader.read()
            assert sent < 2**18
            writer.close()
            assert await scrape(page) == 200

    asyncio.run(asyncio.wait_for(story(), 60))
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


def test_a_thousand_connections():
    """
    A few dozen are kept, those that came last; the loop turns meanwhile, and the next scraper is served.
    """

    async def story() -> None:
        async with MetricsPage("0", CollectorRegistry()) as page:
            turns = 0

            async def others() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            beside = asyncio.create_task(others())
            loop = asyncio.get_running_loop()
            crowd: list[socket.socket] = []
            for number in range(CONNECTIONS):
                guest = socket.socket()
                guest.setblocking(False)
                crowd.append(guest)
                await loop.sock_connect(guest, ("127.0.0.1", port_of(page)))
                if number % 2:
                    await loop.sock_sendall(guest, b"GET /met")
            assert await scrape(page) == 200
            alive = 0
            for guest in crowd:
                try:
                    alive += bool(guest.recv(1))
                except BlockingIOError:
                    alive += 1
                except ConnectionError:
                    pass
                guest.close()
            assert 1 <= alive <= 48
            assert turns >= CONNECTIONS // 16
            beside.cancel()

    with more_files():
        asyncio.run(asyncio.wait_for(story(), 120))


def test_a_few_connections_are_left_alone():
    """
    As many as the page keeps: however they are, none makes room for another.
    """

    async def story() -> None:
        async with MetricsPage("0", CollectorRegistry()) as page:
            guests = [await asyncio.open_connection("127.0.0.1", port_of(page)) for _ in range(31)]
            assert await scrape(page) == 200
            for reader, writer in guests:
                writer.write(b"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
                writer.close()

    asyncio.run(asyncio.wait_for(story(), 60))


def test_garbage_writes_no_log(caplog: pytest.LogCaptureFixture):
    """
    What is no HTTP is answered as such, a hundred times; a log is not filled from outside.
    """

    async def story() -> None:
        async with MetricsPage("0", CollectorRegistry()) as page:
            for _ in range(100):
                reader, writer = await asyncio.open_connection("127.0.0.1", port_of(page))
                writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 no http at all\r\n\r\n")
                with contextlib.suppress(ConnectionError):
                    await reader.read()
                writer.close()
            assert await scrape(page) == 200

    asyncio.run(asyncio.wait_for(story(), 60))
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []
