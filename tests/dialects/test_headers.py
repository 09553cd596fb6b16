"""One pass over the headers."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from ratelimit_client.dialects.dialect import Field, Vocabulary
from ratelimit_client.dialects.durations import MAX_SPAN_S, Form, Unit, When
from ratelimit_client.dialects.generic import GENERIC
from ratelimit_client.dialects.headers import MOST_DIMENSIONS, Collected, amount, moment, span_s, texts_of

PAIRS = [("X-RateLimit-Limit-Tokens", "100"), ("x-request-id", "req_1"), ("Content-Type", "text/plain")]


def collected(headers: Any) -> Collected:
    found = Collected(GENERIC.vocabulary)
    found.take(headers)
    return found


def generated() -> Iterator[tuple[str, str]]:
    yield from PAIRS


@pytest.mark.parametrize(
    "headers",
    [
        dict(PAIRS),
        MappingProxyType(dict(PAIRS)),
        CIMultiDict(PAIRS),
        CIMultiDictProxy(CIMultiDict(PAIRS)),
        PAIRS,
        tuple(PAIRS),
        [list(pair) for pair in PAIRS],
        generated(),
        [(name.encode(), value.encode()) for name, value in PAIRS],
        [*PAIRS, "odd", ("a", "b", "c"), (5, "x"), ([], "x"), None, ("x",)],
        {**dict(PAIRS), 5: "x", None: "y"},
    ],
)
def test_headers_come_in_many_forms(headers):
    """Mappings, multi-dicts, pairs, generators, bytes, and pairs among what is none."""
    found = collected(headers)
    assert list(found.rows) == ["tokens"]
    assert amount(found.rows["tokens"][0]) == (100.0, None, False)
    assert found.text(Field.REQUEST_ID) == "req_1"


def test_the_first_of_several_ids_holds():
    """By rank, not by order; blank ones are none; repeated ones are kept in order."""
    found = collected([("apim-request-id", "c"), ("request-id", "b"), ("x-request-id", ""), ("x-oai-request-id", "d")])
    assert found.text(Field.REQUEST_ID) == "b"
    found = collected([("x-request-id", " "), ("x-request-id", "two"), ("x-request-id", "three")])
    assert found.text(Field.REQUEST_ID) == "two"
    assert found.texts(Field.REQUEST_ID) == [" ", "two", "three"]
    assert collected({"x-request-id": " "}).text(Field.REQUEST_ID) is None
    assert collected({"x-request-id": object()}).text(Field.REQUEST_ID) is None
    assert collected({}).text(Field.REQUEST_ID) is None


def test_no_more_dimensions_than_a_vendor_has():
    """A hostile server cannot make the answer grow."""
    found = collected([(f"x-ratelimit-limit-d{n}", "1") for n in range(100)])
    assert len(found.rows) == MOST_DIMENSIONS
    found.add({"x-ratelimit-limit-other": "1", "retry-after": "5"})
    assert "other" not in found.rows
    assert found.text(Field.RETRY_AFTER) == "5"


def test_headers_inside_the_body_come_second():
    """They fill what the real ones leave open."""
    found = collected({"x-ratelimit-limit": "1", "retry-after": "1"})
    found.add({"X-RateLimit-Limit": 9, "x-ratelimit-remaining-tokens": 0, "retry-after": "9", "x-request-id": "r"})
    assert found.rows["requests"][0] == "1"
    assert amount(found.rows["tokens"][1]) == (0.0, None, False)
    assert (found.text(Field.RETRY_AFTER), found.text(Field.REQUEST_ID)) == ("1", "r")
    found.forget_waits()
    assert found.text(Field.RETRY_AFTER) is None


def test_headers_give_a_vendor_away():
    """Markers are noticed also where the header itself tells something."""
    marks = {"openai-processing-ms": "openai", "openai-version": "openai", "ratelimit": "ietf", "x-acme-": "acme"}
    found = Collected(Vocabulary(GENERIC, marks))
    found.take({"openai-processing-ms": "5", "ratelimit": "x", "X-Acme-Id": "1", "x-acme": "1", "openai-version": "1"})
    assert found.marks == ["openai", "ietf", "acme", "openai"]
    assert found.number(Field.PROCESSING_MS) == 5.0


def test_the_servers_now():
    """Its Date, moved by the age of a cached answer; else the clock we were told."""
    date = "Mon, 05 Aug 2019 09:27:00 GMT"
    assert collected({"date": date}).now_s(5.0) == 1_564_997_220.0
    assert collected({"date": date, "age": "60"}).now_s(5.0) == 1_564_997_280.0
    assert collected({"date": "today"}).now_s(5.0) == 5.0
    assert collected({}).now_s(None) is None


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("100", (100.0, None, False)),
        (" 100 ", (100.0, None, False)),
        ("99.5", (99.5, None, False)),
        (b"100", (100.0, None, False)),
        (100, (100.0, None, False)),
        (0.5, (0.5, None, False)),
        ("100;w=21600", (100.0, 21_600.0, False)),
        ("100, 100;w=60", (100.0, 60.0, False)),
        ('12, 12;w=1; burst=1000;policy="leaky bucket"', (12.0, 1.0, False)),
        ("12, 50;w=1", (12.0, None, False)),
        ("100, 10;window=1, 100;window=3600", (100.0, 3_600.0, False)),
        ("9999, 9999", (9_999.0, None, False)),
        (["9999", "9000"], (9_000.0, None, True)),
        (("5", b"6", ["7"]), (5.0, None, True)),
        ("5, x", (5.0, None, False)),
        ("-1", (None, None, False)),
        ("", (None, None, False)),
        ("unlimited", (None, None, False)),
        ("100;x=1", (100.0, None, False)),
        ("\u0661\u0662", (None, None, False)),
        ("9" * 5000, (None, None, False)),
        ("9" * 9000, (None, None, False)),
        (True, (None, None, False)),
        (-5, (None, None, False)),
        (float("nan"), (None, None, False)),
        (10**30, (None, None, False)),
        (object(), (None, None, False)),
        (None, (None, None, False)),
    ],
)
def test_amounts(raw, expected):
    """The first member of a list with windows; of repeated numbers the least; nothing from nonsense."""
    assert amount(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("120ms", (When(Form.DURATION, 0.12), False)),
        (["0s", "req_fcbf1d53"], (When(Form.DURATION, 0.0), False)),
        ("2ms, req_fcbf1d53", (When(Form.DURATION, 0.002), False)),
        ("1, 5", (When(Form.NUMBER, 5.0), True)),
        (["1771404540", "34"], (When(Form.NUMBER, 34.0), False)),
        (["34", "5s", "7s"], (When(Form.DURATION, 7.0), True)),
        (b"Mon, 05 Aug 2019 09:27:05 GMT", (When(Form.INSTANT, 1_564_997_225.0), False)),
        ("soon", (None, False)),
        (None, (None, False)),
    ],
)
def test_moments(raw, expected):
    """A duration before a number before an instant, the longest of a kind, foreign values passed over."""
    assert moment(raw, Unit.BY_SIZE) == expected


def test_spans_are_near():
    """A past instant is now; what is more than 31 days away either way is an error of a clock or a unit."""

    def now() -> float:
        return 1_000_000_000.0

    assert span_s(None, now) is None
    assert span_s(When(Form.DURATION, 5.0), now) == 5.0
    assert span_s(When(Form.NUMBER, MAX_SPAN_S + 1), now) is None
    assert span_s(When(Form.INSTANT, 1_000_000_005.0), now) == 5.0
    assert span_s(When(Form.INSTANT, 999_999_995.0), now) == 0.0
    assert span_s(When(Form.INSTANT, 1_000_000_000.0 + MAX_SPAN_S + 1), now) is None
    assert span_s(When(Form.INSTANT, 1_000_000_000.0 - MAX_SPAN_S - 1), now) is None
    assert span_s(When(Form.INSTANT, 1_000_000_005.0), lambda: None) is None


def test_texts_are_few_and_short():
    """A list of thousands, or a text longer than any header, is not followed to its end."""
    assert len(texts_of(["1"] * 1000)) == 16
    assert texts_of("x" * 10_000) == []
