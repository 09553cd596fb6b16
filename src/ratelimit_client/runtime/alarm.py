"""
The one timer.

Law of this file: there is at most one, it is never early, and it never spins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..core.units import NS

_GRAIN_NS = 1000
# A wake-up that is due and found nothing to do would otherwise keep the loop busy.
_IDLE_NS = NS // 1000


class Alarm:
    """Calls *ring* at an instant, which may be moved or taken back."""

    __slots__ = ("_at_ns", "_handle", "_ring")

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None
        self._at_ns = 0

    @property
    def is_set(self) -> bool:
        """It is going to ring."""
        return self._handle is not None

    def set(self, loop: asyncio.AbstractEventLoop, at_ns: int, *, now_ns: int) -> None:
        """Ring at *at_ns*, or a moment from now if that is past, and at no other time."""
        if self._handle is not None:
            if at_ns == self._at_ns:
                return
            self._handle.cancel()
        delay_ns = at_ns - now_ns if at_ns > now_ns else _IDLE_NS
        # To the next microsecond: one that fires a hair early finds nothing and has to be set again.
        delay_us = -(-delay_ns // _GRAIN_NS)
        self._at_ns = at_ns
        self._handle = loop.call_later(delay_us * _GRAIN_NS / NS, self._fire)

    def cancel(self) -> None:
        """Do not ring."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        self._ring()
