"""Whose limits a request counts against, by the few headers that tell it."""

from __future__ import annotations

import httpx
import pytest

from ratelimit_client import Limiter
from ratelimit_client.adapters.httpx.whose import _TELLS, Whose
from ratelimit_client.runtime.senders import REMEMBERED


def request(**headers: str) -> httpx.Request:
    return httpx.Request("POST", "https://api.test/v1/chat/completions", headers=headers)


@pytest.mark.parametrize("name", ["authorization", "Authorization", "AUTHORIZATION", "X-Api-Key", "openai-project"])
def test_what_tells_it_does_so_however_it_is_spelled(name: str) -> None:
    """Two values are two senders, and one value twice is one; any other header is nobody's."""
    whose = Whose(Limiter())
    one, again, other = (whose.of(request(**{name: value, "X-Row": value})) for value in ("a", "a", "b"))
    assert one is again
    assert other is not one
    assert whose.of(request(**{name: "a", "X-Row": "c"})) is one


def test_of_names_only_so_many_are_remembered() -> None:
    """Whoever sends a new name with each request fills no memory."""
    whose = Whose(Limiter())
    for number in range(REMEMBERED + 10):
        whose.of(request(**{f"x-{number}": "1"}))
    assert len(_TELLS) <= REMEMBERED
