"""From the values of a dimension to its reading."""

from __future__ import annotations

from typing import Any

import pytest

from ratelimit_client.core.signals import Reading
from ratelimit_client.dialects import Dialect, Unit
from ratelimit_client.dialects.generic import GENERIC
from ratelimit_client.dialects.headers import MOST_DIMENSIONS, Collected
from ratelimit_client.dialects.levels import read_levels

NOW = 1_000_000_000.0


def levels(headers: dict[str, Any], table: Dialect = GENERIC) -> tuple[dict[str, Reading], bool]:
    collected = Collected(table.vocabulary)
    collected.take(headers)
    return read_levels(table, collected, lambda: NOW)


def of(limit: Any = None, remaining: Any = None, reset: Any = None, **others: Any) -> dict[str, Any]:
    names = {"limit": limit, "remaining": remaining, "reset": reset, **others}
    return {f"x-ratelimit-{name.replace('_', '-')}": value for name, value in names.items() if value is not None}


@pytest.mark.parametrize(
    ("headers", "reading", "doubtful"),
    [
        (of("500", "499", "120ms"), Reading(500, 499, 0.12, 60), False),
        (of("500", "499", "120ms", renewalperiod="60"), Reading(500, 499, 0.12, 60), False),
        (of(["500"], "499", "120ms"), Reading(500, 499, 0.12, 60), False),
        (of("500", "500", "0s"), Reading(500, 500, 0, None), False),
        (of("500", "499", "5"), Reading(500, 499, 5, None), False),  # no duration: no law to infer by
        (of("500", "499", str(int(NOW) + 9)), Reading(500, 499, 9, None), False),
        (of("500", "499"), Reading(500, 499, None, None), False),
        (of("500", None, "120ms"), Reading(500, None, 0.12, None), False),
        (of("x", "499", "120ms"), Reading(None, 499, 0.12, None), False),
        (of("500", "x", "120ms"), Reading(500, None, 0.12, None), False),
        (of("500", "499", "x"), Reading(500, 499, None, None), False),
        (of("200", "419", "125.82"), Reading(200, 200, 125.82, None), True),
        (of("200", "419", "2s"), Reading(200, 200, 2, None), True),
        (of(["500", "400"], "399", "1s"), Reading(400, 399, 1, None), True),
        (of("500", ["499", "490"], "1.2s"), Reading(500, 490, 1.2, 60), True),
        (of("500", "499", ["1s", "2s"]), Reading(500, 499, 2, None), True),
        (of("500", "499", "2000h"), Reading(500, 499, None, None), False),
        (of("0", "3", "1s"), Reading(None, 3, 1, None), False),
        (of(None, None, "55"), Reading(None, None, 55, None), False),
        (of("5000", None, None, used="102"), Reading(5_000, 4_898, None, None), False),
        (of("5000", None, None, used="9999"), Reading(5_000, 0, None, None), False),
        (of("5000", None, None, used="x"), Reading(5_000, None, None, None), False),
        (of("5000", "7", None, used="102"), Reading(5_000, 7, None, None), False),
        (of("100;w=21600", "76;w=21600"), Reading(100, 76, None, 21_600), False),
        (of("100", "76;w=21600"), Reading(100, 76, None, 21_600), False),
        (of("10", "9", str(int(NOW) + 99), reset_after="64.57"), Reading(10, 9, 64.57, None), False),
        (of("10", "9", "7", reset_after="x"), Reading(10, 9, 7, None), False),
        (of("10", "9", None, reset_after="x"), Reading(10, 9, None, None), False),
    ],
)
def test_a_dimension(headers, reading, doubtful):
    """Fields are dropped one by one, clamped where they cannot be, and explained by their numbers."""
    assert levels(headers) == ({"requests": reading}, doubtful)


@pytest.mark.parametrize(
    "headers",
    [
        of("-1", "-1", "0"),
        of("-1", "-1", "55"),
        of("", "", ""),
        of("0", "0", "5s"),
        of(None, None, "0"),
        of("unlimited"),
        of(None, None, None, renewalperiod="60"),
        {**of("500", "499", "120ms"), "age": "5"},
        {"content-type": "x"},
    ],
)
def test_no_news(headers):
    """Unknown, empty, zero, and what came from a cache: no reading at all."""
    assert levels(headers) == ({}, False)


def test_a_fresh_answer_of_a_cache_counts():
    """Age zero is not from a cache, and neither is an age that is none."""
    assert levels({**of("500"), "age": "0"})[0]
    assert levels({**of("500"), "age": "old"})[0]


@pytest.mark.parametrize(
    ("limit", "remaining", "value", "reset_s"),
    [
        ("120", "119", "500", 0.5),
        ("120000", "119986", "7", 0.007),
        ("20000", "19999", "3", 0.003),
        ("50", "49", "1", 1.0),
        ("250", "249", "0", 0.0),
        ("x", "249", "7", 7.0),
        ("250", "249", "7s", 7.0),
    ],
)
def test_a_number_beside_a_named_window(limit, remaining, value, reset_s):
    """Some regions count seconds and others milliseconds; the level tells which."""
    readings, _ = levels(of(limit, remaining, value, renewalperiod="60"))
    assert (readings["requests"].reset_s, readings["requests"].window_s) == (reset_s, 60.0)


def test_a_named_window_that_is_none():
    """A renewal period of nothing changes nothing."""
    assert levels(of("250", "249", "7", renewalperiod="soon"))[0]["requests"] == Reading(250, 249, 7, None)


def test_a_table_knows_its_windows():
    """What the vendor says, or the name, comes before what the numbers determine."""
    table = Dialect(name="x", windows={"requests": 86_400.0}, numbers=Unit.MILLISECONDS)
    assert levels(of("500", "499", "120ms"), table)[0]["requests"].window_s == 86_400.0
    assert levels(of("500", "499", "120"), table)[0]["requests"] == Reading(500, 499, 0.12, 86_400)
    named = levels({"x-ratelimit-limit-tokens-minute": "75000"})[0]
    assert named == {"tokens-minute": Reading(75_000, None, None, 60)}


@pytest.mark.parametrize(
    ("policy", "limit", "readings", "doubtful"),
    [
        (None, "limit=100, remaining=50, reset=44", {"requests": Reading(100, 50, 44, None)}, False),
        ("100;w=60", "limit=100, remaining=50, reset=44", {"requests": Reading(100, 50, 44, 60)}, False),
        ("10;w=1, 100;w=60", "limit=100, remaining=50", {"requests": Reading(100, 50, None, 60)}, False),
        ("10;w=1, 99;w=60", "limit=100, remaining=50", {"requests": Reading(100, 50, None, None)}, False),
        ("100;w=60", "remaining=50", {"requests": Reading(100, 50, None, 60)}, False),
        ("100;w=60", None, {"requests": Reading(100, None, None, 60)}, False),
        ("10;w=1, 100;w=60", None, {}, False),
        ('"basic";q=100;w=60', '"basic";r=60;t=58', {"basic": Reading(100, 60, 58, 60)}, False),
        (None, '"dayLimit";r=100;t=36000', {"dayLimit": Reading(None, 100, 36_000, None)}, False),
        ('"a";q=5', '"a";r=9', {"a": Reading(5, 5, None, None)}, True),
        ('"a";q=0', '"a";r=0;t=5', {"a": Reading(None, None, 5, None)}, False),
        (None, '"a";r=1;t=99999999', {"a": Reading(None, 1, None, None)}, False),
        (None, '"a"', {}, False),
        ('"a";w=60', None, {}, False),
    ],
)
def test_structured_fields(policy, limit, readings, doubtful):
    """Dictionaries, named lists, and policies without a name that lend their window."""
    headers = {"ratelimit-policy": policy, "ratelimit": limit}
    found = levels({name: value for name, value in headers.items() if value is not None})
    assert found == (readings, doubtful)


def test_a_policy_does_not_override_a_window():
    """A window beside the limit itself is nearer than that of a policy."""
    headers = {"ratelimit-limit": "100;w=30", "ratelimit-policy": "100;w=60"}
    assert levels(headers)[0]["requests"].window_s == 30.0


def test_split_over_lines():
    """A list that comes as several header lines is one list."""
    found = levels({"ratelimit-policy": ['"a";q=1;w=1', '"b";q=2;w=60'], "ratelimit": ['"a";r=1', '"b";r=0']})[0]
    assert found == {"a": Reading(1, 1, None, 1), "b": Reading(2, 0, None, 60)}


def test_structured_fields_are_bounded():
    """No more dimensions than elsewhere."""
    text = ", ".join(f'"d{n}";r=1' for n in range(60))
    assert len(levels({"ratelimit": text})[0]) == MOST_DIMENSIONS


def test_more_left_than_a_policy_grants():
    """A policy that stands for the limit clamps what remains, like a limit of its own."""
    headers = {"RateLimit-Policy": "100;w=60", "RateLimit-Remaining": "399000"}
    assert levels(headers) == ({"requests": Reading(100, 100, None, 60)}, True)
