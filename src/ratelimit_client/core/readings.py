"""
What one bucket learns from the readings of its server.

Law of this file: a reading is a snapshot of the moment the server admitted
*that* request, delivered one answer later. It is believed only if its request
was sent later than that of every reading used before, and it is never taken as
the level of now: the debits it had not seen yet are taken off, the refill since
the snapshot is added.

Theory. Each request has a *mark*: all debits that surely reached the server
before it, plus its own cost. With D, all debits so far, the level is at least::

    low = min(capacity, remaining - (D - mark) + rate x (now - snapshot))

(and no more than a bucket that overflowed in between can hold, see ``peaks``). If
nothing overtook anything on the way, the server had seen more: all debits up to
this request. That is *high*. Between the two our own account knows better than
the reading does, so it stands; below it is raised to *low*. Above *high*, somebody
spent what we did not see, and the level falls to *low*. Setting it to *low* each
time makes a burst count itself twice, stall, and burst again.

``remaining`` is floored. Where the server's ``reset`` is the exact time to full,
it tells the fraction, and below zero it tells the debt that ``remaining`` hides.

A series is *alive* while it moves as debits and time predict. One that stands
still while it should have fallen by max(3, 1 % of the limit), or says "limit less
your own cost" again and again under load, is *asleep* (a cache, or a constant):
it may lower the level, but not raise it, until it moves as predicted again, and what it
says once more is no news. Only requests are counted exactly; where costs are estimates, the requests of the same
answers are the witness.
"""

from __future__ import annotations

import attrs

from .bucket import Bucket
from .foreign import ForeignMeter
from .profile import Refill
from .signals import Reading, Signals
from .units import NS, to_ns

_AGREE_AFTER_NS = NS
_STILL = 3
_MS = NS // 1000
_LATE_MAX_NS = NS
_LATE_DIVISOR = 60


@attrs.frozen
class Snapshot:
    """
    When and as whom a reading's request went out.

    Args:
        order: the grant's number; later grants have larger ones.
        mark: debits the server had surely seen, own cost included (units).
        total: debits it had seen if nothing overtook anything (units).
        debited: all debits so far (units).
        own: what the call itself paid here (units).
        sent_ns: when it was granted.
        snap_ns: when the server looked, as late as it may have been.
        counted: what calls pay here is known, not estimated or stated by guess.
        witness: whether a series that is counted, of the same answers, is asleep.
    """

    order: int
    mark: int
    total: int
    debited: int
    own: int
    sent_ns: int
    snap_ns: int
    counted: bool = True
    witness: bool | None = None


@attrs.frozen
class Lesson:
    """
    What a used reading showed.

    Args:
        drop: credits by which the level was above all the server can have had.
        residual: credits spent by others since the last used reading.
        asleep: the series stands still; the level was not allowed to rise.
        exact: credits the server had, when it looked.
        snap_ns: when that was.
    """

    drop: int
    residual: int
    asleep: bool
    exact: int
    snap_ns: int


@attrs.define(eq=False)
class Series:
    """
    The readings of one bucket.

    Args:
        bucket: what they are about.
        exact_reset: ``reset`` is the exact time to full (see ServerProfile).
        undecided: taken for a window until two readings show ``reset`` growing with use.
        counts_after: readings of calls up to this number are not used.
        late_ppm: how late a window's step is awaited, as a part of the longest delay: many
            processes wait for the same one.
        latest: what was left by the last reading used, when its call was granted, and when the server looked.
    """

    bucket: Bucket
    exact_reset: bool = False
    undecided: bool = False
    late_ppm: int = 0
    counts_after: int = -1
    last_order: int = -1
    latest: tuple[int, int, int] | None = None
    read_ns: int | None = None
    asleep: bool = False
    server_remaining: int | None = None
    foreign: ForeignMeter = attrs.field(factory=ForeignMeter)
    _total: int = 0
    _snap_ns: int = 0
    _reset_ns: int | None = None
    _followed: bool = True
    _chain: int = 0
    _apart: int = 0
    _anchor: int = 0
    _full_in_a_row: int = 0
    _still_in_a_row: int = 0
    _lower: tuple[int, int] | None = None
    _seen: tuple[int, int] | None = None
    _surprise: int = 0
    _grows: int = 0

    def use(self, reading: Reading, snapshot: Snapshot, *, grain_ns: int, refused: bool, now_ns: int) -> Lesson | None:
        """
        Fold a reading into the bucket; None when it is older news than we have.
        """
        if snapshot.order <= max(self.last_order, self.counts_after):
            return None
        first = self.last_order <= self.counts_after or not self._followed
        if reading.limit is not None:
            # A server that counts against another limit than before does not tell what was spent meanwhile.
            first = first or (self._seen is not None and self._seen[0] != int(reading.limit))
            self._use_limit(int(reading.limit), snapshot.sent_ns, refused, now_ns)
        self.last_order = snapshot.order
        self.bucket.watched = True
        self.read_ns = now_ns
        self._use_reset(reading, snapshot, grain_ns, now_ns)
        if reading.remaining is None:
            return None
        self.server_remaining = int(reading.remaining)
        self.latest = self.server_remaining, snapshot.sent_ns, snapshot.snap_ns
        exact = self._exact(reading)
        bucket = self.bucket
        bucket.refresh(now_ns=now_ns)
        if bucket.stepped_ns is not None and snapshot.snap_ns < bucket.stepped_ns:
            return None
        lesson = self._believe(exact, reading, snapshot, first, now_ns)
        # What the first reading shows is news, but no surprise: nothing had been known.
        self._set_reserve(0 if first else lesson.drop, now_ns)
        return lesson

    def begin_anew(self, order: int) -> None:
        """Debits are counted in another ledger from now on: the marks of calls up to *order* mean nothing here."""
        self.counts_after = order
        self.foreign = ForeignMeter()

    @property
    def shown_limit(self) -> int | None:
        """The limit the server showed last."""
        return None if self._seen is None else self._seen[0]

    def foreign_ppm(self, *, now_ns: int) -> int:
        """What others spend of this bucket, in millionths of its refill."""
        return self.foreign.ppm(self.bucket.limit, self.bucket.window_ns, now_ns=now_ns)

    # -- limits ---------------------------------------------------------------

    def _use_limit(self, limit: int, sent_ns: int, refused: bool, now_ns: int) -> None:
        """A higher limit counts at once, a lower one when seen twice, 1 s apart, or with a refusal."""
        bucket = self.bucket
        if limit <= 0:
            return
        if self._seen is None or self._seen[0] != limit:
            self._seen = (limit, sent_ns)
        elif sent_ns - self._seen[1] >= _AGREE_AFTER_NS and limit <= bucket.limit:
            bucket.firm = True
        if bucket.ceiling is not None and limit > bucket.ceiling:
            limit = bucket.ceiling
        if limit >= bucket.limit:
            self._lower = None
            if limit > bucket.limit:
                bucket.resize(limit, now_ns=now_ns)
                bucket.firm = bucket.source == "config"
                bucket.source = "header"
            return
        bucket.cap_level(limit * bucket.window_ns, now_ns=now_ns)
        agreed = self._lower is not None and self._lower[0] == limit and sent_ns - self._lower[1] >= _AGREE_AFTER_NS
        if refused or agreed:
            self._lower = None
            bucket.resize(limit, now_ns=now_ns)
            bucket.source, bucket.firm = "header", agreed
            self._chain = min(self._chain, bucket.brim)
        elif self._lower is None or self._lower[0] != limit:
            self._lower = (limit, sent_ns)

    @property
    def follows(self) -> bool:
        """False while the server counts against a higher limit than the caller allowed."""
        return self._seen is None or self._seen[0] <= self.bucket.limit or self.bucket.ceiling is None

    # -- levels ---------------------------------------------------------------

    def _exact(self, reading: Reading) -> int:
        """Credits left, the fraction taken from ``reset`` where it is exact."""
        bucket = self.bucket
        window_ns = bucket.window_ns
        assert reading.remaining is not None
        # No honest server lets a bucket fall below minus itself; a lie must not close it for longer.
        floor = max(int(reading.remaining), -bucket.limit) * window_ns
        if not self.exact_reset or reading.reset_s is None or bucket.refill is not Refill.CONTINUOUS:
            return floor
        limit = int(reading.limit) if reading.limit is not None else bucket.limit
        # ``reset`` is cut to whole milliseconds, so up to one more may be missing.
        by_reset = limit * window_ns - (to_ns(reading.reset_s) + _MS) * limit
        if floor <= by_reset < floor + window_ns or (floor == 0 and by_reset < 0):
            return max(by_reset, -bucket.brim)
        return floor

    def _predict(self, snapshot: Snapshot) -> int:
        bucket = self.bucket
        moved = self._chain - (snapshot.total - self._total) * bucket.window_ns
        if bucket.refill is Refill.CONTINUOUS:
            moved += bucket.limit * (snapshot.snap_ns - self._snap_ns)
            debited = (snapshot.total - snapshot.own) * bucket.window_ns
            most = bucket.peaks.bound(
                bucket.brim, debited, bucket.limit, since_ns=self._snap_ns, at_ns=snapshot.snap_ns
            )
            return min(most - snapshot.own * bucket.window_ns, moved)
        elif bucket.stepped_ns is not None and bucket.stepped_ns > self._snap_ns:
            return bucket.brim - snapshot.own * bucket.window_ns
        return min(bucket.brim, moved)

    def _believe(self, exact: int, reading: Reading, snapshot: Snapshot, first: bool, now_ns: int) -> Lesson:
        bucket = self.bucket
        residual = 0
        still = not first and exact // bucket.window_ns == self._anchor // bucket.window_ns
        # Against a limit above the caller's ceiling the server counts other credits than we do.
        if not first and self.follows:
            predicted = self._predict(snapshot)
            if reading.remaining == 0:
                # Nothing left is shown, however much is owed: less than nothing was predicted in vain.
                predicted = max(predicted, exact)
            # Where the chain stands apart from what was read, that much was told of before.
            residual = predicted - exact - self._apart
            if snapshot.counted:
                self._judge(exact, predicted, reading, snapshot)
            else:
                self._judge_by_witness(exact, predicted, snapshot.witness)
            if self._chain == exact or not self.asleep:
                self._apart = self._chain - exact
            if not self.asleep:
                span_ns = max(0, snapshot.snap_ns - self._snap_ns)
                self.foreign.add(residual, span_ns, self._unsure(snapshot), now_ns=now_ns)
        else:
            self._anchor = self._chain = exact
            self._apart = 0
        self._total, self._snap_ns, self._followed = snapshot.total, snapshot.snap_ns, self.follows
        low = self._level_now(exact, snapshot.mark, snapshot, now_ns)
        high = self._level_now(exact + bucket.window_ns, snapshot.total, snapshot, now_ns)
        drop = bucket.credits - high
        if drop > 0 and not (self.asleep and still):
            bucket.cap_level(low, now_ns=now_ns)
        elif first and bucket.ceiling is not None:
            pass  # of a quota that the caller typed our own account began full: who knows of more counts another
        elif bucket.credits < low and not self.asleep and self.follows:
            bucket.set_level(low, now_ns=now_ns)
        return Lesson(drop, residual, self.asleep, exact, snapshot.snap_ns)

    def _unsure(self, snapshot: Snapshot) -> int:
        """
        Credits by which a reading may be off the account: of what overtook it, and of when it was taken.

        The server looked between the grant and the snapshot's instant, which is the latest there
        is; a process that stalls writes late and reads late, and that is nobody's spending.
        """
        bucket = self.bucket
        unsure = (1 + 2 * (snapshot.total - snapshot.mark)) * bucket.window_ns
        if bucket.refill is Refill.CONTINUOUS:
            unsure += bucket.limit * max(0, snapshot.snap_ns - snapshot.sent_ns)
        return unsure

    def _level_now(self, exact: int, seen: int, snapshot: Snapshot, now_ns: int) -> int:
        """
        The level of now, when the server had *exact* credits and had seen *seen* units of our debits.

        It is no further below zero than a full bucket: what is more than that, the server refuses.
        """
        bucket = self.bucket
        debited = snapshot.debited * bucket.window_ns
        level = exact - debited + seen * bucket.window_ns
        if bucket.refill is Refill.CONTINUOUS:
            level += bucket.limit * max(0, now_ns - snapshot.snap_ns)
            most = bucket.peaks.bound(bucket.brim, debited, bucket.limit, since_ns=snapshot.snap_ns, at_ns=now_ns)
            level = min(level, most)
        # Not before the refill is added: debits of more than one window are still to be seen in an old snapshot.
        return max(-bucket.brim, level)

    def _judge_by_witness(self, exact: int, predicted: int, witness: bool | None) -> None:
        """
        The same where costs are estimates, which are no evidence against a server.

        A counted series of the same answers tells. Without one, only a value that
        stands perfectly still while it should fall is asleep.
        """
        bucket = self.bucket
        still = exact // bucket.window_ns == self._anchor // bucket.window_ns
        self._still_in_a_row = self._still_in_a_row + 1 if still else 0
        falls = predicted <= exact - max(3 * bucket.window_ns, bucket.brim // 100)
        self.asleep = witness if witness is not None else self._still_in_a_row >= _STILL and falls
        self._anchor = exact
        self._chain = predicted if still else exact

    def _judge(self, exact: int, predicted: int, reading: Reading, snapshot: Snapshot) -> None:
        """Alive or asleep. ``_chain`` is where the series ought to be, from the last value that moved."""
        bucket = self.bucket
        tolerance = max(3 * bucket.window_ns, bucket.brim // 100)
        own = snapshot.own * bucket.window_ns
        limit = (int(reading.limit) if reading.limit is not None else bucket.limit) * bucket.window_ns
        if exact + own >= limit and predicted < exact - tolerance:
            self._full_in_a_row += 1
        else:
            self._full_in_a_row = 0
        still = exact // bucket.window_ns == self._anchor // bucket.window_ns
        constant = self._full_in_a_row >= 2
        if still or constant:
            self.asleep = self.asleep or constant or predicted <= exact - tolerance
            self._chain = predicted
            return
        expected = predicted - self._anchor
        actual = exact - self._anchor
        # Awake or not, from here on it ought to move as debits and time predict.
        self.asleep = self.asleep and abs(actual - expected) > abs(expected) // 2 + bucket.window_ns
        self._chain = self._anchor = exact

    def _set_reserve(self, drop: int, now_ns: int) -> None:
        """1 % of the limit, more while the server keeps knowing of spending that we did not see."""
        bucket = self.bucket
        self._surprise += (max(0, drop) - self._surprise) // 16
        base = bucket.brim // 100
        others = base * 5 * self.foreign_ppm(now_ns=now_ns) // 1_000_000
        bucket.reserve = min(bucket.most_reserve, base + others + 2 * self._surprise)

    # -- windows --------------------------------------------------------------

    def _use_reset(self, reading: Reading, snapshot: Snapshot, grain_ns: int, now_ns: int) -> None:
        """Tell a window from a continuous refill, and learn when a window steps."""
        bucket = self.bucket
        if reading.reset_s is None or bucket.refill is not Refill.WINDOW:
            return
        if bucket.stepped_ns is not None and snapshot.snap_ns < bucket.stepped_ns:
            return
        reset_ns = to_ns(reading.reset_s)
        if self.undecided and self._reset_grew(reading, reset_ns, snapshot):
            bucket.refill = Refill.CONTINUOUS
            bucket.steps_at_ns = bucket.stepped_ns = None
            bucket.note_special()
            return
        self._reset_ns = reset_ns
        if reset_ns == 0:
            return
        late_ns = self.late_ppm * min(_LATE_MAX_NS, bucket.window_ns // _LATE_DIVISOR) // 1_000_000
        steps_at_ns = snapshot.snap_ns + reset_ns + grain_ns + late_ns
        known_ns = bucket.steps_at_ns
        if known_ns is not None and snapshot.snap_ns >= known_ns:
            # The step that is due comes first, or the next one would take its place.
            bucket.refresh(now_ns=now_ns)
        elif known_ns is not None and steps_at_ns > known_ns + bucket.window_ns // 2:
            # The server is in its next window already: what it says is said of that one.
            bucket.set_level(bucket.brim, now_ns=now_ns)
            bucket.stepped_ns = snapshot.snap_ns
        bucket.steps_at_ns = steps_at_ns

    def _reset_grew(self, reading: Reading, reset_ns: int, snapshot: Snapshot) -> bool:
        """A window's reset only shrinks while it is used; a continuous bucket's grows with use. Twice is proof."""
        if reading.remaining is None or self._reset_ns is None or self.server_remaining is None:
            return False
        less = int(reading.remaining) < self.server_remaining
        if less and reset_ns > self._reset_ns + _MS:
            self._grows += 1
        elif reset_ns < self._reset_ns:
            self._grows = 0
        return self._grows >= 2


def readings_of(signals: Signals) -> list[tuple[str, Reading]]:
    """
    The readings of an answer, by the server's names, and what the text of a refusal says.

    A header shows one quota of a unit; the one that refuses may be another, of which only the text tells.
    """
    readings = list(signals.readings.items())
    unit = signals.unit
    if unit is None or signals.limit is None:
        return readings
    shown = signals.readings.get(unit)
    if shown is not None and (signals.window_s is None or shown.limit is None or shown.limit == signals.limit):
        return readings
    remaining = None
    if signals.used is not None:
        remaining = signals.limit - signals.used
    return [*readings, (unit, Reading(signals.limit, remaining, None, signals.window_s))]
