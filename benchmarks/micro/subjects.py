"""
What calls wait for: ours, the peers, and the least that could wait at all.

Law of this file: it needs nothing but Python until a subject is made, so it runs in an environment
without ours, and in one without theirs. A subject is full once ``fill`` was awaited: who calls
``wait`` then waits. ``open`` lets all of them go, where there is a public way to do that.
"""

from __future__ import annotations

import asyncio
from typing import Any

HOUR_S = 3600.0


class Bare:
    """A task that waits for a future of its own: nothing that waits can be had for less."""

    def __init__(self) -> None:
        self.futures: list[asyncio.Future[None]] = []

    async def fill(self) -> None:
        """It is always full."""

    async def wait(self, number: int = 0) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.futures.append(future)
        await future

    def open(self, count: int) -> None:
        for future in self.futures[-count:]:
            future.set_result(None)


class Ours:
    """One request a minute, and that is out."""

    tenants = 0
    """How many the calls are of; 0: nobody's."""

    def __init__(self) -> None:
        from ratelimit_client import Limiter, per_minute

        self._quotas = per_minute
        self.limiter = Limiter(per_minute(requests=1), max_queue=10**8)
        self._held: Any = None

    async def fill(self) -> None:
        self._held = await self.limiter.permit(key="gpt-4o", tokens=1)

    async def wait(self, number: int = 0) -> None:
        tenant = f"tenant-{number % self.tenants}" if self.tenants else None
        async with self.limiter.permit(key="gpt-4o", tokens=1, tenant=tenant):
            pass

    def open(self, count: int) -> None:
        self.limiter.set_quotas(self._quotas(requests=10**12))
        self._held.finish()


class Semaphore:
    """Of the standard library: it bounds how many are inside, and knows no time."""

    def __init__(self) -> None:
        self.semaphore = asyncio.Semaphore(1)

    async def fill(self) -> None:
        await self.semaphore.acquire()

    async def wait(self, number: int = 0) -> None:
        async with self.semaphore:
            pass

    def open(self, count: int) -> None:
        self.semaphore.release()  # and who goes lets the next one in


class Aiolimiter:
    """One a minute, and that is gone."""

    open = None

    def __init__(self) -> None:
        import aiolimiter

        self.limiter = aiolimiter.AsyncLimiter(1, 60)

    async def fill(self) -> None:
        await self.limiter.acquire()

    async def wait(self, number: int = 0) -> None:
        async with self.limiter:
            pass


class Pyrate:
    """One a minute, and that is gone."""

    open = None

    def __init__(self) -> None:
        import pyrate_limiter

        self.limiter = pyrate_limiter.Limiter(pyrate_limiter.Rate(1, pyrate_limiter.Duration.MINUTE))

    async def fill(self) -> None:
        await self.limiter.try_acquire_async("gpt-4o")

    async def wait(self, number: int = 0) -> None:
        await self.limiter.try_acquire_async("gpt-4o")


class Throttled:
    """One a minute, and that is gone; it waits as long as it is told to, here an hour."""

    open = None

    def __init__(self) -> None:
        import throttled.asyncio as throttled

        self.limiter = throttled.Throttled(key="gpt-4o", quota=throttled.per_min(1), timeout=HOUR_S)

    async def fill(self) -> None:
        await self.limiter.limit()

    async def wait(self, number: int = 0) -> None:
        await self.limiter.limit()


class Roomy:
    """Calls that nothing holds up, one after the other."""

    @staticmethod
    async def bare(calls: int) -> None:
        for _ in range(calls):
            pass

    @staticmethod
    async def semaphore(calls: int) -> None:
        semaphore = asyncio.Semaphore(10)
        for _ in range(calls):
            async with semaphore:
                pass

    @staticmethod
    async def aiolimiter(calls: int) -> None:
        import aiolimiter

        limiter = aiolimiter.AsyncLimiter(10**9, 60)
        for _ in range(calls):
            async with limiter:
                pass

    @staticmethod
    async def pyrate(calls: int) -> None:
        import pyrate_limiter

        limiter = pyrate_limiter.Limiter(pyrate_limiter.Rate(10**9, pyrate_limiter.Duration.MINUTE))
        for _ in range(calls):
            await limiter.try_acquire_async("gpt-4o")

    @staticmethod
    async def throttled(calls: int) -> None:
        import throttled.asyncio as throttled

        limiter = throttled.Throttled(key="gpt-4o", quota=throttled.per_min(10**9, burst=10**9), timeout=HOUR_S)
        for _ in range(calls):
            await limiter.limit()


SUBJECTS: dict[str, Any] = {
    "bare": Bare,
    "ours": Ours,
    "semaphore": Semaphore,
    "aiolimiter": Aiolimiter,
    "pyrate": Pyrate,
    "throttled": Throttled,
}
