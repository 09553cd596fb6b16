"""Cancelled anywhere, a call leaves the books balanced and the next one goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from ratelimit_client import Limiter, RetryPolicy, per_hour, per_minute, per_second
from tests.runtime.torture import MODES, Mode, Scene, at_rest, level, torture

OK = (200, {})
REFUSED = (429, {"retry-after": "0.5"})
HOUR_S = 3600.0


class Answers:
    """A response like those of HTTP libraries: the next of a list, each read bit by bit."""

    def __init__(self, *answers: tuple[int, dict[str, str]]) -> None:
        self._answers = list(answers)
        self.status, self.headers = 0, {}

    async def fetch(self) -> Answers:
        await asyncio.sleep(0.1)
        self.status, self.headers = self._answers.pop(0)
        return self

    async def read(self) -> bytes:
        await asyncio.sleep(0.01)
        return b'{"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}'


def contended(work: Callable[[Limiter], object], *, ahead: int = 1, behind: int = 2, **options: object) -> Scene:
    """*work* as one call among others, on a limiter with room for one call at a time."""
    limiter = Limiter(per_second(requests=10), max_in_flight=1, **options)  # type: ignore[arg-type]
    served: list[str] = []

    async def other(name: str) -> None:
        async with limiter.permit():
            await asyncio.sleep(0.2)
            served.append(name)

    others = [asyncio.ensure_future(other(f"ahead {number}")) for number in range(ahead)]

    async def victim() -> None:
        await asyncio.sleep(0)
        others.extend(asyncio.ensure_future(other(f"behind {number}")) for number in range(behind))
        await work(limiter)  # type: ignore[misc]

    async def afterwards() -> None:
        async with asyncio.timeout(HOUR_S):
            await asyncio.gather(*others)
        assert len(served) == len(others), "whoever waits behind a cancelled call is served"
        at_rest(limiter)

    return Scene(victim(), afterwards)


async def permit(limiter: Limiter) -> None:
    async with limiter.permit() as permit:
        await asyncio.sleep(0.1)
        permit.observe(*OK)
        await asyncio.sleep(0.1)
        permit.settle(tokens=3)


async def permit_awaited(limiter: Limiter) -> None:
    permit = await limiter.permit()
    try:
        await asyncio.sleep(0.1)
    finally:
        permit.finish()


async def permit_with_deadline(limiter: Limiter) -> None:
    async with limiter.permit(deadline=HOUR_S):
        await asyncio.sleep(0.1)


async def attempts(limiter: Limiter) -> None:
    answers = Answers(REFUSED, (503, {}), OK)
    async for attempt in limiter.attempts():
        async with attempt:
            await attempt.check(await answers.fetch())
            await asyncio.sleep(0.1)
            return


async def attempts_taken_back(limiter: Limiter) -> None:
    stale = True
    async for attempt in limiter.attempts():
        async with attempt:
            if stale:
                stale = False
                await asyncio.sleep(0.1)
                attempt.again()
                continue
            await asyncio.sleep(0.1)


async def call(limiter: Limiter) -> None:
    answers = Answers(REFUSED, OK)
    response = await limiter.call(answers.fetch)
    assert response.status == 200


async def limited(limiter: Limiter) -> None:
    answers = Answers((500, {}), OK)
    await limiter.limited(key="default")(answers.fetch)()


async def mapping(limiter: Limiter) -> None:
    async def double(number: int) -> int:
        await asyncio.sleep(0.05)
        return 2 * number

    async with limiter.map(double, range(3)) as results:
        assert sorted([result.unwrap() async for result in results]) == [0, 2, 4]


async def mapping_in_order(limiter: Limiter) -> None:
    async def rows():  # type: ignore[no-untyped-def]
        for number in range(3):
            await asyncio.sleep(0.01)
            yield number

    async def same(number: int) -> int:
        await asyncio.sleep(0.05 * (3 - number))
        return number

    async with limiter.map(same, rows(), ordered=True) as results:
        assert [result.index async for result in results] == [0, 1, 2]


WAYS = [
    permit,
    permit_awaited,
    permit_with_deadline,
    attempts,
    attempts_taken_back,
    call,
    limited,
    mapping,
    mapping_in_order,
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", WAYS)
def test_cancelled_at_any_await_the_books_balance(way: Callable[[Limiter], object], mode: Mode) -> None:
    """Whatever a call was waiting for when it was cancelled: its place is free and the next one is served."""
    assert torture(lambda: contended(way), mode) >= 3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", [permit, attempts, call, mapping])
def test_the_same_while_starts_are_paced(way: Callable[[Limiter], object], mode: Mode) -> None:
    """Pacing holds a call back before it queues; cancelled there, it was never in the queue."""
    assert torture(lambda: contended(way, pacing=4.0), mode) >= 3


@pytest.mark.parametrize("mode", MODES)
def test_the_fast_path_can_be_cancelled_where_it_yields(mode: Mode) -> None:
    """Every 64th grant in a row lets the loop run once; cancelled there, the grant is given back."""

    def build() -> Scene:
        limiter = Limiter(per_minute(requests=1000))

        async def victim() -> None:
            for _ in range(200):
                async with limiter.permit():
                    pass

        async def afterwards() -> None:
            at_rest(limiter)

        return Scene(victim(), afterwards)

    assert torture(build, mode) == 3


@pytest.mark.parametrize("mode", MODES)
def test_a_grant_that_met_a_cancellation_costs_nothing(mode: Mode) -> None:
    """Cancelled before its body began, a call gets back what it was charged, to the last unit."""

    def build() -> Scene:
        limiter = Limiter(per_hour(requests=60), max_in_flight=1)

        async def holder() -> None:
            async with limiter.permit():
                await asyncio.sleep(1)

        holding = asyncio.ensure_future(holder())
        began = False

        async def victim() -> None:
            nonlocal began
            await asyncio.sleep(0)
            async with limiter.permit():
                began = True

        async def afterwards() -> None:
            await holding
            at_rest(limiter)
            assert level(limiter) == (58 if began else 59)

        return Scene(victim(), afterwards)

    assert torture(build, mode) == 2


@pytest.mark.parametrize("mode", MODES)
def test_a_cancelled_call_stays_charged_unless_it_was_unsent(mode: Mode) -> None:
    """In flight the server may have done the work, so the charge stays; unsent() brings it back."""

    def build(unsent: bool) -> Scene:
        limiter = Limiter(per_minute(requests=60))

        async def victim() -> None:
            async with limiter.permit() as permit:
                if unsent:
                    permit.unsent()
                await asyncio.sleep(0.01)

        async def afterwards() -> None:
            at_rest(limiter)
            assert level(limiter) == (60 if unsent else 59)

        return Scene(victim(), afterwards)

    assert torture(lambda: build(False), mode) == 1
    assert torture(lambda: build(True), mode) == 1


@pytest.mark.parametrize("mode", MODES)
def test_drain_can_be_cancelled(mode: Mode) -> None:
    """A cancelled drain leaves those it waited for alone."""

    def build() -> Scene:
        limiter = Limiter(per_second(requests=10), max_in_flight=1)
        calls = [asyncio.ensure_future(permit(limiter)) for _ in range(3)]

        async def victim() -> None:
            await asyncio.sleep(0)
            assert await limiter.drain()

        async def afterwards() -> None:
            await asyncio.gather(*calls)
            at_rest(limiter)

        return Scene(victim(), afterwards)

    assert torture(build, mode) >= 2


@pytest.mark.parametrize("mode", MODES)
def test_leaving_the_limiter_can_be_cancelled(mode: Mode) -> None:
    """``async with Limiter()`` drains; cancelled there, what is under way still ends in order."""

    def build() -> Scene:
        limiter = Limiter(per_second(requests=10), retry=RetryPolicy.none())
        calls: list[asyncio.Future[None]] = []

        async def victim() -> None:
            async with limiter:
                calls.extend(asyncio.ensure_future(permit(limiter)) for _ in range(3))
                await asyncio.sleep(0)

        async def afterwards() -> None:
            await asyncio.gather(*calls, return_exceptions=True)
            at_rest(limiter)

        return Scene(victim(), afterwards)

    assert torture(build, mode) >= 2
