"""The retry policy as the contract describes it: what counts, what bounds it, what the server's word is worth."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest
import tenacity

from ratelimit_client import (
    Backoff,
    ConfigurationError,
    DeadlineExceeded,
    DeadlineExpiredInQueue,
    Limiter,
    Overloaded,
    QuotaExhausted,
    RequestTooLarge,
    ResponseError,
    RetryPolicy,
    Signals,
    Throttled,
    per_minute,
)
from ratelimit_client.testing import Faults
from tests.acceptance.library import QUICK, Judge, Response, at_zero, now_s, tell

FAST = Backoff(base_s=0.01, cap_s=0.01)


def refused(**headers: str) -> Response:
    return Response(429, {name.replace("_", "-"): value for name, value in headers.items()}, b'{"error": {}}')


BROKEN = Response(500, {}, b"{}")


class Story:
    """Calls through a limiter that always get the same answer, and when each attempt was made."""

    def __init__(self, answer: Response | Exception, policy: RetryPolicy | None = None) -> None:
        self.answer = answer
        self.policy = policy
        self.times: list[float] = []

    def tell(self, **options: Any) -> ResponseError:
        """How the call ends."""
        with pytest.raises((ResponseError, ConnectionError)) as caught:
            tell(lambda: self._call(**options))
        self.error = caught.value
        return caught.value  # type: ignore[return-value]

    async def _call(self, **options: Any) -> None:
        limiter = Limiter() if self.policy is None else Limiter(retry=self.policy)
        try:
            async for attempt in limiter.attempts(**options):
                async with attempt:
                    self.times.append(now_s())
                    if isinstance(self.answer, Exception):
                        raise self.answer
                    await attempt.check(self.answer)
                    return
        finally:
            assert at_zero(limiter)
            self.ended = now_s()


def test_the_fields_and_their_defaults() -> None:
    """
    RetryPolicy(max_attempts=5, backoff=Backoff(base_s=0.5, cap_s=30), budget=0.2, ...), all by keyword.
    """
    policy = RetryPolicy()
    documented = {
        "max_attempts": 5,
        "backoff": Backoff(base_s=0.5, cap_s=30),
        "budget": 0.2,
        "max_refusals": 50,
        "max_hint_s": 120,
        "max_outage_s": 60,
        "retry_on": None,
        "stop": None,
        "wait": None,
    }

    assert {name: getattr(policy, name) for name in documented} == documented
    assert RetryPolicy(**documented) == policy  # type: ignore[arg-type]
    assert attrs.evolve(policy, max_attempts=3).max_attempts == 3
    with pytest.raises(TypeError):
        RetryPolicy(5)  # type: ignore[misc]
    for wrong in ({"max_attempts": 0}, {"budget": -1}, {"budget": 2}, {"max_hint_s": -1}, {"max_refusals": -1}):
        with pytest.raises(ConfigurationError):
            RetryPolicy(**wrong)


def test_none_is_one_attempt_whatever_comes() -> None:
    """
    A refusal, a failure, a lost connection: the answer.
    """
    for answer in (refused(retry_after="1"), BROKEN, ConnectionResetError()):
        story = Story(answer, RetryPolicy.none())
        story.tell()
        assert len(story.times) == 1


def test_max_attempts_counts_the_first() -> None:
    """
    Three attempts, with full jitter of at most 0.5 and 1 s between them.
    """
    story = Story(BROKEN, RetryPolicy(max_attempts=3, budget=1.0))
    assert story.tell().attempts == 3
    assert len(story.times) == 3
    assert 0 < story.times[1] - story.times[0] <= 0.5
    assert 0 < story.times[2] - story.times[1] <= 1


def test_refusals_are_no_attempts() -> None:
    """
    With max_attempts=2 a call outlives ten refusals; max_refusals=10 ends it at the eleventh.
    """
    story = Story(refused(retry_after="1"), RetryPolicy(max_attempts=2, max_refusals=10))
    error = story.tell()
    assert isinstance(error, Throttled)
    assert len(story.times) == error.attempts == 11
    assert error.waited_s >= 10


def test_never_earlier_than_the_server_asked() -> None:
    """
    Each wait is at least the hint, in seconds, milliseconds or as a date; a hint of nothing is no wait of nothing.
    """
    for headers, least_s, most_s in (
        ({"retry_after": "3"}, 3, 4),
        ({"retry_after_ms": "1500"}, 1.5, 2),
        ({"retry_after": "1", "retry_after_ms": "0"}, 1, 2),
        ({"date": "Thu, 01 Jan 2026 00:00:00 GMT", "retry_after": "Thu, 01 Jan 2026 00:00:07 GMT"}, 7, 8.5),
        ({"retry_after": "0"}, 0.001, 5),
        ({"retry_after": "-5"}, 0.001, 5),
    ):
        story = Story(refused(**headers), RetryPolicy(max_refusals=3))
        story.tell()
        waits = [later - sooner for sooner, later in zip(story.times, story.times[1:], strict=False)]
        assert min(waits) >= least_s, headers
        assert waits[0] <= most_s, headers


@pytest.mark.parametrize("hint", ["121", "3600", "86400"])
def test_a_hint_above_the_cap_ends_the_call_with_its_time(hint: str) -> None:
    """
    Throttled at once, retry_after_s in its signals and in its sentence; below the cap it is waited for.
    """
    story = Story(refused(retry_after=hint))
    error = story.tell()
    assert isinstance(error, Throttled)
    assert story.ended == story.times[0]
    assert error.signals is not None
    assert error.signals.retry_after_s == float(hint)
    assert "max_hint_s" in str(error)
    assert f"{float(hint):g}" in str(error)

    patient = Story(refused(retry_after=hint), RetryPolicy(max_hint_s=100_000, max_refusals=1))
    patient.tell()
    assert patient.times[1] - patient.times[0] >= float(hint)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refused(x_should_retry="false"), Throttled),
        (Response(503, {"x-should-retry": "false"}, b"{}"), Overloaded),
        (Response(429, {"x-should-retry": "true"}, b'{"error": {"code": "insufficient_quota"}}'), QuotaExhausted),
        (Response(413, {"x-should-retry": "true"}, b"{}"), RequestTooLarge),
        (Response(401, {"x-should-retry": "true"}, b"{}"), ResponseError),
        (refused(x_should_retry="true", retry_after="4000"), Throttled),
    ],
)
def test_what_beats_what(answer: Response, kind: type[ResponseError]) -> None:
    """
    x-should-retry: false beats everything; quota, too large, auth and a hint above the cap beat x-should-retry: true.
    """
    story = Story(answer, QUICK)
    assert isinstance(story.tell(), kind)
    assert len(story.times) == 1


def test_should_retry_true_retries_what_we_would_not() -> None:
    """
    A 400 with x-should-retry: true is tried again; without, it is not.
    """
    for headers, attempts in (({"x-should-retry": "true"}, 5), ({}, 1)):
        story = Story(Response(400, headers, b"{}"), QUICK)
        story.tell()
        assert len(story.times) == attempts


def test_stop_ends_it_when_either_says_so() -> None:
    """
    tenacity's stop beside our bounds: the earlier of them.
    """
    for stop, most, attempts in (
        (tenacity.stop_after_attempt(2), 5, 2),
        (tenacity.stop_after_attempt(9), 3, 3),
        (tenacity.stop_never, 4, 4),
        (tenacity.stop_after_attempt(2) | tenacity.stop_after_delay(100), 5, 2),
    ):
        story = Story(BROKEN, RetryPolicy(max_attempts=most, stop=stop, backoff=FAST, budget=1.0))
        error = story.tell()
        assert len(story.times) == attempts
        assert error.attempts == attempts
        assert f"{attempts} attempts" in str(error)


def test_stop_after_delay_goes_by_the_clock_of_the_limiter() -> None:
    """
    Virtual seconds, not the machine's.
    """
    stop = tenacity.stop_after_delay(30)
    story = Story(BROKEN, RetryPolicy(max_attempts=100, stop=stop, wait=tenacity.wait_fixed(8), budget=1.0))
    story.tell()
    assert len(story.times) == 5
    assert story.ended - story.times[0] == pytest.approx(32, abs=3)


def test_wait_is_the_larger_of_both() -> None:
    """
    tenacity's wait of 5 s beside a hint of 3 s and one of 9 s.
    """
    for hint, least_s, most_s in (("3", 5, 5.1), ("9", 9, 10)):
        policy = RetryPolicy(max_refusals=2, wait=tenacity.wait_fixed(5))
        story = Story(refused(retry_after=hint), policy)
        story.tell()
        assert least_s <= story.times[1] - story.times[0] <= most_s


def test_retry_on_is_asked_about_everything_and_may_shrug() -> None:
    """
    It sees Signals or the exception; True retries, False does not, None is ours; the hopeless stays hopeless.
    """
    seen: list[Any] = []

    def says(answer: bool | None) -> Any:
        def retry_on(outcome: BaseException | Signals) -> bool | None:
            seen.append(outcome)
            return answer

        return retry_on

    teapot, mine, quota = Response(418, {}, b""), ConnectionAbortedError(), Response(402, {}, b"{}")
    for answer, verdict, attempts in (
        (teapot, True, 5),
        (teapot, None, 1),
        (mine, False, 1),
        (mine, None, 5),
        (BROKEN, False, 1),
        (quota, True, 1),
    ):
        story = Story(answer, attrs.evolve(QUICK, retry_on=says(verdict)))
        story.tell()
        assert len(story.times) == attempts, (answer, verdict)
    assert {type(each) for each in seen} == {Signals, ConnectionAbortedError}


def test_retries_draw_on_a_budget() -> None:
    """
    A server that breaks every call is not asked five times as often: about a fifth more than there are calls.
    """

    async def story() -> None:
        judge = Judge(per_minute(requests=60_000), latency=0.01, faults=Faults(server_error=0.5), seed=1)
        limiter = Limiter(retry=RetryPolicy(backoff=FAST))
        ends = await asyncio.gather(*(judge.ask(limiter, f"r{n}") for n in range(2000)), return_exceptions=True)
        retries = judge.tally.calls - 2000
        assert 300 <= retries <= 0.25 * 2000
        assert {type(end) for end in ends} == {str, ResponseError}
        assert at_zero(limiter)

    tell(story)


def test_an_outage_is_probed_and_not_stormed() -> None:
    """
    A server that is gone for five minutes: at most a first window and a probe each 1, 2, 4 ... 60 s; without a deadline
    a call waits max_outage_s, with one to its deadline, and nobody is lost who waits long enough.
    """

    async def story() -> None:
        judge = Judge(per_minute(requests=6000), latency=0.1, faults=Faults(reset=1.0, from_s=2, until_s=302), seed=2)
        limiter = Limiter()
        patient = attrs.evolve(RetryPolicy(), max_outage_s=None)

        async def feed(policy: RetryPolicy, name: str, **options: Any) -> list[Any]:
            tasks = []
            for number in range(150):
                tasks.append(asyncio.create_task(judge.ask(limiter, f"{name}{number}", policy=policy, **options)))
                await asyncio.sleep(0.02)
            return await asyncio.gather(*tasks, return_exceptions=True)

        began = now_s()
        usual, longing, timed = await asyncio.gather(
            feed(RetryPolicy(), "u"), feed(patient, "p"), feed(patient, "d", deadline=200)
        )
        failed = [end for end in usual + timed if not isinstance(end, str)]
        assert failed
        assert {type(end) for end in failed} <= {ConnectionResetError, DeadlineExpiredInQueue, DeadlineExceeded}
        assert sum(isinstance(end, str) for end in longing) >= 140
        assert now_s() - began == pytest.approx(302 + 60, abs=75)
        # What went out while the server was gone: those in flight, the ten that told it, and the probes.
        assert judge.tally.broken_off["reset"] <= 10 + 64 + 12
        assert at_zero(limiter)

    tell(story)
