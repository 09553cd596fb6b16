"""
The calls of a job, made by this process.

Law of this file: it translates. A row becomes a request of the client with the
very bytes of its body, under the name of its model; everything else is the
client's business.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from ...adapters.aiohttp.client import Client
from ...adapters.aiohttp.payload import JSON, Content
from ...adapters.aiohttp.reply import Reply
from ...core.quota import Quotas
from ...core.statistics import Explanation, LimiterStatistics
from ...runtime.calling import DEFAULT_KEY
from ...runtime.logs import fields, one_line
from ..row import Row, counted
from ..stops import Stop

if TYPE_CHECKING:
    from ...adapters.redis import RedisStore

_log: Final = logging.getLogger(__name__)

# Models that are asked what they wait for; of more than a few, some say enough.
_ASKED: Final = 16
# What is asked is when the next call goes, so no call may be ahead of it: a better priority than any that there is.
_FIRST: Final = -3


@attrs.define(eq=False)
class LocalEngine:
    """
    Args:
        client: makes the calls; its limiter's policy is the bulk one.
        priority: of all rows.
        deadline_s: seconds for each row from when it is begun, or None.
        priors: limits of models as an earlier run saw them; each is told once, before the model's first row.
        store: where its budget is shared, or None; closed with it, and its limiter is then the engine's own.
    """

    client: Client
    priority: int = 0
    deadline_s: float | None = None
    priors: dict[str, Quotas] = attrs.field(factory=dict)
    store: RedisStore | None = None
    workers: ClassVar[int] = 1

    @property
    def tells_others(self) -> bool:
        """What others take of a limit can be told from what this job does. Not from what else is in the store."""
        return self.store is None

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

    def on_stop(self, tell: Callable[[Stop], None]) -> None:
        """It is this process, and is there as long as the job."""

    def end_of_input(self) -> None:
        """No more rows come: what was kept back for them may be spent."""
        self.client.limiter.end_of_input()

    def refuse_queued(self) -> None:
        """What waits comes back with ``Closed``, unsent; what is out may finish."""
        self.client.limiter.close()

    def retries(self) -> Counter[str]:
        """Attempts that were made again, by what made them necessary."""
        found: Counter[str] = Counter()
        for (_, why), count in self.client.tally.retries.items():
            found[why] += count
        return found

    def failures(self) -> Counter[str]:
        """Attempts without success, by status or by what came instead of an answer."""
        return Counter(self.client.tally.failures)

    def refusals(self) -> Counter[str]:
        """Attempts that a rate limit refused, by the limit they named."""
        return Counter(self.client.tally.refusals)

    def waits(self, tokens: int | None = None) -> dict[str, Explanation]:
        """What the next calls of the models that wait are waiting for; *tokens* is what one costs."""
        limiter = self.client.limiter
        queued = [name for name, key in limiter.statistics().keys.items() if key.queued][:_ASKED]
        return {name: limiter.explain(name, tokens=tokens, priority=_FIRST) for name in queued}

    def statistics(self) -> LimiterStatistics:
        """What the limiter knows."""
        return self.client.limiter.statistics()

    async def open(self) -> None:
        """
        See whether the store can be used, if there is one.

        Raises:
            ConfigurationError: it never can be; one that cannot be reached is told and waited for beside the calls.
            StoreUnavailable: it cannot be reached, and no call is to be sent without it.
        """
        if self.store is not None and (why := await self.store.look()) is not None:
            said = "%s; this run goes on with its part of the limits until it is there"
            _log.warning(said, one_line(why), extra=fields("store_missing", error=why))

    async def close(self) -> None:
        """Let go of the connections; what is under way is broken off, and what is left of a lease is given back."""
        await self.client.close()
        if self.store is not None:
            await self.client.limiter.close()
            await self.store.close()

    def facts(self) -> dict[str, int]:
        """What the summary tells of it beside what it tells of every run: nothing."""
        return {}
