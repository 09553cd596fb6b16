"""
What each workload takes: instructions, as valgrind counts them, and bytes that are held, as tracemalloc does.

Law of this file: one process imports everything and forks a child for each run; what a child took is
what it wrote when it ended, and the difference between two runs is the work alone. The environment
of that process is made here and inherited from nobody.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent.parent
_MOST_S: Final = 600
_summary = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)


class CannotCount(RuntimeError):
    """There is no valgrind, or a run under it failed."""


def instructions(names: Iterable[str], module: str = "benchmarks.gate.workloads") -> dict[str, float]:
    """
    Instructions an operation of each workload in the WORKLOADS of *module*.

    Raises:
        CannotCount: valgrind is missing or a workload failed; the message says which.
    """
    if (valgrind := shutil.which("valgrind")) is None:
        raise CannotCount("valgrind is missing: install it with the packages of your system (apt-get install valgrind)")
    with tempfile.TemporaryDirectory() as folder:
        command = [
            valgrind,
            "--tool=cachegrind",  # counts what callgrind counts, in half the time
            "--cache-sim=no",
            f"--cachegrind-out-file={folder}/%p",
            f"--log-file={folder}/log.%p",
        ]
        found = {}
        for run in _children(command, "instructions", module, names):
            once, twice = (_counted(Path(folder, str(pid))) for pid in run["pids"])
            found[run["name"]] = (twice - once) / run["operations"]
        return found


def held_bytes(names: Iterable[str], module: str = "benchmarks.gate.holding") -> dict[str, float]:
    """Bytes that one of each of the HOLDINGS of *module* holds."""
    return {run["name"]: run["bytes"] for run in _children((), "bytes", module, names)}


def _children(under: Sequence[str], what: str, module: str, names: Iterable[str]) -> list[dict[str, Any]]:
    command = [*under, sys.executable, "-m", "benchmarks.gate.child", what, module, *names]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False, timeout=_MOST_S
        )
    except subprocess.TimeoutExpired as error:
        raise CannotCount(
            f"counting {what} took more than {_MOST_S} s: a workload waits for what never comes"
        ) from error
    if done.returncode:
        raise CannotCount(f"counting {what} failed ({done.returncode}):\n{done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def _environment() -> dict[str, str]:
    """The same for everybody: paths and sizes of the environment are part of what is counted."""
    kept = {name: os.environ[name] for name in ("PATH", "VIRTUAL_ENV") if name in os.environ}
    return {**kept, "PYTHONHASHSEED": "0", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}", "LC_ALL": "C.UTF-8"}


def _counted(file: Path) -> int:
    found = _summary.search(file.read_text(encoding="ascii", errors="replace"))
    if found is None:
        raise CannotCount(f"valgrind wrote no sum into {file.name}")
    return int(found[1])
