"""An answer in, signals out."""

from __future__ import annotations

from typing import Any

import pytest

from ratelimit_client.core.profile import Refill, ServerProfile
from ratelimit_client.core.signals import Reason, Signals
from ratelimit_client.dialects import Dialect, read

DATE = "Mon, 05 Aug 2019 09:27:00 GMT"
LATER = "Mon, 05 Aug 2019 09:27:05 GMT"
EARLIER = "Mon, 05 Aug 2019 09:26:00 GMT"
AT_S = 1_564_997_220.0


def hint(headers: dict[str, Any], body: Any = None, status: int = 429, **others: Any) -> float | None:
    return read(status, headers, body, **others).retry_after_s


@pytest.mark.parametrize(
    ("headers", "body", "hint_s"),
    [
        ({"retry-after": "20"}, None, 20.0),
        ({"retry-after": "20.5"}, None, 20.5),
        ({"retry-after": "1m30s"}, None, 90.0),
        ({"retry-after": LATER, "date": DATE}, None, 5.0),
        ({"retry-after": EARLIER, "date": DATE}, None, None),
        ({"retry-after": LATER}, None, None),
        ({"retry-after": str(int(AT_S) + 7), "date": DATE}, None, 7.0),
        ({"retry-after-ms": "494", "retry-after": "1"}, None, 0.494),
        ({"retry-after-ms": "494"}, None, 0.494),
        ({"x-ms-retry-after-ms": "494"}, None, 0.494),
        ({"retry-after-ms": "0", "retry-after": "1"}, None, 1.0),
        ({"retry-after-ms": "9000", "retry-after": "1"}, None, 9.0),
        ({"retry-after-ms": "500", "retry-after": "20"}, None, 20.0),
        ({"retry-after": "0"}, None, None),
        ({"retry-after": "0.0"}, None, None),
        ({"retry-after": "-5"}, None, None),
        ({"retry-after": "1, 5"}, None, 5.0),
        ({"retry-after": ["1", "5"]}, None, 5.0),
        ({"retry-after": "86400"}, None, 86_400.0),
        ({"retry-after": "99999999"}, None, 2_678_400.0),
        ({"retry-after": "Mon, 05 Aug 2029 09:27:05 GMT", "date": DATE}, None, 2_678_400.0),
        *[
            ({"retry-after": x}, None, None)
            for x in ("nan", "inf", "1e400", "x", "1_000", "\u0661\u0662", "", "9" * 400)
        ],
        ({}, "Please try again in 2.512s.", 2.512),
        ({}, "Please try again in 9999999h.", 2_678_400.0),
        ({"retry-after": "1"}, "Please try again in 644ms.", 1.0),
        ({"retry-after": "1337"}, {"message": "x", "retry_after": 1336.57}, 1_337.0),
        ({}, {"error": {"resets_in_seconds": 9568, "code": "x"}}, 9_568.0),
        ({"date": DATE}, {"error": {"resets_at": AT_S + 60, "code": "x"}}, 60.0),
        ({}, {"error": {"message": "Please retry in 48.9s.", "details": [{"retryDelay": "48s"}]}}, 48.9),
        ({"date": DATE}, "usage limit reached, resets at 2019-08-05T09:28:00Z", 60.0),
        ({"date": DATE}, "usage limit reached, resets at 2019-08-05T09:26:00Z", None),
        ({}, "usage limit reached, resets at 2019-08-05T09:28:00Z", None),
        ({"date": DATE}, "limit reached|1564997250", 30.0),
        ({"x-rate-limit-retry-after-seconds": "9"}, None, 9.0),
        ({"x-ratelimit-retry-after": "9", "retry-after": "5"}, None, 5.0),
        ({}, None, None),
    ],
)
def test_how_long_to_wait(headers, body, hint_s):
    """Milliseconds, seconds, dates, fields and sentences; the longest of those above zero; within 31 days."""
    assert hint(headers, body) == hint_s


def test_a_success_asks_nobody_to_wait():
    """On a 200 retry-after is a polling interval, or a leftover."""
    assert hint({"retry-after": "41"}, status=200) is None
    body = {"error": {"code": "rate_limit_exceeded", "message": "Please try again in 2s."}}
    signals = read(200, {"retry-after": "41"}, body)
    assert (signals.reason, signals.retry_after_s) == (Reason.RATE_LIMITED, 2.0)


def test_headers_inside_an_event_count():
    """An error event may carry the headers that its status line could not."""
    event = {"type": "error", "status_code": 429, "error": {"code": "x"}, "headers": {"Retry-After": "7"}}
    signals = read(200, {"retry-after": "41"}, event)
    assert (signals.retry_after_s, signals.retryable) == (7.0, True)


def test_a_clock_of_our_own_stands_in_for_the_date():
    """The time of receipt, else the time of sending; the answer's own Date beats both."""
    assert hint({"retry-after": LATER}, now_wall_s=AT_S) == 5.0
    assert hint({"retry-after": LATER}, now_wall_s=AT_S, sent_wall_s=AT_S - 3) == 5.0
    assert hint({"retry-after": LATER}, sent_wall_s=AT_S - 3) == 8.0
    assert hint({"retry-after": LATER, "date": DATE}, now_wall_s=0.0) == 5.0


def limits(**dimensions: tuple[Any, Any, Any]) -> dict[str, str]:
    headers = {}
    for name, values in dimensions.items():
        for field, value in zip(("limit", "remaining", "reset"), values, strict=True):
            if value is not None:
                headers[f"x-ratelimit-{field}-{name}"] = str(value)
    return headers


@pytest.mark.parametrize(
    ("headers", "dialect", "hint_s"),
    [
        (limits(requests=(3, 0, "1m0s")), "openai", 20.0),  # until one is there, not until all are
        (limits(tokens=(30_000_000, 0, "1m0.052s")), "openai", 0.052002),
        (limits(requests=(3, 0, "1m0s")), "generic", 60.0),
        (limits(requests=(3, 0, None)), "openai", None),
        (limits(requests=(3, 0, "7s"), tokens=(5, 0, "9s")), "generic", 9.0),
        (limits(requests=(3, 0, "7s"), tokens=(5, 1, "9s")), "generic", 7.0),
        (limits(requests=(3, 1, "7s")), "generic", None),
        (limits(tokens=(None, None, 55)), "generic", 55.0),
        ({**limits(tokens=(None, None, 55), requests=(None, None, 9)), "policy-id": "Limit-Token"}, "generic", 55.0),
        (limits(tokens=(None, None, 55), requests=(None, None, 9)), "generic", None),
        (limits(requests=(3, 0, "0s")), "generic", None),
    ],
)
def test_a_wait_computed_from_what_is_empty(headers, dialect, hint_s):
    """Where nobody says how long: until every empty dimension holds one again."""
    assert hint(headers, dialect=dialect) == pytest.approx(hint_s, abs=1e-6)


def test_a_continuous_bucket_of_known_window_needs_no_reset():
    """Its rate alone tells when the next one is there."""
    table = Dialect(name="x", windows={"requests": 60.0}, profile=ServerProfile(refill=Refill.CONTINUOUS))
    assert hint(limits(requests=(3, 0, None)), dialect=table) == 20.0


def test_only_a_refusal_is_computed():
    """A server error beside an empty dimension says nothing about when to come back."""
    assert hint(limits(requests=(3, 0, "7s")), status=502) is None


@pytest.mark.parametrize(
    ("headers", "body", "unit"),
    [
        ({"x-ratelimit-type": "Tokens"}, None, "tokens"),
        ({"x-ratelimit-type": "words", **limits(words=(5, 5, None))}, None, "words"),
        ({"policy-id": "DeploymentRatelimit-Call"}, None, "requests"),
        ({"policy-id": "else"}, None, None),
        ({}, "on input tokens per min: Limit 5", "input-tokens"),
        ({}, {"error": {"type": "images", "code": "rate_limit_exceeded"}}, "images"),
        ({}, {"error": {"type": "project-tokens"}}, "project-tokens"),
        (limits(words=(5, 5, None)), {"error": {"type": "words"}}, "words"),
        ({}, {"error": {"type": "rate_limit_error"}}, None),
        ({}, {"message": "x", "violated-policies": ["burst"]}, "burst"),
        (limits(words=(5, 0, None)), {"error": {"code": "x"}}, "words"),
        (limits(words=(5, 0, None), tokens=(5, 0, None)), None, None),
    ],
)
def test_which_dimension_refused(headers, body, unit):
    """Named by a header, by the sentence, by the type, by a policy, or as the only empty one."""
    assert read(429, headers, body).unit == unit


@pytest.mark.parametrize(
    ("said", "should_retry"),
    [
        ("true", True),
        ("FALSE", False),
        ("yes", None),
        (["true", "false"], False),
        ("true, false", False),
        (" true ", True),
    ],
)
def test_the_server_may_say_whether_to_retry(said, should_retry):
    """A plain word counts; of a contradiction the careful half does."""
    signals = read(500, {"x-should-retry": said})
    assert signals.should_retry is should_retry
    assert signals.retryable is (should_retry is not False)


def test_everything_an_answer_says():
    """One refusal, every field."""
    headers = {
        **limits(requests=(10_000, 9_999, "6ms"), tokens=(30_000_000, 0, "1m0.052s")),
        "retry-after": "1",
        "retry-after-ms": "494",
        "x-should-retry": "true",
        "openai-processing-ms": "26",
        "openai-organization": "org-x",
        "openai-project": "proj_x",
        "openai-version": "2020-10-01",
    }
    message = (
        "Rate limit reached for gpt-4.1-mini in organization org-x on tokens per min (TPM): Limit 30000000, "
        "Used 30000000, Requested 247000. Please try again in 494ms."
    )
    body = {"error": {"message": message, "type": "tokens", "code": "rate_limit_exceeded"}, "request_id": "req_1"}
    signals = read(429, headers, body)
    assert signals == Signals(
        status=429,
        reason=Reason.RATE_LIMITED,
        retryable=True,
        retry_after_s=0.494,
        readings=signals.readings,
        unit="tokens",
        limit=30_000_000,
        used=30_000_000,
        requested=247_000,
        window_s=60,
        limit_group="gpt-4.1-mini",
        should_retry=True,
        processing_s=0.026,
        request_id="req_1",
        organization="org-x",
        project="proj_x",
        version="2020-10-01",
        error_type="tokens",
        error_code="rate_limit_exceeded",
        message=message,
    )
    assert signals.readings["tokens"].window_s == 60


def test_a_limit_of_zero_is_no_limit():
    """Numbers of a sentence are kept only where they can be a limit; nothing fits into none."""
    signals = read(429, {}, "Limit 0, Used 0, Requested 5")
    assert (signals.reason, signals.limit, signals.requested) == (Reason.TOO_LARGE, None, 5.0)


def test_other_errors_carry_no_numbers():
    """What a sentence says of limits counts only in a refusal."""
    signals = read(400, {}, {"error": {"message": "on tokens per min: Limit 5, Used 5", "code": "x"}})
    assert (signals.reason, signals.limit, signals.unit) == (Reason.CLIENT_ERROR, None, None)


def test_processing_time():
    """The vendor's own figure, else the proxy's; a fraction is fine, nonsense is none."""
    assert read(200, {"openai-processing-ms": "3482.8264"}).processing_s == 3.4828264
    assert read(200, {"x-envoy-upstream-service-time": "9", "openai-processing-ms": "8"}).processing_s == 0.008
    assert read(200, {"x-envoy-upstream-service-time": "9"}).processing_s == 0.009
    assert read(500, {"openai-processing-ms": "-1"}).processing_s is None
