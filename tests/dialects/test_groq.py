"""Groq."""

from __future__ import annotations

import pytest

from ratelimit_client.core.profile import Refill
from ratelimit_client.core.signals import Reading, Reason
from ratelimit_client.dialects import lookup, read


def headers(requests: tuple[str, str, str], tokens: tuple[str, str, str]) -> dict[str, str]:
    fields = ("limit", "remaining", "reset")
    return {
        f"x-ratelimit-{field}-{name}": value
        for name, values in (("requests", requests), ("tokens", tokens))
        for field, value in zip(fields, values, strict=True)
    }


def refused(message: str, status: int = 429) -> tuple[Reason, bool | None, float | None, float | None]:
    error = {"message": message, "type": "tokens", "code": "rate_limit_exceeded"}
    signals = read(status, {}, {"error": error}, dialect="groq")
    return signals.reason, signals.retryable, signals.retry_after_s, signals.window_s


def test_requests_are_of_a_day_and_tokens_of_a_minute():
    """Always, also where the numbers would tell nothing; with noise below the microsecond."""
    found = read(
        200, headers(("14400", "14397", "17.399999999s"), ("18000", "17997", "7.66s")), dialect="groq"
    ).readings
    assert found == {
        "requests": Reading(14_400, 14_397, 17.399999999, 86_400),
        "tokens": Reading(18_000, 17_997, 7.66, 60),
    }
    full = read(200, headers(("14400", "14400", "0s"), ("6000", "6000", "0s")), dialect="groq").readings
    assert (full["requests"].window_s, full["tokens"].window_s) == (86_400, 60)


def test_what_the_scheduler_is_told():
    """OpenAI's bucket."""
    profile = lookup("groq").profile
    assert (profile.refill, profile.reset_is_exact, profile.settles) == (Refill.CONTINUOUS, True, frozenset())


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "Rate limit reached for model `m` in organization `o` service tier `on_demand` on tokens per minute (TPM): "
            "Limit 12000, Used 4437, Requested 9854. Please try again in 11.455s.",
            (Reason.RATE_LIMITED, True, 11.455, 60.0),
        ),
        (
            "Rate limit reached for model `m` on tokens per day (TPD): Limit 100000, Used 97050, Requested 3619. "
            "Please try again in 9m38.016s.",
            (Reason.RATE_LIMITED, True, 578.016, 86_400.0),
        ),
        (
            "Rate limit reached for model `m` in organization `o` on : Limit 500000, Used 500370, Requested 252. "
            "Please try again in 1m47.5854s.",
            (Reason.RATE_LIMITED, True, 107.5854, 86_400.0),
        ),
        (
            "Rate limit reached for model `m` on tokens per minute (TPM): Limit 7000, Used 0, Requested ~12903. "
            "Please try again in 50.597142857s.",
            (Reason.TOO_LARGE, False, 50.597142857, 60.0),
        ),
    ],
)
def test_refusals(message, expected):
    """A minute, a day, no label; and a wait for what can never fit."""
    assert refused(message) == expected


def test_statuses():
    """413 is too large whatever it says; 498 is the flex tier at capacity."""
    assert refused("Request too large", 413)[:2] == (Reason.TOO_LARGE, False)
    assert refused("capacity exceeded", 498)[:2] == (Reason.OVERLOADED, True)


def test_the_hint_beside_a_day():
    """A refusal by the day's requests waits for one of them, not for the whole day."""
    signals = read(429, headers(("1000", "0", "24h0m0s"), ("6000", "6000", "0s")), dialect="groq")
    assert (signals.unit, signals.retryable, signals.retry_after_s) == ("requests", True, pytest.approx(86.4))
