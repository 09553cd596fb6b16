"""What a process loads before it does anything: as little as that needs. Nothing here looks at a clock."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("aiohttp", "asyncio", "httpx", "orjson", "prometheus_client", "rich", "ssl", "tenacity", "tiktoken", "yarl")

TELL = (
    "import sys; print('LOADED', *sorted(name for name in sys.modules if '.' not in name or name.startswith('rate')))"
)


def loaded(code: str) -> set[str]:
    """The modules of a fresh process after *code*."""
    ended = subprocess.run([sys.executable, "-c", f"{code}\n{TELL}"], capture_output=True, text=True, check=True)
    return set(ended.stdout.rpartition("LOADED")[2].split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    """Not even attrs: the friendly names are loaded when they are asked for."""
    found = loaded("import ratelimit_client")
    assert "ratelimit_client" in found
    assert not found & {*HEAVY, "attrs", "logging"}


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["retry", "--help"], ["--version"]])
def test_the_help_loads_nothing_that_makes_or_plans_calls(words: list[str]) -> None:
    """It is printed from the tables of the options alone."""
    found = loaded(f"from ratelimit_client.cli import main; main({words!r})")
    assert "ratelimit_client.cli.tables" in found
    assert not found & set(HEAVY)
    planning = ("bulk.row", "bulk.journal", "dialects", "core.scheduler")
    assert not found & {f"ratelimit_client.{name}" for name in planning}
    assert not found & {"ratelimit_client.runtime.limiter", "ratelimit_client.adapters.aiohttp"}


def test_a_client_loads_what_its_calls_need() -> None:
    """
    Streams and sessions are loaded by the first of them, with the same names as ever.

    The reading of errors is there: its patterns would keep the loop for long at the first refusal.
    """
    made = "from ratelimit_client import Client; Client(api_key='', base_url='http://127.0.0.1:1')"
    found = loaded(made)
    client = "ratelimit_client.adapters.aiohttp"
    assert f"{client}.wire" in found
    unused = {f"{client}.{name}" for name in ("stream", "opening", "realtime", "conversation", "websocket", "session")}
    assert not found & unused
    assert {"ratelimit_client.dialects.failed", "ratelimit_client.dialects.texts"} <= found
    assert unused - {f"{client}.session"} <= loaded(f"{made}\nfrom {client} import Realtime, Stream")


def test_a_run_loads_nothing_of_other_commands() -> None:
    """Neither plans nor retries nor reports, and what several workers need least of all."""
    found = loaded("import ratelimit_client.cli.commands.run")
    assert "ratelimit_client.bulk.job" in found
    others = ("bulk.preview", "bulk.retry", "bulk.standing", "cli.dry_run", "cli.outlook", "adapters.tiktoken")
    others += ("adapters.ray", "bulk.engines.crew", "bulk.engines.recipe", "bulk.sharded", "cli.cluster")
    assert not found & {f"ratelimit_client.{name}" for name in others}


def test_a_limiter_needs_no_http_library() -> None:
    """Whoever sends by something else does not pay for aiohttp."""
    found = loaded("from ratelimit_client import Limiter; Limiter(name='a')")
    assert "ratelimit_client.runtime.limiter" in found
    assert not found & {"aiohttp", "httpx", "orjson", "prometheus_client", "rich", "tenacity", "yarl"}
