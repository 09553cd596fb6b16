"""What several limiters owe each other that share a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ratelimit_client import ConfigurationError, StoreUnavailable
from ratelimit_client.core.units import NS, to_ns
from ratelimit_client.testing import minute

from ..check import Check, Levels
from .admission import Debt

if TYPE_CHECKING:
    from ratelimit_client.core.concurrency import Ending
    from ratelimit_client.core.keystate import KeyState
    from ratelimit_client.core.signals import Signals
    from ratelimit_client.core.ticket import Ticket

    from ..records import Record
    from ..watching import Watched

_TROUBLE_NS = 6 * NS
"""A lease and its end, a question that is not answered, and until all have told what they spent meanwhile."""


class TogetherWithinTheBudget(Check):
    """
    I20. In every span of time all limiters of one store together let out no more requests than a typed quota's whole
    bucket and what flows in, and one more bucket for each time the store lost its memory. While a question gets no
    answer one that is cut off spends its part beside the others, so no more than what flows in may come on top; and
    where none ever came the first call goes all the same. A clock that is set forward brings what flows in meanwhile.
    """

    def __init__(self, day: Any) -> None:
        super().__init__(day)
        self._debts: dict[str, list[Debt]] = {}
        self._extra: dict[str, float] = {}
        self._answered: set[tuple[int, int]] = set()
        self._perhaps: dict[str, int] = {}
        site = day.world.sites[0].options
        self._holds = day.store is not None and site.get("enforcement", minute()) == minute()

    def granted(self, of: Watched, state: KeyState, ticket: Ticket, now_ns: int) -> None:
        if not self._holds:
            return
        store = self.day.store
        for debt in self._debts.setdefault(state.name, [_debt(quota) for quota in of._typed(state.name)]):
            amount = ticket.cost.get(debt.unit, 0)
            if debt.unit != "requests" or not amount:
                continue
            passed_ns = now_ns - debt.at_ns
            if now_ns - to_ns(max(0.0, store.troubled_s)) < _TROUBLE_NS:
                allowed = self._extra.get(state.name, 0.0) + passed_ns * debt.amount / debt.window_ns
                self._extra[state.name] = min(allowed, float(debt.amount))
            debt.refill(now_ns)
            debt.owed += amount * debt.window_ns
            most = debt.amount * (1 + store.losses) + self._extra.get(state.name, 0.0) + len(self.day.watched)
            most += self._perhaps.get(state.name, 0) + store.ahead_s * NS * debt.amount / debt.window_ns
            if debt.owed > most * debt.window_ns:
                over = debt.owed / debt.window_ns - most
                self.broken(
                    f"gate {of.gate}, #{ticket.seq} of {state.name}: {over:g} more than {most:g} requests are out"
                )

    def released(self, of: Watched, ticket: Ticket, ending: Ending, now_ns: int) -> None:
        """Of one that was cut off nobody knows whether the server has seen it; a header may tell that it never came."""
        if (of.gate, ticket.order) not in self._answered:
            name = of.keys[ticket.key].name
            self._perhaps[name] = self._perhaps.get(name, 0) + ticket.cost.get("requests", 0)

    def answered(self, of: Watched, ticket: Ticket, signals: Signals, now_ns: int) -> None:
        self._answered.add((of.gate, ticket.order))

    def withdrawn(self, of: Watched, ticket: Ticket, moved: Levels, now_ns: int) -> None:
        for debt in self._debts.get(of.keys[ticket.key].name, ()):
            debt.refill(now_ns)
            debt.owed = max(0, debt.owed - ticket.cost.get(debt.unit, 0) * debt.window_ns)


def _debt(quota: Any) -> Debt:
    return Debt(quota.unit, quota.amount, quota.window_ns)


class NobodyHoldsAnythingAtLast(Check):
    """I21. Where the store could be reached all day, it knows in the end of nobody who holds a lease."""

    def rests(self) -> None:
        store = self.day.store
        befell = {happening.what for happening in self.day.world.happenings}
        if store is None or store.shared.loses or befell & {"store gone", "stall"}:
            return
        for name, pool in store.kept.pools.items():
            if held := [process for process, member in pool.members.items() if _holds(member, store)]:
                self.broken(f"budget {name}: {held} hold something")


def _holds(member: Any, store: Any) -> bool:
    return any(each.held for each in member.holdings.values())


class NoCallSeesTheStore(Check):
    """
    I22. What befalls a store is no call's error, but where calls are to stop without it and it never answered; and no
    limiter asks it more than twice a second for long.
    """

    def ended(self, record: Record) -> None:
        store = self.day.store
        if store is None or store.on_store_failure == "stop":
            return
        if isinstance(record.error, StoreUnavailable | ConfigurationError):
            self.broken(f"{record} ended with {record.error!r}")

    def rests(self) -> None:
        store = self.day.store
        if store is not None:
            many: Sequence[Any] = self.day.limiters
            most = len(many) * (2 * self.day.loop.elapsed_s + 20)
            if store.calls > most:
                self.broken(f"{store.calls} questions of {len(many)} limiters in {self.day.loop.elapsed_s:g} s")
