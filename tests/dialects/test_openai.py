"""The OpenAI table, and its laws on recorded answers."""

from __future__ import annotations

import math

import pytest

from ratelimit_client.core.signals import Reason
from ratelimit_client.dialects import read
from tests.dialects.samples import SAMPLES, Sample

OPENAI = [sample for sample in SAMPLES if sample.provider == "openai"]
SECONDS = {60: "a minute", 86_400: "a day", 2_592_000: "30 days"}


def of_a_bucket(sample: Sample) -> list[tuple[float, float, float, float]]:
    """(limit, remaining, reset, window) of every dimension that determines its window."""
    readings = read(sample.status, sample.headers, sample.body, dialect="openai").readings.values()
    return [
        (r.limit, r.remaining, r.reset_s, r.window_s)
        for r in readings
        if r.limit is not None and r.remaining is not None and r.reset_s is not None and r.window_s is not None
    ]


@pytest.mark.parametrize("sample", [s for s in OPENAI if of_a_bucket(s)], ids=str)
def test_the_law_of_the_bucket(sample):
    """0 <= used - reset x limit / window < 1, up to the millisecond that the reset was cut to."""
    for limit, remaining, reset_s, window_s in of_a_bucket(sample):
        assert window_s in SECONDS
        beyond = (limit - remaining) - reset_s * limit / window_s
        assert -1e-6 <= beyond < 1 + 0.001 * limit / window_s


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.expect.get("requested") or s.expect.get("used")], ids=str)
def test_the_law_of_the_wait(sample):
    """wait = (used + requested - limit) x window / limit, cut to the millisecond."""
    signals = read(sample.status, {}, sample.body)
    if signals.reason is Reason.TOO_LARGE:
        assert signals.requested > signals.limit
        return
    wait_s = (signals.used + signals.requested - signals.limit) * signals.window_s / signals.limit
    # One vendor's sentence of 2024 asks for a tenth of a second more.
    padding_s = 0.11 if sample.provider == "groq" else 0.001
    assert 0 <= signals.retry_after_s - math.floor(wait_s * 1e3) / 1e3 <= padding_s


def test_the_laws_are_checked_on_enough_answers():
    """A change that empties the two lists above is noticed."""
    assert sum(len(of_a_bucket(sample)) for sample in OPENAI) > 100
    assert len([s for s in SAMPLES if s.expect.get("requested")]) >= 14


@pytest.mark.parametrize("status", [400, 404])
def test_an_error_after_admission_shows_what_it_was_charged(status):
    """Readings of an answer count whatever its status."""
    headers = {
        "x-ratelimit-limit-requests": "3500",
        "x-ratelimit-remaining-requests": "3498",
        "x-ratelimit-reset-requests": "17ms",
    }
    signals = read(status, headers, {"error": {"type": "invalid_request_error"}}, dialect="openai")
    assert (signals.retryable, signals.readings["requests"].remaining) == (False, 3_498.0)


def test_permission_is_not_a_limit_here():
    """A 403 is a matter of the key or the model, also when it asks to wait."""
    assert read(403, {"retry-after": "5"}, dialect="openai").reason is Reason.AUTH


def test_billing_by_its_sentence_alone():
    """Inside a stream the sentence may come without its code."""
    body = "You exceeded your current quota, please check your plan and billing details."
    assert read(429, {}, body, dialect="openai").reason is Reason.QUOTA_EXHAUSTED
