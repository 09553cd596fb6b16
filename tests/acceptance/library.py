"""
What the acceptance tests of the library share: stories in virtual time, and a judge without a network.

Law of this file: nothing but public names. A `Judge` is a model server that is called as
a function, so a story of ten thousand calls takes seconds; where HTTP is the point,
``serve_model`` or a raw server stands behind a `Client` instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import attrs

from ratelimit_client import Backoff, Client, Limiter, RetryPolicy, WouldBlock
from ratelimit_client.testing import ModelServer, VirtualLoop, exactly, run_virtual
from tests import canary

T = TypeVar("T")

KEY, OTHER_KEY = canary.KEY, canary.OTHER_KEY

QUICK = RetryPolicy(backoff=Backoff(base_s=0.01, cap_s=0.01), budget=1.0)
"""Retries that take no time, as often as it takes."""

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}]}

NO_ENVIRONMENT = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID")


def tell(story: Callable[[], Coroutine[Any, Any, T]], *, seed: int = 0) -> T:
    """Run *story* in virtual time and see that it leaves nothing behind: no task, no timer, no connection."""
    return tell_and_time(story, seed=seed)[0]


def tell_and_time(story: Callable[[], Coroutine[Any, Any, T]], *, seed: int = 0) -> tuple[T, float]:
    """The same, with the virtual seconds it took."""
    result, loop = run_virtual(story, seed=seed)
    assert not loop.left_behind, loop.left_behind
    return result, loop.elapsed_s


def now_s() -> float:
    """Virtual seconds."""
    return asyncio.get_running_loop().time()


def now_ns() -> int:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.clock.monotonic_ns()


def at_zero(what: Limiter | Client) -> bool:
    """Every ledger is even: nobody queued, nobody in flight, over all keys and in each."""
    limiter = what.limiter if isinstance(what, Client) else what
    statistics = limiter.statistics()
    keys = statistics.keys.values()
    return not (
        limiter.queued
        or limiter.in_flight
        or statistics.queued
        or statistics.in_flight
        or any(key.queued or key.in_flight or key.oldest_wait_s for key in keys)
    )


def empty(limiter: Limiter, **options: Any) -> None:
    """Take all that is there."""
    try:
        while True:
            limiter.permit_nowait(**options).finish()
    except WouldBlock:
        pass


@attrs.frozen
class Response:
    """An answer as HTTP libraries hand it out."""

    status: int
    headers: Any = attrs.field(factory=dict)
    body: bytes = b""

    async def read(self) -> bytes:
        return self.body

    async def __aenter__(self) -> Response:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass


class Judge:
    """
    A model server that is called as a function on a virtual loop.

        judge = Judge(per_minute(requests=3), latency=0.5)
        response = await judge(model="gpt-4o", tokens=100, mark="row-1")
    """

    def __init__(self, limits: Any = None, **options: Any) -> None:
        self.server = ModelServer(limits, **{"charge": exactly, **options})

    @property
    def tally(self) -> Any:
        return self.server.tally

    async def __call__(self, *, model: str = "gpt-4o", tokens: int = 0, mark: str | None = None) -> Response:
        """
        One call, answered as late as the server says.

        Raises:
            ConnectionResetError: the server broke it off.
        """
        answer = self.server.request(model=model, tokens=tokens, mark=mark, now_ns=now_ns())
        if answer.latency_ns:
            await asyncio.sleep(answer.latency_ns / 1e9)
        if answer.ending.value != "whole":
            raise ConnectionResetError(f"the server broke off ({answer.ending.value})")
        return Response(answer.status, answer.headers, answer.body)

    async def ask(self, limiter: Limiter, mark: str, *, key: str = "gpt-4o", tokens: int = 0, **options: Any) -> str:
        """One logical call through *limiter*; returns its mark."""
        async for attempt in limiter.attempts(key=key, tokens=tokens or None, **options):
            async with attempt:
                response = await self(model=key, tokens=tokens, mark=mark)
                await attempt.check(response)
                return mark
        raise AssertionError("a loop over attempts ended without a return or a raise")
