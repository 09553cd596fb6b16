"""The ways to make a call, which are all one way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ratelimit_client import (
    DeadlineExpiredInQueue,
    Limiter,
    ResponseError,
    RetryPolicy,
    Throttled,
    per_hour,
    per_minute,
)
from ratelimit_client.core.estimate import Features
from tests.runtime.servers import AiohttpLike, HttpxLike, Scripted, refusal
from tests.runtime.torture import at_rest, level, virtual


def test_call_retries_and_returns() -> None:
    """fn's own arguments go to fn; a response is checked, anything else returned as it is."""

    async def add(one: int, *, other: int) -> int:
        return one + other

    async def main() -> None:
        limiter = Limiter(per_minute(requests=6000, tokens=10_000))
        assert await limiter.call(add, 1, other=2, key="k", tokens=30) == 3
        server = Scripted(refusal(), 503, 200)
        assert (await limiter.call(server.post)).status == 200
        assert server.calls == 3

        async def httpx_like() -> HttpxLike:
            return HttpxLike(429, {"retry-after": "1000"}, b"{}")

        with pytest.raises(Throttled):
            await limiter.call(httpx_like)
        server = Scripted(200)
        with pytest.raises(Throttled, match="another 1000 s") as unsent:
            await limiter.call(server.post)
        assert (server.calls, unsent.value.attempts) == (0, 0)
        with pytest.raises(ValueError, match="mine"):
            await limiter.call(Scripted(ValueError("mine")).post, key="another")
        at_rest(limiter)

    virtual(main)


def test_limited_decorates() -> None:
    """Key and tokens from the call's own arguments; the function keeps its name and its words."""

    async def main() -> None:
        limiter = Limiter(per_hour(requests=60, tokens=1000))

        @limiter.limited(key=lambda model, prompt: model, tokens=lambda model, prompt: len(prompt), priority=1)
        async def ask(model: str, prompt: str) -> str:
            """Ask it."""
            return prompt.upper()

        assert await ask("m", "hello") == "HELLO"
        assert await ask("m", prompt="again") == "AGAIN"
        assert (ask.__name__, ask.__doc__) == ("ask", "Ask it.")
        assert level(limiter, "tokens", "m") == 990

        plain = limiter.limited(policy=RetryPolicy.none())(Scripted(503).post)
        with pytest.raises(Exception, match="503"):
            await plain()

    virtual(main)


def test_priorities_and_tenants_reach_the_queue() -> None:
    """Lower priority numbers go first."""

    async def main() -> None:
        limiter = Limiter(max_in_flight=1)
        order: list[int] = []

        async def call(priority: int) -> None:
            async with limiter.permit(priority=priority, tenant=str(priority)):
                order.append(priority)

        async with limiter.permit():
            calls = [asyncio.ensure_future(call(priority)) for priority in (2, 0, -2)]
            await asyncio.sleep(0)
        await asyncio.gather(*calls)
        assert order == [-2, 0, 2]

    virtual(main)


def test_a_response_without_a_body_to_read_is_returned_as_it_is() -> None:
    """Only what looks like a response is taken for one."""

    class Parsed:
        status = 500
        headers = {}  # noqa: RUF012 - a stand-in

    async def parsed() -> Parsed:
        return Parsed()

    async def main() -> None:
        assert isinstance(await Limiter().call(parsed), Parsed)
        assert (await Limiter().call(_aiohttp)).status == 200

    async def _aiohttp() -> AiohttpLike:
        return AiohttpLike(200)

    virtual(main)


def test_features_are_priced_by_the_limiter_unless_a_cost_is_stated() -> None:
    """An estimate stands in for a cost; a stated one is believed, however it is stated."""

    async def main() -> None:
        features = Features(chars=400, max_output=0)
        estimating = Limiter(per_hour(requests=60, tokens=10_000))
        async with estimating.permit(features=features):
            estimated = 10_000 - level(estimating, "tokens")
        assert estimated > 0
        stated: list[dict[str, Any]] = [{"tokens": 7}, {"cost": {"tokens": 7}}]
        for way in stated:
            limiter = Limiter(per_hour(requests=60, tokens=10_000))
            async with limiter.permit(features=features, **way):
                assert level(limiter, "tokens") == 9_993

    virtual(main)


def test_many_different_costs_are_not_kept_for_ever() -> None:
    """Costs are shared between calls of one size; the memory for that has a bound."""

    async def main() -> None:
        limiter = Limiter()
        for tokens in range(5000):
            limiter.permit(tokens=tokens)
        assert len(limiter._costs) <= 4096

    virtual(main)


def test_patience_with_a_server_that_is_gone() -> None:
    """Ten lost answers close the key. Without a deadline a call then waits max_outage_s, with one to its end."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        limiter = Limiter()
        for _ in range(10):
            with pytest.raises(ConnectionResetError):
                await limiter.call(Scripted(ConnectionResetError()).post, policy=RetryPolicy.none())

        async def waits(**options: Any) -> float:
            began = loop.time()
            with pytest.raises(DeadlineExpiredInQueue):
                await limiter.call(Scripted().post, **options)
            return loop.time() - began

        async with limiter.permit():  # the probe, after a second; it holds the one place that overload has left
            patient, none = RetryPolicy(max_outage_s=10), RetryPolicy.none()
            waited = await asyncio.gather(waits(policy=patient), waits(policy=none), waits(policy=patient, deadline=12))
            assert waited == pytest.approx([10, 0, 12], abs=0.01)
        at_rest(limiter)

    virtual(main)


class Held:
    """A 500 that holds something until it is closed, in one of the ways libraries have."""

    def __init__(self, how: str) -> None:
        self.status, self.closed = 500, 0
        self.headers: dict[str, str] = {}
        if how == "aclose":
            self.aclose = self._later
        else:
            self.close = self._later if how == "a coroutine" else self._now

    async def read(self) -> bytes:
        return b""

    def _now(self) -> None:
        self.closed += 1
        raise OSError("it was broken anyway")

    async def _later(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("how", ["close", "aclose", "a coroutine"])
def test_a_response_that_nobody_gets_is_closed(how: str) -> None:
    """What is tried again, and what ends as an error, holds no connection; a success is the caller's to close."""

    async def main() -> None:
        limiter = Limiter(retry=RetryPolicy(max_attempts=2, budget=1.0))
        held = [Held(how), Held(how)]
        with pytest.raises(ResponseError):
            await limiter.call(Scripted(*held).post)
        assert [response.closed for response in held] == [1, 1]

        last, success = Held(how), Held(how)
        success.status = 200
        assert await limiter.call(Scripted(last, success).post) is success
        assert (last.closed, success.closed) == (1, 0)

    virtual(main)
