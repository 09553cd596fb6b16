"""The Anthropic API."""

from __future__ import annotations

from typing import Any

import pytest

from ratelimit_client.core.profile import Refill
from ratelimit_client.core.signals import Reading, Reason
from ratelimit_client.dialects import lookup, read

DATE = {"date": "Wed, 19 Aug 2026 14:37:15 GMT"}


def of(dimension: str, limit: int, remaining: int, reset: str) -> dict[str, str]:
    stem = f"anthropic-ratelimit-{dimension}"
    return {f"{stem}-limit": str(limit), f"{stem}-remaining": str(remaining), f"{stem}-reset": reset}


def refused(kind: str, message: str, status: int = 429, **more: Any) -> tuple[Reason, bool | None]:
    body = {"type": "error", "error": {"type": kind, "message": message, **more}, "request_id": "req_1"}
    signals = read(status, DATE, body, dialect="anthropic")
    assert signals.request_id == "req_1"
    return signals.reason, signals.retryable


def test_input_and_output_are_two_buckets():
    """Each with its own limit; tokens is the more restrictive of the two."""
    headers = {
        **DATE,
        **of("input-tokens", 200_000, 126_000, "2026-08-19T14:37:36Z"),
        **of("output-tokens", 80_000, 80_000, "2026-08-19T14:37:14Z"),
        **of("tokens", 280_000, 206_000, "2026-08-19T14:37:36.5Z"),
        **of("requests", 50, 49, "2026-08-19T14:37:16Z"),
    }
    assert read(200, headers, dialect="anthropic").readings == {
        "input-tokens": Reading(200_000, 126_000, 21, None),
        "output-tokens": Reading(80_000, 80_000, 0, None),
        "tokens": Reading(280_000, 206_000, 21.5, None),
        "requests": Reading(50, 49, 1, None),
    }


def test_what_the_scheduler_is_told():
    """Continuous, to the second, corrected when the true use is known; output is shown, not charged beforehand."""
    profile = lookup("anthropic").profile
    assert (profile.refill, profile.grain_s, profile.reset_is_exact) == (Refill.CONTINUOUS, 1.0, False)
    assert profile.settles == {"tokens"}
    assert profile.pays["input-tokens"] == "tokens"
    assert "output-tokens" not in profile.pays


def test_a_reset_that_is_now_though_it_is_not_full():
    """It shows no wait and no window."""
    headers = {**DATE, **of("tokens", 280_000, 80_000, "2026-08-19T14:37:15Z"), "retry-after": "22"}
    signals = read(429, headers, dialect="anthropic")
    assert signals.readings == {"tokens": Reading(280_000, 80_000, 0, None)}
    assert signals.retry_after_s == 22.0


def test_without_retry_after_the_empty_dimension_tells():
    """As in March 2024: the reset of what is empty, not of what is not."""
    headers = {
        **DATE,
        **of("requests", 5, 0, "2026-08-19T14:37:16Z"),
        **of("tokens", 25_000, 16_000, "2026-08-19T14:38:00Z"),
    }
    assert read(429, headers, dialect="anthropic").retry_after_s == 1.0


def test_retry_after_on_a_success_asks_for_nothing():
    """Seconds to the next minute of the clock, or a polling interval."""
    assert read(200, {**DATE, "retry-after": "41"}, dialect="anthropic").retry_after_s is None


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected"),
    [
        (429, "rate_limit_error", "Error", (Reason.RATE_LIMITED, True)),
        (429, "rate_limit_error", "Rate limited", (Reason.RATE_LIMITED, True)),
        (
            429,
            "rate_limit_error",
            "Number of request tokens has exceeded your per-minute rate limit",
            (Reason.RATE_LIMITED, True),
        ),
        (
            429,
            "rate_limit_error",
            "Extra usage is required for long context requests.",
            (Reason.QUOTA_EXHAUSTED, False),
        ),
        (529, "overloaded_error", "Overloaded", (Reason.OVERLOADED, True)),
        (500, "api_error", "Internal server error", (Reason.SERVER_ERROR, True)),
        (504, "timeout_error", "Request timed out", (Reason.SERVER_ERROR, True)),
        (
            400,
            "invalid_request_error",
            "You have reached your specified workspace API usage limits.",
            (Reason.QUOTA_EXHAUSTED, False),
        ),
        (
            400,
            "invalid_request_error",
            "Your credit balance is too low to access the API.",
            (Reason.QUOTA_EXHAUSTED, False),
        ),
        (
            400,
            "invalid_request_error",
            "prompt is too long: 210000 tokens > 200000 maximum",
            (Reason.TOO_LARGE, False),
        ),
        (400, "invalid_request_error", "max_tokens: required", (Reason.CLIENT_ERROR, False)),
        (401, "authentication_error", "invalid x-api-key", (Reason.AUTH, False)),
        (402, "billing_error", "x", (Reason.QUOTA_EXHAUSTED, False)),
        (403, "permission_error", "x", (Reason.AUTH, False)),
        (404, "not_found_error", "model: claude-none", (Reason.MODEL_NOT_FOUND, False)),
        (413, "request_too_large", "x", (Reason.TOO_LARGE, False)),
    ],
)
def test_errors(status, kind, message, expected):
    """By status, type and sentence."""
    assert refused(kind, message, status) == expected


def test_a_monthly_cap():
    """The type is that of a rate limit; the detail tells, and where the text does, when it ends."""
    assert refused("rate_limit_error", "x", details={"error_code": "enforced_spend_limit_reached"}) == (
        Reason.QUOTA_EXHAUSTED,
        False,
    )
    text = "You have reached your specified API usage limits. You will regain access on 2026-09-01 at 00:00 UTC."
    signals = read(400, DATE, {"type": "error", "error": {"type": "invalid_request_error", "message": text}})
    assert (signals.reason, signals.retry_after_s) == (Reason.QUOTA_EXHAUSTED, 1_070_565.0)


def test_the_windows_of_a_plan():
    """A share is shown; what is used up is not waited out, and its end is told."""
    headers = {
        **DATE,
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-5h-utilization": "1.02",
        "anthropic-ratelimit-unified-5h-reset": "1787153835",
        "anthropic-ratelimit-unified-7d-utilization": "0.25",
        "anthropic-ratelimit-unified-7d-reset": "1787453835",
    }
    signals = read(429, headers, {"type": "error", "error": {"type": "rate_limit_error", "message": "x"}})
    assert signals.readings["unified-5h"] == Reading(1, 0, 3_600, 18_000)
    assert signals.readings["unified-7d"] == Reading(1, 0.75, 303_600, 604_800)
    assert (signals.reason, signals.retryable, signals.retry_after_s) == (Reason.RATE_LIMITED, False, 3_600.0)


def test_tiers_beside_the_standard_one():
    """Priority and fast capacity are dimensions of their own."""
    headers = {"anthropic-priority-input-tokens-limit": "10000", "anthropic-priority-input-tokens-remaining": "9618"}
    assert read(200, headers, dialect="anthropic").readings == {
        "priority-input-tokens": Reading(10_000, 9_618, None, None)
    }


@pytest.mark.parametrize("kind", ["input", "output"])
def test_the_sentence_names_limit_and_dimension(kind):
    """With thousands separators."""
    text = f"This request would exceed your organization's rate limit of 50,000 {kind} tokens per minute (org: x)."
    signals = read(429, DATE, {"type": "error", "error": {"type": "rate_limit_error", "message": text}})
    assert (signals.unit, signals.limit, signals.window_s) == (f"{kind}-tokens", 50_000.0, 60.0)
