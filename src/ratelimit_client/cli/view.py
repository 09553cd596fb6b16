"""
A run at a glance.

Law of this file: facts for people, taken from the counters when somebody looks;
nothing on the way of a row knows that it is watched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import attrs

from ..bulk.job import Job
from ..bulk.summary import duration, shown, window
from ..core.statistics import KeyStatistics, Mode


@attrs.frozen(kw_only=True)
class View:
    """
    Args:
        total: rows of the job, or None while nobody knows.
        done: rows that have a line, those of earlier runs included.
        failed: those of them that failed.
        in_flight, queued: calls under way, and calls that wait.
        rate: rows a second of this run.
        refused: answers that said no because of a limit.
        limit: the limit that binds, in words, or None.
        share: part of it that was used so far, 0 to 1, or None.
        eta_s: seconds the rest will take, or None.
        seconds: how long it has been running.
        state: what it is doing, in words.
    """

    total: int | None
    done: int
    failed: int
    in_flight: int
    queued: int
    rate: float
    refused: int
    limit: str | None
    share: float | None
    eta_s: float | None
    seconds: float
    state: str

    def facts(self) -> dict[str, Any]:
        """For machines."""
        return {
            name: round(value, 3) if isinstance(value, float) else value for name, value in attrs.asdict(self).items()
        }

    def sentence(self) -> str:
        """One line."""
        of = f"/{self.total}" if self.total is not None else ""
        parts = [f"{self.done}{of} rows", f"{self.rate:.1f} rows/s"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.limit is not None and self.share is not None:
            parts.append(f"{self.share:.0%} of {self.limit} used")
        parts.append(f"{self.in_flight} in flight, {self.queued} queued, {self.refused} refused")
        if self.eta_s is not None:
            parts.append(f"about {duration(self.eta_s)} left")
        parts.append(self.state)
        return "; ".join(parts)


def look(job: Job) -> View:
    """The run as it is now."""
    statistics = job.engine.statistics()
    keys = statistics.keys
    seconds = job.seconds
    ended = job.tally.ok + job.tally.failed
    rate = ended / seconds if seconds > 0 else 0.0
    total = job.total
    left = None if total is None else max(0, total - job.finished)
    binding = job.meter.binding(_left_by_model(job, left), lambda key, unit: 0.0)
    return View(
        total=total,
        done=job.finished,
        failed=job.tally.failed + job.walk.failed_before,
        in_flight=statistics.in_flight,
        queued=statistics.queued,
        rate=rate,
        refused=sum(key.refused for key in keys.values()),
        limit=None if binding is None else _limit(binding.key, binding.name, binding.gauge, len(keys)),
        share=None if binding is None else binding.gauge.share,
        eta_s=_eta(left, rate, None if binding is None else binding.remaining_s, job),
        seconds=seconds,
        state=_state(job, keys),
    )


def _left_by_model(job: Job, left: int | None) -> dict[str, float]:
    """Rows left of each model: those at hand as they are, the rest mixed as what was begun."""
    if not left:
        return {}
    at_hand = Counter(row.model for row in job.lanes.rows())
    begun = job.tally.started_by_model
    rest = max(0, left - at_hand.total()) / max(1, begun.total())
    return {model: at_hand[model] + rest * begun[model] for model in begun | at_hand}


def _eta(left: int | None, rate: float, by_limit_s: float | None, job: Job) -> float | None:
    if left == 0 or job.ended_ns is not None:
        return 0.0
    if left is None or not rate:
        return None
    if by_limit_s is not None and by_limit_s > 0:
        return by_limit_s
    return left / rate


def _limit(key: str, name: str, gauge: Any, keys: int) -> str:
    amount = f"{gauge.limit:,}".replace(",", " ")
    of = f" ({shown(key)})" if keys > 1 else ""
    return f"{amount} {name}/{window(gauge.window_s)}{of}"


def _state(job: Job, keys: Mapping[str, KeyStatistics]) -> str:
    if job.ended_ns is not None:
        return "ended"
    if job.stop is not None:
        return f"stopping: {len(job.lanes.tasks)} rows under way"
    if job.outage_s is not None:
        return f"no answer from the server for {duration(job.outage_s)}, trying again"
    modes = {key.mode for key in keys.values() if key.queued or key.in_flight}
    if Mode.OUTAGE in modes:
        return "the server does not answer, trying again"
    waits = [bucket.gate_s for key in keys.values() for bucket in key.buckets.values() if bucket.gate_s > 0]
    if waits:
        return f"the server asked to wait {duration(max(waits))}"
    for mode, words in _MODES.items():
        if mode in modes:
            return words
    return "running"


_MODES = {
    Mode.RAMP: "finding the pace",
    Mode.SHARING: "sharing the limit with others",
    Mode.LEARNT_RATE: "at a learnt pace",
    Mode.STEADY: "at the limit's pace",
}
