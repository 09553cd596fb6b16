"""
Where a budget is kept when more than one process spends it.

Law of this file: the scheduler never waits for a store. A process holds *leases* (amounts it
may spend until an instant) and renews them in the background, about once a second, whatever
its request rate; all that a store needs for that is one round trip, so that is all the
protocol asks for.

What a renewal says and what a store does with it is written down in ``core.lease`` and
``core.pool``. :class:`InProcessStore` carries it out in memory, for several limiters of one
process; without any store a limiter has its budgets for itself, and nothing here runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from ..core.lease import Call, Lease
from ..core.pool import Store


@runtime_checkable
class BudgetStore(Protocol):
    """
    A place that several processes can reach.

    Attributes:
        on_store_failure: "share": a process that cannot reach it goes on with its part; "stop": it sends nothing.
        workers: how many processes share a budget, as long as the store has not told.
    """

    on_store_failure: str
    workers: int

    async def renew(self, call: Call) -> Sequence[Lease]:
        """
        Report and lease, all budgets in one round trip; one lease for each renewal, in their order.

        Raises:
            StoreUnavailable: it could not be reached, or answered nonsense; the caller goes on with less.
            ConfigurationError: it can never be reached this way.
        """
        ...

    async def close(self) -> None:
        """Let go of the connection. What is leased is given back by the limiters, before."""
        ...


class InProcessStore:
    """
    A budget for several limiters of this process.

    Args:
        now_us: microseconds of a clock that does not step; the machine's own by default.
    """

    on_store_failure = "share"
    workers = 1

    def __init__(self, *, now_us: Callable[[], int] | None = None) -> None:
        self._store = Store()
        self._now_us = now_us or _monotonic_us

    async def renew(self, call: Call) -> Sequence[Lease]:
        """What is fair, at once."""
        return self._store.renew(call, now_us=self._now_us())

    async def close(self) -> None:
        """There is no connection."""

    def __repr__(self) -> str:
        return "<InProcessStore>"


def _monotonic_us() -> int:
    return time.monotonic_ns() // 1000
