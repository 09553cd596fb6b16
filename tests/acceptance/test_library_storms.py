"""Trying to break it by cancelling: at random, all at once, at every instant, while it closes."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from ratelimit_client import (
    Client,
    Closed,
    DeadlineExceeded,
    DeadlineExpiredInQueue,
    DeadlineUnreachable,
    Limiter,
    Overloaded,
    ResponseError,
    RetryPolicy,
    per_minute,
)
from ratelimit_client.testing import Faults, Uniform, serve_model, silent, sliced
from tests.acceptance.library import CHAT, KEY, Judge, at_zero, now_s, tell
from tests.sizes import SCALE

KINDS: tuple[dict[str, Any], ...] = (
    {},
    {"enforcement": sliced(1)},
    {"headers": silent()},
    {"faults": Faults(reset=0.05, server_error=0.05, overloaded=0.05)},
)


@pytest.mark.parametrize("seed", range(3 * SCALE if SCALE > 1 else 1))
@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_a_storm_of_cancellations(kind: int, seed: int) -> None:
    """
    Calls of three models, five bands, three tenants, with and without deadlines, and somebody who cancels twenty at a
    time: every call ends once, what succeeded was answered, nothing is answered twice, and the books are even.
    """
    dice = random.Random(f"storm {kind} {seed}")

    async def story() -> None:
        judge = Judge(per_minute(requests=600, tokens=60_000), latency=Uniform(0.05, 2), seed=seed, **KINDS[kind])
        limiter = Limiter(max_in_flight=dice.choice((5, 50, None)), retry=RetryPolicy.bulk(), dice=dice.random)
        calls: list[asyncio.Task[str]] = []

        async def feed() -> None:
            for number in range(500):
                options = {"priority": dice.randrange(-2, 3), "tenant": dice.choice("abc")}
                deadline = dice.choice((None, None, 0.5, 5, 60, 600))
                ask = judge.ask(
                    limiter,
                    f"r{number}",
                    key=f"m{number % 3}",
                    tokens=dice.randrange(1, 400),
                    deadline=deadline,
                    **options,
                )
                calls.append(asyncio.create_task(ask))
                if dice.random() < 0.3:
                    await asyncio.sleep(dice.random() * 0.05)

        async def cancel() -> None:
            for _ in range(150):
                await asyncio.sleep(dice.random() * 0.4)
                alive = [call for call in calls if not call.done()]
                for call in dice.sample(alive, min(len(alive), dice.randrange(20))):
                    call.cancel()

        await asyncio.gather(feed(), cancel())
        _, waiting = await asyncio.wait(calls, timeout=86_400)
        assert not waiting, str(limiter.explain(key="m0"))
        ends = Counter(type(end) for end in await asyncio.gather(*calls, return_exceptions=True))
        allowed = {str, asyncio.CancelledError, DeadlineExceeded, DeadlineExpiredInQueue, DeadlineUnreachable}
        if "faults" in KINDS[kind]:
            allowed |= {ConnectionResetError, ResponseError, Overloaded}
        assert set(ends) <= allowed
        assert ends[str] > 10
        answered = {call.result() for call in calls if not call.cancelled() and not call.exception()}
        assert answered <= set(judge.tally.answered)
        assert judge.tally.repeated == 0
        assert at_zero(limiter)

    tell(story, seed=seed)


def test_everything_cancelled_at_one_instant_again_and_again() -> None:
    """
    Two thousand calls, all cancelled, ten times over: nothing is left, and the next call goes at once.
    """

    async def story() -> None:
        limiter = Limiter("60/min", max_in_flight=7)
        for turn in range(10):
            calls = [asyncio.create_task(limiter.call(asyncio.sleep, 30, priority=n % 5 - 2)) for n in range(2000)]
            await asyncio.sleep(0.3 * turn)
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
            assert at_zero(limiter)
        await asyncio.sleep(60)
        began = now_s()
        async with limiter.permit():
            assert now_s() == began

    tell(story)


def test_what_was_cancelled_before_it_left_was_not_charged() -> None:
    """
    A thousand cancelled in the queue and at the very moment of their grant leave the bucket as they found it.
    """

    async def story() -> None:
        limiter = Limiter(per_minute(tokens=6000), max_in_flight=1)

        def level() -> int:
            return limiter.statistics().keys["default"].buckets["tokens"].level

        held = limiter.permit_nowait(tokens=1)
        calls = [asyncio.create_task(limiter.call(asyncio.sleep, 1, tokens=3)) for _ in range(1000)]
        await asyncio.sleep(5)
        held.finish()  # the first in the queue has its grant from here on, and its task has not run yet
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        assert level() == 6000
        assert at_zero(limiter)

    tell(story)


@pytest.mark.parametrize("after_s", [0, 0.001, 0.1, 0.3, 0.5, 0.7, 1.1, 2, 5])
def test_a_client_cancelled_at_any_time(after_s: float) -> None:
    """
    While it asks for the key, connects, waits, reads: two hundred calls over HTTP, all cancelled at that instant.
    """

    async def key() -> str:
        await asyncio.sleep(0.2)
        return KEY

    async def story() -> None:
        limits = per_minute(requests=600)
        async with serve_model(limits, latency=Uniform(0.1, 1)) as url, Client(url, api_key=key) as client:
            bodies = [{**CHAT, "user": f"r{number}"} for number in range(200)]
            calls = [asyncio.create_task(client.post("/chat/completions", json=body)) for body in bodies]
            await asyncio.sleep(after_s)
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
            assert at_zero(client)
            reply = await client.post("/chat/completions", json={**CHAT, "user": "after"})
            assert "Answer to after:" in reply.text
            assert url.tally.repeated == 0
            assert at_zero(client)
            await asyncio.sleep(2)

    tell(story)


@pytest.mark.parametrize("after_s", [0, 0.05, 0.6, 3])
def test_closed_in_the_middle(after_s: float) -> None:
    """
    Three hundred calls, some queued, some in flight, some between two attempts: each ends, with a result or a reason.
    """

    async def story() -> None:
        judge = Judge(per_minute(requests=600), latency=Uniform(0.1, 1), faults=Faults(server_error=0.3), seed=5)
        limiter = Limiter(max_in_flight=40, retry=RetryPolicy.bulk())
        calls = [asyncio.create_task(judge.ask(limiter, f"r{number}")) for number in range(300)]
        await asyncio.sleep(after_s)
        limiter.close()
        _, waiting = await asyncio.wait(calls, timeout=100)
        assert not waiting
        ends = await asyncio.gather(*calls, return_exceptions=True)
        closed = [end for end in ends if isinstance(end, Closed)]
        assert {end for end in ends if isinstance(end, str)} == set(judge.tally.answered)
        # "Nothing was sent" is said only of those of which nothing was.
        never_sent = {f"r{number}" for number in range(300)} - set(judge.tally.attempts)
        assert len(closed) == len(never_sent)
        assert at_zero(limiter)

    tell(story)


def test_a_deadline_storm() -> None:
    """
    Two thousand calls with deadlines from nothing to ten seconds: none outlives its own, and each says why it ended.
    """

    async def story() -> None:
        judge, limiter = Judge(per_minute(requests=600), latency=0.5), Limiter()
        late: list[float] = []

        async def call(number: int) -> str:
            deadline = (number % 100) / 10
            began = now_s()
            try:
                return await judge.ask(limiter, f"r{number}", deadline=deadline, tenant=f"t{number % 7}")
            except TimeoutError as error:
                return type(error).__name__
            finally:
                late.append(now_s() - began - deadline)

        ends = Counter(
            end if "Deadline" in end else "answered" for end in await asyncio.gather(*map(call, range(2000)))
        )
        assert max(late) <= 1e-6
        assert ends["answered"] >= 500
        assert set(ends) <= {"answered", "DeadlineUnreachable", "DeadlineExpiredInQueue", "DeadlineExceeded"}
        assert judge.tally.refusals <= 20
        assert at_zero(limiter)

    tell(story)
