"""
Heads of answers that look like heads before them.

Law of this file: it understands what aiohttp's parser understands of the same bytes, or
nothing. A shape is learnt from an answer which that parser has read, and only where both
agree on every name and value; whatever differs from it by more than its values is not
known, and goes to the parser.

Theory. A server writes the headers of its successes in one order, with one spelling, and
changes the values. The parser makes a message, a queue and some sixty strings of each; one
match of a pattern finds where the values stand, and few of them are ever asked for. Only
answers that came in one piece are read so, head and body: then nothing is left to wait
for, to bound or to cut. Few shapes are remembered, so that a hostile server cannot make
them many.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, ValuesView
from typing import Any, Final, NamedTuple, cast

import attrs
from multidict import CIMultiDict, CIMultiDictProxy

from ...runtime.named import made

MOST_SHAPES: Final = 8
# What aiohttp allows for one line; so no line of such a head is too long, and there are few enough of them.
_LONGEST_HEAD: Final = 8190
_MOST_HEADERS: Final = 100

_OK: Final = 200
_END: Final = "\r\n\r\n"
_LENGTH, _CODING, _CONNECTION = "content-length", "transfer-encoding", "connection"
_VALUE: Final = "([!-~].*)(?<! )"
_DIGITS: Final = "([0-9]{1,9})"
_MADE_OUT_OTHERWISE: Final = frozenset({"upgrade", "trailer", "keep-alive", "sec-websocket-key1"})
_one_chunk = re.compile(rb"([0-9a-fA-F]{1,7})\r\n")
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"


class Head(Mapping[str, str]):
    """Headers of an answer, case-insensitive, in the order of the server; names may be repeated."""

    __slots__ = ("_all", "_shape", "_values")

    def __init__(self, shape: Shape, values: tuple[str, ...]) -> None:
        self._shape = shape
        self._values = values
        self._all: CIMultiDictProxy[str] | None = None

    def _multi(self) -> CIMultiDictProxy[str]:
        if self._all is None:
            self._all = CIMultiDictProxy(CIMultiDict(zip(self._shape.names, self._values, strict=True)))
        return self._all

    def __getitem__(self, name: str) -> str:
        return self._values[self._shape.places[name.lower()]]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._shape.places

    # Looked up for every answer, and most often not there.
    def get(self, name: str, default: Any = None) -> Any:
        place = self._shape.places.get(name.lower())
        return default if place is None else self._values[place]

    def __iter__(self) -> Iterator[str]:
        return iter(self._shape.names)

    def __len__(self) -> int:
        return len(self._values)

    def values(self) -> ValuesView[str]:
        return cast("ValuesView[str]", self._values)  # which is iterated and nothing else

    def items(self) -> Any:
        return self._multi().items()

    def keys(self) -> Any:
        return self._multi().keys()

    def getall(self, name: str, *default: Any) -> Any:
        """Every value of a name."""
        return self._multi().getall(name, *default)

    def getone(self, name: str, *default: Any) -> Any:
        """The first value of a name."""
        return self._multi().getone(name, *default)

    def __repr__(self) -> str:
        return f"<Head: {len(self._values)} headers>"  # a server may quote a key there


class Known(NamedTuple):
    """A head, with the names that aiohttp's own message has."""

    code: int
    headers: Mapping[str, str]


@attrs.frozen(eq=False)
class Shape:
    """
    What a head looks like.

    Args:
        match: of the whole head and what ends it; its groups are the values.
        names: of the headers, in the parser's spelling.
        places: name in lower case -> where its first value stands.
        length: the place of the length of the body; -1: it comes in one chunk.
    """

    match: Any
    names: tuple[str, ...]
    places: Mapping[str, int]
    length: int


class Shapes:
    """The shapes of successes that one server was seen to send."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: list[Shape] = []

    def __repr__(self) -> str:
        return f"<Shapes: {len(self._known)}>"

    def read(self, data: bytes) -> tuple[Known, bytes] | None:
        """Head and body of the answer that *data* is; None where it is not just one, or of no known shape."""
        if not self._known:
            return None
        text = data[:_LONGEST_HEAD].decode("latin-1")
        for shape in self._known:
            found = shape.match(text)
            if found is not None:
                break
        else:
            return None
        values = found.groups()
        said = "".join(values)
        if not (said.isascii() and said.isprintable()):
            return None
        if shape.length < 0:
            body = _of_one_chunk(data, found.end())
        else:
            body = data[found.end() :]
            if len(body) != int(values[shape.length]):
                return None
        return (made(Known, (_OK, Head(shape, values))), body) if body else None

    def learn(self, data: bytes, message: Any) -> None:
        """Remember the shape of the answer *data* begins with, which aiohttp's parser has read as *message*."""
        if len(self._known) < MOST_SHAPES and (shape := _shape_of(data, message)) is not None:
            self._known.append(shape)


def _of_one_chunk(data: bytes, start: int) -> bytes | None:
    """The body that is one chunk and the last one; None: it is none."""
    found = _one_chunk.match(data, start)
    if found is None or not data.endswith(_LAST_CHUNK):
        return None
    body = data[found.end() : -len(_LAST_CHUNK)]
    return body if len(body) == int(found[1], 16) else None


def _shape_of(data: bytes, message: Any) -> Shape | None:
    """The shape of the head that *data* begins with; None where anything about it is not for a pattern."""
    if message.code != _OK or message.version != (1, 1) or message.should_close or message.upgrade:
        return None
    raw = data[: data.find(_END.encode())]
    status, *lines = raw.split(b"\r\n")
    pairs = message.raw_headers
    if not status.isascii() or not status.startswith(b"HTTP/1.1 200") or len(pairs) > _MOST_HEADERS:
        return None
    if [name + b": " + value for name, value in pairs] != lines:
        return None
    written = [name.decode("latin-1") for name, _ in pairs]
    lowered = [name.lower() for name in written]
    framed = [name for name in lowered if name in (_LENGTH, _CODING)]
    if len(framed) != 1 or not _MADE_OUT_OTHERWISE.isdisjoint(lowered):
        return None
    values = {_LENGTH: _DIGITS, _CODING: "(chunked)", _CONNECTION: "(keep-alive)"}
    patterns = [f"\r\n{re.escape(own)}: {values.get(name, _VALUE)}" for own, name in zip(written, lowered, strict=True)]
    match = re.compile(re.escape(status.decode("ascii")) + "".join(patterns) + _END).match
    if match(data[:_LONGEST_HEAD].decode("latin-1")) is None:
        return None
    places = {name: place for place, name in reversed([*enumerate(lowered)])}
    return Shape(match, tuple(name for name, _ in message.headers.items()), places, places.get(_LENGTH, -1))
