"""
How long to wait before another try when the server has not said.

Law of this file: a delay lies between the floor and the ceiling of its attempt,
for every attempt number and every dice; it is never zero and never forever.

Theory. Full jitter: the delay is drawn evenly from everything below a ceiling
that doubles with each failure. Calls that failed together then come back spread
over the whole interval; a fixed delay with a little noise would bring them back
as the crowd they were.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs

from ..errors import ConfigurationError
from .units import to_ns

# Beyond it every ceiling has met its cap: the smallest base (1 ns) doubled 64 times is 584 years.
_MAX_EXPONENT = 64


@attrs.frozen
class Backoff:
    """
    The wait after the first, second, ... failure of a call.

    Args:
        base_s: ceiling after the first failure, in seconds.
        cap_s: the highest ceiling, in seconds.
        multiplier: growth of the ceiling from one failure to the next, 1 to 10.
        floor_s: the least delay, in seconds; a retry that follows at once meets
            the server in the state that has just failed.

    Raises:
        ConfigurationError: one of them is out of its range.

    Source of the defaults: the OpenAI SDK waits 0.5 s doubling to 8 s; 30 s is
    what its server errors need.
    """

    base_s: float = 0.5
    cap_s: float = 30.0
    multiplier: float = 2.0
    floor_s: float = 0.05

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.base_s <= self.cap_s < math.inf:
            message = (
                f"a backoff from base_s={self.base_s} to cap_s={self.cap_s} cannot be: give seconds, "
                "the base not above the cap, such as base_s=0.5, cap_s=30"
            )
            raise ConfigurationError(message)
        if not 1 <= self.multiplier <= 10:
            message = f"a backoff's multiplier is from 1 to 10, such as 2; got {self.multiplier}"
            raise ConfigurationError(message)
        if not 0 <= self.floor_s < math.inf:
            message = f"a backoff's floor_s is 0 or more seconds, such as 0.05; got {self.floor_s}"
            raise ConfigurationError(message)

    def ceiling_ns(self, attempt: int) -> int:
        """The longest delay after failure number *attempt*, counted from 1."""
        exponent = min(max(attempt, 1) - 1, _MAX_EXPONENT)
        return to_ns(min(self.cap_s, self.base_s * self.multiplier**exponent))

    def delay_ns(self, attempt: int, dice: Callable[[], float]) -> int:
        """
        The delay after failure number *attempt*, counted from 1.

        Args:
            attempt: how many failures there have been, this one included.
            dice: gives a number from 0 up to, not including, 1.
        """
        ceiling_ns = self.ceiling_ns(attempt)
        floor_ns = min(to_ns(self.floor_s), ceiling_ns)
        return floor_ns + int((ceiling_ns - floor_ns) * dice())
