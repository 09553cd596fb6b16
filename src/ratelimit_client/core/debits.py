"""
How much of each unit this key has ever spent, and how much of that has surely arrived.

Law of this file: a debit counts when the call is granted, in the order of the
grants. Calls granted together overtake each other on the way, so only debits
older than the arrival jitter are taken as seen by the server. All buckets that
a call pays in the same unit share one till, also those not known yet.

What is taken back unsent stays counted: the marks of later calls hold it, and it
could not be taken out of them. A level may come out too low by that much until the
answer to a call that was sent afterwards, and never too high.
"""

from __future__ import annotations

import attrs

from .bucket import Bucket
from .units import MAX_AMOUNT, NS

# Debits within a 32nd of the jitter are kept as one, made at the time of the last of
# them: what is known to have arrived lags a little, and the memory is bounded.
_PARTS = 32
_REST_NS = 10 * NS


@attrs.define(eq=False)
class Till:
    """
    Where one unit is paid.

    Args:
        total: all debits so far.
        arrived: those of them that the server has surely seen.
        buckets: what is charged.
        most: the smallest limit that a server showed; it charges no call more.
    """

    total: int = 0
    arrived: int = 0
    buckets: tuple[Bucket, ...] = ()
    most: int = MAX_AMOUNT


@attrs.define(eq=False)
class Debits:
    """
    The running totals, in a form that its owner adds to by itself.

    Before the debits of a call at an instant of ``closes_ns`` or later it calls
    ``begin_part``, and with each it sets ``last_ns``.

    Args:
        tills: by unit.
        last_ns: when something was spent last.
        busy_since_ns, busy_from: when a call came after a rest of ten seconds or more,
            and the calls before it.
    """

    tills: dict[str, Till] = attrs.field(factory=dict)
    closes_ns: int = -1
    last_ns: int = -_REST_NS
    busy_since_ns: int = 0
    busy_from: int = 0
    _recent: list[tuple[int, dict[str, int]]] = attrs.field(factory=list)

    def till(self, unit: str) -> Till:
        """Where *unit* is paid."""
        found = self.tills.get(unit)
        if found is None:
            found = self.tills[unit] = Till()
        return found

    @property
    def calls(self) -> int:
        """All requests so far."""
        return self.till("requests").total

    def begin_part(self, *, jitter_ns: int, now_ns: int) -> None:
        """What was spent so far is one part, which arrives together; what comes now belongs to the next."""
        if now_ns - self.last_ns >= _REST_NS:
            self.busy_since_ns, self.busy_from = now_ns, self.calls
        recent = self._recent
        recent.append((self.last_ns, {unit: till.total for unit, till in self.tills.items()}))
        settled_ns = now_ns - jitter_ns
        while recent and recent[0][0] <= settled_ns:
            for unit, total in recent.pop(0)[1].items():
                self.tills[unit].arrived = total
        self.closes_ns = now_ns + jitter_ns // _PARTS
