"""
Who is inside a client, and whether more may come.

Law of this file: a call that is refused at the door was never sent and never
queued; a call that is inside is waited for by ``drain``, whoever the limiter
belongs to.
"""

from __future__ import annotations

import asyncio

from ...errors import Closed


class Door:
    """The entrance of one client."""

    __slots__ = ("_inside", "_shut", "_waiting")

    def __init__(self) -> None:
        self._inside = 0
        self._shut = ""
        self._waiting: list[asyncio.Future[None]] = []

    def open(self) -> None:
        """Calls may come again."""
        self._shut = ""

    def shut(self, state: str) -> None:
        """Let no further call in; *state* is the word for it."""
        self._shut = state

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
            for waiting in self._waiting:
                if not waiting.done():
                    waiting.set_result(None)
            self._waiting.clear()

    async def empty(self) -> None:
        """Return when nobody is inside."""
        if self._inside:
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting

    def __repr__(self) -> str:
        return f"<Door: {self._inside} inside{', ' + self._shut if self._shut else ''}>"
