"""
A network in memory: names, addresses, who listens where, and every byte that passes.

Law of this file: the network belongs to one `VirtualLoop` and has no other clock and no
other dice. Everything that arrives anywhere enters the digest, so two runs with one
digest did the same thing at the same instants. Connections do not know of each other: in
which order several of them were used at one instant (aiohttp closes its own in the order of
a set) changes nothing.

It plays two parts for aiohttp, through public arguments of its connector:

    TCPConnector(resolver=loop.net, socket_factory=loop.net.socket_factory, use_dns_cache=False)

(with its DNS cache on, aiohttp wakes those who wait for a name in the order of a set).
A plain connector works too: real sockets are then made, never connected, and closed.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import ipaddress
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
from aiohttp.abc import AbstractResolver, ResolveResult

from .transports import FakeSocket, Pipe, VirtualTransport
from .wires import Connect, Route

if TYPE_CHECKING:
    from .loop import VirtualLoop

RouteChoice = Callable[[str, int, int], Route]
"""(host, port, number of the connection from 1) -> what that connection is like."""

_ANY = ("", "0.0.0.0", "::")
_DATE = b"\r\nDate: "
_DATE_CHARS = 29


class Seen:
    """What one end was given, as a hash, but for the dates by which aiohttp's server tells the machine's clock."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._tail = b""
        self._left = 0

    @property
    def digest(self) -> str:
        """Of everything so far."""
        return self._hash.hexdigest()

    def note(self, data: bytes, *, now_ns: int) -> None:
        """Enter an arrival."""
        self._hash.update(b"%d %d " % (now_ns, len(data)) + self._undated(data))

    def _undated(self, data: bytes) -> bytes:
        """The same with zeros for the characters of a date, which may lie across several arrivals."""
        skipped = min(self._left, len(data))
        self._left -= skipped
        data = bytes(skipped) + data[skipped:]
        at = 0
        while (found := (self._tail + data).find(_DATE, at)) >= 0:
            at = found + len(_DATE)
            start = at - len(self._tail)
            end = start + _DATE_CHARS
            self._left = max(0, end - len(data))
            data = data[:start] + bytes(min(_DATE_CHARS, len(data) - start)) + data[end:]
        self._tail = (self._tail + data)[1 - len(_DATE) :]
        return data


@attrs.define(eq=False)
class Cut:
    """What waits for a host that is cut off: attempts to connect, and wires with something on them."""

    attempts: list[asyncio.Future[None]] = attrs.field(factory=list)
    pipes: list[Pipe] = attrs.field(factory=list)


class VirtualServer(asyncio.AbstractServer):
    """Somebody who listens."""

    def __init__(self, net: VirtualNetwork, protocol_factory: Callable[[], Any], address: tuple[str, int]) -> None:
        self._net = net
        self.protocol_factory = protocol_factory
        self.address = address

    @property
    def sockets(self) -> tuple[FakeSocket, ...]:
        """Its one listening socket, for programs that ask where it listens."""
        return (FakeSocket(self.address),) if self.is_serving() else ()

    def is_serving(self) -> bool:
        return self._net.listener(self.address) is self

    def close(self) -> None:
        self._net.stop_listening(self)

    async def wait_closed(self) -> None:
        """Connections that are open stay open."""

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._net.loop

    async def start_serving(self) -> None:
        """It serves from the beginning."""

    async def serve_forever(self) -> None:
        await self._net.loop.create_future()

    async def __aenter__(self) -> VirtualServer:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()


class VirtualNetwork(AbstractResolver):
    """
    The network of a `VirtualLoop`.

    ``route`` says what each connection is like; ``digest`` is the trace so far; ``open_transports``
    should be 0 at the end of a tidy program.
    """

    def __init__(self, loop: VirtualLoop, seed: int) -> None:
        self.loop = loop
        self.seed = seed
        self.route: RouteChoice = lambda host, port, number: Route()
        self.connections = 0
        self._open: set[VirtualTransport] = set()
        self._listeners: dict[tuple[str, int], VirtualServer] = {}
        self._addresses: dict[str, str] = {"localhost": "127.0.0.1"}
        self._ports = iter(range(49152, 65536))
        self._cuts: dict[str, Cut] = {}
        self._seen: dict[str, Seen] = {}

    # ---- what it saw ---------------------------------------------------------------------

    @property
    def digest(self) -> str:
        """A hash of all that arrived, where and when; dates in HTTP headers do not count."""
        whole = hashlib.blake2b(digest_size=16)
        for where, seen in sorted(self._seen.items()):
            whole.update(f"{where} {seen.digest}\n".encode())
        return whole.hexdigest()

    @property
    def open_transports(self) -> int:
        """Ends of connections that are still open."""
        return len(self._open)

    def note(self, where: str, data: bytes) -> None:
        """Enter an arrival in the digest."""
        seen = self._seen.get(where)
        if seen is None:
            seen = self._seen[where] = Seen()
        seen.note(data, now_ns=self.loop.clock.monotonic_ns())

    def opened(self, transport: VirtualTransport) -> None:
        """An end came up."""
        self._open.add(transport)

    def closed(self, transport: VirtualTransport) -> None:
        """An end is gone."""
        self._open.discard(transport)

    def shut_down(self) -> None:
        """The loop is closed: nothing will ever arrive again."""
        for transport in self._open:
            transport.give_up()
        self._open.clear()
        self._listeners.clear()

    # ---- names ---------------------------------------------------------------------------

    def add_host(self, name: str) -> str:
        """Give *name* an address, or tell the one it has."""
        if _is_address(name):
            return name
        if name not in self._addresses:
            self._addresses[name] = f"10.0.0.{len(self._addresses)}"
        return self._addresses[name]

    def lookup(self, name: str) -> str:
        """The address of *name*; raises ``gaierror`` for one that nobody has."""
        if _is_address(name):
            return name
        address = self._addresses.get(name)
        if address is None:
            raise socket.gaierror(socket.EAI_NONAME, f"no host in this virtual network is called {name}")
        return address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """As aiohttp's resolvers do."""
        return [
            ResolveResult(hostname=host, host=self.lookup(host), port=port, family=socket.AF_INET, proto=0, flags=0)
        ]

    async def close(self) -> None:
        """As aiohttp's resolvers do; there is nothing to close."""

    def socket_factory(self, addr_info: Any) -> Any:
        """A socket for aiohttp's connector that never reaches the kernel."""
        return FakeSocket()

    # ---- cutting off ---------------------------------------------------------------------

    def cut_off(self, host: str) -> None:
        """From now on nothing reaches *host* or comes from it, on connections that are open and on new ones."""
        self._cuts.setdefault(host, Cut())

    def restore(self, host: str) -> None:
        """It is back: what was sent meanwhile arrives now, as TCP sends it again."""
        cut = self._cuts.pop(host, None)
        if cut is not None:
            for attempt in cut.attempts:
                if not attempt.done():
                    attempt.set_result(None)
            for pipe in cut.pipes:
                self.loop.call_soon(pipe.release)

    def cut_off_from(self, host: str) -> Cut | None:
        """What waits until *host* is back; None: nothing cuts it off."""
        return self._cuts.get(host)

    # ---- listening and connecting --------------------------------------------------------

    def listen(self, protocol_factory: Callable[[], Any], host: str | None, port: int | None) -> VirtualServer:
        """Let *protocol_factory* answer at an address; port 0 takes a free one."""
        address = "0.0.0.0" if host is None or host in _ANY else self.add_host(host)
        where = (address, port or next(self._ports))
        if where in self._listeners:
            raise OSError(errno.EADDRINUSE, f"somebody listens at {where} already")
        server = self._listeners[where] = VirtualServer(self, protocol_factory, where)
        return server

    def stop_listening(self, server: VirtualServer) -> None:
        """Refuse what comes to its address from now on."""
        if self._listeners.get(server.address) is server:
            del self._listeners[server.address]

    def listener(self, address: tuple[str, int]) -> VirtualServer | None:
        """Who answers at *address*."""
        return self._listeners.get(address) or self._listeners.get(("0.0.0.0", address[1]))

    async def connect(self, address: tuple[str, int]) -> tuple[Route, int]:
        """Wait for what becomes of an attempt to connect; raises OSError when it is refused."""
        self.connections += 1
        number = self.connections
        host = self._name_of(address[0])
        route = self.route(host, address[1], number)
        if route.connect is Connect.BLACK_HOLE:
            await self.loop.create_future()
        while (cut := self._cuts.get(host)) is not None:
            cut.attempts.append(self.loop.create_future())
            await cut.attempts[-1]
        round_trip_s = route.up.latency_s + route.down.latency_s
        if round_trip_s:
            await asyncio.sleep(round_trip_s)
        if route.connect is Connect.REFUSE or self.listener(address) is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"{os.strerror(errno.ECONNREFUSED)} at {address}")
        return route, number

    def join(
        self, protocol_factory: Callable[[], Any], address: tuple[str, int], route: Route, number: int
    ) -> tuple[VirtualTransport, Any]:
        """Set up both ends of a connection that was accepted."""
        server = self.listener(address)
        if server is None:  # it stopped listening since
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"{os.strerror(errno.ECONNREFUSED)} at {address}")
        ours, theirs = ("127.0.0.1", 10000 + number), address
        host = self._name_of(address[0])
        up, down = Pipe(self, f"{number}>", route.up, host), Pipe(self, f"{number}<", route.down, host)
        client, served = protocol_factory(), server.protocol_factory()
        near = VirtualTransport(self.loop, client, up, sockname=ours, peername=theirs)
        far = VirtualTransport(self.loop, served, down, sockname=theirs, peername=ours)
        near.other, far.other = far, near
        up.receiver, down.receiver = far, near
        far.start()
        near.start()
        return near, client

    def _name_of(self, address: str) -> str:
        return next((name for name, each in self._addresses.items() if each == address), address)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
