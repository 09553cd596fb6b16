from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ratelimit_client.adapters.aiohttp.watchdog import Stalled, TaskWatch, Watchdog
from ratelimit_client.testing import VirtualLoop, run_virtual


def run(story: Callable[[VirtualLoop], Coroutine[Any, Any, None]], *, left: int = 0) -> None:
    """Run *story* in virtual time and see that it left *left* timers and no task."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        await story(loop)

    _, loop = run_virtual(main)
    assert ((), left) == (loop.left_behind.tasks, loop.left_behind.timers)


class Wait(TaskWatch):
    """A wait of the present task on a connection that is alive, or not."""

    __slots__ = ("_alive",)

    def __init__(self, dog: Watchdog, moved: Callable[[], int], alive: Callable[[], bool] = lambda: True) -> None:
        super().__init__(dog, moved)
        self._alive = alive

    def alive(self) -> bool:
        return self._alive()


def test_silence_is_found():
    """
    A wait in which nothing moves ends after idle_s, or up to two seconds later.
    """

    async def story(loop: VirtualLoop) -> None:
        dog = Watchdog(600.0, loop)
        with pytest.raises(Stalled, match="no byte for 600 s"), Wait(dog, lambda: 0):
            await loop.create_future()

        assert 600 <= loop.elapsed_s <= 602
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run(story)


def test_one_byte_a_second_is_no_silence():
    """
    What moves, however slowly, is left alone: how long it may take altogether is the deadline's business.
    """

    async def story(loop: VirtualLoop) -> None:
        dog = Watchdog(2.0, loop)
        with Wait(dog, lambda: int(loop.elapsed_s)):
            await asyncio.sleep(100)
        await asyncio.sleep(2)

    run(story)


def test_a_connection_that_died_without_a_word():
    """
    Two looks at a closed connection end the wait, long before idle_s; one does not, since an end is told a turn later.
    """

    async def story(loop: VirtualLoop) -> None:
        dog = Watchdog(600.0, loop)
        with pytest.raises(Stalled, match="the middle"), Wait(dog, lambda: 0, lambda: loop.elapsed_s < 10):
            await loop.create_future()
        assert 10 < loop.elapsed_s <= 12

        with Wait(dog, lambda: 0, lambda: int(loop.elapsed_s) % 2 == 0):
            await asyncio.sleep(50)
        await asyncio.sleep(2)

    run(story)


def test_no_idle_time_no_silence():
    """
    idle_s=None looks for dead connections only.
    """

    async def story(loop: VirtualLoop) -> None:
        dog = Watchdog(None, loop)
        with Wait(dog, lambda: 0):
            await asyncio.sleep(5000)
        with pytest.raises(Stalled), Wait(dog, lambda: 0, lambda: False):
            await loop.create_future()
        await asyncio.sleep(2)

    run(story)


def test_a_blocked_loop_blames_nobody():
    """
    The user's code holds the loop for 5 s; the byte that came meanwhile is found, and so is real silence after it.
    """

    async def story(loop: VirtualLoop) -> None:
        dog = Watchdog(2.0, loop)
        moved = [0]

        async def block() -> None:
            await asyncio.sleep(1.2)
            loop.clock.advance(5.0)
            await asyncio.sleep(0.6)
            moved[0] = 1

        blocker = asyncio.create_task(block())
        with pytest.raises(Stalled), Wait(dog, lambda: moved[0]):
            await loop.create_future()
        await blocker
        assert 6.8 + 2.0 <= loop.elapsed_s <= 6.8 + 2.0 + 1.0

    run(story)


@pytest.mark.parametrize("when", [0.5, 1.9999, 2.0, 2.25])
def test_somebody_elses_cancellation_passes_through(when: float):
    """
    Before, at, or after the instant at which the watchdog strikes, a cancellation stays one.
    """

    async def story(loop: VirtualLoop) -> None:
        dog = Watchdog(2.0, loop)
        ended: list[str] = []

        async def wait() -> None:
            try:
                with Wait(dog, lambda: 0):
                    await loop.create_future()
            except Stalled:
                ended.append("stalled")
                raise
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        task = asyncio.create_task(wait())
        loop.call_later(when, task.cancel)
        await asyncio.wait([task])
        assert ended in (["stalled"], ["cancelled"])
        assert ("cancelled" in ended) == task.cancelled()
        if when < 2:
            assert task.cancelled()
        await asyncio.sleep(3)

    run(story)


def test_at_the_same_instant_the_caller_wins():
    """
    The watchdog strikes, and before the task runs it is cancelled from outside: the caller's word counts.
    """

    async def story(loop: VirtualLoop) -> None:
        dog = Watchdog(2.0, loop)

        async def wait() -> None:
            with Wait(dog, moved):
                await loop.create_future()

        looked: list[float] = []

        def moved() -> int:
            looked.append(loop.elapsed_s)
            if loop.elapsed_s >= 2.0:
                loop.call_soon(task.cancel)
            return 0

        task = asyncio.create_task(wait())
        await asyncio.wait([task])
        assert task.cancelled()
        await asyncio.sleep(2)

    run(story)


def test_one_timer_for_all_and_none_at_rest():
    """
    A thousand short reads arm one timer; a little later there is none, and closing leaves none at once.
    """

    async def story(loop: VirtualLoop) -> None:
        dog = Watchdog(600.0, loop)
        for _ in range(1000):
            with Wait(dog, lambda: 0):
                await asyncio.sleep(0)
        assert loop.pending_timers == 1
        await asyncio.sleep(1.5)
        assert loop.pending_timers == 0

        with Wait(dog, lambda: 0):
            await asyncio.sleep(0)
        dog.close()
        dog.close()
        assert "watching 0" in repr(dog)

    run(story)


def test_what_is_watched_after_the_end_is_stopped_at_once():
    """
    Nobody would look any more, and no timer is left.
    """

    async def story(loop: VirtualLoop) -> None:
        dog = Watchdog(600.0, loop)
        dog.close()
        with pytest.raises(Stalled, match="closed meanwhile"), Wait(dog, lambda: 0):
            await asyncio.sleep(60.0)
        assert loop.time() < 1001
        assert loop.pending_timers == 0

    run(story)
