"""
The wire in memory held against the wire of the kernel: each story is played on both,
and what the two ends saw must be the same.

Law of this file: a story waits for what it needs to have happened, never for a time
in which it should have. A pause stands only where nothing is to happen.
"""

from __future__ import annotations

import asyncio
import select
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ratelimit_client.testing import run_virtual
from ratelimit_client.testing.transports import FakeSocket


class End(asyncio.Protocol):
    """One end of a connection that writes down what happens to it."""

    def __init__(self, *, keep_open: bool = False, paused: bool = False) -> None:
        self.seen: list[Any] = []
        self.lost = asyncio.get_running_loop().create_future()
        self.ended = asyncio.get_running_loop().create_future()
        self.news = asyncio.Event()
        self.bytes_read = 0
        self.keep_open = keep_open
        self.paused = paused
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.bytes_read += len(data)
        if self.seen and isinstance(self.seen[-1], bytes):
            data = self.seen.pop() + data
        self.seen.append(data)
        self.news.set()

    def eof_received(self) -> bool:
        self.seen.append("end")
        self.ended.set_result(None)
        return self.keep_open

    def connection_lost(self, exc: Exception | None) -> None:
        self.seen.append("lost" if exc is None else "reset")
        self.lost.set_result(None)

    def pause_writing(self) -> None:
        self.seen.append("pause")

    def resume_writing(self) -> None:
        self.seen.append("resume")

    async def has_read(self, count: int) -> None:
        """Until so many bytes have come."""
        while self.bytes_read < count:
            self.news.clear()
            await self.news.wait()

    async def has_unread(self) -> None:
        """Until bytes have come that nobody reads."""
        number = self.transport.get_extra_info("socket").fileno()
        if number < 0:  # in memory, where a moment is exact
            await moment()
        else:
            readable, _, _ = await asyncio.to_thread(select.select, [number], [], [], 30)
            assert readable


Story = Callable[[End, End], Awaitable[None]]


async def play(story: Story, near: dict[str, bool], far: dict[str, bool]) -> tuple[list[Any], list[Any]]:
    """Connect two ends, let *story* act, and return what the client and the server saw."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[End] = loop.create_future()

    def accept() -> End:
        end = End(**far)
        loop.call_soon(arrived.set_result, end)
        return end

    server = await loop.create_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    _, client = await loop.create_connection(lambda: End(**near), "127.0.0.1", port)
    served = await arrived
    for end in (client, served):
        if end.paused:  # not in connection_made, after which early releases of Python 3.11 read whatever it said
            end.transport.pause_reading()
    try:
        await story(client, served)
    finally:
        for end in (client, served):
            end.transport.abort()
            await end.lost
        server.close()
    await server.wait_closed()
    return client.seen, served.seen


async def moment() -> None:
    """In memory, long enough for a packet; on a real loop, a while in which nothing must happen."""
    await asyncio.sleep(0.05)


async def answers_and_closes(client: End, served: End) -> None:
    client.transport.write(b"question")
    await served.has_read(8)
    served.transport.writelines([b"ans", b"wer"])
    served.transport.close()
    await client.lost
    await served.lost


async def half_closes(client: End, served: End) -> None:
    client.transport.write(b"question")
    client.transport.write_eof()
    await served.ended
    served.transport.write(b"late answer")
    served.transport.write_eof()
    served.transport.close()
    await client.lost
    await served.lost


async def hangs_up_with_bytes_unread(client: End, served: End) -> None:
    client.transport.write(b"question")
    await served.has_unread()
    served.transport.close()
    await client.lost
    await served.lost


async def lingers_not(client: End, served: End) -> None:
    sock = served.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    served.transport.abort()
    await client.lost
    await served.lost


async def writes_to_nobody(client: End, served: End) -> None:
    client.transport.close()
    await client.lost
    await served.ended
    while not served.lost.done():  # the first one is taken by the wire; one of the next hears that nobody is there
        served.transport.write(b"anybody?")
        await moment()


async def reads_later(client: End, served: End) -> None:
    client.transport.write(b"one ")
    await served.has_unread()
    client.transport.write(b"two")
    client.transport.close()
    await moment()
    assert served.seen == []
    served.transport.resume_reading()
    served.transport.resume_reading()
    await served.lost


async def changes_its_mind(client: End, served: End) -> None:
    served.transport.pause_reading()
    client.transport.write(b"x" * 10)
    served.transport.resume_reading()
    served.transport.pause_reading()
    await moment()
    assert not served.transport.is_reading()
    assert served.seen == []


async def writes_after_its_end(client: End, served: End) -> None:
    client.transport.write_eof()
    client.transport.write_eof()
    with pytest.raises(RuntimeError, match="write_eof"):
        client.transport.write(b"x")
    await served.ended


async def writes_after_close(client: End, served: End) -> None:
    assert client.transport.can_write_eof()
    assert client.transport.is_reading()
    client.transport.close()
    client.transport.close()
    assert client.transport.is_closing()
    assert not client.transport.is_reading()
    client.transport.write(b"x")
    client.transport.pause_reading()
    await served.lost


STORIES: dict[str, tuple[Story, dict[str, bool], dict[str, bool]]] = {
    "answers and closes": (answers_and_closes, {}, {}),
    "half closes": (half_closes, {}, {"keep_open": True}),
    "hangs up with bytes unread": (hangs_up_with_bytes_unread, {}, {"paused": True}),
    "lingers not": (lingers_not, {}, {}),
    "writes to nobody": (writes_to_nobody, {}, {"keep_open": True}),
    "reads later": (reads_later, {}, {"paused": True}),
    "changes its mind": (changes_its_mind, {}, {}),
    "writes after its end": (writes_after_its_end, {}, {}),
    "writes after close": (writes_after_close, {}, {}),
}


@pytest.mark.parametrize("name", STORIES)
def test_memory_does_what_the_kernel_does(name: str) -> None:
    """Both ends see the same things in the same order on a real loop and on a virtual one."""
    story, near, far = STORIES[name]

    real = asyncio.run(play(story, near, far))
    virtual, loop = run_virtual(lambda: play(story, near, far))

    assert virtual == real
    assert not loop.left_behind


def test_a_slow_reader_holds_back_the_writer() -> None:
    """Eight megabytes to an end that does not read: the writer is paused, and goes on when it is read; all arrives."""

    async def story(client: End, served: End) -> None:
        # Bounds for what the kernel takes, so that it cannot take all of it.
        client.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
        served.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
        client.transport.write(b"x" * 8_000_000)
        await moment()
        assert client.seen == ["pause"]
        assert client.transport.get_write_buffer_size() > 64 * 1024
        served.transport.resume_reading()
        await served.has_read(8_000_000)
        assert client.seen == ["pause", "resume"]
        assert client.transport.get_write_buffer_size() == 0

    asyncio.run(play(story, {}, {"paused": True}))
    run_virtual(lambda: play(story, {}, {"paused": True}))


def test_the_mark_of_too_much_may_be_set() -> None:
    """A transport with a high-water mark of 10 pauses its writer at 11 bytes, and resumes at 2."""

    async def story(client: End, served: End) -> None:
        client.transport.set_write_buffer_limits(high=10)
        assert client.transport.get_write_buffer_limits() == (2, 10)
        client.transport.set_write_buffer_limits(high=10, low=5)
        client.transport.write(b"x" * 10)
        assert client.seen == []
        client.transport.write(b"x")
        assert client.seen == ["pause"]
        served.transport.resume_reading()
        await moment()
        assert client.seen == ["pause", "resume"]

    run_virtual(lambda: play(story, {}, {"paused": True}))


def test_a_paused_writer_whose_reader_goes_away_is_not_resumed() -> None:
    """It loses the connection instead."""

    async def story(client: End, served: End) -> None:
        client.transport.write(b"x" * 100_000)
        await moment()
        served.transport.close()
        await client.lost
        assert client.seen == ["pause", "reset"]

    run_virtual(lambda: play(story, {}, {"paused": True}))


def test_a_paused_writer_that_leaves_is_not_resumed_either() -> None:
    """What it wrote before it left still arrives, and nobody calls a protocol that is gone."""

    async def story(client: End, served: End) -> None:
        client.transport.write(b"x" * 100_000)
        client.transport.close()
        await client.lost
        served.transport.resume_reading()
        await served.lost
        assert client.seen == ["pause", "lost"]
        assert served.seen == [b"x" * 100_000, "end", "lost"]

    run_virtual(lambda: play(story, {}, {"paused": True}))


def test_a_socket_that_is_not_connected_has_no_peer() -> None:
    """As with a real one."""
    with pytest.raises(OSError, match="not connected"):
        FakeSocket().getpeername()


def test_a_protocol_with_a_buffer_of_its_own_is_served() -> None:
    """BufferedProtocol gets its bytes in the pieces it has room for."""

    class Small(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.buffer = bytearray(4)
            self.got = b""
            self.lost = asyncio.get_running_loop().create_future()

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.buffer

        def buffer_updated(self, nbytes: int) -> None:
            self.got += self.buffer[:nbytes]

        def connection_lost(self, exc: Exception | None) -> None:
            self.lost.set_result(None)

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: End(), "127.0.0.1", 7)
        transport, client = await loop.create_connection(Small, "127.0.0.1", 7)
        transport.write(b"0123456789")
        await asyncio.sleep(1)
        (served,) = (end for end in loop.net._open if end is not transport)  # type: ignore[attr-defined]
        served.write(b"0123456789")
        served.close()
        await client.lost
        server.close()
        return client.got

    assert run_virtual(main)[0] == b"0123456789"


def test_a_protocol_may_be_exchanged() -> None:
    """What arrives after set_protocol goes to the new one, as in an upgrade to a websocket."""

    async def story(client: End, served: End) -> None:
        second = End()
        second.transport = served.transport
        assert served.transport.get_protocol() is served
        served.transport.set_protocol(second)
        client.transport.write(b"for the second")
        await moment()
        assert second.seen == [b"for the second"]
        served.transport.set_protocol(served)

    run_virtual(lambda: play(story, {}, {}))


def test_the_socket_of_a_transport_answers_what_programs_ask() -> None:
    """Names of both ends, options that are taken and not felt; no descriptor."""

    async def story(client: End, served: End) -> None:
        sock = client.transport.get_extra_info("socket")
        assert (
            sock.getpeername()
            == client.transport.get_extra_info("peername")
            == served.transport.get_extra_info("sockname")
        )
        assert sock.getsockname() == client.transport.get_extra_info("sockname")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0
        sock.setblocking(False)
        assert sock.fileno() == -1
        assert "FakeSocket" in repr(sock)
        assert "open" in repr(client.transport)
        client.transport.close()
        assert "closed" in repr(client.transport)

    run_virtual(lambda: play(story, {}, {}))
