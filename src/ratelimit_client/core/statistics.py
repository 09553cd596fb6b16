"""
What a limiter knows about itself, as a snapshot for people and instruments.

Law of this file: facts only, frozen, in units and seconds.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

_MOST_SHOWN = 3
"""Kinds of what was not understood that a sentence names."""


class Mode(enum.StrEnum):
    """How a key finds its pace."""

    RAMP = "ramp"
    STEADY = "steady"
    SHARING = "sharing"
    LEARNT_RATE = "learnt_rate"
    SLOW_DOWN = "slow_down"
    OUTAGE = "outage"


@attrs.frozen
class BucketStatistics:
    """
    One bucket.

    Args:
        unit: the server's name of the dimension.
        window_s: seconds of its window.
        limit: units in a full window.
        level: units we believe are left.
        reserve: units kept back.
        server_remaining: the server's last word, as it stood when that call was admitted; or None.
        source: who set the limit: config, header, learned, prior.
        gate_s: seconds until a server's hint has passed, or 0.
        learnt_burst: units of the learnt slice, or None.
        foreign_ratio: share of the refill that others take.
        series: alive, asleep or none.
    """

    unit: str
    window_s: float
    limit: int
    level: int
    reserve: float
    server_remaining: int | None
    source: str
    gate_s: float
    learnt_burst: int | None
    foreign_ratio: float
    series: str


@attrs.frozen
class BandStatistics:
    """
    The calls of one priority that wait.

    Args:
        queued: how many.
        tokens: what they cost together.
        oldest_wait_s: seconds the longest-waiting one has waited.
    """

    queued: int = 0
    tokens: int = 0
    oldest_wait_s: float = 0.0


@attrs.frozen
class KeyStatistics:
    """
    One key.

    Args:
        queued: calls waiting.
        oldest_wait_s: seconds the longest-waiting one has waited.
        in_flight: calls under way.
        window: calls that may be under way.
        buckets: by name of the dimension, with its window when there are several.
        granted, refused: calls let out, and answers that said no, since the start.
        estimate_ratio: charged / estimated, or None.
        mode: how the key finds its pace.
        gate_s: seconds until a wait has passed that a server asked of all calls of the key, or 0.
    """

    queued: int
    oldest_wait_s: float
    in_flight: int
    window: int
    buckets: dict[str, BucketStatistics]
    granted: int
    refused: int
    estimate_ratio: float | None
    mode: Mode
    gate_s: float = 0.0


@attrs.frozen
class LimiterStatistics:
    """
    All keys of one limiter, and the totals.

    Args:
        name: of the limiter.
        keys: by name.
        unread: kinds of what answers said and nobody understood -> answers that did; of answers that were read.
    """

    name: str
    keys: dict[str, KeyStatistics]
    unread: dict[str, int] = attrs.field(factory=dict)

    @property
    def queued(self) -> int:
        """Calls waiting, all keys."""
        return sum(key.queued for key in self.keys.values())

    @property
    def in_flight(self) -> int:
        """Calls under way, all keys."""
        return sum(key.in_flight for key in self.keys.values())


@attrs.frozen
class Explanation:
    """
    Why a call can go, or when.

    Args:
        admissible: it could go now.
        ready_in_s: the least wait in seconds; None when no wait is known to help.
        binding: what makes it wait: the name of a bucket; "slots", "ramp", "queue"; "hint" (a server asked),
            "pause" (we do), "outage", "backoff", "pacing"; "store"; "closed", "draining"; or None.
        ahead: calls waiting before it.
        reason: the sentence, which is also its ``str``; there what nobody understood is added, if anything was.
        unread: kinds of what answers said and nobody understood -> answers that did.
    """

    admissible: bool
    ready_in_s: float | None
    binding: str | None
    ahead: int
    reason: str
    unread: dict[str, int] = attrs.field(factory=dict, hash=False)

    def __str__(self) -> str:
        return f"{self.reason}; {_not_understood(self.unread)}" if self.unread else self.reason


def _not_understood(unread: Mapping[str, int]) -> str:
    """In plain words, the most frequent kinds first."""
    often = sorted(unread, key=lambda kind: -unread[kind])
    shown = [f"{kind} ({unread[kind]:,} {'time' if unread[kind] == 1 else 'times'})" for kind in often[:_MOST_SHOWN]]
    more = len(often) - _MOST_SHOWN
    if more > 0:
        shown.append(f"and {more} {'kind' if more == 1 else 'kinds'} more")
    return f"not understood of the server's answers: {', '.join(shown)}"
