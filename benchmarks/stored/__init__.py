"""
What an acquisition costs through a Redis: ours, and that of those who ask it for every call.

All run in one environment, of one Python, on one redis-server, in turn, a process each; ``acquire.py`` is the script.
Ours and ours without a store are measured with the same loop, so their difference is what sharing costs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import attrs

from ..peers import envs
from ..processes import store

HERE: Final = Path(__file__).parent
ROUNDS: Final = 3
COUNTS: Final = {
    "ours": 1_000_000,  # several seconds, so that its questions to the store are among them
    "alone": 1_000_000,
    "token-throttle": 500,
    "limits": 3_000,
    "limits-sliding": 3_000,
    "pyrate-limiter": 3_000,
}
"""Acquisitions of each in a round."""

MOST_US: Final = 3.0
MOST_TRIPS: Final = 2.0
_CHILD_S: Final = 300.0


@attrs.frozen
class Environment:
    """What it is made of, as `benchmarks.peers.envs` asks for it."""

    name: str = "stored"
    requirements: Path = HERE / "requirements.txt"
    python: tuple[int, int] = (3, 12)


def versions() -> dict[str, str]:
    """What was pinned of the peers and the driver."""
    pins = (line.partition("==") for line in Environment().requirements.read_text(encoding="utf-8").split())
    return {name: version for name, _, version in pins if name in (*COUNTS, "limits", "redis")}


def stored(rounds: int = ROUNDS) -> dict[str, Any]:
    """Each in turn, so many rounds; medians."""
    try:
        python = str(envs.ready(Environment(), envs.CACHE.parent))
        with store.running() as server:
            runs = {
                name: [_run(python, name, server.url, count) for _ in range(rounds)] for name, count in COUNTS.items()
            }
    except (envs.Missing, store.NoServer) as reason:
        return {"not_measured": str(reason)}
    table = {name: {what: _median(each, what) for what in each[0]} for name, each in runs.items()}
    more_us = round(table["ours"]["own_us"] - table["alone"]["own_us"], 2)
    told = {"Python": envs.interpreter(Environment().python)[0], **versions()}
    return {"versions": told, "rounds": rounds, "table": table, "more_us": more_us}


def _median(runs: list[dict[str, Any]], what: str) -> float:
    return float(sorted(each[what] for each in runs)[len(runs) // 2])


def _run(python: str, name: str, url: str, count: int) -> dict[str, Any]:
    command = [python, str(HERE / "acquire.py"), name, url, str(count)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1] / "src")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=_CHILD_S, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    print(name, found, file=sys.stderr, flush=True)
    return found
