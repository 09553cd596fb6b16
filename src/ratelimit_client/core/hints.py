"""
Until when a server asked not to be called, and by which calls.

Law of this file: no hint is forgotten before its time because another one came. One
that asks large calls to wait for an hour and one that asks all to wait for a second
hold side by side.

Where a server names no time and its vendor says "a minute at least, and longer each time",
the wait doubles whenever it was not enough, and a success begins it anew. Calls that were
under way when it began say nothing about it.
"""

from __future__ import annotations

import attrs

from .signals import Signals
from .units import NS

_LONGEST_NS = 3600 * NS
_DOUBLINGS_MAX = 12
SPREAD_NS = NS // 20
"""What is added to a hint at most, so that not everybody comes at the same instant; it is no part of the server's."""


@attrs.frozen
class Hint:
    """
    Args:
        until_ns: no such call goes before.
        amount: calls that cost at least this are meant (units; 0: all).
        signals: the answer that said so.
    """

    until_ns: int
    amount: int = 0
    signals: Signals | None = None

    def covers(self, other: Hint) -> bool:
        """Whatever *other* holds back, this one holds back as long."""
        return self.until_ns >= other.until_ns and self.amount <= other.amount


@attrs.define(eq=False)
class LeastWait:
    """How long one key waits for a server that names no time: once, twice, four times the vendor's least."""

    times: int = 0
    _began_ns: int = -1
    _until_ns: int = -1

    def refused(self, least_ns: int, granted_ns: int, last_success_ns: int | None, *, now_ns: int) -> int:
        """
        How long to wait from now on.

        Args:
            least_ns: what the vendor says to wait at least.
            granted_ns: when the refused call was let out.
            last_success_ns: when the key last heard of a success.
        """
        if last_success_ns is not None and last_success_ns > self._until_ns:
            self.times = 0
        if not self.times or granted_ns > self._began_ns:
            self.times += 1
            self._began_ns = now_ns
        grown_ns = least_ns << min(self.times - 1, _DOUBLINGS_MAX)
        wait_ns = max(least_ns, min(grown_ns, _LONGEST_NS))
        self._until_ns = max(self._until_ns, now_ns + wait_ns)
        return wait_ns


def with_hint(hints: tuple[Hint, ...], new: Hint, *, now_ns: int) -> tuple[Hint, ...]:
    """The hints in force once *new* has come."""
    kept = tuple(hint for hint in hints if hint.until_ns > now_ns and not new.covers(hint))
    return kept if any(hint.covers(new) for hint in kept) else (*kept, new)


def longest(hints: tuple[Hint, ...], amount: int, *, now_ns: int) -> Hint | None:
    """The hint that holds a call of *amount* back the longest; None: it may go."""
    meant = [hint for hint in hints if hint.until_ns > now_ns and amount >= hint.amount]
    return max(meant, key=lambda hint: hint.until_ns, default=None)
