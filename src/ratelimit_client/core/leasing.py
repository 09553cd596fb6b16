"""
The machine, where budgets are shared through a store.

Law of this file: it is the machine; only that before it lets anybody go it lets the leases
come up to now. So whoever wakes from a long stop finds what it held void before it could
spend it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from typing import Any

from .keeper import ASLEEP_NS, PATIENCE_NS, Keeper, Place, name_of, places
from .keystate import KeyState
from .lease import Call, Lease
from .scheduler import Scheduler, Turn
from .signals import Reason, Signals
from .ticket import Ticket

_REFUSED = Reason.RATE_LIMITED


class LeasingScheduler(Scheduler):
    """
    Args:
        process: a name that no other process has.
        spends: while the store cannot be reached, it goes on with its part.
        workers: how many processes share a budget, where no store has told yet.
        others: as of ``Scheduler``.
    """

    def __init__(self, *, process: str, spends: bool, workers: int, **others: Any) -> None:
        super().__init__(**others)
        self.keeper = Keeper(process, self._survey, spends=spends, workers=workers, dice=self.dice)
        self.wake: Callable[[], None] = _nothing
        """Called when the store is to be asked at ``keeper.renew_ns``."""
        self.turn: Callable[[], None] = _nothing
        """Called when somebody may go who waits, and it is not ``poll`` that found out."""
        self.refused: Exception | None = None
        """The store can never be used: why every call fails."""
        self._gates: dict[KeyState, int] = {}

    def _survey(self) -> list[Place]:
        return places(self.keys, self._shared)

    # -- calls ------------------------------------------------------------------------

    def open_key(self, key: str, *, now_ns: int) -> KeyState:
        """Begin a key, and ask the store what it knows of it; its calls wait for the answer, but not for long."""
        known = len(self.keys)
        state = super().open_key(key, now_ns=now_ns)
        if len(self.keys) != known and state not in self._gates and not state.granted:
            told = name_of(state, (state,)) is not None or bool(self._shared)
            if self.keeper.lost_ns is None and told:
                self._gates[state] = now_ns + PATIENCE_NS
                state.gate_ns = max(state.gate_ns, now_ns + PATIENCE_NS)
            self.keeper.opened(now_ns=now_ns)
            self.wake()
        return state

    def enter(self, ticket: Ticket, waits: bool, now_ns: int) -> bool:
        """As of ``Scheduler``."""
        if self.refused is not None:
            raise copy(self.refused)
        if now_ns >= self.keeper.due_ns:
            self.advance(now_ns=now_ns)
            if self.queued:
                self.turn()  # what came in is for those who wait, and nobody else looks before their alarm
        if super().enter(ticket, waits, now_ns):
            return True
        if self.keeper.wanted(now_ns=now_ns):
            self.wake()
        return False

    def poll(self, *, now_ns: int) -> Turn:
        """As of ``Scheduler``."""
        if now_ns >= self.keeper.due_ns:
            self.advance(now_ns=now_ns)
        turn = super().poll(now_ns=now_ns)
        if self.refused is not None:
            for state in self.keys.values():
                for ticket in list(state.queue.tickets()):
                    self.fail(state, ticket, copy(self.refused), turn)
        return turn

    def observe(self, ticket: Ticket, signals: Signals, *, now_ns: int) -> None:
        """As of ``Scheduler``."""
        super().observe(ticket, signals, now_ns=now_ns)
        if signals.reason is _REFUSED and self.keeper.hurry(now_ns=now_ns):
            self.wake()

    def named(self, *, now_ns: int) -> None:
        """Budgets have names by which others may know them: share them from now on."""
        if self.keeper.strangers:
            self.keeper.opened(now_ns=now_ns)
            self.wake()

    def advance(self, *, now_ns: int) -> None:
        """Let the leases come up to now."""
        if self.keeper.due_ns == ASLEEP_NS:
            self.keeper.opened(now_ns=now_ns)
        else:
            self._richer(self.keeper.step(now_ns=now_ns))
        self.wake()

    def _richer(self, places_: Iterable[Place]) -> None:
        for place in places_:
            for state in place.states:
                self.agenda.touch(state)

    def asks_for(self, state: KeyState) -> bool:
        """Its calls wait for the store's first word."""
        return self._gates.get(state) == state.gate_ns

    # -- the store ----------------------------------------------------------------------

    def store_lent(self, call: Call, leases: Iterable[Lease], *, now_ns: int) -> None:
        """The store answered."""
        if self.keeper.answered(call, leases, now_ns=now_ns):
            self._heard(now_ns)

    def store_failed(self, call: Call, *, now_ns: int) -> bool:
        """The store did not answer in time. True: it had, until now."""
        was_there = self.keeper.failed(call, now_ns=now_ns)
        self._heard(now_ns)
        return was_there

    def _heard(self, now_ns: int) -> None:
        for state, gate_ns in self._gates.items():
            if state.gate_ns == gate_ns:
                state.gate_ns = now_ns
        self._gates.clear()
        if self.keeper.due_ns != ASLEEP_NS:
            self.advance(now_ns=now_ns)
        self._richer(self._survey())


def _nothing() -> None:
    pass
