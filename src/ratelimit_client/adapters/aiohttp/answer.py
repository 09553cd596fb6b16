"""
The answer to one request: its head, and its body on demand.

Law of this file: a body is handed out whole or not at all; of an error's body
the beginning is enough. Whatever ends a read early is a ``BadBody`` with the
bytes there were, or nothing, but never an exception of aiohttp.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable, Mapping
from typing import Protocol

import aiohttp
from aiohttp.base_protocol import BaseProtocol
from aiohttp.hdrs import CONTENT_ENCODING, TRANSFER_ENCODING
from multidict import CIMultiDict, CIMultiDictProxy

from .body import MOST_BYTES, BadBody, Kept
from .watchdog import Stalled, Watchdog, Watched

_PLAIN = ("", "chunked")
_MOST_OF_AN_ERROR = 64 * 1024
# Half of what its reader waits (runtime.answers): he gives up empty-handed, and what came by then may say why.
_LONGEST_ERROR_S = 5.0
_PAUSE_AFTER = 4 * 2**20


class Line(Watched, Protocol):
    """The connection an answer comes on."""

    def close_line(self, *, whole: bool) -> None:
        """Give it back when the answer is *whole*, else drop it. Idempotent."""
        ...


class Answer:
    """
    The head of an answer, and its body on demand.

    It has ``status``, ``headers`` and ``read()``, which is all that ``attempt.check`` asks for.

    Attributes:
        secrets: what went out with the request and is shown to nobody, should the server quote it.
    """

    __slots__ = ("_content", "_line", "headers", "secrets", "status")

    def __init__(
        self, status: int, headers: Mapping[str, str], content: aiohttp.StreamReader | bytes, line: Line
    ) -> None:
        self.status = status
        self.headers = headers
        self._content = content
        self._line = line
        self.secrets: Iterable[bytes] = ()

    def __repr__(self) -> str:
        return f"<Answer {self.status}>"

    async def whole(self, most: int = MOST_BYTES) -> bytes:
        """
        The body, decoded and complete.

        Raises:
            BadBody: it is not.
        """
        coding = self.headers.get(CONTENT_ENCODING, "")
        packed = self.headers.get(TRANSFER_ENCODING, "")
        if packed not in _PLAIN and packed.strip().lower() not in _PLAIN:
            raise BadBody(f"it is packed for the way as {packed!r:.40}, which was not asked for")
        content = self._content
        if isinstance(content, bytes):
            return self._unpacked(content, coding, most)
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

    def _unpacked(self, content: bytes, coding: str, most: int) -> bytes:
        """The body that came with its head."""
        if not coding and len(content) <= most:
            return content
        kept = Kept(coding, most)
        kept.add(content)
        return kept.whole()

    async def read(self) -> bytes:
        """The beginning of an error's body, as far as it can be had."""
        try:
            kept = Kept(self.headers.get(CONTENT_ENCODING, ""), _MOST_OF_AN_ERROR)
        except BadBody:
            return b""
        try:
            async with asyncio.timeout(_LONGEST_ERROR_S):
                await self._fill(kept)
            return self.shown(kept.whole())
        except BadBody as bad:
            self.drop()
            return self.shown(bad.read or kept.sofar())
        except (Stalled, aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError, OSError, RuntimeError):
            return self.shown(kept.sofar())

    def hide(self, secrets: Iterable[bytes]) -> None:
        """Show *secrets* to nobody, should the server quote them: not of its headers, and not of its body."""
        self.secrets = secrets
        texts = [secret.decode("latin-1") for secret in secrets]
        if not any(text in value for value in self.headers.values() for text in texts):
            return
        masked = CIMultiDict[str]()
        for name, value in self.headers.items():
            for text in texts:
                value = value.replace(text, "...")
            masked.add(name, value)
        self.headers = CIMultiDictProxy(masked)

    def shown(self, raw: bytes) -> bytes:
        """*raw* without the secrets."""
        for secret in self.secrets:
            raw = raw.replace(secret, b"...")
        return raw

    def shown_text(self, text: str) -> str:
        """*text* without the secrets."""
        return self.shown(text.encode()).decode("utf-8", "replace")

    def close(self) -> None:
        """Give the connection back, or drop it when there is more on it than was read."""
        content = self._content
        self.secrets = ()
        whole = isinstance(content, bytes) or (content.at_eof() and content.exception() is None)
        self._line.close_line(whole=whole)

    def drop(self) -> None:
        """End the connection: whoever answers so is not to be asked on it again."""
        self._line.close_line(whole=False)

    def lend(self, dog: Watchdog) -> aiohttp.StreamReader:
        """The body, for whoever reads it piece by piece, looks for silence himself and closes it."""
        dog.leave(self._line)
        return self._stream()

    def hand_over(self) -> Answer:
        """Another handle of this answer; from here on closing this one does nothing."""
        taken = copy.copy(self)
        self._line = _NOBODYS
        return taken

    @property
    def line(self) -> Line:
        """The connection it comes on."""
        return self._line

    def was_reset(self) -> bool:
        """Did its connection break where the end of that was to be the end of the body, and nobody said so?"""
        return False

    def connected(self) -> bool:
        """Can more come on its connection?"""
        return self._line.alive()

    def _stream(self) -> aiohttp.StreamReader:
        """The body to be read piece by piece, also where it came in one."""
        content = self._content
        if isinstance(content, bytes):
            loop = asyncio.get_running_loop()
            stream = aiohttp.StreamReader(BaseProtocol(loop), _PAUSE_AFTER, loop=loop)  # nobody is to be held back
            stream.feed_data(content)
            stream.feed_eof()
            self._content = content = stream
        return content

    async def _fill(self, kept: Kept) -> None:
        content = self._stream()
        if content.is_eof() and content.exception() is None:
            kept.add(content.read_nowait())
            return

        try:
            while not content.at_eof():
                # readany() would go on waiting after an error that came together with the end of a chunk.
                piece, _ = await content.readchunk()
                kept.add(piece)
                if kept.since_pause > _PAUSE_AFTER:
                    kept.since_pause = 0
                    await asyncio.sleep(0)
        except BadBody:
            raise
        except Exception:
            # aiohttp tells of the end before what came before it; that it keeps what came is no promise of its.
            kept.add(content._read_nowait(-1))
            raise


class _Nobodys:
    """The line of an answer that is somebody else's now."""

    def close_line(self, *, whole: bool) -> None:
        pass

    def moved(self) -> int:
        return 0

    def alive(self) -> bool:
        return False

    def stop(self, error: Stalled) -> None:
        pass


_NOBODYS = _Nobodys()
