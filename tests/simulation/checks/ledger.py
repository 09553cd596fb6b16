"""What was taken is given back or spent, once; and in the end nothing is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ratelimit_client.core.ticket import State

from ..check import Check, Levels

if TYPE_CHECKING:
    from ratelimit_client.core.concurrency import Ending
    from ratelimit_client.core.failure import TransportFailure
    from ratelimit_client.core.keystate import KeyState
    from ratelimit_client.core.signals import Signals
    from ratelimit_client.core.ticket import Ticket

    from ..watching import Watched


class EverySlotOnce(Check):
    """I3. A call is queued, granted and released in this order, each once a turn; all counts agree at any instant."""

    def __init__(self, day: Any) -> None:
        super().__init__(day)
        self._queued: dict[int, set[int]] = {}
        self._out: dict[int, dict[int, str]] = {}

    def begins(self) -> None:
        for of in self.day.watched:
            self._queued[of.gate], self._out[of.gate] = set(), {}

    def submitted(self, of: Watched, ticket: Ticket, now_ns: int) -> None:
        if ticket.state is State.QUEUED:
            self._queued[of.gate].add(ticket.seq)

    def granted(self, of: Watched, state: KeyState, ticket: Ticket, now_ns: int) -> None:
        if ticket.seq in self._out[of.gate]:
            self.broken(f"gate {of.gate}: #{ticket.seq} was let out twice")
        self._queued[of.gate].discard(ticket.seq)
        self._out[of.gate][ticket.seq] = state.name
        if len(self._out[of.gate]) > of.max_in_flight:
            self.broken(f"gate {of.gate}: {len(self._out[of.gate])} calls are out of {of.max_in_flight}")

    def released(self, of: Watched, ticket: Ticket, ending: Ending, now_ns: int) -> None:
        if self._out[of.gate].pop(ticket.seq, None) is None:
            self.broken(f"gate {of.gate}: #{ticket.seq} was released and not out")

    def requeued(self, of: Watched, ticket: Ticket, now_ns: int) -> None:
        if ticket.seq in self._out[of.gate]:
            self.broken(f"gate {of.gate}: #{ticket.seq} waits and is out")
        self._queued[of.gate].add(ticket.seq)

    def gone(self, of: Watched, tickets: Sequence[Ticket], now_ns: int) -> None:
        self._queued[of.gate] -= {ticket.seq for ticket in tickets}

    def instant(self, now_ns: int) -> None:
        for limiter, of in zip(self.day.limiters, self.day.watched, strict=True):
            queued, out = self._queued[of.gate], self._out[of.gate]
            counts = (of.queued, limiter.queued, sum(state.queue.waiting for state in _states(of)))
            if set(counts) != {len(queued)}:
                self.broken(f"gate {of.gate}: {len(queued)} wait, and the library counts {counts}")
            counts = (of.in_flight, limiter.in_flight, sum(state.window.in_flight for state in _states(of)))
            if set(counts) != {len(out)}:
                self.broken(f"gate {of.gate}: {len(out)} are out, and the library counts {counts}")

    def rests(self) -> None:
        self.instant(self.day.now_ns)
        for of in self.day.watched:
            if self._queued[of.gate] or self._out[of.gate]:
                self.broken(f"gate {of.gate}: in the end {self._queued[of.gate]} wait and {self._out[of.gate]} are out")


def _states(of: Watched) -> list[KeyState]:
    return list({id(state): state for state in of.keys.values()}.values())


class WhatWasNotSentComesBack(Check):
    """I4, I5. A charge comes back whole when nothing was written, and once; after an answer it never does."""

    def __init__(self, day: Any) -> None:
        super().__init__(day)
        self._back: set[tuple[int, int]] = set()
        self._answered: set[tuple[int, int]] = set()
        self._charged: dict[tuple[int, int], tuple[tuple[str, int, int, int], ...]] = {}

    def granted(self, of: Watched, state: KeyState, ticket: Ticket, now_ns: int) -> None:
        at = of.gate, ticket.order
        self._charged[at] = ticket.marks
        for unit, amount in ticket.cost.pairs:
            taken = next((each for name, each, _, _ in ticket.marks if name == unit), 0)
            if not 0 < taken <= amount:
                self.broken(f"gate {of.gate}: #{ticket.seq} costs {amount} {unit} and was charged {taken}")

    def answered(self, of: Watched, ticket: Ticket, signals: Signals, now_ns: int) -> None:
        self._answered.add((of.gate, ticket.order))

    def withdrawn(self, of: Watched, ticket: Ticket, moved: Levels, now_ns: int) -> None:
        at = of.gate, ticket.order
        if at in self._back or at in self._answered:
            self.broken(f"gate {of.gate}: #{ticket.seq} got back what it had not paid")
        self._back.add(at)
        for unit, amount, _, _ in self._charged[at]:
            for bucket in ticket.paid.get(unit, ()):
                full = bucket.credits >= bucket.brim
                if moved[id(bucket)] != amount * bucket.window_ns and not full:
                    self.broken(
                        f"gate {of.gate}: of {amount} {unit} {moved[id(bucket)] / bucket.window_ns:g} came back"
                    )

    def settled(self, of: Watched, ticket: Ticket, refund: Mapping[str, int], moved: Levels, now_ns: int) -> None:
        for buckets in of.keys[ticket.key].budget.by_unit.values():
            for bucket in buckets:
                change = moved.get(id(bucket), 0)
                most = [abs(units) * bucket.window_ns for units in refund.values()]
                if abs(change) > max(most, default=0):
                    self.broken(
                        f"gate {of.gate}: settling {refund} moved {bucket.name} by {change / bucket.window_ns:g}"
                    )


class FailuresChargeNothing(Check):
    """I5. That no answer came moves no level: the server may have done the work, or not."""

    def __init__(self, day: Any) -> None:
        super().__init__(day)

    def failed(self, of: Watched, ticket: Ticket, failure: TransportFailure, now_ns: int) -> None:
        if ticket.state is State.GRANTED and ticket.cost.pairs and not ticket.marks and not failure.unsent:
            self.broken(f"gate {of.gate}: #{ticket.seq} failed on its way and holds no charge")
