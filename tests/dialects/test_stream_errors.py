"""An error inside a stream means what it means outside."""

from __future__ import annotations

import json

import pytest

from ratelimit_client import dialects
from ratelimit_client.core.signals import Reading, Reason
from ratelimit_client.dialects.sse import ServerSentEvent
from ratelimit_client.dialects.streams import EventKind, StreamReader
from tests.dialects.samples import SAMPLES
from tests.dialects.streams import BY_NAME, FAILED, kinds, of, read, stream


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chat-error", (500, Reason.SERVER_ERROR, True, None)),
        ("chat-openrouter", (502, Reason.SERVER_ERROR, True, None)),
        ("responses-failed", (429, Reason.RATE_LIMITED, True, 2.512)),
        ("responses-failed-alone", (500, Reason.SERVER_ERROR, True, None)),
        ("responses-flat-error", (429, Reason.QUOTA_EXHAUSTED, False, None)),
        ("responses-chatgpt", (429, Reason.QUOTA_EXHAUSTED, False, 3600.0)),
        ("assistants-failed", (429, Reason.RATE_LIMITED, True, 0.644)),
        ("anthropic-overloaded", (529, Reason.OVERLOADED, True, None)),
        ("gemini-error", (503, Reason.OVERLOADED, True, None)),
    ],
)
def test_an_error_says_what_an_answer_would(name, expected):
    """Status, reason, whether to try again and when."""
    _, events, _ = read(stream(name), BY_NAME[name][1])
    (signals,) = [event.signals for event in events if event.kind is EventKind.ERROR]
    assert signals is not None
    assert (signals.status, signals.reason, signals.retryable, signals.retry_after_s) == expected


def test_every_failure_has_its_row():
    """No failing stream without what it means."""
    (mark,) = test_an_error_says_what_an_answer_would.pytestmark
    assert [name for name, _ in mark.args[1]] == FAILED


# Of these, the status alone says that they are refusals (or that the key is not allowed), and a stream has none.
SAID_BY_THE_STATUS = {57, 58, 59, 98, 121, 123}


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.status >= 400 and type(s.body) is dict], ids=str)
def test_an_error_in_a_stream_means_what_it_means_outside(sample):
    """Every recorded error, sent as an event: the same reason, the same answer to whether and when to try again."""
    outside = dialects.read(sample.status, {}, sample.body, dialect=sample.dialect, url=sample.url)
    reader = StreamReader(server=sample.dialect, url=sample.url)
    inside = reader.read(ServerSentEvent("error", json.dumps(sample.body))).signals
    if sample.number in SAID_BY_THE_STATUS:
        assert inside.reason in (Reason.SERVER_ERROR, Reason.CLIENT_ERROR)
    else:
        expected = (outside.reason, outside.retryable, outside.retry_after_s, outside.unit, outside.message)
        assert (inside.reason, inside.retryable, inside.retry_after_s, inside.unit, inside.message) == expected


def test_headers_inside_an_error_are_read():
    """The event carries what the headers of a refusal would have."""
    _, events, _ = read(stream("responses-chatgpt"), server="openai")
    assert events[1].signals.readings["primary"] == Reading(
        limit=100.0, remaining=0.0, reset_s=3600.0, window_s=18_000.0
    )


@pytest.mark.parametrize(
    ("event", "data", "status", "reason", "message"),
    [
        ("error", {"message": "Slow", "type": "rate_limit_error"}, 429, Reason.RATE_LIMITED, "Slow"),
        ("error", {"message": "Slow", "code": 429}, 429, Reason.RATE_LIMITED, "Slow"),
        ("error", {"type": "error", "status": 400, "error": {"code": "invalid_prompt"}}, 400,
         Reason.CLIENT_ERROR, None),
        ("error", {"detail": "It broke"}, 500, Reason.SERVER_ERROR, "It broke"),
        ("error", {}, 500, Reason.SERVER_ERROR, None),
        ("error", "It broke", 500, Reason.SERVER_ERROR, "It broke"),
        ("error", "", 500, Reason.SERVER_ERROR, None),
        ("error", '"It broke"', 500, Reason.SERVER_ERROR, "It broke"),
        ("error", [{"error": {"code": 429, "message": "Slow"}}], 429, Reason.RATE_LIMITED, "Slow"),
        ("error", [1], 500, Reason.SERVER_ERROR, "[1]"),
        ("", {"error": "Too many", "code": "too_many_requests"}, 429, Reason.RATE_LIMITED, "Too many"),
        ("", {"error": "bad", "message": "Worse"}, 500, Reason.SERVER_ERROR, "Worse"),
        ("", {"error": True, "message": "Bad"}, 500, Reason.SERVER_ERROR, "Bad"),
        ("", {"error": [{"message": "Bad"}]}, 500, Reason.SERVER_ERROR, "Bad"),
        ("", {"object": "error", "message": "No such model", "code": 404}, 404, Reason.CLIENT_ERROR, "No such model"),
        ("", {"type": "error", "error": {"type": "too_many_requests", "code": "too_many_requests"}}, 429,
         Reason.RATE_LIMITED, None),
        ("", {"type": "error", "error": {"type": "permission_error", "message": "x"}}, 403, Reason.AUTH, "x"),
        ("", {"type": "error", "error": {"type": "billing_error", "message": "x"}}, 402, Reason.QUOTA_EXHAUSTED, "x"),
        ("", {"type": "error", "error": {"type": "invalid_request_error", "message": "x"}}, 400, Reason.CLIENT_ERROR,
         "x"),
        ("", {"type": "error", "error": {"type": "authentication_error", "message": "x"}}, 401, Reason.AUTH, "x"),
        ("", {"error": {"code": "model_not_found", "message": "x"}}, 404, Reason.MODEL_NOT_FOUND, "x"),
        ("", {"error": {"code": "context_length_exceeded", "message": "x"}}, 400, Reason.TOO_LARGE, "x"),
        ("", {"error": {"code": "server_is_overloaded", "message": "x"}}, 503, Reason.OVERLOADED, "x"),
        ("", {"choices": [{"delta": {}, "finish_reason": "error"}]}, 500, Reason.SERVER_ERROR, None),
        ("", {"choices": [{"delta": {}, "error": {"code": 429, "message": "x"}}]}, 429, Reason.RATE_LIMITED, "x"),
        ("", {"type": "response.failed", "response": {"error": None}}, 500, Reason.SERVER_ERROR, None),
    ],
)  # fmt: skip
def test_errors_in_every_shape(event, data, status, reason, message):
    """However it is spelled, it is one error with a status."""
    reader, events, whole = of(data, event=event)
    assert kinds(events) == "E"
    assert not whole
    assert reader.over
    signals = events[0].signals
    assert (signals.status, signals.reason, signals.message) == (status, reason, message)
    assert not events[0].deliver


@pytest.mark.parametrize(
    "data",
    [
        {"error": None},
        {"error": {}},
        {"error": {"message": None, "code": None}},
        {"error": ""},
        {"error": []},
        {"error": False},
        {"error": 0.25},
        {"error": 0},
        {"choices": [{"error": None, "finish_reason": "stop"}]},
        {"choices": ["error"]},
        {"choices": "error"},
        {"type": ["error"]},
        {"type": None},
    ],
)
def test_what_is_no_error(data):
    """Nulls and numbers called so are something else."""
    _, events, _ = of(data)
    assert kinds(events) == "+"


def test_an_error_of_a_known_server_is_read_by_its_table():
    """A status that one vendor alone uses keeps its meaning; so it does by the address."""
    data = b'data: {"error": {"code": 498, "message": "x"}}\n\n'
    for settings in ({"server": "groq"}, {"url": "https://api.groq.com/openai/v1/chat/completions"}):
        _, events, _ = read(data, **settings)
        assert events[0].signals.reason is Reason.OVERLOADED


def test_an_instant_in_an_error():
    """It becomes a wait by the wall clock that is told."""
    sse = ServerSentEvent("error", '{"error": {"type": "rate_limit_error", "message": "x", "resets_at": 1790003600}}')
    assert StreamReader().read(sse, now_wall_s=1790003590.0).signals.retry_after_s == 10.0
