"""
What must hold of a limiter at the end of a story, and how a story is run in virtual time.

Cancellations at every place there is are in ``tests/torture``.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from ratelimit_client import Limiter
from ratelimit_client.testing import VirtualLoop, run_virtual


def at_rest(limiter: Limiter) -> None:
    """The ledger balances: nothing queued, nothing in flight, by every book there is."""
    dispatcher = limiter._desk.dispatcher
    assert (limiter.queued, limiter.in_flight, dispatcher.pausing) == (0, 0, 0)
    assert (dispatcher.scheduler.queued, dispatcher.scheduler.in_flight) == (0, 0)
    statistics = limiter.statistics()
    assert (statistics.queued, statistics.in_flight) == (0, 0)


def level(limiter: Limiter, unit: str = "requests", key: str = "default") -> int:
    """Units on hand in the one bucket of *unit*."""
    return limiter.statistics().keys[key].buckets[unit].level


def virtual(main: Callable[[], Coroutine[Any, Any, Any]]) -> VirtualLoop:
    """Run *main* in virtual time and look that it left nothing behind."""
    _, loop = run_virtual(main)
    assert loop.pending_timers == 0
    return loop
