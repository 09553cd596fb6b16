"""
One bucket of a key, with all that is known of it.

Law of this file: a bucket, its readings and what was learnt from both stay together
for as long as the window stands; over another window they begin anew.
"""

from __future__ import annotations

import attrs

from .bucket import Bucket
from .lessons import Lessons
from .profile import Refill
from .quota import Quota
from .readings import Series, Snapshot
from .resets import Meaning, Resets
from .sharing import Sharing
from .signals import Reading
from .units import to_ns


@attrs.define(eq=False)
class Line:
    """One bucket with its readings, its lessons and what its resets mean; ``provisional``: its window is assumed."""

    bucket: Bucket
    series: Series
    lessons: Lessons
    provisional: bool = False
    sharing: Sharing = attrs.field(factory=Sharing)
    resets: Resets = attrs.field(factory=Resets)

    def set_window(self, window_ns: int, *, now_ns: int) -> None:
        """The same bucket over another window; what was learnt in the old one is forgotten."""
        bucket, series = self.bucket, self.series
        level = bucket.level(now_ns=now_ns)
        bucket.window_ns = window_ns
        bucket.resize(bucket.limit, now_ns=now_ns)
        bucket.set_level(level * window_ns, now_ns=now_ns)
        bucket.reserve = bucket.brim // 100
        bucket.escrow = bucket.bands = None
        bucket.note_special()
        self.provisional = False
        self.series = Series(
            bucket,
            exact_reset=series.exact_reset,
            undecided=series.undecided,
            late_ppm=series.late_ppm,
            counts_after=series.counts_after,
        )
        self.lessons, self.sharing = Lessons(self.series), Sharing()

    def heed_reset(self, reading: Reading, snapshot: Snapshot, usual_ns: int, *, now_ns: int) -> bool:
        """
        Where ``reset`` turns out to be no time to full, a window that was read off it is none; True when one was.

        Args:
            usual_ns: the window of servers that tell none.
        """
        limit, remaining, reset_s = reading.limit, reading.remaining, reading.reset_s
        if limit is None or remaining is None or reset_s is None or snapshot.order <= self.series.last_order:
            return False
        resets, bucket = self.resets, self.bucket
        if not resets.see(int(limit), int(remaining), to_ns(reset_s), snap_ns=snapshot.snap_ns):
            return False
        steps = resets.meaning is Meaning.TO_STEP
        window_ns = resets.window_ns if steps else usual_ns
        changes = bucket.window_ns != window_ns
        if changes and bucket.ceiling is not None:
            return False  # the caller knows better
        if changes:
            self.set_window(window_ns, now_ns=now_ns)
        self.series.exact_reset = False
        if steps:
            bucket.refill = Refill.WINDOW
            bucket.note_special()
        return changes


def config_bucket(quota: Quota, *, now_ns: int) -> Bucket:
    """The bucket of a quota that the caller typed: a ceiling, full at the start."""
    bucket = Bucket.full(quota.unit, quota.amount, quota.window_ns, pays=quota.unit, now_ns=now_ns)
    bucket.ceiling = quota.amount
    bucket.firm = True
    bucket.reserve = bucket.brim // 100
    return bucket


def allow(line: Line, amount: int, now_ns: int) -> None:
    """The caller allows *amount*; a server that shows less has the last word."""
    bucket = line.bucket
    line.provisional = False  # its window was typed as well
    bucket.ceiling = amount
    shown = line.series.shown_limit
    if shown is None or shown >= amount:
        bucket.resize(amount, now_ns=now_ns)
        bucket.source, bucket.firm = "config", True
    elif bucket.limit != shown:
        bucket.resize(shown, now_ns=now_ns)
        bucket.source, bucket.firm = "header", False
    bucket.reserve = bucket.brim // 100
