"""
How a client begins and ends.

Law of this file: whoever leaves in good order waits for what is under way, and whoever leaves after an error does
not; a limiter or a session that somebody else made outlives the client.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from ...runtime.in_time import in_time
from ...runtime.limiter import Limiter
from .credentials import Credentials
from .door import Door
from .wire import Wire


class Life:
    """Entering, draining and closing."""

    _limiter: Limiter
    _own_limiter: bool
    _credentials: Credentials
    _wire: Wire
    _door: Door

    async def drain(self, timeout_s: float | None = None) -> bool:
        """
        Let no further call in and wait for those inside: asking for the key, queued or in flight.

        Cancelled or timed out, it goes on letting no call in; those inside go on, too.

        Returns:
            True when all have ended, False after *timeout_s* seconds.
        """
        self._door.shut("draining")
        return await in_time(self._empty(), timeout_s)

    async def _empty(self) -> None:
        if self._own_limiter:
            await self._door.asked()  # from here on it lets nobody join the queue
            await self._limiter.drain()
        await self._door.empty()

    async def close(self) -> None:
        """
        Let no further call in, fail what is queued with ``Closed``, close the connections. Idempotent.

        Calls inside end with an error at once, and those in flight stay charged; ``drain``
        first if they matter. With a *limiter* of your own those queued fail when their turn
        comes. A session of yours stays open. Cancelled, call it again.
        """
        self._door.shut("closed")
        if self._own_limiter:
            self._limiter.close()
        self._credentials.stop()
        await self._wire.close()

    async def __aenter__(self) -> Self:
        if self._own_limiter:
            await self._limiter.__aenter__()
        self._door.open()
        self._wire.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # After an error nobody is there to use what the queue would bring.
            if error is None:
                await self.drain()
        finally:
            await self.close()
