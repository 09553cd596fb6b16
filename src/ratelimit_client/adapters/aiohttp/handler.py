"""
Our end of a connection: what comes on it, and whether that is HTTP.

Law of this file: what becomes of an answer does not depend on how its bytes were cut
into segments, and whoever waits for bytes that can no longer come is told at once.

Theory. aiohttp's parser is used as it is, and three of its habits are made up for:

* when it fails on a segment, it drops what it had understood of that segment. So an
  answer with a broken chunk was "no HTTP" if the chunk came beside the head, and an
  incomplete answer if it came later. Here the bytes of a head are kept until it is
  whole, and after a failure they are parsed once more, cut where heads end;
* when it fails behind the head, it closes the connection and wakes nobody; and it takes
  a reset for the regular end of a body that has no length;
* an extension of a chunk may be endless, and so may interim answers. What comes beside
  the body is counted, and there is a most of it.

An answer that came in one piece and looks like those before it needs no parser (``heads``);
so on a connection of a pool the parser is not made before something else comes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError

from .failures import of_parser
from .heads import Shapes
from .watchdog import Stalled

if TYPE_CHECKING:
    from .pool import Pool

_SWITCHING = 101
_OK = 200
# Enough for every server that means well: 103 may come a few times.
_MOST_INTERIM = 100
# Beside the body: a head may have 128 lines of 8 KiB, and a byte that is a chunk of its own comes with five others.
_MOST_BESIDE = 2 * 2**20
_MOST_BESIDE_A_BYTE = 8
_EMPTY_LINE = re.compile(rb"(?<=\n\n)|(?<=\n\r\n)")


class Handler(ResponseHandler):
    """
    aiohttp's end of a connection, which can also tell whether anything moves on it.

    Attributes:
        used: it has carried a request before.
        idle: it has been idle since the last sweep.
        heard: how many bytes came on it.
        began: how many it was when the last request went out.
        content: the body that comes on it now.
        shapes: what answers look like here; None: every one is parsed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.used = self.idle = False
        self.content: aiohttp.StreamReader | None = None
        self.heard = self.began = 0
        self._connection: Connection | None = None
        self._pool: Pool | None = None
        self._parameters: dict[str, Any] = {}
        self._head: list[bytes] | None = None
        """The segments so far, as long as the head of the final answer is not whole."""
        self._interim = self._enough = 0
        self.shapes: Shapes | None = None
        self._unparsed = False
        """A request went out, nothing has come since, and there is no parser yet."""
        self.known = False
        """What came is one whole answer of a known shape, after which a connection is kept."""

    # -- what comes ---------------------------------------------------------------

    def set_response_params(self, **parameters: Any) -> None:
        """A request goes out, and the next answer is its own."""
        self._parameters = parameters
        self._head = []
        self._interim = 0
        self.known = False
        self.began = self.heard
        self._enough = self.heard + _MOST_BESIDE
        if self.shapes is None or parameters["skip_payload"]:
            super().set_response_params(**parameters)
        else:
            self._unparsed = True
            self._parser = None

    def data_received(self, data: bytes) -> None:
        """Something came."""
        self.heard += len(data)
        if self._unparsed:
            self._unparsed = False
            if self.shapes is not None and (known := self.shapes.read(data)) is not None:
                self._head = self._payload = None
                self.known = True
                super().feed_data(known)  # type: ignore[arg-type]  # a body that is all there is bytes
                return
            super().set_response_params(**self._parameters)
        if self._head is not None:
            self._head.append(data)
        if self.heard > self._enough and self._is_too_much():
            self._break("it has too much beside the body")
        else:
            super().data_received(data)

    def answer(self) -> Coroutine[Any, Any, tuple[Any, aiohttp.StreamReader | bytes]]:
        """The head of the final answer, and its body, or what brings that."""
        return self.read()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Called with every body, also where nothing was held back; then there is nothing to do."""
        if self._reading_paused or getattr(self, "_buffer_paused", False):  # 3.14.3 has but one reason
            super().resume_reading(resume_parser)

    def feed_data(self, data: tuple[Any, aiohttp.StreamReader], size: int = 0) -> None:
        """A head is whole. Interim ones are nobody's business; the final one ends the wait for it."""
        code = data[0].code
        if not 100 <= code < 200 or code == _SWITCHING:
            head, self._head = self._head, None
            if code == _OK and self.shapes is not None and head is not None and len(head) == 1:
                self.shapes.learn(head[0], data[0])
            super().feed_data(data, size)
            return
        self._interim += 1
        if self._interim >= _MOST_INTERIM:
            self._break(f"{_MOST_INTERIM} answers that are not final")

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Nothing more can be made of what comes."""
        head, self._head = self._head, None
        if head and isinstance(exc, HttpProcessingError) and self._heads_again(b"".join(head)):
            return
        content = self._payload
        super().set_exception(exc, *cause)
        if content is not None and not content.is_eof():
            content.set_exception(Stalled(f"what followed is no HTTP: {of_parser(exc)}", silent=False))

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is gone; a body that was to end with the connection did not end when that was reset."""
        content = self._payload
        if exc is not None and content is not None and not content.is_eof():
            content.set_exception(aiohttp.ClientPayloadError("the connection was reset"))
        super().connection_lost(exc)

    def _heads_again(self, data: bytes) -> bool:
        """Parse what failed once more, each head alone; False when there is no final one in it."""
        parts = _EMPTY_LINE.split(data)
        if len(parts) == 1:
            return False
        self._interim = 0
        super().set_response_params(**self._parameters)
        for part in parts:
            super().data_received(part)
            if self._exception is not None:
                break
        return True

    def _break(self, why: str) -> None:
        """Give up on what comes."""
        if self.transport is not None:
            self.transport.close()
        self._head = None
        self.set_exception(HttpProcessingError(message=why))

    def _is_too_much(self) -> bool:
        content = self._payload if self._head is None else None
        body = 0 if content is None else content.total_bytes
        self._enough = self.began + _MOST_BESIDE + _MOST_BESIDE_A_BYTE * body
        return self.heard > self._enough

    # -- used and given back ------------------------------------------------------

    def belong(self, connection: Connection, pool: Pool) -> None:
        """It is *pool*'s, and carries a request now."""
        self._connection = connection
        self._pool = pool
        self.shapes = pool.shapes

    def close_line(self, *, whole: bool) -> None:
        """The answer has ended: kept when it is *whole*, else closed. Idempotent."""
        self.content = None
        pool = self._pool
        if pool is not None:
            pool.end(self, whole)

    def drop(self) -> None:
        """Close the connection."""
        connection, self._connection, self._pool = self._connection, None, None
        if connection is not None:
            connection.close()

    # -- watched ------------------------------------------------------------------

    def moved(self) -> int:
        """A number that changes with every byte in or out."""
        transport = self.transport
        return self.heard if transport is None else self.heard - transport.get_write_buffer_size()

    def alive(self) -> bool:
        """Can more come?"""
        return self.transport is not None and not self.transport.is_closing()

    def stop(self, error: Stalled) -> None:
        """Whoever waits for the head or the body gets *error*."""
        if self.content is not None:
            self.content.set_exception(error)
        else:
            self.set_exception(error)


def as_new(protocol: ResponseHandler) -> bool:
    """Can it carry another request? Not after anything, or the beginning of it, that nobody asked for."""
    if protocol.should_close or not protocol.is_connected():
        return False
    parser = protocol._parser
    try:
        return parser is None or parser.feed_eof() is None
    except Exception:  # noqa: BLE001 - a parser that fails has been given something
        return False
