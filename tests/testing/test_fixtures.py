"""The fixtures as a user's tests see them, and the names of the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ratelimit_client import testing

TESTS = """
import asyncio, urllib.request
from ratelimit_client import per_minute

pytest_plugins = ["ratelimit_client.testing.fixtures"]

def test_clock(manual_clock):
    assert manual_clock.advance(1) == 10**9

def test_pure(model_server):
    assert model_server(per_minute(requests=1)).request(now_ns=0).status == 200

def test_virtual(virtual):
    _, loop = virtual(lambda: asyncio.sleep(3600))
    assert loop.elapsed_s == 3600

def test_served(served_model):
    url = served_model(per_minute(requests=1))
    with urllib.request.urlopen(f"{url}/models") as answer:
        assert answer.status == 200
    assert url.stats()["calls"] == 1
"""


def test_the_fixtures_work_in_a_project_of_ones_own(tmp_path: Path) -> None:
    """Clock, pure server, virtual loop and served server, with one line in a test file."""
    (tmp_path / "test_mine.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "4 passed" in done.stdout, done.stdout + done.stderr


def test_every_name_is_there_and_a_wrong_one_is_named() -> None:
    """What __all__ lists can be imported, lazily; dir() shows it."""
    for name in testing.__all__:
        assert getattr(testing, name).__name__ == name
    assert set(testing.__all__) <= set(dir(testing))
    with pytest.raises(AttributeError, match="ModelSurfer"):
        testing.ModelSurfer


def test_importing_it_needs_neither_pytest_nor_aiohttp() -> None:
    """Nothing is loaded before it is asked for; the pure server never asks for aiohttp."""
    look = (
        "import sys, ratelimit_client.testing as t; assert not {'asyncio', 'aiohttp', 'pytest'} & set(sys.modules);"
        "t.ModelServer().request(now_ns=0); assert not {'asyncio', 'aiohttp', 'pytest'} & set(sys.modules);"
        "t.run_virtual; t.serve_in_process; assert 'pytest' not in sys.modules"
    )
    subprocess.run([sys.executable, "-I", "-W", "error", "-c", look], check=True)
