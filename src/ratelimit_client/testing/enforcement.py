"""
How a server enforces one quota: what it keeps, and what time does to it.

Law of this file: a meter is told the time; all levels are integers in credits,
``window_ns`` credits to the unit, so that one nanosecond returns exactly *amount*
credits and no rounding ever decides whether a call passes.

Theory. A published limit of 60 000 a minute says nothing about how it is held:

* ``minute()``: one bucket that refills continuously, with the whole limit as burst;
* ``sliced(s)``: a second bucket beside it that refills at the same rate but holds only
  ``limit x s / window``. The headers show the first one only, so a burst is refused
  while ``remaining`` looks fine ("60 000 a minute may be enforced as 1 000 a second");
* ``fixed(s)``: a counter of ``limit x s / window`` that starts anew every *s* seconds, at a
  phase nobody outside knows. A slice shorter than the window hides behind a minute
  bucket as above; one as long as the window stands alone and is what the headers show.

A call dearer than a whole slice goes when its slice is untouched, and overdraws it.
A slice holds at least one unit. What a refused call is charged never makes a level
negative: it takes what is there.

This is written apart from the client's own bucket on purpose: a judge that shares
the code of the judged finds nothing.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Protocol

import attrs

from ..core.units import to_ns

if TYPE_CHECKING:
    from ..core.quota import Quota


class Meter(Protocol):
    """What a server keeps of one quota."""

    unit: str
    amount: int
    window_ns: int

    def advance(self, now_ns: int) -> None:
        """Let time pass; an instant before the last one is taken for the last one."""
        ...

    def wait_ns(self, cost: int) -> int:
        """How long until *cost* units are there; 0 when they are there now."""
        ...

    def take(self, cost: int) -> None:
        """Charge an admitted call."""
        ...

    def drain(self, cost: int) -> None:
        """Charge a refused call; never below zero."""
        ...

    def shown(self) -> tuple[int, int]:
        """(credits left, nanoseconds to full), as the headers tell them."""
        ...

    def resize(self, amount: int) -> None:
        """
        The limit changed; what is used stays used, and no level falls below zero by it.

        A hidden slice keeps what it holds, as far as it still holds that much: nobody is given at
        once what a slice of the new limit would have gathered in seconds.
        """
        ...


class BucketMeter:
    """A bucket that refills continuously and holds the whole limit."""

    __slots__ = ("amount", "as_of_ns", "brim", "credits", "unit", "window_ns")

    def __init__(self, quota: Quota, *, now_ns: int) -> None:
        self.unit = quota.unit
        self.amount = quota.amount
        self.window_ns = quota.window_ns
        self.brim = quota.amount * quota.window_ns
        self.credits = self.brim
        self.as_of_ns = now_ns

    def advance(self, now_ns: int) -> None:
        if now_ns > self.as_of_ns:
            self.credits = min(self.brim, self.credits + (now_ns - self.as_of_ns) * self.amount)
            self.as_of_ns = now_ns

    def wait_ns(self, cost: int) -> int:
        missing = cost * self.window_ns - self.credits
        return -(-missing // self.amount) if missing > 0 else 0

    def take(self, cost: int) -> None:
        self.credits -= cost * self.window_ns

    def drain(self, cost: int) -> None:
        self.credits = _drained(self.credits, cost * self.window_ns)

    def shown(self) -> tuple[int, int]:
        return self.credits, (self.brim - self.credits) // self.amount

    def resize(self, amount: int) -> None:
        grown = (amount - self.amount) * self.window_ns
        self.credits = max(min(self.credits, 0), self.credits + grown)
        self.brim += grown
        self.amount = amount

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.credits // self.window_ns}/{self.amount} {self.unit}>"


class SlicedMeter(BucketMeter):
    """A minute bucket with a smaller one hidden beside it."""

    __slots__ = ("slice_brim", "slice_credits", "slice_ns")

    def __init__(self, quota: Quota, slice_ns: int, *, now_ns: int) -> None:
        super().__init__(quota, now_ns=now_ns)
        self.slice_ns = slice_ns
        self.slice_brim = max(self.amount * slice_ns, self.window_ns)
        self.slice_credits = self.slice_brim

    def advance(self, now_ns: int) -> None:
        if now_ns > self.as_of_ns:
            back = (now_ns - self.as_of_ns) * self.amount
            self.slice_credits = min(self.slice_brim, self.slice_credits + back)
        super().advance(now_ns)

    def wait_ns(self, cost: int) -> int:
        missing = min(cost * self.window_ns, self.slice_brim) - self.slice_credits
        slice_wait_ns = -(-missing // self.amount) if missing > 0 else 0
        return max(super().wait_ns(cost), slice_wait_ns)

    def take(self, cost: int) -> None:
        super().take(cost)
        self.slice_credits -= cost * self.window_ns

    def drain(self, cost: int) -> None:
        super().drain(cost)
        self.slice_credits = _drained(self.slice_credits, cost * self.window_ns)

    def resize(self, amount: int) -> None:
        super().resize(amount)
        self.slice_brim = max(amount * self.slice_ns, self.window_ns)
        self.slice_credits = min(self.slice_credits, self.slice_brim)


class Counter:
    """A count that starts anew every *slice_ns*, first at *phase_ns* of the clock."""

    __slots__ = ("brim", "credits", "phase_ns", "slice_ns", "step_ns")

    def __init__(self, brim: int, slice_ns: int, phase_ns: int, *, now_ns: int) -> None:
        self.brim = brim
        self.credits = brim
        self.slice_ns = slice_ns
        self.phase_ns = phase_ns
        self.step_ns = self._next_step_ns(now_ns)

    def advance(self, now_ns: int) -> None:
        if now_ns >= self.step_ns:
            self.credits = self.brim
            self.step_ns = self._next_step_ns(now_ns)

    def fits(self, credits_: int) -> bool:
        return min(credits_, self.brim) <= self.credits

    def resize(self, brim: int) -> None:
        used = self.brim - self.credits
        self.credits = max(min(self.credits, 0), brim - used)
        self.brim = brim

    def _next_step_ns(self, now_ns: int) -> int:
        return now_ns + self.slice_ns - (now_ns - self.phase_ns) % self.slice_ns


class FixedSliceMeter(BucketMeter):
    """A minute bucket with a counter hidden beside it."""

    __slots__ = ("counter",)

    def __init__(self, quota: Quota, slice_ns: int, phase_ns: int, *, now_ns: int) -> None:
        super().__init__(quota, now_ns=now_ns)
        brim = max(self.amount * slice_ns, self.window_ns)
        self.counter = Counter(brim, slice_ns, phase_ns, now_ns=now_ns)

    def advance(self, now_ns: int) -> None:
        super().advance(now_ns)
        self.counter.advance(self.as_of_ns)

    def wait_ns(self, cost: int) -> int:
        step_ns = 0 if self.counter.fits(cost * self.window_ns) else self.counter.step_ns - self.as_of_ns
        return max(super().wait_ns(cost), step_ns)

    def take(self, cost: int) -> None:
        super().take(cost)
        self.counter.credits -= cost * self.window_ns

    def drain(self, cost: int) -> None:
        super().drain(cost)
        self.counter.credits = _drained(self.counter.credits, cost * self.window_ns)

    def resize(self, amount: int) -> None:
        super().resize(amount)
        self.counter.resize(max(amount * self.counter.slice_ns, self.window_ns))


class FixedWindowMeter:
    """A counter as long as the window; ``reset`` is the time to its next step."""

    __slots__ = ("amount", "as_of_ns", "counter", "unit", "window_ns")

    def __init__(self, quota: Quota, phase_ns: int, *, now_ns: int) -> None:
        self.unit = quota.unit
        self.amount = quota.amount
        self.window_ns = quota.window_ns
        self.as_of_ns = now_ns
        self.counter = Counter(self.amount * self.window_ns, self.window_ns, phase_ns, now_ns=now_ns)

    def advance(self, now_ns: int) -> None:
        self.as_of_ns = max(self.as_of_ns, now_ns)
        self.counter.advance(self.as_of_ns)

    def wait_ns(self, cost: int) -> int:
        return 0 if self.counter.fits(cost * self.window_ns) else self.counter.step_ns - self.as_of_ns

    def take(self, cost: int) -> None:
        self.counter.credits -= cost * self.window_ns

    def drain(self, cost: int) -> None:
        self.counter.credits = _drained(self.counter.credits, cost * self.window_ns)

    def shown(self) -> tuple[int, int]:
        return self.counter.credits, self.counter.step_ns - self.as_of_ns

    def resize(self, amount: int) -> None:
        self.amount = amount
        self.counter.resize(amount * self.window_ns)

    def __repr__(self) -> str:
        return f"<FixedWindowMeter {self.counter.credits // self.window_ns}/{self.amount} {self.unit}>"


def _drained(level: int, cost: int) -> int:
    """What a refusal leaves: nothing below zero, and no debt forgiven."""
    return max(min(level, 0), level - cost)


@attrs.frozen
class Enforcement:
    """A kind of enforcement; made by `minute`, `sliced` and `fixed`."""

    kind: str
    slice_ns: int = 0

    def meter(self, quota: Quota, dice: random.Random, *, now_ns: int) -> Meter:
        """A fresh meter for *quota*; *dice* choose the phase of a fixed one."""
        if self.kind == "minute":
            return BucketMeter(quota, now_ns=now_ns)
        if self.slice_ns > quota.window_ns:
            raise ValueError(f"a slice of {self.slice_ns} ns does not fit the window of {quota!r}")
        if self.kind == "sliced":
            return SlicedMeter(quota, self.slice_ns, now_ns=now_ns)
        phase_ns = now_ns + dice.randrange(self.slice_ns)  # of any clock the same: one seed, one server
        if self.slice_ns == quota.window_ns:
            return FixedWindowMeter(quota, phase_ns, now_ns=now_ns)
        return FixedSliceMeter(quota, self.slice_ns, phase_ns, now_ns=now_ns)


def minute() -> Enforcement:
    """Continuous refill, the whole limit as burst: what OpenAI's headers describe."""
    return Enforcement("minute")


def sliced(s: float) -> Enforcement:
    """A second token bucket of ``limit x s / window`` beside it; the headers do not show it."""
    return Enforcement("sliced", _slice_ns(s))


def fixed(s: float) -> Enforcement:
    """A counter of ``limit x s / window`` that starts anew every *s* seconds, at a random phase."""
    return Enforcement("fixed", _slice_ns(s))


def _slice_ns(s: float) -> int:
    slice_ns = to_ns(s)
    if slice_ns <= 0:
        raise ValueError(f"a slice lasts longer than {s} s")
    return slice_ns
