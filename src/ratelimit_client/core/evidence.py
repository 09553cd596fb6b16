"""
What the server charged for estimated calls, seen from its readings.

Law of this file: between two readings of one bucket everything that left it was
charged for the calls between them in the order of their grants, unless the bucket
was full in between or somebody else spends. Calls that may have been overtaken on
the way make the sum unsure, so a span counts only when it is many times as large.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

import attrs

from .bucket import Bucket
from .estimate import Estimator, Features
from .profile import Refill
from .readings import Lesson
from .ticket import Ticket

_SURE_TIMES = 8
_CHARS_A_UNIT = 4
_CHARS_A_CALL = 32


# What the call of a named tuple comes to, without the call of a function in between.
_tuple: Final = tuple.__new__


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
        terms = (
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
        return _tuple(Sum, terms)


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
    """The evidence of one key, taken from one bucket."""

    total: Sum = _NOTHING
    _arrived: Sum = _NOTHING
    _recent: deque[tuple[int, Sum]] | None = None  # an empty one has 760 bytes, and most keys state what calls cost
    _anchors: dict[Bucket, _Anchor] = attrs.field(factory=dict)

    def granted(self, features: Features, *, jitter_ns: int, now_ns: int) -> CallMark:
        """An estimated call was let out."""
        recent = self._recent
        if recent is None:
            recent = self._recent = deque()
        while recent and recent[0][0] <= now_ns - jitter_ns:
            self._arrived = recent.popleft()[1]
        before = self.total
        self.total = total = before.plus(features)
        recent.append((now_ns, total))
        return _tuple(CallMark, (total, before, self._arrived))

    def stated(self, tokens: int, *, now_ns: int) -> None:
        """A call whose cost is known was let out: what it pays is no estimate's doing."""
        self.total = self.total._replace(fixed=self.total.fixed + tokens, stated=self.total.stated + 1)
        if self._recent is None:
            self._recent = deque()
        self._recent.append((now_ns, self.total))

    def read(
        self, ticket: Ticket, bucket: Bucket, lesson: Lesson, estimator: Estimator, *, trusted: bool
    ) -> None:
        """
        A reading of *bucket* was used.

        Args:
            trusted: nobody else spends and no cut is in force; else the span is dropped.
        """
        mark = ticket.evidence
        if not isinstance(mark, CallMark) or bucket.refill is not Refill.CONTINUOUS:
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
