"""
The same measurements of the limiters that others wrote, in an environment of their own below build/.

What cannot be installed (no network) is told as "not installed" and holds nothing else up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import attrs

from ..peers import envs
from .figures import figure

HERE: Final = Path(__file__).parent
NOT_INSTALLED: Final = "not installed"
CHILD_S: Final = 600.0

NAMES: Final = {
    "asyncio.Semaphore": "semaphore",
    "aiolimiter": "aiolimiter",
    "pyrate-limiter": "pyrate",
    "throttled-py": "throttled",
}
"""Name -> that of its subject."""


@attrs.frozen
class Limiters:
    """What their environment is made of, as `benchmarks.peers.envs` asks for it."""

    name: str = "limiters"
    requirements: Path = HERE / "requirements.txt"
    python: tuple[int, int] = (3, 11)


def python() -> str | None:
    """The interpreter that has them; None: it cannot be made."""
    try:
        return str(envs.ready(Limiters(), envs.CACHE.parent))
    except envs.Missing as reason:
        print(reason, file=sys.stderr, flush=True)
        return None


def versions() -> dict[str, str]:
    """What was pinned."""
    pins = (line.partition("==") for line in Limiters().requirements.read_text(encoding="utf-8").split())
    return {name: version for name, _, version in pins}


def child(script: str, *words: object, python: str = sys.executable, timeout_s: float = CHILD_S) -> dict[str, Any]:
    """
    What a script of this folder prints, run in a process of its own.

    Raises:
        subprocess.TimeoutExpired: it takes too long.
    """
    command = [python, str(HERE / script), *map(str, words)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=timeout_s, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def roomy(python: str | None) -> dict[str, Any]:
    """An uncontended call of each."""
    if python is None:
        found = child("roomy.py", "semaphore")
    else:
        found = child("roomy.py", *NAMES.values(), python=python)
    return {name: figure(found[subject]) if subject in found else NOT_INSTALLED for name, subject in NAMES.items()}


def parked(
    python: str | None, count: int, ending: str, collector: str, what: str, repeats: int, scale: float = 1.0
) -> dict[str, Any]:
    """So many calls that wait, of each; None where that has no such end."""
    found: dict[str, Any] = {}
    for name, subject in NAMES.items():
        if subject != "semaphore" and (python is None or ending == "grant"):
            found[name] = None if ending == "grant" else NOT_INSTALLED
            continue
        runs = [
            child("parked.py", subject, count, ending, collector, python=python or sys.executable)
            for _ in range(repeats)
        ]
        found[name] = figure([run[what] * scale for run in runs], 4 if what == "idle_cpu_s" else 2)
    return found
