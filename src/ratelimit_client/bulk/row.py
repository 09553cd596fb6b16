"""
What a row is, and who it is.

Law of this file: a row is a line of the Batch form, ``{"custom_id", "method",
"url", "body"}``, and nothing else is ever sent. Its name is its ``custom_id``;
its identity is ``rlc_`` and the first 20 hex digits of SHA-256 over the exact
bytes of method, url and body as they stand in the line, one after the other. So
another spelling of the same body is another row, and moving the row, or
changing what is not sent, is not.

A line that is no row becomes a *flaw*: what to write in the errors file instead
of an answer. Nothing here raises for what a line says.
"""

from __future__ import annotations

import functools
import json
import re
from hashlib import sha256
from typing import Any, Final

import attrs

from ..core.estimate import Features
from ..dialects.features import Counter, features_of
from .jsonl import LINE_CAP, Line
from .scan import Member, NotJSON, members, value_of

# The endpoints of the Batch API and all that look like them; anything else could leave the origin (a second
# slash, a dot segment, an escape) or smuggle a query.
_URL: Final = re.compile(r"/v1/[a-z0-9_-][a-z0-9_/-]*")

_USUAL: Final = re.compile(
    rb'\{"custom_id": ?"([^"\\\x00-\x1f]+)", ?"method": ?("POST"), ?"url": ?("[a-z0-9_/-]+"), ?"body": ?(\{.*\})\}',
    re.DOTALL,
)

# As long as the longest URL that servers commonly take; longer ones are data in the wrong place.
_CUSTOM_ID_CAP: Final = 4096

_OURS: Final = frozenset({"custom_id", "method", "url", "body", "id", "response", "error"})

INVALID_LINE: Final = "invalid_line"
DUPLICATE: Final = "duplicate_custom_id"


@attrs.define(eq=False)
class Row:
    """
    A line that can be sent.

    Args:
        number, offset, size: where its line stands in the input.
        custom_id: its name.
        name: the name as JSON, as it stands in the line.
        id: its identity.
        mark: 64 bits of SHA-256 of the name.
        url: path of the endpoint, begins with ``/v1/``.
        body: the exact bytes to send.
        model: the body's ``model``, or "".
        features: what the body shows of its cost.
        carried: members to copy to the output line, as ``, "key": value`` each.
    """

    number: int
    offset: int
    size: int
    custom_id: str
    name: str
    id: str
    mark: int
    url: str
    body: bytes = attrs.field(repr=False)
    model: str
    features: Features
    carried: str = ""


@attrs.define(eq=False)
class Flaw:
    """
    A line that cannot be sent, and why.

    ``custom_id`` is None and ``name`` "null" when the line is no row at all. The
    other fields are those of Row, and ``lines`` what its error names besides code
    and message: its line, and the line that had its name first.
    """

    number: int
    offset: int
    size: int
    custom_id: str | None
    name: str
    id: str
    mark: int
    code: str
    message: str
    carried: str
    lines: dict[str, int]


def mark_of(custom_id: str) -> int:
    """64 bits that stand for a name in memory."""
    return int.from_bytes(sha256(custom_id.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def mark_of_line(number: int, id_: str) -> int:
    """The same for what is known by its line: a line that is no row, a name that occurred before."""
    return int.from_bytes(sha256(b"%d:%s" % (number, id_.encode())).digest()[:8], "big")


def duplicate(row: Row | Flaw, first_line: int) -> Flaw:
    """The flaw of a row whose name a line before it has."""
    message = (
        f"custom_id {row.name[:128]} of line {row.number} was used before, in line {first_line}: that row was taken, "
        "this one was not sent"
    )
    return Flaw(
        number=row.number,
        offset=row.offset,
        size=row.size,
        custom_id=row.custom_id,
        name=row.name,
        id=row.id,
        mark=mark_of_line(row.number, row.id),
        code=DUPLICATE,
        message=message,
        carried=row.carried,
        lines={"line": row.number, "first_line": first_line},
    )


def glance(line: Line) -> tuple[int, str] | None:
    """
    Mark and identity of a line in the usual layout, four times faster than ``read_row``; None for any other.

    A guess: what is taken for the body may be more than that. Then the identity is
    one that no finished row has, so "finished" is believed and nothing else.
    """
    found = _USUAL.fullmatch(line.data)
    if found is None:
        return None
    name, method, url, body = found.groups()
    mark = int.from_bytes(sha256(name).digest()[:8], "big")
    return mark, "rlc_" + sha256(method + url + body).hexdigest()[:20]


def identify(line: Line) -> tuple[int, str]:
    """Mark and identity of a line in any layout, as ``read_row`` gives them, without the rest."""
    try:
        found = members(line.data.decode())
        name = found["custom_id"].value
    except (UnicodeDecodeError, NotJSON, KeyError):
        name = None
    if line.digest is not None or _wrong_name(name) is not None:
        row = read_row(line)
        return row.mark, row.id
    return mark_of(name), _identity(line.data.decode(), found)


def read_row(line: Line) -> Row | Flaw:
    """The row that *line* is, or what is wrong with it."""
    if line.digest is not None:
        return _no_row(line, f"is longer than {LINE_CAP // 1_000_000} MB")
    usual = _USUAL.fullmatch(line.data)
    if usual is not None and (row := _usual_row(line, *usual.groups())) is not None:
        return row
    try:
        text = line.data.decode()
    except UnicodeDecodeError as error:
        return _no_row(line, f"is not UTF-8: byte {error.start + 1} of the line")
    try:
        found = members(text)
    except NotJSON as error:
        return _no_row(line, str(error))

    name = found.get("custom_id")
    if name is None:
        return _no_row(line, "has no custom_id")
    wrong = _wrong_name(name.value)
    if wrong is not None:
        return _no_row(line, wrong)
    return _row(line, text, found, name)


def _usual_row(line: Line, name: bytes, method: bytes, url: bytes, body: bytes) -> Row | None:
    """
    The row of a line in the usual layout, at a third of the cost; None when something about it needs a closer look.

    Only the body is parsed. When it is one object, the line is one: all else was matched to the last byte.
    """
    try:
        custom_id = name.decode()
        shown = value_of(body)
    except (UnicodeDecodeError, NotJSON):
        return None
    path = url[1:-1].decode()
    if len(custom_id) > _CUSTOM_ID_CAP or not _is_endpoint(path) or shown.get("stream"):
        return None
    model = shown.get("model")
    return Row(
        line.number,
        line.offset,
        len(line.data),
        custom_id,
        f'"{custom_id}"',
        "rlc_" + sha256(method + url + body).hexdigest()[:20],
        int.from_bytes(sha256(name).digest()[:8], "big"),
        path,
        body,
        model if isinstance(model, str) else "",
        features_of(shown, path),
    )


def _row(line: Line, text: str, found: dict[str, Member], name: Member) -> Row | Flaw:
    id_ = _identity(text, found)
    carried = "" if len(found) <= 4 and found.keys() <= _OURS else _carry(text, found)
    custom_id: str = name.value
    shown = text[name.start : name.end]
    mark = mark_of(custom_id)
    problem = _problem(found)
    if problem is not None:
        return _flaw(line, custom_id, shown, id_, mark, problem, carried)

    body = found["body"]
    model = body.value.get("model")
    return Row(
        number=line.number,
        offset=line.offset,
        size=len(line.data),
        custom_id=custom_id,
        name=shown,
        id=id_,
        mark=mark,
        url=found["url"].value,
        body=text[body.start : body.end].encode(),
        model=model if isinstance(model, str) else "",
        features=features_of(body.value, found["url"].value),
        carried=carried,
    )


def counted(row: Row, counter: Counter | None) -> Features:
    """The features of *row*, its texts counted by *counter* if there is one."""
    if counter is None:
        return row.features
    try:
        body = json.loads(row.body)
    except (ValueError, RecursionError):  # it was read before, on a stack with more room
        return row.features
    return features_of(body, row.url, counter)


def _identity(text: str, found: dict[str, Member]) -> str:
    sent = [found[key] for key in ("method", "url", "body") if key in found]
    hashed = "".join([text[member.start : member.end] for member in sent])
    return "rlc_" + sha256(hashed.encode()).hexdigest()[:20]


def _no_row(line: Line, what: str) -> Flaw:
    """A line without a name: known by its number and its bytes."""
    digest = line.digest or sha256(line.data).digest()
    id_ = "rlc_" + digest.hex()[:20]
    mark = mark_of_line(line.number, id_)
    message = f"line {line.number} {what}; nothing was sent"
    return _flaw(line, None, "null", id_, mark, (INVALID_LINE, message), "")


def _flaw(
    line: Line, custom_id: str | None, name: str, id_: str, mark: int, problem: tuple[str, str], carried: str
) -> Flaw:
    code, message = problem
    lines = {"line": line.number}
    return Flaw(line.number, line.offset, len(line.data), custom_id, name, id_, mark, code, message, carried, lines)


def _wrong_name(value: Any) -> str | None:
    if not isinstance(value, str):
        return "has a custom_id that is no string"
    if not value:
        return "has an empty custom_id"
    if len(value) > _CUSTOM_ID_CAP:
        return f"has a custom_id of {len(value)} characters, more than {_CUSTOM_ID_CAP}"
    return None


def _problem(found: dict[str, Member]) -> tuple[str, str] | None:
    """Code and sentence of the first thing that keeps a named line from being sent."""
    method = found.get("method")
    if method is None or method.value != "POST":
        shown = "missing" if method is None else f"{_short(method.value)}"
        return "invalid_method", f'method is {shown}, it must be "POST"; nothing was sent'
    url = found.get("url")
    if url is None or not isinstance(url.value, str) or not _is_endpoint(url.value):
        shown = "missing" if url is None else _short(url.value)
        return "invalid_url", f"url is {shown}, it must be /v1/ and then only a-z 0-9 _ - /; nothing was sent"
    body = found.get("body")
    if body is None or not isinstance(body.value, dict):
        shown = "missing" if body is None else "no object"
        return "invalid_body", f"body is {shown}, it must be a JSON object; nothing was sent"
    if body.value.get("stream"):
        return "invalid_body", "body asks for a stream, a bulk row is answered whole: remove stream; nothing was sent"
    return None


@functools.lru_cache(maxsize=256)
def _is_endpoint(url: str) -> bool:
    return _URL.fullmatch(url) is not None and "//" not in url


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 128 else text[:125] + "..."


def _carry(text: str, found: dict[str, Member]) -> str:
    """The members nobody here knows, as they stand in the line."""
    return "".join(
        f", {json.dumps(key)}: {text[member.start : member.end]}" for key, member in found.items() if key not in _OURS
    )
