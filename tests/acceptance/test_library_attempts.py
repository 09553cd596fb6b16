"""The loop over attempts as the contract describes it, and the ways to call that are built on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from ratelimit_client import (
    Closed,
    DeadlineExceeded,
    Limiter,
    QuotaExhausted,
    ResponseError,
    Throttled,
    WouldBlock,
    per_minute,
)
from ratelimit_client.testing import Faults
from tests.acceptance.library import QUICK, Judge, Response, at_zero, now_s, tell

SLOW_DOWN = Response(429, {"retry-after": "2", "x-request-id": "req_slow"}, b'{"error": {"message": "Slow."}}')
BROKEN = Response(500, {"x-request-id": "req_broken"}, b'{"error": {"message": "Broken."}}')
BAD = Response(400, {"x-request-id": "req_bad"}, b'{"error": {"message": "Bad."}}')
FINE = Response(200, {"x-request-id": "req_fine"}, b"fine")


class Served:
    """Gives its answers in turn, raises those that are exceptions, repeats the last; counts."""

    def __init__(self, *answers: Response | BaseException) -> None:
        self.answers = answers
        self.calls = 0
        self.times: list[float] = []

    def __call__(self) -> Response:
        answer = self.answers[min(self.calls, len(self.answers) - 1)]
        self.calls += 1
        self.times.append(now_s())
        if isinstance(answer, BaseException):
            raise answer
        return answer


async def loop_over(limiter: Limiter, served: Served, **options: Any) -> bytes:
    async for attempt in limiter.attempts(**options):
        async with attempt, served() as response:
            await attempt.check(response)
            return await response.read()
    raise AssertionError("the loop ended without return or raise")


def test_what_may_be_retried_is_swallowed_and_the_next_attempt_made() -> None:
    """
    429, 500, a lost connection, then a success: four answers, one result; never earlier than the server asked.
    """

    async def story() -> None:
        served = Served(SLOW_DOWN, BROKEN, ConnectionResetError(), FINE)
        limiter = Limiter(retry=QUICK)
        assert await loop_over(limiter, served) == b"fine"
        assert served.calls == 4
        assert served.times[1] - served.times[0] >= 2
        assert at_zero(limiter)

    tell(story)


@pytest.mark.parametrize(
    ("answer", "calls"),
    [(BAD, 1), (BROKEN, 5), (ConnectionResetError("gone"), 5), (ZeroDivisionError("mine"), 1)],
    ids=["bad request", "server error", "connection", "own error"],
)
def test_the_last_outcome_leaves_the_loop(answer: Any, calls: int) -> None:
    """
    What may not be retried at once, what may at the fifth attempt, each as what it is; the ledger is even.
    """

    async def story() -> None:
        served = Served(answer)
        limiter = Limiter(retry=QUICK)
        kind = ResponseError if isinstance(answer, Response) else type(answer)
        with pytest.raises(kind) as caught:
            await loop_over(limiter, served)
        assert served.calls == calls
        error = caught.value
        if isinstance(error, ResponseError):
            assert isinstance(answer, Response)
            assert (error.status, error.request_id) == (answer.status, answer.headers["x-request-id"])
            assert error.attempts == calls
            assert error.waited_s >= 0
            assert error.body_excerpt == answer.body.decode()
        assert at_zero(limiter)

    tell(story)


def test_check_takes_anything_that_looks_like_a_response() -> None:
    """
    status or status_code, headers as mapping or pairs, read() or aread(), sync or async: None on success.
    """

    class Httpx:
        def __init__(self, status_code: int, body: bytes = b"{}") -> None:
            self.status_code = status_code
            self.headers: Any = [("X-Request-Id", "req_1")]
            self._body = body

        async def aread(self) -> bytes:
            return self._body

    class Sync:
        status = 404
        headers: Mapping[str, str] = {}

        def read(self) -> str:
            return '{"error": {"code": "model_not_found"}}'

    async def story() -> None:
        limiter = Limiter()
        async for attempt in limiter.attempts():
            async with attempt:
                assert await attempt.check(Httpx(200)) is None
                break
        for wrong in (Httpx(400), Sync()):
            with pytest.raises(ResponseError):
                async for attempt in limiter.attempts():
                    async with attempt:
                        await attempt.check(wrong)
        async for attempt in limiter.attempts():
            with pytest.raises(TypeError):
                async with attempt:
                    await attempt.check(object())
            break
        assert at_zero(limiter)

    tell(story)


def test_check_reads_at_most_64_kib_of_an_error() -> None:
    """
    Of a body without end, 64 KiB; of a body that stalls, what came in ten seconds; of a success, nothing.
    """

    class Endless:
        status = 400
        headers: Mapping[str, str] = {}
        pieces = 0

        async def aiter_bytes(self) -> AsyncIterator[bytes]:
            while True:
                self.pieces += 1
                yield b"x" * 1000

        async def aread(self) -> bytes:
            raise AssertionError("all of a body without end was asked for")

    class Stalled(Endless):
        async def aiter_bytes(self) -> AsyncIterator[bytes]:
            yield b'{"error": '
            await asyncio.sleep(10_000)

    async def story() -> None:
        limiter = Limiter()
        for answer in (Endless(), Stalled()):
            began = now_s()
            with pytest.raises(ResponseError) as caught:
                async for attempt in limiter.attempts():
                    async with attempt:
                        await attempt.check(answer)
            assert answer.pieces * 1000 <= 66_000
            assert len(caught.value.body_excerpt) <= 1024
            assert now_s() - began <= 11
        fine = Endless()
        fine.status = 200
        async for attempt in limiter.attempts():
            async with attempt:
                await attempt.check(fine)
                break
        assert fine.pieces == 0
        assert at_zero(limiter)

    tell(story)


def test_a_loop_never_ends_empty_handed() -> None:
    """
    Whatever the body does (observe without check, swallow what check raises, do nothing), it succeeds or raises.
    """

    async def observed_only(limiter: Limiter, answer: Response) -> str:
        async for attempt in limiter.attempts():
            async with attempt:
                signals = attempt.observe(answer.status, answer.headers, answer.body)
                if signals.reason == "ok":
                    return "returned"
        return "ended"

    async def swallowed(limiter: Limiter, answer: Response) -> str:
        async for attempt in limiter.attempts():
            async with attempt:
                try:
                    await attempt.check(answer)
                except ResponseError:
                    continue
                return "returned"
        return "ended"

    async def not_used(limiter: Limiter, answer: Response) -> str:
        async for _attempt in limiter.attempts():
            pass
        return "ended"

    async def story() -> None:
        for body in (observed_only, swallowed):
            limiter = Limiter(retry=QUICK)
            assert await body(limiter, FINE) == "returned"
            for answer in (BAD, BROKEN):
                with pytest.raises(ResponseError) as caught:
                    await body(limiter, answer)
                assert caught.value.status == answer.status
            assert at_zero(limiter)
        with pytest.raises(RuntimeError, match="async with attempt"):
            await not_used(Limiter(), FINE)

    tell(story)


def test_an_iterator_object_may_be_left_at_any_point() -> None:
    """
    break before, inside and after the attempt: nothing is left in flight, and nothing complains.
    """

    async def story() -> None:
        limiter = Limiter()
        async for _attempt in limiter.attempts():
            break
        async for attempt in limiter.attempts():
            async with attempt:
                break
        async for attempt in limiter.attempts():
            async with attempt:
                attempt.observe(200, {})
            break
        assert at_zero(limiter)

    tell(story)


def test_a_closed_limiter_ends_a_retry_with_its_last_outcome() -> None:
    """
    Not "nothing was sent": the error is the last answer, with its attempts, its wait, and why it ended.
    """

    async def story() -> None:
        limiter = Limiter(retry=QUICK)
        served = Served(BROKEN, Response(429, {"retry-after": "100"}, b""))
        call = asyncio.create_task(loop_over(limiter, served))
        await asyncio.sleep(50)
        limiter.close()
        with pytest.raises(Throttled) as caught:
            await call
        assert caught.value.attempts == 2
        assert caught.value.waited_s >= 0
        assert "closed" in str(caught.value)
        assert isinstance(caught.value.__cause__, Closed)
        assert at_zero(limiter)

    tell(story)


def test_a_deadline_ends_the_loop_with_attempts_and_the_last_request_id() -> None:
    """
    In the queue of a later attempt, or in the middle of one: DeadlineExceeded knows what the server called the last.
    A hint that reaches beyond the deadline is not waited for: the refusal is the end.
    """

    async def story() -> None:
        limiter = Limiter(retry=QUICK, max_in_flight=1)
        call = asyncio.create_task(loop_over(limiter, Served(BROKEN), deadline=3.5))
        other = asyncio.create_task(limiter.call(asyncio.sleep, 100, priority=-2))
        began = now_s()
        with pytest.raises(DeadlineExceeded) as queued:
            await call
        assert now_s() - began == pytest.approx(3.5)
        assert (queued.value.attempts, queued.value.request_id) == (1, "req_broken")
        other.cancel()
        await asyncio.wait([other])

        with pytest.raises(DeadlineExceeded) as running:
            first = True
            async for attempt in limiter.attempts(deadline=5):
                async with attempt:
                    if not first:
                        await asyncio.sleep(100)
                    first = False
                    await attempt.check(BROKEN)
        assert (running.value.attempts, running.value.request_id) == (2, "req_broken")

        began = now_s()
        with pytest.raises(Throttled) as refused:
            await loop_over(Limiter(), Served(SLOW_DOWN), deadline=3.5)
        assert now_s() - began < 3.5
        assert refused.value.attempts == 2
        assert "deadline" in str(refused.value)
        assert at_zero(limiter)

    tell(story)


# -- call, limited, map ------------------------------------------------------------------------


def test_call_runs_a_function_until_it_is_over() -> None:
    """
    Arguments go through, a response is checked and retried, any other result is the result.
    """

    async def story() -> None:
        limiter = Limiter(per_minute(requests=100, tokens=1000), retry=QUICK)
        served = Served(BROKEN, SLOW_DOWN, FINE)

        async def fetch(url: str, *, params: int) -> Response:
            assert (url, params) == ("u", 3)
            return served()

        response = await limiter.call(fetch, "u", params=3, key="m", tokens=10)
        assert (response.status, served.calls) == (200, 3)
        assert limiter.statistics().keys["m"].buckets["tokens"].level == pytest.approx(1000 - 30, abs=35)

        async def add(a: int, b: int) -> int:
            return a + b

        assert await limiter.call(add, 1, 2) == 3
        with pytest.raises(ZeroDivisionError):
            await limiter.call(add, 1, 2, tokens=1) and 1 / 0
        assert at_zero(limiter)

    tell(story)


def test_limited_is_call_as_a_decorator() -> None:
    """
    key and tokens are values or functions of the arguments; name and docstring stay.
    """

    async def story() -> None:
        limiter = Limiter(per_minute(tokens=100))

        @limiter.limited(key=lambda text: text[0], tokens=lambda text: len(text))
        async def shout(text: str) -> str:
            """It shouts."""
            return text.upper()

        assert (shout.__name__, shout.__doc__) == ("shout", "It shouts.")
        assert await asyncio.gather(shout("a" * 30), shout("b" * 40)) == ["A" * 30, "B" * 40]
        keys = limiter.statistics().keys
        assert {key: each.buckets["tokens"].level for key, each in keys.items()} == {"a": 70, "b": 60}

    tell(story)


def test_map_gives_one_result_for_each_item() -> None:
    """
    From a list, a generator or an async one; a failure is a result with its error; unwrap raises it.
    """

    async def double(n: int) -> int:
        if n == 3:
            raise ZeroDivisionError("three")
        return 2 * n

    async def later() -> AsyncIterator[int]:
        for n in range(6):
            await asyncio.sleep(0.1)
            yield n

    async def story() -> None:
        for items in (range(6), iter(range(6)), later()):
            limiter = Limiter()
            found = {}
            async with limiter.map(double, items, tokens=1, key=lambda n: f"k{n % 2}") as results:
                async for result in results:
                    found[result.index] = result
            assert sorted(found) == list(range(6))
            assert [found[n].row for n in range(6)] == list(range(6))
            assert [found[n].reply for n in range(6)] == [0, 2, 4, None, 8, 10]
            assert found[2].unwrap() == 4
            assert isinstance(found[3].error, ZeroDivisionError)
            with pytest.raises(ZeroDivisionError):
                found[3].unwrap()
            assert set(limiter.statistics().keys) == {"k0", "k1"}
            assert at_zero(limiter)

    tell(story)


def test_billing_ends_a_call_at_once() -> None:
    """
    insufficient_quota is no rate limit: one call, one QuotaExhausted, however patient the policy.
    """

    async def story() -> None:
        judge, limiter = Judge(quota_after=3), Limiter(retry=QUICK)
        ends = await asyncio.gather(*(judge.ask(limiter, f"r{n}") for n in range(3)))
        assert len(ends) == 3
        with pytest.raises(QuotaExhausted) as caught:
            await judge.ask(limiter, "r3")
        assert caught.value.attempts == 1
        assert judge.tally.attempts["r3"] == 1
        assert at_zero(limiter)

    tell(story)


def test_no_attempt_is_charged_before_its_turn_or_twice() -> None:
    """
    A thousand calls, a fifth of which break: the limiter granted exactly as many attempts as the server saw.
    """

    async def story() -> None:
        judge = Judge(per_minute(requests=6000), latency=0.2, faults=Faults(server_error=0.1, reset=0.1), seed=3)
        limiter = Limiter(retry=QUICK)
        ends = await asyncio.gather(*(judge.ask(limiter, f"r{n}") for n in range(1000)), return_exceptions=True)
        answered = [end for end in ends if isinstance(end, str)]
        assert len(answered) >= 990
        assert limiter.statistics().keys["gpt-4o"].granted == judge.tally.calls
        assert judge.tally.repeated == 0
        assert set(answered) == set(judge.tally.answered)
        assert at_zero(limiter)
        with pytest.raises(WouldBlock):
            while True:
                limiter.permit_nowait(key="gpt-4o").finish()

    tell(story)
