"""
Cancel a task at each of its suspensions in turn, in two ways.

*Suspend*: the task sleeps in an await and is cancelled there. *Wake*: what it waits
for has come, and the cancellation arrives before the task runs again: the instant
at which semaphores and queues have lost wake-ups, because the one who was woken is
gone and nobody else is.

A scenario is run again and again on a virtual loop, cancelled one suspension later
each time, until it ends before the cancellation comes. After each run the ledger
is checked by the scenario itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Literal

import attrs

from ratelimit_client import Limiter
from ratelimit_client.testing import VirtualLoop, run_virtual
from tests.sizes import SCALE

Mode = Literal["suspend", "wake"]
_MOST_SUSPENSIONS = 200
MODES: tuple[Mode, ...] = ("suspend", "wake")


@attrs.define(eq=False)
class Victim:
    """A coroutine that cancels its own task at suspension number *at* (from 1), and counts them."""

    coroutine: Coroutine[Any, Any, Any]
    at: int
    mode: Mode
    suspensions: int = 0
    struck: bool = False
    _sender: Any = attrs.field(init=False, default=None)

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self.coroutine.__await__()
        answer: Any = None
        failure: BaseException | None = None
        while True:
            try:
                waits_for = steps.send(answer) if failure is None else steps.throw(failure)
            except StopIteration as end:
                return end.value
            answer = failure = None
            self.suspensions += 1
            if self.suspensions == self.at:
                self._strike_at(waits_for)
            try:
                answer = yield waits_for
            except BaseException as error:  # noqa: BLE001 - handed to the victim at once
                failure = error

    def _strike_at(self, waits_for: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()

        def strike(*_: object) -> None:
            self.struck = task.cancel()  # False when it has ended meanwhile

        if self.mode == "wake" and waits_for is not None:
            # Registered before the task's own wake-up, so it runs before it.
            waits_for.add_done_callback(strike)
        else:
            loop.call_soon(strike)


@attrs.define(eq=False)
class Scene:
    """What a scenario gives back: the coroutine to torture, and what must hold afterwards."""

    victim: Coroutine[Any, Any, Any]
    afterwards: Callable[[], Awaitable[None]]


async def _once(build: Callable[[], Scene], at: int, mode: Mode) -> bool:
    """One run; True when the cancellation came before the end."""
    scene = build()
    victim = Victim(scene.victim, at, mode)

    async def run() -> Any:
        return await victim

    task = asyncio.create_task(run())
    try:
        await task
        assert not victim.struck, "the task finished although it was cancelled"
    except asyncio.CancelledError:
        assert victim.struck
    await scene.afterwards()
    return victim.struck


def torture(build: Callable[[], Scene], mode: Mode) -> int:
    """Cancel at every suspension, in as many orders of the tasks as the size allows; returns how many there were."""
    counts = [_in_one_order(build, mode, seed) for seed in range(SCALE)]
    return counts[0]


def _in_one_order(build: Callable[[], Scene], mode: Mode, seed: int) -> int:
    for at in range(1, _MOST_SUSPENSIONS):
        struck, loop = run_virtual(lambda at=at: _once(build, at, mode), seed=seed)  # type: ignore[misc]
        assert loop.pending_timers == 0, f"a timer was left behind, cancelled at suspension {at}, seed {seed}"
        if not struck:
            return at - 1
    raise AssertionError(f"still going after {_MOST_SUSPENSIONS} suspensions")


def at_rest(limiter: Limiter) -> None:
    """The ledger balances: nothing queued, nothing in flight, by every book there is."""
    dispatcher = limiter._desk.dispatcher
    assert (limiter.queued, limiter.in_flight, dispatcher.pausing) == (0, 0, 0)
    assert (dispatcher.scheduler.queued, dispatcher.scheduler.in_flight) == (0, 0)
    statistics = limiter.statistics()
    assert (statistics.queued, statistics.in_flight) == (0, 0)


def level(limiter: Limiter, unit: str = "requests", key: str = "default") -> int:
    """Units on hand in the one bucket of *unit*."""
    return limiter.statistics().keys[key].buckets[unit].level


def virtual(main: Callable[[], Coroutine[Any, Any, Any]]) -> VirtualLoop:
    """Run *main* in virtual time and look that it left nothing behind."""
    _, loop = run_virtual(main)
    assert loop.pending_timers == 0
    return loop
