"""
Until when a server asked not to be called, and by which calls.

Law of this file: no hint is forgotten before its time because another one came. One
that asks large calls to wait for an hour and one that asks all to wait for a second
hold side by side.
"""

from __future__ import annotations

import attrs

from .signals import Signals
from .units import NS

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


def with_hint(hints: tuple[Hint, ...], new: Hint, *, now_ns: int) -> tuple[Hint, ...]:
    """The hints in force once *new* has come."""
    kept = tuple(hint for hint in hints if hint.until_ns > now_ns and not new.covers(hint))
    return kept if any(hint.covers(new) for hint in kept) else (*kept, new)


def longest(hints: tuple[Hint, ...], amount: int, *, now_ns: int) -> Hint | None:
    """The hint that holds a call of *amount* back the longest; None: it may go."""
    meant = [hint for hint in hints if hint.until_ns > now_ns and amount >= hint.amount]
    return max(meant, key=lambda hint: hint.until_ns, default=None)
