"""
One run of a scene, with the cancellations of its plan, and everything that must hold at its end.

Law of this file: a scene says what it does and what its own books must show; what must hold
whatever was cancelled is said here, once. A cancellation that was asked for comes out, as
itself, and the task's count of them is right, so that ``asyncio.timeout`` and ``TaskGroup``
recognise their own. Nothing is left: no task, no timer, no open connection, no error that
nobody sees, no warning of the collector.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import gc
import logging
import os
import random
import sys
import warnings
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import attrs

from ratelimit_client.testing import VirtualLoop
from tests.torture.victim import Mode, Place, Strike, Victim, is_ours

HOUR_S = 3600.0

FOR_ALL = "ratelimit-client-key"
"""A task that the library began for whoever wants the key next."""


class Around(enum.Enum):
    """Who cancels."""

    NOBODY = "the task is cancelled"
    TIMEOUT = "asyncio.timeout around it"
    GROUP = "asyncio.TaskGroup around it, in which another task fails"
    CHILD = "an asyncio.TaskGroup that it is a task of, in which another task fails"


@attrs.frozen
class Plan:
    """
    What happens in one run.

    Args:
        strikes: cancellations, one after the other.
        turn: one more way to be cancelled: after that turn of the loop, whoever stands wherever.
        around: who cancels.
        seed: of the order of tasks.
    """

    strikes: tuple[Strike, ...] = ()
    turn: int | None = None
    around: Around = Around.NOBODY
    seed: int = 0


@attrs.define
class Outcome:
    """
    Args:
        standstills: of the victim: before a cancellation arrived, after the first, after the second.
        turns: of the loop, from the victim's beginning to its end.
        struck: cancellations asked for.
        stood: where the victim stood at each, and how.
    """

    standstills: list[int]
    turns: int
    struck: int
    stood: list[tuple[Mode | None, list[Place]]]


_CANCELLED = object()


class SiblingFailed(Exception):
    """What another task of the group raises."""


class Stage:
    """What a scene is given: it runs the victim, as the plan says."""

    def __init__(self, plan: Plan, loop: Any) -> None:
        self.plan = plan
        self.loop = loop
        self.outcome: Outcome | None = None
        self.cancelled = False
        """Whether the victim was cancelled before its end."""

    async def torture(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run *coroutine* to its end or to its cancellation; returns what it returned, if it was not cancelled."""
        victim = Victim(coroutine, self.plan.strikes)
        began = getattr(self.loop, "turns", 0)
        task = asyncio.create_task(_AROUND[self.plan.around](victim), name="victim")
        if self.plan.turn is not None:
            self.loop.after_turn(began + self.plan.turn, lambda: _strike_from_outside(victim, task))
        await asyncio.wait([task])
        turns = getattr(self.loop, "turns", 0) - began
        self.outcome = Outcome(victim.standstills, turns, victim.struck, victim.stood)
        self.cancelled = victim.struck > 0
        if victim.struck < 2:  # a second one leaves to themselves whoever tidies up
            await self._nothing_runs_on()
        if self.plan.around is not Around.NOBODY:
            assert not task.cancelled(), "the cancellation was of an inner scope"
            gc.collect()  # these scopes and the errors that passed through them hold each other
            self.cancelled = task.result() is _CANCELLED
            return None if self.cancelled else task.result()
        if not self.cancelled:
            return task.result()
        assert task.cancelled(), f"a cancellation was swallowed or replaced: {task!r}"
        assert task.cancelling() == victim.struck, "each cancellation is counted once, and none is taken back"
        return None

    async def _nothing_runs_on(self) -> None:
        """What the library began for the victim ends with it, but for the moment that callers take to tidy up."""
        await asyncio.sleep(0.02 if isinstance(self.loop, VirtualLoop) else 0)
        on = [task for task in asyncio.all_tasks() if is_ours(getattr(task.get_coro(), "cr_code", None))]
        assert all(task.get_name() == FOR_ALL for task in on), on


def _strike_from_outside(victim: Victim, task: asyncio.Task[Any]) -> None:
    if not task.done():
        victim.look_where(None)
        victim.strike()


async def _alone(victim: Victim) -> Any:
    return await victim


async def _in_a_timeout(victim: Victim) -> Any:
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(None) as limit:
            victim.cancel = lambda: limit.reschedule(loop.time())
            return await victim
    assert limit.expired()
    await _goes_on(task)
    return _CANCELLED


async def _in_a_group(victim: Victim) -> Any:
    task = asyncio.current_task()
    assert task is not None
    result: Any = _CANCELLED
    spoil = asyncio.Event()
    victim.cancel = spoil.set
    try:
        async with asyncio.TaskGroup() as group:
            sibling = group.create_task(_fail_after(spoil))
            result = await victim
            if not victim.struck:
                sibling.cancel()
    except* SiblingFailed as failed:
        _one_of(failed)
    if result is _CANCELLED:  # else it had ended before the other failed
        await _goes_on(task)
    return result


async def _as_a_child(victim: Victim) -> Any:
    spoil = asyncio.Event()
    victim.cancel = spoil.set
    try:
        async with asyncio.TaskGroup() as group:
            sibling = group.create_task(_fail_after(spoil))
            child = group.create_task(_alone(victim))
            child.add_done_callback(lambda _: None if victim.struck else sibling.cancel())
    except* SiblingFailed as failed:
        _one_of(failed)
    if victim.struck:
        assert child.cancelling() <= 1
    return _CANCELLED if child.cancelled() else child.result()


def _one_of(failed: ExceptionGroup[SiblingFailed]) -> None:
    assert len(failed.exceptions) == 1, "nothing but the other's failure comes out of the group"


async def _fail_after(spoil: asyncio.Event) -> None:
    await spoil.wait()
    raise SiblingFailed


async def _goes_on(task: asyncio.Task[Any]) -> None:
    """That scope has taken its cancellation back, so the task can wait again."""
    assert task.cancelling() == 0
    await asyncio.sleep(0)
    await asyncio.sleep(0.001)


_AROUND: dict[Around, Callable[[Victim], Coroutine[Any, Any, Any]]] = {
    Around.NOBODY: _alone,
    Around.TIMEOUT: _in_a_timeout,
    Around.GROUP: _in_a_group,
    Around.CHILD: _as_a_child,
}

Scene = Callable[[Stage], Coroutine[Any, Any, None]]


class StruckLoop(VirtualLoop):
    """
    A virtual loop that can be told to do something between two of its turns.

    What comes of it happens last in the next turn; with an even seed first, as if it had been done
    at the beginning of the turn before.
    """

    def __init__(self, *, seed: int) -> None:
        super().__init__(seed=seed)
        self._at = 0
        self._first = seed % 2 == 0
        self._then: Callable[[], object] | None = None

    def after_turn(self, number: int, then: Callable[[], object]) -> None:
        """Call *then* when turn *number* is over."""
        self._at, self._then = number, then

    def _turn(self) -> None:
        super()._turn()
        if self._then is not None and self.turns >= self._at:
            then, self._then = self._then, None
            waiting = len(self._ready)
            then()
            if self._first:
                self._ready.rotate(len(self._ready) - waiting)


def run(scene: Scene, plan: Plan) -> Outcome:
    """Run a scene in virtual time; raises AssertionError for what does not hold, with the plan."""
    random.seed(plan.seed)  # jitter is the same in each run
    loop = StruckLoop(seed=plan.seed)
    stage = Stage(plan, loop)

    async def main() -> None:
        await scene(stage)
        gc.collect()
        for _ in range(3):  # what was closed or collected last ends in the next turns
            await asyncio.sleep(0)
        assert not (left := loop.look_behind(asyncio.current_task())), left

    with _telling_of(scene, plan), nothing_said(loop), asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
    assert stage.outcome is not None, "a scene tortures somebody"
    return stage.outcome


def run_on_sockets(scene: Scene, plan: Plan) -> Outcome:
    """The same on real ones: every file that was opened is closed again."""
    before = sorted(os.listdir("/proc/self/fd"))
    loop = asyncio.new_event_loop()
    stage = Stage(plan, loop)

    async def main() -> None:
        await scene(stage)
        gc.collect()
        for _ in range(3):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with _telling_of(scene, plan), nothing_said(loop), asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert stage.outcome is not None, "a scene tortures somebody"
    return stage.outcome


class Heard(logging.Handler):
    """Notes what is logged as an error."""

    def __init__(self, said: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        self._said.append(record.getMessage())


@contextlib.contextmanager
def nothing_said(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Nothing goes to the exception handler of *loop*, no destructor fails, nobody is warned, no error logged."""
    said: list[str] = []
    log = Heard(said)
    loop.set_exception_handler(lambda _, context: said.append(str(context)))
    before, sys.unraisablehook = sys.unraisablehook, lambda unraisable: said.append(str(unraisable))
    logging.getLogger().addHandler(log)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield
            gc.collect()
    finally:
        sys.unraisablehook = before
        logging.getLogger().removeHandler(log)
    said += [f"{warning.category.__name__}: {warning.message}" for warning in warned]
    assert not said, said


@contextlib.contextmanager
def _telling_of(scene: Scene, plan: Plan) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        error.add_note(f"{scene.__name__}, {plan}")
        raise
