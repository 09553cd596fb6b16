"""
Whose loop it is.

Law of this file: a limiter serves one event loop at a time. At rest it belongs to
nobody and goes to whoever uses it next; with calls under way it belongs to their
loop, and use from anywhere else is refused before anything has changed.

Theory. Futures and timers belong to a loop, and a loop to a thread. Used from a
second one they fail late and far away ("Event loop is closed", a wake-up that is
never seen), so the mistake is named where it is made, with the recipe. A closed
loop owns nothing: its calls can never go on, and their tasks hand in what they
hold as they are collected.
"""

from __future__ import annotations

import asyncio
from asyncio import get_running_loop

from ..errors import WrongLoop


class LoopBound:
    """
    Something with calls under way on a loop.

    ``waiting``, ``out`` and ``pausing`` count calls in the queue, permits handed
    out, and calls that are held back by pacing.
    """

    __slots__ = ("_loop", "_name", "out", "pausing", "waiting")

    def __init__(self, name: str) -> None:
        self.waiting = 0
        self.out = 0
        self.pausing = 0
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def at_rest(self) -> bool:
        """No call is under way."""
        return not (self.waiting or self.out or self.pausing)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """That of the calls under way."""
        return self._loop or get_running_loop()

    def here(self) -> asyncio.AbstractEventLoop:
        """
        The running loop, which from now on is this limiter's.

        Raises:
            WrongLoop: calls are under way on another one.
        """
        loop = get_running_loop()
        if loop is not self._loop:
            self._move_to(loop)
        return loop

    def claim(self) -> None:
        """
        Somebody changes something from outside a call: allowed to the owning loop, and to all at rest.

        Raises:
            WrongLoop: calls are under way on another one.
        """
        owner = self._loop
        if owner is None or self.at_rest or not owner.is_running():
            return
        try:
            current = get_running_loop()
        except RuntimeError:
            current = None
        if current is not owner:
            raise self._wrong_loop()

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None and not self.at_rest and not self._loop.is_closed():
            raise self._wrong_loop()
        self._let_go()
        self._loop = loop

    def _let_go(self) -> None:
        """Drop what belongs to the old loop."""

    def _wrong_loop(self) -> WrongLoop:
        message = (
            f"limiter {self._name!r} has {self.out} calls in flight and {self.waiting} queued on another event loop, "
            "and was used from a second one. A limiter serves one loop at a time: make one Limiter for each thread or "
            "loop, or hand the call to the loop that owns it with asyncio.run_coroutine_threadsafe(coroutine, loop)"
        )
        return WrongLoop(message)
