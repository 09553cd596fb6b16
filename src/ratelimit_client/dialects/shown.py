"""
Limits that a body shows: the event of a socket, instead of headers.

Law of this file: a list of ``{name, limit, remaining, reset_seconds}`` says what three
headers say of each name, and every field may be missing. The seconds are the time to
full, cut to milliseconds, so they are taken for a duration and tell the window.

Theory: a socket has no headers after its handshake. ``rate_limits.updated`` comes with each
response of the Realtime API, with tokens alone; others send the list empty, or with names of
their own. Only an event that is called so is looked at: what a model wrote is no limit.

Source: recorded frames of the Realtime API; the event's definition in its reference.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .bodies import LONGEST_BODY

_EVENT = "rate_limits.updated"
_FIELDS = {"limit": "limit", "remaining": "remaining", "reset_seconds": "reset"}
_MOST = 32


def headers_shown(body: object) -> list[tuple[str, Any]]:
    """The headers that would say what the limits in *body* say; none where it shows no limits."""
    if isinstance(body, bytes | bytearray | str):
        body = _parsed(body)
    if not isinstance(body, Mapping) or not str(body.get("type", "")).endswith(_EVENT):
        return []
    items = body.get("rate_limits")
    return list(_headers(items)) if isinstance(items, list) else []


def _headers(items: list[Any]) -> Iterator[tuple[str, Any]]:
    for item in items[:_MOST]:
        name = item.get("name") if isinstance(item, Mapping) else None
        if not isinstance(name, str):
            continue
        for field, word in _FIELDS.items():
            value = item.get(field)
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield f"x-ratelimit-{word}-{name}", f"{value}s" if word == "reset" else value


def _parsed(body: bytes | bytearray | str) -> object:
    """The JSON of a body that may be such an event; None for any other, and for what is too long."""
    if len(body) > LONGEST_BODY:
        return None
    text = body if isinstance(body, str) else bytes(body).decode("utf-8", "replace")
    if _EVENT not in text:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
