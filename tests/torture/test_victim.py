"""The torture finds what it is for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import pytest

from tests.torture.plans import torture
from tests.torture.trial import Stage


class Slots:
    """A semaphore as asyncio had it for years: a wake-up that met a cancellation was lost."""

    def __init__(self, *, careful: bool) -> None:
        self._free = 1
        self._careful = careful
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> None:
        while not self._free:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if self._careful and waiter.done() and not waiter.cancelled():
                    self._wake()
                raise
        self._free -= 1

    def release(self) -> None:
        self._free += 1
        self._wake()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


def in_turn(*, careful: bool) -> Callable[[Stage], Awaitable[None]]:
    async def slots(stage: Stage) -> None:
        slots = Slots(careful=careful)

        async def use() -> None:
            await slots.acquire()
            try:
                await asyncio.sleep(0.1)
            finally:
                slots.release()

        before = asyncio.create_task(use())
        await asyncio.sleep(0)
        behind: list[asyncio.Task[None]] = []

        async def victim() -> None:
            behind.append(asyncio.create_task(use()))
            await use()

        await stage.torture(victim())
        async with asyncio.timeout(10):
            await asyncio.gather(before, *behind)

    return slots


def test_a_lost_wake_up_is_found() -> None:
    """It shows only when the cancellation comes between the wake-up and the task's next step."""
    assert torture(in_turn(careful=True)).places == 2
    with pytest.raises(TimeoutError) as caught:
        torture(in_turn(careful=False))
    assert "Mode.WOKEN" in str(caught.value.__notes__)


async def swallows(stage: Stage) -> None:
    async def victim() -> None:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            return

    await stage.torture(victim())


async def replaces(stage: Stage) -> None:
    async def victim() -> None:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            raise LookupError from None

    await stage.torture(victim())


async def takes_it_back(stage: Stage) -> None:
    async def victim() -> None:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
            raise

    await stage.torture(victim())


async def leaves_a_task(stage: Stage) -> None:
    tasks: list[asyncio.Task[None]] = []

    async def victim() -> None:
        tasks.append(asyncio.create_task(asyncio.sleep(10)))
        await asyncio.sleep(1)
        tasks[0].cancel()

    await stage.torture(victim())


async def leaves_a_timer(stage: Stage) -> None:
    async def victim() -> None:
        timer = stage.loop.call_later(10, list)
        await asyncio.sleep(1)
        timer.cancel()

    await stage.torture(victim())


async def fails_unseen(stage: Stage) -> None:
    async def fails() -> None:
        raise LookupError

    async def victim() -> None:
        task = asyncio.create_task(fails())
        await asyncio.sleep(1)
        task.exception()

    await stage.torture(victim())


async def gives_up_tidying(stage: Stage) -> None:
    held = []

    async def victim() -> None:
        held.append(1)
        try:
            await asyncio.sleep(1)
        finally:
            await asyncio.sleep(1)
            held.clear()

    await stage.torture(victim())
    assert not held, "a second cancellation came while it tidied up"


@pytest.mark.parametrize(
    ("scene", "says"),
    [
        (swallows, "swallowed or replaced"),
        (replaces, "swallowed or replaced"),
        (takes_it_back, "counted once"),
        (leaves_a_task, "tasks="),
        (leaves_a_timer, "timers=1"),
        (fails_unseen, "never retrieved"),
        (gives_up_tidying, "a second cancellation"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_mistake_is_found(scene: Callable[[Stage], Awaitable[None]], says: str) -> None:
    """A cancellation that does not come out as itself; what is left behind; what a second one interrupts."""
    with pytest.raises(AssertionError, match=says):
        torture(scene)
