"""
What the rate-limit headers of a server tell: the truth, an old truth, or less.

Law of this file: showing never changes a level. A kind of showing turns the meters of
one account into the dimensions an answer carries, and nothing else.

Kinds seen in the field:

* ``honest()``: the level at the admission of this very call (OpenAI);
* ``silent()``: no rate-limit header and no retry header at all;
* ``stale(s)``: a snapshot that is renewed every *s* seconds (caches; ``inf``: never);
* ``own_cost()``: always the limit less what this call paid, whoever else spends (xAI).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import attrs

from ..core.units import to_ns
from .enforcement import Meter


@attrs.frozen
class Shown:
    """One dimension of an answer: integers, as exact as the server has them."""

    unit: str
    limit: int
    credits: int
    window_ns: int
    reset_ns: int

    @property
    def remaining(self) -> int:
        """Whole units left, never below zero: what the header says."""
        return max(0, self.credits // self.window_ns)


@attrs.frozen
class Showing:
    """A kind of showing; made by `honest`, `silent`, `stale` and `own_cost`."""

    kind: str
    every_ns: int | None = None


def honest() -> Showing:
    """The level at the admission of this very call."""
    return Showing("honest")


def silent() -> Showing:
    """No rate-limit header and no retry header at all."""
    return Showing("silent")


def stale(s: float = math.inf) -> Showing:
    """A snapshot, renewed every *s* seconds."""
    return Showing("stale", None if math.isinf(s) else to_ns(s))


def own_cost() -> Showing:
    """The limit less what this call paid, always."""
    return Showing("own_cost")


def showing(value: bool | Showing) -> Showing:
    """True is honest, False is silent."""
    if isinstance(value, Showing):
        return value
    return honest() if value else silent()


Choice = Callable[[Sequence[Meter]], Meter]


def binding(meters: Sequence[Meter]) -> Meter:
    """Of several quotas of one unit, the one with the fewest units left; of equals, the longest."""
    return min(meters, key=lambda meter: (meter.shown()[0] // meter.window_ns, -meter.window_ns))


def longest(meters: Sequence[Meter]) -> Meter:
    """Of several quotas of one unit, the one of the longest window (requests per day on small tiers)."""
    return max(meters, key=lambda meter: meter.window_ns)


def shortest(meters: Sequence[Meter]) -> Meter:
    """Of several quotas of one unit, the one of the shortest window."""
    return min(meters, key=lambda meter: meter.window_ns)


def show(meter: Meter) -> Shown:
    """The dimension of *meter* as it stands."""
    credits_, reset_ns = meter.shown()
    return Shown(meter.unit, meter.amount, credits_, meter.window_ns, reset_ns)
