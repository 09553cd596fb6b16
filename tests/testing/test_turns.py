"""Time and order on a virtual loop."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ratelimit_client.testing import Deadlock, VirtualLoop, run_virtual


def test_an_hour_takes_no_time_and_is_an_hour() -> None:
    """Sleeps end at exactly their instants; the machine's clock hardly moves."""
    started = time.monotonic()

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        seen = []
        for pause_s in (0.1, 0.2, 3600, 1e-9, 0.3):
            before = loop.time()
            await asyncio.sleep(pause_s)
            seen.append(loop.time() - before)
        return seen

    seen, loop = run_virtual(main)

    assert seen == pytest.approx([0.1, 0.2, 3600, 1e-9, 0.3], abs=1e-12)
    assert loop.elapsed_s == 3600.600000001
    assert time.monotonic() - started < 5


def test_a_timer_never_runs_before_its_instant() -> None:
    """Whatever float is asked for, time() shows at least that when the timer runs."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for index in range(2000):
            when = loop.time() + (index * 0.000_123_456_789) % 1.7
            reached = loop.create_future()
            loop.call_at(when, lambda r=reached: r.set_result(loop.time()))
            assert await reached >= when

    run_virtual(main)


def test_timers_of_one_instant_keep_their_order() -> None:
    """First set, first run; a cancelled one does not run; nanoseconds may be given whole."""
    order: list[Any] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        for index in range(10):
            timer = loop.call_later(5, order.append, index)
            if index % 3 == 0:
                timer.cancel()
        loop.call_at_ns(loop.clock.monotonic_ns() + 4_000_000_000, order.append, "first")
        assert loop.pending_timers == 7
        await asyncio.sleep(6)

    run_virtual(main)
    assert order == ["first", 1, 2, 4, 5, 7, 8]


def test_cancelled_timers_are_not_kept() -> None:
    """A hundred thousand deadlines that were met leave nothing to carry."""

    async def main() -> int:
        loop = asyncio.get_running_loop()
        for _ in range(100_000):
            loop.call_later(600, print).cancel()
        return len(loop._timers)  # type: ignore[attr-defined]

    assert run_virtual(main)[0] < 3000


def test_tasks_run_in_asyncios_order_or_in_that_of_the_seed() -> None:
    """Seed 0 is first come, first served; other seeds shuffle, each always the same way."""

    async def main() -> list[int]:
        order: list[int] = []

        async def one(number: int) -> None:
            await asyncio.sleep(1)
            order.append(number)

        await asyncio.gather(*map(one, range(20)))
        return order

    assert run_virtual(main)[0] == list(range(20))
    assert run_virtual(main, seed=3)[0] == run_virtual(main, seed=3)[0] != list(range(20))
    assert run_virtual(main, seed=3)[0] != run_virtual(main, seed=4)[0]


def test_a_callback_that_was_cancelled_does_not_run() -> None:
    """Also when it was ready already."""

    async def main() -> list[str]:
        seen: list[str] = []
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: cancelled.cancel())
        cancelled = loop.call_soon(seen.append, "cancelled")
        loop.call_soon(seen.append, "kept")
        await asyncio.sleep(1)
        return seen

    assert run_virtual(main)[0] == ["kept"]


def test_callbacks_keep_their_order_under_every_seed() -> None:
    """Only tasks are shuffled."""

    async def main() -> list[int]:
        order: list[int] = []
        for number in range(50):
            asyncio.get_running_loop().call_soon(order.append, number)
        await asyncio.sleep(1)
        return order

    for seed in range(5):
        assert run_virtual(main, seed=seed)[0] == list(range(50))


def test_a_deadlock_is_told_and_names_who_waits() -> None:
    """Two tasks that wait for each other: no hang, but their names and lines."""

    async def main() -> None:
        first, second = asyncio.Event(), asyncio.Event()

        async def wait_for(mine: asyncio.Event, other: asyncio.Event) -> None:
            await other.wait()
            mine.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(wait_for(first, second), name="one")
            group.create_task(wait_for(second, first), name="two")

    with pytest.raises(Deadlock, match=r"(?s)deadlock.*one waits at .*test_turns.py:\d+ in .*wait_for.*two waits"):
        run_virtual(main)


def test_a_crowd_that_waits_is_summed_up() -> None:
    """The message names twenty tasks and counts the rest."""

    async def main() -> None:
        event = asyncio.Event()
        await asyncio.gather(*(event.wait() for _ in range(50)))

    with pytest.raises(Deadlock, match="and 31 more"):
        run_virtual(main)


def test_a_livelock_is_told() -> None:
    """A task that yields for ever at one instant is stopped."""
    loop = VirtualLoop(max_turns=1000)

    stopped: list[str] = []

    async def main() -> None:
        while not stopped:  # noqa: ASYNC110 - a program that does nothing but tick is what is tested
            await asyncio.sleep(0)

    task = loop.create_task(main())
    with pytest.raises(Deadlock, match="livelock: 1000 turns"):
        loop.run_until_complete(task)
    stopped.append("now")
    loop.run_until_complete(task)
    loop.close()


def test_timers_that_do_not_move_the_clock_are_a_livelock_too() -> None:
    """A timer for this very instant, and another one when it rings, for ever."""

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def again() -> None:
            loop.call_later(0, again)

        again()
        await asyncio.sleep(1)

    with pytest.raises(Deadlock, match="livelock: 2000 turns"):
        run_virtual(main, max_turns=2000)


def test_whoever_reckons_in_floats_gets_on() -> None:
    """An instant later than now by less than a float can tell comes all the same, as it does on a real loop."""

    async def main() -> tuple[int, float]:
        loop = asyncio.get_running_loop()
        asked, level, seen = 0, 1e-14, loop.time()
        while level > 0:  # as leaky buckets do: so much is missing, come back when it has flowed in
            asked += 1
            await asyncio.get_running_loop().create_task(_at(seen + level))
            level -= loop.time() - seen
            seen = loop.time()
        return asked, loop.time()

    async def _at(when: float) -> None:
        loop = asyncio.get_running_loop()
        reached = loop.create_future()
        loop.call_at(when, reached.set_result, None)
        await reached

    (asked, _), loop = run_virtual(main)
    assert 100 < asked < 200
    assert loop.elapsed_s < 1e-6


def test_somebody_may_look_at_the_end_of_each_instant() -> None:
    """After all that happens at it, and before the clock moves on."""
    seen: list[tuple[float, int]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        steps = [0]

        async def step(pause_s: float) -> None:
            await asyncio.sleep(pause_s)
            steps[0] += 1
            await asyncio.sleep(0)
            steps[0] += 1

        loop.on_instant = lambda: seen.append((loop.elapsed_s, steps[0]))
        await asyncio.gather(step(1), step(1), step(2.5))

    run_virtual(main)
    assert seen == [(0.0, 0), (1.0, 4)]


def test_a_run_ends_at_its_horizon() -> None:
    """A program that ticks for ever is stopped when the virtual time it may take is over."""

    stopped: list[str] = []

    async def main() -> None:
        while not stopped:  # noqa: ASYNC110 - a program that does nothing but tick is what is tested
            await asyncio.sleep(1)

    with pytest.raises(Deadlock, match="horizon, 60 s"):
        run_virtual(main, horizon_s=60.5)


def test_an_error_nobody_sees_ends_the_run() -> None:
    """In a timer's callback, and in a task that is forgotten."""

    async def in_a_callback() -> None:
        asyncio.get_running_loop().call_later(1, lambda: 1 / 0)
        await asyncio.sleep(5)

    async def in_a_task() -> None:
        async def fails() -> None:
            raise KeyError("forgotten")

        task = asyncio.create_task(fails())
        await asyncio.sleep(1)
        del task
        gc.collect()
        await asyncio.sleep(1)

    with pytest.raises(RuntimeError, match="ZeroDivisionError") as caught:
        run_virtual(in_a_callback)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    with pytest.raises(RuntimeError, match=r"never retrieved.*forgotten"):
        run_virtual(in_a_task)


def test_the_first_of_several_errors_is_the_one_that_is_told() -> None:
    """What comes after it in the same turn is a consequence."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_exception_handler({"message": "first"})
        loop.call_exception_handler({"message": "second"})

    with pytest.raises(RuntimeError, match="first"):
        run_virtual(main)


def test_a_program_may_look_at_such_errors_itself() -> None:
    """With a handler of its own the run goes on."""
    seen: list[dict[str, Any]] = []

    async def main() -> str:
        loop = asyncio.get_running_loop()
        assert loop.get_exception_handler() is None
        loop.set_exception_handler(lambda _, context: seen.append(context))
        assert loop.get_exception_handler() is not None
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(1)
        return "went on"

    assert run_virtual(main)[0] == "went on"
    assert isinstance(seen[0]["exception"], ZeroDivisionError)


def test_what_fails_is_raised() -> None:
    """The program's own exception comes out of run_virtual as it is."""

    async def main() -> None:
        await asyncio.sleep(1)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        run_virtual(main)


def test_what_is_left_behind_is_told() -> None:
    """A task that still runs and a timer that is still set are named, and ended."""
    ended: list[str] = []

    async def main() -> None:
        async def stays() -> None:
            try:
                await asyncio.sleep(1000)
            finally:
                ended.append("stays")

        task = asyncio.create_task(stays(), name="stays")
        await asyncio.sleep(1)
        main.task = task  # type: ignore[attr-defined]

    _, loop = run_virtual(main)

    assert loop.left_behind.tasks == ("stays",)
    assert loop.left_behind.timers == 1
    assert loop.left_behind
    assert ended == ["stays"]


def test_timeouts_cancellation_and_groups_work_as_ever() -> None:
    """asyncio.timeout, wait_for, shield and TaskGroup in virtual time."""

    async def main() -> list[str]:
        seen = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                await asyncio.sleep(1000)
        seen.append(f"{asyncio.get_running_loop().time():g}")
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.sleep(5)), 1)
        except TimeoutError:
            seen.append("late")
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(2))
        await asyncio.sleep(5)
        return seen

    assert run_virtual(main)[0] == ["1010", "late"]


def test_a_loop_that_was_blocked_finds_its_timers_late() -> None:
    """A test may advance the clock itself: everything that was due runs at the new time."""

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        seen: list[float] = []
        for at_s in (1, 2, 3):
            loop.call_later(at_s, lambda: seen.append(loop.elapsed_s))
        loop.call_later(0.5, loop.clock.advance, 2.0)
        await asyncio.sleep(10)
        return seen

    assert run_virtual(main)[0] == [2.5, 2.5, 3.0]


def test_context_variables_are_kept() -> None:
    """Callbacks and tasks see the context they were made in, or are given."""
    colour = contextvars.ContextVar("colour", default="none")

    async def main() -> list[str]:
        seen: list[str] = []
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        context.run(colour.set, "red")
        loop.call_soon(lambda: seen.append(colour.get()), context=context)
        loop.call_later(1, lambda: seen.append(colour.get()))
        loop.call_soon_threadsafe(lambda: seen.append(colour.get()))
        await asyncio.sleep(2)
        return seen

    assert run_virtual(main)[0] == ["red", "none", "none"]


def test_async_generators_are_closed() -> None:
    """One that is dropped is closed by the loop, one that is open at the end by its shutdown."""
    closed: list[str] = []

    async def numbers(name: str) -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(name)

    kept = []

    async def main() -> None:
        async for _ in numbers("dropped"):
            break
        await asyncio.sleep(1)
        kept.append(numbers("kept"))
        await anext(kept[0])

    run_virtual(main)
    assert closed == ["dropped", "kept"]

    loop = VirtualLoop()
    late = [numbers("late")]

    async def begin() -> int:
        return await anext(late[0])

    loop.run_until_complete(begin())
    loop.close()
    late.clear()  # nobody is left to close it, and nobody fails


def test_a_task_factory_may_be_set() -> None:
    """As on any loop."""

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        names = []

        def factory(loop_: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
            task = asyncio.Task(coro, loop=loop_, **options)
            names.append(coro.__name__)
            return task

        assert loop.get_task_factory() is None
        loop.set_task_factory(factory)
        task = loop.create_task(asyncio.sleep(1), name="mine")
        await task
        names.append(task.get_name())
        await asyncio.create_task(asyncio.sleep(1))
        return names

    assert run_virtual(main)[0][:3] == ["sleep", "mine", "sleep"]


def test_a_loop_has_the_manners_of_a_loop() -> None:
    """Closed, running and stopped are what they are on any loop; debug is a switch."""
    loop = VirtualLoop()
    assert not loop.is_running()
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.call_soon(loop.stop)
    with pytest.raises(RuntimeError, match="stopped before"):
        loop.run_until_complete(loop.create_future())

    async def inside() -> None:
        assert loop.is_running()
        assert asyncio.get_running_loop() is loop
        with pytest.raises(RuntimeError, match="already running"):
            loop.run_forever()
        with pytest.raises(RuntimeError, match="running"):
            loop.close()

    loop.run_until_complete(inside())
    loop.set_debug(True)
    assert loop.get_debug()
    loop.close()
    assert loop.is_closed()
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_soon(print)


def test_an_error_beside_a_finished_program_is_not_hidden() -> None:
    """When the program fails and a callback fails at the same instant, the callback's error is raised once."""

    async def main() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        raise LookupError("mine")

    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        run_virtual(main)
