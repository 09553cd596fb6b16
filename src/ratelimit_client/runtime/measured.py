"""
A store of budgets, measured.

Law of this file: it passes everything on as it is, errors and cancellation too, and counts.

    store = MeasuredStore(RedisStore(...), monotonic_ns=time.monotonic_ns)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from ..core.counts import HELD_NS, Amounts
from ..errors import StoreUnavailable
from .store import BudgetStore, Lease, Renewal

RENEW = "renew"
CLOSE = "close"


class MeasuredStore:
    """
    Args:
        store: the one that is measured.
        monotonic_ns: tells the time.

    Attributes:
        errors: round trips that failed, by (budget, what was asked); the budget of a close is "".
        latency: how long they took, by what was asked, those that failed too.
        fallback: by budget: its last renewal failed, so it is spent without the store.
    """

    def __init__(self, store: BudgetStore, *, monotonic_ns: Callable[[], int]) -> None:
        self._store = store
        self._now_ns = monotonic_ns
        self.errors: Counter[tuple[str, str]] = Counter()
        self.latency = {RENEW: Amounts(HELD_NS), CLOSE: Amounts(HELD_NS)}
        self.fallback: dict[str, bool] = {}

    async def renew(self, renewal: Renewal) -> Lease:
        """What the store says; see ``BudgetStore``."""
        began_ns = self._now_ns()
        try:
            lease = await self._store.renew(renewal)
        except StoreUnavailable:
            self._failed(renewal.budget, RENEW, began_ns)
            self.fallback[renewal.budget] = True
            raise
        self.latency[RENEW].add(self._now_ns() - began_ns)
        self.fallback[renewal.budget] = False
        return lease

    async def close(self) -> None:
        """What the store does; see ``BudgetStore``."""
        began_ns = self._now_ns()
        try:
            await self._store.close()
        except StoreUnavailable:
            self._failed("", CLOSE, began_ns)
            raise
        self.latency[CLOSE].add(self._now_ns() - began_ns)

    def _failed(self, budget: str, op: str, began_ns: int) -> None:
        self.errors[budget, op] += 1
        self.latency[op].add(self._now_ns() - began_ns)

    def __repr__(self) -> str:
        return f"<MeasuredStore {self._store!r}, {self.errors.total()} errors>"
