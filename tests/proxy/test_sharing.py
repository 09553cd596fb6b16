"""Proxies that share their budgets through a store."""

from __future__ import annotations

import asyncio
from typing import Any

from ratelimit_client import Limiter, RetryPolicy, per_hour
from ratelimit_client.runtime.store import InProcessStore
from tests import canary
from tests.adapters.aiohttp.rawserver import RawServer, answer
from tests.proxy.talking import BEARER, CHAT, TARGET, Line, proxied, until

OTHER = ("Authorization", f"Bearer {canary.OTHER_KEY}")
LIMIT = 4


def of(store: InProcessStore) -> Limiter:
    return Limiter(per_hour(requests=LIMIT), store=store, retry=RetryPolicy.none())


async def answered(url: str, bearer: tuple[str, str], calls: int) -> int:
    """How many of so many calls, one after the other, have their answer soon."""
    count = 0
    async with Line(url) as line:
        for _ in range(calls):
            line.say(TARGET, CHAT, headers=[bearer])
            try:
                async with asyncio.timeout(1.0):
                    count += (await line.hear()).status == 200
            except TimeoutError:
                return count
    return count


def whoever_comes_first(**names: str) -> tuple[int, int]:
    """Two callers each come to a proxy first: how many calls each had answered."""

    async def story() -> tuple[int, int]:
        store = InProcessStore()
        limiters = [of(store), of(store)]
        async with (
            RawServer(*[[answer(**names)] * 20] * 9) as server,
            proxied(server.url, limiter=limiters[0]) as one,
            proxied(server.url, limiter=limiters[1]) as other,
        ):
            mine = await answered(one.url, BEARER, LIMIT - 1)
            theirs = await answered(other.url, OTHER, LIMIT - 1)
            await until(lambda: not any(limiter.in_flight for limiter in limiters))
        return mine, theirs

    return asyncio.run(story())


def test_callers_that_no_answer_names_are_kept_apart() -> None:
    """Each proxy meets another one first, and neither is taken for the other."""
    assert whoever_comes_first() == (LIMIT - 1, LIMIT - 1)


def test_callers_of_one_organization_spend_one_budget() -> None:
    """Once answers have named it, wherever they came and whatever their keys are."""
    named: Any = {"openai_organization": "org-one"}
    mine, theirs = whoever_comes_first(**named)
    assert mine == LIMIT - 1
    assert theirs < LIMIT - 1


def test_a_proxy_with_a_key_of_its_own_shares_from_the_first_call_on() -> None:
    """And gives back what it holds when it closes."""

    async def story() -> tuple[int, int]:
        store = InProcessStore()
        async with RawServer(*[[answer()] * 20] * 9) as server:
            async with proxied(server.url, limiter=of(store), lends=True) as one:
                first = await answered(one.url, BEARER, LIMIT // 2)
            async with proxied(server.url, limiter=of(store), lends=True) as other:
                second = await answered(other.url, OTHER, LIMIT)
        return first, second

    assert asyncio.run(story()) == (LIMIT // 2, LIMIT // 2)
