"""
The two ends of a connection that is nothing but memory.

Law of this file: bytes arrive in order, after the latency of their wire, exactly once,
and never at an end that is closed. What a program can see is what it would see of
TCP (the tests hold both against the same table):

* ``close`` sends what was written, then the end; the other side sees ``eof_received``;
* closing with bytes unread, or ``SO_LINGER`` 0, is a reset; so is writing to an end that
  is gone;
* a receiver that pauses holds back the sender once 64 KiB are under way.
"""

from __future__ import annotations

import asyncio
import functools
import random
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ..core.units import NS, to_ns
from .wires import Wire

if TYPE_CHECKING:
    from .loop import VirtualLoop
    from .network import VirtualNetwork

_HIGH_WATER = 64 * 1024
_LOW_WATER = 16 * 1024

Bytes = bytes | bytearray | memoryview


class FakeSocket:
    """What programs ask of the socket of a transport, and nothing that reaches the kernel."""

    family = socket.AF_INET
    type = socket.SOCK_STREAM
    proto = socket.IPPROTO_TCP

    def __init__(self, sockname: tuple[str, int] = ("0.0.0.0", 0), peername: tuple[str, int] | None = None) -> None:
        self._sockname = sockname
        self._peername = peername
        self.resets_on_close = False

    def getsockname(self) -> tuple[str, int]:
        return self._sockname

    def getpeername(self) -> tuple[str, int]:
        if self._peername is None:
            raise OSError("not connected")
        return self._peername

    def setsockopt(self, level: int, option: int, value: Any, *rest: Any) -> None:
        if level == socket.SOL_SOCKET and option == socket.SO_LINGER:
            self.resets_on_close = struct.unpack("ii", value) == (1, 0)

    def getsockopt(self, level: int, option: int, *rest: Any) -> int:
        return 0

    def setblocking(self, flag: bool) -> None:
        """It never blocks."""

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        """There is nothing to give back."""

    def __repr__(self) -> str:
        return f"<FakeSocket {self._sockname} -> {self._peername}>"


class Pipe:
    """One direction: takes bytes at one end and delivers them at the other."""

    def __init__(self, net: VirtualNetwork, name: str, wire: Wire, host: str) -> None:
        self.net = net
        self.name = name
        self.wire = wire
        self.host = host
        self.receiver: VirtualTransport
        self._held: deque[Callable[[], None]] = deque()
        self._dice: random.Random | None = None
        self._written = 0
        self._free_ns = 0
        self._last_ns = 0
        self._cut = False

    def send(self, data: bytes) -> None:
        """Put bytes on the wire."""
        for piece, fate in self._pieces(data):
            if piece:
                self._later(len(piece), self.receiver.arrive, piece)
            if fate is not None:
                self._cut = True
                fate()

    def end(self) -> None:
        """Say that nothing more comes."""
        if not self._cut:
            self._later(0, self.receiver.arrive_end)

    def reset(self) -> None:
        """Drop the connection for the receiver."""
        self._cut = True
        self._later(0, self.receiver.arrive_reset)

    def _pieces(self, data: bytes) -> Iterable[tuple[bytes, Callable[[], None] | None]]:
        """*data* as the receiver will get it, each with what happens after it."""
        wire = self.wire
        breaks: list[tuple[int, Callable[[], None]]] = []
        if wire.reset_after is not None:
            breaks.append((wire.reset_after, self._reset_both))
        if wire.fin_after is not None:
            breaks.append((wire.fin_after, lambda: self._later(0, self.receiver.arrive_end)))
        if wire.stall_after is not None:
            breaks.append((wire.stall_after, lambda: None))
        at, fate = min(breaks, key=lambda each: each[0], default=(None, None))
        offset = 0
        while offset < len(data) and not self._cut:
            take = len(data) - offset
            if wire.max_chunk is not None:
                take = min(take, wire.max_chunk)
            if at is not None:
                take = min(take, at - self._written)
            self._written += take
            broken = at is not None and self._written >= at
            yield data[offset : offset + take], fate if broken else None
            offset += take

    def _reset_both(self) -> None:
        self._later(0, self.receiver.arrive_reset)
        self._later(0, self.receiver.other.arrive_reset)

    def _later(self, size: int, act: Callable[..., None], *args: Any) -> None:
        """Do something at the far end when *size* bytes more have got there."""
        wire, now_ns = self.wire, self.net.loop.clock.monotonic_ns()
        self._free_ns = max(self._free_ns, now_ns)
        if wire.bytes_per_s is not None:
            self._free_ns += round(size * NS / wire.bytes_per_s)
        late_ns = to_ns(wire.latency_s)
        if wire.jitter_s:
            if self._dice is None:
                self._dice = random.Random(f"{self.net.seed} {self.name}")
            late_ns += to_ns(self._dice.uniform(0.0, wire.jitter_s))
        self._last_ns = max(self._last_ns, self._free_ns + late_ns)
        self.net.loop.call_at_ns(self._last_ns, self._there, act, *args)

    def _there(self, act: Callable[..., None], *args: Any) -> None:
        """At the far end, unless the host is cut off; then it waits, and what comes after it behind it."""
        if self._held:
            self._held.append(functools.partial(act, *args))
        elif (cut := self.net.cut_off_from(self.host)) is not None:
            self._held.append(functools.partial(act, *args))
            cut.pipes.append(self)
        else:
            act(*args)

    def release(self) -> None:
        """The host is back: deliver what waited."""
        while self._held:
            self._held.popleft()()


class VirtualTransport(asyncio.Transport):
    """One end of a connection in memory."""

    def __init__(
        self,
        loop: VirtualLoop,
        protocol: asyncio.BaseProtocol,
        out: Pipe,
        *,
        sockname: tuple[str, int],
        peername: tuple[str, int],
    ) -> None:
        self._sock = FakeSocket(sockname, peername)
        super().__init__({"sockname": sockname, "peername": peername, "socket": self._sock})
        self._loop = loop
        self._protocol = protocol
        self._out = out
        self.other: VirtualTransport
        self._held: deque[bytes] = deque()
        self._reading = True
        self._end_held = False
        self._eof_sent = False
        self._closing = False
        self._lost = False
        self._unread = 0  # bytes written here that the program at the other side was not given yet
        self._high, self._low = _HIGH_WATER, _LOW_WATER
        self._sender_paused = False

    # ---- as asyncio wants it -------------------------------------------------------------

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        if not self._reading:
            self._reading = True
            self._loop.call_soon(self._read_held)

    def write(self, data: Bytes) -> None:
        if self._eof_sent and not self._closing:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._closing or not data:
            return
        self._unread += len(data)
        self._out.send(bytes(data))
        if self._unread > self._high and not self._sender_paused:
            self._sender_paused = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[Bytes]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not (self._eof_sent or self._closing):
            self._eof_sent = True
            self._out.end()

    def get_write_buffer_size(self) -> int:
        return self._unread

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = _HIGH_WATER if high is None else high
        self._low = self._high // 4 if low is None else low

    def close(self) -> None:
        if not self._closing:
            self._leave(None)

    def abort(self) -> None:
        self.close()

    # ---- as the wire does it -------------------------------------------------------------

    def start(self) -> None:
        """Tell the protocol that it is connected."""
        self._out.net.opened(self)
        self._protocol.connection_made(self)

    def arrive(self, data: bytes) -> None:
        """Bytes from the other side."""
        self._out.net.note(self.name, data)
        if self._closing:
            self._out.reset()  # as a kernel answers bytes for a socket that is gone
        elif self._reading and not self._held:
            self.other.taken(len(data))
            self._give(data)
        else:
            self._held.append(data)

    def arrive_end(self) -> None:
        """The other side will send no more."""
        self._out.net.note(self.name, b"<end>")
        if self._held:
            self._end_held = True
        elif not self._closing:
            self._give_end()

    def arrive_reset(self) -> None:
        """The connection is gone."""
        self._out.net.note(self.name, b"<reset>")
        self._held.clear()
        if not self._lost:
            self._closing = True
            self._lose(ConnectionResetError(104, "Connection reset by peer"))

    def taken(self, size: int) -> None:
        """The program at the other side was given *size* bytes."""
        self._unread -= size
        if self._sender_paused and self._unread <= self._low:
            self._sender_paused = False
            if not self._lost:
                self._protocol.resume_writing()

    def give_up(self) -> None:
        """The loop is closed; nobody is told any more."""
        self._closing = self._lost = True
        self._held.clear()

    @property
    def name(self) -> str:
        """Which end of which connection this is, for the digest."""
        return f"{self._out.name}<"

    # ---- inside --------------------------------------------------------------------------

    def _give(self, data: bytes) -> None:
        protocol = self._protocol
        if isinstance(protocol, asyncio.BufferedProtocol):
            view = memoryview(data)
            while view:
                buffer = memoryview(protocol.get_buffer(len(view)))
                size = min(len(buffer), len(view))
                buffer[:size] = view[:size]
                protocol.buffer_updated(size)
                view = view[size:]
        else:
            assert isinstance(protocol, asyncio.Protocol)
            protocol.data_received(data)

    def _read_held(self) -> None:
        while self._held and self._reading and not self._closing:
            data = self._held.popleft()
            self.other.taken(len(data))
            self._give(data)
        if self._end_held and not self._held and not self._closing:
            self._end_held = False
            self._give_end()

    def _give_end(self) -> None:
        protocol = self._protocol
        assert isinstance(protocol, asyncio.Protocol | asyncio.BufferedProtocol)
        if not protocol.eof_received():
            self.close()

    def _leave(self, error: Exception | None) -> None:
        """Close this end: with a reset when bytes are unread or the socket says so, else with an end."""
        self._closing = True
        if self._held or self._sock.resets_on_close:
            self._held.clear()
            self._out.reset()
        elif not self._eof_sent:
            self._out.end()
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        self._lost = True
        self._out.net.closed(self)
        self._loop.call_soon(self._protocol.connection_lost, error)

    def __repr__(self) -> str:
        state = "closed" if self._lost else "closing" if self._closing else "open"
        return f"<VirtualTransport {self.name} {state}>"
