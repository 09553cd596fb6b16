"""The sentence of a refusal."""

from __future__ import annotations

import pytest

from ratelimit_client.dialects.bodies import LONGEST_TEXT
from ratelimit_client.dialects.texts import TextFacts, read_text

REACHED = (
    "Rate limit reached for gpt-4 in organization org-x on {on}: Limit {limit}, Used {used}, Requested {requested}."
)


@pytest.mark.parametrize(
    ("on", "limit", "used", "requested", "wait", "wait_s", "window_s"),
    [
        ("tokens per min (TPM)", 10_000, 8_554, 3_082, "9.816s", 9.816, 60),
        ("tokens per min (TPM)", 30_000, 29_937, 385, "644ms", 0.644, 60),
        ("tokens per min (TPM)", 30_000, 14_567, 24_754, "18.642s", 18.642, 60),
        ("tokens per min (TPM)", 450_000, 379_102, 89_741, "2.512s", 2.512, 60),
        ("tokens per min (TPM)", 40_000_000, 40_000_000, 29_693, "44ms", 0.044, 60),
        ("requests per min (RPM)", 3, 3, 1, "20s", 20.0, 60),
        ("requests per day (RPD)", 200, 200, 1, "7m12s", 432.0, 86_400),
        ("requests per day (RPD)", 10_000, 10_000, 1, "8.64s", 8.64, 86_400),
        ("tokens per min (TPM)", 100_000, 96_749, 19_126, "114h18m0s", 411_480.0, 2_592_000),  # not a minute's
        ("tokens per minute (TPM)", 12_000, 4_437, 9_854, "11.455s", 11.455, 60),
        ("tokens per day (TPD)", 100_000, 97_050, 3_619, "9m38.016s", 578.016, 86_400),
        ("tokens per min (TPM)", 30_000, 29_900, 187, "274ms", 0.274, 60),  # padded by 0.1 s: the label is near enough
        ("tokens per min (TPM)", 30_000, 29_900, 187, "27s", 27.0, None),  # and here it is not
        ("tokens per min (TPM)", 30_000, 100, 100, "5s", 5.0, 60),  # it would fit: the wait tells nothing
    ],
)
def test_real_refusals(on, limit, used, requested, wait, wait_s, window_s):
    """Every number of the sentence, and the window that follows from them."""
    text = REACHED.format(on=on, limit=limit, used=used, requested=requested) + f" Please try again in {wait}. Visit x."
    unit = on.split()[0]
    assert read_text(text) == TextFacts(wait_s, unit, limit, used, requested, window_s, "gpt-4")


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        (
            "Request too large for gpt-4.1-2025-04-14 (for limit gpt-4.1) in organization org-x on tokens per min (TPM)"
            ": Limit 30000, Requested 36278. The input or output tokens must be reduced.",
            TextFacts(None, "tokens", 30_000, None, 36_278, 60, "gpt-4.1"),
        ),
        (
            "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 342389.",
            TextFacts(None, "tokens", 30_000, None, 342_389, 60, None),
        ),
        (
            "Rate limit reached for default-gpt-3.5-turbo in organization org-x on requests per min. Limit: 3 / min. "
            "Please try again in 20s. Contact us.",
            TextFacts(20.0, "requests", 3, None, None, 60, "default-gpt-3.5-turbo"),
        ),
        (
            "Rate limit reached for 10KTPM-200RPM in organization org-x on requests per min. Limit: 20 / min. "
            "Current: 30 / min.",
            TextFacts(None, "requests", 20, 30, None, 60, "10KTPM-200RPM"),
        ),
        (
            "Rate limit reached for model `llama3-70b-8192` in organization `org_x` on : Limit 500000, Used 500370, "
            "Requested 252. Please try again in 1m47.5854s.",
            TextFacts(107.5854, None, 500_000, 500_370, 252, 86_400, "llama3-70b-8192"),
        ),
        (
            "Rate limit reached for model `m` in organization `o` on tokens per minute (TPM): Limit 7000, Used 0, "
            "Requested ~12903. Please try again in 50.597142857s.",
            TextFacts(50.597142857, "tokens", 7_000, 0, 12_903, 60, "m"),
        ),
        (
            "This request would exceed the rate limit for your organization (0) of 1,000,000 input tokens per minute.",
            TextFacts(None, "input-tokens", 1_000_000, None, None, 60, None),
        ),
        (
            "Enqueued token limit reached for gpt-4o-mini in organization org-x. Limit: 2,000,000 enqueued tokens. "
            "Please try again once some in_progress batches have been completed.",
            TextFacts(limit=2_000_000, group="gpt-4o-mini"),
        ),
        (
            "Requests to the X Operation have exceeded token rate limit of your tier. Please retry after 33 seconds.",
            TextFacts(wait_s=33.0, unit="tokens"),
        ),
        (
            "have exceeded call rate limit of your tier. Please retry after 1 second.",
            TextFacts(wait_s=1.0, unit="requests"),
        ),
        ("Requests rate limit exceeded", TextFacts(unit="requests")),
        (
            "Quota exceeded for metric: x, limit: 1000000, model: m\nPlease retry in 48.939935699s.",
            TextFacts(48.939935699, limit=1e6),
        ),
        (
            "Quota exceeded for metric: h/generate_content_free_tier_requests, limit: 20, model: m",
            TextFacts(unit="requests", limit=20),
        ),
        (
            "Quota exceeded for h/generate_content_requests_per_minute_per_project_per_base_model with base model: m.",
            TextFacts(unit="requests", window_s=60),
        ),
        (
            "Quota exceeded for quota metric 'Generate requests per minute' and limit 'per minute' of service 's'.",
            TextFacts(unit="requests", window_s=60),
        ),
        (
            "Quota exceeded for metric: h/paid_tier_input_token_count, limit: 5",
            TextFacts(unit="input-tokens", limit=5),
        ),
        ("Tokens per minute limit exceeded - too many tokens processed.", TextFacts(unit="tokens", window_s=60)),
        ("Number of request tokens has exceeded your daily rate limit", TextFacts(unit="tokens", window_s=86_400)),
        ("Number of input tokens has exceeded your per-minute rate limit", TextFacts(unit="input-tokens", window_s=60)),
        ("Too many tokens per day, please wait before trying again.", TextFacts(unit="tokens", window_s=86_400)),
        ("Rate limit exceeded: free-models-per-day", TextFacts(window_s=86_400)),
        ("5-hour usage limit reached", TextFacts(window_s=18_000)),
        ("You reached the weekly limit", TextFacts(window_s=604_800)),
        ("You have used up your daily free allocation of 10,000 neurons", TextFacts(window_s=86_400)),
        ("limited to 40 API calls / minute", TextFacts(unit="requests", limit=40, window_s=60)),
        ("Your team's rate limit is 480 requests/min", TextFacts(unit="requests", limit=480, window_s=60)),
        ("reduced to 6 requests per minute. It resets in ~5s.", TextFacts(5.0, unit="requests", limit=6, window_s=60)),
        (
            "Rate limit of 10 per 60s exceeded. Please wait 42 seconds before retrying.",
            TextFacts(42.0, limit=10, window_s=60),
        ),
        ("reached max RPM: 3, please try again after 1 seconds", TextFacts(1.0, unit="requests", window_s=60)),
        (
            "Rate limit reached for default-x in organization org-x on requests per min. Limit: 60.000000 / min. "
            "Current: 70.000000 / min. Contact us.",
            TextFacts(None, "requests", 60, 70, None, 60, "default-x"),
        ),
        ("your TPD is used up", TextFacts(unit="tokens", window_s=86_400)),
        (
            "Rate limit reached for images per minute. Limit: 5 / 1min. Current: 6 / 1min.",
            TextFacts(unit="images", limit=5, used=6, window_s=60),
        ),
        ("your image rate limit", TextFacts()),
        (
            "Rate limit reached for tokens. Limit: 150000.000000 / min. Current: 176000.000000 / min. Contact us.",
            TextFacts(unit="tokens", limit=150_000, used=176_000, window_s=60),
        ),
        ("Rate limit exceeded for requests to this address", TextFacts(unit="requests")),
        ("Your rate limit is 60 queries per minute.", TextFacts(unit="requests", limit=60, window_s=60)),
        ("on images per minute, limit: 5 / month", TextFacts(unit="images", limit=5, window_s=2_592_000)),
    ],
)
def test_other_ways_of_saying_it(text, facts):
    """Old forms, other vendors, separators, tildes and groups."""
    assert read_text(text) == facts


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("Try again in 50 seconds.", 50.0),
        ("Wait 20 seconds, then slow down!", 20.0),
        ("wait for 1 minute and 5 secs", 65.0),
        ("retry after 2 hours, 3 min", 7_380.0),
        ("try again in 250 milliseconds", 0.25),
        ("try again in 250 ms", 0.25),
        ("retry in 1 day", 86_400.0),
        ("TRY AGAIN IN 5S.", 5.0),
        ("try again in 6ms", 0.006),
        ("Quota will be replenished in 01:02:03.", 3_723.0),
        ("try again in 26:00:00", 93_600.0),
        ("try again in 3 days 4 hours 12 minutes", 274_320.0),
        ("Your limit resets in ~5s.", 5.0),
        ("Request was throttled. Expected available in 831.0 seconds.", 831.0),
        ("Request was throttled. Rate limit exceeded: 5/min. Expected available in 49 seconds.", 49.0),
        ("Available in 5 regions.", None),
        ("try again in 1:2:3", None),
        ("try again later", None),
        ("try again in 5 sacks", None),
        ("please wait a few minutes", None),
        ("try again in " + "1s" * 80, None),
        ("", None),
    ],
)
def test_waits(text, wait_s):
    """Go durations and words; a full stop ends the sentence, not the number."""
    assert read_text(text).wait_s == wait_s


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("usage limit reached, resets at 2026-05-15T15:00:00Z (2056)", "2026-05-15T15:00:00Z"),
        ("You will regain access on 2026-02-01 at 00:00 UTC.", "2026-02-01T00:00:00UTC"),
        ("Limit resets at: 2026-05-15 15:00:00.123 UTC", "2026-05-15T15:00:00UTC"),
        ("try again after 2026-05-15T15:00:00+02:00", "2026-05-15T15:00:00+02:00"),
        ("blocked until 2026-05-15 15:00", "2026-05-15T15:00:00Z"),
        ("Claude AI usage limit reached|1755806400", "1755806400"),
        ("resets at noon", None),
        ("on 2026-05-15T15:00:00Z", None),
    ],
)
def test_an_instant(text, until):
    """In the forms that people write, as one that machines read; a zone that is not named is UTC."""
    assert read_text(text).until == until


def test_a_call_that_never_fits():
    """More requested than the whole limit; unknown when a number is missing."""
    assert read_text("Limit 10, Requested 11").never_fits is True
    assert read_text("Limit 10, Used 10, Requested 1").never_fits is False
    assert read_text("Limit 10").never_fits is None


def test_only_the_beginning_is_searched():
    """What follows 4 KiB is not read, and numbers of thousands of digits are none."""
    assert read_text("x" * LONGEST_TEXT + " try again in 5s") == TextFacts()
    assert read_text("Limit " + "9" * 4000) == TextFacts()
    assert read_text("Limit 0, Used 5, Requested 1. Please try again in 5s").window_s is None
