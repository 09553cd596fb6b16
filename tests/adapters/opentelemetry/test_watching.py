"""What is watched, and what that needs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ratelimit_client import Client, ConfigurationError, Limiter
from ratelimit_client.adapters.opentelemetry import watch, words
from ratelimit_client.adapters.opentelemetry.extra import needed
from ratelimit_client.adapters.opentelemetry.words import TOKENS_UP_TO, operation_of, provider_of
from ratelimit_client.core.events import Kind
from tests.adapters.opentelemetry.recording import Recording


def test_who_is_watched_twice_is_told_of_once() -> None:
    """Also as the limiter of a client that is watched."""
    recording, limiter = Recording(), Limiter()
    client = Client("http://127.0.0.1:1", api_key="", limiter=limiter)
    for what in (limiter, client, client):
        watch(what, **recording.providers)
    first = client.tally.watcher
    watch(client, gen_ai=True, **recording.providers)
    assert len(limiter._instruments._instruments) == 1
    assert client.tally.watcher is first is not None


def test_of_a_limiter_and_of_a_client_that_says_no_there_are_waits_and_tries_only() -> None:
    """Nothing watches its calls."""
    client = Client("http://127.0.0.1:1", api_key="")
    watch(client, gen_ai=False, **Recording().providers)
    assert client.tally.watcher is None
    assert Kind.GRANTED in client.limiter._instruments.wanted()


def test_what_is_neither_is_refused() -> None:
    """By its type."""
    with pytest.raises(ConfigurationError, match="a Client or a Limiter, and not str"):
        watch("client")


def test_without_the_extra_it_says_what_to_install() -> None:
    """And what else cannot be imported is told as it is."""
    with pytest.raises(ConfigurationError, match=r"pip install 'ratelimit-client\[otel\]'"):
        needed("opentelemetry.no_such_module")
    broken = ModuleType("broken_for_otel")
    broken.__path__ = []
    sys.modules["broken_for_otel"] = broken
    try:
        with pytest.raises(ModuleNotFoundError):
            needed("broken_for_otel.inside")
    finally:
        del sys.modules["broken_for_otel"]


def test_nothing_is_loaded_before_somebody_is_watched() -> None:
    """Neither by a client nor by the adapter."""
    code = (
        "import sys; from ratelimit_client import Client; import ratelimit_client.adapters.opentelemetry;"
        "Client(api_key='', base_url='http://127.0.0.1:1');"
        "sys.exit(any(name.split('.')[0] == 'opentelemetry' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_page_names_what_is_told_and_nothing_else() -> None:
    """Every attribute and metric of the code is in docs/opentelemetry.md, and the page has no other of ours."""
    page = (Path(__file__).parents[3] / "docs" / "opentelemetry.md").read_text()
    texts = [value for name, value in vars(words).items() if name.isupper() and isinstance(value, str)]
    names = {text for text in (*texts, *words.USED.values()) if "." in text and "/" not in text}
    assert {name for name in names if f"`{name}`" not in page and f'`{name}="' not in page} == set()
    shown = set(re.findall(r"`((?:ratelimit_client|gen_ai|server|error|http)\.[a-z_.]+)`", page))
    assert shown - names == set()


def test_who_is_not_watched_makes_no_events() -> None:
    """And looks for no context."""
    limiter: Any = Limiter()
    scheduler = limiter._desk.dispatcher.scheduler
    assert (scheduler.witness, scheduler.wants(Kind.GRANTED)) == (None, False)
    watch(limiter, **Recording().providers)
    assert scheduler.witness is not None


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/chat/completions", "chat"),
        ("/openai/deployments/x/chat/completions", "chat"),
        ("/v1/completions", "text_completion"),
        ("/v1beta/models/gemini:streamGenerateContent", "generate_content"),
        ("/v1/messages", "chat"),
        ("/v1/files", None),
    ],
)
def test_operations_by_path(path: str, name: str | None) -> None:
    """The first end that fits."""
    assert operation_of(path) == name


def test_providers_by_the_names_of_the_conventions() -> None:
    """Where they have one; else by ours. Buckets are powers of four."""
    assert [provider_of(name) for name in ("openai", "azure", "xai", "mistral", "generic", "groq", "together")] == [
        *("openai", "azure.ai.openai", "x_ai", "mistral_ai", "openai", "groq", "together"),
    ]
    assert (TOKENS_UP_TO[0], TOKENS_UP_TO[-1]) == (1, 67108864)
