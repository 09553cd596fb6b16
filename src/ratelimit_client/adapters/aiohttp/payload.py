"""
What is sent, as bytes, before anything is queued.

Law of this file: a body exists in full before its call takes a place in the
queue. So nothing is awaited between the grant and the first byte, the size that
was checked is the size that is sent, and after a refusal the same bytes go again.
A body that could be sent once only is refused here, because a retry would send
it empty and nobody would notice.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import parse_qsl, urlencode

import attrs
from aiohttp import FormData, MultipartWriter, content_disposition_filename, parse_content_disposition
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload, StringPayload

from ...errors import ConfigurationError
from . import codec

JSON = "application/json"
_PIECE = 256 * 1024
_FIRST_PIECE = 16 * 1024


@attrs.frozen
class Content:
    """The bytes of a body and what they are; ``content_type`` is empty when the user's header says it."""

    raw: bytes
    content_type: str = ""


@attrs.frozen
class Form(Content):
    """
    A form, and what of it can be read.

    Args:
        fields: text by name; a name that occurs more than once has a list of texts.
        files: of each, the name of its field and its own.
    """

    fields: Mapping[str, str | list[str]] = attrs.field(factory=dict)
    files: Sequence[tuple[str, str]] = ()


async def prepare(json: Any, data: Any, files: Any) -> Content | None:
    """
    The body of a call, or None when it has none.

    Args:
        json: any value JSON can hold, or bytes that are JSON already.
        data: bytes or text as they are, a mapping as form fields, or an aiohttp ``FormData``.
        files: name -> bytes, an open binary file, or (file name, either[, content type]);
            sent as multipart/form-data, with *data* as further fields.

    Raises:
        ConfigurationError: they contradict each other, or can be sent once only.
    """
    if json is not None:
        if data is not None or files is not None:
            raise ConfigurationError("json= stands for the whole body; give either it or data= and files=")
        return as_json(json)
    if files is not None:
        return _multipart(data, files)
    if data is None:
        return None
    if isinstance(data, FormData):
        return await _from_form(data)
    if isinstance(data, str):
        return Content(data.encode(), "text/plain; charset=utf-8")
    if isinstance(data, bytes | bytearray | memoryview):
        return Content(bytes(data))
    if isinstance(data, Mapping):
        fields = list(_fields(data))
        return Form(urlencode(fields).encode(), "application/x-www-form-urlencoded", _by_name(fields))
    if callable(getattr(data, "read", None)):
        return Content(_file_bytes("data", data))

    message = (
        f"data= is a {type(data).__name__}, which can be sent once only: give bytes, because a call that is "
        "refused or cut off is sent again"
    )
    raise ConfigurationError(message)


def as_json(value: Any) -> Content:
    """The body for a value JSON can hold, or for bytes that are JSON already."""
    return Content(value if isinstance(value, bytes) else codec.encode(value), JSON)


class Pieces(Payload):
    """
    A body that a session writes, piece by piece.

    aiohttp writes bytes in one go, and above 1 MiB warns that this stops the loop.
    Pieces also show how far the upload has come, which is how a server that stopped
    reading is noticed.

    Args:
        raw: the body.
        begun: called when the first piece has been written, and with it the head.
    """

    def __init__(self, raw: bytes, begun: Callable[[], object]) -> None:
        super().__init__(raw, content_type="application/octet-stream")
        self._length = len(raw)
        self._size = self._length  # what aiohttp asks for
        self._begun = begun
        self.written = 0
        """Bytes that have gone to the transport."""

    @classmethod
    def fits(cls, raw: bytes) -> bool:
        """Is *raw* small enough to be written in one go?"""
        return len(raw) <= _PIECE

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body as text."""
        return str(self._value.decode(encoding, errors))

    async def write(self, writer: AbstractStreamWriter) -> None:
        """All of it."""
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """All of it, or the first *content_length* bytes."""
        raw = memoryview(self._value)[:content_length]
        # The first piece is small, so that nothing is waited for before it is told.
        await writer.write(raw[:_FIRST_PIECE])
        self._begun()
        for start in range(_FIRST_PIECE, len(raw), _PIECE):
            self.written = start
            await writer.write(raw[start : start + _PIECE])
            await writer.drain()
        self.written = self._length


async def _from_form(form: FormData) -> Form:
    payload = form()
    raw = await payload.as_bytes()
    kind = payload.headers.get("Content-Type", "") or payload.content_type
    if not isinstance(payload, MultipartWriter):
        fields = parse_qsl(raw.decode("ascii", "replace"), keep_blank_values=True)
        return Form(raw, kind, _by_name(fields))

    fields, files = [], []
    for part, _, _ in payload:
        _, told = parse_content_disposition(part.headers.get("Content-Disposition"))
        name, file_name = told.get("name", ""), content_disposition_filename(told)
        if file_name is None and isinstance(part, StringPayload):
            fields.append((name, part.decode()))
        else:
            files.append((name, file_name or ""))
    return Form(raw, kind, _by_name(fields, files), files)


def _multipart(data: Any, files: Any) -> Form:
    """RFC 7578, with names escaped as browsers do, so that no name ends its own header."""
    if data is not None and not isinstance(data, Mapping):
        raise ConfigurationError("beside files=, data= is a mapping of form fields")

    boundary = "rlc-" + secrets.token_hex(16)
    parts: list[bytes] = []
    fields = list(_fields(data or {}))
    for name, text in fields:
        parts += _part(boundary, f'form-data; name="{_quoted(name)}"', "", text.encode())
    named = []
    for name, given in files.items() if isinstance(files, Mapping) else files:
        file_name, raw, kind = _file(str(name), given)
        disposition = f'form-data; name="{_quoted(str(name))}"; filename="{_quoted(file_name)}"'
        parts += _part(boundary, disposition, kind, raw)
        named.append((str(name), file_name))

    parts.append(f"--{boundary}--\r\n".encode())
    return Form(b"".join(parts), f"multipart/form-data; boundary={boundary}", _by_name(fields, named), named)


def _by_name(fields: Iterable[tuple[str, str]], files: Iterable[tuple[str, str]] = ()) -> dict[str, str | list[str]]:
    """The text of each field; a list where the name occurs more than once, files counted."""
    texts: dict[str, list[str]] = {}
    for name, text in fields:
        texts.setdefault(name, []).append(text)
    shared = {name for name, _ in files}
    return {name: found[0] if len(found) == 1 and name not in shared else found for name, found in texts.items()}


def _part(boundary: str, disposition: str, kind: str, raw: bytes) -> tuple[bytes, bytes, bytes]:
    head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n"
    if kind:
        head += f"Content-Type: {kind}\r\n"
    return f"{head}\r\n".encode(), raw, b"\r\n"


def _file(name: str, given: Any) -> tuple[str, bytes, str]:
    """(file name, bytes, content type) of one entry of ``files``."""
    file_name, kind = "", "application/octet-stream"
    if isinstance(given, tuple):
        if len(given) not in (2, 3):
            raise ConfigurationError(f"files[{name!r:.60}] is (file name, content[, content type])")
        file_name, kind = str(given[0]), str(given[2]) if len(given) == 3 else kind
        given = given[1]
    if not kind.isascii() or not kind.isprintable():
        raise ConfigurationError(f"files[{name!r:.60}] has a content type that cannot be sent")
    return file_name or _name_of(given) or name, _file_bytes(name, given), kind


def _file_bytes(name: str, given: Any) -> bytes:
    if isinstance(given, bytes | bytearray | memoryview):
        return bytes(given)
    if isinstance(given, str):
        return given.encode()
    read = getattr(given, "read", None)
    raw = read() if callable(read) else None
    if not isinstance(raw, bytes):
        message = f"files[{name!r:.60}] is a {type(given).__name__}: give bytes or a file opened as 'rb'"
        raise ConfigurationError(message)
    return raw


def _name_of(given: Any) -> str:
    name = getattr(given, "name", None)
    return PurePath(name).name if isinstance(name, str) else ""


def _fields(data: Mapping[Any, Any]) -> Iterable[tuple[str, str]]:
    """Name and text of each form field; a list is a field given several times."""
    for name, value in data.items():
        for one in value if isinstance(value, list | tuple) else (value,):
            if isinstance(one, bool):
                yield str(name), "true" if one else "false"
            elif one is not None:
                yield str(name), str(one)


def _quoted(text: str) -> str:
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
