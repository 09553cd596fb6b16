"""How calls and limiters end, as the contract describes it: deadlines, drain, close, and who is told."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from ratelimit_client import (
    Closed,
    DeadlineExceeded,
    DeadlineExpiredInQueue,
    DeadlineUnreachable,
    Limiter,
    NotAdmitted,
    per_minute,
)
from tests.acceptance.library import at_zero, empty, now_s, tell


def test_a_deadline_that_cannot_be_kept_is_said_at_once() -> None:
    """
    DeadlineUnreachable at submit, with the least wait; it is a TimeoutError and nothing was charged.
    """

    async def story() -> None:
        limiter = Limiter("60/min")
        empty(limiter)
        ahead = [asyncio.create_task(limiter.call(asyncio.sleep, 0)) for _ in range(10)]
        await asyncio.sleep(0)
        began = now_s()
        with pytest.raises(DeadlineUnreachable) as caught:
            async with limiter.permit(deadline=5):
                pass
        assert now_s() == began
        assert isinstance(caught.value, NotAdmitted)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.ready_in_s == pytest.approx(10, abs=1)
        # A better band has nobody ahead.
        async with limiter.permit(deadline=5, priority=-1):
            pass
        await asyncio.gather(*ahead)
        assert now_s() - began == pytest.approx(11, abs=1)
        assert at_zero(limiter)

    tell(story)


@pytest.mark.parametrize("deadline", [0, 0.0, -1, -1e9])
def test_a_deadline_of_nothing_is_over_before_it_begins(deadline: float) -> None:
    """
    Whichever way it is asked for, though the bucket is full: not sent, not charged.
    """

    async def story() -> None:
        limiter = Limiter("10/min")
        with pytest.raises(DeadlineExpiredInQueue):
            async with limiter.permit(deadline=deadline):
                pass
        with pytest.raises(DeadlineExpiredInQueue):
            limiter.permit_nowait(deadline=deadline)
        with pytest.raises(DeadlineExpiredInQueue):
            await limiter.call(asyncio.sleep, 0, deadline=deadline)
        assert all(key.granted == 0 for key in limiter.statistics().keys.values())
        assert at_zero(limiter)

    tell(story)


def test_a_deadline_that_passes_in_the_queue_was_never_sent() -> None:
    """
    Behind a call that holds the only slot: DeadlineExpiredInQueue exactly at the deadline, with the time it waited.
    """

    async def story() -> None:
        limiter = Limiter(max_in_flight=1)
        async with limiter.permit():
            began = now_s()
            with pytest.raises(DeadlineExpiredInQueue) as caught:
                async with limiter.permit(deadline=7):
                    pass
            assert now_s() - began == pytest.approx(7)
            assert caught.value.waited_s == pytest.approx(7)
            assert isinstance(caught.value, NotAdmitted)
        assert limiter.statistics().keys["default"].granted == 1
        assert at_zero(limiter)

    tell(story)


def test_a_call_still_running_at_its_deadline_is_cancelled_and_its_charge_stays() -> None:
    """
    DeadlineExceeded, a TimeoutError and no NotAdmitted; the queue counts as part of the time.
    """

    async def story() -> None:
        limiter = Limiter(per_minute(tokens=600))
        cancelled = False
        async with limiter.permit(tokens=600):
            pass
        began = now_s()
        with pytest.raises(DeadlineExceeded) as caught:
            async with limiter.permit(tokens=100, deadline=15):
                try:
                    await asyncio.sleep(1000)
                except asyncio.CancelledError:
                    cancelled = True
                    raise
        assert cancelled
        assert now_s() - began == pytest.approx(15)
        assert isinstance(caught.value, TimeoutError)
        assert not isinstance(caught.value, NotAdmitted)
        assert (caught.value.attempts, caught.value.request_id) == (1, None)
        # 10 a second for 15 s, less the 100 that it took.
        assert limiter.statistics().keys["default"].buckets["tokens"].level == pytest.approx(50, abs=1)
        assert at_zero(limiter)

    tell(story)


def test_a_cancellation_of_ones_own_is_no_deadline() -> None:
    """
    Cancelled by somebody else while a deadline is set: CancelledError and nothing else.
    """

    async def story() -> None:
        limiter = Limiter()

        async def call() -> None:
            async with limiter.permit(deadline=10):
                await asyncio.sleep(100)

        task = asyncio.create_task(call())
        await asyncio.sleep(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert at_zero(limiter)

    tell(story)


# -- the end -----------------------------------------------------------------------------------


def test_drain_finishes_what_is_there_and_takes_nothing_new() -> None:
    """
    Those queued and those out end well; a new one is Closed; a time limit that passes is False.
    """

    async def story() -> None:
        limiter = Limiter("60/min")
        empty(limiter)
        calls = [asyncio.create_task(limiter.call(asyncio.sleep, 1)) for _ in range(10)]
        await asyncio.sleep(0)
        assert await limiter.drain(timeout_s=2) is False
        with pytest.raises(Closed):
            async with limiter.permit():
                pass
        assert await limiter.drain() is True
        assert all(call.done() and call.exception() is None for call in calls)
        assert at_zero(limiter)

    tell(story)


def test_async_with_a_limiter_drains() -> None:
    """
    Leaving the block waits; by an error it does not: those queued are Closed.
    """

    async def story() -> None:
        async with Limiter("60/min") as limiter:
            empty(limiter)
            calls = [asyncio.create_task(limiter.call(asyncio.sleep, 1)) for _ in range(5)]
            await asyncio.sleep(0)
        assert all(call.done() for call in calls)

        with pytest.raises(ZeroDivisionError):
            async with Limiter("60/min") as limiter:
                empty(limiter)
                calls = [asyncio.create_task(limiter.call(asyncio.sleep, 1)) for _ in range(5)]
                await asyncio.sleep(0)
                raise ZeroDivisionError
        assert {type(each) for each in await asyncio.gather(*calls, return_exceptions=True)} == {Closed}

    tell(story)


def test_close_fails_those_queued_and_lets_those_out_finish() -> None:
    """
    And is final, and may be called twice, with or without await.
    """

    async def story() -> None:
        limiter = Limiter(max_in_flight=2)
        calls = [asyncio.create_task(limiter.call(asyncio.sleep, 5, "done")) for _ in range(6)]
        await asyncio.sleep(1)
        limiter.close()
        await limiter.close()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert ends[:2] == ["done", "done"]
        assert {type(end) for end in ends[2:]} == {Closed}
        with pytest.raises(Closed):
            limiter.permit_nowait()
        assert at_zero(limiter)

    tell(story)


def test_pacing_spreads_the_starts() -> None:
    """
    Ten a second although the quota would let a hundred go at once.
    """

    async def story() -> list[float]:
        limiter = Limiter("6000/min", pacing=10)
        began, starts = now_s(), []

        async def call() -> None:
            async with limiter.permit():
                starts.append(now_s() - began)

        await asyncio.gather(*(call() for _ in range(50)))
        assert at_zero(limiter)
        return starts

    starts = tell(story)
    assert max(later - sooner for sooner, later in itertools.pairwise(starts)) <= 0.11
    assert min(later - sooner for sooner, later in itertools.pairwise(starts)) >= 0.09


def test_events_are_told_to_whoever_asked() -> None:
    """
    on_event hears of grants and answers, and one that raises breaks no call.
    """

    async def story() -> None:
        heard: list[str] = []

        def hear(event: Any) -> None:
            heard.append(event.kind.value)
            raise RuntimeError("an instrument that fails")

        limiter = Limiter(on_event=hear)
        async with limiter.permit() as permit:
            permit.observe(200, {})
        await asyncio.sleep(0)
        assert {"granted", "answered", "released"} <= set(heard)
        assert at_zero(limiter)

    tell(story)
