"""Headers and bodies as OpenAI's servers write them, read back by our own reader."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.core.signals import Reason
from ratelimit_client.dialects import read
from ratelimit_client.dialects.durations import parse_duration
from ratelimit_client.dialects.openai_writing import (
    STATUS,
    debug_headers,
    error_body,
    format_duration,
    limit_headers,
    limit_phrase,
    refusal_headers,
    wait_s,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-5, "0s"),
        (0.0009, "0s"),
        (0.002, "2ms"),
        (0.29, "290ms"),
        (1.2, "1.2s"),
        (8.64, "8.64s"),
        (60, "1m0s"),
        (360, "6m0s"),
        (73.588, "1m13.588s"),
        (Fraction(432), "7m12s"),
        (3_600, "1h0m0s"),
        (299_439.057, "83h10m39.057s"),
    ],
)
def test_durations(seconds, text):
    """As Go prints them, cut to milliseconds."""
    assert format_duration(seconds) == text


@given(st.integers(0, 31 * 86_400_000))
def test_durations_come_back(ms):
    """Written and read, a whole number of milliseconds is itself."""
    assert parse_duration(format_duration(Fraction(ms, 1000))) == ms / 1000
    assert format_duration(ms / 1000) == format_duration(Fraction(ms, 1000))


def test_the_headers_of_a_real_answer():
    """Recorded numbers, from the exact level behind them."""
    headers = limit_headers({"requests": (500, 499, 60), "tokens": (200_000, 198_160, 60)})
    assert headers == {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "499",
        "x-ratelimit-reset-requests": "120ms",
        "x-ratelimit-limit-tokens": "200000",
        "x-ratelimit-remaining-tokens": "198160",
        "x-ratelimit-reset-tokens": "552ms",
    }
    owing = limit_headers({"tokens": (30_000_000, -26_000, 60)}, prefix="ratelimit-")
    assert owing["ratelimit-remaining-tokens"] == "0"
    assert owing["ratelimit-reset-tokens"] == "1m0.052s"


@given(
    limit=st.integers(1, 10**8),
    level=st.fractions(0, 1),
    window_s=st.sampled_from([60, 86_400, 2_592_000]),
)
def test_a_level_comes_back(limit, level, window_s):
    """What is written is read: the limit, the whole units left, and the time to full within a millisecond."""
    exact = limit * level
    reading = read(200, limit_headers({"requests": (limit, exact, window_s)})).readings["requests"]
    assert (reading.limit, reading.remaining) == (limit, int(exact))
    cut_s = float((limit - exact) * window_s / limit) - reading.reset_s
    assert -1e-6 <= cut_s <= 0.001 + 1e-6


@pytest.mark.parametrize(
    ("wait", "headers"),
    [
        (0.494, {"retry-after": "1", "retry-after-ms": "494"}),
        (20, {"retry-after": "20", "retry-after-ms": "20000"}),
        (20.001, {"retry-after": "21", "retry-after-ms": "20001"}),
        (0, {"retry-after": "1", "retry-after-ms": "1"}),
    ],
)
def test_refusals(wait, headers):
    """Seconds are rounded up, milliseconds cut, and neither is zero."""
    assert refusal_headers(wait) == headers
    assert read(429, headers).retry_after_s == max(0.001, wait)


def test_debug_headers():
    """Every one, and only those that apply."""
    full = debug_headers(request_id="req_1", processing_s=0.3, project="proj_x", model="m")
    assert full == {
        "x-request-id": "req_1",
        "openai-version": "2020-10-01",
        "openai-processing-ms": "300",
        "openai-organization": "org-x",
        "openai-project": "proj_x",
        "openai-model": "m",
    }
    assert set(debug_headers(request_id="r", organization=None)) == {"x-request-id", "openai-version"}
    signals = read(200, full)
    assert (signals.request_id, signals.processing_s, signals.project) == ("req_1", 0.3, "proj_x")


def test_a_refusal_in_words():
    """The sentence of a real refusal, to the letter, and its numbers read back."""
    body = error_body("rate_limit", model="gpt-4", limit=10_000, used=8_554, requested=3_082)
    assert body["error"]["message"] == (
        "Rate limit reached for gpt-4 in organization org-x on tokens per min (TPM): Limit 10000, Used 8554, "
        "Requested 3082. Please try again in 9.816s. "
        "Visit https://platform.openai.com/account/rate-limits to learn more."
    )
    signals = read(429, {}, body)
    assert (signals.unit, signals.limit, signals.used, signals.requested) == ("tokens", 10_000, 8_554, 3_082)
    assert (signals.retry_after_s, signals.window_s, signals.limit_group) == (9.816, 60, "gpt-4")
    daily = error_body("rate_limit", unit="requests", limit=200, used=200, window_s=86_400)
    assert "on requests per day (RPD): Limit 200, Used 200, Requested 1. Please try again in 7m12s." in str(daily)
    assert "try again in 5s." in str(error_body("rate_limit", limit=1, wait=5))


def test_a_call_that_is_too_large_in_words():
    """With and without the group whose limit it is."""
    body = error_body("too_large", model="m-2", group="m", limit=3, requested=5)
    assert body["error"]["message"].startswith(
        "Request too large for m-2 (for limit m) in organization org-x on tokens per min (TPM): Limit 3, Requested 5."
    )
    signals = read(429, {}, body)
    assert (signals.reason, signals.retryable, signals.limit_group) == (Reason.TOO_LARGE, False, "m")
    assert "(for limit" not in str(error_body("too_large"))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("rate_limit", Reason.RATE_LIMITED),
        ("insufficient_quota", Reason.QUOTA_EXHAUSTED),
        ("slow_down", Reason.OVERLOADED),
        ("overloaded", Reason.OVERLOADED),
        ("server_error", Reason.SERVER_ERROR),
        ("invalid_request", Reason.CLIENT_ERROR),
        ("invalid_api_key", Reason.AUTH),
        ("model_not_found", Reason.MODEL_NOT_FOUND),
    ],
)
def test_every_kind_means_what_it_says(kind, reason):
    """Written by one side, understood by the other."""
    assert read(STATUS[kind], {}, error_body(kind, limit=5, used=5)).reason is reason
    other = error_body(kind, message="mine", param="p")["error"]
    assert (other["message"], other["param"]) == ("mine", "p")


def test_phrases():
    """With the abbreviation where there is one."""
    assert limit_phrase("tokens", 86_400.0) == "tokens per day (TPD)"
    assert limit_phrase("images", 60) == "images per min"
    assert limit_phrase("requests", 10) == "requests per 10 s"


def test_no_wait_when_there_is_room():
    """Zero, never less."""
    assert wait_s(limit=10, used=5, requested=1, window_s=60) == 0.0
    assert wait_s(limit=10, used=10, requested=1, window_s=60) == 6.0
