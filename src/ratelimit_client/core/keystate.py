"""
Everything that belongs to one key: its budget, its queue, its window.

Law of this file: it holds, and answers small questions about what it holds; the
scheduler decides.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from .bucket import Bucket
from .budget import Budget
from .concurrency import InFlightWindow
from .cost import Cost
from .estimate import Estimator, Features
from .evidence import ChargeEvidence
from .hints import SPREAD_NS, Hint, LeastWait, longest
from .outage import OutageBreaker
from .queue import FairQueue
from .retry_budget import RetryBudget
from .ticket import Ticket
from .units import NS

_READ_EACH_NS = NS // 200
# Of buckets that nobody comes near to emptying: a part of the shortest window, and no longer than this;
# at first, while readings still tell what kind of limit it is, than the other.
_READ_SELDOM_NS = NS // 4
_READ_FIRST_NS = NS // 20
_FIRST = 64
_READ_PARTS = 128


@attrs.define(eq=False)
class KeyState:
    """
    Args:
        name: the key.
        gate_ns: closed until then by a refusal that named no bucket.
        hint: of these the one that holds the longest; a pause of our own is none.
        least_wait: what to wait when a refusal names no time and its vendor a least one.
        wake_ns: when it wants to be looked at again; None: when something happens.
        touched: it is to be looked at in the next poll.
        starved: it has calls that wait for a free slot.
        service: how often it was served, for sharing free slots between keys; time away counts as served.
        read_ns: when readings were last used, see ``reading_due``.
        read_each_ns: how long they are good for.
        readings: how many answers were used.
        unsettled_until_ns: by unit, until when nobody has to ask again whether uses move a level.
        ended: tenants of which no more input comes.
        kin: the other keys that are charged in the same budget.
    """

    name: str
    budget: Budget
    window: InFlightWindow
    queue: FairQueue = attrs.field(factory=FairQueue)
    breaker: OutageBreaker = attrs.field(factory=OutageBreaker)
    retries: RetryBudget = attrs.field(factory=RetryBudget)
    estimator: Estimator = attrs.field(factory=Estimator)
    evidence: ChargeEvidence = attrs.field(factory=ChargeEvidence)
    gate_ns: int = 0
    hint: Hint | None = None
    least_wait: LeastWait = attrs.field(factory=LeastWait)
    wake_ns: int | None = None
    touched: bool = False
    starved: bool = False
    service: int = 0
    granted: int = 0
    refused: int = 0
    read_ns: int = -1
    read_each_ns: int = _READ_EACH_NS
    readings: int = 0
    unsettled_until_ns: dict[str, int] = attrs.field(factory=dict)
    ended: set[str] = attrs.field(factory=set)
    kin: tuple[KeyState, ...] = ()
    _all_ended_at: int = -1
    """So many calls had joined the queue when all that waited were of tenants whose input had ended."""

    def price(self, features: Features) -> Cost:
        """What an estimated call is thought to cost now."""
        tokens = self.estimator.price(features)
        return Cost(tokens=tokens, images=features.images) if features.images else Cost.of_call(tokens)

    def reading_due(self, *, now_ns: int) -> bool:
        """
        Whether the readings of one more success are worth a look.

        A reading holds for all debits before it, so of many that come within a few
        milliseconds one is as good as all; where none of the buckets is near its end,
        within a small part of their windows. Errors are always looked at.
        """
        return not self.budget.has_readings or now_ns - self.read_ns >= self.read_each_ns

    def was_read(self) -> None:
        """Readings were used: while every bucket that is shown stays three quarters full, the next may wait."""
        self.readings += 1
        wait_ns = _READ_SELDOM_NS if self.readings > _FIRST else _READ_FIRST_NS
        for line in self.budget.all_lines:
            bucket = line.bucket
            full = 4 * bucket.credits >= 3 * bucket.brim
            wait_ns = min(wait_ns, bucket.window_ns // _READ_PARTS if full else _READ_EACH_NS)
        self.read_each_ns = max(wait_ns, _READ_EACH_NS)

    def empty(self) -> list[Ticket]:
        """Take all that wait out of the queue; what was held for them is everyone's again."""
        waiting = list(self.queue.tickets())
        self.queue = FairQueue()
        gone = set(waiting)
        for buckets in self.budget.by_unit.values():
            for bucket in buckets:
                if bucket.escrow is not None and bucket.escrow.owner in gone:
                    bucket.drop_hold(bucket.escrow.owner)
        return waiting

    def close(self, hint: Hint) -> None:
        """A server asked all calls of the key not to come before an instant."""
        self.gate_ns = max(self.gate_ns, hint.until_ns)
        if self.hint is None or hint.until_ns > self.hint.until_ns:
            self.hint = hint

    def too_long(self, ticket: Ticket, *, now_ns: int) -> Hint | None:
        """The hint that *ticket* would have to wait out longer than it is willing to."""
        bound_ns = now_ns + ticket.patience.hint_ns + SPREAD_NS
        if self.hint is not None and self.hint.until_ns > bound_ns:
            return self.hint
        for unit, amount in ticket.cost.pairs:
            for bucket in self.budget.by_unit.get(unit, ()):
                if bucket.gate_ns > bound_ns and (hint := longest(bucket.hints, amount, now_ns=bound_ns)) is not None:
                    return hint
        return None

    def blocked_until(self, ticket: Ticket, *, wanted: bool = True, now_ns: int) -> tuple[int | None, str | None]:
        """
        When *ticket* may go, and what makes it wait. Not *wanted*: somebody only asks.

        (now, None) when it may go now; (None, what) when nothing but an event helps.
        """
        if self.gate_ns > now_ns:
            return self.gate_ns, "hint"
        if self.breaker.open and not self.breaker.admits(now_ns=now_ns):
            return self.breaker.next_probe_ns, "outage"
        ready_ns = self.budget.ready_at_ns(ticket, now_ns=now_ns)
        if ready_ns > now_ns:
            assert self.budget.binding is not None, "a bucket that is not ready is the one that binds"
            return ready_ns, self.budget.binding.name
        if not self.window.has_room(wanted=wanted, now_ns=now_ns):
            what = "slots" if self.window.in_flight >= self.window.ceiling else "ramp"
            return self.window.opens_at_ns(now_ns=now_ns), what
        return now_ns, None

    def patience_ends_ns(self, ticket: Ticket) -> int | None:
        """When *ticket* stops waiting for a server that does not answer; None: not by itself."""
        since_ns = self.breaker.since_ns
        patience_ns = ticket.patience.outage_ns
        if patience_ns is None or ticket.deadline_ns is not None or since_ns is None:
            return None
        return max(since_ns, ticket.submitted_ns) + patience_ns

    def remembers(self, *, now_ns: int) -> bool:
        """False when a fresh state would be as good: nobody waits or is under way, nothing was learnt, all is full."""
        budget = self.budget
        if self.queue.waiting or self.window.in_flight or budget.has_readings or budget.learner.bucket is not None:
            return True
        if self.gate_ns > now_ns or self.breaker.open or budget.slowdown.pace is not None:
            return True
        return any(line.bucket.level(now_ns=now_ns) < line.bucket.capacity for line in budget.all_lines)

    def shares(self, bucket: Bucket) -> bool:
        """Calls of other keys are charged in it, too."""
        return bool(self.kin) or bucket in self.budget.shared

    def input_goes_on(self, tenant: str) -> None:
        """A call came of a tenant whose input had ended: the reserve is kept again."""
        self.ended.discard(tenant)
        self._all_ended_at = -1
        for buckets in self.budget.by_unit.values():
            for bucket in buckets:
                bucket.spends_reserve = False

    def spends_reserve(self) -> bool:
        """No more input comes, and what is queued costs no more than the reserve."""
        if not self.ended or not self.queue.waiting or self.kin:
            return False
        pays = False
        for unit, buckets in self.budget.by_unit.items():
            queued = self.queue.ahead(unit, 2)
            if any(queued * bucket.window_ns > bucket.reserve for bucket in buckets):
                return False
            pays = pays or queued > 0
        # Where nothing is paid nothing is kept back.
        if pays and self._all_ended_at != self.queue.joined:  # else it holds until another one joins
            if not all(tenant in self.ended for tenant in self.queue.waiting_tenants()):
                return False
            self._all_ended_at = self.queue.joined
        return pays


def worth_keeping(keys: Mapping[str, KeyState], *, now_ns: int) -> dict[str, KeyState]:
    """Those of many keys that remember something."""
    kept = {name: state for name, state in keys.items() if state.remembers(now_ns=now_ns)}
    for state in kept.values():
        state.kin = tuple(each for each in state.kin if each.name in kept)
    return kept
