"""What of an answer nobody could use is told by its kind, and what is knowingly left alone is not."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.dialects import Dialect, Field, names, read
from ratelimit_client.dialects.headers import MOST_DIMENSIONS, Collected
from ratelimit_client.dialects.openai import OPENAI
from ratelimit_client.dialects.unread import LONGEST_NAME, MOST_KINDS
from tests.dialects.samples import SAMPLES
from tests.dialects.test_fuzz import NAMES, raw_values, statuses

NOW = 1_700_000_000.0
FAR = "further away than any limit reaches"
SILENT = "body: a refusal that names neither limit nor wait"


def unread(headers: Any, status: int = 200, body: Any = None, dialect: str | Dialect = "generic") -> tuple[str, ...]:
    return read(status, headers, body, dialect=dialect, now_wall_s=NOW).unread


def of(field: str, *values: Any) -> tuple[str, ...]:
    """What is wrong with each value of one field, beside two that are fine."""
    fine = {"x-ratelimit-limit": "10", "x-ratelimit-remaining": "9"}
    told = [unread({**fine, f"x-ratelimit-{field}": value}) for value in values]
    return tuple("" if not kinds else ", ".join(kinds).removeprefix(f"x-ratelimit-{field}: ") for kinds in told)


# -- values --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("x", "not a number"),
        ("nan", "not a number"),
        ("1_000", "not a number"),
        ("1e3", "not a number"),
        ("\u0661\u0662", "not a number"),
        ("-5", "negative"),
        (-5, "negative"),
        ("9" * 19, "too large"),
        ("9" * 5000, "too large"),
        (10**30, "too large"),
        (float("inf"), "too large"),
        (float("nan"), "not a number"),
        (["10", "12"], "several values"),
        ("10, x", "not a number"),
        (["x", "y"], "not a number"),
        (b"x", "not a number"),
        (object(), "not a number"),
        ("70;w=99999999", FAR),
        # understood, though nothing comes of it
        ("-1", ""),
        (-1, ""),
        ("", ""),
        (" ", ""),
        ("0", ""),
        (["10", "10"], ""),
        (["10", ["x"]], ""),
        (b"10", ""),
        ("10, 10;w=60", ""),
    ],
)
def test_an_amount(value, fault):
    """Of a number that is none the kind says what it is instead."""
    assert of("limit", value) == (fault,)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("soon", "not a time"),
        ("1e9", "not a time"),
        ("Mon, 05 Aug 2019 99:27:05 GMT", "not a time"),
        ("-3s", "negative"),
        ("9" * 19, "too large"),
        (["1s", "2s"], "several values"),
        (["0s", "req_1"], "not a time"),
        ("2000h", FAR),
        ("2099-01-01T00:00:00Z", FAR),
        ("-1", ""),
        ("0", ""),
        (" ", ""),
        ("Tue, 14 Nov 2023 22:13:20 GMT", ""),
        ("2023-11-14T22:13:20Z", ""),
        (b"7", ""),
    ],
)
def test_a_reset(value, fault):
    """A time that is none, or none that a limit can have."""
    assert of("reset", value) == (fault,)


def test_an_instant_without_a_clock_is_the_readers_affair():
    """Nothing is wrong with it."""
    headers = {"x-ratelimit-limit": "9", "x-ratelimit-reset": "2023-11-14T22:13:20Z"}
    assert read(200, headers).unread == ()


@pytest.mark.parametrize(
    ("field", "values", "faults"),
    [
        ("remaining", ("x", "11", "3"), ("not a number", "more than the limit", "")),
        ("reset-after", ("x", "5", "99999999"), ("not a time", "", FAR)),
        ("renewalperiod", ("x", "60", "99999999"), ("not a number", "", FAR)),
        ("tokens-query-cost", ("x", "5", "-1"), ("not a number", "", "")),
    ],
)
def test_the_other_fields_of_a_dimension(field, values, faults):
    """Each by the name of its own header."""
    assert of(field, *values) == faults


def test_what_is_used_counts_only_where_it_is_needed():
    """Beside what is left nobody looks at it."""
    assert unread({"x-ratelimit-limit": "9", "x-ratelimit-used": "x"}) == ("x-ratelimit-used: not a number",)
    assert unread({"x-ratelimit-limit": "9", "x-ratelimit-remaining": "8", "x-ratelimit-used": "x"}) == ()


@pytest.mark.parametrize(
    ("headers", "dialect"),
    [
        (dict.fromkeys(("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens"), "-1"), "azure"),
        ({"x-ratelimit-limit": "0", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "5s"}, "generic"),
        ({"x-ratelimit-limit": "x", "age": "7"}, "generic"),
        ({"x-codex-primary-window-minutes": "0", "x-codex-primary-used-percent": ""}, "openai"),
        ({"retry-after": "soon", "retry-after-ms": "soon"}, "generic"),
        ({"content-type": "nan", "x-request-id": "-5", "openai-processing-ms": "x", "date": "soon"}, "openai"),
        ({"x-ratelimit-bucket": "?", "x-ratelimit-scope": "?", "x-ratelimit-global": "?"}, "discord"),
    ],
)
def test_what_is_understood_though_nothing_comes_of_it(headers, dialect):
    """Sentinels, cached levels, plans without a window, waits of a success, free text, and what is no limit."""
    assert unread(headers, dialect=dialect) == ()


# -- names ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["x-ratelimit", "x-ratelimit-flavour", "RateLimiter", "x-quota-left", "x-retry-after-hint", "x-throttled-by"],
)
def test_a_name_that_speaks_of_a_limit(name):
    """No rule of the dialect knows what it says; on the short way and on the long one alike."""
    kind = (f"{name.lower()}: no rule knows it",)
    assert unread({name: "7"}) == kind
    assert unread([(name, "7")]) == kind
    assert unread({name: "7"}, 500) == kind
    assert unread({name: ""}) == unread([(name, "")]) == ()


@pytest.mark.parametrize(
    ("name", "dialect"),
    [
        ("llm_provider-x-ratelimit-limit-requests", "generic"),
        ("x-ratelimit-abusepenalty-active", "azure"),
        ("x-ratelimit-over-limit", "fireworks"),
        ("x-envoy-ratelimited", "generic"),
        ("anthropic-ratelimit-unified-status", "anthropic"),
        ("anthropic-ratelimit-unified-7d_opus-surpassed-threshold", "anthropic"),
        ("docker-ratelimit-source", "docker"),
        ("content-type", "generic"),
        ("x-frame-options", "generic"),
    ],
)
def test_a_name_that_is_known_to_be_of_no_use(name, dialect):
    """Copies, what the numbers say already, and whatever speaks of no limit."""
    assert unread({name: "x"}, dialect=dialect) == unread([(name, "x")], dialect=dialect) == ()


def test_a_table_may_ignore_a_name():
    """As one of its names, or as what gives its sender away."""
    table = Dialect(name="acme", names={"x-quota-hue": Field.IGNORED}, markers=("X-RateLimit-Acme",))
    assert unread({"x-quota-hue": "red", "x-ratelimit-acme": "1"}, dialect=table) == ()
    assert unread({"x-quota-tint": "red"}, dialect=table) == ("x-quota-tint: no rule knows it",)


def test_the_header_that_counts_is_named():
    """By the spelling that came, not by another of the same meaning."""
    assert unread([("RateLimit-Limit-Tokens", "x")]) == ("ratelimit-limit-tokens: not a number",)
    pairs = [("x-ratelimit-retry-after", "5"), (b"Retry-After", "x"), ("retry-after", "")]
    assert unread(pairs, 429) == ("retry-after: not a time",)


def test_a_slot_that_nobody_filled_has_a_name_all_the_same():
    """That of its field."""
    assert Collected(OPENAI.vocabulary).name_of(Field.RETRY_AFTER) == "retry-after"


# -- the answer ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("soon", "not a time"),
        ("-1", "negative"),
        ("-5", "negative"),
        ("1, 5", "several values"),
        ("9" * 19, "too large"),
        ("0", ""),
        (" ", ""),
        ("99999999", ""),
        ("Tue, 14 Nov 2023 22:13:20 GMT", ""),
        (b"5", ""),
    ],
)
def test_a_wait_that_an_error_asks_for(value, fault):
    """Too long a one is capped, none is none, and what cannot be read is told."""
    told = unread({"retry-after": value}, 429)
    assert told == ((f"retry-after: {fault}",) if fault else ())


def test_a_word_about_retrying():
    """It is true or false."""
    assert unread({"x-should-retry": "maybe"}, 500) == ("x-should-retry: neither true nor false",)
    assert unread({"x-should-retry": object()}) == ("x-should-retry: neither true nor false",)
    assert unread({"x-should-retry": "True, false"}, 500) == unread({"x-should-retry": " "}) == ()


@pytest.mark.parametrize(
    ("policy", "limit", "kinds"),
    [
        ('"a";q=10;w=60', '"a";r=5;t=9', ()),
        ('"fixed window";"api";q=10;w=60', '"api";r=5;t=9', ()),  # read loosely, and in doubt
        ('"c";q=10;qu="concurrent-requests"', '"c";r=1', ()),
        ("10;w=60, 10;w=60", "limit=10, remaining=5", ()),
        ("0;w=60", '"a";r=-1', ()),
        ('"a', ",,,", ("ratelimit-policy: not by the grammar", "ratelimit: not by the grammar")),
        (object(), None, ("ratelimit-policy: not by the grammar",)),
        ('"a"', '"a"', ("ratelimit-policy: says nothing of a limit", "ratelimit: says nothing of a limit")),
        ("?1;w=60", "7;r=1", ("ratelimit-policy: says nothing of a limit", "ratelimit: says nothing of a limit")),
        ('"a";q=x', '"a";r=-5', ("ratelimit-policy: not a number", "ratelimit: not a number")),
        ('"a";q=5;w=99999999', '"a";r=1;t=99999999', (f"ratelimit-policy: {FAR}", f"ratelimit: {FAR}")),
        ("5;w=99999999", None, (f"ratelimit-policy: {FAR}",)),
        ('"a";q=5', '"a";r=9', ("ratelimit: more than the limit",)),
        ("5;w=60", "remaining=9", ("ratelimit-policy: less than what is left",)),
        ("10;w=1, 100;w=60", None, ("ratelimit-policy: several limits without a name",)),
    ],
)
def test_structured_fields(policy, limit, kinds):
    """The two fields of the IETF, each by its name."""
    headers = {"ratelimit-policy": policy, "ratelimit": limit}
    assert unread({name: value for name, value in headers.items() if value is not None}, dialect="ietf") == kinds


def test_more_dimensions_than_are_kept():
    """In plain headers, in structured ones, and in those inside a body."""
    crowd = ("headers: more than 32 dimensions",)
    many = {f"x-ratelimit-limit-d{n}": "1" for n in range(MOST_DIMENSIONS + 1)}
    policy = ", ".join(f'"d{n}";q=1;w=60' for n in range(MOST_DIMENSIONS + 1))
    assert unread(many) == unread({"ratelimit-policy": policy}) == crowd
    several = dict(list(many.items())[:-1])
    assert unread(several) == ()
    inside = {"error": {"type": "x", "headers": {"x-ratelimit-limit-other": "1"}}}
    assert unread(several, 429, inside) == crowd
    assert unread({}, 429, {"error": {"type": "x", "headers": many}}) == crowd


@pytest.mark.parametrize(
    ("headers", "body", "kinds"),
    [
        ({}, "You are rate limited.", (SILENT,)),
        ({}, {"error": {"message": "Rate limit exceeded"}}, (SILENT,)),
        ({}, "<html><title>429</title>", (SILENT,)),
        ({}, {"error": {"message": "Rate limit exceeded, try again in 5 s."}}, ()),
        ({}, {"error": {"message": "Too many tokens", "type": "tokens"}}, ()),
        ({}, {"error": {"message": "Rate limit exceeded", "retry_after": 5}}, ()),
        ({"retry-after": "5"}, "You are rate limited.", ()),
        ({"x-ratelimit-limit": "9", "x-ratelimit-remaining": "0"}, "You are rate limited.", ()),
        ({}, {}, ()),
        ({}, None, ()),
        ({}, {"error": {"code": "insufficient_quota", "message": "No."}}, ()),
    ],
)
def test_a_refusal_that_says_nothing_of_itself(headers, body, kinds):
    """Words of which no rule makes a limit or a wait, where the headers do not say it either."""
    assert unread(headers, 429, body) == kinds


def test_a_vendor_may_say_once_and_for_all_how_long():
    """Then a refusal without a hint is understood."""
    assert unread({}, 403, {"message": "You have exceeded a secondary rate limit."}, dialect="github") == ()


def test_hints_inside_a_body():
    """Told by the name of the member."""
    body = {"error": {"message": "Wait 5 s: try again in 5 s", "retry_after": "soon", "resets_at": None}}
    assert unread({}, 429, body) == ("body retry_after: not a time",)
    inside = {"error": {"message": "try again in 5 s", "metadata": {"headers": {"X-RateLimit-Reset": "x"}}}}
    assert unread({}, 429, inside) == ("x-ratelimit-reset: not a time",)


def test_limits_that_an_event_shows():
    """A body that stands in for headers."""
    event = {"type": "rate_limits.updated", "rate_limits": [{"name": "tokens", "limit": -5, "remaining": 3}]}
    assert unread({}, 200, event) == ("x-ratelimit-limit-tokens: negative",)


# -- bounds ----------------------------------------------------------------------------


def is_bounded(kinds: tuple[str, ...]) -> bool:
    """Few, short, of characters that a log can take, each once."""
    return (
        len(kinds) <= MOST_KINDS
        and len(set(kinds)) == len(kinds)
        and all(kind.isascii() and kind.isprintable() and len(kind) <= LONGEST_NAME + 48 for kind in kinds)
    )


def test_kinds_are_few_and_short():
    """However many headers there are, however long their names, whatever they are made of."""
    many = {f"x-ratelimit-{n}-{'y' * 90}\n\x1b[0m\u00e4{n}": "7" for n in range(100)}
    told = unread(many)
    assert len(told) == MOST_KINDS
    assert is_bounded(told)
    assert unread({"x-quota\r\n\x00\u2028": "7"}) == ("x-quota???: no rule knows it",)
    assert unread([("x-ratelimit-flavour", "1")] * 50) == ("x-ratelimit-flavour: no rule knows it",)


SECRET = "sk-canary-0123456789"


@given(statuses, st.lists(st.tuples(st.sampled_from(NAMES), raw_values), max_size=12), st.sampled_from(names()))
def test_no_value_is_ever_told(status, pairs, dialect):
    """Not of a header that says nothing of limits, and not of one that does."""
    private = [(name, SECRET) for name in ("authorization", "set-cookie", "x-request-id", "retry-after", *NAMES[:9])]
    told = read(status, [*private, *pairs], SECRET, dialect=dialect).unread
    assert is_bounded(told)
    assert not any(SECRET in kind or "authorization" in kind or "cookie" in kind for kind in told)


ODDITIES = {
    SILENT: {"anthropic", "gemini", "mistral"},
    "x-ratelimit-remaining-requests: more than the limit": {"openai"},
    "x-ratelimit-reset-tokens: not a time": {"openai"},
}
"""
What recorded answers hold in vain. Three vendors' refusals have no more than a sentence without a number; an answer of
2023 shows more left than there may be; two recordings have a second value, of another header, under a reset.
"""


def test_recorded_answers_are_understood():
    """All that is left over are true oddities, by whichever way the vendor is found."""
    found: dict[str, set[str]] = {}
    for sample in SAMPLES:
        for how in ({"dialect": sample.dialect}, {"url": sample.url}, {}):
            for kind in read(sample.status, sample.headers, sample.body, **how).unread:
                found.setdefault(kind, set()).add(sample.provider)
    assert found == ODDITIES


def test_what_is_left_over_is_a_fact_like_others():
    """An answer that holds nothing in vain says so by an empty tuple."""
    assert read(200, {}).unread == ()
    assert attrs.evolve(read(200, {}), unread=("a",)) != read(200, {})
