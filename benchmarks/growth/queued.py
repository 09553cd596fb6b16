"""
A call among very many that wait: 100 to a million.

Law of this file: ours and a bare task with its future stand side by side at the same number, each in a
process of its own, the collector as Python sets it. That one grows too: the collector looks at all that
waits. A point that takes too long is left out.
"""

from __future__ import annotations

import statistics
import subprocess
from typing import Any, Final

from ..micro.peers import child

COUNTS: Final = (100, 1_000, 10_000, 100_000, 1_000_000)
POINT_S: Final = 240.0
"""At most, for one process."""
ENDINGS: Final = {"any": "cancel_us", "grant": "grant_us"}


def queued(counts: tuple[int, ...] = COUNTS) -> list[dict[str, Any]]:
    """A point for each number."""
    found = []
    for count in counts:
        try:
            found.append(_point(count))
        except subprocess.TimeoutExpired:
            break  # and what is larger takes longer
    return found


def _point(count: int) -> dict[str, Any]:
    repeats = 5 if count <= 10_000 else 3 if count <= 100_000 else 1
    rounds = max(1, 5_000 // count)
    pairs: dict[str, list[tuple[float, float]]] = {}
    sizes: list[tuple[float, float]] = []
    for ending, what in ENDINGS.items():
        for number in range(repeats):
            runs = {}
            for name in ("ours", "bare") if number % 2 else ("bare", "ours"):
                runs[name] = child("parked.py", name, count, ending, "on", rounds, timeout_s=POINT_S)
            pairs.setdefault("enqueue_us", []).append((runs["ours"]["enqueue_us"], runs["bare"]["enqueue_us"]))
            pairs.setdefault(what, []).append((runs["ours"][what], runs["bare"][what]))
            sizes.append((runs["ours"]["bytes"], runs["bare"]["bytes"]))
    point: dict[str, Any] = {"n": count}
    for what, both in pairs.items():
        point[what] = round(statistics.median(ours for ours, _ in both), 2)
        point[f"bare_{what}"] = round(statistics.median(bare for _, bare in both), 2)
        ratio = statistics.median(ours / bare for ours, bare in both)
        point[what.replace("_us", "_ratio")] = round(ratio, 2)
    point["bytes"], point["bare_bytes"] = (round(statistics.median(each)) for each in zip(*sizes, strict=True))
    return point
