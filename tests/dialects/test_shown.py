"""Limits that a body shows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ratelimit_client.core.signals import Reading, Reason
from ratelimit_client.dialects import read


def event(limits: Any, kind: str = "rate_limits.updated") -> dict[str, Any]:
    return {"type": kind, "event_id": "event_1", "rate_limits": limits}


def tokens(**fields: Any) -> dict[str, Any]:
    return {"name": "tokens", "limit": 15_000_000, "remaining": 14_999_370, "reset_seconds": 0.002, **fields}


@pytest.mark.parametrize("form", [lambda e: e, json.dumps, lambda e: json.dumps(e).encode()])
@pytest.mark.parametrize("kind", ["rate_limits.updated", "response.rate_limits.updated"])
def test_the_event_of_a_socket(form, kind):
    """Says of tokens what three headers say, window and all; as an object, text or bytes."""
    signals = read(0, {}, form(event([tokens()], kind)), dialect="openai")
    assert signals.readings == {"tokens": Reading(15_000_000, 14_999_370, 0.002, 60)}
    assert signals.reason is Reason.OK


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ([], {}),
        (None, {}),
        ([5, {}, {"name": 5, "limit": 1}], {}),
        ([tokens(reset_seconds=None)], {"tokens": Reading(15_000_000, 14_999_370, None, None)}),
        ([{"name": "requests", "remaining": 5}], {"requests": Reading(None, 5, None, None)}),
        ([tokens(limit=True, remaining="x", reset_seconds=60)], {"tokens": Reading(None, None, 60, None)}),
        ([{"name": "audio_seconds", "limit": 100, "remaining": 7}], {"audio_seconds": Reading(100, 7, None, None)}),
        ([tokens(limit=-1, remaining=-1, reset_seconds=-1)], {}),
    ],
)
def test_every_field_may_be_missing(limits, expected):
    """Or be something else; names are an open set."""
    assert read(0, {}, event(limits)).readings == expected


@pytest.mark.parametrize(
    "body",
    [
        {"type": "response.done", "rate_limits": [tokens()]},
        {"choices": [{"message": {"content": '{"type": "rate_limits.updated"}'}}]},
        '{"type": "rate_limits.updated"',
        "rate_limits.updated",
        "[" * 10_000 + "rate_limits.updated",
        b"\xff rate_limits.updated",
        '{"type": "rate_limits.updated", "rate_limits": []}' + " " * 70_000,
        [event([tokens()])],
    ],
)
def test_what_is_no_such_event_shows_nothing(body):
    """What a model wrote is no limit; what cannot be parsed says nothing."""
    assert read(200, {}, body).readings == {}


def test_a_failed_response_names_its_dimension():
    """The socket stays open and nothing was used; the error is one like any other."""
    error = {"type": "tokens", "code": "rate_limit_exceeded"}
    details = {"type": "failed", "error": error}
    body = {"type": "response.done", "response": {"status": "failed", "status_details": details}}
    signals = read(0, {}, body)
    assert (signals.reason, signals.retryable, signals.unit) == (Reason.RATE_LIMITED, True, "tokens")
