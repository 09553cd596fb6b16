"""
What the small servers of tests have in common: a connection is a task, and leaving ends them all.
"""

from __future__ import annotations

import asyncio
from ssl import SSLContext
from types import TracebackType
from typing import Self

from ratelimit_client.runtime.listening import stop_listening


class Connections:
    """``async with`` one of these it listens; what it does with a connection is ``converse``."""

    path = ""
    """Of its URL."""

    def __init__(self, ssl: SSLContext | None = None) -> None:
        self._ssl = ssl
        self._server: asyncio.Server
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0
        """So many so far."""
        self.url = ""

    @property
    def open(self) -> int:
        """Connections that have not ended."""
        return len(self._tasks)

    async def converse(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """All of one connection; *number* counts them from 0."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._ssl)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}" if self._ssl is None else f"https://localhost:{port}"
        self.url += self.path
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop_listening(self._server)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        number = self.connections
        self.connections += 1
        try:
            await self.converse(number, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()
