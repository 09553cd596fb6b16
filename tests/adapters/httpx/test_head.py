"""The header fields of an answer, as the library reads them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from ratelimit_client import dialects
from ratelimit_client.adapters.httpx.head import Head

FIELDS = [
    ("Content-Type", "application/json"),
    ("X-RateLimit-Limit-Requests", "60"),
    ("x-ratelimit-remaining-requests", "59"),
    ("X-Thing", "one"),
    ("x-thing", "two"),
]


def head(fields: Any) -> Head:
    return Head(httpx.Headers(fields))


@pytest.mark.parametrize(("name", "value"), [(b"content-type", "application/json"), (b"x-thing", "one"), (b"x", "")])
def test_a_name_is_found_however_it_is_spelled(name: bytes, value: str) -> None:
    """The first of that name; nothing where there is none."""
    assert head(FIELDS).get(name) == value


def test_every_field_is_there_as_it_was_sent() -> None:
    """Also the one that was sent twice; and the values are in the order of the names."""
    shown = head(FIELDS)
    assert shown.items() == FIELDS == list(zip(shown, shown.values(), strict=True))
    assert repr(shown) == "<Head of 5 fields>"


def test_it_is_read_like_any_headers() -> None:
    """The limits are those that a mapping of the same fields shows."""
    expected = dialects.read(200, dict(FIELDS), dialect="openai").readings
    assert expected["requests"].remaining == 59
    assert dialects.read(200, head(FIELDS), dialect="openai").readings == expected
