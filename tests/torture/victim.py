"""
A coroutine that is cancelled at places of our choice.

Law of this file: a cancellation comes from outside, as it does in programs. It is asked
for while the coroutine stands still, and arrives as it would have gone on.

Theory. A task stands still only where its coroutine yields to the event loop, so what
drives the coroutine can count those places, and a run that is repeated stands still at the
same ones. There are two ways to be cancelled at one of them. *Asleep*: nothing has come of
what is waited for. *Woken*: it has come, and the task is about to run when the cancellation
overtakes it: whoever woke it believes that it goes on, and so locks and queues have lost
places there. After the first cancellation has arrived the coroutine tidies up, and may stand
still again, where a second one can meet it; places are counted anew from there.
"""

from __future__ import annotations

import asyncio
import enum
import gc
import inspect
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import attrs


class Mode(enum.Enum):
    """How a task stands when it is cancelled."""

    ASLEEP = "asleep"
    WOKEN = "woken"


@attrs.frozen
class Strike:
    """
    One cancellation.

    Args:
        at: at which standstill, from 1, of those since the cancellation before it arrived.
        mode: how the task stands then.
    """

    at: int
    mode: Mode = Mode.ASLEEP


_TESTS = str(Path(__file__).parent.parent)

Place = tuple[CodeType, int]
"""Where a coroutine stands: its code and the line in it."""


@attrs.define(eq=False)
class Victim:
    """
    Args:
        coroutine: what is cancelled.
        strikes: when, and for the second time when.
        cancel: how; None: as ``Task.cancel`` of its own task.

    ``standstills`` counts them: before a cancellation arrived, after the first one, after the second;
    ``struck`` is how many were asked for, ``stood`` where it stood at each.
    """

    coroutine: Coroutine[Any, Any, Any]
    strikes: Sequence[Strike] = ()
    cancel: Callable[[], object] | None = None
    standstills: list[int] = attrs.field(init=False, factory=lambda: [0])
    struck: int = attrs.field(init=False, default=0)
    stood: list[tuple[Mode | None, list[Place]]] = attrs.field(init=False, factory=list)
    _due: bool = attrs.field(init=False, default=False)
    _task: asyncio.Task[Any] | None = attrs.field(init=False, default=None)

    def __await__(self) -> Generator[Any, Any, Any]:
        self._task = asyncio.current_task()
        try:
            return (yield from self._drive(self.coroutine.__await__()))
        finally:
            self._task = None  # the task holds its error, and that the frames which know us

    def _drive(self, steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        answer: Any = None
        failure: BaseException | None = None
        while True:
            try:
                waits_for = steps.send(answer) if failure is None else steps.throw(failure)
            except StopIteration as end:
                return end.value
            finally:
                answer = failure = None  # an error that is held here would hold this frame
            self.standstills[-1] += 1
            self._look(waits_for)
            try:
                answer = yield waits_for
                if self._due:  # the loop let it run first: it is overtaken all the same
                    self.strike()
                    yield
            except BaseException as error:  # noqa: BLE001 - handed to the victim at once
                failure = error
                if isinstance(error, asyncio.CancelledError) and self.struck == len(self.standstills):
                    self.standstills.append(0)

    def _look(self, waits_for: Any) -> None:
        """It stands still; is that a place to be cancelled at?"""
        arrived = len(self.standstills) - 1
        if arrived >= len(self.strikes) or self.strikes[arrived].at != self.standstills[-1]:
            return
        mode = self.strikes[arrived].mode
        self._due = True
        self.look_where(mode)
        if mode is Mode.WOKEN and waits_for is not None:
            # Registered before the task's own wake-up, and so called before it.
            waits_for.add_done_callback(self._strike_if_due)
        else:
            asyncio.get_running_loop().call_soon(self._strike_if_due)

    def _strike_if_due(self, *_: object) -> None:
        if self._due:
            self.strike()

    def strike(self) -> None:
        """Ask for the cancellation now."""
        assert self._task is not None
        self._due = False
        self.struck += 1
        (self.cancel or self._task.cancel)()

    def look_where(self, mode: Mode | None) -> None:
        """Note where it stands, and where the tasks stand that the library began for it."""
        places = list(standing(self.coroutine))
        for task in asyncio.all_tasks(asyncio.get_running_loop()) if self._task is not None else ():
            coroutine = task.get_coro()
            if task is not self._task and not is_a_tests(getattr(coroutine, "cr_code", None)):
                places += standing(coroutine)
        self.stood.append((mode, places))


def is_ours(code: CodeType | None) -> bool:
    """Is it code of the library?"""
    return code is not None and "/src/ratelimit_client/" in code.co_filename


def is_a_tests(code: CodeType | None) -> bool:
    """Is it a coroutine of a test? The victim's others are, and are not to be cancelled."""
    return code is not None and code.co_filename.startswith(_TESTS)


def standing(awaitable: Any) -> Iterator[Place]:
    """Where a coroutine stands, from the outermost frame to the innermost."""
    while awaitable is not None:
        frame, inner = _step(awaitable)
        if frame is not None:
            yield frame.f_code, frame.f_lineno
        elif inner is None:
            # What wraps a coroutine or steps an async generator holds it, and says so to the collector only.
            held = gc.get_referents(awaitable)
            inner = next((each for each in held if inspect.iscoroutine(each) or inspect.isasyncgen(each)), None)
        awaitable = inner


def _step(awaitable: Any) -> tuple[FrameType | None, Any]:
    for kind in ("cr", "ag", "gi"):
        if hasattr(awaitable, f"{kind}_frame"):
            inner = "gi_yieldfrom" if kind == "gi" else f"{kind}_await"
            return getattr(awaitable, f"{kind}_frame"), getattr(awaitable, inner)
    return None, None
