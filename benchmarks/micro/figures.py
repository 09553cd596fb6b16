"""
What a measurement comes to.

Law of this folder: a figure is the median of several repeats, with the least and the most beside it.
Ours and the floor under it are measured in turn, A B, B A, in one run; what is compared is the ratio of
the two that stand side by side. Seconds are of CPU, which others on the machine lengthen less than those
of the wall; where somebody waits, as for the lag of a loop, they are of the wall.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

Figure = dict[str, float]


def figure(values: Sequence[float], digits: int = 2) -> Figure:
    """Median, least and most."""
    found = statistics.median(values), min(values), max(values)
    return dict(zip(("median", "least", "most"), (round(value, digits) for value in found), strict=True))


def ratio(ours: Sequence[float], floor: Sequence[float]) -> Figure:
    """Of those that were measured side by side."""
    return figure([one / other for one, other in zip(ours, floor, strict=True) if other > 0] or [0.0])


def row(
    name: str,
    what: str,
    ours: Sequence[float],
    *,
    unit: str = "us",
    floor: Sequence[float] | None = None,
    floor_is: str | None = None,
    peers: dict[str, Any] | None = None,
    most: float | None = None,
    collector: str = "on",
) -> dict[str, Any]:
    """One row of the table; *most*: what was asked of the median."""
    found = figure(ours, 4 if unit == "s" else 2)
    return {
        "name": name,
        "what": what,
        "unit": unit,
        "ours": found,
        "floor": None if floor is None else figure(floor),
        "floor_is": floor_is,
        "ratio": None if floor is None else ratio(ours, floor),
        "peers": peers or {},
        "goal": None if most is None else f"<= {most:g} {unit}",
        "holds": None if most is None else found["median"] <= most,
        "collector": collector,
    }
