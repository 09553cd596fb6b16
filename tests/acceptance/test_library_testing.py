"""``ratelimit_client.testing`` as the contract describes it: its names, its clocks, and the three ways to enforce."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from ratelimit_client import Client, Limiter, Quota, per_day, per_minute
from ratelimit_client.testing import (
    Deadlock,
    ManualClock,
    ModelServer,
    VirtualLoop,
    exactly,
    fixed,
    minute,
    run_virtual,
    serve_model,
    sliced,
)
from tests.acceptance.library import CHAT, KEY, Judge, now_s, tell

pytest_plugins = ["ratelimit_client.testing.fixtures"]

NS = 1_000_000_000


def test_a_manual_clock_obeys() -> None:
    """
    It shows what it was set to, never runs back, and its date may be set apart from it.
    """
    clock = ManualClock()
    before = clock.wall_ns()
    clock.advance(2.5)
    assert clock.monotonic_ns() == 2_500_000_000
    assert clock.wall_ns() - before == 2_500_000_000
    clock.set_wall(0)
    assert (clock.wall_ns(), clock.monotonic_ns()) == (0, 2_500_000_000)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)


def test_a_limiter_goes_by_a_manual_clock() -> None:
    """
    One an hour: the second goes when the clock says that an hour has passed, however fast the test runs.
    """
    clock = ManualClock()
    limiter = Limiter("1/hour", clock=clock)

    async def story() -> list[bool]:
        went = []
        for wait_s in (0, 0, 1800, 1799, 1):
            clock.advance(wait_s)
            explanation = limiter.explain()
            went.append(explanation.admissible)
            if explanation.admissible:
                limiter.permit_nowait().finish()
        return went

    assert asyncio.run(story()) == [True, False, False, False, True]


def test_a_virtual_loop_takes_no_time_and_knows_when_nothing_can_happen() -> None:
    """
    A day passes at once; a program that can never go on is a Deadlock that names who waits.
    """

    async def day() -> float:
        await asyncio.sleep(86_400)
        return asyncio.get_running_loop().time()

    _, loop = run_virtual(day)
    assert isinstance(loop, VirtualLoop)
    assert loop.elapsed_s == 86_400

    async def stuck() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        run_virtual(stuck)


def test_one_seed_is_one_run() -> None:
    """
    The same story with the same seed leaves the same trace, and another seed another.
    """

    async def story() -> None:
        async with serve_model(per_minute(requests=60), latency=0.3) as url, Client(url, api_key=KEY) as client:
            await asyncio.gather(*(client.post("/chat/completions", json={**CHAT, "user": f"{n}"}) for n in range(90)))

    digests = [run_virtual(story, seed=seed)[1].elapsed_s for seed in (1, 1, 2)]
    assert digests[0] == digests[1]


def test_a_model_server_is_served_on_loopback() -> None:
    """
    serve_model gives a base URL, a string, that any client can call, and the tally of what was asked.
    """

    async def story() -> None:
        async with serve_model(per_minute(requests=2)) as url:
            assert isinstance(url, str)
            assert url.startswith("http://127.0.0.1:")
            assert url.endswith("/v1")
            async with aiohttp.ClientSession() as session:
                statuses = []
                for _ in range(3):
                    async with session.post(f"{url}/chat/completions", json=CHAT) as response:
                        statuses.append(response.status)
                        shown = response.headers["x-ratelimit-limit-requests"]
            assert (statuses, shown) == ([200, 200, 429], "2")
            assert (url.tally.calls, url.tally.refusals) == (3, 1)

    asyncio.run(story())


def test_refusals_leave_within_20_ms_unless_told_otherwise() -> None:
    """
    Answers take their time, a refusal does not; refusal_latency says otherwise.
    """
    for options, least_s, most_s in (({}, 0, 0.02), ({"refusal_latency": 0.15}, 0.149, 0.151)):

        async def story(options: dict[str, Any] = options) -> float:
            judge = Judge(per_minute(requests=1), latency=5, **options)
            await judge()
            began = now_s()
            assert (await judge()).status == 429
            return now_s() - began

        assert least_s <= tell(story) <= most_s


def admitted(server: ModelServer, at_s: float, most: int = 10_000) -> int:
    """How many calls go at that second until one is refused."""
    for count in range(most):
        if not server.request(now_ns=round(at_s * NS)).admitted:
            return count
    return most


@pytest.mark.parametrize(
    ("kind", "bursts"),
    [
        # The whole limit as burst, then one a second.
        (minute(), {0: 60, 1: 1, 31: 30}),
        # A bucket of a second's worth beside it: one a second, whatever the minute holds.
        (sliced(1), {0: 1, 1: 1, 1.5: 0, 31: 1}),
        (sliced(10), {0: 10, 1: 1, 31: 10}),
    ],
    ids=lambda value: value.kind if hasattr(value, "kind") else "",
)
def test_enforcement_by_buckets(kind: Any, bursts: dict[float, int]) -> None:
    """
    Ledger of bursts at 60 a minute; a refused call costs nothing here, so that the rows stay readable.
    """
    server = ModelServer(per_minute(requests=60), enforcement=kind, charge_refusals=False)

    assert {at_s: admitted(server, at_s) for at_s in bursts} == bursts


def test_enforcement_by_a_counter() -> None:
    """
    fixed(60): sixty in each window, at a phase nobody outside knows; fixed(10): ten in each slice.
    """
    for seconds, limit in ((60, 60), (10, 10)):
        server = ModelServer(per_minute(requests=60), enforcement=fixed(seconds), charge_refusals=False, seed=5)
        counts = [admitted(server, at_s / 10, most=1) for at_s in range(1800)]
        total = sum(counts)
        assert 3 * 60 <= total <= 4 * 60
        # Between two steps never more than a slice holds, and each window steps once.
        first = counts.index(0)
        longest = max(sum(counts[start : start + seconds * 10]) for start in range(1800 - seconds * 10))
        assert first <= limit
        assert limit <= longest <= 2 * limit


def test_the_headers_of_a_slice_show_the_minute_only() -> None:
    """
    While the slice is empty, remaining looks fine.
    """
    server = ModelServer(per_minute(requests=600), enforcement=sliced(1))
    for _ in range(10):
        last = server.request(now_ns=0)
    refused = server.request(now_ns=0)

    assert last.headers["x-ratelimit-remaining-requests"] == "590"
    assert refused.status == 429
    assert int(refused.headers["x-ratelimit-remaining-requests"]) > 500


def test_several_quotas_of_one_unit_and_by_model() -> None:
    """
    Requests a minute beside requests a day, and each model its own.
    """
    limits = {"small": per_minute(requests=60) + per_day(requests=3), "*": [Quota("tokens", 100, 60)]}
    server = ModelServer(limits, charge=exactly)

    assert [server.request(model="small", now_ns=0).status for _ in range(4)] == [200, 200, 200, 429]
    assert [server.request(model="other", tokens=50, now_ns=0).status for _ in range(3)] == [200, 200, 429]


# -- the fixtures ------------------------------------------------------------------------------


def test_the_fixtures(
    manual_clock: ManualClock, model_server: Callable[..., ModelServer], virtual: Callable[..., Any]
) -> None:
    """
    A clock, a maker of pure servers, a runner in virtual time.
    """
    assert manual_clock.monotonic_ns() == 0
    assert model_server(per_minute(requests=1)).request(now_ns=0).status == 200

    async def hour() -> str:
        await asyncio.sleep(3600)
        return "done"

    result, loop = virtual(hour)
    assert (result, loop.elapsed_s) == ("done", 3600)


def test_a_served_model_in_a_process_of_its_own(served_model: Callable[..., Any]) -> None:
    """
    A base URL that answers from another process and can be asked for its tally.
    """
    url = served_model(per_minute(requests=5))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/models", timeout=10) as response:
        assert response.status == 200
    assert url.stats()["calls"] == 1
