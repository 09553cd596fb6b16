"""
Plant a bug in a copy of the library and see whether the suite finds it.

    python -m tests.planted              all of them, with the test that found each
    python -m tests.planted "torn tail kept"
    python -m tests.planted --days 200   in how many simulated days, or bulk jobs, each is found by chance
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import attrs

from tests.planted.bugs import Bug

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "ratelimit_client"
_PATIENCE_S = 300.0
_STILL_S = 120
_FAILED = 1


@attrs.frozen
class Find:
    """
    How the suite found a bug.

    Args:
        by: the first test that failed, or that it hung.
        tests: how many tests had passed before, in the files that were run.
        seconds: until then.
    """

    by: str
    tests: int
    seconds: float


class CannotPlant(Exception):
    """The text that the bug replaces does not stand in its file once: bring the bug up to date."""


def plant(bug: Bug, folder: Path) -> Path:
    """A copy of the library with *bug* in it; returns the folder to import it from."""
    target = folder / "ratelimit_client"
    shutil.copytree(SOURCE, target, ignore=shutil.ignore_patterns("__pycache__"))
    path = target / bug.file
    text = path.read_text()
    if text.count(bug.old) != 1:
        raise CannotPlant(f"{bug.name}: found {text.count(bug.old)} times in {bug.file}, not once")
    path.write_text(text.replace(bug.old, bug.new))
    return folder


def find(bug: Bug, folder: Path) -> Find | None:
    """Run the suite against the library in *folder*; None when it notices nothing."""
    env = _with(folder)
    options = ["-o", "addopts=--import-mode=importlib", "-o", f"faulthandler_timeout={_STILL_S}"]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *options]
    began, passed = time.monotonic(), 0
    for where in bug.tests:
        try:
            run = subprocess.run(
                [*command, str(ROOT / "tests" / where)],
                cwd=ROOT, env=env, capture_output=True, text=True, timeout=_PATIENCE_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            if bug.hangs:
                return Find(f"{where} (it hangs)", passed, time.monotonic() - began)
            raise
        counted = re.search(r"(\d+) passed", run.stdout)
        passed += int(counted[1]) if counted else 0
        if run.returncode == _FAILED:
            failed = re.search(r"^FAILED tests/(\S+)", run.stdout, re.MULTILINE)
            return Find(failed[1] if failed else where, passed, time.monotonic() - began)
        if bug.hangs and "Timeout (" in run.stderr:
            return Find(f"{where} (it hangs)", passed, time.monotonic() - began)
        if run.returncode != 0:
            raise RuntimeError(f"{bug.name}: the suite itself broke\n{run.stdout[-2000:]}\n{run.stderr[-2000:]}")
    return None


def live(folder: Path, days: int, *, jobs: bool = False) -> int | None:
    """
    How many simulated days it takes until one goes wrong with the library in *folder*.

    Args:
        days: so many at most; None is returned when all of them are well.
        jobs: bulk jobs, and no days.
    """
    command = [sys.executable, "-m", "tests.simulation", "--seed", "0", "--days", str(days), "--until-wrong"]
    run = subprocess.run(
        [*command, *(["--job"] if jobs else [])],
        cwd=ROOT, env=_with(folder), capture_output=True, text=True, timeout=_PATIENCE_S, check=False,
    )  # fmt: skip
    wrong = re.search(r"^(?:seed|job) (\d+): ", run.stdout, re.MULTILINE)
    if wrong is None and run.returncode != 0:
        raise RuntimeError(f"the simulation itself broke\n{run.stdout[-2000:]}\n{run.stderr[-2000:]}")
    return None if wrong is None else int(wrong[1]) + 1


def _with(folder: Path) -> dict[str, str]:
    """The environment of a process that imports the library from *folder*."""
    env = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "RLC_SIZE": "test"}
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    env.pop("RLC_FORBID_SKIPS", None)
    return env
