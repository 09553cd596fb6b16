"""
How much of one unit this key has ever spent, and how much of that has surely arrived.

Law of this file: a debit counts when the call is granted, in the order of the
grants. Calls granted together overtake each other on the way, so only debits
older than the arrival jitter are taken as seen by the server. All buckets that
a call pays in the same unit share one of these, also those not known yet.

What is taken back unsent stays counted: the marks of later calls hold it, and it
could not be taken out of them. A level may come out too low by that much until the
answer to a call that was sent afterwards, and never too high.
"""

from __future__ import annotations

from collections import deque

import attrs

# Debits within a 32nd of the jitter are kept as one, made at the time of the last of
# them: what is known to have arrived lags a little, and the memory is bounded.
_PARTS = 32


@attrs.define(eq=False)
class Debits:
    """The running total of one unit."""

    total: int = 0
    _arrived: int = 0
    _recent: deque[list[int]] = attrs.field(factory=deque)
    _last: list[int] = attrs.field(factory=lambda: [0, 0])
    _closes_ns: int = -1

    def add(self, amount: int, *, jitter_ns: int, now_ns: int) -> int:
        """
        Count *amount* and return the call's mark: what has surely arrived before it, and itself.

        ``total`` is then what has arrived if nothing overtakes: right on average, not surely.
        """
        total = self.total = self.total + amount
        last = self._last
        if now_ns < self._closes_ns:
            last[0] = now_ns
            last[1] = total
            return self._arrived + amount
        recent = self._recent
        settled_ns = now_ns - jitter_ns
        while recent and recent[0][0] <= settled_ns:
            self._arrived = recent.popleft()[1]
        self._last = [now_ns, total]
        self._closes_ns = now_ns + jitter_ns // _PARTS
        recent.append(self._last)
        return self._arrived + amount
