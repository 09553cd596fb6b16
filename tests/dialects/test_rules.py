"""
The rules of reading, one test each, from an answer to what a client may conclude.

They are those of the thirty that a reader can keep or break; what a scheduler makes
of a reading is tested where the scheduler is.
"""

from __future__ import annotations

import pytest

from ratelimit_client.core.signals import Reading, Reason
from ratelimit_client.dialects import lookup, read

FULL = {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-reset-requests": "120ms",
}
SHOWN = {"requests": Reading(500, 499, 0.12, 60)}


@pytest.mark.parametrize("prefix", ["x-ratelimit-", "ratelimit-", "x-rate-limit-", "X-RateLimit-", "RATELIMIT-"])
def test_all_spellings_are_one_thing(prefix):
    """With and without x-, with one more hyphen, in any case, mixed in one answer."""
    names = [name.replace("x-ratelimit-", prefix) for name in FULL]
    assert read(200, dict(zip(names, FULL.values(), strict=True))).readings == SHOWN
    mixed = dict(zip([names[0], *list(FULL)[1:]], FULL.values(), strict=True))
    assert read(200, mixed).readings == SHOWN


def test_dimensions_are_an_open_set():
    """A dimension nobody has heard of is read like the others, and no cost is charged there unasked."""
    headers = {name.replace("requests", "video-frames"): value for name, value in FULL.items()}
    assert read(200, headers, dialect="openai").readings == {"video-frames": SHOWN["requests"]}
    assert "video-frames" not in lookup("openai").profile.pays


def test_reset_is_reported_as_time_to_full():
    """A reader does not turn it into a wait: on a success there is none."""
    assert read(200, {**FULL, "x-ratelimit-remaining-requests": "0"}).retry_after_s is None


@pytest.mark.parametrize(("reset", "window_s"), [("120ms", 60), ("2m52.8s", 86_400), ("1h26m24s", 2_592_000)])
def test_the_window_is_inferred(reset, window_s):
    """One header name, three windows."""
    assert read(200, {**FULL, "x-ratelimit-reset-requests": reset}).readings["requests"].window_s == window_s


def test_zero_does_not_mean_full():
    """0s says less than a millisecond: the level stays what remaining says, the window unknown."""
    headers = {**FULL, "x-ratelimit-limit-requests": "30000", "x-ratelimit-remaining-requests": "29999"}
    reading = read(200, {**headers, "x-ratelimit-reset-requests": "0s"}).readings["requests"]
    assert reading == Reading(30_000, 29_999, 0, None)


def test_a_reset_may_exceed_its_window():
    """An overdrawn bucket: nothing remains, and the window is still found."""
    headers = dict(zip(FULL, ["30000000", "0", "1m0.052s"], strict=True))
    assert read(429, headers).readings["requests"] == Reading(30_000_000, 0, 60.052, 60)


def test_absent_headers_are_no_news():
    """No reading, rather than a reading of nothing."""
    assert read(200, {"x-request-id": "r"}).readings == {}


@pytest.mark.parametrize(
    ("limit", "remaining", "expected"),
    [
        ("-1", "5", Reading(None, 5, 0.12, None)),
        ("", "5", Reading(None, 5, 0.12, None)),
        ("many", "5", Reading(None, 5, 0.12, None)),
        ("0", "5", Reading(None, 5, 0.12, None)),
        ("500", "900", Reading(500, 500, 0.12, None)),
        ("-1", "-1", None),
        ("0", "0", None),
    ],
)
def test_what_cannot_be_is_dropped_or_clamped(limit, remaining, expected):
    """Field by field, without an exception and without a bucket that never fills."""
    headers = dict(zip(FULL, [limit, remaining, "120ms"], strict=True))
    assert read(200, headers).readings.get("requests") == expected


def test_retry_after_on_a_success_is_no_signal():
    """A poll interval, or a leftover."""
    assert read(200, {"retry-after": "10"}).retry_after_s is None


def test_hints_in_their_order():
    """Finer before coarser, headers before the body, the body before what is computed; the larger when they differ."""
    body = {"error": {"message": "Please try again in 700ms.", "code": "rate_limit_exceeded"}}
    empty = {**FULL, "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m0s"}
    assert read(429, {"retry-after-ms": "900", "retry-after": "1", **empty}, body).retry_after_s == 0.9
    assert read(429, {"retry-after": "3", **empty}, body).retry_after_s == 3.0
    assert read(429, empty, body).retry_after_s == 0.7
    assert read(429, empty, dialect="openai").retry_after_s == pytest.approx(0.12)
    assert read(429, {}).retry_after_s is None


@pytest.mark.parametrize("hint", ["0", "0.0", "-3", "Mon, 05 Aug 2019 09:26:00 GMT"])
def test_a_hint_of_nothing_is_no_hint(hint):
    """Zero, less, and a date in the past leave the wait to backoff."""
    signals = read(429, {"retry-after": hint, "date": "Mon, 05 Aug 2019 09:27:00 GMT"})
    assert (signals.retryable, signals.retry_after_s) == (True, None)


@pytest.mark.parametrize("seconds", [86_400, 198_300, 411_480])
def test_a_long_hint_is_reported(seconds):
    """It may be retried, by the answer; whether the caller waits that long is the caller's policy."""
    signals = read(429, {"retry-after": str(seconds)})
    assert (signals.retryable, signals.retry_after_s) == (True, float(seconds))


def test_the_server_has_the_last_word_on_retrying():
    """false always; true except for billing, size and permission."""
    assert read(500, {"x-should-retry": "false"}).retryable is False
    assert read(429, {"x-should-retry": "false", "retry-after": "1"}).retryable is False
    assert read(400, {"x-should-retry": "true"}).retryable is True
    assert read(401, {"x-should-retry": "true"}).retryable is False
    quota = {"error": {"type": "insufficient_quota", "code": "insufficient_quota"}}
    assert read(429, {"x-should-retry": "true", "retry-after": "5"}, quota).retryable is False
    large = {"error": {"type": "tokens", "message": "Limit 5, Requested 9", "code": "rate_limit_exceeded"}}
    assert read(429, {"x-should-retry": "true"}, large).retryable is False


@pytest.mark.parametrize(
    "code",
    [
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "usage_limit_reached",
        "enforced_spend_limit_reached",
    ],
)
def test_billing_is_never_retried(code):
    """Seven codes, wherever they stand, and any code under the type of billing."""
    for error in ({"code": code}, {"type": code}, {"type": "rate_limit_error", "details": {"error_code": code}}):
        signals = read(429, {"retry-after": "5"}, {"error": error})
        assert (signals.reason, signals.retryable) == (Reason.QUOTA_EXHAUSTED, False)
    unknown = read(429, {}, {"error": {"type": "insufficient_quota", "code": "brand_new"}})
    assert unknown.reason is Reason.QUOTA_EXHAUSTED


def test_errors_come_with_status_200():
    """Parsed, as text, or as the event stream that they ended."""
    flat = {"type": "error", "code": "rate_limit_exceeded", "message": "Please try again in 44ms."}
    nested = {"type": "error", "error": {k: v for k, v in flat.items() if k != "type"}}
    for event in (flat, nested):
        signals = read(200, {}, event)
        assert (signals.reason, signals.retryable, signals.retry_after_s) == (Reason.RATE_LIMITED, True, 0.044)


def test_the_servers_own_estimate_of_a_call():
    """Requested N is what it charges for this very call."""
    assert read(429, {}, "Limit 30000, Used 29937, Requested 385. Please try again in 644ms.").requested == 385


def test_absolute_resets_count_from_the_answers_own_date():
    """A skewed local clock changes nothing."""
    headers = {"date": "Thu, 12 Dec 2024 14:42:38 GMT", "x-ratelimit-limit": "5000", "x-ratelimit-reset": "1734015073"}
    for now_s in (None, 0.0, 4e9):
        assert read(200, headers, now_wall_s=now_s).readings["requests"].reset_s == 515.0


@pytest.mark.parametrize(
    ("value", "reset_s"),
    [
        ("125.82", 125.82),
        ("17ms", 0.017),
        ("1734015073", 515.0),
        ("1734015073000", 515.0),
        ("1734015073000000", 515.0),
        ("1734015073000000000", None),  # 19 digits: longer than any number is read
        ("2024-12-12T14:51:13Z", 515.0),
        ("Thu, 12 Dec 2024 14:51:13 GMT", 515.0),
        ("1734015073 s", None),
        ("-5", None),
        ("3000000", None),  # 34 days
        ("1834015073", None),  # years away
    ],
)
def test_the_unit_of_a_reset(value, reset_s):
    """By its letters, its dashes, its weekday, its size; within 31 days; else nothing."""
    headers = {"date": "Thu, 12 Dec 2024 14:42:38 GMT", "x-ratelimit-limit": "5000", "x-ratelimit-reset": value}
    assert read(200, headers).readings["requests"].reset_s == reset_s


@pytest.mark.parametrize(
    "body",
    [
        "<html>1015</html>",
        "slow down",
        "",
        b"\xff\xfe",
        "[]",
        "[[]]",
        '{"error": "{\\"a\\": 1}"}',
        '{"error',
        "x" * 10**6,
        7,
    ],
)
def test_a_body_never_hides_the_status(body):
    """HTML, text, nothing, lists, JSON in JSON, broken, huge."""
    signals = read(429, {"retry-after": "5"}, body)
    assert (signals.reason, signals.retryable, signals.retry_after_s) == (Reason.RATE_LIMITED, True, 5.0)


def test_unknown_things_mean_nothing():
    """Fields, codes, headers and their order; an id is any text."""
    body = {"new": [1], "error": {"novel": {}, "code": "never_seen", "message": "m", "type": "other"}}
    signals = read(429, {"x-novel": "1", "X-Request-Id": "id/" + "z" * 300}, body)
    assert signals.reason is Reason.RATE_LIMITED
    assert signals.request_id == "id/" + "z" * 300


@pytest.mark.parametrize(
    "name", ["x-request-id", "Request-Id", "apim-request-id", "x-oai-request-id", "x-amzn-RequestId"]
)
def test_request_ids_are_kept(name):
    """Under every name, on successes and errors, and from the body where no header has one."""
    assert read(200, {name: "r"}).request_id == "r"
    assert read(500, {name: "r"}, {"request_id": "b"}).request_id == "r"
    assert read(500, {}, {"error": {"message": "x"}, "request_id": "b"}).request_id == "b"


@pytest.mark.parametrize(
    ("code", "kind", "reason", "retryable"),
    [
        ("rate_limit_exceeded", "tokens", Reason.RATE_LIMITED, True),
        ("slow_down", "rate_limit_error", Reason.OVERLOADED, True),
        (None, "server_error", Reason.OVERLOADED, True),
        ("insufficient_quota", "insufficient_quota", Reason.QUOTA_EXHAUSTED, False),
    ],
)
def test_a_429_is_three_different_things(code, kind, reason, retryable):
    """A rate, an overload, or an account that is used up."""
    signals = read(429, {}, {"error": {"message": "x", "type": kind, "code": code}}, dialect="openai")
    assert (signals.reason, signals.retryable) == (reason, retryable)


def test_type_and_code_do_not_make_it_retryable():
    """A call that is larger than the limit has the same two; its numbers tell."""
    error = {"type": "tokens", "code": "rate_limit_exceeded", "message": "Request too large: Limit 5, Requested 9."}
    assert read(429, {}, {"error": error}).reason is Reason.TOO_LARGE
    assert read(429, {}, {"error": error}).retryable is False


def test_a_403_is_a_rate_limit_at_one_vendor():
    """And a matter of permission elsewhere."""
    assert read(403, {"retry-after": "60"}, dialect="github").reason is Reason.RATE_LIMITED
    assert read(403, {"retry-after": "60"}, dialect="openai").reason is Reason.AUTH


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "x"}}},
        {"type": "error", "error": {"type": "tokens", "code": "rate_limit_exceeded"}},
        {"error": {"type": "tokens", "code": "rate_limit_exceeded"}},
        {
            "type": "response.done",
            "response": {"status": "failed", "status_details": {"error": {"code": "rate_limit_exceeded"}}},
        },
        {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "x"}},
    ],
)
def test_every_form_of_an_error_under_a_success(event):
    """Of a stream, of a socket and of a job in the background."""
    assert read(200, {}, event).reason is Reason.RATE_LIMITED


def test_a_limit_may_be_shared():
    """A refusal names the group of models it holds for."""
    text = "Request too large for gpt-4.1-2025-04-14 (for limit gpt-4.1) on tokens per min (TPM): Limit 5, Requested 9."
    assert read(429, {}, text).limit_group == "gpt-4.1"


def test_the_state_of_a_client_does_not_grow_with_names():
    """Thirty-two dimensions of one answer are kept."""
    headers = {f"x-ratelimit-limit-d{n}": "5" for n in range(100)}
    assert len(read(200, headers).readings) == 32


def test_a_duration_beats_a_number_and_a_number_an_instant():
    """Where one answer says it in several ways."""
    headers = {"date": "Thu, 12 Dec 2024 14:42:38 GMT", "x-ratelimit-limit": "5"}
    reset = {"x-ratelimit-reset": "1734015073", "ratelimit-reset": "34", "x-rate-limit-reset": "7s"}
    for names, reset_s in ((list(reset), 7.0), (list(reset)[:2], 34.0), (list(reset)[:1], 515.0)):
        assert read(200, {**headers, **{name: reset[name] for name in names}}).readings["requests"].reset_s == reset_s
    after = {"x-ratelimit-reset-after": "1.5"}
    assert read(200, {**headers, **reset, **after}).readings["requests"].reset_s == 1.5
