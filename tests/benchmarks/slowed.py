"""A workload of the gate, the same again, and the same with a loop planted in the scheduler."""

from __future__ import annotations

from typing import Any

import attrs

from benchmarks.gate import workloads
from ratelimit_client.core.scheduler import Scheduler

_decision = workloads.WORKLOADS["decision"]


def slowed(rounds: int) -> None:
    """In a child that ends afterwards: each call that is submitted takes twenty turns of a loop more."""
    submit = Scheduler.submit

    def planted(self: Scheduler, *args: Any, **options: Any) -> Any:
        for _ in range(20):
            pass
        return submit(self, *args, **options)

    Scheduler.submit = planted  # type: ignore[method-assign]
    _decision.run(rounds)


WORKLOADS = {
    "plain python": workloads.WORKLOADS["plain python"],
    "decision": _decision,
    "again": _decision,
    "slowed": attrs.evolve(_decision, run=slowed),
}
