"""
The calls of a job, made by this process.

Law of this file: it translates. A row becomes a request of the client with the
very bytes of its body, under the name of its model; everything else is the
client's business.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import attrs

from ...adapters.aiohttp.client import Client
from ...adapters.aiohttp.payload import JSON, Content
from ...adapters.aiohttp.reply import Reply
from ...core.quota import Quotas
from ...core.statistics import LimiterStatistics
from ...runtime.calling import DEFAULT_KEY
from ..row import Row, counted


@attrs.define(eq=False)
class LocalEngine:
    """
    Args:
        client: makes the calls; its limiter's policy is the bulk one.
        priority: of all rows.
        deadline_s: seconds for each row from when it is begun, or None.
        priors: limits of models as an earlier run saw them; each is told once, before the model's first row.
    """

    client: Client
    priority: int = 0
    deadline_s: float | None = None
    priors: dict[str, Quotas] = attrs.field(factory=dict)

    def call(self, row: Row) -> Coroutine[Any, Any, Reply]:
        """
        Send a row and wait for its answer.

        The idempotency key is the same in every run of the job, so a server that
        knows such keys does not do twice what was under way when we were killed.
        """
        if self.priors and (prior := self.priors.pop(row.model, None)) is not None:
            self.client.limiter.expect(row.model or DEFAULT_KEY, prior)
        return self.client.send(
            self.client.call(
                "POST",
                row.url,
                Content(row.body, JSON),
                key=row.model or DEFAULT_KEY,
                features=counted(row, self.client.counter),
                priority=self.priority,
                deadline_s=self.deadline_s,
                idempotency_key=f"{row.id}-{row.mark:016x}",
            )
        )

    def in_flight(self, model: str | None = None) -> int:
        """Calls that are out, of one model or of all."""
        if model is None:
            return self.client.limiter.in_flight
        return self.client.limiter.in_flight_of(model or DEFAULT_KEY)

    def idle_for_s(self) -> float:
        """How long nothing will happen by itself: calls wait and none is out; else 0."""
        limiter = self.client.limiter
        return 0.0 if limiter.in_flight else limiter.next_in_s or 0.0

    def waits_for(self) -> str:
        """What the calls of the model that most are queued of wait for, in a sentence."""
        limiter = self.client.limiter
        keys = limiter.statistics().keys
        return str(limiter.explain(key=max(keys, key=lambda key: keys[key].queued)))

    def on_room(self, tell: Callable[[], None]) -> None:
        """Call *tell* whenever a call was let out."""
        self.client.limiter.on_room(tell)

    def end_of_input(self) -> None:
        """No more rows come: what was kept back for them may be spent."""
        self.client.limiter.end_of_input()

    def refuse_queued(self) -> None:
        """What waits comes back with ``Closed``, unsent; what is out may finish."""
        self.client.limiter.close()

    def statistics(self) -> LimiterStatistics:
        """What the limiter knows."""
        return self.client.limiter.statistics()
