"""
A pause for everybody: what one caller was told when it was refused, all heed.

Law of this file: the standard library and nothing else, as job.py. It is what a careful user
adds to a limiter that does not hear of refusals; the peers that do hear of them do without.

Theory. A limit is shared, so its refusal concerns all. If each caller waited by itself, the others
would go on being refused, and a server that charges refusals would never come to rest.
After the pause callers come back spread over as long as the pause was, so that the first refusal
of the next round stops most of them.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping

LEAST_S = 1.0
"""Servers ask for the time until there is room for one call, and as many wait as are in flight."""


class Pause:
    """Everybody awaits over() before a call; whoever is refused calls begin()."""

    def __init__(self) -> None:
        self._until = float("-inf")

    def begin(self, asked_s: float | None) -> None:
        """Nobody calls for as long as the server asks, LEAST_S at least."""
        self._until = max(self._until, time.monotonic() + max(LEAST_S, asked_s or 0.0))

    async def over(self) -> None:
        while (left := self._until - time.monotonic()) > 0:
            await asyncio.sleep(left + LEAST_S * random.random())


def asked_for(headers: Mapping[str, str]) -> float | None:
    """Seconds the server asks to wait, in the finer of the two headers, if it asks."""
    if "retry-after-ms" in headers:
        return float(headers["retry-after-ms"]) / 1000
    return float(headers["retry-after"]) if "retry-after" in headers else None


def growing(attempt: int) -> float:
    """0.5 s doubling up to 8 s, with jitter, after attempt 0, 1, 2, ..."""
    return min(8.0, 0.5 * 2**attempt) * (1 + 0.25 * random.random())
