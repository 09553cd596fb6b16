"""
The end of a server that listens.

Law of this file: whoever connected before the end is told of the end.
"""

from __future__ import annotations

import asyncio
import contextlib

# From a connection that was accepted to one that its protocol has a task for: a turn each for the transport, for
# connection_made and for the start of the handler; and one more.
_TURNS_TO_BE_KNOWN = 4


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
