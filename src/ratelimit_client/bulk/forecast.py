"""
What a job will take, before it is begun.

Law of this file: no call is made. Rows, their models and an estimate of their
tokens are read off the input; how long they take follows from the limits.

Theory. A job that keeps its budget full ends when its cost has flowed through
every bucket: a full bucket lets its limit out at once, the rest at limit/window.
Each model has buckets of its own, so the model that takes longest decides, and in
it the limit that takes longest. Tokens are the first estimate of a row that
nothing is known of yet (core/estimate.py): the text and all the output it asks
for, so the time is an upper bound rather than a guess.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import attrs

from ..core.estimate import Estimator
from ..core.quota import Quota, Quotas
from ..dialects import features
from .jsonl import Line
from .row import DUPLICATE, Flaw, Row, counted
from .walk import Step, Walk

REST = "*"


@attrs.define(eq=False)
class Demand:
    """
    Rows of one model.

    Args:
        rows, tokens: of all of them.
        largest: tokens of the largest row.
        largest_id: its name.
    """

    rows: int = 0
    tokens: int = 0
    largest: int = 0
    largest_id: str = ""

    def of(self, unit: str) -> int | None:
        """What is needed in all of a unit; None for one that rows do not pay in."""
        return {"requests": self.rows, "tokens": self.tokens}.get(unit)


@attrs.frozen
class Bound:
    """A limit and the seconds that the rows of *model* take to pass it; None: they never pass."""

    model: str
    quota: Quota
    seconds: float | None


@attrs.define(eq=False)
class Forecast:
    """
    Args:
        walk: what is done already.
        counter: counts the tokens of texts, if anybody does.
        demands: what is to be sent, by model.
        flaws: lines that will not be sent, by the code of their error.
        edited: rows that were edited after they had finished.
    """

    walk: Walk
    counter: features.Counter | None = None
    demands: dict[str, Demand] = attrs.field(factory=dict)
    flaws: Counter[str] = attrs.field(factory=Counter)
    edited: int = 0
    _prices: Estimator = attrs.field(factory=Estimator)

    def read(self, lines: Iterable[Line]) -> None:
        """Take in the lines of an input."""
        for line in lines:
            step, row = self.walk.take(line)
            if step is Step.SUSPECT:
                self.walk.suspects.clear()
                self.flaws[DUPLICATE] += 1
            elif step is Step.EDITED:
                self.edited += 1
            elif isinstance(row, Flaw) and step is Step.FLAW:
                self.flaws[row.code] += 1
            elif isinstance(row, Row) and step is Step.RUN:
                self._add(row)

    def _add(self, row: Row) -> None:
        demand = self.demands.get(row.model)
        if demand is None:
            demand = self.demands[row.model] = Demand()
        tokens = self._prices.price(counted(row, self.counter))
        demand.rows += 1
        demand.tokens += tokens
        if tokens > demand.largest:
            demand.largest, demand.largest_id = tokens, row.custom_id

    @property
    def rows(self) -> int:
        """Rows to be sent."""
        return sum(demand.rows for demand in self.demands.values())

    @property
    def tokens(self) -> int:
        """Tokens they are thought to need."""
        return sum(demand.tokens for demand in self.demands.values())

    def bounds(self, quotas: Mapping[str, Quotas]) -> list[Bound]:
        """Every limit that holds for a model with rows, the one that takes longest first."""
        found = []
        for model, demand in self.demands.items():
            for quota in quotas.get(model, quotas.get(REST, Quotas())):
                needed = demand.of(quota.unit)
                if needed is not None:
                    found.append(Bound(model, quota, _seconds(quota, needed, demand)))
        return sorted(found, key=lambda bound: (bound.seconds is not None, -(bound.seconds or 0.0)))


def _seconds(quota: Quota, needed: int, demand: Demand) -> float | None:
    if quota.unit == "tokens" and demand.largest > quota.amount:
        return None
    return max(0, needed - quota.amount) * quota.window_s / quota.amount
