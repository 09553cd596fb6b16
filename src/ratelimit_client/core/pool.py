"""
A budget in a store: who may spend how much of it.

Law of this file: in each bucket the level and the live leases are together never more
than its capacity, and whatever was lent is spent, until its holder says otherwise. So in
every window all processes together spend no more than the bucket held and what flowed in,
whoever crashes, stalls, or hears no answer.

It is the law that the script of a store carries out; tests hold the two beside each other.
Here it is written in integers of any size, there in floats of 53 bits.

Theory. Lending takes from the level at once. A process that says it spent less gives the
rest back; one that has gone silent may have spent everything, so what it held is not lent
again: it costs one lease, once. If it comes back it gets a new *fence*, and what it still
holds under the old one is void.

What is there is shared by max-min: nobody gets more than he wants, and what is lacking
lacks those who want most. Where the shares are smaller than the next call of somebody,
one by one is served: half of what flows in is set aside for the call that has waited
longest, until it is there, and all where that is no more than its share. Members renew
in turns that are evenly apart, or who always came just after another would find little.

A server's reading tells how much it has, not how much may be lent: calls may be under
way, and leases are out. Let *lent* and *out* be what the process knew when it sent the
call. What the server has now is then at least ``remaining`` with the refill since, less
all that was lent after it, less what was out; a level below that rises to it. It is at
most ``remaining`` with the refill; a level above that was spent by somebody who is none
of ours, and falls.

When all members had gone silent at once it was the store that could not be reached. They
went on, and each tells how far when it comes back; until then the level says nothing, and
only the rate is lent.

A store that lost its memory is told by the first process that remembers another birth of
the budget: its level is then taken for nothing, and grows with time and readings.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from .lease import TURN_US, BucketId, Call, Fact, Fill, Grant, Lease, Renewal, Shown, Sight, Wish
from .lore import KEPT_US as WORDS_KEPT_US
from .lore import MOST_TELLERS, Lore, Told

KEPT_US = 600_000_000
"""How long the store remembers what a silent process held: coming back, it gets back what it had not spent."""


CAUTIOUS_US = 3_000_000
"""How long nothing but the rate is lent after all had gone silent: until all have told what they spent meanwhile."""


@attrs.define(eq=False)
class Store:
    """All budgets of one store; for tests, and for several limiters in one process."""

    pools: dict[str, Pool] = attrs.field(factory=dict)

    def renew(self, call: Call, *, now_us: int) -> tuple[Lease, ...]:
        """One lease for each renewal, in their order; all of them at one instant."""
        return tuple(self._renew(call, renewal, now_us) for renewal in call.renewals)

    def _renew(self, call: Call, renewal: Renewal, now_us: int) -> Lease:
        pool = self.pools.get(renewal.budget)
        if pool is None:
            pool = self.pools[renewal.budget] = Pool(born_us=now_us)
        return pool.renew(call.process, call.number, renewal, ttl_us=call.ttl_us, now_us=now_us)


@attrs.define(eq=False)
class SharedBucket:
    """
    One limit of a budget.

    Args:
        fraction: what has flowed in beyond whole units, in units times microseconds of the window.
        as_of_us: when the level was true.
        sent_us: when the call was sent whose reading was used last.
        steps_us: when it steps next; 0: not known.
    """

    fill: Fill
    limit: int
    capacity: int
    level: int
    as_of_us: int
    fraction: int = 0
    sent_us: int = 0
    steps_us: int = 0

    def refresh(self, window_us: int, out: int, *, now_us: int) -> int:
        """Let time fill it, up to its capacity less what is *out*; returns the units that came."""
        elapsed_us = now_us - self.as_of_us
        self.as_of_us = now_us
        if elapsed_us <= 0:  # a clock that was set back finds time standing still
            return 0
        room = self.capacity - out - self.level
        gained = self._gain(window_us, elapsed_us, room, now_us)
        if gained >= room:
            gained, self.fraction = max(0, room), 0
        self.level += gained
        return gained

    def _gain(self, window_us: int, elapsed_us: int, room: int, now_us: int) -> int:
        if self.fill is Fill.STEPS:
            if self.steps_us == 0 or now_us < self.steps_us:
                return 0
            self.steps_us += ((now_us - self.steps_us) // window_us + 1) * window_us
            return room
        if elapsed_us >= 2 * window_us:
            return room
        gained, self.fraction = divmod(elapsed_us * self.limit + self.fraction, window_us)
        return gained


@attrs.define(eq=False)
class Holding:
    """What one process holds of one unit, and what it said of itself when it last spoke."""

    spent: int
    held: int = 0
    wants: int = 0
    needs: int = 0
    since_us: int = 0


@attrs.define(eq=False)
class Member:
    """One process; silent after ``until_us``."""

    fence: int
    number: int
    until_us: int
    holdings: dict[str, Holding] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Pool:
    """
    Args:
        born_us: when it came to be; no two have the same.
        fences: memberships ever given out.
        forgotten_us: the birth of the pool that was lost before this one came.
        cautious_us: until then nothing but the rate is lent.
        lent: units ever lent, by unit, less those given back.
        saved: halves of a unit, by unit, that are set aside for the call that has waited longest.
        words: what processes told, and when.
    """

    born_us: int
    fences: int = 0
    forgotten_us: int = 0
    cautious_us: int = 0
    buckets: dict[BucketId, SharedBucket] = attrs.field(factory=dict)
    members: dict[str, Member] = attrs.field(factory=dict)
    lent: dict[str, int] = attrs.field(factory=dict)
    saved: dict[str, int] = attrs.field(factory=dict)
    words: dict[str, tuple[int, Lore]] = attrs.field(factory=dict)

    def renew(self, process: str, number: int, renewal: Renewal, *, ttl_us: int, now_us: int) -> Lease:
        """Write down where *process* stands, and lend it what is fair."""
        self._forget_silent(now_us)
        if self.members and not any(self._live(now_us)):
            self.cautious_us = now_us + CAUTIOUS_US
        gained = self._refresh(now_us)
        member = self.members.get(process)
        if member is not None and number <= member.number:
            return self._again(process, member, renewal, now_us)
        if renewal.born_us not in (0, self.born_us, self.forgotten_us):
            self._lost_memory(renewal.born_us)
        known = member is not None and member.fence == renewal.fence and now_us < member.until_us
        returns = renewal.born_us not in (0, self.born_us)
        if member is None:
            member = self.members[process] = Member(0, number, 0)
        if not known:
            self.fences += 1
            member.fence = self.fences
        member.number, member.until_us = number, now_us + ttl_us
        for wish in renewal.wishes:
            self._write_down(member, wish, keeps=wish.keeps if known or returns else 0, now_us=now_us)
        for fact in renewal.facts:
            self._learn(fact, now_us)
        for sight in renewal.sights:
            self._see(sight, now_us)
        if renewal.tells is not None:
            self._note(process, renewal.tells, now_us)
        if renewal.leaves:
            del self.members[process]
            return self._lease(process, renewal, member, (), now_us)
        grants = tuple(self._grant(process, member, wish, gained, now_us) for wish in renewal.wishes)
        return self._lease(process, renewal, member, grants, now_us)

    # -- what time does -----------------------------------------------------------

    def _forget_silent(self, now_us: int) -> None:
        for process, member in list(self.members.items()):
            if now_us >= member.until_us + KEPT_US:
                del self.members[process]

    def _refresh(self, now_us: int) -> dict[str, int]:
        """Bring all buckets to now; returns by unit what came into the bucket that got least."""
        gained: dict[str, int] = {}
        for id_, bucket in self.buckets.items():
            came = bucket.refresh(id_.window_us, self.out(id_.unit, now_us), now_us=now_us)
            gained[id_.unit] = min(came, gained.get(id_.unit, came))
        return gained

    def _live(self, now_us: int) -> Iterable[tuple[str, Member]]:
        return ((process, member) for process, member in self.members.items() if now_us < member.until_us)

    def out(self, unit: str, now_us: int) -> int:
        """Units of live leases."""
        return sum(member.holdings[unit].held for _, member in self._live(now_us) if unit in member.holdings)

    # -- what a process says ------------------------------------------------------

    def _again(self, process: str, member: Member, renewal: Renewal, now_us: int) -> Lease:
        """A call that was executed before, or was overtaken: it gets what is written down, and changes nothing."""
        grants = []
        for wish in renewal.wishes:
            holding = member.holdings.get(wish.unit)
            units = 0 if holding is None or member.fence == 0 else max(0, holding.held - wish.keeps)
            grants.append(self._told(wish.unit, units, fair=wish.keeps + units, at_once=False, now_us=now_us))
        return self._lease(process, renewal, member, tuple(grants), now_us)

    def _lost_memory(self, forgotten_us: int) -> None:
        """Somebody remembers a budget that was here before: what was spent of it nobody knows."""
        self.forgotten_us = forgotten_us
        for bucket in self.buckets.values():
            bucket.level, bucket.fraction = min(bucket.level, 0), 0

    def _learn(self, fact: Fact, now_us: int) -> None:
        """
        A limit, and what one process believes is there: more there cannot be, for it sees what others take too late.

        What is out may be spent yet, so that much less can be lent. A slice is told of when it is empty, and by
        then half of what is written down as out has been spent on emptying it.
        """
        bucket = self.buckets.get(fact.id)
        out = self.out(fact.id.unit, now_us) // (2 if fact.id.slice else 1)
        if bucket is not None and fact.news and fact.capacity == 0:
            del self.buckets[fact.id]
        if fact.capacity == 0:
            return
        if bucket is None:
            level = min(fact.level, 0) if self.forgotten_us else fact.level
            steps_us = now_us + fact.steps_in_us if fact.steps_in_us else 0
            bucket = SharedBucket(fact.fill, fact.limit, fact.capacity, level - out, now_us, steps_us=steps_us)
            self.buckets[fact.id] = bucket
        elif fact.news:
            bucket.fill, bucket.limit, bucket.capacity = fact.fill, fact.limit, fact.capacity
            bucket.fraction = 0
            if fact.steps_in_us:
                bucket.steps_us = now_us + fact.steps_in_us
        level = min(bucket.level, min(fact.level, bucket.capacity) - out)
        bucket.level = max(level, -bucket.capacity)

    def _write_down(self, member: Member, wish: Wish, *, keeps: int, now_us: int) -> None:
        """What it held and neither spent nor keeps comes back; what it spent beyond is taken now."""
        holding = member.holdings.get(wish.unit)
        if holding is None:
            # Nobody knows what it spent before; what it brings was taken from a level that is lost.
            holding = member.holdings[wish.unit] = Holding(wish.spent)
            back = 0
        else:
            back = holding.held - (wish.spent - holding.spent) - keeps
        holding.spent, holding.held = wish.spent, keeps
        holding.wants, holding.needs = wish.wants, wish.needs
        holding.since_us = now_us - wish.waits_us
        self._take(wish.unit, -back, now_us)

    def _take(self, unit: str, units: int, now_us: int) -> None:
        """Take *units* out of all buckets of this unit, or, negative, put them back."""
        self.lent[unit] = self.lent.get(unit, 0) + units
        for id_, bucket in self.buckets.items():
            if id_.unit == unit:
                level = min(bucket.level - units, bucket.capacity - self.out(unit, now_us))
                bucket.level = max(level, -bucket.capacity)
                if bucket.fill is Fill.STEPS and bucket.steps_us == 0 and units > 0:
                    bucket.steps_us = now_us + id_.window_us

    def _see(self, sight: Sight, now_us: int) -> None:
        bucket = self.buckets.get(sight.id)
        sent_us = now_us - sight.sent_us
        if bucket is None or sent_us <= bucket.sent_us:
            return
        bucket.sent_us = sent_us
        lent, out = sight.marks
        has = sight.remaining
        if bucket.fill is not Fill.STEPS:
            has += min(sight.seen_us, 2 * sight.id.window_us) * bucket.limit // sight.id.window_us
        most = bucket.capacity - self.out(sight.id.unit, now_us)
        least = min(has - (self.lent.get(sight.id.unit, 0) - lent) - out, most)
        # Rounded down and one more in either direction: a reading is floored, and so is the refill.
        if bucket.level < least or bucket.level > has + 1:
            bucket.level, bucket.fraction = max(least, -bucket.capacity), 0

    def _note(self, process: str, lore: Lore, now_us: int) -> None:
        """Its word takes the place of the one before; the oldest go."""
        self.words[process] = now_us, lore
        for name in [name for name, (told_us, _) in self.words.items() if now_us - told_us >= WORDS_KEPT_US]:
            del self.words[name]
        while len(self.words) > MOST_TELLERS:
            del self.words[min(self.words, key=lambda name: (self.words[name][0], name))]

    # -- what it gets -------------------------------------------------------------

    def _grant(self, process: str, member: Member, wish: Wish, gained: dict[str, int], now_us: int) -> Grant:
        unit = wish.unit
        levels = [(bucket.level, bucket.capacity) for id_, bucket in self.buckets.items() if id_.unit == unit]
        if not levels:  # of what nobody knows a limit, nothing can be lent
            return self._told(unit, 0, fair=0, at_once=False, now_us=now_us)
        lowest = min(level for level, _ in levels)
        if now_us < self.cautious_us:
            lowest = min(lowest, self._part(unit))
        free = max(0, lowest)
        owner = self._owner(unit, now_us)
        fair = self._fair(unit, lowest, now_us)
        saved = self._save(unit, owner, fair, gained.get(unit, 0))
        wants = wish.wants
        if owner == process:
            wants = max(wants, wish.keeps + wish.needs)
        target = wants if fair is None else min(wants, fair)
        if owner == process:
            target = max(target, member.holdings[unit].held + wish.needs)
        elif owner:
            free = max(0, free - saved // 2)
            if fair is not None and wish.needs > 0 and wish.keeps + wish.needs > fair:
                target = 0  # it could not use them before its turn, and others can
        held = member.holdings[unit].held
        units = max(0, min(target - held, free))
        if units:
            member.holdings[unit].held += units
            self._take(unit, units, now_us)
        if owner == process:
            self.saved[unit] = max(0, saved - 2 * units)
        plenty = fair is None and all(2 * (level - units) >= capacity for level, capacity in levels)
        return self._told(unit, units, fair=max(target, 0), at_once=plenty, now_us=now_us)

    def _part(self, unit: str) -> int:
        """What flows in within a turn for each of those that are known, silent ones with them."""
        flows = (bucket.limit * TURN_US // id_.window_us for id_, bucket in self.buckets.items() if id_.unit == unit)
        return min(flows) // max(1, len(self.members))

    def _owner(self, unit: str, now_us: int) -> str:
        """The process whose next call has waited longest for more than it holds; "" for none."""
        found, since_us = "", 0
        for process, member in self._live(now_us):
            holding = member.holdings.get(unit)
            if holding is not None and holding.needs > 0:
                key = holding.since_us, process
                if not found or key < (since_us, found):
                    since_us, found = key
        return found

    def _save(self, unit: str, owner: str, fair: int | None, gained: int) -> int:
        """
        Half of what came in is set aside for the next call of *owner*, and all where that is no more than is fair.

        Returns the halves there are.
        """
        holding = self.members[owner].holdings[unit] if owner else Holding(0)
        heavy = fair is not None and holding.held + holding.needs > fair
        saved = self.saved[unit] = min(2 * holding.needs, self.saved.get(unit, 0) + (gained if heavy else 2 * gained))
        return saved

    def _fair(self, unit: str, lowest: int, now_us: int) -> int | None:
        """Units that nobody is to hold more of; None: all wants can be met."""
        wants = sorted(member.holdings[unit].wants for _, member in self._live(now_us) if unit in member.holdings)
        left, many = lowest + self.out(unit, now_us), len(wants)
        for want in wants:
            share = max(1, left // many if left > 0 else 0)
            if want > share:
                return share
            left -= want
            many -= 1
        return None

    # -- what it is told ----------------------------------------------------------

    def _told(self, unit: str, units: int, *, fair: int, at_once: bool, now_us: int) -> Grant:
        lent, out = self.lent.get(unit, 0), self.out(unit, now_us)
        return Grant(unit=unit, units=units, fair=fair, at_once=at_once, lent=lent, out=out)

    def _words_of_others(self, process: str, now_us: int) -> tuple[Told, ...]:
        """What others told, by the names they have."""
        others = [word for name, word in sorted(self.words.items()) if name != process]
        return tuple(Told(max(0, now_us - told_us), lore) for told_us, lore in others)

    def _turn(self, process: str, live: list[str], now_us: int) -> int:
        """Turns are evenly apart in the store's time, so that nobody always comes just after another."""
        if process not in live:
            return TURN_US
        turn_us = (live.index(process) * TURN_US // len(live) - now_us) % TURN_US
        return turn_us if 2 * turn_us >= TURN_US else turn_us + TURN_US

    def _lease(self, process: str, renewal: Renewal, member: Member, grants: tuple[Grant, ...], now_us: int) -> Lease:
        shown = tuple(
            Shown(id=id_, fill=bucket.fill, limit=bucket.limit, capacity=bucket.capacity, level=bucket.level)
            for id_, bucket in sorted(self.buckets.items())
        )
        live = sorted(process for process, _ in self._live(now_us))
        return Lease(
            budget=renewal.budget,
            fence=member.fence,
            born_us=self.born_us,
            members=len(live),
            turn_us=self._turn(process, live, now_us),
            grants=grants,
            buckets=shown,
            told=self._words_of_others(process, now_us) if renewal.asks else (),
        )
