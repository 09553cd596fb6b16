"""
How a worker makes its client.

Law of this file: a recipe holds what all workers of a job have in common, can be
sent to another machine, and holds no key. The key goes beside it, in a call and in
nothing that is kept: what creates a worker is written down by the cluster.

Without a store nobody but the server knows what the other workers spend. So of a limit
that somebody typed each worker gets its part, and the parts add up to the whole; what
headers show is the whole to everybody, and there they share as strangers on one key do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from ...adapters.aiohttp.client import Client
from ...core.quota import Quota, Quotas
from ...core.retry import RetryPolicy
from ...dialects.registry import AUTO, detect
from ...errors import ConfigurationError
from ...runtime.limiter import Limiter
from .local import LocalEngine

if TYPE_CHECKING:
    from ...adapters.redis import RedisStore

_NAME = "bulk"
# That of a RedisStore that nobody named: a program and a service on one store share without more ado.
_BUDGET = "default"


@attrs.frozen(kw_only=True)
class Recipe:
    """
    Args:
        base_url: where the API is.
        quotas: by model, "*" the rest.
        dialect: how answers are read.
        max_in_flight: calls under way at once, None for the limiter's own bound.
        max_attempts: of a row.
        query: parameters of every request.
        allow_insecure: plain http may leave the machine.
        priority, deadline_s: of every row.
        counts_tokens: by tiktoken rather than by characters.
        store: URL of the store that the budget is in, or None.
        budget: its name there.
        on_store_failure: "share" or "stop".
        priors: limits as an earlier run saw them.
    """

    base_url: str
    quotas: Mapping[str, Quotas] = attrs.field(factory=dict)
    dialect: str = "auto"
    max_in_flight: int | None = None
    max_attempts: int = 5
    query: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    allow_insecure: bool = False
    priority: int = 0
    deadline_s: float | None = None
    counts_tokens: bool = False
    store: str | None = attrs.field(default=None, repr=False)
    budget: str = _BUDGET
    on_store_failure: str = "share"
    priors: Mapping[str, Quotas] = attrs.field(factory=dict)


def engine_of(recipe: Recipe, key: str | None) -> LocalEngine:
    """
    What makes the calls of one worker.

    Args:
        key: None for the worker's own environment.

    Raises:
        ConfigurationError: something it needs is not there.
    """
    store = None if recipe.store is None else _store(recipe)
    client = Client(
        recipe.base_url,
        api_key=key,
        default_query=dict(recipe.query),
        allow_insecure=recipe.allow_insecure,
        **_limits(recipe, store),
    )
    del key
    client.counter = _counter() if recipe.counts_tokens else None
    return LocalEngine(client, recipe.priority, recipe.deadline_s, dict(recipe.priors), store)


def _limits(recipe: Recipe, store: RedisStore | None) -> dict[str, Any]:
    """The arguments of a client that are about limits: a limiter where there is a store."""
    found: dict[str, Any] = {
        "quotas": recipe.quotas,
        "name": _NAME,
        "dialect": recipe.dialect,
        "max_in_flight": recipe.max_in_flight,
        "retry": RetryPolicy.bulk(max_attempts=recipe.max_attempts),
    }
    if store is None:
        return found
    if recipe.dialect == AUTO and (vendor := detect(url=recipe.base_url)).is_vendors:
        found["dialect"] = vendor
    return {"limiter": Limiter(**found, store=store)}


def _store(recipe: Recipe) -> RedisStore:
    from ...adapters.redis import RedisStore

    return RedisStore(recipe.store or "", name=recipe.budget, on_store_failure=recipe.on_store_failure)


def _counter() -> Callable[[str, str], int]:
    """Counts by tiktoken; a model whose own encoding cannot be had is counted by the newest."""
    from ...adapters.tiktoken import counting  # for whoever asks for it

    count = counting()

    def steady(text: str, model: str) -> int:
        try:
            return count(text, model)
        except ConfigurationError:
            return count(text, "")

    return steady


# -- parts of the whole -----------------------------------------------------------------


def divided(recipe: Recipe, workers: int) -> list[Recipe]:
    """
    The recipes of so many workers, or of fewer where a limit has no part for each.

    With a store all have the whole limits, for there they are the budget's.
    """
    if recipe.store is not None:
        return [_with_slots(recipe, number, workers) for number in range(workers)]
    least = min((quota.amount for quotas in recipe.quotas.values() for quota in quotas), default=workers)
    workers = min(workers, least)
    return [
        attrs.evolve(
            _with_slots(recipe, number, workers),
            quotas={model: _part(quotas, number, workers) for model, quotas in recipe.quotas.items()},
        )
        for number in range(workers)
    ]


def _with_slots(recipe: Recipe, number: int, of: int) -> Recipe:
    slots = recipe.max_in_flight
    return recipe if slots is None else attrs.evolve(recipe, max_in_flight=max(1, _share(slots, number, of)))


def _part(quotas: Quotas, number: int, of: int) -> Quotas:
    return Quotas(Quota.from_ns(quota.unit, _share(quota.amount, number, of), quota.window_ns) for quota in quotas)


def _share(amount: int, number: int, of: int) -> int:
    """The shares of all add up to *amount*."""
    return amount // of + (number < amount % of)
