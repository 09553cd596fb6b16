"""Azure OpenAI and Azure AI Foundry."""

from __future__ import annotations

from typing import Any

import pytest

from ratelimit_client.core.signals import Reading, Reason
from ratelimit_client.dialects import lookup, read


def shown(limit: Any, remaining: Any, reset: Any, renewal: str | None = "60") -> Reading | None:
    headers = {"limit": limit, "remaining": remaining, "reset": reset, "renewalperiod": renewal}
    named = {f"x-ratelimit-{field}-requests": value for field, value in headers.items() if value is not None}
    return read(200, named, dialect="azure").readings.get("requests")


def refused(message: str, status: int = 429, **headers: str) -> tuple[Reason, bool | None, float | None, str | None]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    signals = read(status, named, {"error": {"code": str(status), "message": message}}, dialect="azure")
    return signals.reason, signals.retryable, signals.retry_after_s, signals.unit


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "renewal", "reset_s"),
    [
        ("120", "119", "500", "60", 0.5),
        ("120000", "119986", "7", "60", 0.007),
        ("20000", "19999", "3", "60", 0.003),
        ("50", "49", "1", "60", 1.0),
        ("250", "249", "0", "60", 0.0),
        ("60", "30", "30", "60", 30.0),
        ("60", "30", "30000", "60", 30.0),
        ("60", "30", "30000", None, 30.0),
        ("120", "119", "500", None, 0.5),
        (None, None, "55", None, 55.0),
        (None, None, "55000", None, 55.0),
        ("60", "0", "60", "60", 60.0),
    ],
)
def test_seconds_or_milliseconds(limit, remaining, reset, renewal, reset_s):
    """What is longer than the window counts milliseconds; else the level tells, and seconds where it tells nothing."""
    reading = shown(limit, remaining, reset, renewal)
    assert reading is not None
    assert reading.reset_s == reset_s


def test_minus_one_is_unknown():
    """-1, -1, 0 beside a refusal is neither a level nor a wait."""
    names = [f"x-ratelimit-{field}-tokens" for field in ("limit", "remaining", "reset")]
    signals = read(429, dict(zip(names, ["-1", "-1", "0"], strict=True)), dialect="azure")
    assert (signals.readings, signals.retryable, signals.retry_after_s) == ({}, True, None)


def test_before_2025_only_what_remains():
    """No limit, no reset, no window: a level and nothing made up beside it."""
    assert shown(None, "119", None, None) == Reading(None, 119, None, None)


def test_the_renewal_period_is_the_window():
    """It is named, so it is not inferred."""
    assert shown("2500", "2499", "0") == Reading(2500, 2499, 0, 60)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-02-01 have exceeded "
            "token rate limit of your current OpenAI S0 pricing tier. Please retry after 33 seconds.",
            (Reason.RATE_LIMITED, True, 33.0, "tokens"),
        ),
        (
            "Requests to the Embeddings_Create Operation under Azure OpenAI API version 2023-05-15 have exceeded call "
            "rate limit of your current OpenAI S0 pricing tier. Please retry after 1 second.",
            (Reason.RATE_LIMITED, True, 1.0, "requests"),
        ),
        (
            "Your requests to gpt-4o for gpt-4o in East US have exceeded the token rate limit for your current "
            "AIServices S0 pricing tier. Please retry after 45 seconds.",
            (Reason.RATE_LIMITED, True, 45.0, "tokens"),
        ),
        ("Rate limit is exceeded. Try again in 50 seconds.", (Reason.RATE_LIMITED, True, 50.0, None)),
        (
            "... token rate limit of your current AIServices S0 pricing tier. Please retry after 86400 seconds.",
            (Reason.TOO_LARGE, False, 86_400.0, "tokens"),
        ),
    ],
)
def test_refusals(message, expected):
    """Old and new wording, calls and tokens; a day is how it says that the call will never fit."""
    assert refused(message) == expected


def test_a_day_in_a_header_means_the_same():
    """Without a sentence, too."""
    assert refused("x", retry_after="86400")[:3] == (Reason.TOO_LARGE, False, 86_400.0)
    assert refused("x", retry_after="7200")[:3] == (Reason.RATE_LIMITED, True, 7_200.0)


def test_a_quota_of_the_api_management():
    """A 403 that says when the quota comes back; other 403s are a matter of permission."""
    text = "Out of call volume quota. Quota will be replenished in 01:02:03."
    assert refused(text, 403)[:3] == (Reason.QUOTA_EXHAUSTED, False, 3_723.0)
    assert refused("Access denied", 403, retry_after="5")[0] is Reason.AUTH


def test_the_limit_of_a_free_model():
    """GitHub's models name the amount and the window in seconds."""
    text = "Rate limit of 10 per 60s exceeded for UserByModelByMinute. Please wait 42 seconds before retrying."
    signals = read(429, {}, {"error": {"code": "RateLimitReached", "message": text}}, dialect="azure")
    assert (signals.limit, signals.window_s, signals.retry_after_s) == (10.0, 60.0, 42.0)


def test_a_refusal_inside_a_stream():
    """The extra member beside it is no header of limits."""
    error = '{"type":"too_many_requests","code":"too_many_requests","headers":{"x-ms-fe-error":"true"}}'
    signals = read(200, {}, f'event: error\ndata: {{"type":"error","error":{error}}}\n\n')
    assert (signals.reason, signals.readings) == (Reason.RATE_LIMITED, {})


def test_the_deployment_is_the_group():
    """x-ratelimit-key names it."""
    assert read(429, {"x-ratelimit-key": "gpt-5-nano"}, dialect="azure").limit_group == "gpt-5-nano"
    assert lookup("azure").profile.pays == {"requests": "requests", "tokens": "tokens"}
