"""
Where an axis has its ticks, and what stands beside them.

Law of this file: ticks are round numbers of the unit that is read there, and never more than fit.
"""

from __future__ import annotations

import math
from typing import Final

from ..words import number, three

# Steps of a clock: seconds, minutes, hours, days.
_CLOCK_S: Final = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 14400, 21600, 43200),
    *(86400, 172800, 604800),
)


def round_ticks(most: float, about: int) -> list[float]:
    """From 0 to the first at or beyond *most*, in steps of 1, 2 or 5 of a power of ten."""
    most = max(most, 1e-9)
    power = 10.0 ** math.floor(math.log10(most / about))
    step = next(power * n for n in (1, 2, 5, 10, 20) if most / (power * n) <= about)
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


def clock_ticks(most_s: float, about: int) -> list[float]:
    """Of the time since the start, up to *most_s*."""
    step = next((step for step in _CLOCK_S if most_s / step <= about), 0.0)
    step = step or _CLOCK_S[-1] * math.ceil(most_s / _CLOCK_S[-1] / about)
    return [step * number for number in range(math.floor(most_s / step + 1e-9) + 1)]


def clock(seconds: float, step: float) -> str:
    """A tick of a clock with such a step: "90 s", "5 min", "1:30 h"."""
    if not seconds:
        return "0"
    if step < 60:
        return f"{seconds:g} s" if step >= 1 else f"{seconds:.{2 if step < 0.1 else 1}f} s"
    if step < 3600:
        hours, minutes = divmod(round(seconds / 60), 60)
        return f"{hours}:{minutes:02} h" if hours else f"{minutes} min"
    return f"{seconds / 3600:g} h" if step < 86400 else f"{seconds / 86400:g} d"


def ratio_ticks(low_s: float, high_s: float, about: int) -> list[float]:
    """Of an axis on which equal ratios are equally wide: 1, 2 and 5 of powers of ten, or powers of ten alone."""
    powers = range(math.floor(math.log10(low_s)), math.ceil(math.log10(high_s)) + 1)
    found: list[float] = []
    for steps in ((1, 2, 5), (1, 3), (1,)):
        found = [10.0**power * step for power in powers for step in steps]
        found = [tick for tick in found if low_s <= tick <= high_s * (1 + 1e-9)]
        if len(found) <= about:
            return found
    return found[:: -(-len(found) // about)]


def amount(value: float) -> str:
    """A number beside a tick or in a table: whole where it is large."""
    if value >= 10_000_000:
        return f"{three(value / 1e6)}M"
    if value >= 100 or value == round(value):
        return number(round(value))
    return three(value)
