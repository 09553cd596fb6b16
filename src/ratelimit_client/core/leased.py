"""
One budget that is shared through a store, as this process holds it.

Law of this file: nothing is spent that was not lent, and nothing that was lent is spent
after its end, which is measured here and from the moment of asking. While the store
cannot be reached, what is spent instead is counted, and told when it is back.

Theory. For each unit there is a purse. What is granted comes into it soon where there is
plenty, and in portions until the next renewal where there is not, so that processes
that renewed together do not all knock together. What a renewal gives up is given up
before it is said.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import attrs

from . import adrift
from .bucket import Bucket
from .lease import LONGEST_US, MOST_UNITS, TURN_US, US, BucketId, Fact, Fill, Grant, Lease, Renewal, Shown, Sight, Wish
from .lines import Line
from .lore import Telling
from .priors import PRIOR
from .profile import Refill
from .purse import Purse
from .units import NS

PERIOD_NS = TURN_US * US
PORTION_NS = NS // 40
LEASE_NS = 2 * NS + NS // 2
"""How long a lease may be spent, from the moment of asking for it."""

TTL_US = 3_000_000
"""How long the store counts on it being spent: longer, since clocks do not run alike."""

_PLENTY = 10
"""Portions of what is lent where there is plenty: a quarter of a second is no wait, and no clap either."""

_BURST = 32
"""So many calls of the usual size go soon where there is plenty; more of them are spread, as the ramp would."""

_OTHERS = 4
"""So many are taken to begin at the same time, until the store has told."""

_MARKS = 16
_MICRO = 1_000_000


@attrs.frozen
class Need:
    """
    What waits for one unit.

    Args:
        queued: units of all calls that wait.
        head: units of the first of them, and since when it waits.
        typical: units of a call as it usually is.
    """

    queued: int = 0
    head: int = 0
    since_ns: int = 0
    typical: int = 1


@attrs.define(eq=False)
class Unit:
    """
    One unit of the lease.

    Args:
        purse: what may be spent.
        coming: units that are lent and come into it in portions.
        portions: so many.
        asked: units ever spent, at the last renewal; and when that was.
        pace: units a second that were used of late, in millionths.
        lent: what it held after the last grant, and what all held then.
        burst: units that come soon where there is plenty.
        head, lacks: units that the next call takes, and of these what was not there at the last renewal.
        served_ns: when enough was lent last: from then on it waits anew, however old its calls are.
        wanted, fair: what was wished for at the last renewal, and what was told to be fair.
        left: credits that may be spent of long windows while the store is lost.
    """

    purse: Purse
    coming: int = 0
    portions: int = 0
    asked: int = 0
    asked_ns: int = 0
    pace: int = 0
    lent: tuple[int, int] = (0, 1)
    burst: int = 0
    head: int = 0
    lacks: int = 0
    served_ns: int = 0
    wanted: int = 0
    fair: int | None = None
    left: int | None = None

    @property
    def held(self) -> int:
        """Units that are lent and not spent."""
        return max(0, self.purse.units) + self.coming

    @property
    def scarce(self) -> bool:
        """More was wished for than was fair: asking again soon would bring nothing."""
        return self.fair is not None and self.fair < self.wanted

    @property
    def may_hold(self) -> int:
        """What is fair; and what the next call takes, once it is all there."""
        if self.fair is None:
            return self.held
        return max(self.fair, self.head) if self.held >= self.head else self.fair

    def give_up(self, units: int) -> None:
        """Hold so many less."""
        later = min(units, self.coming)
        self.coming -= later
        self.purse.take_out((units - later) * self.purse.window_ns)

    def void(self) -> None:
        """What is held is worth nothing any more; debt stays."""
        self.coming = self.portions = 0
        if self.purse.credits > 0:
            self.purse.take_out(self.purse.credits)

    def portion(self) -> bool:
        """The next portion comes in; True when there was one."""
        if not self.coming:
            return False
        units = -(-self.coming // max(1, self.portions))
        self.portions -= 1
        self.coming -= units
        self.purse.put_in(units * self.purse.window_ns)
        return True

    def granted(self, grant: Grant, turn_ns: int, *, now_ns: int) -> None:
        """So much more was lent, for the time until the next turn."""
        if grant.units and grant.units >= self.lacks:
            self.served_ns = now_ns
        self.coming += grant.units
        self.fair = grant.fair
        self.lent = self.held, max(1, grant.out)
        self.give_up(max(0, self.held - self.may_hold))
        now = min(self.coming, max(0, self.head - self.purse.units)) if self.held >= self.head else 0
        self.coming -= now
        self.purse.put_in(now * self.purse.window_ns)
        plenty = grant.at_once and self.coming <= self.burst
        self.portions = _PLENTY if plenty else max(1, turn_ns // PORTION_NS)
        self.portion()


@attrs.define(eq=False)
class Leased:
    """
    Args:
        name: of the budget, the same in all processes.
        fence, born_us, members: as the store told.
        until_ns: the end of the lease; of one that was never granted, 0.
        lost_ns: since when the store cannot be reached; None while it can.
        used_ns: when something was last spent of it or waited.
        calls: calls let out until then.
        over_all: it is the budget over all keys.
        shown: its buckets, as the store has them.
        hearsay: what is told and heard of prices.
    """

    name: str
    units: dict[str, Unit] = attrs.field(factory=dict)
    fence: int = 0
    born_us: int = 0
    members: int = 0
    until_ns: int = 0
    lost_ns: int | None = None
    used_ns: int = 0
    calls: int = 0
    over_all: bool = False
    shown: Mapping[BucketId, Shown] = attrs.field(factory=dict)
    _told: dict[BucketId, tuple[int, int]] = attrs.field(factory=dict)
    _telling: dict[BucketId, tuple[int, int]] = attrs.field(factory=dict)
    _sights: dict[BucketId, int] = attrs.field(factory=dict)
    _showing: dict[BucketId, int] = attrs.field(factory=dict)
    _marks: deque[tuple[int, dict[str, tuple[int, int]]]] = attrs.field(factory=lambda: deque(maxlen=_MARKS))
    _fed_ns: int = 0
    _believed: dict[str, int] = attrs.field(factory=dict)
    hearsay: Telling = attrs.field(factory=Telling)

    @property
    def active(self) -> bool:
        """It is a member, or tries to be one."""
        return bool(self.fence) or self.lost_ns is not None

    # -- asking ---------------------------------------------------------------------

    def prepare(self, lines: Sequence[Line], shared: Sequence[Bucket], *, now_ns: int) -> None:
        """Before the first answer: an empty purse for each unit that has a limit."""
        self._telling = {}
        for unit, capacity, window_us in self._tightest(self._facts(lines, shared, now_ns)):
            self.fit(unit, capacity, window_us * US, now_ns=now_ns)

    def renewal(
        self, lines: Sequence[Line], shared: Sequence[Bucket], needs: Mapping[str, Need], *, leaves: bool, now_ns: int
    ) -> Renewal:
        """Where this process stands; what it does not keep is given up from now on."""
        self._telling, self._showing = {}, dict(self._sights)
        facts = tuple(self._facts(lines, shared, now_ns))
        for unit, capacity, window_us in self._tightest(facts):
            self.fit(unit, capacity, window_us * US, now_ns=now_ns)
        self._believed = {}
        for fact in facts:
            unit = fact.id.unit
            self._believed[unit] = min(max(0, fact.level), self._believed.get(unit, MOST_UNITS))
        wishes = tuple(
            self._wish(unit, held, needs.get(unit, Need()), leaves, now_ns) for unit, held in self.units.items()
        )
        return Renewal(
            budget=self.name,
            fence=self.fence,
            born_us=self.born_us,
            leaves=leaves,
            facts=facts,
            wishes=wishes,
            sights=tuple(self._seen(lines, now_ns)),
        )

    def fit(self, unit: str, limit: int, window_ns: int, *, now_ns: int) -> Unit:
        """The purse of a unit, made for the tightest bucket that is paid in it."""
        held = self.units.get(unit)
        if held is None:
            # Over all keys it stands among the buckets of the quotas, which are told apart by unit and window.
            name, window_ns = (unit, window_ns + 1) if self.over_all else (f"leased {unit}", window_ns)
            held = self.units[unit] = Unit(Purse.empty(unit, limit, window_ns, name=name))
            held.asked_ns = now_ns
        elif held.purse.limit != limit:
            held.purse.fit(limit)
        return held

    def _tightest(self, facts: Iterable[Fact]) -> list[tuple[str, int, int]]:
        """Of each unit the limit and window of the smallest bucket that anybody knows."""
        known = [(fact.id.unit, fact.capacity, fact.id.window_us) for fact in facts if fact.capacity]
        known += [(id_.unit, each.capacity, id_.window_us) for id_, each in self.shown.items()]
        found: dict[str, tuple[str, int, int]] = {}
        for unit, capacity, window_us in known:
            if unit not in found or capacity < found[unit][1]:
                found[unit] = (unit, capacity, window_us)
        return list(found.values())

    def _facts(self, lines: Sequence[Line], shared: Sequence[Bucket], now_ns: int) -> Iterable[Fact]:
        for line in lines:
            bucket, slice_ = line.bucket, line.lessons.slice
            if bucket.source == PRIOR or not _can_share(bucket):
                continue
            id_ = _id(bucket)
            yield self._fact(id_, bucket, read=line.series.last_order >= 0, now_ns=now_ns)
            if slice_ is not None:
                yield self._fact(attrs.evolve(id_, slice=True), slice_, read=False, now_ns=now_ns)
        for bucket in shared:
            if _can_share(bucket):
                yield self._fact(_id(bucket), bucket, read=False, now_ns=now_ns)
        for id_ in [id_ for id_ in self._told if id_.slice and id_ not in self._telling]:
            yield Fact(id=id_, limit=1, capacity=0, level=0, fill=Fill.SLICE, news=True)

    def _fact(self, id_: BucketId, bucket: Bucket, *, read: bool, now_ns: int) -> Fact:
        level = bucket.level(now_ns=now_ns)
        ours, told, shown = (bucket.limit, bucket.capacity), self._told.get(id_), self.shown.get(id_)
        # Whoever comes last with a typed limit has the last word, and what a server shows has it always.
        news = told != ours if told is not None else bucket.source == "config" or id_.slice
        if read and bucket.source == "header" and shown is not None and (shown.limit, shown.capacity) != ours:
            news = True
        self._telling[id_] = ours
        steps_us = 0
        fill = Fill.SLICE if id_.slice else Fill.CONTINUOUS
        if bucket.refill is Refill.WINDOW:
            fill = Fill.STEPS
            steps_us = max(0, bucket.steps_at_ns - now_ns) // US if bucket.steps_at_ns is not None else 0
        return Fact(
            id=id_,
            limit=bucket.limit,
            capacity=bucket.capacity,
            level=level,
            fill=fill,
            steps_in_us=steps_us,
            news=news,
        )

    def _wish(self, unit: str, held: Unit, need: Need, leaves: bool, now_ns: int) -> Wish:
        purse = held.purse
        spent, passed_ns = purse.spent, max(1, now_ns - held.asked_ns)
        used = max(0, spent - held.asked)
        if used or need.queued:
            self.used_ns = now_ns
        if passed_ns >= PERIOD_NS // 4:
            held.pace = (held.pace + used * _MICRO * NS // passed_ns) // 2
            held.asked, held.asked_ns = spent, now_ns
        ahead = held.pace * 5 * PERIOD_NS // (4 * _MICRO * NS)
        # Where there is plenty, no less than its part of what flows in: a caller that suddenly has much to do has it.
        members, flow = max(1, self.members), purse.limit * PERIOD_NS // purse.window_ns
        # No less than its part of what flows in, so that one who suddenly has much to do has it; and where a bucket is
        # full, no more at a time than shows soon enough that the server enforces less than it says.
        wants = max(flow // members, ahead + need.queued + 2 * need.typical)
        held.burst = _BURST * need.typical
        # Together four times what flows in, as far as that lets each have all of it: at that rate refusals come until
        # all have heard of the first.
        wants = min(wants, max(held.burst, 9 * flow // 8, 4 * flow // (self.members or _OTHERS)))
        wants = 0 if leaves else min(purse.limit, max(need.head, wants))
        keeps = held.held if self.lost_ns is None else 0
        held.head = min(need.head, purse.limit)
        if not leaves:
            keeps = min(keeps, held.may_hold)
        keeps = min(keeps, wants, self._believed.get(unit, MOST_UNITS))
        if self.lost_ns is None:
            held.give_up(held.held - keeps)
        held.wanted = wants
        lacks = max(0, held.head - keeps)
        held.lacks = lacks
        waits_us = max(0, now_ns - max(need.since_ns, held.served_ns)) // US if lacks else 0
        return Wish(unit=unit, spent=spent, keeps=keeps, wants=wants, needs=lacks, waits_us=waits_us)

    def _seen(self, lines: Sequence[Line], now_ns: int) -> Iterable[Sight]:
        for line in lines:
            series, bucket = line.series, line.bucket
            latest = series.latest
            if latest is None or series.asleep or not series.follows or not _can_share(bucket):
                continue
            id_ = _id(bucket)
            remaining, sent_ns, snap_ns = latest
            if sent_ns <= self._sights.get(id_, -1):
                continue
            marks = next((marks for at_ns, marks in reversed(self._marks) if at_ns <= sent_ns), {})
            if id_.unit in marks:
                self._showing[id_] = sent_ns
                yield Sight(
                    id=id_,
                    remaining=max(-MOST_UNITS, min(remaining, MOST_UNITS)),
                    sent_us=(now_ns - sent_ns) // US,
                    seen_us=max(0, now_ns - snap_ns) // US,
                    marks=marks[id_.unit],
                )

    # -- being answered -------------------------------------------------------------

    def answered(self, lease: Lease, *, asked_ns: int, now_ns: int) -> bool:
        """The store lent, from *asked_ns* on, when it was asked. True: it knows units that were not asked for."""
        asked = len(self.units)
        # A store that lost its memory takes our word for what we hold; else another fence means that it is void.
        fenced = self.fence not in (0, lease.fence) and self.born_us == lease.born_us
        void = self.lost_ns is not None or fenced
        self.hearsay.answered(forgotten=self.born_us not in (0, lease.born_us), now_ns=now_ns)
        self.lost_ns, self._told, self._sights = None, self._telling, self._showing
        self.fence, self.born_us, self.members = lease.fence, lease.born_us, lease.members
        self.shown = {each.id: each for each in lease.buckets}
        self.until_ns = asked_ns + LEASE_NS
        for unit, capacity, window_us in self._tightest(()):
            self.fit(unit, capacity, window_us * US, now_ns=now_ns)
        self._marks.append((now_ns, {grant.unit: (grant.lent, grant.out) for grant in lease.grants}))
        for grant in lease.grants:
            held = self.units[grant.unit]
            if void:
                held.void()
            held.granted(grant, lease.turn_us * US, now_ns=now_ns)
        return len(self.units) > asked

    def void(self) -> None:
        """It holds nothing more."""
        for held in self.units.values():
            held.void()
            held.fair = None

    def left(self) -> None:
        """It holds nothing more, and is no member."""
        self.void()
        self.fence = self.born_us = self.until_ns = 0
        self.lost_ns = None

    # -- time -------------------------------------------------------------------------

    def step(self, *, spends: bool, workers: int, needs: Mapping[str, Need], now_ns: int) -> bool:
        """
        Let time pass: portions come in, a lease ends. True when there is more to spend.

        Args:
            spends: while the store is lost, it goes on with its part.
            workers: how many share the budget, where no store has ever told.
        """
        more = False
        if self.lost_ns is not None:
            return self._drift(spends, workers, needs, now_ns)
        if now_ns >= self.until_ns:
            for held in self.units.values():
                held.void()
            return False
        for held in self.units.values():
            more = held.portion() or more
        return more

    def lose(self, *, now_ns: int) -> None:
        """The store cannot be reached. Where it never was, a first call has waited for it, and goes now."""
        if self.lost_ns is not None:
            return
        if not self.members:
            for held in self.units.values():
                held.purse.put_in(max(1, held.head) * held.purse.window_ns)
        self.lost_ns = self._fed_ns = now_ns
        for unit, held in self.units.items():
            left = adrift.left(self._known(unit), max(1, self.members))
            held.left = None if left is None else left * held.purse.window_ns

    def _drift(self, spends: bool, workers: int, needs: Mapping[str, Need], now_ns: int) -> bool:
        assert self.lost_ns is not None
        passed_ns, self._fed_ns = now_ns - self._fed_ns, now_ns
        # A process that was stopped is not owed what it did not spend.
        passed_ns = min(max(0, passed_ns), 2 * PORTION_NS)
        ended = now_ns >= self.until_ns
        more = False
        for unit, held in self.units.items():
            if ended:
                held.coming = 0
            more = held.portion() or more
            if not spends:
                if ended:
                    held.void()
                continue
            share = adrift.part(self._known(unit), self.members or workers)
            share = _MICRO if share is None else share
            # What all spent together was lent, so it came from the whole of which a share is one part.
            mine, all_ = held.lent
            last = share * self.members * min(mine, all_) // all_ if self.members else share
            pace = adrift.rate(last, share, lost_ns=now_ns - self.lost_ns)
            more = self._feed(held, pace, passed_ns, needs.get(unit, Need()).head, ended) or more
        return more

    def _feed(self, held: Unit, pace: int, passed_ns: int, head: int, ended: bool) -> bool:
        """What the pace gives in this time; no more than it gives in a second, or than the next call takes, stays."""
        purse = held.purse
        most = min(max(pace * purse.window_ns // _MICRO, max(1, head) * purse.window_ns), purse.brim)
        if ended and purse.credits > most:
            purse.take_out(purse.credits - most)
        gained = min(pace * passed_ns * purse.window_ns // (_MICRO * NS), max(0, most - purse.credits))
        if held.left is not None:
            gained = min(gained, held.left)
            held.left -= gained
        if gained > 0:
            purse.put_in(gained)
        return gained > 0

    def _known(self, unit: str) -> list[adrift.Known]:
        """The buckets of a unit, as the store showed them; where it never did, as this process knows them."""
        shown = [
            adrift.Known(each.limit, id_.window_us, each.level) for id_, each in self.shown.items() if id_.unit == unit
        ]
        own = [
            adrift.Known(limit, id_.window_us, capacity)
            for id_, (limit, capacity) in {**self._told, **self._telling}.items()
            if id_.unit == unit and id_ not in self.shown
        ]
        return shown + own


def _can_share(bucket: Bucket) -> bool:
    return bucket.pays is not None and bucket.limit <= MOST_UNITS and bucket.window_ns // US <= LONGEST_US


def _id(bucket: Bucket) -> BucketId:
    name = "".join(char if (char.isalnum() and char.isascii()) or char in "_.-" else "_" for char in bucket.name)
    return BucketId(bucket.pays or "", name or "_", bucket.window_ns // US)
