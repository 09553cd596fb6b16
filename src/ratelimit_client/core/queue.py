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
from collections import defaultdict
from collections.abc import Iterator

import attrs

from .cost import Cost
from .ticket import State, Ticket

BANDS = (-2, -1, 0, 1, 2)
_LOOK = 16
_REMEMBERED = 1000
_SHORT = 16
_STEP = 1024
"""Tickets that are looked at in one go, where all of them have to be looked at some time."""

Kinds = tuple[str, ...]


_QUEUED = State.QUEUED  # a look-up in an enum's class costs more than all else in a line


def waits(ticket: Ticket | None) -> bool:
    """The ticket is in the queue."""
    return ticket is not None and ticket.state is _QUEUED


@attrs.define(eq=False)
class Line:
    """
    Tickets by rank. Nearly all come in the order of their rank and stand in ``blocks``.

    Args:
        blocks: of a thousand at most, none of them empty but a single one. So no step looks at
            all of very many, and one who waits alone takes little room.
        gone: so many of the first block are used up.
        back: a heap of those that were sent back, with their old rank.
        swept: the block that is swept next.
    """

    blocks: list[list[Ticket | None]] = attrs.field(factory=lambda: [[]])
    gone: int = 0
    back: list[tuple[int, Ticket]] = attrs.field(factory=list)
    swept: int = 0

    def __len__(self) -> int:
        return sum([len(block) for block in self.blocks], len(self.back))

    def push(self, ticket: Ticket) -> None:
        """Put it where its rank belongs."""
        block = self.blocks[-1]
        last = block[-1] if block else None
        if last is not None and last.seq > ticket.seq:
            heapq.heappush(self.back, (ticket.seq, ticket))
            return
        if len(block) >= _STEP:
            block = []
            self.blocks.append(block)
        block.append(ticket)

    def head(self) -> Ticket | None:
        """The first live ticket; dead ones before it are dropped."""
        back = self.back
        while back and not waits(back[0][1]):
            heapq.heappop(back)
        first = self._first()
        if back and (first is None or back[0][0] < first.seq):
            return back[0][1]
        return first

    def _first(self) -> Ticket | None:
        while block := self.blocks[0]:
            ticket = block[self.gone]
            if ticket is not None and ticket.state is _QUEUED:
                return ticket
            self._drop()
        return None

    def _drop(self) -> None:
        """One more of the first block is used up."""
        block = self.blocks[0]
        block[self.gone] = None
        self.gone += 1
        if self.gone == len(block):
            self.gone = 0
            if len(self.blocks) > 1:
                del self.blocks[0]
                self.swept = max(0, self.swept - 1)
            else:
                block.clear()

    def pop(self, ticket: Ticket) -> bool:
        """Take *ticket* if it is the head."""
        block = self.blocks[0]
        if block and block[self.gone] is ticket:
            self._drop()
        elif self.back and self.back[0][1] is ticket:
            heapq.heappop(self.back)
        else:
            return False
        return True

    def sweep(self) -> bool:
        """Drop the dead of the next block; True when it was the last."""
        at, blocks = self.swept, self.blocks
        live: list[Ticket | None] = [ticket for ticket in blocks[at] if waits(ticket)]
        if at and len(blocks[at - 1]) + len(live) <= _STEP:  # what is left of two is one
            blocks[at - 1] += live
            del blocks[at]
        elif live or len(blocks) == 1:
            blocks[at] = live
            at += 1
        else:
            del blocks[at]
        if self.swept == 0:
            self.gone = 0
        self.swept = at
        if at < len(blocks):
            return False
        self.swept = 0
        self.back = [entry for entry in self.back if waits(entry[1])]
        heapq.heapify(self.back)
        return True

    def live(self) -> Iterator[Ticket]:
        """Every live ticket, in no order."""
        for block in self.blocks:
            yield from (ticket for ticket in block if ticket is not None and ticket.state is _QUEUED)
        yield from (ticket for _, ticket in self.back if waits(ticket))

    def oldest(self) -> Iterator[Ticket]:
        """Those that may have waited longest: the first one, and all that were sent back. Changes nothing."""
        for block in tuple(self.blocks):
            first = next((ticket for ticket in tuple(block) if waits(ticket)), None)
            if first is not None:
                yield first
                break
        yield from (ticket for _, ticket in tuple(self.back) if waits(ticket))


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

    def first(self) -> Ticket:
        """The oldest of the heads; somebody waits."""
        if len(self.lines) > 1:
            return self.heads()[0]
        (line,) = self.lines.values()  # nearly always, and then nothing has to be compared
        head = line.head()
        assert head is not None, "somebody waits, and nowhere else"
        return head

    def pop(self, ticket: Ticket) -> None:
        """Take *ticket*, which is one of the heads."""
        any(line.pop(ticket) for line in self.lines.values())


def _rank(ticket: Ticket) -> int:
    return ticket.seq


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
            order = self.order
            if order and order[0][1] == lane.tenant:  # its entry of before, which holds no more
                heapq.heapreplace(order, (lane.tag, lane.tenant))
            else:
                heapq.heappush(order, (lane.tag, lane.tenant))

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
    """All waiting calls of one key. ``joined`` counts every push, of a call that was sent back as well."""

    bands: dict[int, Band] = attrs.field(factory=dict)
    waiting: int = 0
    joined: int = 0
    _resting: list[tuple[int, int, Ticket]] = attrs.field(factory=list)
    _rests: dict[Ticket, None] = attrs.field(factory=dict)  # and no set: its order would be that of addresses
    _sums: dict[int, dict[str, int]] = attrs.field(factory=dict)
    rests_in: dict[int, int] = attrs.field(factory=dict)
    _dead: int = 0
    _sweeping: Iterator[None] | None = None

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
        self.joined += 1
        self._count(ticket, 1)
        if ticket.not_before_ns > now_ns:
            self._rests[ticket] = None
            self.rests_in[ticket.priority] = self.rests_in.get(ticket.priority, 0) + 1
            heapq.heappush(self._resting, (ticket.not_before_ns, ticket.seq, ticket))
        else:
            self._band(ticket.priority).push(ticket)

    def remove(self, ticket: Ticket) -> None:
        """Take a ticket out that will not be granted; its state says so already."""
        self.waiting -= 1
        self._count(ticket, -1)
        if self._rests and ticket in self._rests:
            self._rested(ticket)
        else:
            self.bands[ticket.priority].drop(ticket)
        self._dead += 1
        if self._sweeping is not None or (self._dead > 64 and self._dead > 2 * self.waiting):
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
                self._rested(ticket)
                self._band(ticket.priority).push(ticket)

    def wakes_at_ns(self) -> int | None:
        """When the first resting ticket becomes ready."""
        resting = self._resting
        while resting and resting[0][2] not in self._rests:
            heapq.heappop(resting)
        return resting[0][0] if resting else None

    def first(self) -> Ticket | None:
        """The ticket whose turn it is."""
        for number in BANDS if len(self.bands) > 1 else self.bands:
            band = self.bands.get(number)
            if band is not None and band.ready and (lane := band.front()) is not None:
                return lane.first()
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
        return None if lane is None else lane.first()

    def alone(self, ticket: Ticket) -> bool:
        """Nobody but this ticket's own lane waits ready."""
        band = self.bands.get(ticket.priority)
        if band is None:
            return True
        lane = band.lanes.get(ticket.tenant)
        return lane is not None and lane.ready == self.ready and len(lane.lines) <= 1

    def ahead(self, unit: str, priority: int) -> int:
        """Units waiting in the same and all better bands."""
        return sum([units.get(unit, 0) for band, units in self._sums.items() if band <= priority])

    def queued(self, unit: str, priority: int) -> int:
        """Units waiting in one band."""
        return self._sums[priority].get(unit, 0) if priority in self._sums else 0

    def calls_in(self, priority: int) -> int:
        """Calls waiting in one band."""
        band = self.bands.get(priority)
        return (0 if band is None else band.ready) + self.rests_in.get(priority, 0)

    def oldest(self) -> Iterator[Ticket]:
        """Those that may have waited longest, of each line; changes nothing."""
        for band in tuple(self.bands.values()):
            for lane in tuple(band.lanes.values()):
                for line in tuple(lane.lines.values()):
                    yield from line.oldest()
        yield from tuple(self._rests)

    def waiting_tenants(self) -> Iterator[str]:
        """Those of whom a call waits, in no order; some several times."""
        for band in self.bands.values():
            yield from (lane.tenant for lane in band.lanes.values() if lane.ready)
        yield from (ticket.tenant for ticket in self._rests)

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
        units = self._sums.get(ticket.priority)
        if units is None:
            units = self._sums[ticket.priority] = defaultdict(int)
        for unit, amount in ticket.cost.pairs:
            units[unit] += sign * amount

    def _rested(self, ticket: Ticket) -> None:
        del self._rests[ticket]
        self.rests_in[ticket.priority] -= 1

    def _sweep(self) -> None:
        """Drop some of the dead: with very many it would take the loop too long at once."""
        if self._sweeping is None:
            self._dead = 0
            self._sweeping = self._sweeps()
        for _ in self._sweeping:
            return
        self._sweeping = None

    def _sweeps(self) -> Iterator[None]:
        """Through everything, in steps."""
        lanes = [lane for band in self.bands.values() for lane in band.lanes.values()]
        for number, line in enumerate([line for lane in lanes for line in lane.lines.values()]):
            while not line.sweep():
                yield
            if number % _SHORT == _SHORT - 1:
                yield
        self._resting = [entry for entry in self._resting if entry[2] in self._rests]
        heapq.heapify(self._resting)
