"""
How fast a process goes on that cannot reach its store.

Law of this file: it goes on as it went, and within five seconds comes to its part of nine
tenths of the limit. All processes do the same, so that together they spend no more than
the limit at any time between.

Theory. What they spent together when the store was lost was leased, so it was no more
than the limit. Each goes from its own rate to its part, by the same fraction at the same
age of the loss; the sum goes from the one sum to the other, and both are below the limit.
A limit of more than ten minutes is no pace: of what was left of it each takes its part.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from .units import NS

_DECAY_NS = 5 * NS
_LONGEST_PACE_US = 600_000_000
_MICRO = 1_000_000


@attrs.frozen
class Known:
    """A bucket as it was last heard of: units a window, the window, and units that were there."""

    limit: int
    window_us: int
    level: int


def part(buckets: Iterable[Known], members: int) -> int | None:
    """A process's part of nine tenths of the tightest pace, in millionths of a unit a second; None: of no pace."""
    paces = [
        bucket.limit * _MICRO * _MICRO * 9 // (10 * bucket.window_us * members)
        for bucket in buckets
        if bucket.window_us <= _LONGEST_PACE_US
    ]
    return min(paces) if paces else None


def left(buckets: Iterable[Known], members: int) -> int | None:
    """Units that a process may spend of long windows until the store is back; None: as many as the pace allows."""
    levels = [bucket.level for bucket in buckets if bucket.window_us > _LONGEST_PACE_US]
    return max(0, min(levels)) // members if levels else None


def rate(last: int, share: int, *, lost_ns: int) -> int:
    """
    Millionths of a unit a second.

    Args:
        last: the rate when the store was lost.
        share: where it goes.
        lost_ns: for how long the store has been lost.
    """
    gone_ns = min(max(0, lost_ns), _DECAY_NS)
    return last + (share - last) * gone_ns // _DECAY_NS
