"""
The end of a server that listens.

Law of this file: whoever connected before the end is told of the end. Answers under way have
a moment, and none where whoever ends it is cancelled; when it is over, every connection is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Protocol

# From a connection that was accepted to one that its protocol has a task for: a turn each for the transport, for
# connection_made and for the start of the handler; and one more.
_TURNS_TO_BE_KNOWN = 4


class Served(Protocol):
    """What answers on the connections, as aiohttp's low-level server does."""

    @property
    def connections(self) -> Sequence[Any]:
        """Those that are open; each has a transport."""
        ...


class Runner(Protocol):
    """What ends connections in an orderly way, as aiohttp's runners do."""

    @property
    def server(self) -> Served | None:
        """None before it was set up, and after the end."""
        ...

    async def cleanup(self) -> None:
        """Give answers under way a moment, and end every connection."""
        ...


async def end_serving(server: asyncio.Server | None, runner: Runner) -> None:
    """
    Close *server*, and end what *runner* has on its connections.

    Cancelled, it gives answers under way no time.
    """
    try:
        if server is not None:
            await stop_listening(server)
    finally:
        await _end_connections(runner)


async def _end_connections(runner: Runner) -> None:
    served, cancelled = runner.server, None
    # A task of its own, because a cancellation is to hurry it, and not to stop it half-way.
    ending = asyncio.create_task(runner.cleanup())
    while not ending.done():
        try:
            await asyncio.wait([ending])
        except asyncio.CancelledError as stop:
            cancelled = stop
            for connection in () if served is None else tuple(served.connections):
                if connection.transport is not None:
                    connection.transport.abort()
    ending.result()
    if cancelled is not None:
        raise cancelled


async def stop_listening(server: asyncio.Server) -> None:
    """
    Close *server* so that a connection of the last moment is closed with the others.

    asyncio makes the transport of a connection a turn after it was accepted. When the server is closed in between, that
    fails without a word, and the socket stays open for as long as nobody collects it. Cancelled, it closes at once.
    """
    loop = asyncio.get_running_loop()
    try:
        for sock in server.sockets:
            with contextlib.suppress(NotImplementedError):  # loops without readers accept in one piece
                loop.remove_reader(sock.fileno())
        for _ in range(_TURNS_TO_BE_KNOWN):
            await asyncio.sleep(0)
    finally:
        server.close()
