"""What an answer means."""

from __future__ import annotations

from typing import Any

import pytest

from ratelimit_client.core.signals import Reason
from ratelimit_client.dialects import read
from ratelimit_client.dialects.bodies import read_body
from ratelimit_client.dialects.generic import GENERIC
from ratelimit_client.dialects.meaning import COMMON_CODES, is_retryable, reason_of
from ratelimit_client.dialects.openai import OPENAI
from ratelimit_client.dialects.texts import NO_FACTS, read_text

OK, RATE, OVER = Reason.OK, Reason.RATE_LIMITED, Reason.OVERLOADED
QUOTA, LARGE, MODEL = Reason.QUOTA_EXHAUSTED, Reason.TOO_LARGE, Reason.MODEL_NOT_FOUND
AUTH, CLIENT, SERVER = Reason.AUTH, Reason.CLIENT_ERROR, Reason.SERVER_ERROR


def meaning(status: int, body: Any = None, *, table: Any = OPENAI, asked_to_wait: bool = False) -> Reason:
    error = read_body(body, failed=status >= 300)
    text = NO_FACTS if error is None else read_text(error.text)
    return reason_of(status, error, text, table, asked_to_wait=asked_to_wait)


def error(code: Any = None, kind: Any = None, message: str = "") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, None, OK),
        (101, None, OK),
        (0, None, OK),
        (429, error("rate_limit_exceeded", "tokens"), RATE),
        (429, error(None, "requests"), RATE),
        (
            429,
            error("rate_limit_exceeded", "invalid_request_error", "We're currently processing too many requests"),
            RATE,
        ),
        (429, error(None, None, "Resource Unavailable"), OVER),
        (429, error("slow_down", "rate_limit_error"), OVER),
        (429, error(None, "server_error", "The server is currently overloaded with other requests."), OVER),
        (429, error(None, "server_error", "The server had an error while processing your request"), OVER),
        (429, error("rate_limit_exceeded", "server_error"), RATE),
        (429, error("insufficient_quota", "insufficient_quota"), QUOTA),
        (429, error("something_new", "insufficient_quota"), QUOTA),
        (429, error("project_spend_limit_exceeded", "insufficient_quota"), QUOTA),
        (429, error(None, None, "You exceeded your current quota, please check your plan and billing details."), QUOTA),
        (429, error(None, "usage_limit_reached"), QUOTA),
        (429, "Error code: 429 - {'error': {'message': 'x', 'code': 'insufficient_quota'}}", QUOTA),
        (429, error(None, None, "You've hit your usage limit. Try again in 3 days."), QUOTA),
        (429, error(None, None, "Your project has exceeded its monthly spending cap."), QUOTA),
        (429, error("exceeded_current_quota_error"), QUOTA),
        (429, error(None, None, "The model is currently at capacity."), OVER),
        (429, error(None, None, "Busy due to high demand"), OVER),
        (429, error(None, None, "High demand for m: limited to 1 requests per minute."), RATE),
        (403, {"error": {"code": 403, "errors": [{"reason": "rateLimitExceeded"}]}}, AUTH),
        (429, error(None, "rate_limit_error", "Extra usage is required for long context requests."), QUOTA),
        (400, error(None, "invalid_request_error", "Your credit balance is too low to access the API."), QUOTA),
        (402, None, QUOTA),
        (429, error("rate_limit_exceeded", "tokens", "Request too large for m on x: Limit 5, Requested 9."), LARGE),
        (
            429,
            error("rate_limit_exceeded", "tokens", "Rate limit reached for m on x: Limit 5, Used 0, Requested ~9."),
            LARGE,
        ),
        (429, error("rate_limit_exceeded", "tokens", "Request too large for m on x: Limit 9, Requested 5."), RATE),
        (429, error("rate_limit_exceeded", "tokens", "Request too large for gpt-4o."), LARGE),
        (413, None, LARGE),
        (413, error(None, None, "Limit 9, Requested 5"), LARGE),
        (400, error("context_length_exceeded", "invalid_request_error"), LARGE),
        (400, error(None, None, "This model's maximum context length is 8192 tokens."), LARGE),
        (404, error("model_not_found", "invalid_request_error"), MODEL),
        (400, error("model_not_found", "invalid_request_error"), MODEL),
        (403, error("model_not_found", "invalid_request_error"), MODEL),
        (404, error(None, None, "The model `m` does not exist or you do not have access to it."), MODEL),
        (404, None, CLIENT),
        (401, None, AUTH),
        (403, error(None, "invalid_request_error", "You are not allowed to sample from this model"), AUTH),
        (400, error("invalid_api_key"), AUTH),
        (400, error("unknown_parameter", "invalid_request_error"), CLIENT),
        (400, {"__type": "com.amazon.coral#ThrottlingException", "message": "Rate exceeded"}, RATE),
        (400, error("rate_limit_exceeded", "invalid_request_error"), CLIENT),
        (408, None, CLIENT),
        (409, None, CLIENT),
        (307, None, CLIENT),
        (500, error(None, "server_error"), SERVER),
        (502, "<html>Bad Gateway</html>", SERVER),
        (500, error("rate_limit_exceeded"), RATE),
        (500, error(None, "overloaded_error"), OVER),
        (503, error(None, "server_error", "The engine is currently overloaded"), OVER),
        (503, None, OVER),
        (529, None, OVER),
        (999, None, SERVER),
        (200, error(None, "server_error"), SERVER),
        (200, error("batch_expired"), SERVER),
        (200, error("insufficient_quota"), QUOTA),
        (200, error("rate_limit_exceeded", "invalid_request_error"), RATE),
        (200, error(None, "overloaded_error"), OVER),
        (200, error("model_not_found"), MODEL),
        (200, error("invalid_prompt"), CLIENT),
        (200, error("invalid_api_key"), AUTH),
        (200, error(429), RATE),
        (200, error("404"), CLIENT),
        (0, {"type": "error", "status": 400, "error": {"code": "something_new"}}, CLIENT),
        (0, {"type": "error", "status": 400, "error": {"code": "websocket_stream_limit_reached"}}, OVER),
    ],
)
def test_the_taxonomy(status, body, reason):
    """Status, type, code, numbers and sentence together; the body alone where the status says success."""
    assert meaning(status, body) is reason


def test_a_forbidden_that_asks_to_wait():
    """A rate limit where the table allows it, a matter of permission elsewhere."""
    assert meaning(403, None, table=GENERIC, asked_to_wait=True) is RATE
    assert meaning(403, None, table=GENERIC) is AUTH
    assert meaning(403, None, table=OPENAI, asked_to_wait=True) is AUTH


def test_one_sentence_two_vendors():
    """ "Exceeded your current quota" is billing at one vendor and the ordinary refusal of another."""
    text = "You exceeded your current quota, please check your plan and billing details."
    assert meaning(429, error(None, None, text), table=OPENAI) is QUOTA
    assert meaning(429, {"error": {"status": "RESOURCE_EXHAUSTED", "message": text}}, table=GENERIC) is RATE
    text += " Read the docs: https://platform.openai.com/docs"
    assert meaning(429, error(None, None, text), table=GENERIC) is QUOTA


@pytest.mark.parametrize(
    ("reason", "status", "unsaid", "true", "false"),
    [
        (OK, 200, None, None, None),
        (RATE, 429, True, True, False),
        (OVER, 503, True, True, False),
        (SERVER, 500, True, True, False),
        (QUOTA, 429, False, False, False),
        (LARGE, 429, False, False, False),
        (AUTH, 401, False, False, False),
        (MODEL, 404, False, True, False),
        (CLIENT, 400, False, True, False),
        (CLIENT, 408, True, True, False),
        (CLIENT, 409, True, True, False),
        (CLIENT, 425, True, True, False),
    ],
)
def test_what_may_be_sent_again(reason, status, unsaid, true, false):
    """x-should-retry: false beats everything; true beats all but billing, size and permission."""
    assert is_retryable(reason, status, None) is unsaid
    assert is_retryable(reason, status, True) is true
    assert is_retryable(reason, status, False) is false


def test_codes_are_written_one_way():
    """Lower case with underscores, as the words of a body are."""
    assert all(code == code.lower() and "-" not in code and " " not in code for code in COMMON_CODES)


@pytest.mark.parametrize(
    ("status", "body", "slow"),
    [
        (429, error("slow_down", "rate_limit_error"), True),
        (503, error("slow_down", "server_error"), True),
        (503, error(None, "server_error", "Slow Down"), True),
        (503, b"Slow down. Please reduce your request rate.", True),
        (503, {"code": "SlowDown", "message": "Please reduce your request rate."}, True),
        (503, error("server_is_overloaded", "service_unavailable_error"), False),
        (503, error(None, None, "The model has slowed down."), False),
        (503, None, False),
        (429, error("rate_limit_exceeded", "tokens", "Slow down!"), False),
        (200, None, False),
    ],
)
def test_slow_down_is_said_of_the_callers_rate(status, body, slow):
    """By its code, or at the beginning of the sentence; a rate limit that says it too is a rate limit."""
    assert read(status, {}, body).slow_down is slow
