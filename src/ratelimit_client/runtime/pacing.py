"""
Static smoothing of starts, with aiolimiter: so many a second, evenly, no more.

Budgets answer "may this call go?"; pacing answers "how close together may calls
start?", for servers that dislike a burst they nevertheless allow. It is off unless
asked for. A paced call waits here *before* it joins the queue, so nothing is
awaited between its grant and its first byte.

aiolimiter's bucket belongs to one event loop; a limiter that moves to another
loop gets a fresh one here.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, TypeAlias

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter


class Pacing:
    """
    Starts spread evenly over time.

    Args:
        per_second: starts a second; 0.5 is one every two seconds.
        burst: starts that may come at once before the spreading begins.
    """

    __slots__ = ("_burst", "_given", "_limiter", "_loop", "_per_second")

    def __init__(self, per_second: float, *, burst: int = 1) -> None:
        # First, because a traceback may ask an unfinished one for its repr.
        self._per_second = per_second
        self._burst = burst
        self._given: AsyncLimiter | None = None
        self._limiter: AsyncLimiter | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        if not (0 < per_second < float("inf")) or burst < 1:
            message = (
                f"pacing of {per_second!r} starts a second with a burst of {burst!r} is none: give a rate above 0 "
                "and a burst of 1 or more, such as Pacing(20, burst=5)"
            )
            raise ConfigurationError(message)

    @classmethod
    def of(cls, value: PacingLike) -> Pacing | None:
        """What a caller gave for ``pacing=``: starts a second, an AsyncLimiter of one's own, or nothing."""
        if value is None or isinstance(value, Pacing):
            return value
        if isinstance(value, int | float):
            return cls(value)
        # Whoever has one has imported it.
        kind = getattr(sys.modules.get("aiolimiter"), "AsyncLimiter", None)
        if kind is None or not isinstance(value, kind):
            raise ConfigurationError(f"pacing= is starts a second, a Pacing or an AsyncLimiter, not {value!r:.100}")
        pacing = cls(value.max_rate / value.time_period)
        pacing._given = value
        return pacing

    async def acquire(self) -> None:
        """Return when this call may start; when cancelled, nothing was taken."""
        await self._here().acquire()

    def has_room(self) -> bool:
        """Is a start free now?"""
        return self._here().has_capacity()

    def take(self) -> None:
        """Take a start that is free, as ``has_room`` has just said."""
        # With capacity at hand acquire() ends without waiting, so one step runs it to its end.
        try:
            self._here().acquire().send(None)
        except StopIteration:
            return
        raise AssertionError("aiolimiter waited although it had capacity")

    def _here(self) -> AsyncLimiter:
        """The bucket of the running loop."""
        if self._given is not None:
            return self._given
        loop = asyncio.get_running_loop()
        if self._limiter is None or self._loop is not loop:
            from aiolimiter import AsyncLimiter  # most programs never pace

            self._limiter = AsyncLimiter(self._burst, self._burst / self._per_second)
            self._loop = loop
        return self._limiter

    @property
    def used_up(self) -> float | None:
        """Starts a second, while none is free; None while one is, and where no loop runs that could tell."""
        limiter = self._limiter if self._given is None else self._given
        try:
            return None if limiter is None or limiter.has_capacity() else self._per_second
        except RuntimeError:  # one that nobody has used yet belongs to no loop
            return None

    def __repr__(self) -> str:
        if self._given is not None:
            return f"<Pacing by {self._given!r}>"
        return f"Pacing({self._per_second!r}, burst={self._burst!r})"


PacingLike: TypeAlias = "Pacing | AsyncLimiter | float | None"
"""What ``Limiter(pacing=)`` takes."""
