"""
How a server behaves beside its limits: how long it takes, what breaks, who else calls.

Law of this file: data only. A behaviour is a frozen value that may be pickled (the
model server may run in a process of its own); chance comes from the dice of the
server, so one seed gives one run. Times are seconds, counted from the first call.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Protocol

import attrs

from ..core.units import to_ns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..core.quota import Quotas


class Latency(Protocol):
    """How long an answer takes."""

    def draw_ns(self, dice: random.Random) -> int:
        """Nanoseconds of one answer."""
        ...


@attrs.frozen
class Constant:
    """Every answer takes *seconds*."""

    seconds: float = attrs.field(validator=attrs.validators.ge(0))
    _ns: int = attrs.field(init=False, repr=False, default=attrs.Factory(lambda self: to_ns(self.seconds), True))

    def draw_ns(self, dice: random.Random) -> int:
        return self._ns


@attrs.frozen
class Uniform:
    """Answers take between *least_s* and *most_s*."""

    least_s: float = attrs.field(validator=attrs.validators.ge(0))
    most_s: float

    def draw_ns(self, dice: random.Random) -> int:
        return to_ns(dice.uniform(self.least_s, self.most_s))


@attrs.frozen
class LogNormal:
    """
    Half of the answers take less than *median_s*; the rest has a long tail.

    Args:
        sigma: of the logarithm; at 0.5 one answer in 40 takes more than 2.7 medians.
        most_s: nothing takes longer.
    """

    median_s: float = attrs.field(validator=attrs.validators.gt(0))
    sigma: float = 0.5
    most_s: float = 600.0

    def draw_ns(self, dice: random.Random) -> int:
        return to_ns(min(self.most_s, dice.lognormvariate(math.log(self.median_s), self.sigma)))


def latency(value: float | Latency) -> Latency:
    """Seconds as a `Constant`; anything that draws as it is."""
    return Constant(value) if isinstance(value, int | float) else value


_FAULTS = ("server_error", "overloaded", "slow_down", "reset", "truncated", "slow", "stream_error", "unfinished")


@attrs.frozen(kw_only=True)
class Faults:
    """
    What goes wrong, each with its probability.

    Args:
        server_error: a 500, after the call was admitted and charged.
        overloaded: a 503, before anything was charged and without rate-limit headers.
        slow_down: a 429 ``slow_down`` ("the rate grew too fast"), likewise.
        reset: admitted and charged, then the connection is reset without an answer.
        truncated: admitted and charged; the answer breaks off in the middle of its body.
        slow: the answer takes *slow_factor* times as long.
        stream_error: of a stream: an error in its middle; of other answers nothing.
        unfinished: of a stream: it ends in its middle, as if that were all; of other answers nothing.
        from_s, until_s: when, in seconds after the first call.
    """

    server_error: float = 0.0
    overloaded: float = 0.0
    slow_down: float = 0.0
    reset: float = 0.0
    truncated: float = 0.0
    slow: float = 0.0
    stream_error: float = 0.0
    unfinished: float = 0.0
    slow_factor: float = 10.0
    from_s: float = 0.0
    until_s: float = math.inf

    def __attrs_post_init__(self) -> None:
        chances = [getattr(self, name) for name in _FAULTS]
        if min(chances) < 0 or sum(chances) > 1 + 1e-9:
            raise ValueError(f"probabilities lie between 0 and 1 and add up to at most 1, not {sum(chances):g}")

    def draw(self, dice: random.Random) -> str | None:
        """The name of the fault that happens now, or None."""
        chance = dice.random()
        for name in _FAULTS:
            chance -= getattr(self, name)
            if chance < 0:
                return name
        return None


@attrs.frozen(kw_only=True)
class Outsiders:
    """
    Others who spend from the same buckets.

    Args:
        per_s: their steady calls per second, evenly spaced.
        burst, every_s: besides, so many calls at once, so often.
        tokens: what each of their calls is charged.
        insist: their calls are charged whatever is left, so that a level may fall below zero, as
            by jobs that ask again until they got theirs. Otherwise they get what the first to ask leaves.
        model: whose buckets; None for those of every model that is called.
        from_s, until_s: when, in seconds after the first call.
    """

    per_s: float = attrs.field(default=0.0, validator=attrs.validators.ge(0))
    burst: int = 0
    every_s: float = attrs.field(default=10.0, validator=attrs.validators.gt(0))
    tokens: int = 0
    insist: bool = False
    model: str | None = None
    from_s: float = 0.0
    until_s: float = math.inf


@attrs.frozen
class Change:
    """From *at_s* seconds after the first call on, these limits hold."""

    at_s: float
    limits: Quotas | Mapping[str, Quotas]
