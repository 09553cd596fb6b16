"""What may go, and when: no more than was typed, nobody who could go waits, first come first served."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from ratelimit_client.core.profile import Refill
from ratelimit_client.core.units import NS
from ratelimit_client.testing import minute

from ..check import Check, Levels

if TYPE_CHECKING:
    from ratelimit_client.core.bucket import Bucket
    from ratelimit_client.core.concurrency import Ending
    from ratelimit_client.core.keystate import KeyState
    from ratelimit_client.core.quota import Quota
    from ratelimit_client.core.signals import Signals
    from ratelimit_client.core.ticket import Ticket

    from ..watching import Watched


_MOMENT_NS = 2 * NS // 1000


@attrs.define(eq=False)
class Debt:
    """What is missing from a bucket that was full, in credits of which time repays ``amount`` each nanosecond."""

    unit: str
    amount: int
    window_ns: int
    owed: int = 0
    at_ns: int = 0

    def refill(self, now_ns: int) -> None:
        self.owed = max(0, self.owed - (now_ns - self.at_ns) * self.amount)
        self.at_ns = now_ns


class NoOverAdmission(Check):
    """
    I1, I16. In every span of time no more goes than a typed quota's whole bucket and what flows back meanwhile,
    however long the loop was blocked. Requests are counted; what tokens cost is the server's to say, so of them it
    holds as long as no header has told. A header that stands still may lend a bucket before it is noticed; one that
    lies at random may lend more.
    """

    def __init__(self, day: Any) -> None:
        super().__init__(day)
        self._debts: dict[tuple[int, str], list[Debt]] = {}
        self._answered: set[tuple[int, int]] = set()
        self._perhaps: Counter[tuple[int, str, str]] = Counter()

    def _of(self, of: Watched, key: str) -> list[Debt]:
        found = self._debts.get((of.gate, key))
        if found is None:
            quotas = of._shared if key == "*" else of._typed(key)
            found = self._debts[of.gate, key] = [_debt(quota) for quota in quotas]
        return found

    def granted(self, of: Watched, state: KeyState, ticket: Ticket, now_ns: int) -> None:
        buckets = {(line.bucket.name, line.bucket.window_ns): line.bucket for line in state.budget.all_lines}
        for debt in self._of(of, state.name) + self._of(of, "*"):
            amount = ticket.cost.get(debt.unit, 0)
            if not amount:
                continue  # and may go while an estimate above the whole bucket is being repaid
            bucket = buckets.get((debt.unit, debt.window_ns))
            lent = self._lent(of, debt, bucket) if bucket is not None else 0
            if lent is None:
                debt.owed, debt.at_ns = 0, now_ns
                continue
            debt.refill(now_ns)
            debt.owed += amount * debt.window_ns
            # An estimate may be above the whole bucket: then it goes when that is full.
            most = lent + max(debt.amount, amount if ticket.features is not None else 0)
            if bucket is not None and bucket.watched:
                most += self._perhaps[of.gate, state.name, debt.unit]  # a header tells that they never came
            if debt.owed > most * debt.window_ns:
                over = debt.owed / debt.window_ns - most
                self.broken(
                    f"gate {of.gate}, #{ticket.seq} of {state.name}: {debt.amount} {debt.unit} in "
                    f"{debt.window_ns / NS:g} s were typed, and {over:g} more are out"
                )

    def _lent(self, of: Watched, debt: Debt, bucket: Bucket) -> int | None:
        """Units that headers may add to what was typed; None: nobody knows how many."""
        if bucket.refill is Refill.WINDOW:
            return None  # a quota that was found to step is full at that instant
        if not bucket.watched:
            return 0
        gates = [gate for number, gate in enumerate(self.day.world.gates) if of.gate in (number, gate.shares)]
        if len({gate.site for gate in gates}) > 1:
            return None
        site = self.day.world.sites[gates[0].site].options
        counts = site.get("enforcement", minute()).kind == "fixed"  # and is full again all of a sudden, truly
        if debt.unit != "requests" or site.get("lies") is not None or counts:
            return None
        # What it refuses without a charge it has to give back, and headers tell.
        forgives = any(site.get(name) for name in ("faults", "max_in_flight", "ramp")) or not site.get(
            "charge_refusals"
        )
        return 0 if site.get("headers", True) is True and not forgives else debt.amount

    def _back(self, of: Watched, ticket: Ticket, units: Mapping[str, int], now_ns: int) -> None:
        state = of.keys[ticket.key]
        for debt in self._of(of, state.name) + self._of(of, "*"):
            debt.refill(now_ns)
            debt.owed = max(0, debt.owed - max(0, units.get(debt.unit, 0)) * debt.window_ns)

    def withdrawn(self, of: Watched, ticket: Ticket, moved: Levels, now_ns: int) -> None:
        self._back(of, ticket, dict(ticket.cost.pairs), now_ns)

    def settled(self, of: Watched, ticket: Ticket, refund: Mapping[str, int], moved: Levels, now_ns: int) -> None:
        if any(credits_ > 0 for credits_ in moved.values()):
            self._back(of, ticket, refund, now_ns)

    def answered(self, of: Watched, ticket: Ticket, signals: Signals, now_ns: int) -> None:
        self._answered.add((of.gate, ticket.order))

    def released(self, of: Watched, ticket: Ticket, ending: Ending, now_ns: int) -> None:
        """Of one that was cut off nobody knows whether the server has seen it; it stays charged."""
        if (of.gate, ticket.order) not in self._answered:
            for unit, amount in ticket.cost.pairs:
                self._perhaps[of.gate, of.keys[ticket.key].name, unit] += amount

    def quotas_changed(self, of: Watched, now_ns: int) -> None:
        for (gate, key), debts in self._debts.items():
            if gate == of.gate:
                old = {(debt.unit, debt.window_ns): debt for debt in debts}
                debts[:] = [_changed(old, quota, now_ns) for quota in (of._typed(key) if key != "*" else of._shared)]


def _debt(quota: Any) -> Debt:
    """Of a quota, or of a bucket that stands for one."""
    return Debt(
        getattr(quota, "unit", None) or quota.name, getattr(quota, "amount", None) or quota.limit, quota.window_ns
    )


def _changed(old: dict[tuple[str, int], Debt], quota: Quota, now_ns: int) -> Debt:
    """The same quota is still owed; of another amount the law begins anew."""
    new = _debt(quota)
    had = old.get((new.unit, new.window_ns))
    if had is not None and had.amount == new.amount:
        had.owed = min(had.owed, 2 * had.amount * had.window_ns)  # debt ends at a whole bucket
        return had
    new.at_ns = now_ns
    return new


class NobodyWaitsInVain(Check):
    """
    I6, I14. Nobody stands in line who could go, but for the two milliseconds in which the runtime looks again; and
    whoever waits is woken when time alone lets somebody go.
    """

    def __init__(self, day: Any) -> None:
        super().__init__(day)
        self._since: dict[tuple[int, str], int] = {}

    def instant(self, now_ns: int) -> None:
        for limiter, of in zip(self.day.limiters, self.day.watched, strict=True):
            dispatcher = limiter._desk.dispatcher
            if not dispatcher.waiting:
                continue
            wake_ns = of.next_wakeup()
            if wake_ns is not None and not dispatcher._alarm.is_set:
                self.broken(f"gate {of.gate}: nobody will look again, though there is something to do")
            self._last_for((of.gate, ""), wake_ns is not None and wake_ns <= now_ns, "something is to be done", now_ns)
            for state in of.keys.values():
                head = state.queue.first()
                ready = head is not None and of.in_flight < of.max_in_flight
                goes = ready and state.blocked_until(head, wanted=False, now_ns=now_ns)[0] == now_ns
                self._last_for((of.gate, state.name), goes, f"{head} could go and waits", now_ns)

    def _last_for(self, at: tuple[int, str], is_so: bool, what: str, now_ns: int) -> None:
        """Something may be so for a moment."""
        if not is_so:
            self._since.pop(at, None)
        elif now_ns - self._since.setdefault(at, now_ns) > _MOMENT_NS:
            self.broken(f"gate {at[0]}: for {(now_ns - self._since[at]) / NS:g} s {what}")


class FirstComeFirstServed(Check):
    """
    I7. In one key, tenant and priority nobody is overtaken but by calls that need nothing of what he waits for; one
    that is sent back stands where it stood.
    """

    def __init__(self, day: Any) -> None:
        super().__init__(day)
        self._waiting: dict[tuple[int, str, int, str], dict[int, Ticket]] = {}
        self._stands: dict[Ticket, dict[int, Ticket]] = {}
        self._ranks: dict[Ticket, int] = {}

    def _lane(self, of: Watched, ticket: Ticket) -> dict[int, Ticket]:
        return self._waiting.setdefault((of.gate, ticket.key, ticket.priority, ticket.tenant), {})

    def _enters(self, of: Watched, ticket: Ticket) -> None:
        lane = self._stands[ticket] = self._lane(of, ticket)
        lane[ticket.seq] = ticket

    def _leaves(self, ticket: Ticket) -> None:
        # Where it entered: two keys that turn out to be of one organization become one meanwhile.
        self._stands.pop(ticket, {}).pop(ticket.seq, None)

    def submitted(self, of: Watched, ticket: Ticket, now_ns: int) -> None:
        self._ranks[ticket] = ticket.seq
        if ticket.state.name == "QUEUED":
            self._enters(of, ticket)

    def requeued(self, of: Watched, ticket: Ticket, now_ns: int) -> None:
        if self._ranks[ticket] != ticket.seq:
            self.broken(f"gate {of.gate}: #{self._ranks[ticket]} of {ticket.key} was sent back as #{ticket.seq}")
        self._enters(of, ticket)

    def gone(self, of: Watched, tickets: Sequence[Ticket], now_ns: int) -> None:
        for ticket in tickets:
            self._leaves(ticket)

    def granted(self, of: Watched, state: KeyState, ticket: Ticket, now_ns: int) -> None:
        self._leaves(ticket)
        lane = self._lane(of, ticket)
        units = {unit for unit, _ in ticket.cost.pairs}
        for older in lane.values():
            if (
                older.seq < ticket.seq
                and older.not_before_ns <= now_ns
                and {unit for unit, _ in older.cost.pairs} <= units
            ):
                self.broken(f"gate {of.gate}: #{ticket.seq} of {state.name} overtook #{older.seq}")
