"""
Facts for instruments.

Law of this file: an event is made only when somebody asked for its kind, and
nothing waits for whoever receives it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs


class Kind(enum.Enum):
    """What happened."""

    QUEUED = "queued"
    GRANTED = "granted"
    ANSWERED = "answered"
    REFUSED = "refused"
    ERRED = "erred"
    FAILED = "failed"
    RETRYING = "retrying"
    ESTIMATED = "estimated"
    SETTLED = "settled"
    RELEASED = "released"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    LIMIT_CHANGED = "limit_changed"
    SLICE_LEARNT = "slice_learnt"
    RATE_LEARNT = "rate_learnt"
    SLOWED_DOWN = "slowed_down"
    OUTAGE = "outage"
    RECOVERED = "recovered"


@attrs.frozen
class Event:
    """
    Args:
        kind: what happened.
        at_ns: when, on the monotonic clock.
        key: the key of the call or budget.
        facts: what goes with the kind, by name; integers and short strings.
        call: of which call, if of one: the same number over all its attempts, and of no other call
            of its limiter.
        context: where it happened, as whoever asked for it wants to have it (``Telling.witness``).
    """

    kind: Kind
    at_ns: int
    key: str
    facts: Mapping[str, object]
    call: int | None = None
    context: object = None
