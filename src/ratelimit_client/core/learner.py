"""
A rate for servers that say nothing but no.

Law of this file: it learns only from refusals of a key whose server never showed
a reading. One cut per epoch: a refusal of a call sent before the last cut
teaches nothing new.

Theory. The first refusal halves the rate of admissions since the start. Later
ones cut to 0.85 of the larger of the rate and what was admitted over ten
seconds. Without refusals the rate grows 5 % a second. The burst is one call and
a half, so a learnt rate is an even one.
"""

from __future__ import annotations

from collections import deque

import attrs

from .bucket import Bucket
from .units import NS

# Rates are kept in calls per 1000 s, so that 0.001 calls a second is the least.
_WINDOW_NS = 1000 * NS
_SPAN_NS = 10 * NS


@attrs.define(eq=False)
class RateLearner:
    """The learnt rate of one key, a bucket once something was learnt."""

    bucket: Bucket | None = None
    cut_ns: int = -1
    _start_ns: int | None = None
    _admitted: int = 0
    _recent: deque[int] = attrs.field(factory=deque)
    _grown_ns: int = 0

    def admitted(self, *, now_ns: int) -> None:
        """The server answered a call with something else than a refusal."""
        if self._start_ns is None:
            self._start_ns = now_ns
        self._admitted += 1
        self._recent.append(now_ns)
        self._forget(now_ns)

    def granted(self, *, now_ns: int) -> None:
        """A call was sent; the first one starts the clock."""
        if self._start_ns is None:
            self._start_ns = now_ns

    def _forget(self, now_ns: int) -> None:
        while self._recent and self._recent[0] < now_ns - _SPAN_NS:
            self._recent.popleft()

    def refused(self, granted_ns: int, *, now_ns: int) -> bool:
        """Cut the rate; False when the refused call was sent before the last cut."""
        if granted_ns <= self.cut_ns:
            return False
        self.cut_ns = now_ns
        self._forget(now_ns)
        since_ns = max(NS // 20, now_ns - (now_ns if self._start_ns is None else self._start_ns))
        if self.bucket is None:
            rate = max(1, self._admitted * _WINDOW_NS // since_ns // 2)
        else:
            span_ns = min(_SPAN_NS, since_ns)
            measured = len(self._recent) * _WINDOW_NS // span_ns
            rate = max(1, max(self.bucket.limit, measured) * 85 // 100)
        self._set(rate, now_ns)
        return True

    def _set(self, rate: int, now_ns: int) -> None:
        if self.bucket is None:
            self.bucket = Bucket.full("learnt rate", rate, _WINDOW_NS, pays="requests", source="learned", now_ns=now_ns)
        self.bucket.resize(rate, now_ns=now_ns)
        self.bucket.brim = _WINDOW_NS * 3 // 2
        self.bucket.cap_level(0, now_ns=now_ns)
        self._grown_ns = now_ns

    def grow(self, *, now_ns: int) -> None:
        """5 % for each full second without a refusal."""
        bucket = self.bucket
        if bucket is None or now_ns - self._grown_ns < NS:
            return
        bucket.refresh(now_ns=now_ns)
        seconds = min(60, (now_ns - self._grown_ns) // NS)
        for _ in range(seconds):
            bucket.limit += max(1, bucket.limit // 20)
        self._grown_ns = now_ns - (now_ns - self._grown_ns) % NS
