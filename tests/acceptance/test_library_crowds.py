"""Trying to break it by numbers: many clients, many calls, many keys, huge costs, tiny limits."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Any

import pytest

from ratelimit_client import (
    Client,
    CostExceedsQuota,
    Limiter,
    Quota,
    RequestTooLarge,
    RetryPolicy,
    Throttled,
    per_day,
    per_minute,
)
from ratelimit_client.testing import Change, serve_model
from tests.acceptance.library import CHAT, KEY, Judge, at_zero, now_s, tell, tell_and_time
from tests.sizes import SCALE


def test_twenty_clients_on_one_limiter() -> None:
    """
    Clients of one process that share a limiter spend one budget: nobody is refused, nothing is lost or asked twice.
    """

    async def story() -> None:
        limiter = Limiter()
        async with serve_model(per_minute(requests=600), latency=0.5) as url, contextlib.AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(Client(url, api_key=KEY, limiter=limiter, name=f"c{n}"))
                for n in range(20)
            ]
            replies = await asyncio.gather(
                *(
                    client.post("/chat/completions", json={**CHAT, "user": f"{number}-{turn}"})
                    for number, client in enumerate(clients)
                    for turn in range(40)
                )
            )
            assert len(replies) == 800
            assert url.tally.refusals == 0
            assert url.tally.calls == len(url.tally.answered) == 800
            assert at_zero(limiter)

    _, seconds = tell_and_time(story)
    assert seconds == pytest.approx(20, abs=2)


def test_twenty_limiters_that_know_nothing_of_each_other() -> None:
    """
    Processes without a store on one key: they find a pace together, with few refusals, and all of them end.
    """

    async def story() -> None:
        judge = Judge(per_minute(requests=1200), latency=0.5)
        limiters = [Limiter(retry=RetryPolicy.bulk()) for _ in range(20)]
        ends = await asyncio.gather(
            *(judge.ask(limiter, f"{number}-{turn}") for number, limiter in enumerate(limiters) for turn in range(150))
        )
        assert len(set(ends)) == 3000
        tally = judge.tally
        assert tally.repeated == 0
        assert not tally.lost(ends)
        assert tally.refusals <= 0.1 * 3000
        assert all(at_zero(limiter) for limiter in limiters)

    _, seconds = tell_and_time(story)
    # 90 s if one limiter knew all.
    assert seconds <= 2 * 90


def test_five_thousand_calls_at_once() -> None:
    """
    All of them ask in the same instant: each goes once, the limit of 6000 a minute is kept, the time is the ideal one.
    """

    async def story() -> None:
        judge, limiter = Judge(per_minute(requests=3000), latency=0.5), Limiter()
        ends = await asyncio.gather(*(judge.ask(limiter, f"r{number}") for number in range(5000)))
        assert len(set(ends)) == 5000
        assert judge.tally.calls == len(judge.tally.answered) == 5000
        assert judge.tally.refusals == 0
        assert at_zero(limiter)

    _, seconds = tell_and_time(story)
    assert seconds <= 1.05 * (40 + 0.5)


def test_keys_by_the_thousand() -> None:
    """
    Three thousand models, each with a budget of its own; then nothing of them is in flight, and a new one goes at once.
    """

    async def story() -> None:
        judge, limiter = Judge(per_minute(requests=10), latency=0.2), Limiter()
        ends = await asyncio.gather(
            *(judge.ask(limiter, f"{key}-{turn}", key=f"k{key}") for key in range(3000) for turn in range(2))
        )
        assert len(set(ends)) == judge.tally.calls == 6000
        assert judge.tally.refusals == 0
        assert len(limiter.statistics().keys) == 3000
        began = now_s()
        await judge.ask(limiter, "one more", key="new")
        assert now_s() - began == pytest.approx(0.2)
        assert at_zero(limiter)

    _, seconds = tell_and_time(story)
    assert seconds < 10


def test_keys_share_what_is_short() -> None:
    """
    Fifty keys and ten slots: each key has its share of them, however many calls it queued.

    The first three were alone for a moment; what they got then is not held against them.
    """

    async def story() -> None:
        limiter, went = Limiter(max_in_flight=10), Counter[str]()

        async def call(key: str) -> None:
            async with limiter.permit(key=key):
                await asyncio.sleep(1)
                went[key] += 1

        tasks = [asyncio.create_task(call(f"k{key}")) for key in range(50) for _ in range(20 + 10 * (key % 5))]
        await asyncio.sleep(50.5)
        assert sum(went.values()) == 500
        first = [went.pop(f"k{key}") for key in range(3)]
        assert set(went.values()) <= {9, 10, 11}
        assert max(first) <= 11 + 4
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert at_zero(limiter)

    tell(story)


@pytest.mark.parametrize(
    ("limits", "calls", "ideal_s"),
    [
        (per_day(requests=1), 3, 2 * 86_400),
        (per_day(requests=2), 5, 3 * 43_200),
        (per_minute(requests=1), 10, 9 * 60),
        (per_minute(requests=3), 30, 27 * 20),
        ([Quota("requests", 1, 10)], 20, 190),
        (per_minute(requests=60) + per_day(requests=10), 14, 4 * 8640),
    ],
    ids=["1 a day", "2 a day", "1 a minute", "3 a minute", "1 each 10 s", "10 a day beside 60 a minute"],
)
@pytest.mark.parametrize("typed", [True, False], ids=["typed", "learnt"])
def test_tiny_limits(limits: Any, calls: int, ideal_s: float, typed: bool) -> None:
    """
    Whether typed or learnt from the answers: every call goes, in little more than the least time, with few refusals.
    """

    async def story() -> None:
        judge = Judge(limits, latency=0.5)
        limiter = Limiter(limits if typed else (), retry=RetryPolicy(max_hint_s=1e6))
        ends = await asyncio.gather(*(judge.ask(limiter, f"r{number}") for number in range(calls)))
        assert len(set(ends)) == len(judge.tally.answered) == calls
        assert judge.tally.repeated == 0
        # What is learnt is learnt from the first answers: the ramp has four calls out by then.
        assert judge.tally.refusals <= (0 if typed else 3)
        assert at_zero(limiter)

    _, seconds = tell_and_time(story)
    assert seconds <= 1.05 * ideal_s + (0 if typed else 3 * ideal_s / calls)


def test_a_refusal_of_a_day_is_told_and_not_slept_through() -> None:
    """
    One a day: what was already out when the limit was learnt is Throttled at once with its time, the default policy.
    """

    async def story() -> None:
        judge, limiter = Judge(per_day(requests=1), latency=0.5), Limiter()
        first = [asyncio.create_task(judge.ask(limiter, f"r{number}")) for number in range(3)]
        ends = await asyncio.gather(*first, return_exceptions=True)
        throttled = [end for end in ends if isinstance(end, Throttled)]
        assert len(throttled) == 2
        for end in throttled:
            assert end.signals is not None
            assert end.signals.retry_after_s is not None
            assert end.signals.retry_after_s > 80_000
        assert now_s() < 1002
        assert at_zero(limiter)

    tell(story)


def test_costs_as_large_as_the_bucket_and_larger() -> None:
    """
    1000 of 1000 tokens goes once a minute, among small ones too; 1001 is never, as the server's own word or the user's.
    """

    async def story() -> None:
        judge, limiter = Judge(per_minute(tokens=1000), latency=0.5), Limiter()
        sizes = [1000 if number % 10 == 0 else 10 for number in range(60)]
        ends = await asyncio.gather(*(judge.ask(limiter, f"r{n}", tokens=size) for n, size in enumerate(sizes)))
        assert len(set(ends)) == len(judge.tally.answered) == 60
        assert judge.tally.refusals <= 3
        too_much = await asyncio.gather(
            *(judge.ask(limiter, f"x{n}", tokens=5000) for n in range(20)), return_exceptions=True
        )
        assert {type(end) for end in too_much} <= {RequestTooLarge, CostExceedsQuota}
        assert sum(judge.tally.attempts[f"x{n}"] for n in range(20)) <= 4
        assert at_zero(limiter)

    _, seconds = tell_and_time(story)
    assert seconds <= 1.2 * (6 * 1000 + 54 * 10 - 1000) / 1000 * 60 + 60


@pytest.mark.parametrize("factor", [1 / 3, 1 / 100, 30], ids=["a third", "a hundredth", "thirty times"])
@pytest.mark.parametrize("unit", ["requests", "tokens"])
def test_limits_that_change_in_the_middle(factor: float, unit: str) -> None:
    """
    Cut or raised after 20 s: few refusals, nothing lost, and soon the new limit is used to the full.
    """
    before, rows = 600, 700 if factor < 1 else 3000
    after = round(before * factor)
    per_call = 1 if unit == "requests" else 7

    def limits(calls: int) -> Any:
        return per_minute(**{unit: calls * per_call})

    async def story() -> None:
        judge = Judge(limits(before), latency=0.5, changes=Change(20, limits(after)))
        limiter = Limiter(retry=RetryPolicy.bulk())
        tokens = 7 if unit == "tokens" else 0

        async def feed() -> list[str]:
            tasks = []
            for number in range(rows):
                tasks.append(asyncio.create_task(judge.ask(limiter, f"r{number}", tokens=tokens)))
                # Evenly, as work comes in: before the change 12 a second, so that something waits.
                await asyncio.sleep(1 / 12 if number < 240 else 0)
            return await asyncio.gather(*tasks)

        ends = await feed()
        assert len(set(ends)) == len(judge.tally.answered) == rows
        assert judge.tally.repeated == 0
        assert judge.tally.refusals <= 20
        assert at_zero(limiter)

    _, seconds = tell_and_time(story)
    left = rows - 240
    ideal_s = 20 + max(0.5, (left - after) / after * 60 if factor > 1 else left / after * 60)
    assert seconds <= 1.15 * ideal_s + 70


@pytest.mark.parametrize("seed", range(2 * SCALE))
def test_a_crowd_in_any_order_of_tasks(seed: int) -> None:
    """
    Virtual loops that wake tasks in another order each time: the same promises hold.
    """

    async def story() -> None:
        judge, limiter = Judge(per_minute(requests=600, tokens=60_000), latency=0.3, seed=seed), Limiter()
        ends = await asyncio.gather(
            *(
                judge.ask(limiter, f"r{n}", tokens=1 + n % 200, priority=n % 5 - 2, tenant=f"t{n % 3}")
                for n in range(900)
            )
        )
        assert len(set(ends)) == judge.tally.calls - judge.tally.refusals == 900
        assert judge.tally.refusals <= 9
        assert at_zero(limiter)

    tell(story, seed=seed + 1)
