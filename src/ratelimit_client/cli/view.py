"""
A run at a glance.

Law of this file: facts for people, taken from the counters when somebody looks;
nothing on the way of a row knows that it is watched.

Theory of the time that is left. What is left has to pass the limit that binds, and
it has to be answered at the pace the server answers at. The longer of both is told:
the first from the remaining cost (``bulk.meter``), the second from the rows of the
last minute, for a job whose limit is wide enough is bound by its server. While the
server is away nobody knows, and nothing is told.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any, Final

import attrs

from ..bulk.job import Job
from ..bulk.meter import Binding
from ..bulk.words import number, shown, window
from .activity import REFUSED, Recent, State, Tone, state_of
from .cells import pace, span

RECENT_S: Final = 60.0
_SAMPLE_S: Final = 1.0
_UNSURE_S: Final = 5.0


@attrs.frozen(kw_only=True)
class View:
    """
    Args:
        total: rows of the job, or None while nobody knows.
        done: rows that have a line, those of earlier runs included.
        failed: those of them that failed.
        in_flight, queued: calls under way, and calls that wait.
        rate: rows a second, of the last minute.
        refused: answers that said no because of a limit.
        retried: attempts that were made again for other reasons.
        limit: the limit that binds, or that is used most where none does, in words, or None.
        model: whose limit it is.
        models: how many models there are.
        binds: the rest of the rows has to wait for this limit.
        share: part of it that was used so far, 0 to 1, or None.
        eta_s: seconds the rest will take, or None.
        seconds: how long it has been running.
        state: what it is doing, in words.
        tone: how that is.
    """

    total: int | None
    done: int
    failed: int
    in_flight: int
    queued: int
    rate: float
    refused: int
    retried: int = 0
    limit: str | None
    model: str | None = None
    models: int = 1
    binds: bool = True
    share: float | None
    eta_s: float | None
    seconds: float
    state: str
    tone: Tone = Tone.WELL

    def facts(self) -> dict[str, Any]:
        """For machines."""
        return {
            name: round(value, 3) if isinstance(value, float) else value for name, value in attrs.asdict(self).items()
        }

    def sentence(self) -> str:
        """One line."""
        of = f"/{number(self.total)}" if self.total is not None else ""
        parts = [f"{span(self.seconds)}: {number(self.done)}{of} rows", pace(self.rate)]
        if self.failed:
            parts.append(f"{number(self.failed)} failed")
        if self.limit is not None and self.share is not None:
            whose = f" ({self.model})" if self.models > 1 and self.model is not None else ""
            parts.append(f"{self.share:.0%} of {self.limit}{whose} used")
        calls = f"{number(self.in_flight)} in flight, {number(self.queued)} queued, {number(self.refused)} refused"
        parts.append(f"{calls}, {number(self.retried)} retried" if self.retried else calls)
        if self.eta_s is not None:
            parts.append(f"about {span(self.eta_s)} left")
        parts.append(self.state)
        return "; ".join(parts)


@attrs.define(eq=False)
class Past:
    """The last minute of a run, as far as somebody looked."""

    _samples: deque[tuple[float, int, Counter[str]]] = attrs.field(factory=lambda: deque([(0.0, 0, Counter())]))

    def see(self, *, ended: int, retries: Counter[str], now_s: float) -> Recent:
        """
        What happened in the last minute.

        Args:
            ended: rows that have ended since the start.
            retries: attempts made again since the start, by what made them necessary.
        """
        samples = self._samples
        while len(samples) > 1 and samples[1][0] <= now_s - RECENT_S:
            samples.popleft()
        then_s, ended_then, retries_then = samples[0]
        if now_s - samples[-1][0] >= _SAMPLE_S:
            samples.append((now_s, ended, retries))
        passed_s, new = now_s - then_s, max(0, ended - ended_then)
        return Recent(
            rate=new / passed_s if passed_s > 0 else 0.0,
            ended=new,
            retries=retries - retries_then,
            retried=retries.total() - retries[REFUSED],
        )


@attrs.define(eq=False)
class Watch:
    """Looks at a job, and remembers its last minute."""

    job: Job
    _past: Past = attrs.field(factory=Past)

    def look(self) -> View:
        """The run as it is now."""
        job = self.job
        statistics = job.engine.statistics()
        keys = statistics.keys
        total = job.total
        left = None if total is None else max(0, total - job.finished)
        found = _limit(job, left)
        recent = self._past.see(ended=job.tally.ok + job.tally.failed, retries=job.engine.retries(), now_s=job.seconds)
        state = state_of(job, keys, recent)
        return View(
            total=total,
            done=job.finished,
            failed=job.tally.failed + job.walk.failed_before,
            in_flight=statistics.in_flight,
            queued=statistics.queued,
            rate=recent.rate,
            refused=sum(key.refused for key in keys.values()),
            retried=recent.retried,
            limit=None if found is None else _words(found),
            model=None if found is None else shown(found.key),
            models=len(keys),
            binds=found is not None and found.remaining_s > 0,
            share=None if found is None else found.gauge.share,
            eta_s=time_left_s(left, recent.rate, None if found is None else found.remaining_s, job.seconds, state),
            seconds=job.seconds,
            state=state.words,
            tone=state.tone,
        )


def time_left_s(
    left: int | None, rate: float, by_limit_s: float | None, seconds: float, state: State
) -> float | None:
    """
    How long the rest takes; None while nobody knows.

    Args:
        left: rows, None while nobody knows.
        rate: rows a second of the last minute.
        by_limit_s: until their cost has passed the limit that binds.
        seconds: since the start.
        state: what the run is doing.
    """
    if left == 0:
        return 0.0
    if left is None or not state.goes_on:
        return None
    times = [by_limit_s] if by_limit_s else []
    # The pace says nothing in the first seconds, and nothing while all waits for a limit.
    if rate > 0 and seconds >= _UNSURE_S and state.tone is not Tone.WAITING:
        times.append(left / rate)
    return max(times, default=None)


def _limit(job: Job, left: int | None) -> Binding | None:
    """The limit that binds; the one that was used most where all the rest fits at once."""
    binding = job.meter.binding(_left_by_model(job, left), lambda key, unit: 0.0)
    if binding is not None and binding.remaining_s > 0:
        return binding
    used = job.meter.utilisation()
    if used is None:
        return None
    _, key, name = used
    return Binding(key, name, job.meter.gauges[key, name], 0.0)


def _left_by_model(job: Job, left: int | None) -> dict[str, float]:
    """Rows left of each model: those at hand as they are, the rest mixed as what was begun."""
    if not left:
        return {}
    at_hand = Counter(row.model for row in job.lanes.rows())
    begun = job.tally.started_by_model
    rest = max(0, left - at_hand.total()) / max(1, begun.total())
    return {model: at_hand[model] + rest * begun[model] for model in begun | at_hand}


def _words(binding: Binding) -> str:
    return f"{number(binding.gauge.limit)} {binding.name}/{window(binding.gauge.window_s)}"


