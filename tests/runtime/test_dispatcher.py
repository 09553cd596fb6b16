"""One scheduler, one timer, one loop at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ratelimit_client import Closed, Limiter, QueueFull, per_hour, per_minute, per_second
from ratelimit_client.testing import VirtualLoop
from tests.runtime.torture import at_rest, level, virtual


async def hold(limiter: Limiter, seconds: float, served: list[object] | None = None, name: object = None) -> None:
    async with limiter.permit():
        if served is not None:
            served.append(name)
        await asyncio.sleep(seconds)


class CountingLoop(VirtualLoop):
    """A virtual loop that counts what it is asked to make."""

    futures = timers = 0

    def create_future(self) -> asyncio.Future[Any]:
        self.futures += 1
        return super().create_future()

    def call_at(self, *args: Any, **options: Any) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(*args, **options)


def counted(main: Coroutine[Any, Any, None]) -> CountingLoop:
    loop = CountingLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main)
    return loop


# -- the fast path and the one timer ----------------------------------------------------


def test_a_call_that_fits_makes_no_future_and_no_timer() -> None:
    """A thousand calls that fit leave no trace on the loop."""

    async def idle() -> None:
        await asyncio.sleep(0)

    async def main() -> None:
        limiter = Limiter(per_hour(requests=10_000))
        for _ in range(1000):
            async with limiter.permit():
                pass

    nothing, thousand = counted(idle()), counted(main())

    assert (thousand.futures, thousand.timers) == (nothing.futures, nothing.timers)


def test_however_many_wait_there_is_one_timer() -> None:
    """A hundred calls wait for one bucket, and the loop has one timer for them."""

    async def main() -> None:
        limiter = Limiter(per_second(requests=10), max_in_flight=1000)
        calls = [asyncio.ensure_future(hold(limiter, 0)) for _ in range(110)]
        for _ in range(20):
            await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        assert limiter.queued > 50
        assert loop.pending_timers == 1
        await asyncio.gather(*calls)
        at_rest(limiter)

    virtual(main)


def test_nothing_waits_then_nothing_ticks() -> None:
    """With nobody waiting there is no timer, also when the bucket is not full and permits are out."""

    async def main() -> None:
        limiter = Limiter(per_minute(requests=2))
        async with limiter.permit(), limiter.permit():
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualLoop)
            assert loop.pending_timers == 0
            waiting = asyncio.ensure_future(hold(limiter, 0))
            await asyncio.sleep(1)
            assert loop.pending_timers == 1
            waiting.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert loop.pending_timers == 0, "the timer goes with the last who waited"

    virtual(main)


def test_calls_go_at_the_instant_the_bucket_allows() -> None:
    """Ten a second, in bursts of ten: the twenty-fifth goes after a second and a half."""

    async def main() -> None:
        limiter = Limiter(per_second(requests=10))
        began = asyncio.get_running_loop().time()
        times = []
        for _ in range(25):
            async with limiter.permit():
                times.append(asyncio.get_running_loop().time() - began)
        # A tenth of a unit is kept back of this bucket until the input ends.
        assert times[8] == 0
        assert times[24] == pytest.approx(1.5, abs=0.02)

    virtual(main)


def test_at_most_256_are_woken_in_one_turn() -> None:
    """A thousand that may go at once are woken in portions, so the loop breathes between; nobody is forgotten."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=1_000_000), max_in_flight=1000, dialect="openai")
        loop = asyncio.get_running_loop()
        opening, closing = loop.create_future(), loop.create_future()
        async with limiter.permit() as first:
            first.observe(200, {"openai-version": "1"})  # heard of, the server may get more than 32 at once
        holders = [asyncio.ensure_future(wait_inside(limiter, opening)) for _ in range(1000)]
        await asyncio.sleep(60)  # the ramp has let all of them in
        assert limiter.in_flight == 1000

        woken: list[int] = []
        turn = 0
        calls = [asyncio.ensure_future(wait_inside(limiter, closing, lambda: woken.append(turn))) for _ in range(1000)]
        await asyncio.sleep(1)
        opening.set_result(None)
        while len(woken) < 1000:
            turn += 1
            assert turn < 100, "whoever may go is woken without anybody else moving"
            await asyncio.sleep(0)
        assert max(woken.count(number) for number in set(woken)) == 256
        closing.set_result(None)
        await asyncio.gather(*holders, *calls)
        at_rest(limiter)

    virtual(main)


async def wait_inside(limiter: Limiter, until: asyncio.Future[None], tell: Callable[[], object] = bool) -> None:
    async with limiter.permit():
        tell()
        await until


def test_a_long_row_of_fast_grants_lets_others_run() -> None:
    """Every 64th call in a row that need not wait gives the loop one round."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=10_000))
        rounds = 0

        async def other() -> None:
            nonlocal rounds
            while True:
                rounds += 1
                await asyncio.sleep(0)

        task = asyncio.ensure_future(other())
        for _ in range(640):
            async with limiter.permit():
                pass
        assert rounds == 10
        task.cancel()

    virtual(main)


def test_a_grant_to_one_who_was_just_cancelled_goes_to_the_next() -> None:
    """Cancelled in the very round in which its turn comes, a call costs nothing and the next one goes."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60), max_in_flight=1)
        permit = await limiter.permit()
        served: list[object] = []
        first = asyncio.ensure_future(hold(limiter, 0, served, "first"))
        second = asyncio.ensure_future(hold(limiter, 0, served, "second"))
        await asyncio.sleep(0)
        permit.finish()  # asks for a turn ...
        first.cancel()  # ... and before it comes, the first in line goes away
        await second
        assert served == ["second"]
        assert level(limiter) == 58
        at_rest(limiter)

    virtual(main)


# -- the end --------------------------------------------------------------------------------


def test_close_fails_whoever_is_queued_and_lets_finish_whoever_is_out() -> None:
    """A full queue: each of its calls fails with Closed, at once and uncharged; the one in flight ends well."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60), max_in_flight=1, max_queue=50)
        calls = [asyncio.ensure_future(hold(limiter, 1)) for _ in range(52)]
        await asyncio.sleep(0)
        limiter.close()
        await limiter.close()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)

        assert outcomes[0] is None
        assert [type(outcome) for outcome in outcomes[1:51]] == [Closed] * 50
        assert type(outcomes[51]) is QueueFull
        assert level(limiter) == 59
        with pytest.raises(Closed):
            await hold(limiter, 0)
        with pytest.raises(Closed):
            async with limiter:
                pass
        at_rest(limiter)

    virtual(main)


def test_drain_serves_the_queue_and_lets_nobody_new_in() -> None:
    """Those queued are served, those out awaited, those who come now refused; then it may open again."""

    async def main() -> None:
        limiter = Limiter(per_second(requests=10), max_in_flight=2)
        served: list[object] = []
        calls = [asyncio.ensure_future(hold(limiter, 1, served, number)) for number in range(5)]
        await asyncio.sleep(0)
        drainer = asyncio.ensure_future(limiter.drain())
        second = asyncio.ensure_future(limiter.drain())
        await asyncio.sleep(0)
        with pytest.raises(Closed, match="draining"):
            await hold(limiter, 0)

        assert await drainer
        assert await second
        assert served == [0, 1, 2, 3, 4]
        assert all(call.done() for call in calls) or await asyncio.sleep(0) is None
        async with limiter:
            await hold(limiter, 0)
        at_rest(limiter)

    virtual(main)


def test_drain_gives_up_when_it_is_told_to() -> None:
    """After its time it says False; what is out stays out and close() deals with the queue."""

    async def main() -> None:
        limiter = Limiter(per_second(requests=10), max_in_flight=1)
        calls = [asyncio.ensure_future(hold(limiter, 100)) for _ in range(2)]
        await asyncio.sleep(0)
        began = asyncio.get_running_loop().time()
        assert not await limiter.drain(timeout_s=5)
        assert asyncio.get_running_loop().time() - began == pytest.approx(5)
        limiter.close()
        assert await limiter.drain(timeout_s=200)
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert outcomes[0] is None
        assert type(outcomes[1]) is Closed

    virtual(main)


def test_leaving_the_limiter_after_an_error_closes_it() -> None:
    """``async with Limiter()`` drains; after an error nobody is there for the queue, so it is closed."""

    async def main() -> None:
        calls: list[asyncio.Future[None]] = []
        with pytest.raises(ValueError, match="mine"):
            async with Limiter(per_second(requests=10), max_in_flight=1) as limiter:
                calls += [asyncio.ensure_future(hold(limiter, 1)) for _ in range(2)]
                await asyncio.sleep(0)
                raise ValueError("mine")
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert outcomes[0] is None
        assert type(outcomes[1]) is Closed

    virtual(main)


def test_a_blocked_loop_makes_no_burst() -> None:
    """Five seconds in which user code held the loop give back one bucket, not five."""

    async def main() -> None:
        limiter = Limiter(per_second(requests=10), max_in_flight=1000)
        calls = [asyncio.ensure_future(hold(limiter, 0)) for _ in range(100)]
        await asyncio.sleep(0.05)
        before = limiter.statistics().keys["default"].granted
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.clock.advance(5)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert limiter.statistics().keys["default"].granted - before <= 10
        await asyncio.gather(*calls)

    virtual(main)


def test_the_first_byte_starts_the_clock_of_the_ramp() -> None:
    """Where it is told, silence counts from it, and the call that waits for the silence goes by time alone."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        limiter = Limiter()
        limiter.reports_written()
        began: list[float] = []

        async def call() -> None:
            async with limiter.permit() as permit:
                began.append(round(loop.elapsed_s, 3))
                await asyncio.sleep(0.1)
                permit.written()
                await asyncio.sleep(60)

        calls = [asyncio.ensure_future(call()) for _ in range(5)]
        await asyncio.sleep(10)
        assert began == [0, 0, 0, 0, 0.35]
        await asyncio.gather(*calls)
        at_rest(limiter)

    virtual(main)
