"""Odd things that servers have been seen to send, and the right reaction to each."""

from __future__ import annotations

import json

import pytest

from ratelimit_client.core.signals import Reading, Reason
from ratelimit_client.dialects import detect, read

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
