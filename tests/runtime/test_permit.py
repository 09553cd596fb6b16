"""The right to make one call, and what its end teaches."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Iterator
from typing import Any

import pytest

from ratelimit_client import (
    Cost,
    CostExceedsQuota,
    DeadlineExceeded,
    DeadlineExpiredInQueue,
    DeadlineUnreachable,
    Limiter,
    QueueFull,
    Reason,
    Throttled,
    TransportError,
    WouldBlock,
    per_hour,
    per_minute,
    per_second,
)
from ratelimit_client.core.concurrency import Ending
from tests.runtime.torture import at_rest, level, virtual

OPENAI_429 = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": "59s",
    "openai-processing-ms": "4",
    "x-request-id": "req_1",
}


def endings(limiter: Limiter) -> list[Ending]:
    """The endings the scheduler is told from now on."""
    told: list[Ending] = []
    scheduler = limiter._desk.dispatcher.scheduler
    release = scheduler.release

    def listen(ticket: Any, ending: Ending, now_ns: int) -> None:
        told.append(ending)
        release(ticket, ending, now_ns)

    scheduler.release = listen  # type: ignore[method-assign]  # a listener, the machine behind it is the real one
    return told


@contextlib.contextmanager
def expected(raised: Exception | None) -> Iterator[None]:
    """What the body raises goes through as it is."""
    if raised is None:
        yield
        return
    with pytest.raises(type(raised)) as caught:
        yield
    assert caught.value is raised


class Refused(Exception):
    """As SDKs raise it: with the response on it."""

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        super().__init__(f"{status}")
        self.response = type("Response", (), {"status_code": status, "headers": headers})()


# -- how a call ended -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("observed", "raised", "ending"),
    [
        (None, None, Ending.SUCCEEDED),
        (200, None, Ending.SUCCEEDED),
        (429, None, Ending.IGNORED),
        (400, None, Ending.IGNORED),
        (500, None, Ending.IGNORED),
        (503, None, Ending.DROPPED),
        (529, None, Ending.DROPPED),
        (None, ConnectionResetError(), Ending.DROPPED),
        (None, TimeoutError(), Ending.DROPPED),
        (None, TransportError("no answer", unsent=True), Ending.DROPPED),
        (200, ConnectionResetError(), Ending.DROPPED),
        (None, Refused(503, {}), Ending.DROPPED),
        (None, Refused(429, {}), Ending.IGNORED),
        (None, ValueError("mine"), Ending.IGNORED),
        (None, FileNotFoundError("mine too"), Ending.IGNORED),
        (200, ValueError("mine"), Ending.IGNORED),
        (429, ConnectionResetError(), Ending.IGNORED),
    ],
)
def test_the_end_of_a_call_is_read_off_what_was_seen(
    observed: int | None, raised: Exception | None, ending: Ending
) -> None:
    """Succeeded, ignored or dropped, by the answer if there was one, else by what was raised."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60))
        told = endings(limiter)
        with expected(raised):
            async with limiter.permit() as permit:
                if observed is not None:
                    permit.observe(observed, {})
                if raised is not None:
                    raise raised
        assert told == [ending]
        at_rest(limiter)

    virtual(main)


def test_a_cancelled_call_teaches_nothing() -> None:
    """Cancelled in flight: ignored."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60))
        told = endings(limiter)

        async def call() -> None:
            async with limiter.permit():
                await asyncio.sleep(10)

        task = asyncio.ensure_future(call())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert told == [Ending.IGNORED]

    virtual(main)


# -- what stays charged -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raised", "left"),
    [
        (None, 59),
        (ValueError(), 59),
        (ConnectionResetError(), 59),
        (ConnectionRefusedError(), 60),
        (TransportError("nobody there", unsent=True), 60),
        (TransportError("cut off"), 59),
    ],
)
def test_a_charge_comes_back_only_when_nothing_was_written(raised: Exception | None, left: int) -> None:
    """A refused connection costs nothing; a lost answer may have cost the server work."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60))
        with expected(raised):
            async with limiter.permit():
                if raised is not None:
                    raise raised
        assert level(limiter) == left

    virtual(main)


def test_unsent_gives_back_once_and_holds_the_place() -> None:
    """The charge comes back at once, once; the place is free when the body ends."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60, tokens=1000))
        async with limiter.permit(tokens=100) as permit:
            assert (level(limiter), level(limiter, "tokens")) == (59, 900)
            permit.unsent()
            permit.unsent()
            assert (level(limiter), level(limiter, "tokens")) == (60, 1000)
            assert limiter.in_flight == 1
        at_rest(limiter)

    virtual(main)


def test_an_answer_corrects_the_level() -> None:
    """What is observed reaches the bucket it speaks of."""

    async def main() -> None:
        limiter = Limiter(per_minute(requests=60), dialect="openai")
        async with limiter.permit() as permit:
            signals = permit.observe(429, OPENAI_429, b'{"error": {"code": "rate_limit_exceeded"}}')
            assert signals.reason is Reason.RATE_LIMITED
            assert permit.signals is signals
        assert level(limiter) == 0
        assert limiter.statistics().keys["default"].refused == 1

    virtual(main)


def test_settling_twice_or_late_breaks_nothing() -> None:
    """settle() may come after the body, and reports more than was reserved as readily as less."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60, tokens=1000))
        async with limiter.permit(tokens=100) as permit:
            permit.written()
            permit.settle(tokens=80)
        permit.settle(tokens=5000)
        at_rest(limiter)

    virtual(main)


# -- asking ------------------------------------------------------------------------------------


def test_costs_can_be_said_in_three_ways() -> None:
    """tokens=n, a Cost, a mapping: all charge every bucket they name, together."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60, tokens=1000, images=10))
        async with limiter.permit(tokens=100):
            pass
        async with limiter.permit(cost=Cost(tokens=100, images=1)):
            pass
        async with limiter.permit(cost={"images": 2}, tokens=100):
            pass
        assert [level(limiter, unit) for unit in ("requests", "tokens", "images")] == [57, 700, 7]

    virtual(main)


def test_permit_nowait_grants_or_says_when() -> None:
    """Granted at the call, or WouldBlock with the time it takes; neither leaves anything behind."""

    async def main() -> None:
        limiter = Limiter(per_second(requests=1))
        async with limiter.permit_nowait():
            assert limiter.in_flight == 1
        with pytest.raises(WouldBlock) as caught:
            limiter.permit_nowait()
        assert caught.value.ready_in_s == pytest.approx(1, abs=0.01)
        await asyncio.sleep(caught.value.ready_in_s)
        limiter.permit_nowait().finish()
        at_rest(limiter)

    virtual(main)


def test_a_call_that_cannot_go_is_refused_before_it_costs_anything() -> None:
    """Too large, too many, too late: each has its error, and the level stays where it was."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60, tokens=1000), max_in_flight=1, max_queue=1)
        with pytest.raises(CostExceedsQuota, match="1,001 tokens"):
            async with limiter.permit(tokens=1001):
                pass
        with pytest.raises(ValueError, match="priority"):
            limiter.permit(priority=3)
        async with limiter.permit(tokens=1000):
            with pytest.raises(DeadlineUnreachable):
                async with limiter.permit(tokens=500, deadline=1):
                    pass
            waiting = asyncio.ensure_future(_enter(limiter))
            await asyncio.sleep(0)
            with pytest.raises(QueueFull):
                async with limiter.permit():
                    pass
        await waiting
        assert level(limiter) == 58
        at_rest(limiter)

    virtual(main)


async def _enter(limiter: Limiter, **options: Any) -> None:
    async with limiter.permit(**options):
        pass


def test_a_permit_is_for_one_call() -> None:
    """Entered twice, or used before it is entered, it says so."""

    async def main() -> None:
        limiter = Limiter()
        permit = limiter.permit()
        with pytest.raises(RuntimeError, match="not entered"):
            permit.observe(200, {})
        async with permit:
            with pytest.raises(RuntimeError, match="one call"):
                async with permit:
                    pass
        with pytest.raises(RuntimeError, match="one call"):
            await permit
        with pytest.raises(RuntimeError, match="one call"):
            permit.take_now()
        at_rest(limiter)

    virtual(main)


# -- outliving a function ----------------------------------------------------------------------


def test_an_awaited_permit_lasts_until_it_is_finished() -> None:
    """permit = await ...; finish() ends it, once, with the error if there was one."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60))
        told = endings(limiter)
        permit = await limiter.permit(deadline=5)
        assert limiter.in_flight == 1
        await asyncio.sleep(10)
        permit.finish(ConnectionResetError())
        permit.finish()
        assert told == [Ending.DROPPED]
        at_rest(limiter)

    virtual(main)


def test_a_forgotten_permit_comes_back_with_a_warning() -> None:
    """Granted, never entered, dropped: the place is free again, and the author is told."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60))
        permit = limiter.permit_nowait()
        assert "granted" in repr(permit)
        with pytest.warns(ResourceWarning, match="async with"):
            del permit
            gc.collect()
        at_rest(limiter)

        quiet = await limiter.permit()
        del quiet  # dropped on purpose by a stream that was dropped: no warning, the same effect
        gc.collect()
        at_rest(limiter)

    virtual(main)


# -- the deadline ------------------------------------------------------------------------------


def test_a_deadline_in_the_queue_costs_nothing() -> None:
    """It expires there at its instant, unsent and uncharged."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60), max_in_flight=1)
        loop = asyncio.get_running_loop()
        async with limiter.permit():
            began = loop.time()
            with pytest.raises(DeadlineExpiredInQueue) as caught:
                async with limiter.permit(deadline=2):
                    pass
            assert loop.time() - began == pytest.approx(2, abs=1e-5)
            assert caught.value.waited_s == pytest.approx(2, abs=1e-5)
        assert level(limiter) == 59
        at_rest(limiter)

    virtual(main)


def test_a_deadline_in_the_body_cancels_it_and_keeps_the_charge() -> None:
    """The body gets a CancelledError at the instant, the caller a DeadlineExceeded with what is known."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60))
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(DeadlineExceeded) as caught:
            async with limiter.permit(deadline=2) as permit:
                permit.observe(200, {"x-request-id": "req_7", "openai-version": "1"})
                await asyncio.sleep(100)
        assert loop.time() - began == pytest.approx(2, abs=1e-5)
        assert (caught.value.attempts, caught.value.request_id) == (1, "req_7")
        assert isinstance(caught.value, TimeoutError)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0, "nothing of our cancellation is left"
        assert level(limiter) == 59
        at_rest(limiter)

    virtual(main)


def test_a_deadline_counts_from_the_asking_not_from_the_grant() -> None:
    """Two seconds in the queue leave one of three for the body."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60), max_in_flight=1)
        loop = asyncio.get_running_loop()
        first = await limiter.permit()
        loop.call_later(2, first.finish)
        began = loop.time()
        with pytest.raises(DeadlineExceeded):
            async with limiter.permit(deadline=3):
                assert loop.time() - began == pytest.approx(2, abs=1e-5)
                await asyncio.sleep(100)
        assert loop.time() - began == pytest.approx(3, abs=1e-5)

    virtual(main)


def test_a_body_that_ends_in_time_leaves_no_timer() -> None:
    """The watch ends with the body."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60))
        async with limiter.permit(deadline=1000):
            await asyncio.sleep(1)
        at_rest(limiter)

    assert virtual(main).elapsed_s < 2


def test_a_cancellation_from_outside_is_no_deadline() -> None:
    """Cancelled by somebody else at the very same instant, the call is cancelled, not timed out."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60))

        async def call() -> None:
            async with limiter.permit(deadline=1):
                await asyncio.sleep(10)

        task = asyncio.ensure_future(call())
        asyncio.get_running_loop().call_later(1, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        at_rest(limiter)

    virtual(main)


def test_only_its_own_scope_is_cancelled() -> None:
    """An outer asyncio.timeout that expires first is a TimeoutError of its own, and vice versa."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60))
        with pytest.raises(TimeoutError) as outer:
            async with asyncio.timeout(1), limiter.permit(deadline=5):
                await asyncio.sleep(10)
        assert not isinstance(outer.value, DeadlineExceeded)
        with pytest.raises(DeadlineExceeded):
            async with asyncio.timeout(5), limiter.permit(deadline=1):
                await asyncio.sleep(10)
        async with asyncio.TaskGroup() as group:
            group.create_task(_enter(limiter, deadline=1))
        at_rest(limiter)

    virtual(main)


def test_an_error_of_ours_in_the_body_is_learnt_from() -> None:
    """A Throttled raised by something inside carries its signals; they count like an observed answer."""

    async def main() -> None:
        limiter = Limiter(per_second(requests=10))
        other = Limiter()
        async with other.permit() as permit:
            signals = permit.observe(429, {"retry-after": "7"})
        with pytest.raises(Throttled):
            async with limiter.permit():
                raise Throttled("no", status=429, reason="rate_limited", signals=signals)
        assert limiter.statistics().keys["default"].refused == 1

    virtual(main)
