"""
Calls through a limiter that shares its budget, and the ends of such a limiter.

The store answers after a moment. Whatever was cancelled, in the end it knows of nobody who holds
anything, and has as much as the calls that were sent have left.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from ratelimit_client import Limiter, per_day
from ratelimit_client.core.lease import Call, Lease
from ratelimit_client.proxy import Forwarder
from ratelimit_client.runtime.store import InProcessStore
from tests.runtime.torture import at_rest
from tests.torture import scenes_limiter
from tests.torture.scenes_limiter import QUOTA, Others, Sent, Way
from tests.torture.trial import Scene, Stage


class SlowStore(InProcessStore):
    """It takes ten milliseconds, there and back."""

    def __init__(self) -> None:
        super().__init__(now_us=lambda: int(asyncio.get_running_loop().time() * 1e6) + 10**15)

    async def renew(self, call: Call) -> Sequence[Lease]:
        await asyncio.sleep(0.005)
        leases = await super().renew(call)
        await asyncio.sleep(0.005)
        return leases

    def left(self) -> tuple[list[str], list[int]]:
        """Who holds something, and what there is."""
        pools = self._store.pools.values()
        return [name for pool in pools for name in pool.members], [
            bucket.level for pool in pools for bucket in pool.buckets.values()
        ]


def shared(store: SlowStore) -> Limiter:
    return Limiter(per_day(requests=QUOTA), max_in_flight=1, store=store)


def beside_others(way: Way) -> Scene:
    """A scene: *way* as one call among others."""

    async def scene(stage: Stage) -> None:
        store, sent = SlowStore(), Sent()
        limiter = shared(store)
        others = Others(limiter)

        async def victim() -> object:
            await asyncio.sleep(0)
            others.join(2)
            return await way(limiter, sent)

        await stage.torture(victim())
        await others.unharmed()
        at_rest(limiter)
        await limiter.close()
        assert store.left() == ([], [QUOTA - others.sent - sent.count])

    scene.__name__ = f"shared-{way.__name__}"
    return scene


async def shared_from_the_first(stage: Stage) -> None:
    """The very first call waits for the store, with another behind it."""
    store, sent = SlowStore(), Sent()
    limiter = shared(store)
    calls: list[asyncio.Task[None]] = []

    async def victim() -> None:
        calls.append(asyncio.create_task(scenes_limiter.permit(limiter, sent)))
        await scenes_limiter.permit(limiter, sent)

    await stage.torture(victim())
    await asyncio.gather(*calls)
    at_rest(limiter)
    await limiter.close()
    assert store.left() == ([], [QUOTA - sent.count])


async def shared_drained(stage: Stage) -> None:
    """Drained, which gives back what is leased; who is cancelled over it leaves that to the next."""
    store = SlowStore()
    limiter = shared(store)
    others = Others(limiter, ahead=2)

    async def victim() -> None:
        await asyncio.sleep(0.001)
        assert await limiter.drain()

    await stage.torture(victim())
    limiter._desk.dispatcher.reopen()
    await others.unharmed()
    at_rest(limiter)
    await limiter.close()
    assert store.left() == ([], [QUOTA - others.sent])


async def shared_closed(stage: Stage) -> None:
    """Closed in the middle of a question, twice."""
    store, sent = SlowStore(), Sent()
    limiter = shared(store)

    async def victim() -> None:
        await scenes_limiter.permit(limiter, sent)
        await asyncio.sleep(0.86)  # it has just asked again
        await limiter.close()
        await limiter.close()

    await stage.torture(victim())
    await limiter.close()
    at_rest(limiter)
    assert store.left() == ([], [QUOTA - sent.count])


async def shared_life(stage: Stage) -> None:
    """Entered and left after an error of the caller's own, so that it is closed and not drained."""
    store, sent = SlowStore(), Sent()
    limiter = shared(store)

    async def victim() -> None:
        async with limiter:
            await scenes_limiter.permit(limiter, sent)
        with contextlib.suppress(LookupError):
            async with limiter:
                await scenes_limiter.permit(limiter, sent)
                raise LookupError

    await stage.torture(victim())
    await limiter.close()
    at_rest(limiter)
    assert store.left() == ([], [QUOTA - sent.count] if sent.count else [QUOTA][: len(store.left()[1])])


async def shared_forwarder(stage: Stage) -> None:
    """What a proxy sends through is closed with what it has leased."""
    store, sent = SlowStore(), Sent()
    limiter = shared(store)
    forwarder = Forwarder("http://api.test/v1", limiter=limiter, api_key="of-nobody", allow_insecure=True)

    async def victim() -> None:
        await scenes_limiter.permit(limiter, sent)
        await forwarder.close()

    await stage.torture(victim())
    await forwarder.close()
    at_rest(limiter)
    assert store.left() == ([], [QUOTA - sent.count] if sent.count else [QUOTA][: len(store.left()[1])])


SCENES: tuple[Scene, ...] = (
    *(beside_others(way) for way in (scenes_limiter.permit, scenes_limiter.permit_awaited)),
    *(beside_others(way) for way in (scenes_limiter.attempts_taken_back, scenes_limiter.deadline_in_the_queue)),
    shared_from_the_first,
    shared_drained,
    shared_closed,
    shared_life,
    shared_forwarder,
)
