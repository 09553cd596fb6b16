"""
A place in the queue, and what is set aside for it once its turn has come.

Law of this file: one ticket is one logical call, from its submission to its
end, over all its attempts. It only carries; the scheduler moves it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs

from .bucket import Bucket
from .cost import Cost
from .estimate import Features

Mark = tuple[str, int, int, int]
Bill = tuple[Sequence[Mark], Mapping[str, tuple[Bucket, ...]], list[int] | None]


class State(enum.IntEnum):
    """Where a ticket is. GRANTED and later ones hold a slot."""

    QUEUED = 0
    GRANTED = 1
    ANSWERED = 2
    RESTING = 3
    ENDED = 4


_QUEUED = State.QUEUED

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


class Seldom:
    """What most tickets never have."""

    __slots__ = ("error", "priced", "probe", "settled")

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.priced = -1
        self.probe = False
        self.settled: Mapping[str, int] | None = None


_NEVER = Seldom()
_UNPAID: Bill = ((), MappingProxyType({}), None)


class Ticket:
    """
    Args:
        seq: its rank, kept over all attempts; 0 before it is submitted.
        key, tenant, priority: whose queue, whose turn, which band.
        cost: what it pays; for an estimated call the price at the last grant.
        features: what its body showed, when the cost is an estimate.
        patience: how long it waits for the sake of the server.
        deadline_ns, not_before_ns: instants of the monotonic clock.
        submitted_ns, granted_ns: when it came, and when its last grant was; while it waits, since when it does.
        order: the number of its last grant; larger is later.
        bill: what the last grant was charged, see ``marks``, ``paid`` and ``levels``.
        priced: the version of the estimator that made its cost.
        settled: what the caller said it used since the last grant.
        error: why it ended without a grant.
        waiter: whatever the caller wants to wake; opaque here.

    There may be very many, all but a few of which wait: what comes with a grant is one
    object together, and what comes seldom another.
    """

    __slots__ = (
        "_seldom",
        "bill",
        "cost",
        "deadline_ns",
        "features",
        "granted_ns",
        "key",
        "not_before_ns",
        "order",
        "patience",
        "priority",
        "seq",
        "share",
        "state",
        "submitted_ns",
        "tenant",
        "waited_ns",
        "waiter",
        "written_ns",
    )

    def __init__(
        self,
        seq: int,
        key: str,
        tenant: str,
        priority: int,
        cost: Cost,
        features: Features | None,
        deadline_ns: int | None,
        submitted_ns: int,
        patience: Patience = ENDLESS,
    ) -> None:
        self.seq = seq
        self.key = key
        self.tenant = tenant
        self.priority = priority
        self.cost = cost
        self.features = features
        self.deadline_ns = deadline_ns
        self.submitted_ns = submitted_ns
        self.patience = patience
        self.state: State = _QUEUED
        self.order = -1
        self.granted_ns = self.waited_ns = self.not_before_ns = self.share = 0
        self.bill = _UNPAID
        self.waiter: Any = None
        self.written_ns: int | None = None
        self._seldom = _NEVER

    @property
    def queued_since_ns(self) -> int:
        """Since when it waits, while it does; from its grant on nobody asks."""
        return self.granted_ns

    @queued_since_ns.setter
    def queued_since_ns(self, value: int) -> None:
        self.granted_ns = value

    @property
    def charged(self) -> bool:
        """Its tenant has paid for it; it pays once over all attempts."""
        return self.order >= 0

    @property
    def marks(self) -> Sequence[Mark]:
        """(unit, amount, mark, total) of the last grant, see debits."""
        return self.bill[0]

    @property
    def paid(self) -> Mapping[str, tuple[Bucket, ...]]:
        """The buckets charged at the last grant, by unit."""
        return self.bill[1]

    @property
    def levels(self) -> list[int] | None:
        """What was predicted in them, in credits and in the same order."""
        return self.bill[2]

    @property
    def error(self) -> Exception | None:
        return self._seldom.error

    @error.setter
    def error(self, value: Exception | None) -> None:
        self._rare().error = value

    @property
    def priced(self) -> int:
        return self._seldom.priced

    @priced.setter
    def priced(self, value: int) -> None:
        self._rare().priced = value

    @property
    def probe(self) -> bool:
        return self._seldom.probe

    @probe.setter
    def probe(self, value: bool) -> None:
        self._rare().probe = value

    @property
    def settled(self) -> Mapping[str, int] | None:
        return self._seldom.settled

    @settled.setter
    def settled(self, value: Mapping[str, int] | None) -> None:
        self._rare().settled = value

    def _rare(self) -> Seldom:
        if self._seldom is _NEVER:
            self._seldom = Seldom()
        return self._seldom

    def unpay(self) -> None:
        """What it was charged has come back."""
        self.bill = ((), self.bill[1], None)

    def begin_again(self) -> None:
        """It is to be sent once more: of the attempt before nothing is known."""
        self.written_ns = None
        if self._seldom is not _NEVER:
            self.settled, self.probe = None, False

    def __repr__(self) -> str:
        return f"<Ticket {self.seq} of {self.key!r}: {self.cost!r}, {self.state.name.lower()}>"

    def mark(self, unit: str) -> tuple[int, int, int]:
        """(amount, mark, total) of the last grant in *unit*; zeros when it paid none."""
        for name, amount, mark, total in self.bill[0]:
            if name == unit:
                return amount, mark, total
        return 0, 0, 0

    def predicted(self, bucket: Bucket) -> int | None:
        """Units in *bucket* just before the last grant, as we believed; None when it was not known then."""
        marks, by_unit, levels = self.bill
        if levels is None:
            return None
        paid = (known for unit, *_ in marks for known in by_unit.get(unit, ()))
        for known, credits_ in zip(paid, levels, strict=True):
            if known is bucket:
                return credits_ // bucket.window_ns
        return None

    def amount(self, unit: str | None) -> int:
        """What it pays of *unit*."""
        return 0 if unit is None else self.cost.get(unit, 0)
