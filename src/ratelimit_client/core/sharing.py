"""
Several of our own processes on one key, without a store between them.

Law of this file: it is on only while others really spend (above 3 % of the refill
over ten seconds, until 30 s below 1 %). Alone it would cost half the throughput.

Theory. Greedy clients that all keep to the true level collide whenever it is
near nothing. With ``remaining`` as a congestion mark, additive increase and
multiplicative decrease, they converge to equal shares: below 7.5 % of the limit
the pace is cut to 0.85, at most once a second; all the while it grows by 0.5 % of
the limit a second. The pace lets no bursts through, or the clients would meet.

Against one who never yields the mark is no use: the level stands below it all the same,
and the pace falls until as much as the mark is left for nobody. So it ends with the input:
who needs no more than what is there, and nothing after that, takes it.
"""

from __future__ import annotations

import attrs

from .bucket import Bucket
from .units import NS

_ON_PPM, _OFF_PPM = 30_000, 10_000
_OFF_AFTER_NS = 30 * NS
_MARK_PER_MILLE = 75
# The whole limit in 200 s. A faster growth (50 s has been tried) lets sixteen
# clients run into a sixth of refusals; a slower one takes minutes to become fair.
_GROWTH = 200
# A pace learns only from answers, so it never gets so slow that none would come.
_LEAST_PART = 100
# A pace evens out what a window allows; spread over an hour or a day that would be next to nothing.
_LONGEST_WINDOW_NS = 600 * NS


@attrs.define(eq=False)
class Sharing:
    """The pace of one bucket; ``pace`` is a bucket of its own while sharing is on."""

    pace: Bucket | None = None
    _quiet_ns: int | None = None
    _cut_ns: int = 0
    _grown_ns: int = 0

    def consider(self, bucket: Bucket, foreign_ppm: int, *, ends: bool = False, now_ns: int) -> bool:
        """
        Switch on or off by what others spend; True when that changed.

        Args:
            ends: no more input comes, and the level is enough for what is queued.
        """
        if ends:
            changed = self.pace is not None
            self.pace = self._quiet_ns = None
            return changed
        if self.pace is None:
            if foreign_ppm <= _ON_PPM or bucket.window_ns > _LONGEST_WINDOW_NS:
                return False
            self._start(bucket, foreign_ppm, now_ns)
            return True
        if foreign_ppm >= _OFF_PPM:
            self._quiet_ns = None
        elif self._quiet_ns is None:
            self._quiet_ns = now_ns
        elif now_ns - self._quiet_ns >= _OFF_AFTER_NS:
            self.pace = self._quiet_ns = None
            return True
        return False

    def _start(self, bucket: Bucket, foreign_ppm: int, now_ns: int) -> None:
        rate = max(_least(bucket), bucket.limit * (1_000_000 - foreign_ppm) // 1_000_000)
        self.pace = Bucket.full(
            f"{bucket.name} pace", rate, bucket.window_ns, pays=bucket.pays, source="learned", now_ns=now_ns
        )
        self.pace.brim = max(bucket.window_ns, bucket.brim // 400)
        self.pace.cap_level(self.pace.brim, now_ns=now_ns)
        self._cut_ns = self._grown_ns = now_ns

    def marked(self, bucket: Bucket, remaining: int, granted_ns: int, *, now_ns: int) -> None:
        """A reading showed *remaining* units."""
        pace = self.pace
        if pace is None:
            return
        pace.refresh(now_ns=now_ns)
        gained = bucket.limit * (now_ns - self._grown_ns) // (_GROWTH * NS)
        if gained > 0:
            pace.limit = min(bucket.limit, pace.limit + gained)
            self._grown_ns = now_ns
        if remaining * 1000 < bucket.limit * _MARK_PER_MILLE and now_ns - self._cut_ns >= NS:
            pace.limit = max(_least(bucket), pace.limit * 85 // 100)
            self._cut_ns = now_ns
        pace.credits = max(pace.credits, -bucket.brim)  # debt ends at a whole bucket, also after the limit fell


def _least(bucket: Bucket) -> int:
    return max(1, bucket.limit // _LEAST_PART)
