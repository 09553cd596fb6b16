"""Odd things that servers have been seen to send, and the right reaction to each."""

from __future__ import annotations

import json

import pytest

from ratelimit_client.core.signals import Reading, Reason
from ratelimit_client.dialects import detect, lookup, read

NAMES = ("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens")


def shown(limit: object, remaining: object, reset: object) -> Reading | None:
    headers = dict(zip(NAMES, [limit, remaining, reset], strict=True))
    return read(200, headers, dialect="openai").readings.get("tokens")


def refused(message: str, **fields: object) -> tuple[Reason, bool | None, float | None]:
    signals = read(429, {}, {"error": {"message": message, "type": "tokens", "code": "rate_limit_exceeded", **fields}})
    return signals.reason, signals.retryable, signals.retry_after_s


def test_minus_one_is_unknown():
    """-1, -1, 0: neither empty nor full (seen at Azure, openai-dotnet#838)."""
    assert shown("-1", "-1", "0") is None


def test_more_left_than_the_limit():
    """419 of 200, and a bare float of seconds (2023)."""
    assert shown("200", "419", "125.82") == Reading(200, 200, 125.82, None)


def test_zero_seconds_while_used():
    """Seen in a third of all answers: less than a millisecond from full."""
    assert shown("50000000", "49999989", "0s") == Reading(50_000_000, 49_999_989, 0, None)


def test_a_reset_beyond_the_window():
    """60.052 s of a minute: an overdraft."""
    assert shown("30000000", "0", "1m0.052s") == Reading(30_000_000, 0, 60.052, 60)


def test_a_wait_of_five_days_labelled_per_minute():
    """The number is believed, the label is not; the time is reported, not slept (openai-dotnet#404)."""
    text = "on tokens per min (TPM): Limit 100000, Used 96749, Requested 19126. Please try again in 114h18m0s."
    signals = read(429, {}, text)
    assert (signals.retryable, signals.retry_after_s, signals.window_s) == (True, 411_480.0, 2_592_000.0)


def test_zero_milliseconds_beside_one_second():
    """The longer one holds."""
    assert read(429, {"retry-after": "1", "retry-after-ms": "0"}).retry_after_s == 1.0


def test_half_a_second_rounded_up():
    """The finer one holds where the coarser is just its rounding."""
    assert read(429, {"retry-after": "1", "retry-after-ms": "494"}).retry_after_s == 0.494


def test_another_hyphen():
    """x-rate-limit-reset-tokens alone, with the dimension in policy-id (openai-python#937)."""
    signals = read(429, {"x-rate-limit-reset-tokens": "55", "policy-id": "DeploymentRatelimit-Token"})
    assert (signals.unit, signals.retry_after_s) == ("tokens", 55.0)


def test_a_page_instead_of_json():
    """A CDN's own refusal: a rate limit, without a hint."""
    signals = read(
        429, {"content-type": "text/html"}, "<!DOCTYPE html><title>Error 1015</title><p>You are rate limited"
    )
    assert (signals.reason, signals.retry_after_s, signals.message) == (Reason.RATE_LIMITED, None, "Error 1015")


def test_a_server_error_under_429():
    """An overload: no bucket was empty (openai-python#213)."""
    error = {"message": "The server had an error while processing your request", "type": "server_error", "code": None}
    assert read(429, {}, {"error": error}).reason is Reason.OVERLOADED


def test_an_invalid_request_that_is_a_rate_limit():
    """A flex refusal: the code counts, the type does not."""
    assert refused(
        "We're currently processing too many requests — please try again later.", type="invalid_request_error"
    ) == (
        Reason.RATE_LIMITED,
        True,
        None,
    )


@pytest.mark.parametrize("code", [None, "429", 429, "1300", "", True, {}, []])
def test_codes_of_any_kind(code):
    """Null, numbers, numbers as text, and what is none."""
    assert refused("x", code=code)[:2] == (Reason.RATE_LIMITED, True)


def test_quota_means_two_things():
    """Billing at one vendor, the ordinary refusal of another."""
    text = "You exceeded your current quota, please check your plan and billing details."
    assert read(429, {}, {"error": {"message": text}}, dialect="openai").reason is Reason.QUOTA_EXHAUSTED
    body = {"error": {"message": text, "status": "RESOURCE_EXHAUSTED", "code": 429}}
    assert read(429, {}, body).reason is Reason.RATE_LIMITED


def test_too_large_looks_like_a_rate_limit():
    """Same type, same code: requested above limit tells (vanna-flask#11)."""
    assert refused("Request too large for m on tokens per min (TPM): Limit 30000, Requested 36278.") == (
        Reason.TOO_LARGE,
        False,
        None,
    )


def test_a_wait_for_what_can_never_fit():
    """A hint does not make it possible (Fabric#364)."""
    text = "on tokens per minute (TPM): Limit 7000, Used 0, Requested ~12903. Please try again in 50.597142857s."
    assert refused(text) == (Reason.TOO_LARGE, False, 50.597142857)


def test_more_used_than_the_limit():
    """The law of the wait holds all the same."""
    signals = read(429, {}, "Limit 500000, Used 500370, Requested 252. Please try again in 1m47.5854s.")
    assert (signals.retry_after_s, signals.window_s) == (107.5854, 86_400)


def test_a_millisecond_is_reported_as_such():
    """Floors and jitter are backoff's."""
    assert refused("Please try again in 1ms. Contact us")[2] == 0.001


def test_an_error_inside_an_error():
    """JSON in the message of another is opened once (gemini-cli#2020)."""
    inner = '{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Please retry in 5s."}}'
    signals = read(500, {}, {"error": {"message": inner, "code": 500}})
    assert (signals.reason, signals.retry_after_s, signals.message) == (Reason.RATE_LIMITED, 5.0, "Please retry in 5s.")


def test_an_error_in_a_list():
    """The first element counts (gemini-cli#14831)."""
    assert read(429, {}, [{"error": {"message": "Please retry in 5s."}}]).retry_after_s == 5.0


def test_a_problem_that_is_no_json():
    """The draft's own example lacks a comma; the headers still count."""
    headers = {
        "Date": "Mon, 05 Aug 2019 09:27:00 GMT",
        "Retry-After": "Mon, 05 Aug 2019 09:27:05 GMT",
        "RateLimit": '"default";r=0;t=5',
    }
    signals = read(
        429, headers, '{\n"type": "https://x/#quota-exceeded"\n"title": "Too Many Requests",\n"status": 429}'
    )
    assert (signals.retry_after_s, signals.message) == (5.0, "Too Many Requests")


def test_one_error_of_two_events():
    """An error event and the failed response after it are one error, the first."""
    quota = {"type": "insufficient_quota", "code": "insufficient_quota"}
    first = json.dumps({"type": "error", "sequence_number": 2, "error": quota})
    second = json.dumps({"type": "response.failed", "response": {"error": {"code": "server_error"}}})
    body = f"event: error\ndata: {first}\n\nevent: response.failed\ndata: {second}\n\n"
    signals = read(200, {}, body)
    assert (signals.reason, signals.error_code) == (Reason.QUOTA_EXHAUSTED, "insufficient_quota")


def test_empty_values():
    """An empty header says nothing."""
    assert shown("", "", "") is None
    assert read(429, {"retry-after": "", "x-request-id": ""}).request_id is None


def test_a_foreign_value_in_a_repeated_header():
    """A recorder once put the request id beside the reset: the valid one counts."""
    wanted = Reading(250_000, 249_991, 0.002, 60)
    assert shown("250000", "249991", ["2ms", "req_fcbf1d5389cb4a908ff622465164f997"]) == wanted
    assert shown("250000", "249991", "2ms, req_fcbf1d5389cb4a908ff622465164f997") == wanted


def test_copies_made_by_a_proxy():
    """The upstream's headers under the proxy's prefix are not the proxy's."""
    headers = {f"llm_provider-{name}": "5" for name in NAMES}
    assert read(200, headers).readings == {}


def test_an_epoch_under_the_name_of_a_delta():
    """RateLimit-Reset in seconds since 1970 (GitLab)."""
    headers = {
        "Date": "Tue, 05 Jan 2021 10:59:30 GMT",
        "RateLimit-Limit": "60",
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": "1609844400",
        "RateLimit-ResetTime": "Tue, 05 Jan 2021 11:00:00 GMT",
    }
    signals = read(429, headers, "Retry later\n")
    assert signals.readings == {"requests": Reading(60, 0, 30, None)}
    assert signals.retry_after_s == 30.0


def test_a_window_beside_the_amount():
    """100;w=21600 is a hundred in six hours."""
    headers = {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600"}
    assert read(200, headers).readings == {"requests": Reading(100, 76, None, 21_600)}


def test_two_names_for_one_reset():
    """An epoch under one, a delta under the other: the delta needs no clock."""
    headers = {"x-ratelimit-limit": "5", "x-ratelimit-reset": "1771404540", "ratelimit-reset": "34"}
    assert read(200, headers).readings["requests"].reset_s == 34.0


@pytest.mark.parametrize(
    ("status", "reason"),
    [(402, Reason.QUOTA_EXHAUSTED), (413, Reason.TOO_LARGE), (529, Reason.OVERLOADED), (503, Reason.OVERLOADED)],
)
def test_unusual_statuses(status, reason):
    """Each means something of its own."""
    assert read(status, {}).reason is reason


def test_twins_with_an_underscore():
    """tokens_usage_based beside tokens: two dimensions of the same numbers."""
    headers = {name.replace("tokens", twin): "5" for name in NAMES[:2] for twin in ("tokens", "tokens_usage_based")}
    assert set(read(200, headers).readings) == {"tokens", "tokens_usage_based"}


def test_status_and_headers_inside_an_event():
    """Both are read from there (a ChatGPT backend)."""
    event = {"type": "error", "status_code": 429, "error": {"code": "new"}, "headers": {"Retry-After": "9"}}
    signals = read(200, {}, event)
    assert (signals.reason, signals.retry_after_s) == (Reason.RATE_LIMITED, 9.0)


def test_buy_more():
    """A refusal that no wait ends: permanent by its sentence."""
    error = {"type": "rate_limit_error", "message": "Extra usage is required for long context requests."}
    assert read(429, {}, {"type": "error", "error": error}).retryable is False


def test_a_cached_answer_shows_old_levels():
    """With an Age above zero its readings are not used."""
    headers = {**dict(zip(NAMES, ["5", "4", "1s"], strict=True)), "age": "30", "x-request-id": "r"}
    signals = read(200, headers)
    assert (signals.readings, signals.request_id) == ({}, "r")


def test_a_gateway_that_passes_headers_on():
    """The vendor behind it is recognised by what only that vendor sends."""
    headers = {"openai-processing-ms": "3213", "x-ratelimit-limit-requests": "10000"}
    assert detect(url="https://gateway.example/v1", headers=headers).name == "openai"


@pytest.mark.parametrize(
    ("limit", "value", "reset_s"), [("120", "500", 0.5), ("20000", "3", 0.003), ("50", "1", 1.0), ("250", "0", 0.0)]
)
def test_two_units_at_one_vendor(limit, value, reset_s):
    """500 is half a second and 1 a second, by the level beside it (Azure)."""
    fields = {"limit": limit, "remaining": str(int(limit) - 1), "reset": value, "renewalperiod": "60"}
    headers = {f"x-ratelimit-{field}-requests": text for field, text in fields.items()}
    assert read(200, headers).readings["requests"] == Reading(int(limit), int(limit) - 1, reset_s, 60)


@pytest.mark.parametrize("dialect", ["anthropic", "huggingface", "auto"])
def test_a_wait_on_a_success(dialect):
    """Seconds to the next minute of the clock, or a polling interval: no reason to wait."""
    assert read(200, {"retry-after": "41"}, dialect=dialect).retry_after_s is None


@pytest.mark.parametrize(("seconds", "dialect", "retryable"), [(86_400, "azure", False), (198_300, "generic", True)])
def test_a_wait_of_days(seconds, dialect, retryable):
    """Told whatever it is; a day at Azure is how it says that a call is too large (pi#3671, climb#1)."""
    signals = read(429, {"retry-after": str(seconds)}, dialect=dialect)
    assert (signals.retry_after_s, signals.retryable) == (seconds, retryable)


@pytest.mark.parametrize(
    ("hint", "seconds"),
    [
        ("Mon, 05 Aug 2019 09:27:05 GMT", 5.0),
        ("Monday, 05-Aug-19 09:27:05 GMT", 5.0),
        ("Mon Aug  5 09:27:05 2019", 5.0),
        ("Mon, 05 Aug 2019 09:26:55 GMT", None),
    ],
)
@pytest.mark.parametrize("clock_s", [None, 0.0, 4e9])
def test_a_date_counts_from_the_answers_own(hint, seconds, clock_s):
    """In three forms, against a skewed clock, and in the past."""
    headers = {"Date": "Mon, 05 Aug 2019 09:27:00 GMT", "Retry-After": hint}
    assert read(429, headers, now_wall_s=clock_s).retry_after_s == seconds


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, 'event: response.created\ndata: {"type": "response.created", "response": {"error": null}}\n\n'),
        (429, {"error": {"type": "insufficient_quota", "code": "insufficient_quota"}}),
        (429, None),
    ],
)
def test_answers_without_a_header(status, body):
    """Streams, quota refusals and refusals after the fact say nothing of levels."""
    assert read(status, {"openai-processing-ms": "5977"}, body).readings == {}


def test_a_snapshot_of_the_past():
    """What the server worked is told beside the levels, so that old news can be told from new."""
    signals = read(200, {**dict(zip(NAMES, ["5000", "4000", "7ms"], strict=True)), "openai-processing-ms": "27000"})
    assert (signals.processing_s, signals.readings["tokens"].remaining) == (27.0, 4_000)
    assert not lookup("openai").profile.snapshot_at_end


@pytest.mark.parametrize("url", ["https://api.x.ai/v1/chat/completions", "https://gateway.example/v1"])
def test_a_level_that_is_always_full(url):
    """It is read as it stands; whoever follows a series of them sees that it sleeps."""
    headers = {"x-ratelimit-limit-requests": "1800", "x-ratelimit-remaining-requests": "1800"}
    assert read(200, headers, url=url).readings["requests"].remaining == 1_800


def test_refused_with_25_of_30_left():
    """The refusal beats what remains (PyGithub)."""
    headers = {"X-RateLimit-Limit": "30", "X-RateLimit-Remaining": "25", "X-RateLimit-Resource": "search"}
    body = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}
    signals = read(403, headers, body)
    assert (signals.reason, signals.retryable, signals.retry_after_s) == (Reason.RATE_LIMITED, True, 60.0)


@pytest.mark.parametrize("value", ["1791072060000", 1_791_072_060_000])
def test_milliseconds_since_1970(value):
    """By their size, as text or as a number inside a body."""
    headers = {"date": "Sun, 04 Oct 2026 00:00:00 GMT", "x-ratelimit-limit": "5", "x-ratelimit-reset": value}
    assert read(200, headers).readings["requests"].reset_s == 60.0


def test_full_in_no_time_though_it_is_not_full():
    """A reset of now beside 80 000 of 280 000: no wait, no window (coday#110)."""
    headers = {
        "date": "Wed, 19 Aug 2026 14:37:15 GMT",
        "anthropic-ratelimit-tokens-limit": "280000",
        "anthropic-ratelimit-tokens-remaining": "80000",
        "anthropic-ratelimit-tokens-reset": "2026-08-19T14:37:15Z",
    }
    signals = read(429, headers)
    assert signals.readings == {"tokens": Reading(280_000, 80_000, 0, None)}
    assert signals.retry_after_s is None


@pytest.mark.parametrize(
    ("headers", "dialect", "reason"),
    [
        ({"retry-after": "60"}, "github", Reason.RATE_LIMITED),
        ({"x-ratelimit-remaining": "0"}, "github", Reason.RATE_LIMITED),
        ({"x-ratelimit-remaining": "7"}, "github", Reason.AUTH),
        ({"retry-after": "60"}, "openai", Reason.AUTH),
        ({"retry-after": "60"}, "anthropic", Reason.AUTH),
    ],
)
def test_a_403_as_a_rate_limit(headers, dialect, reason):
    """At one vendor, with a wait or with nothing left; a matter of permission elsewhere."""
    assert read(403, headers, dialect=dialect).reason is reason


def test_a_wait_named_by_a_dead_service():
    """A promise is reported as it is made; the time that a call may take is the caller's bound."""
    headers = {"retry-after": "900", "sunset": "Sat, 01 Jan 2022 00:00:00 GMT"}
    assert read(429, headers, "Too Many Requests").retry_after_s == 900.0


def test_requests_of_a_day_under_the_name_of_requests():
    """The numbers tell at one vendor, the vendor's word at another."""
    headers = {
        f"x-ratelimit-{f}-requests": v
        for f, v in zip(("limit", "remaining", "reset"), ("200", "199", "7m12s"), strict=True)
    }
    assert read(200, headers, dialect="openai").readings["requests"].window_s == 86_400
    unused = {**headers, "x-ratelimit-remaining-requests": "200", "x-ratelimit-reset-requests": "0s"}
    assert read(200, unused, dialect="groq").readings["requests"].window_s == 86_400


@pytest.mark.parametrize("status", [400, 404])
def test_an_error_that_was_charged(status):
    """It shows the levels after the charge, like a success."""
    headers = dict(zip(NAMES, ["50000", "49999", "1ms"], strict=True))
    signals = read(status, headers, {"error": {"type": "invalid_request_error", "code": "invalid_image_url"}})
    assert (signals.reason, signals.readings["tokens"].remaining) == (Reason.CLIENT_ERROR, 49_999)


@pytest.mark.parametrize(
    "stream",
    [
        ":408: 408 Request Timeout\n\n",
        ": OPENROUTER PROCESSING\n\n",
        'data: {"type": "keepalive", "sequence_number": 466}\n\n',
        'data: {"type": "ping"}\n\n',
        'data: {"choices": [], "usage": {"total_tokens": 5}}\n\n',
        'data: {"choices": [{"delta": {"content": "error"}}]}\n\ndata: [DONE]\n\n',
    ],
)
def test_lines_of_a_stream_that_are_no_errors(stream):
    """Comments, one of which looks like a status; events that keep a line open; usage without a choice."""
    signals = read(200, {"content-type": "text/event-stream"}, stream)
    assert (signals.reason, signals.retryable) == (Reason.OK, None)


def test_windows_of_no_length_and_headers_of_no_value():
    """A plan's second window that does not exist (codex-proxy#65)."""
    headers = {
        "x-codex-primary-used-percent": "100",
        "x-codex-primary-window-minutes": "10080",
        "x-codex-primary-reset-after-seconds": "471285",
        "x-codex-primary-reset-at": "",
        "x-codex-secondary-used-percent": "0",
        "x-codex-secondary-window-minutes": "0",
        "x-codex-secondary-reset-after-seconds": "0",
    }
    signals = read(429, headers)
    assert signals.readings == {"primary": Reading(100, 0, 471_285, 604_800)}
    assert (signals.retryable, signals.retry_after_s) == (False, 471_285)
