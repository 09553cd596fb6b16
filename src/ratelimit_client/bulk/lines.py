"""
What a finished row looks like in a file.

Law of this file: one row, one line, valid JSON, in the form of the Batch API:
``{"id", "custom_id", "response", "error"}`` and then whatever the input line
carried that is not ours. The server's answer stands in it as it came, byte for
byte, except that the line breaks between its tokens are gone: in valid JSON a
newline never stands inside a string, so dropping it changes no value.

The other way round, ``read_line`` says of a line which row finished there.
"""

from __future__ import annotations

import json
import re
from json.encoder import encode_basestring_ascii
from typing import Any, Final, NamedTuple

from .row import DUPLICATE, INVALID_LINE, Flaw, Row

try:
    import orjson
except ImportError:  # the extra [fast] is not installed
    orjson = None  # type: ignore[assignment, unused-ignore]  # unused where orjson is not installed

_ID: Final = re.compile(r"rlc_[0-9a-f]{20}")
_BOM: Final = b"\xef\xbb\xbf"
_break: Final = re.compile(rb"[\r\n][ \t\r\n]*")


class Finished(NamedTuple):
    """
    A line of OUT or of the errors file.

    Args:
        id: identity of the row.
        custom_id: its name, or None for a line of input that was no row.
        code: of the error, or None for an answer.
        line: number of the input line, for an error that is about the line.
    """

    id: str
    custom_id: str | None
    code: str | None
    line: int | None


def answer_line(row: Row, status: int, request_id: str | None, content: bytes, *, is_json: bool = False) -> bytes:
    """The line of an answered row; *is_json*: somebody parsed *content* already, and it is JSON."""
    head = f'{{"id": "{row.id}", "custom_id": {row.name}, "response": {_response_head(status, request_id)}'
    body = _without_breaks(content) if is_json else one_line(content)
    return b"".join((head.encode(), body, b'}, "error": null', row.carried.encode(), b"}\n"))


def error_line(
    row: Row | Flaw,
    code: str,
    message: str,
    *,
    status: int | None = None,
    request_id: str | None = None,
    content: bytes = b"",
    **facts: int,
) -> bytes:
    """The line of a failed row; *facts* stand beside code and message (``line`` and ``first_line``)."""
    error: dict[str, Any] = {"code": code, "message": message, **facts}
    parts = [f'{{"id": "{row.id}", "custom_id": {row.name}, "response": '.encode()]
    if status is None:
        parts.append(b"null")
    else:
        parts += (_response_head(status, request_id).encode(), one_line(content), b"}")
    parts += (b', "error": ', json.dumps(error).encode(), row.carried.encode(), b"}\n")
    return b"".join(parts)


def _response_head(status: int, request_id: str | None) -> str:
    name = "null" if request_id is None else encode_basestring_ascii(request_id)
    return f'{{"status_code": {status}, "request_id": {name}, "body": '


def one_line(content: bytes) -> bytes:
    """
    The JSON text *content* without line breaks; what is no JSON becomes a string of JSON.

    NaN and Infinity, which Python takes and JSON does not know, become null.
    """
    odd = False

    def note(_: str) -> None:
        nonlocal odd
        odd = True

    try:
        value = json.loads(content.decode("utf-8-sig"), parse_constant=note)
    except (ValueError, RecursionError):
        return json.dumps(content.decode("utf-8", "replace")).encode() if content else b"null"
    return json.dumps(value).encode() if odd else _without_breaks(content)


def read_line(data: bytes) -> Finished | None:
    """
    Which row finished in a line of OUT or of the errors file.

    None: the line is no JSON object. An empty id: it is one, but none of ours.
    """
    found = parse(data)
    if not isinstance(found, dict):
        return None
    id_, custom_id, error = found.get("id"), found.get("custom_id"), found.get("error")
    if not isinstance(id_, str) or not _ID.fullmatch(id_) or not isinstance(custom_id, str | None):
        return Finished("", None, None, None)
    if not isinstance(error, dict):
        return Finished(id_, custom_id, None, None)
    code, line = error.get("code"), error.get("line")
    about_line = code in (INVALID_LINE, DUPLICATE) and isinstance(line, int)
    return Finished(id_, custom_id, str(code), line if about_line else None)


def parse(data: bytes) -> Any:
    """The value of a JSON text, None when it is none."""
    if orjson is not None:
        try:
            return orjson.loads(data)
        except ValueError:  # it refuses lone surrogates, which answers contain
            pass
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _without_breaks(content: bytes) -> bytes:
    if content.startswith(_BOM):
        content = content[len(_BOM) :]
    return _break.sub(b"", content) if b"\n" in content or b"\r" in content else content
