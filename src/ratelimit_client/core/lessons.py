"""
What a refusal teaches about the bucket it names.

Law of this file: a refusal proves only that the level was below the cost of the
refused call. Why it was is decided by the next evidence: the refusal's own
reading, else the first reading sent after it.

Theory. Each grant remembers the level that was predicted. Was the server's
level far below it, *somebody else* spends on this key. Does it agree with the
prediction, the server enforces less than it shows: "60 000 a minute may be
enforced as 1 000 a second". Then a *slice* is learnt: a second bucket of the
same rate that holds as little as the refusals prove. Refused again although the
slice had room, it halves; without refusals it regrows 5 % of the limit a window.
Where others are seen to spend and the server's hint tells of a debt, the slice owes as
much and stays as large: none gets below nothing by what we were let have of it.
A server that has too little by its own words explains itself, and a series that is
asleep explains nothing: neither teaches.
"""

from __future__ import annotations

import attrs

from .bucket import Bucket
from .readings import Series
from .units import NS

# What is called noise where shares are concerned (see ``sharing``).
_OTHERS_PPM = 10_000


@attrs.frozen
class _Question:
    """A refusal that told no level: what was predicted and believed then, what it cost, what its slice held."""

    order: int
    predicted: int
    believed: int
    amount: int
    in_slice: int | None


@attrs.define(eq=False)
class Lessons:
    """
    Args:
        series: the bucket that refusals name, and its readings.
        slice: what was learnt of a smaller burst, or None.
        cut_ns: the last cut; refusals of calls sent before it teach nothing new.
        helpless: refused again though the slice is as small as it gets: it is the rate that is not kept.
    """

    series: Series
    slice: Bucket | None = None
    cut_ns: int = -1
    strangers: int = 0
    helpless: bool = False
    _worst: int = 0
    _pending: _Question | None = None
    _grown_ns: int = 0
    _owed: int = 0

    @property
    def bucket(self) -> Bucket:
        """The bucket the refusals name."""
        return self.series.bucket

    def refused(
        self,
        amount: int,
        predicted: int,
        in_slice: int | None,
        known: int | None,
        *,
        order: int,
        granted_ns: int,
        refused_ns: int,
        spent: int = 0,
        owed: int = 0,
        now_ns: int,
    ) -> None:
        """
        A call of *amount* was refused.

        Args:
            amount: what it pays in this bucket (units).
            predicted: the level before it, as we believed at its grant (units).
            in_slice: the same of the slice, if there was one.
            known: the level the refusal itself tells (units), or None.
            order, granted_ns: of the refused call's grant.
            refused_ns: when the server looked, as late as that may have been. What flowed in
                since is there: a refusal that was read late empties nothing now.
            spent: units that calls granted later have paid since, and may have taken of that.
            owed: credits the server lacked then even for nothing, as far as its hint tells; to be
                believed of a slice only where others spend. A counter that starts anew every
                few seconds tells of its next start, and owes nothing.
        """
        bucket = self.bucket
        flowed = max(0, (now_ns - refused_ns) * bucket.limit - spent * bucket.window_ns)
        others = self._others(predicted, known) or self.series.foreign_ppm(now_ns=now_ns) >= _OTHERS_PPM
        self._owed = owed if others else 0
        if self.slice is not None:
            self._empty(self.slice, flowed, now_ns)
        if predicted < amount or self.series.asleep:
            return
        new_epoch = granted_ns > self.cut_ns
        if new_epoch:
            self.cut_ns = now_ns
            self._worst = 0
        if known is None:
            if new_epoch:
                self._pending = _Question(order, predicted, bucket.level(now_ns=now_ns), amount, in_slice)
            bucket.cap_level((amount - 1) * bucket.window_ns, now_ns=now_ns)
            return
        self._conclude(predicted, known, in_slice, amount, new_epoch, flowed, now_ns)

    def evidence(self, level: int, *, order: int, now_ns: int) -> None:
        """A reading was used: *level* units as the server knew them. It may settle an open question."""
        asked = self._pending
        if asked is None or order <= asked.order:
            return
        self._pending, self._owed = None, 0
        # Compared with what would be believed now, had the refusal not lowered the level.
        known = asked.predicted + level - asked.believed
        self._conclude(asked.predicted, known, asked.in_slice, asked.amount, True, 0, now_ns)

    def _conclude(
        self, predicted: int, known: int, in_slice: int | None, amount: int, new_epoch: bool, flowed: int, now_ns: int
    ) -> None:
        bucket = self.bucket
        if self._others(predicted, known):
            self.strangers += 1
            bucket.reserve = min(bucket.most_reserve, bucket.reserve + bucket.brim // 100)
        elif known >= amount and (in_slice is None or in_slice >= amount):
            self._learn(predicted, new_epoch, flowed, now_ns)

    def _others(self, predicted: int, known: int | None) -> bool:
        """The server has so much less than was predicted that somebody else spends."""
        bucket = self.bucket
        doubt = max(bucket.reserve // bucket.window_ns, bucket.limit // 50, 1)
        return known is not None and known < predicted - doubt

    # -- the slice ------------------------------------------------------------

    def _learn(self, predicted: int, new_epoch: bool, flowed: int, now_ns: int) -> None:
        bucket = self.bucket
        least = max(1, bucket.limit * (NS // 4) // bucket.window_ns)
        self._grown_ns = now_ns
        if self.slice is None:
            self._worst = predicted
            size = max(least, bucket.limit - predicted)
            self.slice = Bucket.full(
                f"{bucket.name} slice",
                bucket.limit,
                bucket.window_ns,
                pays=bucket.pays,
                source="learned",
                now_ns=now_ns,
            )
            self._resize(size)
            self._empty(self.slice, flowed, now_ns)
        elif new_epoch and not self._owed:
            self.helpless = self.slice.capacity <= least
            self._resize(max(least, self.slice.capacity // 2))
            self._empty(self.slice, flowed, now_ns)
        elif self._worst and predicted > self._worst:
            self._resize(max(least, min(self.slice.capacity, bucket.limit - predicted)))
            self._worst = predicted

    def _empty(self, slice_: Bucket, flowed: int, now_ns: int) -> None:
        """The server's was empty then, or in debt: it holds what has *flowed* in since and was not spent."""
        # As everywhere debt ends at a whole bucket.
        slice_.cap_level(max(-self.bucket.brim, min(slice_.brim, flowed - self._owed)), now_ns=now_ns)

    def _resize(self, units: int) -> None:
        assert self.slice is not None
        self.slice.brim = units * self.slice.window_ns
        self.slice.credits = min(self.slice.credits, self.slice.brim)
        self.slice.reserve = self.slice.brim // 100

    def follow(self, *, now_ns: int) -> bool:
        """The limit changed: a slice flows at the new rate, and one as large as the limit is none. True: it is gone."""
        if self.slice is None:
            return False
        self.slice.refresh(now_ns=now_ns)
        self.slice.limit = self.bucket.limit
        # As everywhere debt ends at a whole bucket: what a large one was paid is not repaid at the rate of a small one.
        self.slice.credits = max(self.slice.credits, -self.bucket.brim)
        if self.slice.capacity < self.bucket.limit:
            return False
        self.slice = None
        return True

    def grow(self, *, now_ns: int) -> None:
        """5 % of the limit comes back for each full window without a refusal; a whole one is no slice."""
        if self.slice is None:
            return
        bucket = self.bucket
        windows = (now_ns - max(self._grown_ns, self.cut_ns)) // bucket.window_ns
        if windows <= 0:
            return
        self._grown_ns = now_ns
        self.helpless = False
        self._resize(self.slice.capacity + windows * max(1, bucket.limit // 20))
        if self.slice.capacity >= bucket.limit:
            self.slice = None
