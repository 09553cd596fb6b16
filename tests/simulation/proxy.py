"""
A `Route` for real sockets: a proxy that does to bytes of the kernel what a virtual wire does to its own.

Law of this file: it shares the description (`Route`, `Wire`) with the simulator and no code.
So where both bring a client to the same end, the simulator's wires are true.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

from ratelimit_client.testing import Connect, Route, Wire

_RESET = struct.pack("ii", 1, 0)
# A kernel may drop what it has not handed out when a reset comes, so what came before it is given time to be read.
_READ_FIRST_S = 0.03


def _break_off(writer: asyncio.StreamWriter) -> None:
    """Let the other side see a reset."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


async def _carry(
    wire: Wire, reader: asyncio.StreamReader, to: asyncio.StreamWriter, back: asyncio.StreamWriter
) -> None:
    """One direction, to its end or to where it breaks."""
    sent = 0
    fates = {"reset": wire.reset_after, "end": wire.fin_after, "stall": wire.stall_after}
    fate, at = min(
        ((name, at) for name, at in fates.items() if at is not None), key=lambda each: each[1], default=("", None)
    )
    while data := await reader.read(65536):
        if at is not None:
            data = data[: at - sent]
        for piece in _pieces(data, wire.max_chunk):
            if wire.bytes_per_s is not None:
                await asyncio.sleep(len(piece) / wire.bytes_per_s)
            elif wire.max_chunk is not None:
                await asyncio.sleep(0)
            to.write(piece)
            await to.drain()
        sent += len(data)
        if at is not None and sent >= at:
            if fate == "reset":
                await asyncio.sleep(_READ_FIRST_S)
                _break_off(to)
                _break_off(back)
            elif fate == "end":
                to.write_eof()
            while await reader.read(65536):  # the rest is lost
                pass
            return
    if at is None:
        to.write_eof()


def _pieces(data: bytes, size: int | None) -> list[bytes]:
    return [data] if size is None else [data[at : at + size] for at in range(0, len(data), size)]


@contextlib.asynccontextmanager
async def proxy(route: Route, host: str, port: int) -> AsyncIterator[int]:
    """Listen on a port of its own, and carry what comes to *host* and *port* as *route* says."""
    if route.connect is not Connect.ACCEPT:
        with _nobody(route.connect) as there:
            yield there
        return
    tasks: set[asyncio.Task[None]] = set()

    async def serve(near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, to = await asyncio.open_connection(host, port)
        both = _carry(route.up, near, to, back), _carry(route.down, far, back, to)
        try:
            await asyncio.gather(*both, return_exceptions=True)  # whoever wrote to a side that is gone has ended
        finally:
            for writer in (to, back):
                writer.transport.abort()

    def accept(near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(near, back))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # what was aborted is closed in a later turn


@contextlib.contextmanager
def _nobody(connect: Connect) -> AsyncIterator[int]:  # type: ignore[misc]
    """A port where nobody answers: refused at once, or swallowed because its backlog is full."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        if connect is Connect.BLACK_HOLE:
            listening.listen(0)
            for _ in range(4):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]
