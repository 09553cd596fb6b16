"""The end of a server that listens."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from ratelimit_client.runtime.listening import end_serving, stop_listening


class Kept(asyncio.Protocol):
    """Keeps its connection where whoever closes the server finds it."""

    def __init__(self, served: list[asyncio.Transport]) -> None:
        self._served = served

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._served.append(transport)


async def listening(served: list[asyncio.Transport]) -> asyncio.Server:
    return await asyncio.get_running_loop().create_server(lambda: Kept(served), "127.0.0.1", 0)


@pytest.mark.parametrize("turns", range(5))
def test_a_connection_of_the_last_moment_is_known(turns: int) -> None:
    """When the server has closed, it is with those that are to be closed, or it was never accepted."""
    served: list[asyncio.Transport] = []

    async def main() -> socket.socket:
        server = await listening(served)
        late = socket.create_connection(server.sockets[0].getsockname(), timeout=10)
        for _ in range(turns):
            await asyncio.sleep(0)
        await stop_listening(server)
        assert not server.is_serving()
        for transport in served:
            transport.abort()
        await asyncio.sleep(0)
        return late

    with asyncio.run(main()) as late, contextlib.suppress(ConnectionResetError):
        assert late.recv(1) == b""


def test_cancelled_it_does_not_listen_either() -> None:
    """The server is closed at once."""

    async def main() -> None:
        server = await listening([])
        stopping = asyncio.create_task(stop_listening(server))
        await asyncio.sleep(0)
        stopping.cancel()
        await asyncio.wait([stopping])
        assert stopping.cancelled()
        assert not server.is_serving()

    asyncio.run(main())


@pytest.mark.parametrize("turns", range(5))
def test_cancelled_it_knows_a_connection_of_the_last_moment_all_the_same(turns: int) -> None:
    """It was accepted before, so its transport is there by the time the cancellation arrives."""
    served: list[asyncio.Transport] = []

    async def main() -> socket.socket:
        server = await listening(served)
        late = socket.create_connection(server.sockets[0].getsockname(), timeout=10)
        for _ in range(turns):
            await asyncio.sleep(0)
        stopping = asyncio.create_task(stop_listening(server))
        await asyncio.sleep(0)
        stopping.cancel()
        await asyncio.wait([stopping])
        assert stopping.cancelled()
        for transport in served:
            transport.abort()
        await asyncio.sleep(0)
        return late

    with asyncio.run(main()) as late, contextlib.suppress(ConnectionResetError):
        assert late.recv(1) == b""


class Guest:
    """A connection whose answer is under way."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.transport: Guest | None = self

    def abort(self) -> None:
        self.ended.set()


class Answering:
    """What aiohttp's runner is: it waits for the answers under way."""

    def __init__(self) -> None:
        self.guest = Guest()
        self.connections = [self.guest]
        self.server: Answering | None = self

    async def cleanup(self) -> None:
        await self.guest.ended.wait()
        self.server = None


@pytest.mark.parametrize("cancels", [1, 2])
def test_cancelled_it_gives_answers_no_time(cancels: int) -> None:
    """It ends what is under way, waits until that is over, and is cancelled then."""

    async def main() -> None:
        runner = Answering()
        ending = asyncio.create_task(end_serving(None, runner))
        await asyncio.sleep(0.01)
        assert not ending.done()
        for _ in range(cancels):
            ending.cancel()
        await asyncio.wait([ending])
        assert ending.cancelled()
        assert runner.server is None
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
