"""
Which key to look at, and when.

Law of this file: a key is looked at when something happened to it or when time
alone may let one of its calls go, and at no other time. Entries are never
searched for: an entry that no longer holds is dropped when it is met.
"""

from __future__ import annotations

import heapq

import attrs

from .ends import Ends
from .keystate import KeyState
from .ticket import Ticket


def sooner(one: int | None, other: int | None) -> int | None:
    """The earlier of two instants, None being never."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


@attrs.define(eq=False)
class Agenda:
    """
    What is to be looked at now, later, and when slots are free; and when waiting ends.

    Entries that no longer hold are swept when they may be more than half of all.
    """

    _now: list[tuple[int, int, KeyState]] = attrs.field(factory=list)
    _later: list[tuple[int, int, KeyState]] = attrs.field(factory=list)
    _starved: list[tuple[int, int, KeyState]] = attrs.field(factory=list)
    _ends: Ends = attrs.field(factory=Ends)
    _number: int = 0
    _all: bool = False
    _sweep_later_at: int = 64

    @property
    def pending(self) -> bool:
        """Some key is to be looked at now."""
        return bool(self._now)

    @property
    def starving(self) -> bool:
        """Some key has calls that only wait for a free slot."""
        return bool(self._starved) and any(state.queue.ready for _, _, state in self._starved)

    def touch(self, state: KeyState) -> None:
        """Something happened to this key: look at it in the next poll, the least served first."""
        if not state.touched:
            state.touched = True
            self._number += 1
            heapq.heappush(self._now, (state.service, self._number, state))

    def touch_all(self) -> None:
        """Something happened to what all keys share: look at every key that waits for time to pass."""
        self._all = True

    def plan(self, state: KeyState, wake_ns: int | None, *, now_ns: int) -> None:
        """Look at this key again at that instant; None: not before something happens."""
        if wake_ns is None:
            state.wake_ns = None
        elif state.wake_ns != wake_ns:
            state.wake_ns = max(wake_ns, now_ns + 1)
            self._number += 1
            heapq.heappush(self._later, (state.wake_ns, self._number, state))
            if len(self._later) > self._sweep_later_at:
                live = {id(entry[2]): entry for entry in self._later if entry[2].wake_ns == entry[0]}
                self._later = list(live.values())
                heapq.heapify(self._later)
                self._sweep_later_at = 64 + 2 * len(self._later)

    def starve(self, state: KeyState) -> None:
        """This key has calls that only wait for a free slot."""
        if not state.starved:
            state.starved = True
            self._number += 1
            heapq.heappush(self._starved, (state.service, self._number, state))

    def gather(self, *, now_ns: int) -> None:
        """Note everything that time has made worth a look."""
        while self._later and self._later[0][0] <= now_ns:
            at_ns, _, state = heapq.heappop(self._later)
            if state.wake_ns == at_ns:
                state.wake_ns = None
                self.touch(state)
        if self._all:
            self._all = False
            for at_ns, _, state in self._later:
                if state.wake_ns == at_ns:
                    self.touch(state)

    def feed(self, slots: int) -> bool:
        """
        Note of the keys that wait for slots the least served: as many as there are free ones, not all of them.

        True when there is a key to be looked at now.
        """
        starved = self._starved
        while starved and slots > 0 and (len(self._now) < slots or starved[0][0] < self._now[0][0]):
            service, number, state = starved[0]
            if service != state.service:
                heapq.heapreplace(starved, (state.service, number, state))
                continue
            heapq.heappop(starved)
            state.starved = False
            self.touch(state)
        return bool(self._now)

    def take(self) -> KeyState:
        """The least served of the keys to be looked at now."""
        _, _, state = heapq.heappop(self._now)
        state.touched = False
        return state

    def end_at(self, ticket: Ticket, at_ns: int) -> None:
        """The ticket may not wait longer than that."""
        self._ends.add(ticket, at_ns)

    def next_end(self, *, now_ns: int) -> Ticket | None:
        """A waiting ticket whose end has come, or None; each call takes one."""
        return self._ends.due(now_ns=now_ns)

    def next_wakeup(self, *, slots: bool) -> int | None:
        """The first instant at which there is something to do by time alone; 0: now; None: never."""
        if self._now or (slots and self._starved) or (self._all and self._later):
            return 0
        while self._later and self._later[0][2].wake_ns != self._later[0][0]:
            heapq.heappop(self._later)
        return sooner(self._later[0][0] if self._later else None, self._ends.next_ns())
