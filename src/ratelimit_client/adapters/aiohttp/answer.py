"""
The answer to one request: its head, and its body on demand.

Law of this file: a body is handed out whole or not at all; of an error's body
the beginning is enough. Whatever ends a read early is a ``BadBody`` with the
bytes there were, or nothing, but never an exception of aiohttp.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

import aiohttp

from .body import MOST_BYTES, BadBody, Kept
from .watchdog import Stalled

_MOST_OF_AN_ERROR = 64 * 1024
_PAUSE_AFTER = 4 * 2**20


class Line(Protocol):
    """The connection an answer comes on."""

    def close_line(self, *, whole: bool) -> None:
        """Give it back when the answer is *whole*, else drop it. Idempotent."""
        ...


class Answer:
    """
    The head of an answer, and its body on demand.

    It has ``status``, ``headers`` and ``read()``, which is all that ``attempt.check`` asks for.
    """

    __slots__ = ("_content", "_line", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], content: aiohttp.StreamReader, line: Line) -> None:
        self.status = status
        self.headers = headers
        self._content = content
        self._line = line

    def __repr__(self) -> str:
        return f"<Answer {self.status}>"

    async def whole(self, most: int = MOST_BYTES) -> bytes:
        """
        The body, decoded and complete.

        Raises:
            BadBody: it is not.
        """
        coding = self.headers.get("Content-Encoding", "")
        content = self._content
        if not coding and content.is_eof() and content.total_bytes <= most and content.exception() is None:
            return content.read_nowait()  # plain, and here already

        kept = Kept(coding, most)
        try:
            await self._fill(kept)
            return kept.whole()
        except BadBody:
            raise
        except asyncio.CancelledError as stop:
            # The frames below hold aiohttp's locals; nobody who prints this needs them.
            stop.__traceback__ = stop.__context__ = None
            raise
        except Stalled as stalled:
            problem = f"it stopped: {stalled}"
        except TimeoutError:
            problem = "it stopped: nothing came for too long"
        except Exception as error:  # noqa: BLE001 - every way for a body to break ends here, and none may leave as it is
            problem = f"it was cut short ({type(error).__name__})"
        raise BadBody(problem, kept.sofar())

    async def read(self) -> bytes:
        """The beginning of an error's body, as far as it can be had."""
        try:
            kept = Kept(self.headers.get("Content-Encoding", ""), _MOST_OF_AN_ERROR)
            try:
                await self._fill(kept)
                return kept.whole()
            except BadBody as bad:
                return bad.read or kept.sofar()
            except (Stalled, aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError, OSError, RuntimeError):
                return kept.sofar()
        except BadBody:
            return b""

    def close(self) -> None:
        """Give the connection back, or drop it when there is more on it than was read."""
        content = self._content
        self._line.close_line(whole=content.is_eof() and content.exception() is None)

    async def _fill(self, kept: Kept) -> None:
        content = self._content
        if content.is_eof() and content.exception() is None:
            kept.add(content.read_nowait())
            return

        while not content.at_eof():
            kept.add(await content.readany())
            if kept.since_pause > _PAUSE_AFTER:
                kept.since_pause = 0
                await asyncio.sleep(0)
