"""A wait without a coroutine behaves like one."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import threading
from collections.abc import Coroutine

import pytest

from ratelimit_client import Limiter, per_hour
from ratelimit_client.runtime.permit import Permit
from ratelimit_client.runtime.waiting import Waiting
from tests.runtime.torture import at_rest, level, virtual


async def full() -> tuple[Limiter, Permit]:
    """A limiter with room for one call, and that call."""
    limiter = Limiter(per_hour(requests=60), max_in_flight=1)
    return limiter, await limiter.permit()


def test_it_can_be_awaited_in_every_way() -> None:
    """async with, await, a task of its own, gather, an exit stack: each gets the permit."""

    async def main() -> None:
        limiter, permit = await full()
        loop = asyncio.get_running_loop()

        waiting = limiter.permit().__aenter__()
        assert isinstance(waiting, Waiting)
        assert isinstance(waiting, Coroutine)
        assert inspect.isawaitable(waiting)
        loop.call_later(1, permit.finish)
        permit = await waiting

        loop.call_later(1, permit.finish)
        async with limiter.permit() as permit:
            assert limiter.in_flight == 1

        permit = await limiter.permit()
        loop.call_later(1, permit.finish)
        permit = await asyncio.ensure_future(limiter.permit())

        loop.call_later(1, permit.finish)
        (permit,) = await asyncio.gather(limiter.permit())

        loop.call_later(1, permit.finish)
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(limiter.permit())

        permit = await limiter.permit()
        task = asyncio.create_task(limiter.permit().__aenter__())
        loop.call_later(1, permit.finish)
        (await task).finish()
        at_rest(limiter)

    virtual(main)


def test_it_can_be_stepped_by_hand() -> None:
    """send, throw and close are those of a coroutine; so are iteration and what is thrown as a class."""

    async def main() -> None:
        limiter, permit = await full()
        for end in (ValueError, ValueError("x"), (ValueError, ValueError("y"))):
            waiting = limiter.permit().__aenter__()
            assert iter(waiting) is waiting  # type: ignore[call-overload]
            assert asyncio.isfuture(waiting.send(None))
            assert limiter.queued == 1
            with pytest.raises(ValueError):
                if isinstance(end, tuple):
                    waiting.throw(*end)
                else:
                    waiting.throw(end)
            assert limiter.queued == 0
        waiting = limiter.permit().__aenter__()
        waiting.send(None)
        waiting.close()
        permit.finish()
        assert level(limiter) == 59
        at_rest(limiter)

    virtual(main)


def test_a_wait_that_nobody_awaits_any_more_leaves_the_queue() -> None:
    """The task that waited was destroyed with its loop, or its coroutine was closed: no place is kept."""

    async def enter(limiter: Limiter) -> None:
        async with limiter.permit():
            raise AssertionError("its turn never comes")

    async def main() -> None:
        limiter, permit = await full()
        coroutine = enter(limiter)
        coroutine.send(None)
        assert limiter.queued == 1
        coroutine.close()
        assert limiter.queued == 0

        coroutine = enter(limiter)
        coroutine.send(None)
        del coroutine
        gc.collect()
        assert limiter.queued == 0
        permit.finish()
        at_rest(limiter)

    virtual(main)


def test_a_wait_that_was_never_awaited_leaves_the_queue() -> None:
    """Somebody entered by hand and forgot to await: what nobody can give back is not granted."""

    async def main() -> None:
        limiter, permit = await full()
        waiting = limiter.permit().__aenter__()
        assert limiter.queued == 1
        del waiting
        assert limiter.queued == 0
        permit.finish()
        assert level(limiter) == 59
        at_rest(limiter)

    virtual(main)


def test_a_wait_that_is_over_has_nothing_to_give_back() -> None:
    """Closed or collected after its turn came, it leaves the permit alone; awaited again, it says so."""

    async def main() -> None:
        limiter, permit = await full()
        waiting = limiter.permit().__aenter__()
        asyncio.get_running_loop().call_later(1, permit.finish)
        permit = await waiting
        waiting.close()
        assert limiter.in_flight == 1
        with pytest.raises(RuntimeError, match="this wait is over"):
            await waiting
        del waiting
        assert limiter.in_flight == 1
        permit.finish()
        at_rest(limiter)

    virtual(main)


def test_a_wait_may_be_collected_on_any_thread() -> None:
    """The collector runs where it likes; the queue is left on the loop that owns it."""

    async def main() -> None:
        limiter, permit = await full()
        waitings = [limiter.permit().__aenter__()]
        thread = threading.Thread(target=waitings.clear)
        thread.start()
        thread.join()
        assert limiter.queued == 1
        await asyncio.sleep(0)
        assert limiter.queued == 0
        permit.finish()
        at_rest(limiter)

    asyncio.run(main())


def test_each_loop_wakes_its_own() -> None:
    """One limiter, one loop after the other: waiting calls are let in, and cancelled, on the second as on the first."""
    limiter = Limiter(per_hour(requests=60), max_in_flight=1)

    async def main() -> None:
        permit = await limiter.permit()
        waits, leaves = (asyncio.ensure_future(limiter.permit().__aenter__()) for _ in range(2))
        await asyncio.sleep(0)
        leaves.cancel()
        await asyncio.wait([leaves], timeout=10)
        assert leaves.cancelled()
        permit.finish()
        (await asyncio.wait_for(waits, 10)).finish()
        at_rest(limiter)

    for _ in range(2):
        asyncio.run(main())
