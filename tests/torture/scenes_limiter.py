"""
Calls through a limiter.

Every scene has others: a call ahead of the victim and two behind it, on a limiter that lets
one call out at a time, so each of them depends on the victim giving back what it had.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self

from ratelimit_client import (
    DeadlineExceeded,
    DeadlineExpiredInQueue,
    Limiter,
    ResponseError,
    RetryPolicy,
    per_day,
)
from ratelimit_client.runtime.permit import Permit
from tests.runtime.torture import at_rest, level
from tests.torture.trial import HOUR_S, Scene, Stage

QUOTA = 1000
Answer = tuple[int, dict[str, str]]
REFUSED: Answer = (429, {"retry-after": "0.5"})
OK: Answer = (200, {})


class Others:
    """Calls beside the victim; each has an answer of its own."""

    def __init__(self, limiter: Limiter, *, ahead: int = 1) -> None:
        self.limiter = limiter
        self.sent = 0
        self._calls: list[asyncio.Task[int]] = []
        self.join(ahead)

    def join(self, count: int) -> None:
        """So many more, behind all that are there."""
        for _ in range(count):
            self._calls.append(asyncio.create_task(self._call(len(self._calls))))

    async def _call(self, number: int) -> int:
        async with self.limiter.permit() as permit:
            self.sent += 1
            await asyncio.sleep(0.2)
            permit.observe(*OK)
            await asyncio.sleep(0)
            return number

    async def unharmed(self) -> None:
        """Each of them has ended with its own answer, and so does one that comes now."""
        self.join(1)
        async with asyncio.timeout(HOUR_S):
            assert await asyncio.gather(*self._calls) == list(range(len(self._calls)))


Way = Callable[[Limiter, "Sent"], Awaitable[object]]


class Sent:
    """What the victim's calls have cost."""

    def __init__(self) -> None:
        self.count = 0


def beside_others(way: Way, *, exact: bool = True, **options: Any) -> Scene:
    """A scene: *way* as one call among others; *exact*: refusals do not blur the books."""

    async def scene(stage: Stage) -> None:
        limiter = Limiter(per_day(requests=QUOTA), max_in_flight=1, **options)
        others, sent = Others(limiter), Sent()

        async def victim() -> object:
            await asyncio.sleep(0)
            others.join(2)
            return await way(limiter, sent)

        assert await stage.torture(victim()) is None
        await others.unharmed()
        at_rest(limiter)
        if exact:
            assert level(limiter) == QUOTA - others.sent - sent.count

    scene.__name__ = "-".join([way.__name__, *(f"paced-{options['pacing']:g}" for _ in options)])
    return scene


# -- one permit ----------------------------------------------------------------------


async def permit(limiter: Limiter, sent: Sent) -> None:
    async with limiter.permit() as permit:
        sent.count += 1
        await asyncio.sleep(0.1)
        permit.observe(*OK)
        await asyncio.sleep(0.1)
        permit.settle(tokens=3)


async def permit_unsent(limiter: Limiter, sent: Sent) -> None:
    async with limiter.permit() as permit:
        permit.unsent()
        await asyncio.sleep(0.1)


async def permit_awaited(limiter: Limiter, sent: Sent) -> None:
    permit = await limiter.permit()
    try:
        sent.count += 1
        await asyncio.sleep(0.1)
    finally:
        permit.finish()


async def permit_in_a_task(limiter: Limiter, sent: Sent) -> None:
    """The wait is a task of its own, and what it brings may come too late."""

    def give_back(waiting: asyncio.Future[Permit]) -> None:
        if not waiting.cancelled():
            sent.count += 1
            waiting.result().finish()

    waiting = asyncio.ensure_future(limiter.permit())
    try:
        await asyncio.shield(waiting)
    finally:
        waiting.add_done_callback(give_back)
        waiting.cancel()


async def permit_on_a_stack(limiter: Limiter, sent: Sent) -> None:
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(limiter.permit(deadline=HOUR_S))
        sent.count += 1
        await asyncio.sleep(0.1)


async def permit_that_tidies_up(limiter: Limiter, sent: Sent) -> None:
    """The body takes its time to end, and is cancelled there, too."""
    async with limiter.permit(deadline=HOUR_S):
        sent.count += 1
        try:
            await asyncio.sleep(0.1)
        finally:
            await asyncio.sleep(0.1)


async def permit_nowait(limiter: Limiter, sent: Sent) -> None:
    while limiter.queued or limiter.in_flight:  # noqa: ASYNC110 - it is for those who do not want to wait in line
        await asyncio.sleep(0.1)
    async with limiter.permit_nowait():
        sent.count += 1
        await asyncio.sleep(0.1)


# -- deadlines -------------------------------------------------------------------------


async def deadline_in_the_body(limiter: Limiter, sent: Sent) -> None:
    """A deadline that passes is an error; a cancellation at the same instant is a cancellation."""
    try:
        async with limiter.permit(deadline=1.0):
            sent.count += 1
            try:
                await asyncio.sleep(HOUR_S)
            finally:
                await asyncio.sleep(0.01)
    except DeadlineExceeded:
        await asyncio.sleep(0.1)
        return
    raise AssertionError("its deadline passed")


async def deadline_at_the_end(limiter: Limiter, sent: Sent) -> None:
    """The body ends in the very instant of its deadline."""
    with contextlib.suppress(DeadlineExceeded):
        async with limiter.permit(deadline=1.0) as permit:
            sent.count += 1
            await asyncio.sleep(1.0 - permit.ticket.waited_ns / 1e9)


async def deadline_in_the_queue(limiter: Limiter, sent: Sent) -> None:
    limiter.set_quotas(per_day(requests=2 * QUOTA))  # so that it cannot be foreseen
    try:
        async with limiter.permit(deadline=0.1):
            raise AssertionError("somebody is ahead for longer")
    except DeadlineExpiredInQueue:
        await asyncio.sleep(0.1)
    finally:
        limiter.set_quotas(per_day(requests=QUOTA))


async def deadline_over_attempts(limiter: Limiter, sent: Sent) -> None:
    """It passes while the call waits to be sent again."""
    response = Response(REFUSED)
    try:
        async for attempt in limiter.attempts(deadline=0.9):
            async with attempt:
                await attempt.check(await response.fetch())
    except (DeadlineExceeded, ResponseError):
        await asyncio.sleep(0.1)
        return
    raise AssertionError("its deadline passed")


# -- calls that are tried again --------------------------------------------------------


class Response:
    """A response like those of HTTP libraries: the last of a list is repeated; read and closed bit by bit."""

    status = 0
    headers: dict[str, str]

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self._open = 0

    async def fetch(self) -> Self:
        await asyncio.sleep(0.1)
        self.status, self.headers = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        self._open += 1
        return self

    async def aread(self) -> bytes:
        await asyncio.sleep(0.01)
        return b'{"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}'

    async def aclose(self) -> None:
        self._open -= 1
        await asyncio.sleep(0.01)

    async def through(self, call: Awaitable[Response]) -> None:
        """*call* brings the success; whatever else it has met is closed."""
        try:
            assert (await call).status == 200
        finally:
            assert self._open == (self.status == 200)


class LikeAiohttp(Response):
    """Its body is a stream."""

    content: Any

    async def fetch(self) -> Self:
        self.content = Stream()
        return await super().fetch()

    async def close(self) -> None:
        await self.aclose()


class Stream:
    """A body that comes in two pieces."""

    def __init__(self) -> None:
        self._left = [b'{"error": ', b'{"code": "rate_limit_exceeded"}}']

    def at_eof(self) -> bool:
        return not self._left

    async def read(self, most: int) -> bytes:
        await asyncio.sleep(0.01)
        return self._left.pop(0) if self._left else b""


class LikeHttpx(Response):
    """Its body is a generator."""

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        stream = Stream()
        try:
            while not stream.at_eof():
                yield await stream.read(64)
        finally:
            await asyncio.sleep(0.01)


async def attempts(limiter: Limiter, sent: Sent) -> None:
    response = Response(REFUSED, (503, {}), OK)
    async for attempt in limiter.attempts():
        async with attempt:
            await attempt.check(await response.fetch())
            await asyncio.sleep(0.1)
            return


async def attempts_taken_back(limiter: Limiter, sent: Sent) -> None:
    stale = True
    async for attempt in limiter.attempts(deadline=HOUR_S):
        async with attempt:
            if stale:
                stale = False
                sent.count += 1  # if it ends here
                await asyncio.sleep(0.1)
                sent.count -= 1
                attempt.again()
                continue
            sent.count += 1
            await asyncio.sleep(0.1)


async def attempts_left_between(limiter: Limiter, sent: Sent) -> None:
    """Whoever waits between two attempts holds no place while it does, and leaves none."""
    response = Response(REFUSED)
    with contextlib.suppress(ResponseError):
        async for attempt in limiter.attempts(policy=RetryPolicy(max_refusals=1)):
            async with attempt:
                await attempt.check(await response.fetch())
            await asyncio.sleep(0.1)


async def attempts_entered_late(limiter: Limiter, sent: Sent) -> None:
    """Something is awaited before an attempt is entered; from the second on that has its place already."""
    response = Response(REFUSED, OK)
    async for attempt in limiter.attempts():
        await asyncio.sleep(0.1)
        async with attempt:
            await attempt.check(await response.fetch())
            return


async def call(limiter: Limiter, sent: Sent) -> None:
    response = Response(REFUSED, OK)
    await response.through(limiter.call(response.fetch))


async def call_like_aiohttp(limiter: Limiter, sent: Sent) -> None:
    response = LikeAiohttp(REFUSED, OK)
    await response.through(limiter.call(response.fetch))


async def call_like_httpx(limiter: Limiter, sent: Sent) -> None:
    response = LikeHttpx(REFUSED, OK)
    await response.through(limiter.call(response.fetch))


async def call_with_a_slow_policy(limiter: Limiter, sent: Sent) -> None:
    """Whoever says how long to wait, and when to stop, takes a while to say so."""

    async def waits(state: object) -> float:
        await asyncio.sleep(0.01)
        return 0.1

    async def stops(state: object) -> bool:
        await asyncio.sleep(0.01)
        return False

    response = Response(REFUSED, OK)
    await response.through(limiter.call(response.fetch, policy=RetryPolicy(wait=waits, stop=stops)))


async def limited(limiter: Limiter, sent: Sent) -> None:
    response = Response((500, {}), OK)
    await response.through(limiter.limited(key="default")(response.fetch)())


SCENES: tuple[Scene, ...] = (
    *(beside_others(way) for way in (permit, permit_unsent, permit_awaited, permit_in_a_task, permit_on_a_stack)),
    *(beside_others(way) for way in (permit_that_tidies_up, permit_nowait, attempts_taken_back)),
    *(beside_others(way) for way in (deadline_in_the_body, deadline_at_the_end, deadline_in_the_queue)),
    *(beside_others(way, exact=False) for way in (attempts, attempts_left_between, deadline_over_attempts, limited)),
    beside_others(attempts_entered_late, exact=False),
    *(beside_others(way, exact=False) for way in (call, call_like_aiohttp, call_like_httpx, call_with_a_slow_policy)),
    *(beside_others(way, pacing=4.0) for way in (permit, permit_awaited, deadline_in_the_body, attempts_taken_back)),
    *(beside_others(way, pacing=4.0, exact=False) for way in (attempts, call)),
    beside_others(permit, pacing=64.0),
)
