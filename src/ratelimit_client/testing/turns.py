"""
Turns of an event loop whose time is a number.

Law of this file: the clock moves only when nothing can run, and then straight to the next
timer. Timers of one instant run in the order in which they were set, and all that runs
between two instants takes no time.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import random
import sys
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar, TypeVarTuple

from ..core.units import NS, to_ns
from .clock import ManualClock
from .not_simulated import NotSimulated

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# Not zero: a clock that starts at zero hides "if not started_at" from every test.
_START_NS = 1000 * NS
_DROP_CANCELLED_FROM = 1000
# A clock that moved by less than this since so many turns has not moved.
_MOVED_NS = 1000
# Times after which a timer that is due at once, and always again, has to wait a nanosecond.
_SAME_INSTANT = 100
_TASKS_NAMED = 20


class Deadlock(RuntimeError):
    """The program can never go on; the message names the tasks that wait, and where."""


class VirtualTime(NotSimulated):
    """The part of a `VirtualLoop` that knows time and order, and no network."""

    def __init__(self, *, seed: int, horizon_s: float, max_turns: int) -> None:
        self.seed = seed
        self.clock = ManualClock(_START_NS)
        self.turns = 0
        self.on_instant: Callable[[], object] | None = None
        """Called when all that can happen at an instant has happened, before the clock moves; it only looks."""
        self._dice = random.Random(f"order {seed}") if seed else None
        self._horizon_ns = _START_NS + to_ns(horizon_s)
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[int, int, asyncio.TimerHandle]] = []
        self._timer_number = 0
        self._time_floor = 0.0
        self._timers_cancelled = 0
        self._turns_at_instant = 0
        self._in_place = 0
        self._moved_ns = _START_NS
        self._max_turns = max_turns
        self._running = False
        self._stopping = False
        self._closed = False
        self._debug = False
        self._fatal: BaseException | None = None
        self._exception_handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None = None
        self._task_factory: Any = None
        self._asyncgens: weakref.WeakSet[Any] = weakref.WeakSet()

    # ---- time ----------------------------------------------------------------------------

    def time(self) -> float:
        # A timer asked for at a float between two nanoseconds runs at the nearest of them; until the clock
        # moves on, its callback sees the time it asked for, and not a hair less.
        return max(self.clock.monotonic_ns() / NS, self._time_floor)

    @property
    def elapsed_s(self) -> float:
        """Virtual seconds since the loop was made."""
        return (self.clock.monotonic_ns() - _START_NS) / NS

    @property
    def pending_timers(self) -> int:
        """Timers that are set and not cancelled."""
        return sum(1 for _, _, timer in self._timers if not timer.cancelled())

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        self._check_open()
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self._set_timer(to_ns(when), asyncio.TimerHandle(when, callback, args, self, context))

    def call_at_ns(self, when_ns: int, callback: Callable[..., Any], *args: Any) -> asyncio.TimerHandle:
        """``call_at`` in whole nanoseconds of ``clock``."""
        return self._set_timer(when_ns, asyncio.TimerHandle(when_ns / NS, callback, args, self))

    def _set_timer(self, when_ns: int, timer: asyncio.TimerHandle) -> asyncio.TimerHandle:
        self._check_open()
        self._timer_number += 1
        heapq.heappush(self._timers, (when_ns, self._timer_number, timer))
        timer._scheduled = True  # type: ignore[attr-defined]  # so that cancelling it is told to us
        return timer

    def _timer_handle_cancelled(self, timer: asyncio.TimerHandle) -> None:
        self._timers_cancelled += 1
        if self._timers_cancelled > _DROP_CANCELLED_FROM and 2 * self._timers_cancelled > len(self._timers):
            self._timers = [each for each in self._timers if not each[2].cancelled()]
            heapq.heapify(self._timers)
            self._timers_cancelled = 0

    # ---- running -------------------------------------------------------------------------

    def run_forever(self) -> None:
        self._check_open()
        if self._running:
            raise RuntimeError("This event loop is already running")
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=self._asyncgens.add, finalizer=self._close_asyncgen)
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        self._running = True
        try:
            while True:
                self._turn()
                if self._stopping:
                    break
        finally:
            self._running = self._stopping = False
            asyncio._set_running_loop(before)
            sys.set_asyncgen_hooks(*hooks)

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        self._check_open()
        task: asyncio.Future[T] = asyncio.ensure_future(future, loop=self)  # type: ignore[arg-type]  # of any awaitable, which typeshed does not say
        task.add_done_callback(self._stop_when_done)
        try:
            self.run_forever()
        except BaseException:
            if task.done() and not task.cancelled():
                task.exception()  # what ended the run is told by what is raised here
            raise
        finally:
            task.remove_done_callback(self._stop_when_done)
        if not task.done():
            raise RuntimeError("Event loop stopped before Future completed.")
        return task.result()

    def _stop_when_done(self, future: asyncio.Future[Any]) -> None:
        self.stop()

    def stop(self) -> None:
        self._stopping = True

    def _turn(self) -> None:
        """One turn: let time pass when nothing can run, then run all that is ready."""
        self.turns += 1
        self._turns_at_instant += 1
        if self._turns_at_instant > self._max_turns:
            self._turns_at_instant = 0  # what is cancelled now may still tidy up
            raise Deadlock(f"livelock: {self._max_turns} turns without the clock moving\n{self._who_waits()}")
        if not self._ready and not self._stopping:
            self._pass_time()
        self._wake_timers()
        batch = list(self._ready)
        self._ready.clear()
        if self._dice is not None:
            _shuffle_tasks(batch, self._dice)
        handle: asyncio.Handle | None
        for position, handle in enumerate(batch):
            if not handle.cancelled():
                handle._run()
            if self._fatal is not None:
                self._ready.extendleft(reversed(batch[position + 1 :]))
                fatal, self._fatal = self._fatal, None
                raise fatal
        # Frames that an error came through may keep this one, which then would keep who raised it.
        batch.clear()
        handle = None

    def _pass_time(self) -> None:
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
            self._timers_cancelled -= 1
        if not timers:
            raise Deadlock(f"deadlock: nothing can run and no timer is set\n{self._who_waits()}")
        when_ns = timers[0][0]
        if when_ns > self._horizon_ns:
            raise Deadlock(f"the run was not over at its horizon, {self.elapsed_s:g} s\n{self._who_waits()}")
        now_ns = self.clock.monotonic_ns()
        if when_ns > now_ns:
            if self.on_instant is not None:
                self.on_instant()
            self.clock.advance_to(when_ns)
            if when_ns - self._moved_ns >= _MOVED_NS:
                self._moved_ns = when_ns
                self._turns_at_instant = self._in_place = 0
        elif (in_place := self._in_place + 1) > _SAME_INSTANT:
            # Whoever reckons in floats may ask for an instant that is later than this one by less than a float can
            # tell. On a real loop time goes on meanwhile, so here it does, too.
            self.clock.advance(ns=1)
        else:
            self._in_place = in_place

    def _wake_timers(self) -> None:
        timers, now_ns = self._timers, self.clock.monotonic_ns()
        while timers and timers[0][0] <= now_ns:
            timer = heapq.heappop(timers)[2]
            timer._scheduled = False  # type: ignore[attr-defined]  # as asyncio does when it takes one from its heap
            if timer.cancelled():
                self._timers_cancelled -= 1
            else:
                self._time_floor = max(self._time_floor, timer.when())
                self._ready.append(timer)

    def _who_waits(self) -> str:
        tasks = sorted(asyncio.all_tasks(self), key=lambda task: task.get_name())
        lines = []
        for task in tasks[:_TASKS_NAMED]:
            stack = task.get_stack(limit=1)
            where = f"{stack[0].f_code.co_filename}:{stack[0].f_lineno}" if stack else "nowhere"
            lines.append(f"  {task.get_name()} waits at {where} in {getattr(task.get_coro(), '__qualname__', '?')}")
        if len(tasks) > _TASKS_NAMED:
            lines.append(f"  and {len(tasks) - _TASKS_NAMED} more")
        return "\n".join(lines) or "  no task is left"

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        if self._running:
            raise RuntimeError("Cannot close a running event loop")
        self._closed = True
        self._ready.clear()
        self._timers.clear()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("Event loop is closed")

    def _close_asyncgen(self, agen: Any) -> None:
        self._asyncgens.discard(agen)
        if not self._closed:
            self.call_soon(self.create_task, agen.aclose())

    async def shutdown_asyncgens(self) -> None:
        closing = list(self._asyncgens)
        self._asyncgens.clear()
        await asyncio.gather(*(agen.aclose() for agen in closing), return_exceptions=True)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Executors run in line, so there is none."""

    # ---- futures, tasks, errors ----------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, **options: Any) -> asyncio.Task[Any]:
        self._check_open()
        if self._task_factory is None:
            return asyncio.Task(coro, loop=self, name=name, **options)
        task: asyncio.Task[Any] = self._task_factory(self, coro, **options)
        if name is not None:
            task.set_name(name)
        return task

    def set_task_factory(self, factory: Any) -> None:
        self._task_factory = factory

    def get_task_factory(self) -> Any:
        return self._task_factory

    def get_exception_handler(self) -> Any:
        return self._exception_handler

    def set_exception_handler(self, handler: Any) -> None:
        self._exception_handler = handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """An error that nobody sees ends the run."""
        error = context.get("exception")
        # Stream servers of CPython 3.11 let the cancellation of a handler escape into a callback.
        if self._fatal is None and not isinstance(error, asyncio.CancelledError):
            self._fatal = RuntimeError(f"{context.get('message')}: {error!r} ({context.get('future')!r})")
            self._fatal.__cause__ = error

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self._exception_handler is None:
            self.default_exception_handler(context)
        else:
            self._exception_handler(self, context)

    def get_debug(self) -> bool:
        return self._debug

    def set_debug(self, enabled: bool) -> None:
        self._debug = enabled


def _shuffle_tasks(batch: list[asyncio.Handle], dice: random.Random) -> None:
    """
    Put the steps of tasks in another order; everything else keeps its place.

    Only tasks: the callbacks of a transport belong in their order.
    """
    steps = [index for index, handle in enumerate(batch) if _is_step(handle)]
    if len(steps) > 1:
        handles = [batch[index] for index in steps]
        dice.shuffle(handles)
        for index, handle in zip(steps, handles, strict=True):
            batch[index] = handle


def _is_step(handle: asyncio.Handle) -> bool:
    return isinstance(getattr(handle._callback, "__self__", None), asyncio.Task)  # type: ignore[attr-defined]  # asyncio shows it nowhere else
