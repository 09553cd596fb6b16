"""
What this process may spend of one unit of a budget that it shares with others.

Law of this file: a purse gets nothing from time. What is in it was put there, and what
was ever spent is what was put in less what is left, to the unit.

Theory. It stands among the buckets of its unit, so every call that pays the unit pays
here, too, or waits; all that the machine knows of buckets holds for it. Only that time
stands still in it: a process that was stopped for an hour wakes up as poor as it was.
"""

from __future__ import annotations

from typing import Self

import attrs

from .bucket import Bucket
from .units import NS

_EVER_NS = 1 << 62
# What is still to come into it, nobody knows but the store: who waits looks again so often.
_LOOK_NS = NS // 10


@attrs.define(eq=False)
class Purse(Bucket):
    """
    Args:
        fed: credits ever put in, less those taken out again.
        next_ns: when something is put in next, as far as that is known.
    """

    fed: int = 0
    next_ns: int = 0

    @classmethod
    def empty(cls, unit: str, limit: int, window_ns: int, *, name: str) -> Self:
        """
        Nothing is in it yet.

        Args:
            limit, window_ns: of the tightest bucket it is filled from.
        """
        brim = limit * window_ns
        return cls(name, unit, limit, window_ns, source="lease", brim=brim, as_of_ns=_EVER_NS)

    def fit(self, limit: int) -> None:
        """The bucket it is filled from has another limit."""
        self.limit, self.brim = limit, limit * self.window_ns

    @property
    def units(self) -> int:
        """Whole units in it; negative while in debt."""
        return self.credits // self.window_ns

    @property
    def spent(self) -> int:
        """Units ever spent out of it."""
        return (self.fed - self.credits) // self.window_ns

    def put_in(self, credits_: int) -> None:
        """So much more may be spent."""
        self.credits += credits_
        self.fed += credits_
        self.refilled += credits_

    def take_out(self, credits_: int) -> None:
        """So much is given up; the caller has seen that it is there."""
        self.credits -= credits_
        self.fed -= credits_

    # -- time does nothing ------------------------------------------------------------

    def refresh(self, *, now_ns: int) -> None:
        """Time stands still."""

    def refilled_at_ns(self, amount: int, *, now_ns: int) -> int:
        """Now: nobody knows how soon a store lends more, so it is no reason to turn a call away."""
        return now_ns

    def ready_at_ns(self, amount: int, *, owner: object = None, band: int = 0, now_ns: int) -> int:
        """Now, or when something is put in next."""
        if self.credits >= amount * self.window_ns and self.escrow is None and self.bands is None:
            return now_ns
        ready_ns = super().ready_at_ns(amount, owner=owner, band=band, now_ns=now_ns)
        if ready_ns <= now_ns:
            return now_ns
        return self.next_ns if self.next_ns > now_ns else now_ns + _LOOK_NS

    def give_back(self, amount: int, *, now_ns: int) -> None:
        """Return what was taken and never reached the server."""
        self.credits += amount * self.window_ns

    def set_level(self, credits_: int, *, now_ns: int) -> None:
        """The server settled a call: what it gave back may be spent, what it took more is owed."""
        self.credits = credits_
