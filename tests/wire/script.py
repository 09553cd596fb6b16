"""
What a server does with a connection, step by step, and what a caller should get of it.

A row is a fault: what the server sends, raw, and the one end it has for the caller,
however the bytes are cut into segments.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence
from typing import Literal

import attrs

from tests.adapters.aiohttp.rawserver import Move

__all__ = [
    "DATA",
    "END",
    "JSON",
    "OK",
    "Ends",
    "Forever",
    "Heard",
    "Move",
    "Pause",
    "Row",
    "Step",
    "answer",
    "chunked",
    "chunks",
    "lines",
]

DATA = {"text": "three little words " * 8}
JSON = json.dumps(DATA).encode()
END = b"0\r\n\r\n"
OK = "HTTP/1.1 200 OK"


class Heard(enum.Enum):
    """How much of the request the server waits for before it begins."""

    NOTHING = "nothing"
    """It begins as the connection comes up."""
    HEAD = "head"
    """It reads the head and never the body."""
    ALL = "all"


@attrs.frozen
class Forever:
    """The same bytes again and again, for as long as the client stays."""

    piece: bytes


@attrs.frozen
class Pause:
    """A wait of so many times the silence that the client puts up with."""

    idles: float


Step = bytes | float | Move | Forever | Pause
"""Bytes are sent, cut as the chunking says; a number is seconds to wait."""


@attrs.frozen
class Ends:
    """
    How a call ends.

    Args:
        kind: the class of what the caller gets: ``Reply`` or an error.
        why: of an error its ``reason`` or ``kind``; of a reply its parsed body, where "as sent" is ``DATA``.
        status: the one the server gave, where the caller is told.
        sent: how often the request went out. The policy is one retry, and the server does the
            same again, so 2 is "tried again".
        kept: the next call goes out on the same connection.
        says: words of its message.
    """

    kind: str
    why: str = ""
    status: int | None = None
    sent: int = 1
    kept: bool = False
    says: str = ""

    def like(self, other: Ends) -> bool:
        """Is it the same but for the words?"""
        return attrs.evolve(self, says="") == attrs.evolve(other, says="")


@attrs.frozen(kw_only=True)
class Row:
    """
    A fault and its end.

    Args:
        name: what the server does, for people.
        script: the steps for each attempt in turn; the last stands for all later ones.
        ends: what the caller gets.
        theirs: what he may get instead on a session of his own, by how the bytes are cut.
        method: of the request.
        heard: how much of it the server reads first.
        warm: what the server did for a request before, on the same connection.
        deadline_idles: the call has a deadline, of so many times the silence it puts up with.
    """

    name: str
    script: Sequence[Sequence[Step]] = attrs.field(repr=False)
    ends: Ends
    theirs: Ends | None = None
    method: Literal["GET", "HEAD", "POST"] = "POST"
    heard: Heard = Heard.ALL
    warm: Sequence[Step] | None = attrs.field(default=None, repr=False)
    deadline_idles: float | None = None


def lines(*text: str) -> bytes:
    """A head of these lines."""
    return "\r\n".join([*text, "", ""]).encode()


def answer(body: bytes = b"", *headers: str, status: str = "200 OK", kind: str = "application/json") -> bytes:
    """A well-formed answer with its length and some more headers."""
    typed = [f"Content-Type: {kind}"] if kind else []
    return lines(f"HTTP/1.1 {status}", *typed, f"Content-Length: {len(body)}", *headers) + body


def chunks(*parts: bytes, head: Sequence[str] = (), status: str = "200 OK") -> bytes:
    """A head and whole chunks, without the last one of size 0."""
    first = lines(f"HTTP/1.1 {status}", "Content-Type: application/json", "Transfer-Encoding: chunked", *head)
    return first + chunked(*parts)


def chunked(*parts: bytes) -> bytes:
    """Whole chunks."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
