"""OpenRouter."""

from __future__ import annotations

from typing import Any

import pytest

from ratelimit_client.core.signals import Reading, Reason
from ratelimit_client.dialects import read

DATE = {"date": "Sun, 04 Oct 2026 00:00:00 GMT"}


def own_limit(name: str, limit: str = "50") -> dict[str, Any]:
    headers = {"X-RateLimit-Limit": limit, "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1791072060000"}
    return {"error": {"message": f"Rate limit exceeded: {name}. ", "code": 429, "metadata": {"headers": headers}}}


def upstream(raw: Any, status: int = 429) -> dict[str, Any]:
    metadata = {"raw": raw, "provider_name": "Somebody"}
    return {"error": {"message": "Provider returned error", "code": status, "metadata": metadata}}


@pytest.mark.parametrize("dialect", ["openrouter", "auto"])
def test_a_minute_is_waited_out_and_a_day_is_not(dialect):
    """Headers inside the body, the reset in milliseconds since 1970, the window in the name of the limit."""
    minute = read(429, DATE, own_limit("free-models-per-min", "20"), dialect=dialect)
    assert minute.readings == {"requests": Reading(20, 0, 60, 60)}
    assert (minute.retryable, minute.retry_after_s) == (True, 60)
    day = read(429, DATE, own_limit("free-models-per-day"), dialect=dialect)
    assert day.readings == {"requests": Reading(50, 0, 60, 86_400)}
    assert (day.reason, day.retryable, day.retry_after_s) == (Reason.RATE_LIMITED, False, 60)


@pytest.mark.parametrize("code", [429, "429"])
def test_a_day_without_headers(code):
    """The name of the limit is all there is."""
    error = {"message": "Rate limit exceeded: free-models-per-day-high-balance.", "code": code}
    assert read(429, {}, {"error": error}).retryable is False


@pytest.mark.parametrize(
    ("raw", "hint_s"),
    [
        ("m:free is temporarily rate-limited upstream. Please retry shortly, or add your own key", None),
        ('{"error": {"message": "Please try again in 20s."}}', 20.0),
        ({"error": 5}, None),
        (None, None),
    ],
)
def test_an_upstreams_refusal(raw, hint_s):
    """May be tried again; what the upstream said of waiting counts."""
    signals = read(429, {}, upstream(raw), dialect="openrouter")
    assert (signals.reason, signals.retryable, signals.retry_after_s) == (Reason.RATE_LIMITED, True, hint_s)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, {"error": {"code": 429, "message": "Rate limited"}}, Reason.RATE_LIMITED),
        (200, {"error": {"code": 502, "message": "Provider returned error"}}, Reason.SERVER_ERROR),
        (200, {"error": {"code": 402, "message": "Insufficient credits"}}, Reason.QUOTA_EXHAUSTED),
        (
            200,
            {"choices": [{"finish_reason": "error", "error": {"code": 429, "message": "x"}}]},
            Reason.RATE_LIMITED,
        ),
        (200, 'data: {"error": {"code": "429", "message": "x"}, "choices": []}\n\n', Reason.RATE_LIMITED),
        (200, ": OPENROUTER PROCESSING\n\ndata: [DONE]\n\n", Reason.OK),
        (402, upstream(None, 402), Reason.QUOTA_EXHAUSTED),
        (403, {"error": {"code": 403, "message": "Key limit exceeded (total limit)."}}, Reason.QUOTA_EXHAUSTED),
        (403, {"error": {"code": 403, "message": "Your input was flagged"}}, Reason.AUTH),
        (404, {"error": {"code": 404, "message": "No endpoints found for none/none."}}, Reason.MODEL_NOT_FOUND),
        (502, upstream(None, 502), Reason.SERVER_ERROR),
        (503, {"error": {"code": 503, "message": "x"}}, Reason.OVERLOADED),
    ],
)
def test_errors(status, body, reason):
    """Under any status, as the body, in a choice or as an event."""
    assert read(status, {}, body, dialect="openrouter").reason is reason
