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


def test_a_limiter_needs_no_http_library() -> None:
    """Whoever sends by something else does not pay for aiohttp."""
    found = loaded("from ratelimit_client import Limiter; Limiter(name='a')")
    assert "ratelimit_client.runtime.limiter" in found
    assert not found & {"aiohttp", "httpx", "orjson", "prometheus_client", "rich", "tenacity", "yarl"}
