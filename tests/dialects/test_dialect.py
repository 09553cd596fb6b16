"""A vendor as a table."""

from __future__ import annotations

import doctest

import attrs
import pytest

from ratelimit_client.core.profile import Refill, ServerProfile
from ratelimit_client.core.signals import Reason
from ratelimit_client.dialects import Dialect, Field, Unit, read
from ratelimit_client.dialects import dialect as module
from ratelimit_client.dialects.dialect import MOST_NAMES, Vocabulary, window_in_name
from ratelimit_client.dialects.openai import OPENAI

ACME = Dialect(
    name="acme",
    hosts=("api.acme.example", ".eu.acme.example"),
    markers=("X-Acme-Trace",),
    names={"X-Acme-Left": Field.REMAINING, "x-acme-words": (Field.LIMIT, "words"), "x-acme-id": Field.REQUEST_ID},
    numbers=Unit.MILLISECONDS,
    windows={"requests": 60.0},
    codes={"too-fast": Reason.RATE_LIMITED},
    sentences=((r"\bbuy more\b", Reason.QUOTA_EXHAUSTED),),
    profile=ServerProfile(pays={"requests": "requests"}, refill=Refill.WINDOW),
)


@pytest.mark.parametrize(
    ("name", "field", "dimension"),
    [
        ("x-ratelimit-limit-requests", Field.LIMIT, "requests"),
        ("X-RateLimit-Remaining-Tokens", Field.REMAINING, "tokens"),
        ("ratelimit-reset-tokens", Field.RESET, "tokens"),
        ("x-rate-limit-reset-tokens", Field.RESET, "tokens"),
        ("rate-limit-limit", Field.LIMIT, "requests"),
        ("x-ratelimit-limit-tokens_usage_based", Field.LIMIT, "tokens_usage_based"),
        ("x-ratelimit-remaining-req-10-second", Field.REMAINING, "req-10-second"),
        ("x-ratelimit-reset-after", Field.RESET_AFTER, "requests"),
        ("x-ratelimit-reset-after-tokens", Field.RESET_AFTER, "tokens"),
        ("x-ratelimit-used", Field.USED, "requests"),
        ("x-ratelimit-renewalperiod-tokens", Field.WINDOW, "tokens"),
        ("x-ratelimit-tokens-query-cost", Field.COST, "tokens"),
        ("x-ratelimit-resource", Field.GROUP, ""),
        ("x-ratelimit-route-limit", Field.LIMIT, "route"),
        ("x-ratelimit-route-reset-after", Field.RESET_AFTER, "route"),
        ("retry-after", Field.RETRY_AFTER, ""),
        ("RateLimit", Field.RATELIMIT, ""),
        (" date ", Field.DATE, ""),
        (b"Retry-After-Ms", Field.RETRY_AFTER_MS, ""),
    ],
)
def test_names_are_an_open_set(name, field, dimension):
    """All prefixes, both orders, any dimension, any case, text or bytes."""
    slot = OPENAI.vocabulary[name]
    assert slot is not None
    assert (slot.field, slot.dimension) == (field, dimension)


@pytest.mark.parametrize(
    "name",
    [
        "content-type",
        "llm_provider-x-ratelimit-limit-requests",
        "x-ratelimit-limit-" + "x" * 500,
        "",
        5,
        None,
    ],
)
def test_names_that_tell_nothing(name):
    """Copies a proxy made of the upstream's headers, other headers, absurd ones."""
    assert OPENAI.vocabulary[name] is None


@pytest.mark.parametrize(
    "name",
    [
        "x-ratelimit-key",
        "x-ratelimit-limit-",
        "x-ratelimit-limit-\u00e4",
        "x-ratelimit-tokens-query-price",
        "ratelimit-resettime",
        "x-ratelimit-limit-" + "x" * 65,
    ],
)
def test_names_that_speak_of_a_limit_and_that_nobody_knows(name):
    """They are noticed, and tell nothing else."""
    slot = OPENAI.vocabulary[name.title()]
    assert slot is not None
    assert (slot.field, slot.dimension) == (Field.UNKNOWN, name)


def test_two_spellings_share_a_slot():
    """What they say meets in one place."""
    assert OPENAI.vocabulary["x-ratelimit-limit-tokens"] is OPENAI.vocabulary["RateLimit-Limit-Tokens"]
    assert OPENAI.vocabulary["x-request-id"] is not OPENAI.vocabulary["request-id"]


def test_a_vocabulary_stops_growing():
    """A hostile server's names are looked at, not kept."""
    vocabulary = Vocabulary(OPENAI)
    for n in range(MOST_NAMES + 10):
        assert vocabulary[f"x-ratelimit-limit-d{n}"] is not None
    assert len(vocabulary) == MOST_NAMES
    assert vocabulary["x-ratelimit-limit-d0"] is vocabulary["x-ratelimit-limit-d0"]
    late = vocabulary["x-ratelimit-limit-late"]
    assert late is not None
    assert late.dimension == "late"


@pytest.mark.parametrize(
    ("name", "window_s"),
    [
        ("tokens-minute", 60.0),
        ("req-10-second", 10.0),
        ("requests-day", 86_400.0),
        ("tokens-month", 2_592_000.0),
        ("audio-seconds-minute", 60.0),
        ("requests_per_hour", 3_600.0),
        ("minute", 60.0),
        ("5-minute", 300.0),
        ("requests", None),
        ("minute-requests", None),
        ("audio-seconds", None),
    ],
)
def test_a_window_in_the_name(name, window_s):
    """The last part of a name may be its window."""
    assert window_in_name(name) == window_s


def test_a_table_of_ones_own():
    """Irregular names, units, windows, codes and sentences are all data."""
    headers = {"x-acme-left": "5", "x-acme-words": "900", "x-ratelimit-reset": "1500", "x-acme-id": "a-1"}
    signals = read(400, headers, {"error": {"code": "TOO-FAST"}}, dialect=ACME)
    requests = signals.readings["requests"]
    assert (requests.remaining, requests.reset_s, requests.window_s) == (5.0, 1.5, 60.0)
    assert signals.readings["words"].limit == 900.0
    assert signals.request_id == "a-1"
    assert read(429, {}, "please BUY MORE", dialect=ACME).reason is Reason.QUOTA_EXHAUSTED
    assert read(500, {}, {"code": "too_fast"}, dialect=ACME).reason is Reason.RATE_LIMITED


def test_hosts():
    """One host, or any below one that begins with a dot; a single text is one host."""
    assert ACME.speaks_at("api.acme.example")
    assert ACME.speaks_at("x.eu.acme.example")
    assert not ACME.speaks_at("eu.acme.example")
    assert not ACME.speaks_at("acme.example")
    assert Dialect(name="one", hosts="one.example").hosts == ("one.example",)


def test_a_table_can_be_changed():
    """evolve keeps all but what is named, compiled sentences included, with a vocabulary of its own."""
    twin = attrs.evolve(ACME, name="twin", names={})
    assert twin.sentences == ACME.sentences
    assert twin.vocabulary["x-acme-left"] is None


def test_the_example_of_the_documentation_is_a_table():
    """The table shown to people who write one of their own is a valid one."""
    assert module.__doc__ is not None
    example = module.__doc__[module.__doc__.index("    ACME = Dialect(") :]
    names = {"Dialect": Dialect, "Field": Field, "Unit": Unit, "Reason": Reason}
    names |= {"ServerProfile": ServerProfile, "Refill": Refill}
    exec("if True:\n" + example, names)  # type: ignore[arg-type]
    table = names["ACME"]
    assert isinstance(table, Dialect)
    assert read(200, {"x-acme-words": "7"}, dialect=table).readings["words"].remaining == 7.0


def test_the_examples_of_the_docstrings_run():
    """read's own example says what happens."""
    from ratelimit_client.dialects import registry

    assert doctest.testmod(registry, extraglobs={"read": read}).failed == 0
