"""
A clock that stands still until it is told to move.

Law of this file: two readings, as everywhere. ``monotonic_ns`` measures and only
ever grows; ``wall_ns`` is a date, and a test may set it back as the clocks of real
machines do.
"""

from __future__ import annotations

from ..core.units import to_ns

# 2026-01-01T00:00:00Z: a round date, late enough for every format of a header.
NEW_YEAR_2026_NS = 1_767_225_600 * 1_000_000_000


class ManualClock:
    """
    A clock for tests: it shows what it was set to.

        clock = ManualClock()
        clock.advance(2.5)
        assert clock.monotonic_ns() == 2_500_000_000
    """

    __slots__ = ("_monotonic_ns", "_wall_offset_ns")

    def __init__(self, monotonic_ns: int = 0, *, wall_ns: int | None = None) -> None:
        self._monotonic_ns = monotonic_ns
        self._wall_offset_ns = (NEW_YEAR_2026_NS if wall_ns is None else wall_ns) - monotonic_ns

    def monotonic_ns(self) -> int:
        """Nanoseconds that measure; they never run backwards."""
        return self._monotonic_ns

    def wall_ns(self) -> int:
        """Nanoseconds since 1970."""
        return self._monotonic_ns + self._wall_offset_ns

    def advance(self, seconds: float = 0.0, *, ns: int = 0) -> int:
        """Move both readings on by *seconds* and *ns*; return the new monotonic one."""
        step_ns = to_ns(seconds) + ns
        if step_ns < 0:
            raise ValueError(f"time does not run backwards: cannot advance by {step_ns} ns")
        self._monotonic_ns += step_ns
        return self._monotonic_ns

    def advance_to(self, monotonic_ns: int) -> int:
        """Move on to *monotonic_ns*; an instant that is past already changes nothing."""
        self._monotonic_ns = max(self._monotonic_ns, monotonic_ns)
        return self._monotonic_ns

    def set_wall(self, wall_ns: int) -> None:
        """Set the date, forwards or back, as a time server does; ``monotonic_ns`` does not notice."""
        self._wall_offset_ns = wall_ns - self._monotonic_ns

    def __repr__(self) -> str:
        return f"<ManualClock {self._monotonic_ns / 1e9:.9f} s>"
