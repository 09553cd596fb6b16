"""Starts spread evenly, before the queue."""

from __future__ import annotations

import asyncio

import pytest
from aiolimiter import AsyncLimiter

from ratelimit_client import (
    Closed,
    ConfigurationError,
    DeadlineExpiredInQueue,
    Limiter,
    WouldBlock,
    per_hour,
    per_minute,
)
from ratelimit_client.runtime.pacing import Pacing
from tests.runtime.servers import Scripted
from tests.runtime.test_attempts import run
from tests.runtime.torture import at_rest, level, virtual


def test_starts_are_spread_evenly() -> None:
    """Four a second: the ninth start comes after two seconds, and there is no burst at the beginning."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        limiter = Limiter(per_hour(requests=100), pacing=4.0)
        began = loop.time()
        starts = []

        async def call() -> None:
            async with limiter.permit():
                starts.append(loop.time() - began)
                await asyncio.sleep(0.01)

        await asyncio.gather(*(call() for _ in range(9)))
        assert starts == pytest.approx([number / 4 for number in range(9)], abs=0.01)
        at_rest(limiter)

    virtual(main)


def test_a_burst_may_be_allowed() -> None:
    """Three at once, then the rate."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        limiter = Limiter(pacing=Pacing(2, burst=3))
        began = loop.time()
        for _ in range(4):
            async with limiter.permit():
                last = loop.time() - began
        assert last == pytest.approx(0.5, abs=0.01)

    virtual(main)


def test_an_async_limiter_of_ones_own_is_used() -> None:
    """One AsyncLimiter may pace several limiters."""

    async def main() -> None:
        own = AsyncLimiter(1, 0.5)
        one, other = Limiter(pacing=own), Limiter(pacing=own)
        began = asyncio.get_running_loop().time()
        for limiter in (one, other, one):
            async with limiter.permit():
                pass
        assert asyncio.get_running_loop().time() - began == pytest.approx(1, abs=0.01)
        assert "AsyncLimiter" in repr(one._pacing)

    virtual(main)


def test_the_next_attempt_is_a_start_too() -> None:
    """A retry is paced like a first try."""

    async def main() -> None:
        limiter = Limiter(pacing=0.1, dice=lambda: 0.0)
        assert await run(limiter, Scripted(500, 200)) == 2

    assert virtual(main).elapsed_s >= 10


def test_permit_nowait_does_not_wait_for_pacing() -> None:
    """It takes a start if one is free, else it would block."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60), pacing=1.0)
        limiter.permit_nowait().finish()
        with pytest.raises(WouldBlock, match="pacing") as caught:
            limiter.permit_nowait()
        assert caught.value.ready_in_s is None
        assert level(limiter) == 59
        await asyncio.sleep(1)
        limiter.permit_nowait().finish()

    virtual(main)


def test_permit_nowait_takes_no_start_that_it_cannot_use() -> None:
    """With no place free it would block, and the start is still there for who comes next."""

    async def main() -> None:
        limiter = Limiter(max_in_flight=1, pacing=1.0)
        holder = limiter.permit_nowait()
        await asyncio.sleep(1)
        with pytest.raises(WouldBlock):
            limiter.permit_nowait()
        holder.finish()
        limiter.permit_nowait().finish()
        at_rest(limiter)

    virtual(main)


def test_a_deadline_holds_while_it_is_paced() -> None:
    """It expires there, unsent and uncharged; somebody else's timeout is not taken for it."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60), pacing=0.01)
        async with limiter.permit():
            pass
        began = asyncio.get_running_loop().time()
        with pytest.raises(DeadlineExpiredInQueue, match="pacing"):
            async with limiter.permit(deadline=5):
                pass
        assert asyncio.get_running_loop().time() - began == pytest.approx(5)
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(1), limiter.permit(deadline=5):
                pass
        assert not isinstance(caught.value, DeadlineExpiredInQueue)
        assert level(limiter) == 59
        at_rest(limiter)

    virtual(main)


def test_drain_waits_for_those_who_are_paced() -> None:
    """A retry that is held back by pacing is under way: drain does not overlook it."""

    async def main() -> None:
        limiter = Limiter(pacing=0.1, dice=lambda: 0.0)
        call = asyncio.ensure_future(run(limiter, Scripted(500, 200)))
        await asyncio.sleep(0.5)
        assert limiter._desk.dispatcher.pausing == 1
        assert await limiter.drain()
        await asyncio.sleep(0)
        assert await call == 2

    virtual(main)


def test_a_call_that_comes_too_late_does_not_stop_those_who_wait() -> None:
    """One that was paced while the limiter began to drain is refused; the queue goes on as its bucket fills."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        limiter = Limiter(per_minute(requests=1), pacing=1000.0)
        began = loop.time()
        async with limiter.permit():
            pass
        waiting = asyncio.create_task(limiter.call(asyncio.sleep, 0))
        await asyncio.sleep(1)
        draining = asyncio.create_task(limiter.drain())
        await asyncio.sleep(1)
        with pytest.raises(Closed):
            await limiter.call(asyncio.sleep, 0)
        assert await draining
        assert waiting.done()
        assert loop.time() - began == pytest.approx(60, abs=0.01)
        at_rest(limiter)

    virtual(main)


def test_it_moves_to_the_next_loop() -> None:
    """aiolimiter's bucket belongs to a loop; each loop gets a fresh one."""
    limiter = Limiter(pacing=1000.0)

    async def call() -> None:
        async with limiter.permit():
            pass

    asyncio.run(call())
    asyncio.run(call())


@pytest.mark.parametrize(("per_second", "burst"), [(0, 1), (-1, 1), (float("inf"), 1), (float("nan"), 1), (1, 0)])
def test_a_pace_that_is_none_is_refused(per_second: float, burst: int) -> None:
    """With an example of one."""
    with pytest.raises(ConfigurationError, match=r"Pacing\(20, burst=5\)"):
        Pacing(per_second, burst=burst)


def test_a_pace_has_a_repr_to_type() -> None:
    """As in the constructor."""
    assert repr(Pacing(20, burst=5)) == "Pacing(20, burst=5)"
    assert Pacing.of(None) is None


def test_an_explanation_knows_that_starts_are_spread() -> None:
    """While none is free; and who has no loop yet waits for nothing."""
    limiter = Limiter(pacing=AsyncLimiter(1, 10))
    assert limiter.explain().admissible

    async def main() -> None:
        async with limiter.permit():
            pass
        assert (limiter.explain().binding, limiter.explain().ready_in_s) == ("pacing", 10.0)
        await asyncio.sleep(10)
        assert limiter.explain().admissible

    virtual(main)
