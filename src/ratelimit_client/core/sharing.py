"""
Several of our own processes on one key, without a store between them.

Law of this file: it is on only while others really spend (above 3 % of the refill
over ten seconds, until 30 s below 1 %), and all together may spend the refill and,
spread over eight seconds, what is above the mark: 7.5 % of the limit, and more where
answers are slow.

Theory. What all spend is seen by each: it is the refill less what ``remaining`` rose by.
So each makes its pace larger or smaller by the same part, according to what all may
spend and do: shares stay as they are, and the level comes to the mark and stays there.
Two things make shares equal: each pace grows by the same amount a second, and is cut by
its own part of the whole. The news is as old as an answer takes, so the slower the answers
are, the more gently a pace is changed. It lets no bursts through, or the clients would meet.

A server that enforces less than it shows has a slice that no reading tells of. What others
took of the bucket they took of its slice, too: so much less is believed to be in it. A refusal that
comes all the same cuts the pace to 0.85, at most once a second.

A window that steps does not fill between its steps. There the pace grows until the mark is
passed and is cut to 0.85 a second below it.

Against one who never yields the mark is no use: the level stands below it all the same,
and the pace falls until as much as the mark is left for nobody. So it ends with the input:
who needs no more than what is there, and nothing after that, takes it.
"""

from __future__ import annotations

import attrs

from .bucket import Bucket
from .profile import Refill
from .units import NS

_ON_PPM, _OFF_PPM = 30_000, 10_000
_OFF_AFTER_NS = 30 * NS
_MARK_PER_MILLE = 75
_MARK_OF_SLICE = 6
_SPEND_NS = 8 * NS
# The whole limit in 100 s, and 3 % of a pace that has the whole. Twice as much makes shares equal no sooner, and
# of sixteen clients a third more refused.
_GROWTH = 100
_YIELD_PPM = 30_000
_UP_PPM, _DOWN_PPM = 500_000, -200_000
_CUT_PPM = -150_000
_MILLION = 1_000_000
# What all spend is seen over three seconds: over fewer it is noise, over more it is old.
_LOOKS = 4
# A pace learns only from answers, so it never gets so slow that none would come.
_LEAST_PART = 100
# What was left unspent may be spent faster than it flows in, and never so fast that nobody else could come in time.
_MOST = 4
# A pace evens out what a window allows; spread over an hour or a day that would be next to nothing.
_LONGEST_WINDOW_NS = 600 * NS


@attrs.frozen
class _Look:
    """When, what was left, and what we had paid ever."""

    at_ns: int
    remaining: int
    paid: int


@attrs.define(eq=False)
class Sharing:
    """
    Args:
        pace: of one bucket; it is a bucket of its own while sharing is on.
        suspects: others are seen to spend.
    """

    pace: Bucket | None = None
    suspects: bool = False
    _quiet_ns: int | None = None
    _cut_ns: int = 0
    _drawn: int = 0
    _looks: list[_Look] = attrs.field(factory=list)  # a deque that is empty has 760 bytes

    def consider(
        self, bucket: Bucket, foreign_ppm: int, *, ends: bool = False, urgent: bool = False, now_ns: int
    ) -> bool:
        """
        Switch on or off by what others spend; True when that changed. On not before it has looked for a second.

        Args:
            urgent: little is left, or a slice was learnt: it begins at once.
            ends: no more input comes, and the level is enough for what is queued.
        """
        if ends:
            changed = self.pace is not None
            self.pace = self._quiet_ns = None
            return changed
        if self.pace is None:
            self.suspects = foreign_ppm > _ON_PPM and bucket.window_ns <= _LONGEST_WINDOW_NS
            if not self.suspects:
                self._looks.clear()
                return False
            seen = self._seen(bucket)
            if seen is None and not urgent:
                return False
            self._start(bucket, seen, foreign_ppm, now_ns)
            return True
        if foreign_ppm >= _OFF_PPM:
            self._quiet_ns = None
        elif self._quiet_ns is None:
            self._quiet_ns = now_ns
        elif now_ns - self._quiet_ns >= _OFF_AFTER_NS:
            self.pace = self._quiet_ns = None
            return True
        return False

    def _start(self, bucket: Bucket, seen: _Spent | None, foreign_ppm: int, now_ns: int) -> None:
        """
        With what others leave, or our part of what all may spend if that is more; and never more than half.

        Who came first has spent a full bucket alone: that is no right to go on so.
        """
        rate = bucket.limit * (_MILLION - foreign_ppm) // _MILLION
        if seen is None:
            rate = min(bucket.limit // 2, max(rate, bucket.limit // 6))
        else:
            may = self._may(bucket, None, self._looks[-1].remaining, 0, now_ns)
            rate = min(may // 2, max(rate, may * min(seen.own, seen.all // 2) // max(1, seen.all)))
        self.pace = Bucket.full(
            f"{bucket.name} pace",
            max(_least(bucket), rate),
            bucket.window_ns,
            pays=bucket.pays,
            source="learned",
            now_ns=now_ns,
        )
        self.pace.brim = max(bucket.window_ns, bucket.brim // 400)
        self.pace.cap_level(self.pace.brim, now_ns=now_ns)
        self._cut_ns = now_ns

    # -- what all spend, and may spend ------------------------------------------------

    def _seen(self, bucket: Bucket) -> _Spent | None:
        """What was spent of late; None: too little has been seen."""
        if len(self._looks) < 2:
            return None
        first, last = self._looks[0], self._looks[-1]
        span_ns = last.at_ns - first.at_ns
        fell = (first.remaining - last.remaining) * bucket.window_ns // span_ns
        return _Spent(max(0, bucket.limit + fell), (last.paid - first.paid) * bucket.window_ns // span_ns)

    def _may(self, bucket: Bucket, slice_: Bucket | None, remaining: int, late_ns: int, now_ns: int) -> int:
        """Units a window that all together may spend, when they see what was so long ago."""
        room = (remaining - _mark(bucket, late_ns)) * bucket.window_ns // _SPEND_NS
        if slice_ is not None:
            # One that holds a second is not emptied in eight.
            spend_ns = max(NS, min(_SPEND_NS, slice_.brim // slice_.limit))
            above = slice_.level(now_ns=now_ns) - slice_.capacity // _MARK_OF_SLICE
            room = min(room, above * bucket.window_ns // spend_ns)
        return max(0, bucket.limit + room)

    def marked(
        self, bucket: Bucket, slice_: Bucket | None, remaining: int, paid: int, granted_ns: int, *, now_ns: int
    ) -> None:
        """
        A reading showed *remaining* units.

        Args:
            slice_: of the bucket, if one was learnt.
            paid: units we ever paid.
            granted_ns: when the call of the reading was let go.
        """
        passed_ns = now_ns - self._looks[-1].at_ns if self._looks else NS
        if passed_ns < NS or (self.pace is None and not self.suspects):
            return
        self._looks.append(_Look(now_ns, remaining, paid))
        del self._looks[:-_LOOKS]
        pace, seen = self.pace, self._seen(bucket)
        if pace is None or seen is None:
            return
        late_ns = max(0, now_ns - granted_ns)
        if bucket.refill is Refill.WINDOW:
            change = _CUT_PPM if remaining < _mark(bucket, late_ns) else 0
        else:
            change = self._change(seen, self._may(bucket, slice_, remaining, late_ns, now_ns), late_ns)
        passed_ns = min(passed_ns, _LOOKS * NS)
        pace.refresh(now_ns=now_ns)
        grown = pace.limit + pace.limit * change // _MILLION * passed_ns // NS
        grown += bucket.limit * passed_ns // (_GROWTH * NS)
        pace.limit = max(_least(bucket), min(_MOST * bucket.limit, grown))
        pace.credits = max(pace.credits, -bucket.brim)  # debt ends at a whole bucket, also after the limit fell

    def _change(self, seen: _Spent, may: int, late_ns: int) -> int:
        """By how much of itself the pace changes in a second, in millionths."""
        gap = (may - seen.all) * _MILLION // max(1, seen.all)
        change = gap * NS // (2 * NS + late_ns * 3 // 2)
        part = min(_MILLION, seen.own * _MILLION // max(1, seen.all))
        return max(_DOWN_PPM, min(_UP_PPM, change)) - part * _YIELD_PPM // _MILLION

    # -- a slice ------------------------------------------------------------------------

    def refused(self, bucket: Bucket, *, now_ns: int) -> None:
        """A call was refused: all together spend too much, and nothing is there of a slice."""
        self._drawn = 0
        pace = self.pace
        if pace is not None and now_ns - self._cut_ns >= NS:
            pace.refresh(now_ns=now_ns)
            pace.limit = max(_least(bucket), pace.limit + pace.limit * _CUT_PPM // _MILLION)
            self._cut_ns = now_ns

    def drawn(self, slice_: Bucket, credits_: int, *, now_ns: int) -> None:
        """
        Others took *credits_* of the bucket, and so of its slice; less than nothing: we thought they had.

        After a refusal it is known what is there: nothing of what was thought before comes back.
        """
        if self.pace is not None:
            credits_ = max(credits_, -self._drawn)
            self._drawn += credits_
            slice_.refresh(now_ns=now_ns)
            slice_.credits = max(-slice_.brim, min(slice_.brim, slice_.credits - credits_))


@attrs.frozen
class _Spent:
    """Units a window: of all, and our own."""

    all: int
    own: int


def _mark(bucket: Bucket, late_ns: int) -> int:
    """Units that are to stay: 7.5 %, and three quarters of what flows in before anybody hears of it."""
    more = bucket.limit * late_ns * 3 // (4 * bucket.window_ns)
    return bucket.limit * _MARK_PER_MILLE // 1000 + min(bucket.limit // 10, more)


def _least(bucket: Bucket) -> int:
    return max(1, bucket.limit // _LEAST_PART)
