"""
The body of an answer that failed, in whatever shape it came.

Law of this file: a body never hides the status and never raises. It may be JSON, a
list, JSON inside JSON, an event stream, HTML, plain text, cut short, not JSON though
it says so, empty or huge; from each the same few facts are taken, or none. At most
64 KiB are looked at.

Theory: there is no standard. The error is at one of a few known places, else the
top level is the error; it is an object, a string or a list; its code is a string, a
number or null. So the reader collects *layers*, the innermost object that describes
the error first and its envelopes after it, and asks each layer for the names a fact
is known by. What a code means is not decided here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from .durations import Unit, When, number_when, parse_number, parse_when

LONGEST_BODY = 64 * 1024
LONGEST_MESSAGE = 1024
LONGEST_TEXT = 4096
"""No sentence about a limit is longer; what follows is not searched."""

_LONGEST_CODE = 200
_MOST_ITEMS = 16
_STATUSES = range(400, 600)

# "error": null stands in every healthy answer of some APIs: only an object is an error there.
_SHOWS_AN_ERROR = re.compile(
    r'"(?:last_)?error"\s*:\s*\{|"(?:type|object)"\s*:\s*"error"|"errors"\s*:\s*\{'
    r'|"type"\s*:\s*"RATE_LIMITED"'
)
_EVENT_STREAM = re.compile(r"(?:data|event|id|retry)?:")
_LINE_END = re.compile(r"\r\n|\n|\r")
_TITLE = re.compile(r"<title[^<>]{0,200}>([^<]{1,400})</title", re.IGNORECASE)
_PICKED = re.compile(
    r'"(message|detail|title|type|code|request_id)"\s{0,9}:\s{0,9}(?:"((?:[^"\\]|\\.){0,4096})"|([0-9]{1,9})\b)'
)
_LAST_PART = re.compile(r"[#/.]([^#/.]+)$")

Layer = Mapping[str, Any]

# Where the object that describes the error is, seen from the top. The failed batch
# and the failed response of a socket come with status 200 or with none at all.
_PLACES: tuple[tuple[str | int, ...], ...] = (
    ("error",),
    ("error", 0),
    ("response", "error"),
    ("response", "body", "error"),
    ("choices", 0, "error"),
    ("response", "status_details", "error"),
    ("last_error",),
    ("errors", "data", 0),
    ("errors", 0),
    ("detail", "error"),
    ("detail",),
)
_REFUSED_QUERY = "RATE_LIMITED"
"""The type by which a query language refuses under the status of a success."""
_MESSAGES = ("message", "detail", "details", "title", "error_description", "errorMessage", "Message", "msg")
_TYPES = ("type", "__type", "error_type")
_CODES = ("code", "error_code", "errorCode", "Code", "status", "reason")
_REQUEST_IDS = ("request_id", "requestId", "requestID")
_STATUS_NAMES = ("status_code", "raw_status_code", "status", "code")
_INSIDE = ("metadata", "parameters", "details", "errors")
_WAITS: Mapping[str, Unit] = {
    "retry_after": Unit.BY_SIZE,
    "retryAfter": Unit.BY_SIZE,
    "retry_after_seconds": Unit.SECONDS,
    "retryAfterSeconds": Unit.SECONDS,
    "retry_after_ms": Unit.MILLISECONDS,
    "retryAfterMs": Unit.MILLISECONDS,
    "retryDelay": Unit.SECONDS,
    "resets_in_seconds": Unit.SECONDS,
    "resets_at": Unit.BY_SIZE,
    "reset_at": Unit.BY_SIZE,
}


@attrs.frozen
class Violation:
    """
    A limit that an error names beside its sentence.

    Args:
        counts: what it counts, in the server's words ("generate_content_free_tier_requests").
        window: what its window is called in ("GenerateRequestsPerDayPerProjectPerModel").
        limit: units, or None.
        group: the model it holds for, or None.
    """

    counts: str
    window: str
    limit: float | None
    group: str | None


@attrs.frozen
class ErrorBody:
    """
    The facts of one error.

    Args:
        type, code: as written; the code as text, whatever it was.
        words: everything in it that may classify it: lower case, underscores.
        message: for people, at most 1 KiB.
        text: what may be searched for sentences, at most 4 KiB.
        request_id: as written.
        status: the status that the body itself names, or None.
        waits: every hint how long to wait.
        unread: the names of hints that say no time.
        headers: headers that came inside the body.
        policies: the limits that it says were violated, by name.
        violations: the same, with their numbers.
    """

    type: str | None = None
    code: str | None = None
    words: tuple[str, ...] = ()
    message: str | None = None
    text: str = ""
    request_id: str | None = None
    status: int | None = None
    waits: tuple[When, ...] = ()
    unread: tuple[str, ...] = ()
    headers: Layer = attrs.field(factory=dict)
    policies: tuple[str, ...] = ()
    violations: tuple[Violation, ...] = ()


def read_body(body: object, *, failed: bool) -> ErrorBody | None:
    """
    The error in *body*, or None.

    Args:
        body: bytes, text, parsed JSON or None.
        failed: the status says that it is an error. Without that only a plain
            error object counts as one.
    """
    if isinstance(body, Mapping | list):
        return _of_json(body, failed=failed)

    text = _as_text(body)
    if not text or not (failed or _SHOWS_AN_ERROR.search(text)):
        return None
    if _EVENT_STREAM.match(text) and (error := _of_stream(text)) is not None:
        return error
    data = _json(text)
    if isinstance(data, Mapping | list):
        return _of_json(data, failed=failed)
    if not failed:
        return None
    return _of_text(data if isinstance(data, str) else text)


def _as_text(body: object) -> str:
    if isinstance(body, str):
        return body[:LONGEST_BODY].strip("\ufeff \t\r\n")
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body[:LONGEST_BODY]).decode("utf-8", "replace").strip("\ufeff \t\r\n")
    return ""


def _json(text: str) -> object:
    """Parsed JSON, or None for what is none, too deep, or holds a number of thousands of digits."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _of_stream(text: str) -> ErrorBody | None:
    """The first event that is an error: a stream is answered with 200 and may fail later."""
    for line in _LINE_END.split(text):
        if line.startswith("data:"):
            error = _of_json(_json(line[5:]), failed=False)
            if error is not None:
                return error
    return None


def _of_text(text: str) -> ErrorBody:
    """HTML, JSON that is cut short or was never valid, or a plain sentence."""
    if text.startswith("<"):
        title = _TITLE.search(text)
        return ErrorBody(message=title[1].strip() if title else None, text=text[:LONGEST_TEXT])
    if text.startswith(("{", "[")):
        picked: dict[str, Any] = {}
        for name, string, number in _PICKED.findall(text):
            unescaped = _json(f'"{string}"')
            picked.setdefault(name, number or (unescaped if isinstance(unescaped, str) else string))
        return _facts([picked], [], text)
    return ErrorBody(message=text[:LONGEST_MESSAGE], text=text[:LONGEST_TEXT])


def _of_json(data: object, *, failed: bool) -> ErrorBody | None:
    if isinstance(data, list):
        found = (_of_json(item, failed=failed) for item in data[:_MOST_ITEMS] if isinstance(item, Mapping))
        return next((error for error in found if error is not None), None)
    if not isinstance(data, Mapping):
        return None

    errors = _errors(data, failed=failed)
    if not errors:
        return None
    answer = data.get("response")
    envelopes = [data, answer] if isinstance(answer, Mapping) else [data]
    return _facts([*_errors_in_message(errors), *errors], envelopes, "")


def _errors_in_message(errors: list[Layer]) -> list[Layer]:
    """Some gateways pass the upstream's error on as a string of JSON; it is opened once."""
    message = (_text_at(errors, _MESSAGES) or "").lstrip()
    if not message.startswith(("{", "[")) or len(message) > LONGEST_BODY:
        return []
    nested = _json(message)
    if isinstance(nested, list) and nested:
        nested = nested[0]
    return _errors(nested, failed=True) if isinstance(nested, Mapping) else []


def _errors(data: Layer, *, failed: bool) -> list[Layer]:
    """The objects that describe the error, innermost first; empty when there is none."""
    may_be_list = failed or data.get("status") == "failed" or _at(data, ("errors", 0, "type")) == _REFUSED_QUERY
    for place in _PLACES:
        if may_be_list or place[0] not in ("errors", "detail"):
            found = _at(data, place)
            if isinstance(found, Mapping) and found and (failed or _says_something(found)):
                inner = found.get("error")
                return [inner, found] if isinstance(inner, Mapping) and _says_something(inner) else [found]
    if failed and isinstance(data.get("error"), str):
        return [data] if "message" in data else [{"message": data["error"]}, data]
    if failed or data.get("type") == "error" or data.get("object") == "error":
        return [data]
    return []


def _says_something(error: Layer) -> bool:
    """An object of nulls is how some healthy jobs spell that there is no error."""
    return _text_at([error], (*_MESSAGES, *_TYPES, *_CODES)) is not None


def _at(data: Any, place: tuple[str | int, ...]) -> Any:
    for step in place:
        if isinstance(step, str):
            data = data.get(step) if isinstance(data, Mapping) else None
        else:
            data = data[step] if isinstance(data, list) and data else None
    return data


def _facts(errors: list[Layer], envelopes: list[Layer], text: str) -> ErrorBody:
    layers = [*errors, *envelopes]
    message = _text_at(errors, _MESSAGES)
    code = _text_at(errors, _CODES)
    waits, unread = _waits(layers)
    return ErrorBody(
        type=_cut(_text_at(errors, _TYPES), _LONGEST_CODE),
        code=_cut(code, _LONGEST_CODE),
        words=tuple(dict.fromkeys(_words(errors))),
        message=_cut(message, LONGEST_MESSAGE),
        text=_joined(message or text, _upstreams(errors))[:LONGEST_TEXT],
        request_id=_text_at(layers, _REQUEST_IDS),
        status=_status(layers),
        waits=waits,
        unread=unread,
        headers=_headers(layers),
        policies=_policies(layers),
        violations=tuple(_violations(errors)),
    )


def _cut(text: str | None, most: int) -> str | None:
    return None if text is None else text[:most]


def _text_at(layers: Iterable[Layer], names: Iterable[str]) -> str | None:
    """The first text under one of *names*; a number counts as its digits."""
    for layer in layers:
        for name in names:
            value = layer.get(name)
            if isinstance(value, str) and value:
                return value
            if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
                return str(value)
    return None


def _words(errors: list[Layer]) -> Iterator[str]:
    """Types, codes and reasons of the error and of its details, and the last part of each path or URL."""
    for layer in [*errors, *_inside(errors)]:
        for name in (*_TYPES, *_CODES):
            word = _text_at([layer], [name])
            if word is not None:
                word = word[:_LONGEST_CODE].lower().replace("-", "_").replace(" ", "_")
                yield word
                if last := _LAST_PART.search(word):
                    yield last[1]


def _inside(layers: list[Layer]) -> Iterator[Layer]:
    """The objects that details are put into: metadata, parameters, details, errors; each an object or a list."""
    for layer in layers:
        for name in _INSIDE:
            inner = layer.get(name)
            for item in inner[:_MOST_ITEMS] if isinstance(inner, list) else [inner]:
                if isinstance(item, Mapping):
                    yield item


def _status(layers: list[Layer]) -> int | None:
    for name in _STATUS_NAMES:
        text = _text_at(layers, [name])
        if text is not None and len(text) == 3 and text.isascii() and text.isdigit() and int(text) in _STATUSES:
            return int(text)
    return None


def _waits(layers: list[Layer]) -> tuple[tuple[When, ...], tuple[str, ...]]:
    """Every hint, and the names of those that say no time."""
    found: list[When] = []
    unread: dict[str, None] = {}
    for layer in [*layers, *_inside(layers)]:
        for name, unit in _WAITS.items():
            value = layer.get(name)
            when = _when(value, unit)
            if when is not None:
                found.append(when)
            elif value is not None and value != "":
                unread[name] = None
    return tuple(found), tuple(unread)


def _when(value: object, unit: Unit) -> When | None:
    if isinstance(value, str):
        return parse_when(value, unit)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 10**18 and math.isfinite(value):
        return number_when(float(value), unit)
    return None


def _headers(layers: list[Layer]) -> Layer:
    for layer in [*layers, *_inside(layers)]:
        found = layer.get("headers")
        if isinstance(found, Mapping):
            return found
    return {}


def _joined(text: str, more: str) -> str:
    return f"{text}\n{more}" if more else text


def _upstreams(errors: list[Layer]) -> str:
    """What an upstream said to the gateway that passes its error on."""
    raw = _text_at(list(_inside(errors)), ("raw",))
    return raw or ""


def _violations(errors: list[Layer]) -> Iterator[Violation]:
    for layer in _inside(errors):
        found = layer.get("violations")
        for item in found[:_MOST_ITEMS] if isinstance(found, list) else []:
            if isinstance(item, Mapping):
                dimensions = item.get("quotaDimensions")
                yield Violation(
                    counts=_text_at([item], ("quotaMetric", "subject")) or "",
                    window=_text_at([item], ("quotaId",)) or "",
                    limit=parse_number(_text_at([item], ("quotaValue",)) or ""),
                    group=_text_at([dimensions], ("model",)) if isinstance(dimensions, Mapping) else None,
                )


def _policies(layers: list[Layer]) -> tuple[str, ...]:
    for layer in layers:
        found = layer.get("violated-policies")
        if isinstance(found, list):
            return tuple(name for name in found[:_MOST_ITEMS] if isinstance(name, str))
    return ()
