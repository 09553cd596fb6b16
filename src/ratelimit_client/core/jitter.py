"""
How far calls overtake each other on the way to the server.

Law of this file: until it was measured the jitter is 250 ms; then it is the longest
of the last 64 times from grant to written request, or from grant to answer less
what the server says it worked, at least 50 ms. A longer one counts at once.

Theory. A jitter that is too short lets a reading raise the level by calls that are
still on their way: when the process stalls for a moment, everything it wrote is
late, and one such reading is enough for a burst of refusals. A server that stalls
does the same before its door. A jitter that is too
long costs next to nothing, because between its two bounds the own account stands.
"""

from __future__ import annotations

import attrs

from .units import NS

_UNMEASURED_NS = NS // 4
_LEAST_NS = NS // 20
_KEPT = 64
_EVERY = 16


@attrs.define(eq=False)
class ArrivalJitter:
    """The jitter of one origin. ``ns`` is the value to use."""

    ns: int = _UNMEASURED_NS
    _samples: list[int] = attrs.field(factory=list)
    _next: int = 0

    def add(self, delay_ns: int) -> None:
        """A request was written, or had surely arrived, *delay_ns* after its grant."""
        if len(self._samples) < _KEPT:
            self._samples.append(delay_ns)
        else:
            self._samples[self._next % _KEPT] = delay_ns
        self._next += 1
        if delay_ns > self.ns:
            self.ns = delay_ns
        elif self._next % _EVERY == 0:
            self.ns = max(_LEAST_NS, *self._samples)
