"""
A rate for servers that say nothing but no.

Law of this file: it learns only from refusals that nothing else explains: no
bucket is named, and no reading shows one that is empty. One cut per epoch: a
refusal of a call sent before the last cut teaches nothing new.

Theory. A refusal finds the server's bucket empty. Between two refusals, then, it
gave out what flowed into it: the calls let out over the time between is its
rate, whatever its burst (refusals are faster than answers, so what was sent before
the refused call and not refused was admitted, answered or not; what was sent after
it, while the refusal was on its way, tells nothing). From the second epoch on the
rate is cut to just below what was measured so; short epochs tell it together. Before
that it is halved. While nothing at all is admitted the key pauses, twice as
long each time; the rate stands, since the server may only be counting anew in a
moment, but when that goes on it is halved as well. Only admissions earn growth, and
only while the rate is used up: half as much again a second, a fifth after a short
measurement, 5 % after a good one. The burst is one call and a half, so a learnt rate
is an even one.

Where the server shows a limit, the rate starts at half of that, stays between that and
an eighth of it, and is forgotten after a minute without such a refusal. Each cut that
would go below that least part halves it: who shows a limit means it, but it may be the
limit of last week. Each rate that has to be learnt again soon is remembered twice as long.
"""

from __future__ import annotations

import attrs

from .bucket import Bucket
from .debits import Debits
from .units import NS

# Rates are kept in calls per 1000 s, so that 0.001 calls a second is the least.
_WINDOW_NS = 1000 * NS
_ENOUGH, _PLENTY = 4, 16
# The very first call refused: nothing is measured, and one call a second is no flood.
_FIRST = 2000
_PAUSE_NS = NS // 10
# Long enough for a server of one call a minute that charges refused calls, too.
_PAUSE_MAX_NS = 300 * NS
_DOUBLINGS_MAX = 12
_LEAST_EPOCH_NS = NS // 20
_FORGOTTEN_NS = 60 * NS
_FORGOTTEN_MAX_NS = 3600 * NS
_SOON = 4
# A counter of a few seconds has started anew by then.
_BARREN_MAX_NS = 3 * NS
# Calls in a window: one in 143 s. Who waits longer for a server that said "a second" waits in vain; and an odd number
# does not keep step with others who come each minute or each ten seconds, and always just before.
_LEAST = 7
# Of a limit that is shown: who shows it means it, at least roughly.
_LEAST_PART = 8


@attrs.define(eq=False)
class RateLearner:
    """The learnt rate of one key, a bucket once something was learnt."""

    bucket: Bucket | None = None
    cut_ns: int = -1
    resumes_ns: int = 0
    heard: bool = False
    """What it knows it has from others."""
    _counted: int = 0
    _admitted: int = 0
    _measured: int = 0
    _epochs: list[tuple[int, int]] = attrs.field(factory=list)
    _barren: int = 0
    _barren_ns: int = 0
    _doubts: int = 0
    _kept_ns: int = _FORGOTTEN_NS
    _forgot_ns: int | None = None
    _grown_ns: int = 0

    def admitted(self, granted_ns: int, *, most: int | None = None, now_ns: int) -> None:
        """A call granted then was answered with something else than a refusal; *most* calls per 1000 s are shown."""
        if granted_ns <= self.cut_ns:
            return
        self._admitted += 1
        self._barren = 0
        bucket = self.bucket
        if bucket is None:
            return
        bucket.refresh(now_ns=now_ns)
        slowness = 2 if self._measured < _ENOUGH else 5 if self._measured < _PLENTY else 20
        if bucket.credits < bucket.brim:
            # At the least rates a part of the limit would be nothing, and so for ever.
            bucket.limit += max(1, bucket.limit * min(NS, now_ns - self._grown_ns) // (slowness * NS))
        self._grown_ns = now_ns
        if most is not None and bucket.limit > most:
            bucket.limit = most

    def hear(self, rate: int, debits: Debits, *, now_ns: int) -> None:
        """Others that share the budget learnt a rate: begin with it, unless one was learnt here."""
        if self.bucket is not None:
            return
        self._set(rate, now_ns)
        self._measured, self.heard = _PLENTY, True
        self.begin_anew(debits, now_ns=now_ns)

    def outlived(self, *, now_ns: int) -> bool:
        """Nothing was refused for so long that a limit the server shows is to be believed again."""
        return self.bucket is not None and now_ns - self.cut_ns >= self._kept_ns

    def forgotten(self, debits: Debits, *, now_ns: int) -> RateLearner:
        """A learner that knows nothing but that this one had learnt something."""
        return RateLearner(cut_ns=now_ns, counted=debits.calls, kept_ns=self._kept_ns, forgot_ns=now_ns)

    def begin_anew(self, debits: Debits, *, now_ns: int) -> None:
        """Calls are counted in this ledger from now on; of those before nothing is learnt any more."""
        self.cut_ns, self._counted = now_ns, debits.calls

    def refused(self, granted_ns: int, before: int, debits: Debits, *, most: int | None = None, now_ns: int) -> bool:
        """
        Cut the rate; False when the refused call was sent before the last cut.

        Args:
            granted_ns, before: when it was let out, and how many calls before it.
            debits: all calls so far.
            most: calls per 1000 s that the server shows.
        """
        if granted_ns <= self.cut_ns:
            return False
        start_ns, counted = self._start(debits)
        epoch_ns = max(_LEAST_EPOCH_NS, granted_ns - start_ns)
        # Those that left after it, while its refusal was on the way, tell nothing yet.
        let_out = max(0, before - counted)
        least = _LEAST if most is None else min(most, max(_LEAST, most // _LEAST_PART >> self._doubts))
        if self.bucket is None:
            self._first(let_out * _WINDOW_NS // epoch_ns, most, now_ns)
        else:
            wanted = self._again(self.bucket.limit, let_out, epoch_ns, now_ns)
            if wanted < least:
                self._doubts += 1
            self._set(max(least, wanted if most is None else min(wanted, most)), now_ns)
        longest_ns = min(_PAUSE_MAX_NS, _WINDOW_NS // least)
        self.resumes_ns = now_ns + min(longest_ns, _PAUSE_NS << min(self._barren, _DOUBLINGS_MAX))
        self.cut_ns = now_ns
        self.heard = False
        self._admitted, self._counted = 0, debits.calls
        return True

    def _start(self, debits: Debits) -> tuple[int, int]:
        """
        When this epoch began, and the calls before it.

        A worker with a call an hour has no rate of a call an hour: the first guess looks at busy times only.
        """
        if self.bucket is None and debits.busy_since_ns > self.cut_ns:
            return debits.busy_since_ns, debits.busy_from
        return self.cut_ns, self._counted

    def _first(self, rate: int, most: int | None, now_ns: int) -> None:
        """The burst is in what was let out: half of it is a guess, the next epoch measures."""
        if self._forgot_ns is not None and now_ns - self._forgot_ns < _SOON * self._kept_ns:
            self._kept_ns = min(_FORGOTTEN_MAX_NS, 2 * self._kept_ns)
        self._set(max(1, (rate or _FIRST if most is None else most) // 2), now_ns)

    def _again(self, rate: int, let_out: int, epoch_ns: int, now_ns: int) -> int:
        """What the rate should be after one more epoch, in which calls left at up to *rate*."""
        calls, span_ns = self._together(let_out, epoch_ns)
        if not let_out and not self._admitted:
            if not self._barren:
                self._barren_ns = self.cut_ns
            self._barren += 1
            if now_ns - self._barren_ns < _BARREN_MAX_NS:
                return rate
            self._measured = 0
            return rate // 2
        if let_out and calls >= _ENOUGH:
            self._measured = calls
            return calls * _WINDOW_NS * 95 // (span_ns * 100)
        # Of so few calls there may have been some more by luck.
        return min(rate // 2, (calls + _ENOUGH) * _WINDOW_NS // span_ns)

    def _together(self, let_out: int, epoch_ns: int) -> tuple[int, int]:
        """The calls of this epoch, or of the last few if it is short, and how long they took."""
        epochs = self._epochs
        if let_out >= _ENOUGH:
            epochs.clear()
        epochs.append((let_out, epoch_ns))
        calls = sum(out for out, _ in epochs)
        while calls - epochs[0][0] >= _PLENTY:
            calls -= epochs.pop(0)[0]
        return calls, sum(ns for _, ns in epochs)

    def _set(self, rate: int, now_ns: int) -> None:
        if self.bucket is None:
            self.bucket = Bucket.full("learnt rate", rate, _WINDOW_NS, pays="requests", source="learned", now_ns=now_ns)
        self.bucket.resize(rate, now_ns=now_ns)
        self.bucket.brim = _WINDOW_NS * 3 // 2
        self.bucket.cap_level(0, now_ns=now_ns)
        self._grown_ns = now_ns
