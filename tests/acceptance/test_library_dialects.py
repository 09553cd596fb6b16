"""``dialects.read`` as the contract describes it: what it takes, what it gives, that it never raises."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from ratelimit_client import Reading, Reason
from ratelimit_client.dialects import Dialect, lookup, names, read

OPENAI = {
    "x-request-id": "req_1",
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-reset-requests": "120ms",
    "x-ratelimit-limit-tokens": "30000",
    "x-ratelimit-remaining-tokens": "29500",
    "x-ratelimit-reset-tokens": "1s",
}
NAMES = {
    *("auto", "openai", "azure", "anthropic", "groq", "mistral", "gemini", "openrouter", "github", "gitlab", "discord"),
    *("huggingface", "docker", "cohere", "together", "replicate", "cerebras", "fireworks", "xai", "ietf", "generic"),
}


def test_the_signature() -> None:
    """
    read(status, headers, body=None, *, dialect="auto", url=None, now_wall_s=None, sent_wall_s=None).
    """
    parameters = inspect.signature(read).parameters

    assert list(parameters) == ["status", "headers", "body", "dialect", "url", "now_wall_s", "sent_wall_s"]
    assert [each.default for each in parameters.values()][2:] == [None, "auto", None, None, None]
    assert [name for name, each in parameters.items() if each.kind is each.KEYWORD_ONLY] == list(parameters)[3:]


def test_readings_by_the_servers_own_names() -> None:
    """
    In lower case, floats or None; a window only where it follows from the numbers or the name.
    """
    signals = read(200, OPENAI)

    assert signals.readings == {
        "requests": Reading(limit=500, remaining=499, reset_s=0.12, window_s=60),
        "tokens": Reading(limit=30_000, remaining=29_500, reset_s=1, window_s=60),
    }
    assert all(type(value) is float for value in (signals.readings["tokens"].limit, signals.readings["tokens"].reset_s))
    assert (signals.reason, signals.retryable, signals.retry_after_s) == (Reason.OK, None, None)
    assert (signals.request_id, signals.unit) == ("req_1", None)
    # One unit less of a full bucket, and no reset: nothing determines the window.
    bare = read(200, {"x-ratelimit-limit-requests": "500", "x-ratelimit-remaining-requests": "499"})
    assert bare.readings["requests"] == Reading(limit=500, remaining=499, reset_s=None, window_s=None)


@pytest.mark.parametrize(
    ("headers", "names"),
    [
        ({"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "59"}, ["requests"]),
        ({"ratelimit-limit-requests": "60", "ratelimit-remaining-requests": "59"}, ["requests"]),
        ({"x-ratelimit-limit-project-tokens": "9", "x-ratelimit-remaining-project-tokens": "8"}, ["project-tokens"]),
        ({"x-ratelimit-limit-input-tokens": "9", "x-ratelimit-remaining-input-tokens": "8"}, ["input-tokens"]),
        ({"x-ratelimit-limit-tokens-minute": "9", "x-ratelimit-remaining-tokens-minute": "8"}, ["tokens-minute"]),
        ({"RateLimit-Policy": '"Burst";q=100;w=60', "RateLimit": '"Burst";r=50;t=30'}, ["Burst"]),
    ],
)
def test_dimensions_are_an_open_set(headers: dict[str, str], names: list[str]) -> None:
    """
    requests when it has no name; whatever follows the prefix; an IETF policy's name as written.
    """
    assert list(read(200, headers).readings) == names


def test_names_that_tell_the_window() -> None:
    """
    tokens-minute is a minute, and an IETF policy says its own.
    """
    minute = read(200, {"x-ratelimit-limit-tokens-minute": "9", "x-ratelimit-remaining-tokens-minute": "8"})
    policy = read(200, {"RateLimit-Policy": '"d";q=1000;w=86400', "RateLimit": '"d";r=998;t=70000'})

    assert minute.readings["tokens-minute"].window_s == 60
    assert policy.readings["d"] == Reading(limit=1000, remaining=998, reset_s=70_000, window_s=86_400)


@pytest.mark.parametrize(
    "headers",
    [
        OPENAI,
        {name.title(): value for name, value in OPENAI.items()},
        {name.encode(): value.encode() for name, value in OPENAI.items()},
        list(OPENAI.items()),
        iter(OPENAI.items()),
        tuple((name.upper(), value) for name, value in OPENAI.items()),
        CIMultiDict(OPENAI),
        CIMultiDict([*OPENAI.items(), ("set-cookie", "a"), ("set-cookie", "b")]),
    ],
    ids=["dict", "title", "bytes", "list", "iterator", "tuple", "multidict", "repeated"],
)
def test_headers_in_any_form(headers: Any) -> None:
    """
    Any mapping, multi-dicts included, or an iterable of pairs, however the names are written.
    """
    assert read(200, headers).readings["tokens"].remaining == 29_500


@pytest.mark.parametrize("form", ["bytes", "text", "parsed"])
def test_a_body_in_any_form(form: str) -> None:
    """
    bytes, text, parsed JSON or None: the refusal's own words count.
    """
    message = "Rate limit reached on tokens per min (TPM): Limit 30000, Used 29937, Requested 385. Try again in 644ms."
    parsed = {"error": {"message": message, "type": "tokens", "code": "rate_limit_exceeded"}}
    text = json.dumps(parsed)
    body: Any = {"bytes": text.encode(), "text": text, "parsed": parsed}[form]

    signals = read(429, {}, body)
    assert (signals.reason, signals.retryable, signals.unit) == (Reason.RATE_LIMITED, True, "tokens")
    assert signals.retry_after_s == pytest.approx(0.644, abs=0.001)
    assert (signals.limit, signals.used, signals.requested) == (30_000, 29_937, 385)


def test_the_least_wait_comes_from_the_best_source() -> None:
    """
    milliseconds, seconds, a date against the answer's own date, the text, else computed from the empty dimension:
    one unit's time where the bucket is known to refill evenly, its reset where it is not.
    """
    date = {"date": "Thu, 01 Jan 2026 00:00:00 GMT", "retry-after": "Thu, 01 Jan 2026 00:00:30 GMT"}
    empty = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "60s",
    }
    for headers, body, expected in (
        ({"retry-after-ms": "1500", "retry-after": "1"}, None, 1.5),
        ({"retry-after": "7"}, None, 7),
        (date, None, 30),
        ({}, "Please try again in 1m30s.", 90),
        ({**empty, "openai-version": "2020-10-01"}, None, 1),
        (empty, None, 60),
        ({}, None, None),
        ({"retry-after": "0"}, None, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:30 GMT", "date": date["date"]}, None, None),
    ):
        found = read(429, headers, {"error": {"message": body}} if body else None).retry_after_s
        assert (found or None) == (None if expected is None else pytest.approx(expected, abs=0.01)), headers

    assert read(200, {"retry-after": "7"}).retry_after_s is None


def test_a_past_instant_is_zero() -> None:
    """
    A reset that has passed says "now", whatever clock it is measured by.
    """
    headers = {"x-ratelimit-limit": "60", "x-ratelimit-remaining": "5", "x-ratelimit-reset": "1767225600"}

    assert read(200, headers, now_wall_s=1_767_225_700).readings["requests"].reset_s == 0
    assert read(200, headers, now_wall_s=1_767_225_590).readings["requests"].reset_s == 10
    assert read(200, {**headers, "date": "Thu, 01 Jan 2026 00:00:00 GMT"}).readings["requests"].reset_s == 0


@pytest.mark.parametrize(
    ("status", "code", "reason", "retryable"),
    [
        (200, None, "ok", None),
        (429, "rate_limit_exceeded", "rate_limited", True),
        (429, "slow_down", "overloaded", True),
        (503, None, "overloaded", True),
        (529, None, "overloaded", True),
        (429, "insufficient_quota", "quota_exhausted", False),
        (413, None, "too_large", False),
        (400, "context_length_exceeded", "too_large", False),
        (404, "model_not_found", "model_not_found", False),
        (401, "invalid_api_key", "auth", False),
        (400, "invalid_value", "client_error", False),
        (500, None, "server_error", True),
        (502, None, "server_error", True),
    ],
)
def test_what_an_answer_means(status: int, code: str | None, reason: str, retryable: bool | None) -> None:
    """
    The nine reasons, each with whether the same call may be sent again.
    """
    signals = read(status, {}, None if code is None else {"error": {"code": code, "message": "words"}})

    assert (str(signals.reason), signals.retryable) == (reason, retryable)


def test_should_retry_beats_and_is_beaten() -> None:
    """
    false beats everything; quota, too large and auth beat true; a long hint changes nothing about the meaning.
    """
    yes, no = {"x-should-retry": "true"}, {"x-should-retry": "false"}

    assert read(429, no).retryable is False
    assert read(500, no).retryable is False
    assert read(400, yes).retryable is True
    assert read(429, yes, {"error": {"code": "insufficient_quota"}}).retryable is False
    assert read(413, yes).retryable is False
    assert read(401, yes).retryable is False
    assert read(429, {"retry-after": "86400"}).retryable is True


def test_the_names_of_dialects() -> None:
    """
    Every documented name is taken, an unknown one is a LookupError, a table of one's own may stand in its place.
    """
    assert set(names()) == NAMES
    for name in sorted(NAMES - {"auto"}):
        assert read(429, {"retry-after": "3"}, dialect=name).retry_after_s == 3
        assert lookup(name).name == name
    with pytest.raises(LookupError):
        read(200, {}, dialect="opneai")
    mine = Dialect(name="mine")
    assert read(429, {"retry-after": "3"}, dialect=mine).reason == "rate_limited"


ODD = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        ["nan", "inf", "1e400", "-5", "1_000", "١٢", "", "0", "9" * 5000, "1,2", '"a";r=1', "Thu, 99 Foo 10000", "\x00"]
    ),
)
HEADER = st.one_of(
    st.sampled_from([*OPENAI, "retry-after", "retry-after-ms", "date", "age", "ratelimit", "ratelimit-policy"]),
    st.text(max_size=30),
)
FIELD = st.sampled_from(["error", "message", "code", "type", "details", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(FIELD, each, max_size=3),
)


@given(
    status=st.integers(0, 1000),
    headers=st.dictionaries(HEADER, ODD, max_size=8) | st.lists(st.tuples(HEADER, ODD), max_size=8),
    body=st.none() | st.binary(max_size=200) | st.text(max_size=200) | JSON,
    dialect=st.sampled_from(sorted(NAMES)),
    now=st.none() | st.floats(0, 1e12),
)
def test_nothing_a_server_sends_makes_it_raise(status: int, headers: Any, body: Any, dialect: str, now: Any) -> None:
    """
    Whatever comes, Signals with finite numbers come out: no NaN, no infinity, nothing negative.
    """
    signals = read(status, headers, body, dialect=dialect, now_wall_s=now)

    assert signals.status == status
    numbers = [signals.retry_after_s]
    for reading in signals.readings.values():
        numbers += [reading.limit, reading.remaining, reading.reset_s, reading.window_s]
    assert all(number is None or 0 <= number <= 1e18 for number in numbers)
    assert all((reading.reset_s or 0) <= 31 * 86_400 for reading in signals.readings.values())
    assert all((reading.window_s or 0) <= 31 * 86_400 for reading in signals.readings.values())
