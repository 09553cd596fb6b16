"""Gemini and Vertex AI."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ratelimit_client.core.profile import Refill
from ratelimit_client.core.signals import Reason
from ratelimit_client.dialects import lookup, read

QUOTA = (
    "You exceeded your current quota, please check your plan and billing details.\n"
    "* Quota exceeded for metric: generativelanguage.googleapis.com/{metric}, limit: {limit}, model: gemini-x\n"
    "Please retry in 48.939935699s."
)


def refusal(
    metric: str = "generate_content_free_tier_requests",
    period: str = "Minute",
    *,
    limit: int | str = 20,
    message: str = QUOTA,
) -> dict[str, Any]:
    violation = {
        "quotaMetric": f"generativelanguage.googleapis.com/{metric}",
        "quotaId": f"GenerateContentPer{period}PerProjectPerModel-FreeTier",
        "quotaDimensions": {"location": "global", "model": "gemini-x"},
        "quotaValue": str(limit),
    }
    return {
        "error": {
            "code": 429,
            "message": message.format(metric=metric, limit=limit),
            "status": "RESOURCE_EXHAUSTED",
            "details": [
                {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "48s"},
            ],
        }
    }


@pytest.mark.parametrize("dialect", ["gemini", "auto"])
def test_the_ordinary_refusal(dialect):
    """Its words speak of billing and mean a rate; the finer of two waits is the longer one."""
    signals = read(429, {}, refusal(), dialect=dialect)
    assert (signals.reason, signals.retryable, signals.retry_after_s) == (Reason.RATE_LIMITED, True, 48.939935699)
    assert (signals.unit, signals.limit, signals.window_s, signals.limit_group) == ("requests", 20, 60, "gemini-x")


@pytest.mark.parametrize(
    ("metric", "unit"),
    [
        ("generate_content_free_tier_requests", "requests"),
        ("generate_content_paid_tier_input_token_count", "input-tokens"),
        ("batch_token_count", "tokens"),
    ],
)
@pytest.mark.parametrize("message", [QUOTA, "Resource has been exhausted (e.g. check quota)."])
def test_the_metric_says_what_is_counted(metric, unit, message):
    """In the sentence or in the list of violations."""
    signals = read(429, {}, refusal(metric, message=message), dialect="gemini")
    assert (signals.unit, signals.limit) == (unit, 20)


def test_a_day_that_is_used_up():
    """Not waited out, however short the delay beside it."""
    signals = read(429, {}, refusal(period="Day"), dialect="gemini")
    assert (signals.reason, signals.retryable, signals.window_s) == (Reason.RATE_LIMITED, False, 86_400)


@pytest.mark.parametrize(
    ("date", "hours"),
    [
        ("Thu, 15 Jan 2026 20:00:00 GMT", 12),
        ("Wed, 15 Jul 2026 19:00:00 GMT", 12),
        ("Sun, 08 Mar 2026 08:00:00 GMT", 23),
        ("Sun, 01 Nov 2026 07:00:00 GMT", 25),
    ],
)
@pytest.mark.parametrize("delay", [True, False])
def test_a_day_lasts_until_midnight_in_california(date, hours, delay):
    """By the answer's own clock, with a delay beside it or without."""
    body = refusal(period="Day", message=QUOTA if delay else "Resource has been exhausted (e.g. check quota).")
    if not delay:
        del body["error"]["details"][1]
    signals = read(429, {"date": date}, body, dialect="gemini", now_wall_s=1.0)
    assert (signals.retry_after_s, signals.retryable) == (hours * 3600, False)


def test_without_a_clock_nobody_knows_when_a_day_ends():
    """The delay is all there is; a caller's own clock will do, and a minute has no such end."""
    body = refusal(period="Day")
    assert read(429, {}, body, dialect="gemini").retry_after_s == 48.939935699
    noon_s = 1_768_507_200.0
    assert read(429, {}, body, dialect="gemini", now_wall_s=noon_s).retry_after_s == 12 * 3600
    assert read(429, {}, refusal(), dialect="gemini", now_wall_s=noon_s).retry_after_s == 48.939935699


def test_the_longest_of_several_decides():
    """A minute and a day at once are a day."""
    body = refusal()
    body["error"]["details"].insert(0, refusal(period="Day", limit=1000)["error"]["details"][0])
    body["error"]["details"][0]["violations"] += body["error"]["details"][1]["violations"]
    assert read(429, {}, body, dialect="gemini").retryable is False


def test_a_limit_of_nothing():
    """A plan without the model: no wait helps."""
    signals = read(429, {}, refusal(limit=0), dialect="gemini")
    assert (signals.reason, signals.retryable, signals.limit) == (Reason.RATE_LIMITED, False, None)


def test_shared_capacity():
    """Vertex has nothing to count: backoff."""
    body = {"error": {"code": 429, "message": "Resource exhausted. Please try again later.", "status": "X"}}
    signals = read(429, {}, body, dialect="gemini")
    assert (signals.reason, signals.retryable, signals.retry_after_s) == (Reason.RATE_LIMITED, True, None)


@pytest.mark.parametrize("wrap", [lambda b: [b], lambda b: {"error": {"code": 500, "message": json.dumps(b)}}])
def test_lists_and_errors_inside_errors(wrap):
    """Of stream endpoints and of clients that pass it on: the same conclusions."""
    signals = read(429, {}, wrap(refusal()))
    assert (signals.reason, signals.retry_after_s, signals.unit) == (Reason.RATE_LIMITED, 48.939935699, "requests")


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (503, {"status": "UNAVAILABLE", "message": "The model is overloaded."}, (Reason.OVERLOADED, True)),
        (500, {"status": "INTERNAL", "message": "An internal error has occurred."}, (Reason.SERVER_ERROR, True)),
        (504, {"status": "DEADLINE_EXCEEDED", "message": "x"}, (Reason.SERVER_ERROR, True)),
        (403, {"status": "PERMISSION_DENIED", "message": "x"}, (Reason.AUTH, False)),
        (
            400,
            {"status": "INVALID_ARGUMENT", "message": "x", "details": [{"reason": "API_KEY_INVALID"}]},
            (Reason.AUTH, False),
        ),
        (400, {"status": "INVALID_ARGUMENT", "message": "x"}, (Reason.CLIENT_ERROR, False)),
        (
            400,
            {"status": "INVALID_ARGUMENT", "message": "The input token count (9) exceeds the maximum number"},
            (Reason.TOO_LARGE, False),
        ),
        (
            404,
            {"status": "NOT_FOUND", "message": "models/none is not found for API version v1beta"},
            (Reason.MODEL_NOT_FOUND, False),
        ),
        (
            429,
            {"status": "RESOURCE_EXHAUSTED", "message": "Your project has exceeded its monthly spending cap."},
            (Reason.QUOTA_EXHAUSTED, False),
        ),
    ],
)
def test_errors(status, error, expected):
    """By status, reason and sentence."""
    signals = read(status, {}, {"error": {"code": status, **error}}, dialect="gemini")
    assert (signals.reason, signals.retryable) == expected


@pytest.mark.parametrize("broken", [None, [], [5], [{}], {"model": 5}, [{"quotaValue": "x", "quotaDimensions": []}]])
def test_a_broken_list_of_violations(broken):
    """Names nothing, and hides nothing."""
    body = refusal(message="x")
    body["error"]["details"][0]["violations"] = broken
    signals = read(429, {}, body, dialect="gemini")
    assert (signals.reason, signals.retry_after_s, signals.unit) == (Reason.RATE_LIMITED, 48.0, None)


def test_what_the_scheduler_is_told():
    """Windows of a minute that step; no header ever shows one."""
    profile = lookup("gemini").profile
    assert (profile.refill, profile.default_window_s) == (Refill.WINDOW, 60.0)
