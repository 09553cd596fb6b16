"""How a call ends that is not over when its time is, or its limiter, or its task."""

from __future__ import annotations

import asyncio

import pytest

from ratelimit_client import (
    Backoff,
    Closed,
    DeadlineExceeded,
    DeadlineExpiredInQueue,
    Limiter,
    Overloaded,
    RetryPolicy,
    Throttled,
)
from ratelimit_client.runtime.attempts import Attempt
from tests.runtime.servers import AiohttpLike, Scripted, refusal
from tests.runtime.test_attempts import limiter_of, run
from tests.runtime.torture import at_rest, level, virtual

# -- deadlines ------------------------------------------------------------------------------------


def test_a_deadline_over_the_body_of_an_attempt() -> None:
    """The attempt is cancelled at the deadline of the whole call and says how many there were."""

    async def main() -> None:
        limiter = limiter_of()
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(DeadlineExceeded) as caught:
            await run(limiter, Scripted(500, 200, latency_s=2), deadline=3)
        assert loop.time() - began == pytest.approx(3, abs=1e-5)
        assert caught.value.attempts == 2
        at_rest(limiter)

    virtual(main)


def test_a_deadline_in_the_queue_after_a_try() -> None:
    """It was sent before, so it is DeadlineExceeded, from the outcome it had."""

    async def main() -> None:
        limiter = limiter_of(max_in_flight=1)
        began = asyncio.get_running_loop().time()

        async def blocker() -> None:
            async with limiter.permit():
                await asyncio.sleep(100)

        async def call() -> None:
            async for attempt in limiter.attempts(deadline=5):
                async with attempt:
                    blocking.append(asyncio.ensure_future(blocker()))
                    await asyncio.sleep(1)
                    await attempt.check(AiohttpLike(503, {"x-request-id": "req_503"}))

        blocking: list[asyncio.Future[None]] = []
        with pytest.raises(DeadlineExceeded, match="1 try") as caught:
            await call()
        assert asyncio.get_running_loop().time() - began == pytest.approx(5, abs=1e-5)
        assert (caught.value.attempts, caught.value.request_id) == (1, "req_503")
        assert isinstance(caught.value.__cause__, Overloaded)
        await blocking[0]
        at_rest(limiter)

    virtual(main)


def test_a_deadline_before_the_first_try() -> None:
    """Never sent: DeadlineExpiredInQueue, and nothing charged."""

    async def main() -> None:
        limiter = limiter_of(max_in_flight=1)
        permit = await limiter.permit()
        with pytest.raises(DeadlineExpiredInQueue):
            await run(limiter, Scripted(200), deadline=1)
        permit.finish()
        assert level(limiter) == 99

    virtual(main)


def test_a_retry_that_could_only_come_too_late_is_not_waited_for() -> None:
    """The server asks for ten seconds, the deadline is in five: the refusal leaves the loop at once."""

    async def main() -> None:
        with pytest.raises(Throttled, match="after the deadline"):
            await run(limiter_of(), Scripted(refusal("10")), deadline=5)

    assert virtual(main).elapsed_s < 1


# -- closing, cancelling, dropping ------------------------------------------------------------------


def test_closed_between_two_attempts_the_last_outcome_counts() -> None:
    """To say that nothing was sent would be a lie about a call that was tried."""

    async def main() -> None:
        limiter = limiter_of()
        call = asyncio.ensure_future(run(limiter, Scripted(refusal("60"), 200)))
        await asyncio.sleep(1)
        limiter.close()
        with pytest.raises(Throttled) as caught:
            await call
        assert isinstance(caught.value.__cause__, Closed)
        with pytest.raises(Closed):
            await run(limiter, Scripted(200))
        at_rest(limiter)

    virtual(main)


def test_cancellation_is_never_swallowed() -> None:
    """In the body, in the queue, with a policy that retries everything: the task is cancelled."""

    async def main() -> None:
        for wait_s in (0.05, 0.5):
            limiter = limiter_of(retry=RetryPolicy(retry_on=lambda outcome: True))
            task = asyncio.ensure_future(run(limiter, Scripted(refusal("5"), 200)))
            await asyncio.sleep(wait_s)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert task.cancelled()
            at_rest(limiter)

    virtual(main)


def test_an_attempt_that_is_not_entered_is_noticed() -> None:
    """Forgetting ``async with attempt`` would spin for ever; it raises instead."""

    async def main() -> None:
        limiter = limiter_of()
        with pytest.raises(RuntimeError, match="was not used up"):
            async for _ in limiter.attempts():
                pass
        at_rest(limiter)

    virtual(main)


def test_a_later_attempt_that_is_dropped_gives_its_place_back() -> None:
    """Its turn had come before it was entered; dropped, it is free again."""

    async def main() -> None:
        limiter = limiter_of()
        attempts = limiter.attempts()
        first = await anext(attempts)
        async with first:
            await first.check(AiohttpLike(503))
        second = await anext(attempts)
        assert isinstance(second, Attempt)
        assert limiter.in_flight == 1
        del second  # whoever was cancelled before he entered it
        at_rest(limiter)
        with pytest.raises(RuntimeError, match="attempt 2 was not used up"):
            await anext(attempts)

    virtual(main)


def test_patience_ends_with_the_last_outcome() -> None:
    """A call without a deadline that waits for a server that is gone leaves with what it last met."""

    async def main() -> None:
        limiter = limiter_of(retry=RetryPolicy(max_outage_s=10, backoff=Backoff(30, 30, floor_s=30)))
        call = asyncio.ensure_future(run(limiter, Scripted(503)))
        await asyncio.sleep(1)
        for _ in range(9):  # ten in a row, with the one above
            with pytest.raises(ConnectionResetError):
                await run(limiter, Scripted(ConnectionResetError()), policy=RetryPolicy.none())
        began = asyncio.get_running_loop().time()
        with pytest.raises(Overloaded) as caught:
            await call
        assert asyncio.get_running_loop().time() - began == pytest.approx(10, abs=1)
        assert isinstance(caught.value.__cause__, DeadlineExpiredInQueue)
        at_rest(limiter)

    virtual(main)


def test_drain_waits_for_a_call_that_is_tried_again() -> None:
    """Between two attempts nothing is out and nothing queued for an instant; drain is not fooled by it."""

    async def main() -> None:
        limiter = limiter_of()
        call = asyncio.ensure_future(run(limiter, Scripted(503, 503, 200)))
        await asyncio.sleep(0.05)
        assert await limiter.drain()
        await asyncio.sleep(0)
        assert call.done()
        assert await call == 3

    virtual(main)


# -- what is not the server's ---------------------------------------------------------------------


def test_a_retry_on_that_raises_holds_no_place() -> None:
    """Its error leaves the loop, with the attempt's own behind it."""

    def broken(outcome: object) -> bool:
        raise ZeroDivisionError

    async def main() -> None:
        limiter = limiter_of(retry=RetryPolicy(retry_on=broken))
        with pytest.raises(ZeroDivisionError) as caught:
            await run(limiter, Scripted(ConnectionResetError()))
        assert isinstance(caught.value.__context__, ConnectionResetError)
        at_rest(limiter)

    virtual(main)


def test_an_attempt_finished_inside_is_the_last() -> None:
    """finish() ends the call: its place is given back once, and there is no further attempt."""

    async def main() -> None:
        limiter = limiter_of()
        numbers = []
        async with limiter.permit():
            async for attempt in limiter.attempts():
                async with attempt:
                    numbers.append(attempt.number)
                    attempt.finish()
            assert limiter.in_flight == 1
        assert numbers == [1]
        at_rest(limiter)

    virtual(main)


def test_what_fails_after_the_attempt_was_finished_is_not_retried() -> None:
    """It leaves the loop as it is."""

    async def main() -> None:
        limiter = limiter_of()
        with pytest.raises(ConnectionResetError):
            async for attempt in limiter.attempts():
                async with attempt:
                    attempt.finish()
                    raise ConnectionResetError
        at_rest(limiter)

    virtual(main)


def test_an_attempt_finished_inside_still_has_its_deadline() -> None:
    """The deadline is over the body, however early the body gave its place back."""

    async def main() -> None:
        limiter = limiter_of()
        with pytest.raises(DeadlineExceeded):
            async for attempt in limiter.attempts(deadline=2):
                async with attempt:
                    attempt.finish()
                    await asyncio.sleep(5)
        at_rest(limiter)

    virtual(main)


def test_closed_to_by_the_refusal_of_another_it_tells_how_often_it_was_sent() -> None:
    """It failed once and waits to go again; then the server asks others for an hour, which it will not wait."""

    async def main() -> None:
        limiter = limiter_of(retry=RetryPolicy(max_hint_s=10, backoff=Backoff(30, 30, floor_s=30)))
        waits = asyncio.ensure_future(run(limiter, Scripted(500)))
        await asyncio.sleep(1)
        with pytest.raises(Throttled) as other:
            await run(limiter, Scripted(refusal("3600")))
        with pytest.raises(Throttled) as caught:
            await waits
        assert (other.value.attempts, caught.value.attempts) == (1, 1)
        at_rest(limiter)

    virtual(main)


@pytest.mark.parametrize("how", ["refused", "raised"])
def test_what_is_held_and_did_not_go_well_is_not_kept(how: str) -> None:
    """A body that said ``hold()`` too early: the attempt is judged as if it had not."""

    async def main() -> None:
        limiter = limiter_of(retry=RetryPolicy(max_attempts=1, max_refusals=0))
        kept = []
        with pytest.raises(Throttled if how == "refused" else ZeroDivisionError):
            async for attempt in limiter.attempts():
                kept.append(attempt)
                async with attempt:
                    attempt.observe(429 if how == "refused" else 200, {})
                    attempt.hold()
                    if how == "raised":
                        raise ZeroDivisionError
        assert limiter.in_flight == 0
        assert len(kept) == 1

    virtual(main)


def test_a_success_may_go_unread_once_it_is_sure_who_answers() -> None:
    """Until then each is looked at, and from there on one in a few milliseconds."""
    headers = {"x-ratelimit-limit-requests": "100", "x-ratelimit-remaining-requests": "90"}

    async def main() -> None:
        for dialect, unread in (("auto", False), ("openai", True)):
            limiter = Limiter(dialect=dialect)
            async with limiter.permit() as permit:
                permit.observe(200, headers)
            async with limiter.permit() as permit:
                assert permit.unread(200) is unread
                assert (permit.signals is not None) is unread

    virtual(main)
