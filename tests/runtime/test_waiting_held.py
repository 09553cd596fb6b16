"""Whoever holds on to a wait does not hold on to its place."""

from __future__ import annotations

import asyncio
import gc
import sys
import warnings
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

import pytest

from ratelimit_client import Limiter, per_hour
from ratelimit_client.runtime.dispatcher import ROW
from ratelimit_client.runtime.permit import Permit
from tests.runtime.torture import at_rest, level, virtual

Enter = Callable[[Limiter], Coroutine[Any, Any, object]]


async def full() -> tuple[Limiter, Permit]:
    """A limiter with room for one call, and that call."""
    limiter = Limiter(per_hour(requests=60), max_in_flight=1)
    return limiter, await limiter.permit()


async def with_it(limiter: Limiter) -> None:
    async with limiter.permit():
        raise AssertionError("its turn never comes")


async def of_a_permit_in_a_variable(limiter: Limiter) -> None:
    permit = limiter.permit()
    await permit
    raise AssertionError("its turn never comes")


async def of_a_wait_in_a_variable(limiter: Limiter) -> None:
    waiting = limiter.permit().__aenter__()
    await waiting
    raise AssertionError("its turn never comes")


async def of_a_task_of_the_wait(limiter: Limiter) -> None:
    await asyncio.create_task(limiter.permit().__aenter__())


async def of_a_task_of_the_permit(limiter: Limiter) -> None:
    await asyncio.ensure_future(limiter.permit())


EVERY_WAY = pytest.mark.parametrize(
    "enter",
    [with_it, of_a_permit_in_a_variable, of_a_wait_in_a_variable, of_a_task_of_the_wait, of_a_task_of_the_permit],
)


@EVERY_WAY
def test_cancelled_in_the_queue_it_has_left_when_its_own_task_knows_of_it(enter: Enter) -> None:
    """In its ``finally`` nobody is queued any more; and the exception, traceback and all, may be kept for ever."""

    async def main() -> None:
        limiter, permit = await full()
        queued = []

        async def body() -> None:
            try:
                await enter(limiter)
            finally:
                queued.append(limiter.queued)

        task = asyncio.create_task(body())
        await asyncio.sleep(1)
        assert limiter.queued == 1
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert (queued, limiter.queued) == ([0], 0)
        permit.finish()
        assert level(limiter) == 59
        at_rest(limiter)
        del task

    virtual(main)


@EVERY_WAY
def test_cancelled_as_its_turn_came_it_holds_nothing_while_the_task_is_kept(enter: Enter) -> None:
    """The grant that was on its way is given back, charge and all, and the next one goes."""

    async def main() -> None:
        limiter, permit = await full()
        task = asyncio.create_task(enter(limiter))
        await asyncio.sleep(1)
        permit.finish()
        await asyncio.sleep(0)  # here it is granted, and the task not yet woken
        assert limiter.in_flight == 1
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert (limiter.in_flight, level(limiter)) == (0, 59)
        async with asyncio.timeout(1), limiter.permit():
            pass
        at_rest(limiter)
        del task

    virtual(main)


@pytest.mark.parametrize("ask", [Limiter.permit, lambda limiter: limiter.permit().__aenter__()])
def test_a_wait_that_timed_out_has_left_before_anybody_hears_of_it(ask: Callable[[Limiter], Any]) -> None:
    """Some versions of ``wait_for`` keep what they wait for, and the error keeps ``wait_for``."""

    async def main() -> None:
        limiter, permit = await full()
        with pytest.raises(TimeoutError) as raised:
            await asyncio.wait_for(ask(limiter), 5)
        assert raised.value.__traceback__ is not None
        assert limiter.queued == 0
        permit.finish()
        at_rest(limiter)

    virtual(main)


@pytest.mark.parametrize("hook", [sys.settrace, sys.setprofile])
def test_a_process_that_is_traced_gives_back_as_any_other(hook: Callable[[Any], None]) -> None:
    """A debugger or a measurement of coverage looks at each frame and keeps none."""

    def look(frame: FrameType, event: str, argument: object) -> Any:
        del frame, event, argument
        return look

    async def main() -> None:
        limiter, permit = await full()
        task = asyncio.create_task(with_it(limiter))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert limiter.queued == 0
        permit.finish()
        at_rest(limiter)
        del task

    before = sys.gettrace() if hook is sys.settrace else sys.getprofile()
    hook(look)
    try:
        virtual(main)
    finally:
        hook(before)


def test_what_somebody_looks_at_is_held_no_longer_than_he_looks() -> None:
    """The coroutine shows what it awaits, as a debugger asks it; that is the wait, and it can be closed from there."""

    async def main() -> None:
        limiter, permit = await full()
        coroutine = with_it(limiter)
        coroutine.send(None)
        asleep = coroutine.cr_await  # type: ignore[attr-defined]  # of a coroutine of Python's own
        assert asleep is not None
        with pytest.raises(asyncio.CancelledError):
            coroutine.throw(asyncio.CancelledError())
        assert coroutine.cr_await is None  # type: ignore[attr-defined]
        del asleep
        assert limiter.queued == 0
        permit.finish()
        at_rest(limiter)

    virtual(main)


def test_a_shielded_wait_goes_on_without_the_one_who_shielded_it() -> None:
    """Cancelled outside, it stays in the queue, gets its turn, and the place is free when the permit is dropped."""

    async def main() -> None:
        limiter, permit = await full()
        inner = asyncio.ensure_future(limiter.permit())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(inner), 1)
        assert limiter.queued == 1
        permit.finish()
        (await inner).finish()
        assert level(limiter) == 58
        at_rest(limiter)

    virtual(main)


@pytest.mark.parametrize("others", [0, ROW - 1])
def test_a_grant_whose_task_never_began_is_given_back(others: int) -> None:
    """Cancelled before its first step; also where it was one of many, and would have let others live first."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=600))
        for _ in range(others):
            async with limiter.permit():
                pass
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # of a permit that was granted and dropped
            task = asyncio.create_task(limiter.permit().__aenter__())
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            del task
            gc.collect()
        at_rest(limiter)
        async with asyncio.timeout(1):
            await limiter.drain()

    virtual(main)


def test_one_of_many_that_is_cancelled_while_others_live_is_given_back() -> None:
    """It has its place, and lets the loop go round once before it begins."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=600))
        for _ in range(ROW - 1):
            async with limiter.permit():
                pass
        task = asyncio.create_task(with_it(limiter))
        await asyncio.sleep(0)
        assert limiter.in_flight == 1
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert level(limiter) == 601 - ROW
        at_rest(limiter)
        del task

    virtual(main)
