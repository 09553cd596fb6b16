"""Which dialect an answer is in."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from ratelimit_client.core.profile import Refill
from ratelimit_client.core.signals import Reason
from ratelimit_client.dialects import Dialect, detect, lookup, names, read
from ratelimit_client.dialects.registry import overhear
from ratelimit_client.dialects.signs import ALL, MARKS

PROMISED = (
    "auto openai azure anthropic groq mistral gemini openrouter github gitlab discord huggingface docker cohere "
    "together replicate cerebras fireworks xai ietf generic"
)


def test_every_promised_name_is_one():
    """Each has a table, which reads the common names as well as its own."""
    assert set(names()) == set(PROMISED.split())
    for name in names()[1:]:
        assert lookup(name).name == name
        assert read(200, {"x-ratelimit-limit": "5"}, dialect=name).readings["requests"].limit == 5.0


def test_a_table_says_of_itself_what_it_is_recognised_by():
    """Names, hosts and markers stand in one place, read before any table is loaded."""
    assert names() == ("auto", *(signs.name for signs in ALL))
    for signs in ALL:
        table = lookup(signs.name)
        assert (table.name, table.hosts, table.markers) == (signs.name, signs.hosts, signs.markers)
        assert table.is_vendors == (signs.name not in ("ietf", "generic"))
        re.compile(signs.wording)


def test_a_marker_belongs_to_one_vendor():
    """No header gives two away."""
    markers = [marker for signs in ALL for marker in signs.markers]
    assert len(markers) == len(set(markers)) == len(MARKS)
    assert all(marker == marker.lower() for marker in markers)


def test_tables_are_loaded_when_they_are_needed():
    """Importing the package loads no vendor's but OpenAI's; one question loads one file."""
    code = (
        "import sys, ratelimit_client.dialects as d\n"
        "before = [m for m in sys.modules if m.startswith('ratelimit_client.dialects.')]\n"
        "d.read(200, {'apim-request-id': 'r'})\n"
        "after = [m for m in sys.modules if m.startswith('ratelimit_client.dialects.')]\n"
        "print(sorted(set(after) - set(before)))\n"
        "print(any(m.endswith(('groq', 'hosted', 'forges', 'azure')) for m in before))\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines() == ["['ratelimit_client.dialects.azure']", "False"]


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
    headers = iter([("ratelimitbysize-remaining", "5"), ("mistral-correlation-id", "1"), 7])
    table, collected = overhear(headers)
    assert table is lookup("mistral")
    assert collected.rows["tokens-minute"][1] == "5"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://res.openai.azure.com/openai/deployments/d/chat/completions?api-version=1", "azure"),
        ("https://models.github.ai/inference/chat/completions", "azure"),
        ("https://api.anthropic.com/v1/messages", "anthropic"),
        ("https://api.groq.com/openai/v1/chat/completions", "groq"),
        ("https://api.mistral.ai/v1/chat/completions", "mistral"),
        ("https://generativelanguage.googleapis.com/v1beta/models/m:generateContent", "gemini"),
        ("https://us-central1-aiplatform.googleapis.com/v1/projects/p", "gemini"),
        ("https://openrouter.ai/api/v1/chat/completions", "openrouter"),
        ("https://api.together.xyz/v1/completions", "together"),
        ("https://api.replicate.com/v1/predictions", "replicate"),
        ("https://api.cerebras.ai/v1/chat/completions", "cerebras"),
        ("https://api.fireworks.ai/inference/v1/chat/completions", "fireworks"),
        ("https://api.x.ai/v1/chat/completions", "xai"),
        ("https://api.cohere.com/v2/chat", "cohere"),
        ("https://router.huggingface.co/v1/chat/completions", "huggingface"),
        ("https://registry-1.docker.io/v2/", "docker"),
        ("https://api.github.com/repos/o/r", "github"),
        ("https://gitlab.com/api/v4/projects", "gitlab"),
        ("https://discord.com/api/v10/users/@me", "discord"),
        ("https://chatgpt.com/backend-api/codex/responses", "openai"),
    ],
)
def test_every_vendor_is_known_by_its_host(url, name):
    """One address of each."""
    assert detect(url=url).name == name


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"apim-request-id": "r", "openai-processing-ms": "3482.8264"}, "azure"),
        ({"X-RateLimit-RenewalPeriod-Tokens": "60"}, "azure"),
        ({"anthropic-ratelimit-unified-status": "allowed"}, "anthropic"),
        ({"x-groq-region": "dls"}, "groq"),
        ({"ratelimitbysize-limit": "5"}, "mistral"),
        ({"x-gemini-service-tier": "standard"}, "gemini"),
        ({"x-tokenlimit-limit": "5"}, "together"),
        ({"fireworks-prompt-tokens": "5"}, "fireworks"),
        ({"x-trial-endpoint-call-limit": "40"}, "cohere"),
        ({"X-GitHub-Request-Id": "r"}, "github"),
        ({"RateLimit-Observed": "5", "RateLimit-Reset": "1609844400"}, "gitlab"),
        ({"docker-ratelimit-source": "192.0.2.1"}, "docker"),
        ({"X-RateLimit-Bucket": "abcd"}, "discord"),
        ({"x-codex-primary-used-percent": "5"}, "openai"),
    ],
)
def test_headers_that_give_a_vendor_away(headers, name):
    """Behind a host nobody knows, what only one vendor sends is enough."""
    assert detect(url="https://gateway.example/v1", headers=headers).name == name


@pytest.mark.parametrize(
    ("body", "retryable"),
    [
        ({"error": {"message": "Rate limit exceeded: free-models-per-day.", "code": "429"}}, False),
        ({"error": {"code": "429", "message": "... S0 pricing tier. Please retry after 86400 seconds."}}, False),
        ({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "You exceeded your current quota"}}, True),
        ({"error": {"message": "You exceeded your current quota. Read https://platform.openai.com/docs"}}, False),
    ],
)
def test_an_error_may_give_its_vendor_away(body, retryable):
    """Without a host or a header, its wording does."""
    assert read(429, {}, body).retryable is retryable


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
