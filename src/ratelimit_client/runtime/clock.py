"""
The two clocks, and which of them may be asked what.

Law of this file: ``monotonic_ns`` measures: waits, refills, deadlines. ``wall_ns``
only turns a date in a header into a duration, at once; nothing is ever scheduled
by it, so setting a machine's clock changes nothing.
"""

from __future__ import annotations

import time
from typing import Protocol, runtime_checkable


@runtime_checkable
class Clock(Protocol):
    """What tells the time. ``testing.ManualClock`` is one that stands still."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since some instant; never less than before."""
        ...

    def wall_ns(self) -> int:
        """Nanoseconds since 1970 as this machine believes; may jump either way."""
        ...


class SystemClock:
    """The clocks of this machine."""

    __slots__ = ()

    # The functions themselves, not methods around them: the hot path reads the time several times a call.
    monotonic_ns = staticmethod(time.monotonic_ns)
    wall_ns = staticmethod(time.time_ns)

    def __repr__(self) -> str:
        return "<SystemClock>"


SYSTEM_CLOCK: Clock = SystemClock()
