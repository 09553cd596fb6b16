"""A bucket under the readings of its server, for tests that tell a story in rows."""

from __future__ import annotations

import attrs

from ratelimit_client.core.bucket import Bucket
from ratelimit_client.core.profile import Refill
from ratelimit_client.core.readings import Lesson, Series, Snapshot
from ratelimit_client.core.signals import Reading
from ratelimit_client.core.units import NS as S
from ratelimit_client.core.units import to_ns


@attrs.frozen
class Sent:
    """A call that went out: its number, what it paid, all debits up to it, and when."""

    order: int
    own: int
    total: int
    sent_ns: int


@attrs.define(eq=False)
class Feed:
    """One bucket and its series; ``send`` charges as a budget does, ``hear`` folds a reading in."""

    bucket: Bucket
    series: Series
    total: int = 0
    order: int = 0

    @classmethod
    def of(
        cls,
        limit: int = 600,
        window_s: int = 60,
        refill: Refill = Refill.CONTINUOUS,
        *,
        exact_reset: bool = False,
        undecided: bool = False,
        ceiling: int | None = None,
    ) -> Feed:
        """Full at 0. Ten units flow back each second unless told otherwise."""
        bucket = Bucket.full(
            "requests", limit, window_s * S, pays="requests", refill=refill, source="header", now_ns=0
        )
        if ceiling is not None:
            bucket.ceiling, bucket.source = ceiling, "config"
        return cls(bucket, Series(bucket, exact_reset=exact_reset, undecided=undecided))

    def send(self, second: float, amount: int = 1) -> Sent:
        """A call of *amount* goes out."""
        now_ns = to_ns(second)
        bucket = self.bucket
        bucket.refresh(now_ns=now_ns)
        if bucket.watched:
            bucket.peaks.note(self.total * bucket.window_ns, bucket.limit, now_ns=now_ns)
        bucket.take(amount, now_ns=now_ns)
        self.total += amount
        self.order += 1
        return Sent(self.order, amount, self.total, now_ns)

    def burst(self, second: float, calls: int) -> Sent:
        """So many calls at once; the last of them."""
        return [self.send(second) for _ in range(calls)][-1]

    def hear(
        self,
        sent: Sent,
        remaining: float | None = None,
        *,
        at: float,
        limit: float | None = None,
        reset_s: float | None = None,
        unsure: int = 0,
        looked: float | None = None,
        refused: bool = False,
        grain_s: float = 0.0,
        counted: bool = True,
        witness: bool | None = None,
    ) -> Lesson | None:
        """
        The answer's reading comes at second *at*.

        Args:
            unsure: units sent before that may not have arrived before it.
            looked: when the server looked; as it was sent unless given.
            counted, witness: see Snapshot.
        """
        snap_ns = sent.sent_ns if looked is None else to_ns(looked)
        snapshot = Snapshot(
            sent.order,
            sent.total - unsure,
            sent.total,
            self.total,
            sent.own,
            sent.sent_ns,
            snap_ns,
            counted,
            witness,
        )
        reading = Reading(limit, remaining, reset_s)
        return self.series.use(
            reading, snapshot, grain_ns=to_ns(grain_s), refused=refused, now_ns=to_ns(at)
        )

    def level(self, second: float) -> int:
        """Whole units that we believe are left."""
        return self.bucket.level(now_ns=to_ns(second))

    def believe(self, units: int, second: float) -> None:
        """Our own account is now this, rightly or wrongly."""
        self.bucket.set_level(units * self.bucket.window_ns, now_ns=to_ns(second))
