"""
What a call costs as there are more of something: calls that wait, keys, tenants, rows of a job.

    python -m benchmarks.growth [queued|keys|tenants|input|ids] [--full]

Law of this folder: a point is bounded in time and left out when it takes longer; what is compared with a
floor is compared at the same number.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any, Final

from . import bulk
from .queued import queued
from .wide import wide

ROWS: Final = (10_000, 100_000, 1_000_000)
ROWS_FULL: Final = (*ROWS, 10_000_000)
MOST_MB: Final = 200.0


def inputs(counts: tuple[int, ...] = ROWS) -> list[dict[str, Any]]:
    """A job of so many rows from its start to its end, and the same started anew when all are done."""
    found = []
    for rows in counts:
        try:
            run, resumed = bulk.measured("rows", rows), bulk.resumed(rows)
        except subprocess.TimeoutExpired:
            break
        kept = ("seconds", "cpu_s", "largest_mb")
        found.append(
            {
                "rows": rows,
                "mb": resumed["mb"]["in"],
                "run": {name: run[name] for name in kept},
                "resume": resumed["first"],
                "resume_again": resumed["again"],
            }
        )
    return found


def ids(count: int = bulk.IDS) -> dict[str, Any]:
    """The table of names alone."""
    return {"grown": bulk.measured("ids_grown", count), "expected": bulk.measured("ids_expected", count)}


PARTS: Final[dict[str, Callable[[], Any]]] = {
    "queued": queued,
    "keys": lambda: wide("keys"),
    "tenants": lambda: wide("tenants"),
    "input": inputs,
    "ids": ids,
}


def growth() -> dict[str, Any]:
    """All of it, up to a million rows."""
    return judged({name: part() for name, part in PARTS.items()})


def growth_full() -> dict[str, Any]:
    """The same, up to ten million."""
    return judged({name: part() if name != "input" else inputs(ROWS_FULL) for name, part in PARTS.items()})


def judged(found: dict[str, Any]) -> dict[str, Any]:
    """With what was asked, and whether it holds."""
    return {**found, "goals": [*_of_queued(found.get("queued", [])), *_of_input(found.get("input", []))]}


def _of_queued(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(points) < 2:
        return []
    first, last = points[0], points[-1]
    ours, bare = (last[name] / first[name] for name in ("enqueue_us", "bare_enqueue_us"))
    return [
        {
            "what": f"joining the queue at {last['n']:,} against {first['n']:,}",
            "goal": "grows no faster than a bare task and its future",
            "measured": f"{ours:.2f} times, bare {bare:.2f} times",
            "holds": ours <= bare,
        }
    ]


def _of_input(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not points:
        return []
    last = points[-1]
    most = max(last[name]["largest_mb"] for name in ("run", "resume", "resume_again"))
    return [
        {
            "what": f"memory of a job of {last['rows']:,} rows, run or resumed",
            "goal": f"<= {MOST_MB:g} MB at 10,000,000",
            "measured": f"{most:.0f} MB",
            "holds": most <= MOST_MB,
        }
    ]
