"""
Whose turn it is.

Law of this file: strict order inside a lane (one tenant in one band), except for
calls that need nothing of the bucket their lane is blocked in; fair shares
between the lanes of a band; better bands first. A ticket that was sent back
keeps its rank and blocks nobody before its not-before time.

Theory. Lanes follow start-time fair queueing: a lane's *tag* is the service it
had, in billionths of a bucket; the smallest tag is next, a grant moves the tag
on by what the call costs, and a lane that was away starts at the tag being
served now, so absence earns nothing. Every step is O(log n) in lanes and in
tickets sent back, and O(1) in all others; a cancelled ticket is only marked and
dropped when met, or swept when most are dead.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator

import attrs

from .cost import Cost
from .ticket import State, Ticket

BANDS = (-2, -1, 0, 1, 2)
_LOOK = 16
_REMEMBERED = 1000

Kinds = tuple[str, ...]


@attrs.define(eq=False)
class Line:
    """
    Tickets by rank. Nearly all come in the order of their rank and stand in ``fresh``.

    A ticket that was sent back has an old rank and goes to ``back``, a heap.
    """

    fresh: deque[Ticket] = attrs.field(factory=deque)
    back: list[tuple[int, Ticket]] = attrs.field(factory=list)

    def push(self, ticket: Ticket) -> None:
        """Put it where its rank belongs."""
        fresh = self.fresh
        if not fresh or fresh[-1].seq < ticket.seq:
            fresh.append(ticket)
        else:
            heapq.heappush(self.back, (ticket.seq, ticket))

    def head(self) -> Ticket | None:
        """The first live ticket; dead ones before it are dropped."""
        fresh, back = self.fresh, self.back
        while fresh and not waits(fresh[0]):
            fresh.popleft()
        while back and not waits(back[0][1]):
            heapq.heappop(back)
        if back and (not fresh or back[0][0] < fresh[0].seq):
            return back[0][1]
        return fresh[0] if fresh else None

    def pop(self, ticket: Ticket) -> bool:
        """Take *ticket* if it is the head."""
        if self.fresh and self.fresh[0] is ticket:
            self.fresh.popleft()
        elif self.back and self.back[0][1] is ticket:
            heapq.heappop(self.back)
        else:
            return False
        return True

    def sweep(self) -> None:
        """Drop all dead tickets."""
        self.fresh = deque(ticket for ticket in self.fresh if waits(ticket))
        self.back = [entry for entry in self.back if waits(entry[1])]
        heapq.heapify(self.back)

    def live(self) -> Iterator[Ticket]:
        """Every live ticket, in no order."""
        yield from (ticket for ticket in self.fresh if waits(ticket))
        yield from (ticket for _, ticket in self.back if waits(ticket))


@attrs.define(eq=False)
class Lane:
    """The waiting calls of one tenant in one band, one line for each set of units they need."""

    tenant: str
    tag: int = 0
    ready: int = 0
    listed: int | None = None
    lines: dict[Kinds, Line] = attrs.field(factory=dict)

    def push(self, ticket: Ticket) -> None:
        kinds = tuple([unit for unit, _ in ticket.cost.pairs])
        line = self.lines.get(kinds)
        if line is None:
            line = self.lines[kinds] = Line()
        line.push(ticket)

    def heads(self) -> list[Ticket]:
        """The first live ticket of each line, oldest first."""
        found = []
        for kinds, line in list(self.lines.items()):
            head = line.head()
            if head is not None:
                found.append(head)
            else:
                del self.lines[kinds]
        if len(found) > 1:
            found.sort(key=_rank)
        return found

    def pop(self, ticket: Ticket) -> None:
        """Take *ticket*, which is one of the heads."""
        any(line.pop(ticket) for line in self.lines.values())

    def sweep(self) -> None:
        for line in self.lines.values():
            line.sweep()


def _rank(ticket: Ticket) -> int:
    return ticket.seq


_QUEUED = State.QUEUED  # a look-up in an enum's class costs more than all else in a line


def waits(ticket: Ticket) -> bool:
    """The ticket is in the queue."""
    return ticket.state is _QUEUED


@attrs.define(eq=False)
class Band:
    """The lanes of one priority. ``now_tag`` is the tag that was served last."""

    number: int
    now_tag: int = 0
    ready: int = 0
    lanes: dict[str, Lane] = attrs.field(factory=dict)
    order: list[tuple[int, str]] = attrs.field(factory=list)
    _forget_at: int = 64

    def lane(self, tenant: str) -> Lane:
        lane = self.lanes.get(tenant)
        if lane is None:
            if len(self.lanes) >= self._forget_at:
                self._forget()
            lane = self.lanes[tenant] = Lane(tenant, self.now_tag)
        return lane

    def push(self, ticket: Ticket) -> None:
        lane = self.lane(ticket.tenant)
        lane.push(ticket)
        lane.ready += 1
        self.ready += 1
        if lane.ready == 1:
            lane.tag = max(lane.tag, self.now_tag)
            self.enlist(lane)

    def enlist(self, lane: Lane) -> None:
        """See that the lane stands in the order under its present tag."""
        if lane.listed != lane.tag:
            lane.listed = lane.tag
            heapq.heappush(self.order, (lane.tag, lane.tenant))

    def front(self) -> Lane | None:
        """The lane whose turn it is; entries that no longer hold are dropped on the way."""
        while self.order:
            tag, tenant = self.order[0]
            lane = self.lanes.get(tenant)
            if lane is not None and lane.listed == tag and lane.ready and lane.tag == tag:
                return lane
            heapq.heappop(self.order)
            if lane is not None and lane.listed == tag:
                lane.listed = None
        return None

    def drop(self, ticket: Ticket) -> None:
        """*ticket* is no longer ready here."""
        self.ready -= 1
        lane = self.lanes[ticket.tenant]
        lane.ready -= 1
        if lane.ready == 0 and lane.tag <= self.now_tag:
            del self.lanes[ticket.tenant]

    def advance(self, tenant: str, share: int) -> None:
        """Count *share* of service for the tenant."""
        lane = self.lane(tenant)
        # Service stands where this call begins: a tenant that comes later has no claim to what others had alone.
        self.now_tag = max(lane.tag, self.now_tag)
        lane.tag = self.now_tag + share

    def correct(self, tenant: str, share: int) -> None:
        """Count *share* more of service, or less; what is given back earns no place before those served now."""
        lane = self.lane(tenant)
        tag = lane.tag if lane.ready else max(lane.tag, self.now_tag)
        lane.tag = max(min(tag, self.now_tag), tag + share)
        if lane.ready:
            self.enlist(lane)

    def _forget(self) -> None:
        """Lanes that are empty and owe nothing need not be remembered; of many, those that owe least neither."""
        owed = sorted(lane.tag for lane in self.lanes.values() if not lane.ready)
        if len(owed) > _REMEMBERED:
            self.now_tag = max(self.now_tag, owed[-_REMEMBERED])
        self.lanes = {name: lane for name, lane in self.lanes.items() if lane.ready or lane.tag > self.now_tag}
        self._forget_at = 64 + 2 * len(self.lanes)

    def in_order(self) -> list[Lane]:
        """The first sixteen lanes with ready tickets, by tag."""
        found: list[Lane] = []
        while len(found) < _LOOK and (lane := self.front()) is not None:
            heapq.heappop(self.order)
            lane.listed = None
            found.append(lane)
        for lane in found:
            self.enlist(lane)
        return found


@attrs.define(eq=False)
class FairQueue:
    """All waiting calls of one key."""

    bands: dict[int, Band] = attrs.field(factory=dict)
    waiting: int = 0
    _resting: list[tuple[int, int, Ticket]] = attrs.field(factory=list)
    _rests: dict[Ticket, None] = attrs.field(factory=dict)  # and no set: its order would be that of addresses
    _sums: dict[tuple[int, str], int] = attrs.field(factory=dict)
    _dead: int = 0

    @property
    def tenants(self) -> int:
        """Those that were served lately, or wait; one counts in each priority."""
        return sum([len(band.lanes) for band in self.bands.values()])

    @property
    def ready(self) -> int:
        """Tickets whose turn may come now."""
        return self.waiting - len(self._rests)

    def push(self, ticket: Ticket, *, now_ns: int) -> None:
        """Put a ticket in; with a later not-before time it rests until then."""
        self.waiting += 1
        self._count(ticket, 1)
        if ticket.not_before_ns > now_ns:
            self._rests[ticket] = None
            heapq.heappush(self._resting, (ticket.not_before_ns, ticket.seq, ticket))
        else:
            self._band(ticket.priority).push(ticket)

    def remove(self, ticket: Ticket) -> None:
        """Take a ticket out that will not be granted; its state says so already."""
        self.waiting -= 1
        self._count(ticket, -1)
        if self._rests and ticket in self._rests:
            del self._rests[ticket]
        else:
            self.bands[ticket.priority].drop(ticket)
        self._dead += 1
        if self._dead > 64 and self._dead > 2 * self.waiting:
            self._sweep()

    def take(self, ticket: Ticket) -> None:
        """The ticket, a head, has its turn; its lane pays for it once."""
        band = self.bands[ticket.priority]
        self.waiting -= 1
        self._count(ticket, -1)
        band.lanes[ticket.tenant].pop(ticket)
        tenant = ticket.tenant
        if not ticket.charged:
            lane = band.lanes[tenant]
            band.now_tag = max(band.now_tag, lane.tag)
            lane.tag += ticket.share
            if lane.ready > 1:
                band.enlist(lane)
        band.drop(ticket)

    def reprice(self, ticket: Ticket, cost: Cost) -> None:
        """A better estimate of a waiting call."""
        self._count(ticket, -1)
        ticket.cost = cost
        self._count(ticket, 1)

    def charge(self, ticket: Ticket) -> None:
        """A grant that never waited counts for its tenant like any other."""
        self._band(ticket.priority).advance(ticket.tenant, ticket.share)

    def correct(self, ticket: Ticket, share: int) -> None:
        """The true cost is known: *share* more (or less) service than was charged."""
        band = self._band(ticket.priority)
        if share > 0 or ticket.tenant in band.lanes:
            band.correct(ticket.tenant, share)

    def wake(self, *, now_ns: int) -> None:
        """Tickets whose not-before time has come are ready again, at their old rank."""
        resting = self._resting
        while resting and (resting[0][0] <= now_ns or resting[0][2] not in self._rests):
            at_ns, _, ticket = heapq.heappop(resting)
            if ticket in self._rests and at_ns == ticket.not_before_ns:
                del self._rests[ticket]
                self._band(ticket.priority).push(ticket)

    def wakes_at_ns(self) -> int | None:
        """When the first resting ticket becomes ready."""
        resting = self._resting
        while resting and resting[0][2] not in self._rests:
            heapq.heappop(resting)
        return resting[0][0] if resting else None

    def first(self) -> Ticket | None:
        """The ticket whose turn it is."""
        for number in BANDS:
            band = self.bands.get(number)
            if band is not None and band.ready and (lane := band.front()) is not None:
                return lane.heads()[0]
        return None

    def heads(self) -> Iterator[Ticket]:
        """Candidates in order: every band, its first lanes, in each the first ticket of every kind."""
        for number in BANDS:
            band = self.bands.get(number)
            if band is not None and band.ready:
                for lane in band.in_order():
                    yield from lane.heads()

    def waiting_bands(self) -> list[int]:
        """Bands with ready tickets, best first."""
        return [number for number in BANDS if (band := self.bands.get(number)) is not None and band.ready]

    def head_of(self, number: int) -> Ticket | None:
        """The first ticket of one band."""
        lane = self.bands[number].front()
        return None if lane is None else lane.heads()[0]

    def alone(self, ticket: Ticket) -> bool:
        """Nobody but this ticket's own lane waits ready."""
        band = self.bands.get(ticket.priority)
        if band is None:
            return True
        lane = band.lanes.get(ticket.tenant)
        return lane is not None and lane.ready == self.ready and len(lane.lines) <= 1

    def ahead(self, unit: str, priority: int) -> int:
        """Units waiting in the same and all better bands."""
        return sum(self._sums.get((band, unit), 0) for band in BANDS if band <= priority)

    def queued(self, unit: str, priority: int) -> int:
        """Units waiting in one band."""
        return self._sums.get((priority, unit), 0)

    def tickets(self) -> Iterator[Ticket]:
        """Every waiting ticket, in no order. O(n)."""
        for band in self.bands.values():
            for lane in band.lanes.values():
                for line in lane.lines.values():
                    yield from (ticket for ticket in line.live() if ticket not in self._rests)
        yield from self._rests

    def _band(self, number: int) -> Band:
        band = self.bands.get(number)
        if band is None:
            band = self.bands[number] = Band(number)
        return band

    def _count(self, ticket: Ticket, sign: int) -> None:
        for unit, amount in ticket.cost.pairs:
            at = (ticket.priority, unit)
            self._sums[at] = self._sums.get(at, 0) + sign * amount

    def _sweep(self) -> None:
        self._dead = 0
        for band in self.bands.values():
            for lane in band.lanes.values():
                lane.sweep()
        self._resting = [entry for entry in self._resting if entry[2] in self._rests]
        heapq.heapify(self._resting)
