"""
Until when tickets may wait.

Law of this file: an end is never searched for. Most tickets leave the queue before their
end, and some are told an end twice, so entries that no longer hold are swept when they may
be more than half of all; and no step looks at more than four thousand of them, for a loop
waits meanwhile.
"""

from __future__ import annotations

import heapq

import attrs

from .ticket import State, Ticket

_MOST = 4096
_QUEUED = State.QUEUED

End = tuple[int, int, Ticket]


@attrs.define(eq=False)
class Ends:
    """
    All of them, in heaps of a bounded size; one heap while they are few.

    Args:
        swept: which of the heaps is swept next; None: no sweep is under way.
    """

    _heaps: list[list[End]] = attrs.field(factory=lambda: [[]])
    _count: int = 0
    _sweep_at: int = 64
    _swept: int | None = None

    def __len__(self) -> int:
        return self._count

    def add(self, ticket: Ticket, at_ns: int) -> None:
        """The ticket may not wait longer than that."""
        last = self._heaps[-1]
        if len(last) >= _MOST:
            last = []
            self._heaps.append(last)
        heapq.heappush(last, (at_ns, ticket.seq, ticket))
        self._count += 1
        if self._count > self._sweep_at or self._swept is not None:
            self._sweep()

    def due(self, *, now_ns: int) -> Ticket | None:
        """A waiting ticket whose end has come, or None; each call takes one."""
        while (heap := self._first()) and heap[0][0] <= now_ns:
            ticket = heapq.heappop(heap)[2]
            self._count -= 1
            if ticket.state is _QUEUED:
                return ticket
        return None

    def next_ns(self) -> int | None:
        """The first end of a ticket that still waits."""
        while heap := self._first():
            if heap[0][2].state is _QUEUED:
                return heap[0][0]
            heapq.heappop(heap)
            self._count -= 1
        return None

    def _first(self) -> list[End]:
        """The heap with the first of all, which is empty when all are."""
        heaps = self._heaps
        if len(heaps) == 1:
            return heaps[0]
        return min([heap for heap in heaps if heap], default=heaps[0])

    def _sweep(self) -> None:
        """One heap of them."""
        at = self._swept or 0
        heaps = self._heaps
        heap = heaps[at]
        self._count -= len(heap)
        live = {entry[:2]: entry for entry in heap if entry[2].state is _QUEUED}
        if at and len(heaps[at - 1]) + len(live) <= _MOST:  # what is left of two is one
            del heaps[at]
            at -= 1
            live |= {entry[:2]: entry for entry in heaps[at]}
            self._count -= len(heaps[at])
        heaps[at] = list(live.values())
        heapq.heapify(heaps[at])
        self._count += len(heaps[at])
        self._swept = at + 1
        if self._swept >= len(heaps):
            self._swept = None
            self._sweep_at = 64 + 2 * self._count
