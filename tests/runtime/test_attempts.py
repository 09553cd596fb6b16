"""A loop over attempts ends in a return, an error, or after a success."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ratelimit_client import (
    Backoff,
    Closed,
    DeadlineExpiredInQueue,
    Limiter,
    Overloaded,
    QuotaExhausted,
    ResponseError,
    RetryPolicy,
    Signals,
    Throttled,
    TransportError,
    per_hour,
    per_minute,
)
from tests.runtime.servers import QUOTA_BODY, AiohttpLike, Scripted, refusal
from tests.runtime.torture import at_rest, level, virtual

QUICK = RetryPolicy(backoff=Backoff(base_s=0.2, cap_s=0.2, floor_s=0.2))


def limiter_of(**options: Any) -> Limiter:
    return Limiter(per_hour(requests=100), dice=lambda: 0.0, **{"retry": QUICK, **options})


async def run(limiter: Limiter, server: Scripted, **options: Any) -> int:
    """The loop as users write it; returns the number of the attempt that succeeded."""
    async for attempt in limiter.attempts(**options):
        async with attempt, await server.post() as response:
            await attempt.check(response)
            return attempt.number
    raise AssertionError("the loop ended empty-handed")


# -- outcomes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "number", "left"),
    [
        ([200], 1, 99),
        ([refusal(), 200], 2, 0),  # what a refusal proves: the server's bucket was empty
        ([refusal(), refusal(), 200], 3, 0),
        ([503, 200], 2, 98),
        ([500, 502, 504, 200], 4, 96),
        ([ConnectionResetError(), 200], 2, 98),
        ([ConnectionRefusedError(), 200], 2, 99),
        ([TimeoutError(), 200], 2, 98),
        ([TransportError("cut", unsent=False), 200], 2, 98),
    ],
)
def test_what_may_be_retried_is_swallowed_and_tried_again(answers: list[Any], number: int, left: int) -> None:
    """Refusals, overload and lost answers: through the queue once more, each send charged as it must be."""

    async def main() -> None:
        limiter, server = limiter_of(), Scripted(*answers)
        assert await run(limiter, server) == number
        assert server.calls == number
        assert all(response.closed for response in server.responses)
        assert level(limiter) in (left, left + 1)  # an hour's bucket gets a unit back in 36 s
        at_rest(limiter)

    virtual(main)


@pytest.mark.parametrize(
    ("answer", "kind", "status"),
    [
        (400, ResponseError, 400),
        (404, ResponseError, 404),
        (AiohttpLike(429, {}, QUOTA_BODY), QuotaExhausted, 429),
        (AiohttpLike(503, {"x-should-retry": "false"}), Overloaded, 503),
        (refusal("500"), Throttled, 429),
    ],
)
def test_what_may_not_be_retried_leaves_the_loop(answer: Any, kind: type[ResponseError], status: int) -> None:
    """The caller's own 4xx, an exhausted quota, a hint above the cap: one call, one error with the evidence."""

    async def main() -> None:
        limiter, server = limiter_of(), Scripted(answer)
        with pytest.raises(kind) as caught:
            await run(limiter, server)
        assert (server.calls, caught.value.status, caught.value.attempts) == (1, status, 1)
        assert isinstance(caught.value.signals, Signals)
        at_rest(limiter)

    virtual(main)


def test_a_hint_above_the_cap_is_told_not_slept() -> None:
    """The error says the time and the bound that forbade to wait for it."""

    async def main() -> None:
        with pytest.raises(Throttled, match=r"wait 500 s.*max_hint_s is 120") as caught:
            await run(limiter_of(), Scripted(refusal("500")))
        assert caught.value.signals is not None
        assert caught.value.signals.retry_after_s == 500
        assert caught.value.request_id == "req_429"
        assert "rate_limit_exceeded" in caught.value.body_excerpt

    assert virtual(main).elapsed_s < 1


def test_the_last_of_many_failures_is_the_error() -> None:
    """After max_attempts the error of the last attempt leaves the loop and tells how it went."""

    async def main() -> None:
        limiter, server = limiter_of(retry=RetryPolicy(max_attempts=3)), Scripted(500, 500, 503)
        with pytest.raises(Overloaded, match=r"3 attempts.*max_attempts") as caught:
            await run(limiter, server)
        assert (caught.value.attempts, caught.value.reason) == (3, "overloaded")
        assert caught.value.waited_s > 0

        lost = ConnectionResetError("gone")
        with pytest.raises(ConnectionResetError) as own:
            await run(limiter, Scripted(lost), policy=RetryPolicy.none())
        assert own.value is lost, "an exception that is not ours leaves as it is"

        cut = TransportError("cut")
        with pytest.raises(TransportError):
            await run(limiter, Scripted(500, cut), policy=RetryPolicy(max_attempts=2))
        assert cut.attempts == 2
        at_rest(limiter)

    virtual(main)


def test_refusals_are_no_attempts() -> None:
    """Twenty refusals are waited out by a call that may fail but twice; max_refusals bounds them."""

    async def main() -> None:
        limiter = limiter_of(retry=RetryPolicy(max_attempts=2, max_refusals=20))
        assert await run(limiter, Scripted(*[refusal() for _ in range(20)], 200)) == 21
        with pytest.raises(Throttled, match="max_refusals") as caught:
            await run(limiter, Scripted(*[refusal() for _ in range(21)]))
        assert caught.value.attempts == 21

    virtual(main)


def test_no_attempt_starts_earlier_than_the_server_asked() -> None:
    """A hint of seven seconds is a wait of seven seconds and a little, in the queue."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        limiter, server = Limiter(per_minute(requests=6000)), Scripted(refusal("7"), 200)
        began = loop.time()
        async for attempt in limiter.attempts():
            async with attempt:
                if attempt.number == 2:
                    assert 7.1 <= loop.time() - began <= 8
                    assert attempt.queue_s >= 7
                await attempt.check(await server.post())

    virtual(main)


def test_nobody_holds_a_place_while_it_waits_to_be_tried_again() -> None:
    """With room for one, a call that was refused lets the next one go until its time has come."""

    async def main() -> None:
        limiter = limiter_of(max_in_flight=1)
        order: list[str] = []

        async def call(name: str, *answers: Any) -> None:
            await run(limiter, Scripted(*answers))
            order.append(name)

        await asyncio.gather(call("first", 500, 200), call("second", 200), call("third", 200))
        assert order == ["second", "third", "first"]
        at_rest(limiter)

    virtual(main)


# -- how bodies may end -------------------------------------------------------------------------


def test_a_body_that_just_ends_after_a_success_ends_the_loop() -> None:
    """No second call is made for one that succeeded, whether or not check() was asked."""

    async def main() -> None:
        limiter = limiter_of()
        for observed in (None, 200):
            entered = 0
            async for attempt in limiter.attempts():
                async with attempt:
                    entered += 1
                    if observed:
                        attempt.observe(observed, {})
            assert entered == 1
        at_rest(limiter)

    virtual(main)


def test_a_body_that_just_ends_after_a_refusal_is_tried_again() -> None:
    """observe() without raising is enough: the loop goes on, and the last outcome still leaves it."""

    async def main() -> None:
        limiter = limiter_of()
        seen = []
        async for attempt in limiter.attempts():
            async with attempt:
                seen.append(attempt.observe([429, 503, 200][attempt.number - 1], {}).status)
        assert seen == [429, 503, 200]

        with pytest.raises(ResponseError) as caught:
            async for attempt in limiter.attempts():
                async with attempt:
                    attempt.observe(400, {})
        assert caught.value.status == 400
        at_rest(limiter)

    virtual(main)


def test_leaving_with_a_value_is_always_allowed() -> None:
    """return and break inside the body end the call, also after a refusal."""

    async def give_up(limiter: Limiter) -> str:
        async for attempt in limiter.attempts():
            async with attempt:
                attempt.observe(429, {})
                return "enough"
        raise AssertionError("unreachable")

    async def main() -> None:
        limiter = limiter_of()
        assert await give_up(limiter) == "enough"
        async for attempt in limiter.attempts():
            async with attempt:
                break
        at_rest(limiter)

    virtual(main)


def test_errors_of_the_body_are_the_callers_unless_the_policy_retries_them() -> None:
    """A ValueError leaves the loop; retry_on may take it in."""

    async def main() -> None:
        limiter = limiter_of()
        with pytest.raises(ValueError, match="mine"):
            await run(limiter, Scripted(ValueError("mine")))
        policy = RetryPolicy(retry_on=lambda outcome: isinstance(outcome, ValueError) or None)
        assert await run(limiter, Scripted(ValueError("mine"), 200), policy=policy) == 2
        at_rest(limiter)

    virtual(main)


def test_a_status_raised_by_a_library_counts_as_the_answer_it_is() -> None:
    """raise_for_status(): the response on the exception is learnt from and judged."""

    class HTTPStatusError(Exception):
        def __init__(self, response: AiohttpLike) -> None:
            super().__init__("status")
            self.response = response

    async def main() -> None:
        limiter = limiter_of()
        assert await run(limiter, Scripted(HTTPStatusError(refusal()), 200)) == 2
        assert limiter.statistics().keys["default"].refused == 1
        with pytest.raises(HTTPStatusError):
            await run(limiter, Scripted(HTTPStatusError(AiohttpLike(401))))

    virtual(main)


def test_a_call_that_cannot_be_replayed_is_not_tried_again() -> None:
    """Once a one-shot body was begun the next failure is the last."""

    async def main() -> None:
        limiter = limiter_of()
        with pytest.raises(Overloaded, match="cannot be sent a second time"):
            async for attempt in limiter.attempts():
                assert attempt.replayable
                async with attempt:
                    attempt.replayable = False
                    await attempt.check(AiohttpLike(503))

    virtual(main)


# -- taken back -----------------------------------------------------------------------------------


def test_an_attempt_taken_back_was_none() -> None:
    """again(): nothing charged, no attempt counted, nothing asked of the policy, at once."""

    async def main() -> None:
        limiter = limiter_of(retry=RetryPolicy.none())
        numbers = []
        async for attempt in limiter.attempts():
            async with attempt:
                numbers.append(attempt.number)
                if len(numbers) < 3:
                    attempt.again()
                    continue
        assert numbers == [1, 1, 1]
        assert level(limiter) == 99
        at_rest(limiter)

    assert virtual(main).elapsed_s < 0.1


def test_an_attempt_taken_back_keeps_its_rank() -> None:
    """It goes before those who came later."""

    async def main() -> None:
        limiter = limiter_of(max_in_flight=1)
        order: list[str] = []

        async def stale() -> None:
            async for attempt in limiter.attempts():
                async with attempt:
                    if not order:
                        order.append("stale")
                        attempt.again()
                        continue
                    order.append("fresh")

        async def later() -> None:
            async with limiter.permit():
                order.append("later")

        await asyncio.gather(stale(), later())
        assert order == ["stale", "fresh", "later"]

    virtual(main)


def test_what_ends_the_wait_after_again_is_told_as_it_is() -> None:
    """Nothing was sent yet, so it is "not admitted": by the deadline, or because the limiter was closed."""

    async def stale(limiter: Limiter, **options: Any) -> None:
        async for attempt in limiter.attempts(**options):
            async with attempt:
                blocking.append(asyncio.ensure_future(block(limiter)))
                await asyncio.sleep(1)
                attempt.again()

    async def block(limiter: Limiter) -> None:
        async with limiter.permit(priority=-2):
            await asyncio.sleep(100)

    blocking: list[asyncio.Future[None]] = []

    async def main() -> None:
        limiter = limiter_of(max_in_flight=1)
        with pytest.raises(DeadlineExpiredInQueue):
            await stale(limiter, deadline=5)
        await blocking.pop()
        call = asyncio.ensure_future(stale(limiter))
        await asyncio.sleep(2)
        limiter.close()
        with pytest.raises(Closed):
            await call
        await blocking.pop()
        at_rest(limiter)

    virtual(main)


def test_an_error_after_again_is_an_error() -> None:
    """again() asks for another try; an exception that leaves the body says otherwise."""

    async def main() -> None:
        limiter = limiter_of()
        with pytest.raises(ValueError, match="mine"):
            async for attempt in limiter.attempts():
                async with attempt:
                    attempt.again()
                    raise ValueError("mine")
        assert level(limiter) == 100
        at_rest(limiter)

    virtual(main)


# -- what it tells -----------------------------------------------------------------------------


def test_reprs_tell_where_a_call_stands() -> None:
    """None yet, at number one, inside."""

    async def main() -> None:
        limiter = limiter_of()
        attempts = limiter.attempts("gpt-4o", tokens=7)
        assert repr(attempts) == "<Attempts of 'gpt-4o', none yet>"
        async for attempt in attempts:
            assert repr(attempt) == "<Attempt gpt-4o: Cost(requests=1, tokens=7), outside>"
            async with attempt:
                assert repr(attempt) == "<Attempt gpt-4o: Cost(requests=1, tokens=7), inside>"
        assert repr(attempts) == "<Attempts of 'gpt-4o', at number 1>"

    virtual(main)


def test_the_loop_over_nothing_typed_in() -> None:
    """A limiter without quotas learns them from what the attempts observe."""

    async def main() -> None:
        limiter = Limiter()
        headers = {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-remaining-requests": "59",
            "x-ratelimit-reset-requests": "1s",
            "openai-version": "2020-10-01",
        }
        async for attempt in limiter.attempts("gpt-4o"):
            async with attempt:
                await attempt.check(AiohttpLike(200, headers))
        bucket = limiter.statistics().keys["gpt-4o"].buckets["requests"]
        assert (bucket.limit, bucket.window_s, bucket.server_remaining) == (60, 60.0, 59)
        assert limiter._desk.dialect is not None
        assert limiter._desk.dialect.name == "openai"

    virtual(main)
