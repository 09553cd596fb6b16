"""Mistral."""

from __future__ import annotations

import pytest

from ratelimit_client.core.profile import Refill
from ratelimit_client.core.signals import Reading, Reason
from ratelimit_client.dialects import lookup, read

NEW = {
    "x-ratelimit-limit-req-10-second": "60",
    "x-ratelimit-remaining-req-10-second": "58",
    "x-ratelimit-limit-tokens-minute": "2000000",
    "x-ratelimit-remaining-tokens-minute": "1999829",
    "x-ratelimit-limit-audio-seconds-minute": "7200",
    "x-ratelimit-remaining-audio-seconds-minute": "7197",
    "x-ratelimit-audio-seconds-query-cost": "3",
    "x-ratelimit-tokens-query-cost": "64",
}
OLD = {
    "ratelimitbysize-limit": "500000",
    "ratelimitbysize-remaining": "401381",
    "ratelimitbysize-reset": "33",
    "ratelimitbysize-query-cost": "32018",
    "x-ratelimitbysize-limit-minute": "500000",
    "x-ratelimitbysize-remaining-minute": "401381",
    "x-ratelimitbysize-limit-month": "1000000000",
    "x-ratelimitbysize-remaining-month": "997438986",
}


def test_the_window_is_in_the_name():
    """No reset is sent."""
    assert read(200, NEW, dialect="mistral").readings == {
        "req-10-second": Reading(60, 58, None, 10),
        "tokens-minute": Reading(2_000_000, 1_999_829, None, 60),
        "audio-seconds-minute": Reading(7_200, 7_197, None, 60),
    }


def test_the_older_names_mean_the_same():
    """Tokens of the running minute, with its end; and those of the month."""
    signals = read(200, OLD, dialect="mistral")
    assert signals.readings == {
        "tokens-minute": Reading(500_000, 401_381, 33, 60),
        "tokens-month": Reading(1_000_000_000, 997_438_986, None, 2_592_000),
    }
    assert not signals.low_confidence


@pytest.mark.parametrize(("headers", "charged"), [(NEW, 64.0), (OLD, 32_018.0)])
def test_each_answer_says_what_the_call_was_charged(headers, charged):
    """In tokens, before other things."""
    signals = read(200, headers, dialect="mistral")
    assert (signals.unit, signals.requested, signals.reason) == ("tokens", charged, Reason.OK)


def test_a_charge_that_is_no_number():
    """Says nothing."""
    signals = read(200, {**NEW, "x-ratelimit-tokens-query-cost": "?"}, dialect="mistral")
    assert (signals.unit, signals.requested) == ("audio-seconds", 3.0)


def test_what_the_scheduler_is_told():
    """Fixed windows; every call pays as a request and by its tokens, whatever the window."""
    profile = lookup("mistral").profile
    assert profile.refill is Refill.WINDOW
    assert (profile.pays["req-10-second"], profile.pays["tokens-month"]) == ("requests", "tokens")
    assert "audio-seconds-minute" not in profile.pays


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"object": "error", "message": "Rate limit exceeded", "type": "rate_limited", "code": "1300"},
            (Reason.RATE_LIMITED, True),
        ),
        ({"message": "Requests rate limit exceeded"}, (Reason.RATE_LIMITED, True)),
        (
            {"message": "Service tier capacity exceeded for this model.", "type": "service_tier_capacity_exceeded"},
            (Reason.OVERLOADED, True),
        ),
    ],
)
def test_refusals(body, expected):
    """The code is a number in a string; an older form has no more than a sentence."""
    signals = read(429, {}, body, dialect="mistral")
    assert (signals.reason, signals.retryable) == expected


def test_a_month_that_is_used_up_is_not_waited_out():
    """Nobody says when it ends; a minute ends soon."""
    month = {"x-ratelimit-limit-tokens-month": "1000", "x-ratelimit-remaining-tokens-month": "0"}
    minute = {name.replace("month", "minute"): value for name, value in month.items()}
    assert read(429, month, dialect="mistral").retryable is False
    assert read(429, minute, dialect="mistral").retryable is True
