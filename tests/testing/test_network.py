"""What a route does to a connection, in bytes and seconds."""

from __future__ import annotations

import asyncio
import errno
from typing import Any

import pytest

from ratelimit_client.testing import Connect, Deadlock, Route, VirtualLoop, Wire, run_virtual


def loop_of() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


async def download(route: Route, size: int = 100, *, pieces: int = 1) -> list[tuple[float, Any]]:
    """Connect over *route*, be sent *size* bytes in *pieces*, and tell (second, what) of all that came."""
    loop = loop_of()
    loop.net.route = lambda host, port, number: route

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(pieces):
            writer.write(b"x" * (size // pieces))
        assert await reader.read() == b"thanks"
        writer.close()

    seen: list[tuple[float, Any]] = []
    server = await asyncio.start_server(send, "api.test", 80)
    reader, writer = await asyncio.open_connection("api.test", 80)
    seen.append((loop.elapsed_s, "connected"))
    left = size
    while data := await reader.read(left):
        seen.append((loop.elapsed_s, len(data)))
        left -= len(data)
        if not left:
            break
    else:
        seen.append((loop.elapsed_s, "end"))
    writer.write(b"thanks")
    writer.close()
    await asyncio.sleep(60)
    server.close()
    return seen


def seen(route: Route, *args: Any, **options: Any) -> list[tuple[float, Any]]:
    return run_virtual(lambda: download(route, *args, **options))[0]


def test_a_sound_wire_takes_no_time() -> None:
    """Connected at 0, all there at 0."""
    assert seen(Route()) == [(0.0, "connected"), (0.0, 100)]


def test_latency_counts_each_way() -> None:
    """A round trip to connect; what is sent then is one way later, in one piece or in ten."""
    route = Route(up=Wire(latency_s=0.2), down=Wire(latency_s=0.3))

    assert seen(route) == [(0.5, "connected"), (0.8, 100)]
    assert seen(route, pieces=10)[0] == (0.5, "connected")
    assert {at_s for at_s, _ in seen(route, pieces=10)[1:]} == {0.8}


def test_a_thin_wire_takes_its_time() -> None:
    """100 bytes at 50 a second, in pieces of 25: one each half second."""
    route = Route(down=Wire(bytes_per_s=50, max_chunk=25))

    assert seen(route) == [(0.0, "connected"), (0.5, 25), (1.0, 25), (1.5, 25), (2.0, 25)]


def test_jitter_keeps_the_order_and_obeys_the_seed() -> None:
    """Pieces come later by up to a second, never earlier than one before them, and the same for one seed."""
    route = Route(down=Wire(jitter_s=1.0, max_chunk=10))

    one = seen(route)
    assert one == seen(route)
    assert [at_s for at_s, _ in one] == sorted(at_s for at_s, _ in one)
    assert 0 < one[-1][0] <= 1.0
    assert run_virtual(lambda: download(route), seed=5)[0] != one


def test_a_reset_comes_after_so_many_bytes_at_both_ends() -> None:
    """40 bytes, then both sides see a reset, whoever sent them."""

    class Counts(asyncio.Protocol):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def data_received(self, data: bytes) -> None:
            self.seen.append(len(data))

        def connection_lost(self, exc: Exception | None) -> None:
            self.seen.append(type(exc))

    async def main(route: Route) -> list[list[Any]]:
        loop = loop_of()
        loop.net.route = lambda host, port, number: route
        far, near = Counts(), Counts()
        server = await loop.create_server(lambda: far, "api.test", 80)
        transport, _ = await loop.create_connection(lambda: near, "api.test", 80)
        (other,) = (each for each in loop.net._open if each is not transport)
        other.write(b"x" * 30)
        transport.write(b"x" * 60)
        transport.write(b"x" * 60)
        await asyncio.sleep(1)
        server.close()
        return [near.seen, far.seen]

    reset = ConnectionResetError
    assert run_virtual(lambda: main(Route(up=Wire(reset_after=40))))[0] == [[30, reset], [40, reset]]
    assert run_virtual(lambda: main(Route(up=Wire(reset_after=70, max_chunk=50))))[0] == [
        [30, reset],
        [50, 10, 10, reset],
    ]
    assert run_virtual(lambda: main(Route(down=Wire(reset_after=10))))[0] == [[10, reset], [reset]]


def test_an_early_end_drops_the_rest() -> None:
    """The receiver sees 40 bytes and a proper end; the sender notices nothing."""
    assert seen(Route(down=Wire(fin_after=40)), pieces=4) == [(0.0, "connected"), (0.0, 40), (0.0, "end")]


def test_a_stalled_wire_delivers_no_more() -> None:
    """40 bytes and then silence, for ever: that is a deadlock for whoever waits without a timeout."""
    with pytest.raises(Deadlock, match="download"):
        seen(Route(down=Wire(stall_after=40)))


def test_the_earliest_break_counts() -> None:
    """Of several, the one with the fewest bytes; none at the very first byte delivers nothing."""
    assert seen(Route(down=Wire(stall_after=60, fin_after=20)))[1:] == [(0.0, 20), (0.0, "end")]
    assert seen(Route(down=Wire(fin_after=0)))[1:] == [(0.0, "end")]


async def connect() -> Any:
    _, writer = await asyncio.open_connection("api.test", 80)
    writer.close()


def test_a_connection_may_be_refused() -> None:
    """By the route, or because nobody listens; after a round trip."""

    async def main() -> list[float]:
        loop = loop_of()
        loop.net.add_host("api.test")
        times = []
        loop.net.route = lambda host, port, number: Route.slow(0.25)
        with pytest.raises(ConnectionRefusedError) as caught:
            await connect()
        assert caught.value.errno == errno.ECONNREFUSED
        times.append(loop.elapsed_s)
        await asyncio.start_server(print, "api.test", 80)
        loop.net.route = lambda host, port, number: Route(connect=Connect.REFUSE)
        with pytest.raises(ConnectionRefusedError):
            await connect()
        times.append(loop.elapsed_s)
        return times

    assert run_virtual(main)[0] == [0.5, 0.5]


def test_a_connection_may_disappear_in_a_black_hole() -> None:
    """Neither yes nor no: only the caller's own timeout ends it."""

    async def main() -> float:
        loop = loop_of()
        await asyncio.start_server(print, "api.test", 80)
        loop.net.route = lambda host, port, number: Route(connect=Connect.BLACK_HOLE)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connect(), 10)
        return loop.elapsed_s

    assert run_virtual(main)[0] == 10.0


def test_routes_are_told_whom_they_lead_to() -> None:
    """Host as it was named, port, and the number of the connection."""
    told = []

    async def main() -> None:
        loop = loop_of()

        def route(host: str, port: int, number: int) -> Route:
            told.append((host, port, number))
            return Route()

        loop.net.route = route
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "api.test", 80)
        local = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 81)
        await connect()
        _, writer = await asyncio.open_connection("127.0.0.1", 81)
        writer.close()
        await asyncio.sleep(1)
        server.close()
        local.close()

    run_virtual(main)
    assert told == [("api.test", 80, 1), ("localhost", 81, 2)]


def test_an_address_has_one_listener() -> None:
    """Port 0 takes a free one, a taken one is refused, a closed one is free again; no host is every host."""

    async def main() -> None:
        loop = loop_of()
        first = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        second = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        port = first.sockets[0].getsockname()[1]
        assert port != second.sockets[0].getsockname()[1]
        with pytest.raises(OSError, match="listens at") as caught:
            await loop.create_server(asyncio.Protocol, "127.0.0.1", port)
        assert caught.value.errno == errno.EADDRINUSE
        first.close()
        first.close()
        assert first.sockets == ()
        again = await loop.create_server(asyncio.Protocol, "127.0.0.1", port)
        assert again.is_serving()
        assert again.get_loop() is loop
        await again.start_serving()

        async with await loop.create_server(asyncio.Protocol, None, 99):
            transport, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", 99)
            transport.close()
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(asyncio.Protocol, "127.0.0.1", 99)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(again.serve_forever(), 5)

    run_virtual(main)


def test_a_listener_may_go_between_the_handshake_and_the_first_byte() -> None:
    """The connection is refused then."""

    async def main() -> None:
        loop = loop_of()
        server = await loop.create_server(asyncio.Protocol, "api.test", 80)
        sock = loop.net.socket_factory(None)
        await loop.sock_connect(sock, (loop.net.lookup("api.test"), 80))
        server.close()
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(asyncio.Protocol, sock=sock)

    run_virtual(main)


def test_a_connection_that_stays_open_is_left_behind() -> None:
    """Both ends are counted."""

    async def main() -> None:
        loop = loop_of()
        await loop.create_server(asyncio.Protocol, "api.test", 80)
        await loop.create_connection(asyncio.Protocol, "api.test", 80)

    assert run_virtual(main)[1].left_behind.transports == 2


def test_a_host_that_is_cut_off_hears_everything_later() -> None:
    """
    What is under way waits, in both directions and in its order; an attempt to connect waits, too. Other hosts are as
    they were. When the host is back, all of it arrives.
    """
    told: list[tuple[float, str, bytes]] = []

    class Teller(asyncio.Protocol):
        def __init__(self, name: str) -> None:
            self.name = name

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            told.append((loop_of().elapsed_s, self.name, data))

    async def main() -> None:
        loop = loop_of()
        servers: list[Teller] = []

        def accept() -> Teller:
            servers.append(Teller("server"))
            return servers[-1]

        for host in ("api.test", "other.test"):
            await loop.create_server(accept, host, 80)
        near, _ = await loop.create_connection(lambda: Teller("client"), "api.test", 80)
        other, _ = await loop.create_connection(lambda: Teller("client"), "other.test", 80)
        loop.net.cut_off("api.test")
        loop.net.cut_off("api.test")
        near.write(b"one")
        near.write(b"two")
        servers[0].transport.write(b"back")
        other.write(b"elsewhere")
        late = asyncio.create_task(loop.create_connection(lambda: Teller("client"), "api.test", 80))
        given_up = asyncio.create_task(loop.create_connection(lambda: Teller("client"), "api.test", 80))
        await asyncio.sleep(3)
        assert told == [(0.0, "server", b"elsewhere")]
        assert not late.done()
        given_up.cancel()
        loop.net.restore("other.test")
        loop.net.restore("api.test")
        near.write(b"three")
        transport, _ = await late
        await asyncio.sleep(0)
        assert told[1:] == [
            (3.0, "server", b"one"),
            (3.0, "server", b"two"),
            (3.0, "client", b"back"),
            (3.0, "server", b"three"),
        ]
        for each in (near, other, transport):
            each.close()

    run_virtual(main)


def test_the_digest_knows_no_date_however_it_is_cut() -> None:
    """The date of the machine in the head of an answer does not count, also across two pieces; all else does."""

    def digest(head: bytes, size: int) -> str:
        async def main() -> None:
            loop = loop_of()
            loop.net.route = lambda host, port, number: Route(up=Wire(max_chunk=size))
            await loop.create_server(asyncio.Protocol, "api.test", 80)
            transport, _ = await loop.create_connection(asyncio.Protocol, "api.test", 80)
            transport.write(head)
            await asyncio.sleep(1)

        return run_virtual(main)[1].net.digest

    head = b"HTTP/1.1 200 OK\r\nDate: %s\r\nServer: aiohttp\r\nDate: %s\r\n\r\n"
    dates = b"Thu, 26 Nov 2026 18:28:47 GMT", b"Fri, 27 Nov 2026 07:01:02 GMT"
    for size in (1, 7, 19, 30, 1000):
        assert len({digest(head % (date, date), size) for date in dates}) == 1
        assert digest(head % (dates[0], dates[1]), size) != digest(head % (dates[0], dates[1] + b"!"), size)


def test_connections_do_not_know_of_each_other() -> None:
    """In which order two of them are written to at one instant is nothing the digest sees, whatever their jitter."""

    def digest(order: tuple[int, int]) -> str:
        async def main() -> None:
            loop = loop_of()
            loop.net.route = lambda host, port, number: Route(up=Wire(jitter_s=1.0))
            await loop.create_server(asyncio.Protocol, "api.test", 80)
            ends = [await loop.create_connection(asyncio.Protocol, "api.test", 80) for _ in range(2)]
            for number in order:
                ends[number][0].write(b"%d" % number)
            await asyncio.sleep(2)

        return run_virtual(main, seed=3)[1].net.digest

    assert digest((0, 1)) == digest((1, 0))
