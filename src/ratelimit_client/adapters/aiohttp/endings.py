"""
Bodies of answers that belong to somebody else: looked at where they lie, and watched for their end.

Law of this file: nothing is taken out of a body. A place is given back when the body has
ended, whichever way: read to its end, released, closed, broken off or cancelled.

Theory. A connection tells when it is given back or closed, and every end of a body that
somebody reads comes to one of these; aiohttp itself stops its timer so. A body that came
with its head is over already. One that nobody reads is over for nobody: aiohttp's own
parser holds it, and with it the connection, until the server has ended or ``sock_read``
strikes. A connection that is lost meanwhile is not given back before somebody reads on, and
so its transport is asked, too.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

import aiohttp

from ...runtime.answers import ERROR_BODY_S, MAX_ERROR_BODY
from ...runtime.attempts import Attempt
from .bystander import Bystander, Careful, OfJson

_SWITCHED = 101
_END = 16 * 1024


async def beginning_of(response: aiohttp.ClientResponse) -> bytes:
    """The first of an error's body, as far as it comes in time; it stays where it is."""
    read = getattr(response, "_body", None)  # by a middleware further in
    if read is not None:
        return bytes(read[:MAX_ERROR_BODY])
    content = response.content
    length = response.content_length or 0
    if not content.is_eof() and content.exception() is None and length <= content.get_read_buffer_limits()[1]:
        try:
            async with asyncio.timeout(ERROR_BODY_S):
                await content.wait_eof()
        except Exception:  # noqa: BLE001 - whatever is wrong with the body of an error, its head stands
            pass
    offset = getattr(content, "_buffer_offset", 0)  # somebody may have read a little
    return b"".join(getattr(content, "_buffer", ()))[offset : offset + MAX_ERROR_BODY]


def keep_until_its_end(response: aiohttp.ClientResponse, attempt: Attempt) -> None:
    """Let *attempt* hold its place for as long as the body lasts."""
    connection = response.connection
    kind = response.headers.get("Content-Type", "")
    reader = Careful(OfJson("")) if kind.startswith("application/json") else Bystander()
    ending = Ending(attempt, response.content, reader)
    if connection is None:
        ending.settle()
    elif response.status != _SWITCHED:  # of a websocket the call was to open it
        connection.add_callback(ending)
        _watch(connection.protocol, ending)
        attempt.hold()


class Ending:
    """
    What a connection calls as it is given back.

    Args:
        attempt: holds the place.
        content: the body.
        reader: finds in its last bytes what it used.
    """

    __slots__ = ("__weakref__", "_attempt", "_content", "_over", "_reader")

    def __init__(self, attempt: Attempt, content: Any, reader: Bystander) -> None:
        self._attempt = attempt
        self._content = content
        self._reader = reader
        self._over = False

    def __call__(self) -> None:
        if self._over:
            return
        self._over = True
        content = self._content
        error = content.exception()
        if content.is_eof() and error is None:
            self.settle()
        # What aiohttp says to whoever reads on after he has released it is nobody's failure.
        left = type(error) is aiohttp.ClientConnectionError
        self._attempt.finish(None if left else error)

    def settle(self) -> None:
        """The body is whole: what its last bytes say that it used, where they still lie there."""
        self._reader.take(_last_of(self._content))
        self._reader.end()
        if self._reader.tokens is not None:
            self._attempt.settle(tokens=self._reader.tokens)

    def __repr__(self) -> str:
        return f"<Ending of {self._attempt!r}>"


class _Line:
    """One connection, and the body that is on it."""

    __slots__ = ("ending",)

    def __init__(self) -> None:
        self.ending: weakref.ref[Ending] | None = None

    def __call__(self, closed: asyncio.Future[None]) -> None:
        if not closed.cancelled():
            closed.exception()  # what broke it, whoever reads is told
        ending = None if self.ending is None else self.ending()
        if ending is not None:
            ending()


_lines: weakref.WeakKeyDictionary[Any, _Line] = weakref.WeakKeyDictionary()


def _watch(protocol: Any, ending: Ending) -> None:
    """Call *ending* when the connection is lost. A kept one is told of each body, and one watcher does for all."""
    line = _lines.get(protocol)
    if line is None:
        closed = getattr(protocol, "closed", None)
        if closed is None:
            return
        line = _lines[protocol] = _Line()
        closed.add_done_callback(line)
    line.ending = weakref.ref(ending)


def _last_of(content: Any) -> bytes:
    """The last bytes of a body, as far as they were not read yet."""
    pieces: list[bytes] = []
    size = 0
    for piece in reversed(getattr(content, "_buffer", ())):
        pieces.append(piece)
        size += len(piece)
        if size >= _END:
            break
    return b"".join(reversed(pieces))
