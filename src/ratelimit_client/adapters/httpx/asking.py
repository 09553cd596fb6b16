"""
What a request asks of the limiter, read off the request.

Law of this file: a request is looked at and never changed, and one that cannot be read
asks for one request of the key "default", as any call does of which nothing is known.

Theory. An SDK has encoded its arguments by the time a transport sees them, so what they
cost is read back from the bytes. Bytes can be read, and sent, as often as one likes; a
generator or an open file can be sent once, and is not touched here. The parts of a form
lie open, and the model is one of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from ...core.estimate import Features
from ...dialects.features import features_of, features_of_form, model_of
from ...runtime.options import CallOptions

try:
    import orjson
except ImportError:  # the extra [fast] is not installed
    orjson = None  # type: ignore[assignment, unused-ignore]  # unused where orjson is not installed

_DECODER = json.JSONDecoder()


def _loads_plain(content: bytes) -> Any:
    """The JSON of a body, which is UTF-8 without anything before it, as SDKs write it, or whatever ``json`` takes."""
    try:
        return _DECODER.raw_decode(content.decode())[0]
    except ValueError:
        return json.loads(content)


_loads: Callable[[bytes], Any] = getattr(orjson, "loads", _loads_plain)


class Asked(NamedTuple):
    """
    What a request asks for.

    Fields:
        key: the budget it draws on.
        features: what its body shows, where no cost was stated.
        replayable: it can be sent as often as it takes.
    """

    key: str | None
    features: Features | None
    replayable: bool


def asked_of(request: Any, whole: type, said: CallOptions) -> Asked:
    """
    What *request* asks for.

    Args:
        request: of httpx, or of a module like it.
        whole: that module's ``ByteStream``: the body of a request that is all there.
        said: what is known without looking.
    """
    stream = request.stream
    replayable = isinstance(stream, whole)
    if said.key is not None and said.cost is not None:
        return Asked(said.key, None, replayable)
    path = request.url.path
    if replayable:
        content = b"".join(stream)  # not request.content, which a request made of a redirect does not have
        if not content:
            return Asked(said.key, None, True)
        try:
            body = _loads(content) if content[:1] in b"{[ \n\r\t" else None
        except (ValueError, RecursionError):
            body = None
        features = features_of(body, path) if said.cost is None else None
        return Asked(said.key or model_of(body), features, True)
    fields, files = _parts(stream)
    features = features_of_form(fields, _size(request), path, files) if said.cost is None and fields else None
    return Asked(said.key or model_of(fields), features, False)


def _parts(stream: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The fields of a form, and of its files the name of the field and their own; nothing of any other body."""
    fields: dict[str, Any] = {}
    files: list[tuple[str, str]] = []
    parts = getattr(stream, "fields", None)
    for part in parts if isinstance(parts, list) else ():
        name, file = getattr(part, "name", None), getattr(part, "filename", None)
        if not isinstance(name, str):
            continue
        if file is not None:
            files.append((name, str(file)))
        elif isinstance(value := getattr(part, "value", None), str | bytes):
            fields[name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return fields, files


def _size(request: Any) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 13 else 0
