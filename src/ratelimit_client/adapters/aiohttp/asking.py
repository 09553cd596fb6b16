"""
What a request of somebody else's session asks of the limiter, read off the request.

Law of this file: a request is looked at and never changed, and one that cannot be read
asks for one request.

Theory. By the time a middleware sees it a body is a payload. Bytes, text and JSON can be
looked at, and sent as often as it takes, and so can a form of such parts. Everything else
is sent once: a generator is used up, and a file may be read by a thread on behalf of the
attempt before.
"""

from __future__ import annotations

from typing import Any

import aiohttp
import attrs
from aiohttp import MultipartWriter, content_disposition_filename, parse_content_disposition
from aiohttp.hdrs import CONTENT_DISPOSITION
from aiohttp.payload import BytesPayload, StringPayload

from ...core.estimate import Features
from ...dialects.features import features_of, features_of_form, model_of
from . import codec

_DEFAULT = "default"


@attrs.frozen
class Asked:
    """
    Args:
        key: the budget it draws on.
        features: what its body shows, where no cost was stated.
        replayable: it can be sent as often as it takes.
    """

    key: str
    features: Features | None
    replayable: bool


def asked_of(request: aiohttp.ClientRequest, key: str | None, *, priced: bool) -> Asked:
    """
    What *request* asks for.

    Args:
        key: its key, if that is known already.
        priced: so is its cost.
    """
    body = request.body
    if not body:
        return Asked(key or _host(request), None, True)
    replayable = _replayable(body)
    if (key and priced) or not replayable:
        return Asked(key or _host(request), None, replayable)
    path = request.url.path
    if isinstance(body, MultipartWriter):
        fields, files = _parts(body)
        features = None if priced else features_of_form(fields, body.size or 0, path, files)
        return Asked(key or model_of(fields, "") or _host(request), features, True)
    parsed = _json(body)
    features = None if priced or parsed is None else features_of(parsed, path)
    return Asked(key or model_of(parsed, "") or _host(request), features, True)


def _host(request: aiohttp.ClientRequest) -> str:
    return request.url.host or _DEFAULT


def _replayable(body: Any) -> bool:
    if isinstance(body, MultipartWriter):
        return all(_replayable(part) for part, _, _ in body)
    return isinstance(body, BytesPayload)


def _json(body: Any) -> Any:
    try:
        text = body.decode()
        return codec.decode_text(text) if text[:1] in ("{", "[", " ", "\n", "\r", "\t") else None
    except (ValueError, AttributeError, RecursionError):  # no text, no JSON; a view of memory decodes nothing
        return None


def _parts(form: MultipartWriter) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The fields of a form, and of its files the name of the field and their own."""
    fields: dict[str, str] = {}
    files: list[tuple[str, str]] = []
    for part, _, _ in form:
        _, told = parse_content_disposition(part.headers.get(CONTENT_DISPOSITION))
        name, file = told.get("name", ""), content_disposition_filename(told)
        if file is not None:
            files.append((name, file))
        elif isinstance(part, StringPayload):
            fields[name] = part.decode()
    return fields, files
