"""Whoever speaks no language of their own."""

from __future__ import annotations

import pytest

from ratelimit_client.core.signals import Reading, Reason
from ratelimit_client.dialects import read

DATE = {"date": "Wed, 19 Aug 2026 14:37:15 GMT"}


def readings(headers: dict[str, str]) -> dict[str, Reading]:
    return read(200, {**DATE, **headers}).readings


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {
                "anthropic-ratelimit-input-tokens-limit": "200000",
                "anthropic-ratelimit-input-tokens-remaining": "126000",
                "anthropic-ratelimit-input-tokens-reset": "2026-08-19T14:37:36Z",
                "anthropic-ratelimit-requests-reset": "2026-08-19T14:37:14Z",
                "anthropic-ratelimit-requests-limit": "50",
            },
            {"input-tokens": Reading(200_000, 126_000, 21, None), "requests": Reading(50, None, 0, None)},
        ),
        (
            {"x-ratelimit-limit": "5000", "x-ratelimit-used": "102", "x-ratelimit-reset": "1787150250"},
            {"requests": Reading(5_000, 4_898, 15, None)},
        ),
        (
            {"x-ratelimit-limit": "5", "x-ratelimit-reset": "1787150250000", "ratelimit-reset": "34"},
            {"requests": Reading(5, None, 34, None)},
        ),
        (
            {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600"},
            {"requests": Reading(100, 76, None, 21_600)},
        ),
        ({"ratelimit-remaining": "599", "ratelimit-reset": "1"}, {"requests": Reading(None, 599, 1, None)}),
        (
            {"x-ratelimit-remaining-tokens-minute": "99", "x-ratelimit-reset-tokens-minute": "11.382867"},
            {"tokens-minute": Reading(None, 99, 11.382867, 60)},
        ),
        (
            {"x-ratelimit-route-limit": "5", "x-ratelimit-route-remaining": "0", "x-ratelimit-reset": "1787150250000"},
            {"route": Reading(5, 0, None, None), "requests": Reading(None, None, 15, None)},
        ),
        ({"llm_provider-x-ratelimit-limit-requests": "5"}, {}),
    ],
)
def test_many_ways_to_say_it(headers, expected):
    """Both orders, dates, epochs in seconds and milliseconds, parameters, windows in names; copies are ignored."""
    assert readings(headers) == expected


def test_a_forbidden_with_nothing_left_is_a_limit():
    """As one large vendor answers: 403, and either a wait or an empty dimension."""
    empty = {**DATE, "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1787150250"}
    assert read(403, empty).reason is Reason.RATE_LIMITED
    assert read(403, empty).retry_after_s == 15.0
    assert read(403, {"retry-after": "60"}).reason is Reason.RATE_LIMITED
    assert read(403, {"x-ratelimit-remaining": "7"}).reason is Reason.AUTH
