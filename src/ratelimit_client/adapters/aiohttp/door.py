"""
Who is inside a client, and whether more may come.

Law of this file: a call that is refused at the door was never sent and never
queued; a call that is inside is waited for by ``drain``, whoever the limiter
belongs to, and wherever it is: asking for its key, queued, or in flight.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from ...errors import Closed


class Door:
    """The entrance of one client."""

    __slots__ = ("_asking", "_inside", "_nobody_asks", "_nobody_inside", "_shut")

    def __init__(self) -> None:
        self._inside = self._asking = 0
        self._shut = ""
        self._nobody_inside: list[asyncio.Future[None]] = []
        self._nobody_asks: list[asyncio.Future[None]] = []

    def open(self) -> None:
        """Calls may come again."""
        self._shut = ""

    def shut(self, state: str) -> None:
        """Let no further call in; *state* is the word for it."""
        self._shut = state

    @property
    def is_shut(self) -> bool:
        """Is nobody let in any more?"""
        return bool(self._shut)

    def enter(self) -> None:
        """
        Raises:
            Closed: nobody is let in any more.
        """
        if self._shut:
            raise Closed(f"the client is {self._shut}; nothing was sent")
        self._inside += 1

    def leave(self) -> None:
        """One call is over."""
        self._inside -= 1
        if not self._inside:
            _wake(self._nobody_inside)

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """A call inside waits for the key, and so it is neither queued nor in flight."""
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1
            if not self._asking:
                _wake(self._nobody_asks)

    async def empty(self) -> None:
        """Return when nobody is inside."""
        while self._inside:
            await _waiting(self._nobody_inside)

    async def asked(self) -> None:
        """Return when nobody inside waits for the key."""
        while self._asking:
            await _waiting(self._nobody_asks)

    def __repr__(self) -> str:
        return f"<Door: {self._inside} inside{', ' + self._shut if self._shut else ''}>"


def _waiting(until: list[asyncio.Future[None]]) -> asyncio.Future[None]:
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    until.append(waiter)
    return waiter


def _wake(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
    waiters.clear()
