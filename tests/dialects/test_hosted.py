"""Hosts of open models, and others whose language is a few words long."""

from __future__ import annotations

from typing import Any

import pytest

from ratelimit_client.core.profile import Refill
from ratelimit_client.core.signals import Reading, Reason
from ratelimit_client.dialects import lookup, read


def readings(dialect: str, headers: dict[str, str]) -> dict[str, Reading]:
    return read(200, headers, dialect=dialect).readings


@pytest.mark.parametrize(
    ("dialect", "headers", "expected"),
    [
        (
            "cerebras",
            {
                "x-ratelimit-limit-requests-day": "1000000000",
                "x-ratelimit-remaining-requests-day": "999997455",
                "x-ratelimit-reset-requests-day": "33011.382867",
                "x-ratelimit-limit-tokens-minute": "60000",
                "x-ratelimit-remaining-tokens-minute": "0",
                "x-ratelimit-reset-tokens-minute": "11.382867",
            },
            {
                "requests-day": Reading(1_000_000_000, 999_997_455, 33_011.382867, 86_400),
                "tokens-minute": Reading(60_000, 0, 11.382867, 60),
            },
        ),
        (
            "fireworks",
            {
                "x-ratelimit-limit-tokens-prompt": "3600000",
                "x-ratelimit-remaining-tokens-prompt": "3599000",
                "x-ratelimit-limit-tokens-generated": "36000",
                "x-ratelimit-over-limit": "no",
            },
            {
                "tokens-prompt": Reading(3_600_000, 3_599_000, None, None),
                "tokens-generated": Reading(36_000, None, None, None),
            },
        ),
        (
            "together",
            {
                "x-ratelimit-limit": "2",
                "x-ratelimit-remaining": "1",
                "x-ratelimit-reset": "2",
                "x-tokenlimit-limit": "3000",
                "x-tokenlimit-remaining": "2990",
            },
            {"requests": Reading(2, 1, 2, None), "tokens": Reading(3_000, 2_990, None, None)},
        ),
        (
            "xai",
            {"x-ratelimit-limit-requests": "1800", "x-ratelimit-remaining-requests": "1800"},
            {"requests": Reading(1_800, 1_800, None, 60)},
        ),
        (
            "cohere",
            {
                "x-trial-endpoint-call-limit": "40",
                "x-trial-endpoint-call-remaining": "39",
                "x-endpoint-monthly-call-limit": "1000",
            },
            {"requests": Reading(40, 39, None, 60), "requests-month": Reading(1_000, None, None, 2_592_000)},
        ),
        (
            "replicate",
            {"ratelimit-remaining": "599", "ratelimit-reset": "1"},
            {"requests": Reading(None, 599, 1, None)},
        ),
        (
            "huggingface",
            {"ratelimit": '"api";r=999;t=295', "ratelimit-policy": '"fixed window";"api";q=1000;w=300'},
            {"api": Reading(1_000, 999, 295, 300)},
        ),
    ],
)
def test_headers(dialect, headers, expected):
    """What each shows, in its own words."""
    assert readings(dialect, headers) == expected


@pytest.mark.parametrize(
    ("dialect", "status", "body", "expected"),
    [
        (
            "cerebras",
            429,
            {
                "message": "Requests per minute limit exceeded - too many requests sent.",
                "type": "too_many_requests_error",
                "param": "quota",
                "code": "request_quota_exceeded",
            },
            (Reason.RATE_LIMITED, True, None, "requests", 60.0),
        ),
        (
            "cerebras",
            429,
            {"message": "Tokens per day limit exceeded - too many tokens processed.", "code": "token_quota_exceeded"},
            (Reason.RATE_LIMITED, True, None, "tokens", 86_400.0),
        ),
        (
            "cerebras",
            429,
            {"message": "We're experiencing high traffic right now!", "code": "queue_exceeded"},
            (Reason.OVERLOADED, True, None, None, None),
        ),
        (
            "together",
            402,
            {"error": {"message": "Credit limit exceeded", "type": "credit_limit"}},
            (Reason.QUOTA_EXHAUSTED, False, None, None, None),
        ),
        (
            "together",
            429,
            {"error": {"message": "Credit limit exceeded, please add credit", "type": "credit_limit"}},
            (Reason.QUOTA_EXHAUSTED, False, None, None, None),
        ),
        (
            "together",
            429,
            {
                "error": {
                    "message": "You have been rate limited. Your rate limit is 60 queries per minute. Please navigate "
                    "to https://api.together.xyz/settings/billing to upgrade to a paid plan.",
                    "type": "credit_limit",
                }
            },
            (Reason.RATE_LIMITED, True, None, "requests", 60.0),
        ),
        (
            "xai",
            429,
            {
                "code": "Some resource has been exhausted",
                "error": "Too many requests for team x. Your team's rate limit is 480 requests/min",
            },
            (Reason.RATE_LIMITED, True, None, "requests", 60.0),
        ),
        (
            "xai",
            429,
            {
                "code": "Some resource has been exhausted",
                "error": "Your team has either used all available credits or reached its monthly spending limit.",
            },
            (Reason.QUOTA_EXHAUSTED, False, None, None, None),
        ),
        (
            "xai",
            403,
            {"code": "x", "error": "You have run out of credits or need a Grok subscription."},
            (Reason.QUOTA_EXHAUSTED, False, None, None, None),
        ),
        (
            "cohere",
            429,
            {"message": "You are using a Trial key, which is limited to 40 API calls / minute."},
            (Reason.RATE_LIMITED, True, None, "requests", 60.0),
        ),
        (
            "cohere",
            429,
            {"message": "You are using a Trial key, which is limited to 1000 API calls / month."},
            (Reason.RATE_LIMITED, False, None, "requests", 2_592_000.0),
        ),
        ("cohere", 498, {"message": "blocked input"}, (Reason.CLIENT_ERROR, False, None, None, None)),
        (
            "replicate",
            429,
            {
                "detail": "Request was throttled. Your rate limit for creating predictions is reduced to 6 requests "
                "per minute with a burst of 1 requests while you have less than $5.0 in credit. Your rate limit "
                "resets in ~5s.",
                "status": 429,
                "retry_after": 4,
            },
            (Reason.RATE_LIMITED, True, 5.0, "requests", 60.0),
        ),
        (
            "huggingface",
            402,
            {"error": "You have exceeded your monthly included credits for Inference Providers."},
            (Reason.QUOTA_EXHAUSTED, False, None, None, None),
        ),
        (
            "huggingface",
            503,
            {"error": "Model m is currently loading", "estimated_time": 20.0},
            (Reason.OVERLOADED, True, None, None, None),
        ),
    ],
)
def test_refusals(dialect, status, body, expected):
    """Minutes, days and months; money; overload."""
    signals = read(status, {}, body, dialect=dialect)
    found = signals.reason, signals.retryable, signals.retry_after_s, signals.unit, signals.window_s
    assert found == expected


def test_the_hint_of_a_used_up_minute():
    """The dimension is named as the headers name it, and its own reset is the wait."""
    headers = {
        "x-ratelimit-remaining-tokens-minute": "0",
        "x-ratelimit-reset-tokens-minute": "11.4",
        "x-ratelimit-remaining-tokens-day": "500",
        "x-ratelimit-reset-tokens-day": "3000.5",
    }
    body = {"message": "Tokens per minute limit exceeded - too many tokens processed."}
    signals = read(429, headers, body, dialect="cerebras")
    assert (signals.unit, signals.retry_after_s, signals.retryable) == ("tokens-minute", 11.4, True)


def test_a_day_with_an_end_is_told():
    """Its length is what the answer says; whether to wait that long is the caller's policy."""
    headers = {"x-ratelimit-remaining-requests-day": "0", "x-ratelimit-reset-requests-day": "33011.4"}
    signals = read(429, headers, dialect="cerebras")
    assert (signals.retryable, signals.retry_after_s) == (True, 33_011.4)


def test_a_wait_on_a_success_asks_for_nothing():
    """The router sends retry-after on each."""
    assert read(200, {"retry-after": "30"}, dialect="huggingface").retry_after_s is None


@pytest.mark.parametrize(
    ("dialect", "refill", "window_s", "pays"),
    [
        ("cerebras", Refill.WINDOW, 60.0, {"requests-day": "requests", "tokens-minute": "tokens"}),
        ("fireworks", Refill.UNKNOWN, 60.0, {"tokens-prompt": "tokens"}),
        ("together", Refill.UNKNOWN, 1.0, {"requests": "requests", "tokens": "tokens"}),
        ("xai", Refill.UNKNOWN, 60.0, {"requests": "requests", "tokens": "tokens"}),
        ("cohere", Refill.UNKNOWN, 60.0, {"requests": "requests", "requests-month": "requests"}),
        ("replicate", Refill.UNKNOWN, 60.0, {"requests": "requests"}),
        ("huggingface", Refill.WINDOW, 300.0, {"api": "requests"}),
    ],
)
def test_what_the_scheduler_is_told(dialect: str, refill: Refill, window_s: float, pays: dict[str, Any]):
    """How the levels come back where it is known, and what a call pays."""
    profile = lookup(dialect).profile
    assert (profile.refill, profile.default_window_s) == (refill, window_s)
    assert pays.items() <= profile.pays.items()
