"""
How many retries a key can afford.

Law of this file: over the last one to two minutes, retries are at most a share
of the calls plus ten.

Theory. Retries help when few calls fail and harm when most do: three attempts
each triple the load on a server that is failing under load. A share of the
calls bounds what retries can add, whatever the cause; the ten let a quiet
client, whose share is less than one, retry at all. Old calls earn nothing, or a
quiet night would save up for a storm in the morning.

Source: "Handling Overload" in Google's SRE book (10 % per client); Finagle's
RetryBudget (20 % and ten).
"""

from __future__ import annotations

import attrs

from .units import NS

FLOOR = 10
_PERIOD_NS = 60 * NS
_PPM = 1_000_000


@attrs.define(eq=False)
class RetryBudget:
    """
    The calls and retries of one key, this minute and the one before.

    Args:
        calls: of this minute. Whoever counts one adds to it, with ``turn`` before it at
            ``ends_ns`` or later. The first attempt of a call is no retry and needs no budget.
        ends_ns: the end of this minute.
    """

    calls: int = 0
    retries: int = 0
    ends_ns: int = 0
    _calls_before: int = 0
    _retries_before: int = 0

    def left(self, share: float, *, now_ns: int) -> int:
        """
        Retries that can be paid now.

        Args:
            share: of the calls, 0 to 1. A share of 0 is a budget of none, floor or not.
        """
        if share <= 0:
            return 0
        self.turn(now_ns=now_ns)
        earned = (self.calls + self._calls_before) * round(share * _PPM) // _PPM
        return max(0, FLOOR + earned - self.retries - self._retries_before)

    def spend(self, share: float, *, now_ns: int) -> bool:
        """Pay for one retry. False, and nothing is paid, when the budget is spent."""
        if not self.left(share, now_ns=now_ns):
            return False
        self.retries += 1
        return True

    def turn(self, *, now_ns: int) -> None:
        """Let this minute become the one before when it is over."""
        # A clock that steps back stands still.
        if now_ns < self.ends_ns:
            return
        follows = now_ns < self.ends_ns + _PERIOD_NS
        self._calls_before = self.calls if follows else 0
        self._retries_before = self.retries if follows else 0
        self.calls = self.retries = 0
        self.ends_ns = now_ns - now_ns % _PERIOD_NS + _PERIOD_NS
