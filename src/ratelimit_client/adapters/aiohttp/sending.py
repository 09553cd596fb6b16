"""
One call: its key, and its attempts.

Law of this file: a key is ready before a call takes its place in the queue, and is asked
for anew only while the call holds none; the time that takes is the call's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from ...errors import DeadlineExpiredInQueue
from ...runtime.limiter import Limiter
from .body import MOST_BYTES
from .credentials import Credentials
from .door import Door
from .exchange import Call, Exchange
from .tally import Tally
from .whose import Whose
from .wire import Wire

R = TypeVar("R")


class Sender:
    """
    What the calls of one client go through.

    Args:
        limiter: where they queue.
        whose: which of its scopes they belong to.
        wire: what they go out on.
        credentials: whose key goes along.
        door: where is counted who waits for the key.
        tally: where is counted what was tried again.
    """

    def __init__(
        self, limiter: Limiter, whose: Whose, wire: Wire, credentials: Credentials, door: Door, tally: Tally
    ) -> None:
        self._limiter = limiter
        self._whose = whose
        self._wire = wire
        self._credentials = credentials
        self._door = door
        self._tally = tally
        self.most_bytes = MOST_BYTES
        """Decoded bytes of one answer that is read whole."""

    async def run(self, call: Call, kind: Callable[..., Exchange[R]]) -> R:
        """
        What *kind* makes of the answer that is a success.

        Raises:
            what ``Client.request`` does.
        """
        left_s = call.deadline_s
        credentials = self._credentials
        if not credentials.fresh():
            left_s = await self._ask_for_key(left_s)
        scoped = self._whose.of(call.own)
        exchange = kind(call, self._wire, credentials, self._tally, scoped, self.most_bytes)
        async for attempt in self._limiter.attempts(
            scoped.key(call.key),
            cost=call.cost,
            features=call.features,
            priority=call.priority,
            tenant=call.tenant,
            deadline=left_s,
            policy=call.policy,
        ):
            async with attempt:
                # The key may have grown old while the call waited: then the turn is given back.
                if credentials.fresh():
                    found = await exchange.attempt(attempt)
                    if found is not None:
                        return found
                attempt.again()
            if not credentials.fresh():
                await self._ask_for_key(left_s)
        raise AssertionError("the attempts of a call end in a return or an error")

    async def _ask_for_key(self, left_s: float | None) -> float | None:
        """Have a fresh key within the deadline; returns the seconds that are left of it."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(left_s):
                with self._door.asking():
                    await self._credentials.refresh()
        except TimeoutError:
            waited_s = loop.time() - began
        else:
            return None if left_s is None else max(0.0, left_s - (loop.time() - began))
        message = f"the deadline passed after {waited_s:.1f} s of waiting for the API key; nothing was sent"
        raise DeadlineExpiredInQueue(message, waited_s=waited_s)
