"""
What the server charged for estimated calls, seen from its readings.

Law of this file: between two readings of one bucket everything that left it was
charged for the calls between them in the order of their grants, unless the bucket
was full in between or somebody else spends. Calls that may have been overtaken on
the way make the sum unsure, so a span counts only when it is many times as large.

Theory. Of many calls the readings of one are used, so a grant only notes the call, and
the sums are made when a reading comes. As many calls are kept one by one as may still
be under way, several times over; an answer to an older one teaches nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import itemgetter
from typing import NamedTuple

import attrs

from .bucket import Bucket
from .estimate import Estimator, Features
from .profile import Refill
from .readings import Lesson
from .ticket import EVER_NS, Ticket
from .units import NS

_SURE_TIMES = 8
_CHARS_A_UNIT = 4
_CHARS_A_CALL = 32
_KEPT = 128
_KEPT_TIMES = 4
_YOUNG_NS = NS

Call = tuple[int, int, Features | int]
"""(number of its grant, when it was, what it shows or the tokens it states)."""
_number, _granted_ns = itemgetter(0), itemgetter(1)


class Sum(NamedTuple):
    """
    Features of all calls so far.

    ``changes`` counts how often the endpoint changed, ``stated`` the calls beside them whose cost is known.
    """

    chars: int = 0
    max_output: int = 0
    fixed: int = 0
    excess: int = 0
    calls: int = 0
    changes: int = 0
    endpoint: str | None = ""
    stated: int = 0
    aside: int = 0
    flat: int = 0

    @property
    def size(self) -> int:
        """How much they weigh together, in characters; a call weighs a little by itself."""
        return self.chars + self.aside + _CHARS_A_UNIT * (self.fixed + self.flat) + _CHARS_A_CALL * self.calls

    def plus(self, features: Features) -> Sum:
        """With one more call."""
        chars, max_output, fixed, excess, calls, changes, endpoint, stated, aside, flat = self
        return Sum(
            chars + features.chars,
            max_output + features.max_output,
            fixed + features.fixed,
            excess + features.excess,
            calls + 1,
            changes + (features.endpoint != endpoint),
            features.endpoint,
            stated,
            aside + features.aside,
            flat + features.flat,
        )

    def and_stated(self, tokens: int) -> Sum:
        """With one more call whose cost is known: what it pays is no estimate's doing."""
        return self._replace(fixed=self.fixed + tokens, stated=self.stated + 1)


class CallMark(NamedTuple):
    """What one call's reading can be compared with: the sum with it, without it, and what had surely arrived."""

    total: Sum
    before: Sum
    arrived: Sum

    @property
    def unsure(self) -> int:
        """The size of what it may have overtaken."""
        return self.before.size - self.arrived.size


_NOTHING = Sum()


@attrs.define(eq=False)
class _Anchor:
    mark: CallMark
    exact: int
    snap_ns: int


@attrs.define(eq=False)
class ChargeEvidence:
    """
    The evidence of one key, taken from one bucket.

    Args:
        calls: those that were let out last, in their order.
    """

    calls: list[Call] = attrs.field(factory=list)
    _sums: list[Sum] = attrs.field(factory=list)
    """Up to and with each of the first of them, as far as somebody asked."""
    _gone: Sum = _NOTHING
    """Of those that were let out before them."""
    _gone_ns: int = -EVER_NS
    """When the last of these was."""
    _most: int = 2 * _KEPT
    _anchors: dict[Bucket, _Anchor] = attrs.field(factory=dict)

    def granted(self, order: int, what: Features | int, in_flight: int, now_ns: int) -> None:
        """
        A call was let out.

        Args:
            order: the number of its grant.
            what: what it shows; of one whose cost is known the tokens.
            in_flight: how many are under way.
        """
        calls = self.calls
        calls.append((order, now_ns, what))
        if len(calls) >= self._most:
            self._forget(max(_KEPT, _KEPT_TIMES * in_flight))

    def _forget(self, kept: int) -> None:
        """Keep so many one by one, and all that may have been overtaken by the last."""
        calls = self.calls
        gone = min(len(calls) - kept, bisect_right(calls, calls[-1][1] - _YOUNG_NS, key=_granted_ns))
        self._most = 2 * max(kept, len(calls) - gone)
        if gone > 0:
            self._gone, self._gone_ns = self._sum(gone - 1), calls[gone - 1][1]
            del calls[:gone], self._sums[:gone]

    def _sum(self, index: int) -> Sum:
        """Up to and with the call at *index*; -1: before all that are kept."""
        sums = self._sums
        if index >= len(sums):
            total = sums[-1] if sums else self._gone
            for _, _, what in self.calls[len(sums) : index + 1]:
                total = total.and_stated(what) if isinstance(what, int) else total.plus(what)
                sums.append(total)
        return sums[index] if index >= 0 else self._gone

    def mark(self, ticket: Ticket, *, jitter_ns: int) -> CallMark | None:
        """What a reading of this call can be compared with; None: it is not known any more."""
        calls = self.calls
        index = bisect_left(calls, ticket.order, key=_number)
        if index == len(calls) or calls[index][0] != ticket.order:
            return None
        arrived_ns = calls[index][1] - jitter_ns
        if arrived_ns < self._gone_ns:
            return None
        arrived = bisect_right(calls, arrived_ns, hi=index, key=_granted_ns) - 1
        return CallMark(self._sum(index), self._sum(index - 1), self._sum(arrived))

    def read(
        self,
        ticket: Ticket,
        bucket: Bucket,
        lesson: Lesson,
        estimator: Estimator,
        *,
        trusted: bool,
        jitter_ns: int,
    ) -> None:
        """
        A reading of *bucket* was used.

        Args:
            trusted: nobody else spends and no cut is in force; else the span is dropped.
            jitter_ns: calls that far apart do not overtake each other.
        """
        if ticket.features is None or bucket.refill is not Refill.CONTINUOUS:
            return
        mark = self.mark(ticket, jitter_ns=jitter_ns)
        if mark is None:
            return
        anchor = self._anchors.get(bucket)
        if not trusted or lesson.asleep:
            self._anchors[bucket] = _Anchor(mark, lesson.exact, lesson.snap_ns)
            return
        if anchor is None:
            self._begin(bucket, mark, lesson, estimator)
            return
        if mark.total.calls - anchor.mark.total.calls < 1:
            return
        refill = bucket.limit * max(0, lesson.snap_ns - anchor.snap_ns)
        if anchor.exact + refill >= bucket.brim:
            self._begin(bucket, mark, lesson, estimator)
            return
        size = mark.total.size - anchor.mark.total.size
        if size < _SURE_TIMES * (mark.unsure + anchor.mark.unsure):
            return
        charged = (anchor.exact + refill - lesson.exact) // bucket.window_ns
        self._anchors[bucket] = _Anchor(mark, lesson.exact, lesson.snap_ns)
        _teach(estimator, anchor.mark.total, mark.total, charged)

    def _begin(self, bucket: Bucket, mark: CallMark, lesson: Lesson, estimator: Estimator) -> None:
        """A new span. A bucket that was full before a single call shows what that call was charged."""
        anchor = self._anchors.get(bucket)
        before = anchor.mark.total if anchor is not None else Sum()
        calls = mark.total.calls + mark.total.stated - before.calls - before.stated
        if mark.unsure == 0 and calls == 1:
            _teach(estimator, before, mark.total, (bucket.brim - lesson.exact) // bucket.window_ns)
        self._anchors[bucket] = _Anchor(mark, lesson.exact, lesson.snap_ns)


def _teach(estimator: Estimator, before: Sum, after: Sum, charged: int) -> None:
    changed = after.changes - before.changes
    if changed > 1 or (changed == 1 and after.calls - before.calls > 1):
        return
    features = Features(
        after.chars - before.chars,
        after.max_output - before.max_output,
        after.fixed - before.fixed,
        after.endpoint,
        excess=after.excess - before.excess,
        aside=after.aside - before.aside,
        flat=after.flat - before.flat,
    )
    estimator.learn(features, after.calls - before.calls, charged)
