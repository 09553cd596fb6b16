"""A permit is for one call, whoever asks twice."""

from __future__ import annotations

import asyncio

import pytest

from ratelimit_client import Limiter, per_hour
from tests.runtime.torture import at_rest, virtual

ONE_CALL = "a permit is for one call"


@pytest.mark.parametrize("pacing", [None, 2.0])
def test_of_two_that_enter_one_permit_one_is_told(pacing: float | None) -> None:
    """Also while both are held back by the pacing of starts; and the queue goes on serving others."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60), max_in_flight=1, pacing=pacing)
        first, shared = await limiter.permit(), limiter.permit()

        async def enter() -> str:
            async with shared:
                return "in"

        tasks = [asyncio.create_task(enter()) for _ in range(2)]
        await asyncio.sleep(5)
        assert limiter.queued == 1
        first.finish()
        done, _ = await asyncio.wait(tasks, timeout=5)
        assert sorted(str(task.exception() or task.result()) for task in done) == [
            f"{ONE_CALL}: ask the limiter for another",
            "in",
        ]
        async with asyncio.timeout(5), limiter.permit():
            pass
        at_rest(limiter)

    virtual(main)


def test_a_permit_that_was_turned_away_is_used_up() -> None:
    """The limiter was draining: the permit is not good for later either, and nothing of it stays in the books."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60))
        permit = limiter.permit()
        await limiter.drain()
        with pytest.raises(Exception, match="is draining"):
            await permit
        limiter._desk.dispatcher.reopen()
        with pytest.raises(RuntimeError, match=ONE_CALL):
            await permit
        async with limiter.permit():
            pass
        at_rest(limiter)

    virtual(main)


def test_permits_that_are_made_and_never_entered_take_no_place_and_no_rank() -> None:
    """What was made first and entered last goes last."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60), max_in_flight=1)
        early, order = limiter.permit(), []
        for _ in range(10):
            limiter.permit()
        running = await limiter.permit()

        async def enter(name: str) -> None:
            async with early if name == "early" else limiter.permit():
                order.append(name)

        tasks = [asyncio.create_task(enter(name)) for name in ("late", "early")]
        await asyncio.sleep(1)
        running.finish()
        await asyncio.gather(*tasks)
        assert order == ["late", "early"]
        at_rest(limiter)

    virtual(main)


def test_a_loop_over_attempts_is_for_one_call() -> None:
    """Iterated again after it is over it ends at once, and while its first attempt is unused it says so."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60))
        attempts = limiter.attempts()
        async for attempt in attempts:
            async with attempt:
                pass
        assert [attempt async for attempt in attempts] == []

        attempts = limiter.attempts()
        await anext(attempts)
        with pytest.raises(RuntimeError, match="was not used up"):
            await anext(attempts)
        at_rest(limiter)

    virtual(main)
