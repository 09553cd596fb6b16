"""
A place in the queue, and what is set aside for it once its turn has come.

Law of this file: one ticket is one logical call, from its submission to its
end, over all its attempts. It only carries; the scheduler moves it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import attrs

from .bucket import Bucket
from .cost import Cost
from .estimate import Features

_NOTHING: Mapping[str, tuple[Bucket, ...]] = MappingProxyType({})


class State(enum.IntEnum):
    """Where a ticket is. GRANTED and later ones hold a slot."""

    QUEUED = 0
    GRANTED = 1
    ANSWERED = 2
    RESTING = 3
    ENDED = 4


# Later than any instant.
EVER_NS = 1 << 62


@attrs.frozen
class Patience:
    """
    How long a call waits in the queue for the sake of the server.

    Args:
        outage_ns: for one that does not answer, without a deadline; None: as long as it takes.
        hint_ns: for one that asks not to be called for a while, with a deadline or without.
    """

    outage_ns: int | None = None
    hint_ns: int = EVER_NS


ENDLESS = Patience()


class _Unborn:
    """What a ticket is before anything happened to it; much of it stays, and then takes neither time nor room."""

    state: State = State.QUEUED
    granted_ns: int = 0
    order: int = -1
    charged: bool = False
    marks: Sequence[tuple[str, int, int, int]] = ()
    paid: Mapping[str, tuple[Bucket, ...]] = _NOTHING
    waiter: object = None
    written_ns: int | None = None
    not_before_ns: int = 0
    priced: int = -1
    share: int = 0
    probe: bool = False
    levels: list[int] | None = None
    settled: Mapping[str, int] | None = None
    evidence: object = None
    error: Exception | None = None
    waited_ns: int = 0
    queued_since_ns: int = 0


@attrs.define(eq=False, slots=False)
class Ticket(_Unborn):
    """
    Args:
        seq: its rank, kept over all attempts; 0 before it is submitted.
        key, tenant, priority: whose queue, whose turn, which band.
        cost: what it pays; for an estimated call the price at the last grant.
        features: what its body showed, when the cost is an estimate.
        patience: how long it waits for the sake of the server.
        deadline_ns, not_before_ns: instants of the monotonic clock.
        submitted_ns, granted_ns: when it came, and when its last grant was.
        order: the number of its last grant; larger is later.
        marks: (unit, amount, mark, total) of the last grant, see debits.
        paid, levels: the buckets charged at the last grant, by unit, and what was
            predicted in them, in credits and in the same order.
        priced: the version of the estimator that made its cost.
        charged: its tenant has paid for it; it pays once over all attempts.
        settled: what the caller said it used since the last grant.
        error: why it ended without a grant.
        waiter: whatever the caller wants to wake; opaque here.
    """

    seq: int
    key: str
    tenant: str
    priority: int
    cost: Cost
    features: Features | None
    deadline_ns: int | None
    submitted_ns: int
    patience: Patience = ENDLESS

    def mark(self, unit: str) -> tuple[int, int, int]:
        """(amount, mark, total) of the last grant in *unit*; zeros when it paid none."""
        for name, amount, mark, total in self.marks:
            if name == unit:
                return amount, mark, total
        return 0, 0, 0

    def predicted(self, bucket: Bucket) -> int | None:
        """Units in *bucket* just before the last grant, as we believed; None when it was not known then."""
        if self.levels is None:
            return None
        paid = (known for unit, *_ in self.marks for known in self.paid.get(unit, ()))
        for known, credits_ in zip(paid, self.levels, strict=True):
            if known is bucket:
                return credits_ // bucket.window_ns
        return None

    def amount(self, unit: str | None) -> int:
        """What it pays of *unit*."""
        return 0 if unit is None else self.cost.get(unit, 0)
