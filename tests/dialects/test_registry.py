"""Which dialect an answer is in."""

from __future__ import annotations

import pytest

from ratelimit_client.core.profile import Refill
from ratelimit_client.core.signals import Reason
from ratelimit_client.dialects import Dialect, Field, detect, lookup, names, read
from ratelimit_client.dialects.dialect import Vocabulary
from ratelimit_client.dialects.registry import TABLES, overhear

PROMISED = (
    "auto openai azure anthropic groq mistral gemini openrouter github gitlab discord huggingface docker cohere "
    "together replicate cerebras fireworks xai ietf generic"
)


def test_every_promised_name_is_one():
    """Those without a table of their own are read by the generic one, under their name."""
    assert set(names()) == set(PROMISED.split())
    generic = lookup("generic")
    for name in names()[1:]:
        table = lookup(name)
        assert table.name == name
        assert read(200, {"x-ratelimit-limit": "5"}, dialect=name).readings["requests"].limit == 5.0
        if name not in ("openai", "ietf"):
            assert table.profile == generic.profile
    assert len(TABLES) == len(names()) - 1


@pytest.mark.parametrize("name", ["", "OpenAI", "acme", "auto "])
def test_an_unknown_name_is_a_mistake_of_the_caller(name):
    """It is said at once, with the names that there are."""
    with pytest.raises(LookupError, match="openai, "):
        read(200, {}, dialect=name)


def test_auto_is_no_table():
    """It is found out per answer."""
    with pytest.raises(LookupError):
        lookup("auto")


@pytest.mark.parametrize(
    ("url", "headers", "name"),
    [
        ("https://api.openai.com/v1/chat/completions", {}, "openai"),
        ("HTTPS://user:pw@API.OpenAI.com:443?x=/", {}, "openai"),
        ("https://eu.api.openai.com/v1", {}, "openai"),
        ("api.openai.com/v1", {}, "openai"),
        ("https://api.openai.com", {"ratelimit": '"a";r=1'}, "openai"),
        ("https://gateway.example/api.openai.com", {}, "generic"),
        ("https://evil.example/#@api.openai.com", {}, "generic"),
        ("https://xapi.openai.com", {}, "generic"),
        ("https://gateway.example", {"OpenAI-Processing-Ms": "5"}, "openai"),
        ("", {"openai-version": "2020-10-01"}, "openai"),
        (None, {"RateLimit": '"a";r=1'}, "ietf"),
        (None, [("RateLimit-Policy", '"a";q=1')], "ietf"),
        (None, {"ratelimit-policy": '"a";q=1', "openai-version": "2020-10-01"}, "openai"),
        (None, {"x-ratelimit-limit-requests": "5"}, "generic"),
        (None, {}, "generic"),
    ],
)
def test_host_first_then_headers(url, headers, name):
    """A known host is certain; else what only one vendor sends gives it away; else nobody."""
    assert detect(url=url, headers=headers).name == name


def test_a_name_beats_host_and_headers():
    """What the user says is obeyed, a table of their own included."""
    headers = {"openai-version": "1"}
    assert detect("ietf", url="https://api.openai.com", headers=headers).name == "ietf"
    own = Dialect(name="own")
    assert detect(own, url="https://api.openai.com") is own


def test_an_overheard_table_with_names_of_its_own_is_read_in_full():
    """Marked by one header, its irregular ones count too, from a one-shot iterable as well."""
    acme = Dialect(name="acme", markers=("x-acme",), names={"x-acme-left": Field.REMAINING})
    headers = iter([("x-acme-left", "5"), ("x-acme", "1")])
    table, collected = overhear(headers, (acme,), Vocabulary(lookup("generic"), (acme,)))
    assert table is acme
    assert collected.rows["requests"][1] == "5"


def test_profiles():
    """What the scheduler is told of each kind of server."""
    openai, ietf, generic = (lookup(name).profile for name in ("openai", "ietf", "generic"))
    assert (openai.refill, openai.reset_is_exact, openai.default_window_s) == (Refill.CONTINUOUS, True, 60.0)
    assert openai.pays["project-tokens"] == openai.pays["tokens_usage_based"] == "tokens"
    assert openai.settles == frozenset()
    assert (ietf.refill, generic.refill) == (Refill.WINDOW, Refill.UNKNOWN)
    assert generic.pays["req-10-second"] == generic.pays["project-requests"] == "requests"
    assert generic.pays["tokens-minute"] == "tokens"
    assert "input-tokens" not in generic.pays


def test_an_answer_without_a_status():
    """A batch line or an event has none."""
    assert read(0, {}).reason is Reason.OK
    assert read(0, {}, {"error": {"code": "rate_limit_exceeded"}}).retryable is True
