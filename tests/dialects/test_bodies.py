"""The body of an answer that failed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.dialects.bodies import LONGEST_BODY, LONGEST_MESSAGE, ErrorBody, Violation, read_body
from ratelimit_client.dialects.durations import Form, When

INNER = {"message": "Slow", "type": "tokens", "param": None, "code": "rate_limit_exceeded"}


def facts(body: object, *, failed: bool = True) -> tuple[str | None, str | None, str | None] | None:
    """Type, code and message, or None."""
    error = read_body(body, failed=failed)
    return None if error is None else (error.type, error.code, error.message)


@pytest.mark.parametrize(
    "body",
    [
        {"error": INNER},
        {"type": "error", "error": INNER, "request_id": "r"},
        {"error": [INNER]},
        {"errors": [INNER]},
        {"object": "batch", "status": "failed", "errors": {"object": "list", "data": [INNER]}},
        {"type": "response.failed", "response": {"status": "failed", "error": INNER}},
        {"type": "response.done", "response": {"status_details": {"type": "failed", "error": INNER}}},
        {"id": "batch_req_1", "response": {"status_code": 429, "body": {"error": INNER}}, "error": None},
        {"choices": [{"finish_reason": "error", "error": INNER}]},
        {"error": {"type": "error", "error": INNER}},
        {"detail": {"error": INNER}},
        {"detail": INNER},
        {"object": "error", **INNER},
        [{"error": INNER}],
        ["noise", {"error": INNER}],
        {"error": {"message": json.dumps({"error": INNER}), "code": 429}},
        {"error": {"message": json.dumps([{"error": INNER}])}},
    ],
)
def test_wherever_the_error_is(body):
    """One error in twelve envelopes, as an object, as text, and as bytes."""
    expected = ("tokens", "rate_limit_exceeded", "Slow")
    assert facts(body) == expected
    assert facts(json.dumps(body)) == expected
    assert facts(b"\xef\xbb\xbf" + json.dumps(body).encode() + b"\n") == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": "Server Error"}, (None, None, "Server Error")),
        ({"error": "bad", "message": "Worse"}, (None, None, "Worse")),
        ({"error": "invalid_grant", "error_description": "x"}, (None, None, "invalid_grant")),
        ({"title": "Too Many", "detail": "Wait 20 seconds", "status": 429}, (None, "429", "Wait 20 seconds")),
        ({"message": "Requests rate limit exceeded"}, (None, None, "Requests rate limit exceeded")),
        ({"__type": "ThrottlingException", "Message": "no"}, ("ThrottlingException", None, "no")),
        ({"error": {"code": 429, "message": "m", "type": None}}, (None, "429", "m")),
        ({"error": {"code": True, "message": ["m"], "type": 10**20}}, (None, None, None)),
        ({"error": {"message": "{not json"}}, (None, None, "{not json")),
        ({"error": {"message": "[]"}}, (None, None, "[]")),
        ({}, (None, None, None)),
        ("Retry later\n", (None, None, "Retry later")),
        ("data: not an event", (None, None, "data: not an event")),
        (b"Too Many \xff", (None, None, "Too Many \ufffd")),
        (bytearray(b"plain"), (None, None, "plain")),
        (memoryview(b"plain"), (None, None, "plain")),
        ('"a JSON string"', (None, None, "a JSON string")),
        ("42", (None, None, "42")),
        ("<html><title> Error 1015 </title>", (None, None, "Error 1015")),
        ("<!doctype html>", (None, None, None)),
        ('{"error": {"message": "cut \\"short\\"", "type": "requests", "code": 42', ("requests", "42", 'cut "short"')),
        ('{"message": "bad \\q escape"', (None, None, "bad \\q escape")),
        ('{\n"title": "Too Many"\n"status": 429}', (None, None, "Too Many")),
        ("[" * 100_000, (None, None, None)),
        ('{"error": {"message": "x", "n": ' + "9" * 5000 + "}}", (None, None, "x")),
    ],
)
def test_whatever_shape_it_has(body, expected):
    """Strings, problems, numbers, HTML, broken, endless and absurd ones."""
    assert facts(body) == expected


@pytest.mark.parametrize("body", [None, "", b"", "  \n", 5, 5.0, object(), [], ["x"], [[{"error": INNER}]]])
def test_no_error_in_it(body):
    """Nothing to be read, even when the status says that it failed."""
    assert facts(body) is None


@pytest.mark.parametrize(
    "body",
    [
        {"object": "response", "status": "completed", "error": None},
        {"object": "chat.completion", "message": "text", "code": "print()"},
        {"error": "a string in somebody's data"},
        {"errors": [{"message": "one of many"}], "data": {}},
        {"object": "fine_tuning.job", "error": {"code": None, "message": None, "param": None}},
        '{"choices": [{"message": {"content": "say \\"error\\": {"}}]}',
        '{"error": {"message": "cut',
        '"error": {',
        "plain text",
    ],
)
def test_a_success_is_not_an_error(body):
    """With the status of a success only a plain error object is one."""
    assert facts(body, failed=False) is None


@pytest.mark.parametrize(
    "body",
    [
        {"error": INNER},
        json.dumps({"error": INNER}),
        json.dumps({"object": "thread.run", "status": "failed", "last_error": INNER}),
        {"object": "batch", "status": "failed", "errors": {"data": [INNER]}},
        {"choices": [{"finish_reason": "error", "error": INNER}]},
        {"custom_id": "a", "response": {"status_code": 429, "request_id": "r", "body": {"error": INNER}}},
        {"type": "error", **{k: v for k, v in INNER.items() if k != "type"}},
        "data: " + json.dumps({"error": INNER}) + "\n\n",
        ": comment\r\n\r\nevent: error\r\ndata: {}\r\ndata: "
        + json.dumps({"type": "error", "error": INNER})
        + "\r\n\r\n",
        b'event: x\ndata: [DONE]\n\ndata:{"type":"response.failed","response":{"error":'
        + json.dumps(INNER).encode()
        + b"}}\n",
    ],
)
def test_an_error_in_a_success(body):
    """It fails later: in a stream, a batch or an event."""
    error = read_body(body, failed=False)
    assert error is not None
    assert error.code == "rate_limit_exceeded"


@pytest.mark.parametrize("form", [lambda body: body, json.dumps])
def test_a_query_that_was_refused_under_200(form):
    """The errors of a query language count when their type is that of a rate limit; others are the caller's."""
    refused = {"data": None, "errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded for user ID 1."}]}
    assert facts(form(refused), failed=False) == ("RATE_LIMITED", None, "API rate limit exceeded for user ID 1.")
    other = {"data": None, "errors": [{"type": "NOT_FOUND", "message": "x"}], "detail": {"message": "x"}}
    assert facts(form(other), failed=False) is None


def test_a_stream_without_an_error():
    """Events that carry none, though they speak of one."""
    assert read_body('data: {"delta": "x"}\ndata: {"error":{}}\n', failed=False) is None


def test_words_that_may_classify():
    """Types, codes, statuses and reasons, of the details too, and the tail of a URL."""
    body = {
        "error": {
            "code": 429,
            "status": "RESOURCE-EXHAUSTED",
            "type": "https://example.org/problems#quota-exceeded",
            "details": [{"@type": "x", "reason": "Rate Limit"}, "noise"],
        }
    }
    error = read_body(body, failed=True)
    assert error is not None
    assert error.words == (
        "https://example.org/problems#quota_exceeded",
        "quota_exceeded",
        "429",
        "resource_exhausted",
        "rate_limit",
    )
    spend = read_body({"error": {"details": {"error_code": "enforced_spend_limit_reached"}}}, failed=True)
    assert spend is not None
    assert spend.words == ("enforced_spend_limit_reached",)


def test_hints_to_wait():
    """Numbers, durations and instants, beside the error or inside its details; nonsense is no hint."""
    body = {
        "retry_after": 64.57,
        "error": {
            "resets_in_seconds": 9568,
            "resets_at": 1788879437,
            "retry_after_ms": "250",
            "metadata": {"retryAfter": "2024-03-26T20:00:00Z"},
            "details": [{"retryDelay": "48s"}],
            "parameters": {
                "retry_after": True,
                "retryAfterMs": float("nan"),
                "retry_after_seconds": -1,
                "reset_at": None,
            },
        },
    }
    error = read_body(body, failed=True)
    assert error is not None
    assert set(error.waits) == {
        When(Form.NUMBER, 64.57),
        When(Form.NUMBER, 9568.0),
        When(Form.INSTANT, 1788879437.0),
        When(Form.NUMBER, 0.25),
        When(Form.INSTANT, 1711483200.0),
        When(Form.DURATION, 48.0),
    }
    assert read_body({"error": {"retry_after": 10**400}}, failed=True) == ErrorBody(unread=("retry_after",))


def test_the_status_that_a_body_names():
    """A number or three digits between 400 and 599, of the error or of its envelope."""
    for body, status in [
        ({"error": {"code": 429, "message": "x"}}, 429),
        ({"error": {"code": "503"}}, 503),
        ({"status_code": 429, "error": {"code": "x"}}, 429),
        ({"raw_status_code": 422, "message": "x"}, 422),
        ({"response": {"status_code": 503, "body": {"error": {"code": "x"}}}}, 503),
        ({"error": {"code": "1300"}}, None),
        ({"error": {"code": 200}}, None),
        ({"error": {"code": "\u0664\u0662\u0669"}}, None),
    ]:
        error = read_body(body, failed=True)
        assert error is not None
        assert error.status == status


def test_what_else_a_body_carries():
    """Request id, headers of the upstream, and the names of violated limits."""
    error = read_body(
        {
            "error": {"message": "m", "metadata": {"headers": {"X-RateLimit-Limit": "50"}}},
            "request_id": "req_1",
            "violated-policies": ["burst", 5],
        },
        failed=True,
    )
    assert error is not None
    assert (error.request_id, error.headers, error.policies) == ("req_1", {"X-RateLimit-Limit": "50"}, ("burst",))
    event = read_body({"type": "error", "error": {"code": "x"}, "headers": {"a": "b"}}, failed=False)
    assert event is not None
    assert event.headers == {"a": "b"}


def test_what_an_upstream_said():
    """It is searched like the message itself, and is not shown as the message."""
    error = read_body({"error": {"message": "m", "metadata": {"raw": "Try again in 5s", "x": 1}}}, failed=True)
    assert error is not None
    assert (error.message, error.text) == ("m", "m\nTry again in 5s")


def test_limits_that_an_error_names():
    """With what they count, their window, their amount and whom they hold for, as far as it says so."""
    named = {"quotaMetric": "m", "quotaId": "PerDay", "quotaValue": "20", "quotaDimensions": {"model": "x"}}
    details = [{"violations": [named, {}, 5]}, {"violations": "none"}, 7]
    error = read_body({"error": {"message": "m", "details": details}}, failed=True)
    assert error is not None
    assert error.violations == (Violation("m", "PerDay", 20.0, "x"), Violation("", "", None, None))


def test_nothing_grows_without_bound():
    """Messages, codes and bodies are cut."""
    error = read_body({"error": {"message": "m" * 10_000, "code": "c" * 10_000}}, failed=True)
    assert error is not None
    assert error.message is not None
    assert error.code is not None
    assert (len(error.message), len(error.text), len(error.code)) == (LONGEST_MESSAGE, 4096, 200)
    huge = read_body('{"error": {"message": "seen", "x": "' + "y" * 10**6 + '"}}', failed=True)
    assert huge is not None
    assert (huge.message, len(huge.text)) == ("seen", 4)
    assert read_body(b"x" * (LONGEST_BODY + 10), failed=True) is not None
    assert facts({"error": {"message": "{" + " " * LONGEST_BODY + "}"}}) is not None


NAMES = ("error", "errors", "data", "response", "status_details", "type", "code", "message", "details", "status")
NAMES += ("metadata", "headers", "retry_after", "violated-policies", "request_id", "object")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON, st.booleans())
def test_no_json_makes_it_raise(body, failed):
    """Any JSON under the names that matter, parsed or as text."""
    for form in (body, json.dumps(body)):
        error = read_body(form, failed=failed)
        assert error is None or error.message is None or len(error.message) <= LONGEST_MESSAGE


@given(st.binary(max_size=100) | st.text(max_size=100), st.booleans())
def test_no_bytes_make_it_raise(body, failed):
    """Any bytes or text."""
    read_body(body, failed=failed)
