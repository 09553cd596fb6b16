"""tenacity runs the loop; what it is handed is ours."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
import tenacity

from ratelimit_client import Backoff, Limiter, RetryPolicy, Throttled, per_minute
from ratelimit_client.runtime import retrying
from tests.runtime.servers import AiohttpLike, Scripted, refusal
from tests.runtime.test_attempts import run
from tests.runtime.torture import at_rest, virtual


def limiter_of(**options: Any) -> Limiter:
    return Limiter(per_minute(requests=60_000), dice=lambda: 0.0, max_in_flight=64, **options)


def test_a_first_try_that_succeeds_never_touches_tenacity() -> None:
    """No loop of tenacity's is made for it."""

    async def main() -> None:
        limiter = limiter_of()
        attempts = limiter.attempts()
        async for attempt in attempts:
            async with attempt:
                await attempt.check(AiohttpLike(200))
        assert attempts._loop is None

    virtual(main)


def test_the_users_stop_ends_the_call() -> None:
    """stop_after_attempt(2): two tries, though our bound is five; the last outcome is the error."""

    async def main() -> None:
        limiter = limiter_of(retry=RetryPolicy(stop=tenacity.stop_after_attempt(2)))
        server = Scripted(500, 503, 200)
        with pytest.raises(Exception, match="503"):
            await run(limiter, server)
        assert server.calls == 2
        at_rest(limiter)

    virtual(main)


def test_our_stop_holds_beside_the_users() -> None:
    """Either ends it: ours at two attempts, although the user's would go on for ever."""

    async def main() -> None:
        limiter = limiter_of(retry=RetryPolicy(max_attempts=2, stop=tenacity.stop_never))
        server = Scripted(500, 503, 200)
        with pytest.raises(Exception, match="503"):
            await run(limiter, server)
        assert server.calls == 2

    virtual(main)


def test_the_users_stop_sees_virtual_time() -> None:
    """stop_after_delay counts the limiter's seconds, not those of the machine's clock."""

    async def main() -> None:
        limiter = limiter_of(retry=RetryPolicy(stop=tenacity.stop_after_delay(10), max_refusals=None))
        server = Scripted(*[refusal("3") for _ in range(10)])
        with pytest.raises(Throttled):
            await run(limiter, server)
        assert server.calls in (4, 5), "every 3 s or a little more; after more than 10 s no more"

    assert 10 <= virtual(main).elapsed_s <= 14


@pytest.mark.parametrize(
    ("theirs", "ours_s", "waits_s"),
    [
        (tenacity.wait_fixed(5), 0.25, 5),
        (tenacity.wait_fixed(0.01), 0.25, 0.25),
        (None, 0.25, 0.25),
        (tenacity.wait_none(), 0.25, 0.25),
    ],
)
def test_the_larger_wait_counts(theirs: Any, ours_s: float, waits_s: float) -> None:
    """The policy's wait and ours: whichever is longer, to the microsecond."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        limiter = limiter_of(retry=RetryPolicy(backoff=Backoff(ours_s, ours_s, floor_s=ours_s), wait=theirs))
        starts = []
        async for attempt in limiter.attempts():
            async with attempt:
                starts.append(loop.time())
                await attempt.check(AiohttpLike(200 if len(starts) == 2 else 500))
        assert starts[1] - starts[0] == pytest.approx(waits_s, abs=2e-6)

    virtual(main)


@pytest.mark.parametrize(("theirs", "least_s", "asked_s"), [(5, 2, 5), (1, 2, 2), (None, 2, 2)])
def test_tenacity_is_told_the_wait_that_counts(theirs: float | None, least_s: float, asked_s: float) -> None:
    """Its statistics, and whoever looks at its state, see the wait that there is."""
    asked: list[float] = []

    async def requeue(seconds: float) -> None:
        asked.append(seconds)

    async def main() -> None:
        policy = RetryPolicy(wait=None if theirs is None else tenacity.wait_fixed(theirs))
        loop = retrying.RetryLoop(policy, requeue, lambda: 0.0)
        for _ in range(3):
            await loop.next_turn(ValueError(), least_s)

    virtual(main)
    assert asked == [asked_s] * 3


def test_the_servers_hint_is_the_least_wait_whatever_the_user_says() -> None:
    """wait_none() does not make us come earlier than the server asked."""

    async def main() -> None:
        limiter = limiter_of(retry=RetryPolicy(wait=tenacity.wait_none()))
        await run(limiter, Scripted(refusal("7"), 200))

    assert virtual(main).elapsed_s >= 7


def test_coroutine_strategies_are_awaited() -> None:
    """A user's wait and stop may be coroutines."""

    async def wait(state: tenacity.RetryCallState) -> float:
        await asyncio.sleep(0)
        return 3.0

    async def stop(state: tenacity.RetryCallState) -> bool:
        await asyncio.sleep(0)
        return state.attempt_number >= 2

    async def main() -> None:
        limiter = limiter_of(retry=RetryPolicy(wait=wait, stop=stop))
        server = Scripted(500, 500, 200)
        with pytest.raises(Exception, match="500"):
            await run(limiter, server)
        assert server.calls == 2

    assert 3 <= virtual(main).elapsed_s < 4


def test_twenty_at_once_have_each_their_own_loop() -> None:
    """A policy with tenacity objects is shared by twenty calls; each counts its own tries."""

    async def main() -> None:
        policy = RetryPolicy(
            max_attempts=10, budget=1.0, stop=tenacity.stop_after_attempt(4), wait=tenacity.wait_fixed(1)
        )
        limiter = limiter_of(retry=policy)
        servers = [Scripted(*[500] * (number % 4), 200) for number in range(20)]
        numbers = await asyncio.gather(*(run(limiter, server) for server in servers))
        assert numbers == [number % 4 + 1 for number in range(20)]
        at_rest(limiter)

    virtual(main)


def test_no_policy_can_swallow_a_cancellation() -> None:
    """Policies that retry everything are asked about exceptions only; a cancelled task ends cancelled."""

    async def main() -> None:
        ten_s = Backoff(10, 10, floor_s=10)
        limiter = limiter_of(retry=RetryPolicy(retry_on=lambda outcome: True, stop=tenacity.stop_never, backoff=ten_s))
        for wait_s in (0.05, 5, 10.15, 15):  # in the body, in the queue, in the body, in the queue
            task = asyncio.ensure_future(run(limiter, Scripted(500, 500, 500, 200)))
            await asyncio.sleep(wait_s)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            at_rest(limiter)

    virtual(main)


def test_an_error_in_the_users_strategy_leaves_the_loop() -> None:
    """What the user's own wait raises is told, and nothing is left behind."""

    def broken(state: tenacity.RetryCallState) -> float:
        raise ZeroDivisionError

    async def main() -> None:
        limiter = limiter_of(retry=RetryPolicy(wait=broken))
        with pytest.raises(ZeroDivisionError):
            await run(limiter, Scripted(500, 200))
        at_rest(limiter)

    virtual(main)


def test_the_bridge_imports_nothing_of_an_http_library() -> None:
    """tenacity is here; aiohttp and httpx are not."""
    code = "import sys, ratelimit_client.runtime.retrying; print({'aiohttp', 'httpx'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"
    assert retrying.tenacity is tenacity
