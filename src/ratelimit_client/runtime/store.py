"""
Where a budget is kept when more than one process spends it.

Law of this file: the scheduler never waits for a store. A process holds a *lease*
(an amount it may spend until an instant) and renews it in the background, about
once a second, whatever its request rate; what a store needs for that is one
round trip, so that is all the protocol asks for.

Theory. A renewal says three things at once: what was spent of the last lease, what
is wanted next, and the newest reading seen. The answer is the next lease. Numbers
are whole units and whole microseconds, so they survive any store's number type.
The sum of all live leases never exceeds the bucket; a lease that is not renewed
comes back by expiry, so a process that died holds nothing for long.

:class:`InProcessStore` is the budget of one process: every wish is granted, because
nobody else draws on it. It is the default, and costs nothing: no limiter calls it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import attrs


@attrs.frozen(kw_only=True)
class Renewal:
    """
    What a process tells the store.

    Args:
        budget: name of the budget, the same in all processes that share it; never a key.
        spent: units by unit drawn from the last lease, not yet reported.
        wanted: units by unit it would like to hold.
        remaining: units by unit of the newest reading, less what was spent after it.
    """

    budget: str
    spent: Mapping[str, int] = attrs.field(factory=dict)
    wanted: Mapping[str, int] = attrs.field(factory=dict)
    remaining: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Lease:
    """
    What a process may spend.

    Args:
        units: units by unit.
        expires_in_us: microseconds from the request for it, or None: never.
    """

    units: Mapping[str, int]
    expires_in_us: int | None = None


@runtime_checkable
class BudgetStore(Protocol):
    """A place that several processes can reach."""

    async def renew(self, renewal: Renewal) -> Lease:
        """
        Report and lease in one round trip.

        Raises:
            StoreUnavailable: it could not be reached; the caller goes on with less.
        """
        ...

    async def close(self) -> None:
        """Give everything back and let go of the connection."""
        ...


class InProcessStore:
    """The budget of this process alone: what is wanted is had."""

    async def renew(self, renewal: Renewal) -> Lease:
        """Everything that is wanted, for good."""
        return Lease(units=dict(renewal.wanted))

    async def close(self) -> None:
        """Nothing to give back."""

    def __repr__(self) -> str:
        return "<InProcessStore>"
