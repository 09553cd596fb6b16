"""Asking a machine why, for tests of what it says."""

from __future__ import annotations

from typing import Any

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.explaining import explain, explain_first
from ratelimit_client.core.signals import Reason, Signals
from ratelimit_client.core.statistics import Explanation
from ratelimit_client.core.ticket import Ticket
from tests.core.driving import Drive, scheduler

REFUSED = Signals(429, Reason.RATE_LIMITED, True)


def drive_of(*quotas: Any, slots: int = 4, **how: Any) -> Drive:
    return Drive(scheduler(*quotas, slots=slots, **how), hold=True)


def why(drive: Drive, requests: int = 1, *, key: str = "m", priority: int = 0, **units: int) -> Explanation:
    """Of a call that comes now."""
    return explain(drive.machine, key, Cost(requests, **units), priority=priority, now_ns=drive.now_ns)


def first(drive: Drive, key: str = "m") -> Explanation:
    """Of the first that waits."""
    found = explain_first(drive.machine, key, now_ns=drive.now_ns)
    assert found is not None
    return found


def refuse(drive: Drive, ticket: Ticket, signals: Signals = REFUSED) -> None:
    drive.end(ticket, signals, Ending.IGNORED)
