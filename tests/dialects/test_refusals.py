"""What a refusal is about."""

from __future__ import annotations

from typing import Any

import pytest

from ratelimit_client.core.profile import Refill, ServerProfile
from ratelimit_client.core.signals import Reason
from ratelimit_client.dialects import Dialect, Field, read

FIXED = ServerProfile(refill=Refill.WINDOW)


def empty(name: str, window: str = "", reset: str | None = None) -> dict[str, str]:
    headers = {f"x-ratelimit-limit-{name}": f"100{window}", f"x-ratelimit-remaining-{name}": f"0{window}"}
    return headers if reset is None else {**headers, f"x-ratelimit-reset-{name}": reset}


@pytest.mark.parametrize(
    ("headers", "table", "retryable"),
    [
        (empty("requests", ";w=21600"), Dialect(name="x", profile=FIXED), False),
        (empty("requests", ";w=18000"), "generic", False),
        (empty("requests", ";w=17999"), "generic", True),
        (empty("requests", ";w=21600", "60"), "generic", True),
        ({**empty("requests", ";w=21600"), "retry-after": "60"}, "generic", True),
        (empty("requests", ";w=86400", "60"), Dialect(name="x", profile=FIXED, long_window_s=86_400), False),
        (empty("requests-day"), "openai", True),
        (empty("requests-day"), "generic", False),
        ({**empty("requests-day"), "x-ratelimit-remaining-requests-day": "1"}, "generic", True),
        ({**empty("requests-day"), "x-should-retry": "true"}, "generic", False),
    ],
)
def test_a_window_that_is_used_up(headers: dict[str, str], table: Any, retryable: bool):
    """Of hours, fixed, and without an end that is told; or as long as the table says."""
    assert read(429, headers, dialect=table).retryable is retryable


def test_a_sentence_alone_uses_nothing_up():
    """Unless the table says that it would: who else writes "per day" may mean a bucket that refills all day."""
    day = {"message": "Rate limit exceeded: per-day"}
    assert read(429, {}, day).retryable is True
    assert read(429, {}, day, dialect=Dialect(name="x", profile=FIXED, long_window_s=86_400)).retryable is False


def test_only_a_refusal_uses_a_window_up():
    """An empty day beside a server's error is no reason not to try again."""
    assert read(500, empty("requests-day")).retryable is True


PLAN = Dialect(
    name="plan",
    names={
        "x-plan-used": (Field.USED, "plan"),
        "x-plan-minutes": (Field.WINDOW_MINUTES, "plan"),
        "x-plan-after": (Field.RESET_AFTER, "plan"),
    },
    plans={"plan": 100.0},
)


@pytest.mark.parametrize(
    ("used", "minutes", "after", "expected"),
    [
        ("100", "300", "9569", (False, 9_569.0)),
        ("100.0", "300", "9569", (False, 9_569.0)),
        ("99", "300", "9569", (True, None)),
        ("100", "0", "9569", (True, None)),
        ("", "300", "9569", (True, 9_569.0)),
        ("100", "300", "", (False, None)),
    ],
)
def test_the_window_of_a_plan(used, minutes, after, expected):
    """Used up, it is not waited out, and its end is the hint; a window of no minutes is none."""
    headers = {"x-plan-used": used, "x-plan-minutes": minutes, "x-plan-after": after}
    signals = read(429, headers, dialect=PLAN)
    assert (signals.retryable, signals.retry_after_s) == expected


def test_the_longer_of_hint_and_plan():
    """A body's seconds beside a header's."""
    headers = {"x-plan-used": "100", "x-plan-minutes": "300", "x-plan-after": "9569"}
    body = {"error": {"type": "usage_limit_reached", "resets_in_seconds": 9568}}
    assert read(429, headers, body, dialect=PLAN).retry_after_s == 9_569.0


@pytest.mark.parametrize(
    ("sentence", "unit"),
    [
        ("Tokens per minute limit exceeded", "tokens-minute"),
        ("Tokens per day limit exceeded", "tokens-day"),
        ("Tokens per hour limit exceeded", "tokens"),
        ("exceeded token rate limit", "tokens"),
        ("Requests per minute limit exceeded", "req-minute"),
        ("Images per minute limit exceeded", "images"),
    ],
)
def test_a_dimension_is_called_as_the_answer_shows_it(sentence, unit):
    """By the window, or as the only one of its kind."""
    headers = {f"x-ratelimit-remaining-{name}": "5" for name in ("tokens-minute", "tokens-day", "req-minute")}
    assert read(429, headers, {"message": sentence}).unit == unit


def test_the_sentences_window_belongs_to_the_only_dimension():
    """Not to one of several, and not where a name says another."""
    day = {"message": "Rate limit exceeded: per-day"}
    one = {"x-ratelimit-limit": "5"}
    assert read(429, one, day).readings["requests"].window_s == 86_400
    two = {**one, "x-ratelimit-limit-tokens": "5"}
    assert {reading.window_s for reading in read(429, two, day).readings.values()} == {None}
    named = {"x-ratelimit-limit-req-minute": "5"}
    assert read(429, named, day).readings["req-minute"].window_s == 60


def test_the_least_wait_of_a_vendor():
    """Where nobody says how long; a hint beats it, and nothing but a refusal has it."""
    table = Dialect(name="x", least_wait_s=60.0)
    answers = ((429, {}), (429, {"retry-after": "2"}), (503, {}))
    least, asked, other = (read(*answer, dialect=table) for answer in answers)
    assert [signals.retry_after_s for signals in (least, asked, other)] == [60.0, 2.0, None]
    assert [signals.wait_grows for signals in (least, asked, other)] == [True, False, False]
    assert not read(429, {}, dialect="generic").wait_grows


def test_a_wait_that_means_too_large():
    """From the length that the table says on."""
    table = Dialect(name="x", too_large_wait_s=100.0)
    assert read(429, {"retry-after": "99"}, dialect=table).retryable is True
    assert read(429, {"retry-after": "100"}, dialect=table).retryable is False


def test_a_status_of_ones_own():
    """What it means here and nowhere else."""
    table = Dialect(name="x", statuses={420: Reason.RATE_LIMITED})
    assert read(420, {"retry-after": "5"}, dialect=table).reason is Reason.RATE_LIMITED
    assert read(420, {}, dialect=table).retryable is True
    assert read(420, {}).retryable is False
