"""
All buckets of one key.

Law of this file: a call pays in every bucket that holds for it, or in none.

Theory. There is one bucket per (dimension, window), and no reading removes another:
requests per minute stay in force on local accounting while a server shows requests
per day. Beside these stand a learnt slice of a bucket, a learnt rate of a key
without readings, a pace for a server that says *slow down*, and the quotas shared by
all keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import takewhile

import attrs

from .belonging import line_of
from .bucket import Bucket
from .debits import Debits
from .learner import RateLearner
from .lessons import Lessons
from .lines import Line, allow, config_bucket
from .priors import forget
from .profile import Refill, ServerProfile
from .quota import Quota
from .readings import Lesson, Series, Snapshot, readings_of
from .signals import Reading, Signals
from .slowdown import SlowDown
from .ticket import Ticket
from .units import MAX_AMOUNT, NS, to_ns

_LONGEST_PACE_NS = 600 * NS


def shared_buckets(quotas: Iterable[Quota], before: Iterable[Bucket] = (), *, now_ns: int) -> list[Bucket]:
    """Buckets over all keys for these quotas; of those that were there *before* what is used stays used."""
    known = {(bucket.name, bucket.window_ns): bucket for bucket in before}
    found = []
    for quota in quotas:
        bucket = known.get((quota.unit, quota.window_ns))
        if bucket is None:
            bucket = config_bucket(quota, now_ns=now_ns)
        elif bucket.limit != quota.amount:
            bucket.resize(quota.amount, now_ns=now_ns)
            bucket.ceiling, bucket.reserve = quota.amount, bucket.brim // 100
        found.append(bucket)
    return found


def asked_for(bucket: Bucket, ticket: Ticket, signals: Signals) -> int:
    """What a refused call would have taken of *bucket*: by the server's own words, where ours was an estimate."""
    ours = ticket.amount(bucket.pays)
    return max(ours, int(signals.requested)) if signals.requested is not None and signals.unit == bucket.name else ours


@attrs.define(eq=False)
class Budget:
    """
    Args:
        profile: what is known of this kind of server.
        shared: buckets that hold over all keys.
        priors: dimensions of which only an earlier run knew anything.
        dice: numbers in [0, 1).
        counts_after: calls up to this number bear marks of another ledger.
        went: where the last reading of each name went.
        purses: by unit, what may be spent of a budget that is shared through a store.
        members: processes that share it.
    """

    profile: ServerProfile
    shared: Sequence[Bucket] = ()
    lines: dict[str, list[Line]] = attrs.field(factory=dict)
    debits: Debits = attrs.field(factory=Debits)
    learner: RateLearner = attrs.field(factory=RateLearner)
    slowdown: SlowDown = attrs.field(factory=SlowDown)
    has_readings: bool = False
    by_unit: dict[str, tuple[Bucket, ...]] = attrs.field(factory=dict)
    binding: Bucket | None = None
    priors: set[str] = attrs.field(factory=set)
    dice: Callable[[], float] = float  # float() is 0.0
    counts_after: int = -1
    went: dict[str, Line] = attrs.field(factory=dict)
    purses: Mapping[str, Bucket] = attrs.field(factory=dict)
    members: int = 1

    def set_quotas(self, quotas: Iterable[Quota], *, now_ns: int) -> None:
        """Hold these quotas of the caller and no others; what a header showed stays, and what is used stays used."""
        wanted = {(quota.unit, quota.window_ns): quota for quota in quotas}
        for name, lines in list(self.lines.items()):
            kept = []
            for line in lines:
                bucket = line.bucket
                quota = wanted.pop((name, bucket.window_ns), None)
                if quota is not None:
                    allow(line, quota.amount, now_ns)
                elif line.series.last_order >= 0:
                    bucket.ceiling = None
                    if bucket.source == "config":
                        bucket.source, bucket.firm = "header", False
                else:
                    continue
                kept.append(line)
            self.lines[name] = kept
        for quota in wanted.values():
            self.add_line(config_bucket(quota, now_ns=now_ns))
        self.went = {name: line for name, line in self.went.items() if line in self.lines.get(name, ())}
        self.rebuild()

    def add_line(self, bucket: Bucket, *, provisional: bool = False) -> Line:
        """Put one more bucket in force."""
        exact = self.profile.reset_is_exact
        undecided = bucket.source != "config" and self.profile.refill is Refill.UNKNOWN
        late_ppm = int(self.dice() * 1_000_000)
        series = Series(
            bucket, exact_reset=exact, undecided=undecided, late_ppm=late_ppm, counts_after=self.counts_after
        )
        line = Line(bucket, series, Lessons(series), provisional)
        self.lines.setdefault(bucket.name, []).append(line)
        self.rebuild()
        return line

    def rebuild(self) -> None:
        """Sort the buckets in force by the unit that is paid in them."""
        found: dict[str, list[Bucket]] = {}
        for lines in self.lines.values():
            for line in lines:
                if line.bucket.pays is not None:
                    found.setdefault(line.bucket.pays, []).append(line.bucket)
                    if line.lessons.slice is not None:
                        found[line.bucket.pays].append(line.lessons.slice)
                    if line.sharing.pace is not None:
                        found[line.bucket.pays].append(line.sharing.pace)
        if self.learner.bucket is not None:
            found.setdefault("requests", []).append(self.learner.bucket)
        pace = self.slowdown.pace
        if pace is not None and pace.pays is not None:
            found.setdefault(pace.pays, []).append(pace)
        for bucket in (*self.shared, *self.purses.values()):
            found.setdefault(bucket.pays or bucket.name, []).append(bucket)
        self.by_unit = {unit: tuple(buckets) for unit, buckets in found.items()}
        for unit in self.by_unit.keys() | self.debits.tills.keys():
            self.debits.till(unit).buckets = self.by_unit.get(unit, ())
        self.note_limits()

    def note_limits(self) -> None:
        """Note the smallest limit that a server showed of each unit."""
        for till in self.debits.tills.values():
            till.most = MAX_AMOUNT
        for line in self.all_lines:
            if line.bucket.pays is not None and line.bucket.watched:
                till = self.debits.till(line.bucket.pays)
                till.most = min(line.bucket.limit, till.most)

    @property
    def all_lines(self) -> Iterator[Line]:
        """Every bucket with its readings."""
        for lines in self.lines.values():
            yield from lines

    @property
    def shares(self) -> bool:
        """Some bucket is shared with other processes of ours by its marks."""
        return any(line.sharing.pace is not None for line in self.all_lines)

    def foreign_ppm(self, *, now_ns: int) -> int:
        """What others spend, as millionths of the refill. Only requests are exact enough to tell."""
        return max(
            (line.series.foreign_ppm(now_ns=now_ns) for line in self.all_lines if line.bucket.pays == "requests"),
            default=0,
        )

    def settle(self, unit: str, units: int, *, now_ns: int) -> None:
        """Give *units* back to the buckets that calls settle, or, negative, take them. Debt ends at a whole bucket."""
        for bucket in self.settled_by_calls(unit, now_ns=now_ns):
            bucket.refresh(now_ns=now_ns)
            least = min(bucket.credits, -bucket.brim)
            bucket.set_level(max(least, bucket.credits + units * bucket.window_ns), now_ns=now_ns)

    def settled_by_calls(self, unit: str, *, now_ns: int) -> list[Bucket]:
        """Those of *unit* that the server corrects likewise, or that no reading has corrected within their window."""
        read = {id(self.slowdown.pace)}  # measured by what was charged
        if unit not in self.profile.settles:
            for line in self.all_lines:
                if line.series.read_ns is not None and now_ns - line.series.read_ns <= line.bucket.window_ns:
                    purse = self.purses.get(line.bucket.pays or "")
                    read.update((id(line.bucket), id(line.lessons.slice), id(line.sharing.pace), id(purse)))
        return [bucket for bucket in self.by_unit.get(unit, ()) if id(bucket) not in read]

    def holds_for(self, ticket: Ticket) -> bool:
        """An escrow of some bucket is this ticket's."""
        return any(bucket.holds_for(ticket) for buckets in self.by_unit.values() for bucket in buckets)

    # -- admission ------------------------------------------------------------

    def charge_at_once(self, ticket: Ticket, jitter_ns: int, now_ns: int) -> bool:
        """
        Charge *ticket* if its buckets have room and nothing but their levels has a say.

        False means only that it takes a closer look; then nothing was charged. The
        same as ``ready_at_ns`` and ``charge`` in one go, for the calls that need not wait.
        """
        debits = self.debits
        if now_ns >= debits.closes_ns:
            debits.begin_part(jitter_ns=jitter_ns, now_ns=now_ns)
        tills = debits.tills
        marks: list[tuple[str, int, int, int]] = []
        levels: list[int] | None = [] if self.has_readings else None
        for unit, amount in ticket.cost.pairs:
            till = tills.get(unit)
            if till is None:
                till = debits.till(unit)
            before = till.total
            for bucket in till.buckets:
                if bucket.special or bucket.gate_ns > now_ns:
                    self._uncharge(ticket, unit, bucket)
                    return False
                credits_ = bucket.credits
                elapsed_ns = now_ns - bucket.as_of_ns
                if elapsed_ns > 0:
                    bucket.as_of_ns = now_ns
                    credits_ += elapsed_ns * bucket.limit
                    if credits_ > bucket.brim:
                        credits_ = bucket.brim
                left = credits_ - amount * bucket.window_ns
                if left < bucket.reserve:
                    bucket.credits = credits_
                    self._uncharge(ticket, unit, bucket)
                    return False
                if bucket.watched and credits_ > bucket.brim >> 1:
                    bucket.peaks.note(before * bucket.window_ns, bucket.limit, now_ns=now_ns)
                if levels is not None:
                    levels.append(credits_)
                bucket.credits = left
            till.total = total = before + amount
            marks.append((unit, amount, till.arrived + amount, total))
        debits.last_ns = now_ns
        ticket.bill = (marks, self.by_unit, levels)
        return True

    def _uncharge(self, ticket: Ticket, lacking: str, full: Bucket) -> None:
        """Undo what ``charge_at_once`` did before it met, in the unit *lacking*, a bucket without room."""
        for unit, amount in takewhile(lambda pair: pair[0] != lacking, ticket.cost.pairs):
            till = self.debits.till(unit)
            till.total -= amount
            for bucket in till.buckets:
                bucket.credits += amount * bucket.window_ns
        for bucket in takewhile(lambda each: each is not full, self.debits.till(lacking).buckets):
            bucket.credits += ticket.amount(lacking) * bucket.window_ns

    def ready_at_ns(self, ticket: Ticket, *, now_ns: int) -> int:
        """When every bucket has room for *ticket*; ``binding`` is the last one to have it."""
        ready_ns = now_ns
        band = ticket.priority
        by_unit = self.by_unit
        for unit, amount in ticket.cost.pairs:
            for bucket in by_unit.get(unit, ()):
                at_ns = bucket.ready_at_ns(amount, owner=ticket, band=band, now_ns=now_ns)
                if at_ns > ready_ns:
                    ready_ns = at_ns
                    self.binding = bucket
        return ready_ns

    def lacking(self, ticket: Ticket, *, now_ns: int) -> dict[str, int]:
        """The units in which some bucket has no room for *ticket* yet, and when they will have it."""
        found: dict[str, int] = {}
        for unit, amount in ticket.cost.pairs:
            for bucket in self.by_unit.get(unit, ()):
                at_ns = bucket.ready_at_ns(amount, owner=ticket, band=ticket.priority, now_ns=now_ns)
                if at_ns > found.get(unit, now_ns):
                    found[unit] = at_ns
        return found

    def charge(self, ticket: Ticket, *, jitter_ns: int, now_ns: int) -> None:
        """Take the cost out of every bucket, and note what was believed and what the server had seen."""
        marks: list[tuple[str, int, int, int]] = []
        levels: list[int] | None = [] if self.has_readings else None
        debits = self.debits
        if now_ns >= debits.closes_ns:
            debits.begin_part(jitter_ns=jitter_ns, now_ns=now_ns)
        debits.last_ns = now_ns
        tills = debits.tills
        for unit, amount in ticket.cost.pairs:
            till = tills.get(unit) or debits.till(unit)
            if amount > till.most:
                # No server admits, so none charges, more than its bucket holds: a slip must not
                # leave a debt of hours.
                amount = till.most
            before = till.total
            till.total = total = before + amount
            marks.append((unit, amount, till.arrived + amount, total))
            for bucket in till.buckets:
                bucket.refresh(now_ns=now_ns)
                if levels is not None:
                    levels.append(bucket.credits)
                if bucket.watched and bucket.credits > bucket.brim >> 1:
                    bucket.peaks.note(before * bucket.window_ns, bucket.limit, now_ns=now_ns)
                bucket.take(amount, owner=ticket, band=ticket.priority, now_ns=now_ns)
        ticket.bill = (marks, self.by_unit, levels)

    def give_back(self, ticket: Ticket, *, now_ns: int) -> None:
        """Nothing was written: what was charged comes back."""
        for unit, amount, _, _ in ticket.marks:
            for bucket in ticket.paid.get(unit, ()):
                bucket.give_back(amount, now_ns=now_ns)
        ticket.unpay()

    def spent_since(self, ticket: Ticket, unit: str | None) -> int:
        """Units of *unit* that calls granted after *ticket* have paid."""
        _, _, total = ticket.mark(unit or "")
        return self.debits.till(unit or "").total - total if total else 0

    def never(self, ticket: Ticket) -> Bucket | None:
        """The bucket that can never hold the stated cost of *ticket*, as far as that is certain."""
        for unit, amount in ticket.cost.pairs:
            for bucket in self.by_unit.get(unit, ()):
                if amount > bucket.limit and (bucket.firm or (bucket.ceiling is not None and amount > bucket.ceiling)):
                    return bucket
        return None

    def share_of(self, pairs: Iterable[tuple[str, int]]) -> int:
        """The dominant share of a cost: the largest part of any bucket, in billionths; all equal without buckets."""
        share = 0
        for unit, amount in pairs:
            for bucket in self.by_unit.get(unit, ()):
                share = max(share, amount * NS // bucket.limit, 1)
        return share or NS // 1000

    # -- readings -------------------------------------------------------------

    def snap_ns(self, ticket: Ticket, signals: Signals, *, jitter_ns: int, now_ns: int) -> int:
        """When the server looked at its buckets, as late as it may have been."""
        if self.profile.snapshot_at_end:
            return now_ns
        if signals.processing_s is not None:
            at_ns = now_ns - to_ns(signals.processing_s)
            if ticket.granted_ns <= at_ns <= now_ns:
                return at_ns
        return min(now_ns, ticket.granted_ns + jitter_ns)

    def read(
        self, ticket: Ticket, signals: Signals, *, refused: bool, jitter_ns: int, now_ns: int
    ) -> list[tuple[Line, Lesson]]:
        """Use every reading of an answer; returns the lines it taught something, with the lesson."""
        learnt: list[tuple[Line, Lesson]] = []
        snap_ns = self.snap_ns(ticket, signals, jitter_ns=jitter_ns, now_ns=now_ns)
        usual_ns, witness = to_ns(self.profile.default_window_s), None
        for name, reading in self._counted_first(readings_of(signals)):
            if name in self.priors and reading.limit is not None:
                forget(self, name)
            line = line_of(self, name, reading, ticket, refused, now_ns=now_ns)
            if line is None:
                continue
            unit = self.profile.pays.get(name, name)
            own, mark, total = ticket.mark(unit)
            debited = self.debits.till(unit).total
            if debited and not total:  # it paid nothing there: nobody knows which debits of others it has seen
                reading = attrs.evolve(reading, remaining=None)
            counted = unit == "requests"
            snapshot = Snapshot(ticket.order, mark, total, debited, own, ticket.granted_ns, snap_ns, counted, witness)
            if self.profile.reset_is_exact and line.heed_reset(reading, snapshot, usual_ns, now_ns=now_ns):
                self.rebuild()
            limit, watched = line.bucket.limit, line.bucket.watched
            grain_ns = to_ns(self.profile.grain_s)
            lesson = line.series.use(reading, snapshot, grain_ns=grain_ns, refused=refused, now_ns=now_ns)
            if line.bucket.limit != limit or not watched:
                self.note_limits()
                if line.lessons.follow(now_ns=now_ns):
                    self.rebuild()
            if lesson is not None:
                learnt.append((line, lesson))
                if counted:
                    witness = bool(witness) or lesson.asleep
        if learnt and not self.has_readings:
            self.has_readings = True
            self.learner = RateLearner()
            self.rebuild()
        return learnt

    def _counted_first(self, readings: list[tuple[str, Reading]]) -> Iterable[tuple[str, Reading]]:
        """Requests, which are counted, before what is estimated: they bear witness."""
        pays = self.profile.pays
        return sorted(readings, key=lambda item: pays.get(item[0], item[0]) != "requests")

    # -- refusals -------------------------------------------------------------

    def shown_rate(self) -> int | None:
        """
        The least rate of calls that readings show, per 1000 s; None when they show none.

        What flows back in a day says nothing about the pace of an hour.
        """
        rates = [
            line.bucket.limit * 1000 * NS // line.bucket.window_ns
            for line in self.all_lines
            if line.bucket.pays == "requests"
            and line.series.last_order >= 0
            and line.bucket.window_ns <= _LONGEST_PACE_NS
        ]
        return max(1, min(rates)) if rates else None

    def explained(self, ticket: Ticket, signals: Signals) -> Line | None:
        """The bucket that a refusal which names none shows to have less than the call needed."""
        for name, reading in signals.readings.items():
            line, left = self.went.get(name), reading.remaining
            if line is not None and left is not None and left < asked_for(line.bucket, ticket, signals):
                return line
        return None

    def named(self, signals: Signals, ticket: Ticket | None = None) -> Line | None:
        """
        The bucket a refusal names: by its unit, then by the limit or window the text tells.

        Where only the unit is named, and a day's limit of it is all that is shown, and has enough left for the
        refused *ticket*: then it is a limit that nobody shows. A day is not enforced by the second.
        """
        if signals.unit is None:
            return None
        lines = self.lines.get(signals.unit, [])
        if not lines:
            return None
        for line in lines:
            if signals.limit is not None and line.bucket.limit == int(signals.limit):
                return line
        if signals.window_s is not None:
            for line in lines:
                if line.bucket.window_ns == to_ns(signals.window_s):
                    return line
        line = self.went.get(signals.unit, lines[0])
        reading = signals.readings.get(signals.unit)
        if ticket is not None and reading is not None and reading.remaining is not None:
            enough = reading.remaining >= asked_for(line.bucket, ticket, signals)
            if enough and line.bucket.window_ns > _LONGEST_PACE_NS:
                return None
        return line

    def enforce(self, line: Line) -> None:
        """A refusal named a dimension that was only shown so far."""
        if line.bucket.pays is None:
            line.bucket.pays = line.bucket.name
            self.rebuild()
