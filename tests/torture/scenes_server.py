"""
What listens: the page of metrics and the model server.

Somebody is always connecting, so that a listener which ends has guests in every stage of
their arrival. Afterwards its port is free, every connection is closed and nobody waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry

from ratelimit_client import Limiter, per_minute
from ratelimit_client.adapters.prometheus import MetricsPage, watch
from ratelimit_client.testing import ModelServer, VirtualLoop, serve_model
from ratelimit_client.testing.serve import serving
from tests.torture.trial import Scene, Stage

ASKS, LISTENS = (b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % path for path in (b"metrics", b"events"))
BODY = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}'
CALLS, STREAMED = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    for body in (BODY, BODY.replace(b"{", b'{"stream":true,', 1))
)


class Guests:
    """Connections from outside, one after the other; each says something or nothing."""

    def __init__(self, *says: bytes) -> None:
        self._says = says
        self._came: list[socket.socket | asyncio.Transport] = []

    async def come(self, url: str) -> None:
        """One of each."""
        port = int(url.split(":")[2].partition("/")[0])
        loop = asyncio.get_running_loop()
        for words in self._says:
            if isinstance(loop, VirtualLoop):
                transport, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", port)
                transport.write(words)
                self._came.append(transport)
            else:
                # Connected by the kernel, whether the loop looks or not.
                guest = socket.create_connection(("127.0.0.1", port), timeout=10)
                guest.sendall(words)
                self._came.append(guest)

    async def are_sent_away(self) -> None:
        """Whoever came is told of the end."""
        for guest in self._came:
            if isinstance(guest, socket.socket):
                with guest, contextlib.suppress(ConnectionResetError):
                    while guest.recv(65536):
                        pass
            else:
                for _ in range(3):
                    await asyncio.sleep(0)
                assert guest.is_closing()
                guest.close()


@contextlib.contextmanager
def free_port(stage: Stage) -> Iterator[Callable[[], int]]:
    """A port, and afterwards it is free."""
    if isinstance(stage.loop, VirtualLoop):
        yield lambda: 9464
        assert stage.loop.net.listener(("127.0.0.1", 9464)) is None
        return
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    yield lambda: port
    socket.create_server(("127.0.0.1", port)).close()


async def page(stage: Stage) -> None:
    registry = CollectorRegistry()
    watch(Limiter(), registry)
    guests = Guests(ASKS, b"GET /met", LISTENS, ASKS, b"")
    with free_port(stage) as port:
        shown = MetricsPage(str(port()), registry)

        async def victim() -> None:
            async with shown:
                assert shown.url is not None
                await guests.come(shown.url)
                await asyncio.sleep(0.01)
                await guests.come(shown.url)

        await stage.torture(victim())
        assert shown.url is None
        await guests.are_sent_away()


async def page_by_hand(stage: Stage) -> None:
    """Opened and closed, and after a cancellation opened and closed again."""
    with free_port(stage) as port:
        shown = MetricsPage(str(port()), CollectorRegistry())

        async def victim() -> None:
            assert await shown.open() is not None
            assert await shown.open() == shown.url
            await shown.close()

        await stage.torture(victim())
        await shown.close()
        async with shown:
            assert shown.url is not None


async def page_of_two(stage: Stage) -> None:
    """The port is taken: a warning, and no page."""
    with free_port(stage) as port:
        async with MetricsPage(str(port()), CollectorRegistry()):
            second = MetricsPage(str(port()), CollectorRegistry())

            async def victim() -> None:
                async with second:
                    assert second.url is None

            await stage.torture(victim())


async def model_server(stage: Stage) -> None:
    """Answers under way are given a moment, and that takes virtual time only."""
    virtual = isinstance(stage.loop, VirtualLoop)
    guests = Guests(CALLS, CALLS[:30], b"", *[CALLS[:-5]] * virtual)
    with free_port(stage) as port:

        async def victim() -> None:
            async with serve_model(per_minute(requests=60), latency=0.05 * virtual, port=port()) as url:
                await guests.come(url)
                await asyncio.sleep(0.01)
                await guests.come(url)

        await stage.torture(victim())
        await guests.are_sent_away()


async def model_server_that_streams(stage: Stage) -> None:
    """Streams under way are given a moment, and then they end in their middle."""
    virtual = isinstance(stage.loop, VirtualLoop)
    guests = Guests(STREAMED, STREAMED)
    with free_port(stage) as port:

        async def victim() -> None:
            async with serve_model(per_minute(requests=60), streaming=10.0 * virtual, port=port()) as url:
                await guests.come(url)
                await asyncio.sleep(0.01)

        await stage.torture(victim())
        await guests.are_sent_away()


async def model_server_of_a_program(stage: Stage) -> None:
    said: list[str] = []
    with free_port(stage) as port:

        async def victim() -> None:
            async with serving(ModelServer(), port=port(), say=said.append):
                await asyncio.sleep(0.01)

        await stage.torture(victim())


SCENES: tuple[Scene, ...] = (
    page,
    page_by_hand,
    page_of_two,
    model_server,
    model_server_that_streams,
    model_server_of_a_program,
)
