"""The lag of a loop on which very many calls wait: the rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from .figures import row

ROOT: Final = Path(__file__).parents[2]
COUNT: Final = 100_000
REPEATS: Final = 3
MOST_MS: Final = 10.0
RATES: Final = {
    "parked": ("0", "nothing comes of it"),
    "served": ("200", "200 a second are let out"),
    "full_rate": ("all", "they are let out as fast as can be"),
}


def lags() -> list[dict[str, Any]]:
    """For each rate how late a beat came, and how long the process itself kept the loop."""
    rows = []
    for name, (rate, says) in RATES.items():
        runs = [_run(rate) for _ in range(REPEATS)]
        rows.append(
            row(
                f"loop_lag_{name}",
                f"longest lag of the loop, {COUNT:,} wait, {says}",
                [run["longest_ms"] for run in runs],
                unit="ms",
                floor=[run["floor"]["longest_ms"] for run in runs],
                floor_is="the same loop with nothing on it",
                most=MOST_MS,
            )
        )
        rows.append(
            row(
                f"loop_busy_{name}",
                "longest time of CPU between two beats, the same runs",
                [run["busy_ms"] for run in runs],
                unit="ms",
                floor=[run["floor"]["busy_ms"] for run in runs],
                floor_is="the same loop with nothing on it",
                most=MOST_MS,
            )
        )
    return [*rows, *_looks()]


def _run(rate: str) -> dict[str, Any]:
    words = [sys.executable, "-m", "benchmarks.micro.lag", str(COUNT), rate, "4"]
    done = subprocess.run(words, capture_output=True, check=True, cwd=ROOT, timeout=120)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _looks() -> list[dict[str, Any]]:
    """What is done in one go while so many wait."""
    words = [sys.executable, "-m", "benchmarks.micro.looks", str(COUNT)]
    runs = []
    for _ in range(REPEATS):
        done = subprocess.run(words, capture_output=True, check=True, cwd=ROOT, timeout=120)
        runs.append(json.loads(done.stdout))
    return [
        row(
            f"one_go_{name}",
            f"{says}, {COUNT:,} wait",
            [run[name] for run in runs],
            unit="ms",
            most=None if name == "close" else MOST_MS,  # once, and then nobody is left to be held up
        )
        for name, says in LOOKS.items()
    ]


LOOKS: Final = {
    "statistics": "`limiter.statistics()`",
    "waiting": "`limiter.waiting()`",
    "explain": "`limiter.explain()`",
    "deadline": "joining with a deadline, the longest of all",
    "cancel": "cancelling, the longest of all",
    "close": "`limiter.close()`",
}
