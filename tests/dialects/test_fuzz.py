"""Whatever a server sends is read: nothing raises, and every number is one."""

from __future__ import annotations

import json
import math
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.core.signals import Signals
from ratelimit_client.dialects import names, read
from ratelimit_client.dialects.unread import MOST_KINDS
from tests.dialects.samples import SAMPLES
from tests.sizes import SCALE

HOSTILE = [
    "nan", "inf", "-inf", "1e400", "-5", "-1", "0", "0s", "1e9", "x", "1_000", "\u0661\u0662", "", " ", "9" * 5000,
    "1d2h3m4.5s", "17ms", "-1s", "6m0s", "99999999999", "1791072000000", "Mon, 05 Aug 2019 09:27:05 GMT",
    "Fri, 31 Dec 9999 23:59:59 GMT", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+99:99", "100;w=0", "100;w=21600, 5",
    '"a";r=1;t=5', '"a";q=1;w=60', '"a', "limit=1, remaining=2", ",,,", ";;;", "true", "false", "\x00", "\u2028",
]  # fmt: skip
FIELDS = ("limit", "remaining", "reset", "reset-after", "used", "renewalperiod")
NAMES = [
    *(f"{prefix}{field}{dim}" for prefix in ("x-ratelimit-", "RateLimit-", "x-rate-limit-") for field in FIELDS
      for dim in ("", "-requests", "-Tokens", "-tokens-minute", "-" + "x" * 70)),
    "anthropic-ratelimit-requests-limit", "anthropic-ratelimit-tokens-remaining", "RateLimit", "RateLimit-Policy",
    "retry-after", "Retry-After-Ms", "x-should-retry", "date", "age", "x-request-id", "openai-processing-ms",
    "openai-version", "x-ratelimit-type", "policy-id", "apim-request-id", "x-ratelimit-key", "x-ratelimit-resource",
    "ratelimitbysize-limit", "ratelimitbysize-reset", "x-ratelimit-tokens-query-cost", "x-ratelimitbysize-limit-month",
    "anthropic-ratelimit-unified-5h-utilization", "anthropic-ratelimit-unified-5h-reset", "RateLimit-ResetTime",
    "x-codex-primary-used-percent", "x-codex-primary-window-minutes", "x-codex-primary-reset-after-seconds",
    "x-trial-endpoint-call-limit", "x-tokenlimit-limit", "X-RateLimit-Bucket", "X-RateLimit-Scope",
    "X-RateLimit-Global", "X-RateLimit-Flavour", "x-quota-" + "\x1b[31m" * 9, "throttled-" + "y" * 110,
]  # fmt: skip

values = st.sampled_from(HOSTILE) | st.text(max_size=20) | st.integers(-1, 10**6).map(str)
raw_values = values | st.lists(values, max_size=3) | values.map(lambda text: text.encode("utf-8", "replace"))
pairs = st.lists(
    st.tuples(st.sampled_from(NAMES) | st.text(max_size=10) | st.binary(max_size=10), raw_values), max_size=40
)
statuses = st.sampled_from([0, 101, 200, 204, 304, 400, 401, 403, 404, 408, 413, 429, 500, 503, 529, 999])
bodies = st.none() | st.text(max_size=60) | st.binary(max_size=60) | st.sampled_from([s.body for s in SAMPLES])
dialects = st.sampled_from(names())
clocks = st.none() | st.floats(0, 4e9)


def is_amount(value: float | None) -> bool:
    return value is None or (math.isfinite(value) and value >= 0)


def is_sound(signals: Signals) -> bool:
    """Numbers are finite and not negative, none is above its limit, waits are above zero, and texts have bounds."""
    for reading in signals.readings.values():
        if not all(map(is_amount, (reading.limit, reading.remaining, reading.reset_s, reading.window_s))):
            return False
        if reading.limit is not None and reading.remaining is not None and reading.remaining > reading.limit:
            return False
        if reading.limit == 0 or reading.window_s == 0:
            return False
    numbers = (signals.limit, signals.used, signals.requested, signals.window_s, signals.processing_s)
    return (
        all(map(is_amount, numbers))
        and (signals.retry_after_s is None or 0 < signals.retry_after_s <= 31 * 86_400)
        and (signals.message is None or len(signals.message) <= 1024)
        and len(signals.readings) <= 32
        and len(signals.unread) <= MOST_KINDS
        and all(kind.isascii() and kind.isprintable() and len(kind) <= 112 for kind in signals.unread)
    )


@given(statuses, pairs, bodies, dialects, clocks)
def test_hostile_headers(status, headers, body, dialect, now_s):
    """Any headers, any body, any dialect, any clock."""
    signals = read(status, headers, body, dialect=dialect, now_wall_s=now_s)
    assert is_sound(signals)
    assert signals.status == status


SETS = 1_700 * SCALE
"""Damaged answers of one run: 5 100 in CI."""


def damaged(dice: random.Random) -> tuple[int, list[tuple[Any, Any]], Any]:
    """A real answer with headers dropped, doubled, reordered, respelt, renamed, or with hostile values."""
    sample = dice.choice(SAMPLES)
    found: list[tuple[Any, Any]] = []
    for name, value in sample.headers.items():
        what = dice.randrange(10)
        if what == 0:
            continue
        if what == 1:
            found.append((name, dice.choice(HOSTILE)))
        spelling = dice.choice([name, name.upper(), name.title(), name.encode(), dice.choice(NAMES)])
        found.append(
            (spelling, dice.choice([value, value, value, dice.choice(HOSTILE), [value, dice.choice(HOSTILE)]]))
        )
    found += [(dice.choice(NAMES), dice.choice(HOSTILE)) for _ in range(dice.randrange(4))]
    dice.shuffle(found)
    body = sample.body if dice.random() < 0.6 else dice.choice(SAMPLES).body
    if dice.random() < 0.3:
        text = json.dumps(body)
        body = text[: dice.randrange(len(text) + 1)]
    return dice.choice([sample.status, 200, 403, 429, 500]), found, body


def test_thousands_of_damaged_answers():
    """None raises, in its sender's dialect, in another's, or in that which the answer gives away."""
    dice = random.Random(20_260_819)
    every = names()
    for _ in range(SETS):
        status, headers, body = damaged(dice)
        signals = read(status, headers, body, dialect=dice.choice(every), now_wall_s=dice.choice([None, 0.0, 1.7e9]))
        assert is_sound(signals), (status, headers, body)
        assert read(status, dict(headers), body).status == status


@st.composite
def mangled(draw: Any) -> tuple[int, list[tuple[str, Any]], Any]:
    """A real answer with headers dropped, doubled, reordered, in other case, or with another's value."""
    sample = draw(st.sampled_from(SAMPLES))
    found = []
    for name, value in sample.headers.items():
        what = draw(st.sampled_from(["keep", "keep", "keep", "drop", "double", "upper", "title", "replace"]))
        if what == "drop":
            continue
        name = {"upper": name.upper(), "title": name.title()}.get(what, name)
        found.append((name, draw(raw_values) if what == "replace" else value))
        if what == "double":
            found.append((name, draw(raw_values)))
    body = sample.body
    if draw(st.booleans()):
        text = json.dumps(body)
        body = text[: draw(st.integers(0, len(text)))]
    return sample.status, draw(st.permutations(found)), body


@given(mangled())
def test_mangled_answers(answer):
    """Real answers, damaged on the way."""
    assert is_sound(read(*answer))


@given(st.sampled_from(SAMPLES), st.randoms(use_true_random=False))
def test_order_and_case_mean_nothing(sample, random):
    """The same headers in another order and spelling say the same."""
    headers = [(name.upper() if random.random() < 0.5 else name, value) for name, value in sample.headers.items()]
    random.shuffle(headers)
    assert read(sample.status, headers, sample.body) == read(sample.status, sample.headers, sample.body)
