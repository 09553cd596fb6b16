"""A place that outlives ``async with``: the answer has begun, its body is still to come."""

from __future__ import annotations

import asyncio

import pytest

from ratelimit_client import Limiter
from ratelimit_client.runtime.attempts import Attempt
from tests.runtime.servers import AiohttpLike
from tests.runtime.test_attempts import limiter_of
from tests.runtime.torture import at_rest, virtual


async def begin(limiter: Limiter, *statuses: int, deadline: float | None = None) -> Attempt:
    """A call whose answer has begun, after as many tries as it takes."""
    scripted = iter(statuses)
    async for attempt in limiter.attempts(deadline=deadline):
        async with attempt:
            await attempt.check(AiohttpLike(next(scripted)))
            attempt.hold()
            return attempt
    raise AssertionError("a loop over attempts ends in a return or an exception")


@pytest.mark.parametrize("statuses", [(200,), (503, 200)])
def test_a_held_place_is_free_when_it_is_finished(statuses: tuple[int, ...]) -> None:
    """Of the first attempt as of a later one, and finishing twice frees it once."""

    async def main() -> None:
        limiter = limiter_of()
        held = await begin(limiter, *statuses)
        assert limiter.in_flight == 1
        held.settle(tokens=3)
        held.finish()
        held.finish()
        at_rest(limiter)

    virtual(main)


def test_a_held_place_that_is_dropped_is_free() -> None:
    """Nobody has to remember it; and there is no warning, for it was left properly."""

    async def main() -> None:
        limiter = limiter_of()
        held = await begin(limiter, 200)
        assert limiter.in_flight == 1
        del held
        await asyncio.sleep(0)
        at_rest(limiter)

    virtual(main)


def test_the_deadline_ends_with_the_beginning() -> None:
    """What cancels the task at the deadline is ``async with``; whoever holds the place goes on."""

    async def main() -> None:
        limiter = limiter_of()
        held = await begin(limiter, 200, deadline=2)
        await asyncio.sleep(10)
        assert limiter.in_flight == 1
        held.finish()
        at_rest(limiter)

    virtual(main)


def test_an_attempt_that_fails_after_all_is_not_held() -> None:
    """``hold()`` counts when the body ends well; an error after it is judged as ever."""

    async def main() -> None:
        limiter = limiter_of()
        tries = 0
        async for attempt in limiter.attempts():
            async with attempt:
                tries += 1
                attempt.hold()
                if tries == 1:
                    raise ConnectionResetError
        assert (tries, limiter.in_flight) == (2, 1)
        del attempt
        at_rest(limiter)

    virtual(main)


def test_a_loop_that_goes_on_after_it_ends() -> None:
    """Whoever forgets to leave the loop makes no second call."""

    async def main() -> None:
        limiter = limiter_of()
        held = []
        async for attempt in limiter.attempts():
            async with attempt:
                attempt.hold()
                held.append(attempt)
        assert len(held) == limiter.in_flight == 1
        held.pop().finish()
        at_rest(limiter)

    virtual(main)


@pytest.mark.parametrize(
    ("error", "cut"), [(None, False), (ValueError("the consumer's own"), False), (ConnectionResetError(), True)]
)
def test_how_a_body_ended_is_told(error: Exception | None, cut: bool) -> None:
    """A server that breaks off is backed away from; a consumer's own error is no news about it."""

    async def main() -> None:
        limiter = limiter_of(max_in_flight=8)
        held = await asyncio.gather(*(begin(limiter, 200) for _ in range(8)))
        before = limiter.statistics().keys["default"].window
        for each in held[:6]:  # a few may be chance
            each.finish(error)
        after = limiter.statistics().keys["default"].window
        assert before is not None
        assert after is not None
        assert (after < before) is cut
        for each in held:
            each.finish()
        at_rest(limiter)

    virtual(main)
