"""
What a call costs that has to wait: to join, to be let in, to be cancelled, and to lie there.

Law of this file: every figure is of a process that measured nothing else (parked.py), ours and the bare
task with its future in turn. The peers hold fewer, for cancelling costs some of them time that grows
with the number.
"""

from __future__ import annotations

import statistics
from typing import Any, Final

from .figures import row
from .peers import child, parked

WAITERS: Final = 50_000
WAITERS_OF_PEERS: Final = 10_000
REPEATS: Final = 5
ORDERS: Final = {"oldest": "oldest first", "newest": "newest first", "any": "in any order"}
BARE: Final = "a bare task and its future"

Runs = list[dict[str, float]]


def in_turn(ending: str, collector: str, count: int = WAITERS, repeats: int = REPEATS) -> tuple[Runs, Runs]:
    """Ours and bare, A B, B A, A B."""
    found: dict[str, Runs] = {"ours": [], "bare": []}
    for number in range(repeats):
        for name in ("ours", "bare") if number % 2 else ("bare", "ours"):
            found[name].append(child("parked.py", name, count, ending, collector))
    return found["ours"], found["bare"]


def each(runs: Runs, what: str) -> list[float]:
    """One figure of all runs."""
    return [run[what] for run in runs]


def cancels(python: str | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, float]]:
    """Rows of joining and of cancelling, and the same as names that the page has always had."""
    joins, rows, flat = [], [], {}
    for collector, suffix in (("on", ""), ("off", "_collector_off")):
        for order, says in ORDERS.items():
            ours, bare = in_turn(order, collector)
            peers = parked(python, WAITERS_OF_PEERS, order, collector, "cancel_us", 2) if order == "any" else {}
            name = f"cancel_{says.removeprefix('in ').replace(' ', '_')}{suffix}"
            asked = 10.0 if collector == "on" else None
            rows.append(
                row(
                    name,
                    f"cancelling one of {WAITERS:,}, {says}",
                    each(ours, "cancel_us"),
                    floor=each(bare, "cancel_us"),
                    floor_is=BARE,
                    peers=peers,
                    most=asked,
                    collector=collector,
                )
            )
            flat[name.replace("cancel_", "cancel_us_", 1)] = rows[-1]["ours"]["median"]
            if order == "any":
                flat[f"bare_cancel_us{suffix}"] = rows[-1]["floor"]["median"]
                joins.append(_joining(ours, bare, python, collector, suffix))
    return joins, rows, flat


def _joining(ours: Runs, bare: Runs, python: str | None, collector: str, suffix: str) -> dict[str, Any]:
    return row(
        "enqueue" + suffix,
        f"joining the queue, {WAITERS:,} of them in portions of a thousand",
        each(ours, "enqueue_us"),
        floor=each(bare, "enqueue_us"),
        floor_is=BARE,
        peers=parked(python, WAITERS_OF_PEERS, "any", collector, "enqueue_us", 2),
        collector=collector,
    )


def grants(python: str | None) -> list[dict[str, Any]]:
    """All are let go at once."""
    rows = []
    for collector, suffix in (("on", ""), ("off", "_collector_off")):
        ours, bare = in_turn("grant", collector)
        rows.append(
            row(
                "grant" + suffix,
                "being let in after a wait, and leaving",
                each(ours, "grant_us"),
                floor=each(bare, "grant_us"),
                floor_is=BARE,
                peers=parked(python, WAITERS_OF_PEERS, "grant", collector, "grant_us", 2),
                collector=collector,
            )
        )
    return rows


def lying(python: str | None) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """What waiting itself costs: memory, and CPU while nothing happens."""
    ours, bare = in_turn("idle", "on", repeats=3)
    size = row(
        "bytes_per_waiter",
        f"memory of a call that waits, its task included, of {WAITERS:,}",
        each(ours, "bytes"),
        unit="bytes",
        floor=each(bare, "bytes"),
        floor_is=BARE,
        peers=parked(python, WAITERS_OF_PEERS, "any", "off", "bytes", 2),
        most=1250,
    )
    idle = row(
        "idle_cpu",
        f"CPU of two seconds in which {WAITERS:,} wait",
        each(ours, "idle_cpu_s"),
        unit="s",
        peers=parked(python, WAITERS_OF_PEERS, "idle", "on", "idle_cpu_s", 2),
        most=0.002,
    )
    flat = {
        "bytes_per_waiter": round(statistics.median(each(ours, "bytes"))),
        "idle_cpu_s_in_2_s": round(statistics.median(each(ours, "idle_cpu_s")), 4),
    }
    return [size, idle], flat
