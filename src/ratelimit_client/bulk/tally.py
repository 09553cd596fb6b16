"""
What a run has done so far, in plain numbers.

Law of this file: counting only. The hot path adds integers here; people and
instruments read them when they want to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import attrs

from ..dialects.features import tokens_used
from .spread import Spread

_CAP: Final = 32
OTHER: Final = "other"


@attrs.define(eq=False)
class Snapshot:
    """
    One name under which a model answered.

    Args:
        rows: answers with that name.
        first_s, last_s: wall time of the first and the last of them.
        first_id: name of the row that had the first.
    """

    rows: int
    first_s: float
    last_s: float
    first_id: str


@attrs.define(eq=False)
class Tally:
    """
    Args:
        wall_s: tells the date, for the snapshots.
        ok, failed: rows that ended in this run.
        started: rows handed to the engine in this run.
        sent: rows that ended and went out at least once.
        sends: requests that went out for them.
        tokens: used by the answers, as they say themselves.
        lost: of them those whose lines could not be written; *lost_answers*: of those the answers.
        slowest_wait_s: the longest that one row waited for its turn, all attempts together.
        waits: of the answered rows, how long each waited, all attempts together.
        latencies: of the same, how long the attempt took that was answered.
        codes: failed rows by the code of their error.
        snapshots: asked-for model -> answering model -> when.
    """

    wall_s: Callable[[], float]
    ok: int = 0
    failed: int = 0
    started: int = 0
    sent: int = 0
    sends: int = 0
    tokens: int = 0
    lost: int = 0
    lost_answers: int = 0
    slowest_wait_s: float = 0.0
    waits: Spread = attrs.field(factory=Spread)
    latencies: Spread = attrs.field(factory=Spread)
    codes: Counter[str] = attrs.field(factory=Counter)
    started_by_model: Counter[str] = attrs.field(factory=Counter)
    snapshots: dict[str, dict[str, Snapshot]] = attrs.field(factory=dict)

    def start(self, model: str) -> None:
        """A row was handed to the engine."""
        self.started += 1
        self.started_by_model[model] += 1

    def answered(
        self, custom_id: str, model: str, data: Any, attempts: int, queue_s: float, latency_s: float | None = None
    ) -> None:
        """A row got its answer; *data* is the parsed body."""
        self.ok += 1
        self.waits.add(queue_s)
        if latency_s is not None:
            self.latencies.add(latency_s)
        self._sent(attempts, queue_s)
        if not isinstance(data, dict):
            data = {}
        self.tokens += tokens_used(data.get("usage")) or 0
        name = data.get("model")
        self._snapshot(custom_id, model, name if isinstance(name, str) else "")

    def refused(self, code: str, attempts: int = 0, queue_s: float = 0.0) -> None:
        """A row failed."""
        self.failed += 1
        self.codes[code if code in self.codes or len(self.codes) < _CAP else OTHER] += 1
        self._sent(attempts, queue_s)

    def lose(self, answers: int, errors: int) -> None:
        """So many lines could not be written: their rows are still to be done."""
        self.ok -= answers
        self.lost_answers += answers
        self.failed -= errors
        self.lost += answers + errors

    def succeeded_elsewhere(self, model: str) -> bool:
        """Has a row of another model than *model* succeeded in this run?"""
        return any(name != model for name in self.snapshots)

    def _sent(self, attempts: int, queue_s: float) -> None:
        self.sends += attempts
        self.sent += attempts > 0
        if queue_s > self.slowest_wait_s:
            self.slowest_wait_s = queue_s

    def _snapshot(self, custom_id: str, model: str, name: str) -> None:
        asked = self.snapshots
        if model not in asked and len(asked) >= _CAP:
            model = OTHER
        names = asked.setdefault(model, {})
        if name not in names and len(names) >= _CAP:
            name = OTHER
        now_s = self.wall_s()
        seen = names.get(name)
        if seen is None:
            names[name] = Snapshot(1, now_s, now_s, custom_id)
        else:
            seen.rows += 1
            seen.last_s = now_s
