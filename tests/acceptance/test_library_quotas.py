"""Quotas as people type them, and what they hold: by key, over all keys, as a ceiling, while running."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from typing import Any

import pytest

from ratelimit_client import (
    ConfigurationError,
    Cost,
    CostExceedsQuota,
    InvalidQuota,
    Limiter,
    Quota,
    RateLimitClientError,
    RetryPolicy,
    WouldBlock,
    per_day,
    per_hour,
    per_minute,
    per_second,
)
from tests.acceptance.library import at_zero, now_s, tell


def take_all(limiter: Limiter, **options: Any) -> int:
    """How many calls go at once, until one would have to wait."""
    taken = 0
    try:
        while True:
            limiter.permit_nowait(**options).finish()
            taken += 1
    except WouldBlock:
        return taken


def limits(limiter: Limiter, key: str = "default") -> dict[str, int]:
    return {name: bucket.limit for name, bucket in limiter.statistics().keys[key].buckets.items()}


def test_what_a_limiter_may_be_told() -> None:
    """
    The documented names and defaults; quotas is the only positional one.
    """
    parameters = inspect.signature(Limiter).parameters
    documented = {
        "quotas": (),
        "shared": (),
        "name": "default",
        "dialect": "auto",
        "max_in_flight": None,
        "max_queue": 100_000,
        "store": None,
        "pacing": None,
        "on_event": None,
    }

    assert {name: parameters[name].default for name in documented} == documented
    assert parameters["retry"].default in (None, RetryPolicy())
    assert [name for name, each in parameters.items() if each.kind is not each.KEYWORD_ONLY] == ["quotas"]


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("500 requests/min", Quota("requests", 500, 60)),
        ("200k tokens/min", Quota("tokens", 200_000, 60)),
        ("1/s", Quota("requests", 1, 1)),
        ("10 per hour", Quota("requests", 10, 3600)),
        ("10_000 requests/day", Quota("requests", 10_000, 86_400)),
        ("1.5M tokens per minute", Quota("tokens", 1_500_000, 60)),
        ("  3   Requests / 10 s ", Quota("requests", 3, 10)),
    ],
)
def test_a_quota_is_read_as_it_is_written(text: str, quota: Quota) -> None:
    """
    The examples of the contract and their relatives.
    """
    assert Quota.parse(text) == quota
    assert Quota.parse(str(quota)) == quota


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "500",
        "500 requests",
        "0/min",
        "-1/min",
        "1e3/min",
        "5/parsec",
        "1/0 s",
        "1/min/min",
        "٥/min",
        "9" * 500,
    ],
)
def test_what_is_no_quota_says_what_one_looks_like(text: str) -> None:
    """
    InvalidQuota, which is a ValueError, with an example in its sentence.
    """
    with pytest.raises(InvalidQuota) as caught:
        Quota.parse(text)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, RateLimitClientError)
    assert "500" in str(caught.value) or "60" in str(caught.value)
    assert len(str(caught.value)) < 600


def test_the_four_makers_and_the_sum() -> None:
    """
    per_second ... per_day make quotas of their windows; + puts them together; the same twice is once.
    """
    made = per_second(requests=1) + per_minute(requests=2, tokens=3) + per_hour(requests=4) + per_day(images=5)

    assert [(each.unit, each.amount, each.window_s) for each in made] == [
        ("requests", 1, 1),
        ("requests", 2, 60),
        ("tokens", 3, 60),
        ("requests", 4, 3600),
        ("images", 5, 86_400),
    ]
    assert len(per_minute(requests=2) + Quota.parse("2 requests/min")) == 1
    with pytest.raises(InvalidQuota, match="contradict"):
        per_minute(requests=2) + per_minute(requests=3)


def test_every_way_to_give_quotas() -> None:
    """
    A quota, a text, a list of either, a sum, a mapping: a limiter takes them all.
    """
    for given in (
        Quota("requests", 5, 60),
        "5 requests/min",
        ["5 requests/min"],
        (Quota("requests", 5, 60),),
        per_minute(requests=5),
        {"*": "5 requests/min"},
        {"default": per_minute(requests=5), "*": "1/day"},
    ):

        async def story(given: Any = given) -> tuple[int, dict[str, int]]:
            limiter = Limiter(given)
            return take_all(limiter), limits(limiter)

        # One in a hundred is kept back, which of five is nothing whole.
        assert tell(story) in ((5, {"requests": 5}), (4, {"requests": 5}))


def test_quotas_hold_for_each_key_separately() -> None:
    """
    Three keys at 10 a minute give thirty at once; the eleventh of one key waits.
    """

    async def story() -> None:
        limiter = Limiter(per_minute(requests=10), max_in_flight=100)
        began, times = now_s(), Counter[float]()

        async def call(key: str) -> None:
            async with limiter.permit(key=key):
                times[round(now_s() - began)] += 1

        await asyncio.gather(*(call(f"k{n % 3}") for n in range(33)))
        assert times == {0: 27 + times[0] - 27, **{second: times[second] for second in times if second}}
        assert 27 <= times[0] <= 30
        assert max(times) == pytest.approx(6, abs=1.5)
        assert at_zero(limiter)

    tell(story)


def test_a_mapping_gives_quotas_by_key_and_a_star_the_rest() -> None:
    """
    "gpt-4o" has its own, everything else has the star's, and a mapping without a star leaves the rest unlimited.
    """

    async def story() -> None:
        limiter = Limiter({"gpt-4o": "20 requests/min", "*": "3/min"})
        assert take_all(limiter, key="gpt-4o") in (19, 20)
        assert take_all(limiter, key="other") in (2, 3)
        assert limits(limiter, "gpt-4o") == {"requests": 20}
        assert limits(limiter, "other") == {"requests": 3}
        # Without a quota only the ramp holds it back: 200 go in far less than a minute.
        open_ended = Limiter({"gpt-4o": "20 requests/min"})
        began = now_s()
        for _ in range(200):
            async with open_ended.permit(key="other"):
                pass
        assert now_s() - began < 5

    tell(story)


def test_shared_quotas_hold_over_all_keys() -> None:
    """
    Ledger: 60 a minute for each of five keys, 100 a minute over all: 300 calls take two minutes.
    """

    async def story() -> None:
        limiter = Limiter(per_minute(requests=60), shared="100 requests/min")
        began, first_second = now_s(), 0

        async def call(key: str) -> None:
            nonlocal first_second
            async with limiter.permit(key=key):
                first_second += now_s() - began < 0.5

        await asyncio.gather(*(call(f"k{n % 5}") for n in range(300)))
        assert first_second <= 100
        assert now_s() - began == pytest.approx(120, abs=2)
        assert at_zero(limiter)

    tell(story)


def test_a_typed_quota_is_a_ceiling() -> None:
    """
    A header may lower it, never raise it.
    """

    async def story() -> None:
        limiter = Limiter(per_minute(requests=60), dialect="openai")

        async def show(limit: int, remaining: int) -> None:
            async with limiter.permit() as permit:
                shown = {"x-ratelimit-limit-requests": str(limit), "x-ratelimit-remaining-requests": str(remaining)}
                permit.observe(200, shown)
            await asyncio.sleep(1.5)

        await show(10_000, 9_999)
        await show(10_000, 9_999)
        assert limits(limiter) == {"requests": 60}
        began = now_s()
        for _ in range(120):
            await show_nothing(limiter)
        assert now_s() - began > 55

        for _ in range(3):
            await show(12, 11)
        assert limits(limiter) == {"requests": 12}
        for _ in range(3):
            await show(10_000, 9_999)
        assert limits(limiter) == {"requests": 60}

    tell(story)


async def show_nothing(limiter: Limiter) -> None:
    async with limiter.permit():
        pass


def test_without_quotas_limits_are_learnt() -> None:
    """
    Nothing typed: after one answer the limiter knows what the server told.
    """

    async def story() -> None:
        limiter = Limiter()
        async with limiter.permit() as permit:
            permit.observe(
                200,
                {
                    "x-ratelimit-limit-requests": "600",
                    "x-ratelimit-remaining-requests": "5",
                    "x-ratelimit-reset-requests": "59.5s",
                },
            )
        bucket = limiter.statistics().keys["default"].buckets["requests"]
        assert (bucket.limit, bucket.window_s, bucket.source) == (600, 60, "header")
        assert bucket.level == pytest.approx(5, abs=1)

    tell(story)


def test_two_windows_of_one_unit_hold_together() -> None:
    """
    5 a second and 20 a minute: five go at once, twenty within four seconds, then one each three seconds.
    """

    async def story() -> None:
        limiter = Limiter(per_second(requests=5) + per_minute(requests=20))
        began, times = now_s(), []
        for _ in range(22):
            async with limiter.permit():
                times.append(now_s() - began)
        assert times[4] <= 0.2
        assert 2.5 <= times[18] <= 4
        assert times[21] - times[20] >= 2
        buckets = limiter.statistics().keys["default"].buckets
        assert sorted((each.unit, each.window_s) for each in buckets.values()) == [("requests", 1), ("requests", 60)]

    tell(story)


# -- costs -------------------------------------------------------------------------------------


def test_a_cost_is_requests_and_units() -> None:
    """
    One request unless said otherwise; a mapping with every unit; tokens=n is short for both.
    """
    assert dict(Cost()) == {"requests": 1}
    assert dict(Cost(tokens=7)) == {"requests": 1, "tokens": 7}
    assert dict(Cost(requests=2, images=3)) == {"requests": 2, "images": 3}
    assert Cost(tokens=7)["images"] == 0
    with pytest.raises(ValueError, match="tokens"):
        Cost(tokens=-1)

    async def story() -> None:
        limiter = Limiter(per_minute(requests=100, tokens=1000, images=10))
        limiter.permit_nowait(tokens=100).finish()
        limiter.permit_nowait(cost=Cost(images=3)).finish()
        limiter.permit_nowait(cost={"requests": 5, "images": 1}).finish()
        buckets = limiter.statistics().keys["default"].buckets
        assert {name: bucket.level for name, bucket in buckets.items()} == {"requests": 93, "tokens": 900, "images": 6}

    tell(story)


@pytest.mark.parametrize("way", ["permit", "permit_nowait", "attempts", "call"])
def test_more_than_a_bucket_ever_holds_is_never(way: str) -> None:
    """
    A stated cost above a stated limit is CostExceedsQuota at once, with the numbers, whichever way the call is made.
    """

    async def story() -> None:
        limiter = Limiter(per_minute(tokens=1000))
        with pytest.raises(CostExceedsQuota, match=r"1,001.*1,000|1001.*1000") as caught:
            if way == "permit":
                async with limiter.permit(tokens=1001):
                    pass
            elif way == "permit_nowait":
                limiter.permit_nowait(tokens=1001)
            elif way == "attempts":
                async for attempt in limiter.attempts(tokens=1001):
                    async with attempt:
                        pass
            else:
                await limiter.call(asyncio.sleep, 0, tokens=1001)
        error = caught.value
        assert (error.unit, error.cost, error.limit, error.window_s) == ("tokens", 1001, 1000, 60)
        async with limiter.permit(tokens=1000):
            pass
        assert at_zero(limiter)

    tell(story)


def test_a_call_as_large_as_the_bucket_goes() -> None:
    """
    Again and again, once for each window.
    """

    async def story() -> None:
        limiter = Limiter(per_minute(tokens=1000))
        began = now_s()
        for _ in range(5):
            async with limiter.permit(tokens=1000):
                pass
        assert now_s() - began == pytest.approx(240, abs=1)

    tell(story)


# -- while running -----------------------------------------------------------------------------


def test_quotas_change_while_running() -> None:
    """
    Raised: those who wait go sooner. Lowered: later. For one key, or over all keys, and what is wrong changes nothing.
    """

    async def story() -> None:
        limiter = Limiter("60/min")
        take_all(limiter)
        waiting = [asyncio.create_task(show_nothing(limiter)) for _ in range(60)]
        await asyncio.sleep(0)
        began = now_s()
        limiter.set_quotas("6000/min")
        await asyncio.gather(*waiting)
        assert now_s() - began < 2

        limiter.set_quotas("2/min", key="slow")
        take_all(limiter, key="slow")
        assert limits(limiter, "slow") == {"requests": 2}
        assert limits(limiter) == {"requests": 6000}
        limiter.set_quotas(shared="30/min")
        assert limits(limiter)["shared requests"] == 30
        assert take_all(limiter) <= 30
        with pytest.raises(InvalidQuota):
            limiter.set_quotas("nonsense")
        assert limits(limiter)["requests"] == 6000
        assert at_zero(limiter)

    tell(story)


@pytest.mark.parametrize(
    "options",
    [{"max_in_flight": 0}, {"max_in_flight": -1}, {"max_queue": -1}, {"max_in_flight": "many"}, {"pacing": 0}],
)
def test_bounds_that_cannot_be_are_said_at_once(options: dict[str, Any]) -> None:
    """
    ConfigurationError at the constructor, not at the first call.
    """
    with pytest.raises(ConfigurationError):
        Limiter(**options)


def test_an_unknown_dialect_is_a_lookup_error() -> None:
    """
    At the constructor, with the names there are.
    """
    with pytest.raises(LookupError, match="openai"):
        Limiter(dialect="opneai")
