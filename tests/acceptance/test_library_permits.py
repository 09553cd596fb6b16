"""Permits as the contract describes them: queue and order, priorities, tenants, deadlines, the end of a limiter."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from ratelimit_client import (
    Closed,
    Limiter,
    NotAdmitted,
    QueueFull,
    Reason,
    Signals,
    WouldBlock,
    per_minute,
)
from tests.acceptance.library import at_zero, empty, now_s, tell


def test_the_rhythm_of_the_contract() -> None:
    """
    permit, observe, settle: observe returns Signals and never raises for what a server said.
    """

    async def story() -> None:
        limiter = Limiter(per_minute(requests=500, tokens=200_000), dialect="openai", max_in_flight=64)
        options: dict[str, Any] = {"key": "gpt-4o", "tokens": 1_500, "priority": 0, "tenant": "a", "deadline": 30.0}
        async with limiter.permit(**options) as permit:
            signals = permit.observe(200, {"x-request-id": "req_1", "x-ratelimit-remaining-tokens": "198500"})
            assert isinstance(signals, Signals)
            assert (signals.reason, signals.request_id) == (Reason.OK, "req_1")
            permit.settle(tokens=1_320)
        async with limiter.permit(key="gpt-4o", tokens=1_500) as permit:
            for body in (None, "<html>", b"\xff\xfe", {"error": None}, {"error": {"message": 7}}, [1], 3.5):
                assert (
                    permit.observe(429, {"retry-after": "nan", "x-ratelimit-limit-tokens": "9" * 5000}, body).status
                    == 429
                )
        assert at_zero(limiter)

    tell(story)


def test_unsent_gives_the_charge_back() -> None:
    """
    Nothing was written: the bucket is as full as before. Written and failed: the charge stays.
    """

    async def story() -> None:
        limiter = Limiter(per_minute(tokens=1000))

        def level() -> int:
            return limiter.statistics().keys["default"].buckets["tokens"].level

        async with limiter.permit(tokens=400) as permit:
            assert level() == 600
            permit.unsent()
            assert level() == 1000
        with pytest.raises(ZeroDivisionError):
            async with limiter.permit(tokens=400):
                raise ZeroDivisionError
        assert level() == 600
        assert at_zero(limiter)

    tell(story)


def test_nowait_says_when_it_could_go() -> None:
    """
    WouldBlock(ready_in_s); after that time it goes; nothing was charged for asking.
    """

    async def story() -> None:
        limiter = Limiter("60/min")
        empty(limiter)
        for _ in range(5):
            with pytest.raises(WouldBlock) as caught:
                limiter.permit_nowait()
        assert isinstance(caught.value, NotAdmitted)
        assert caught.value.ready_in_s == pytest.approx(1, abs=0.7)
        await asyncio.sleep(caught.value.ready_in_s)
        async with limiter.permit_nowait():
            pass
        assert at_zero(limiter)

    tell(story)


def test_strict_order_inside_a_tenant_and_band() -> None:
    """
    A hundred calls of equal rank go in the order in which they came.
    """

    async def story() -> list[int]:
        limiter = Limiter("60/min")
        empty(limiter)
        order: list[int] = []

        async def call(number: int) -> None:
            async with limiter.permit():
                order.append(number)

        tasks = []
        for number in range(100):
            tasks.append(asyncio.create_task(call(number)))
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        return order

    assert tell(story) == list(range(100))


def test_lower_priorities_go_first() -> None:
    """
    Ledger: queued in the order 2, 1, 0, -1, -2, served in the order -2 ... 2, and only those values are priorities.
    """

    async def story() -> list[int]:
        limiter = Limiter("60/min")
        empty(limiter)
        order: list[int] = []

        async def call(priority: int) -> None:
            async with limiter.permit(priority=priority):
                order.append(priority)

        await asyncio.gather(*(call(priority) for priority in (2, 1, 0, -1, -2)))
        for wrong in (-3, 3, 0.5, "0", None):
            with pytest.raises((ValueError, TypeError)):
                limiter.permit(priority=wrong)  # type: ignore[arg-type]
        return order

    assert tell(story) == [-2, -1, 0, 1, 2]


@pytest.mark.parametrize(
    "bands", [(-2, 2), (0, 1), (-2, 0, 2), (-2, -1, 0, 1, 2)], ids=lambda bands: "_".join(map(str, bands))
)
@pytest.mark.parametrize("crowd", ["all queued", "one after the other"])
def test_a_better_band_comes_first_and_a_worse_one_never_starves(bands: tuple[int, ...], crowd: str) -> None:
    """
    While all of them wait for a minute at 600 a minute, each worse band gets its tenth and the best all the rest.
    """

    async def story() -> Counter[int]:
        limiter = Limiter("600/min", max_in_flight=2000)
        empty(limiter)
        went: Counter[int] = Counter()

        async def call(band: int) -> None:
            async with limiter.permit(priority=band):
                went[band] += 1

        async def one_after_the_other(band: int) -> None:
            while True:
                await call(band)

        if crowd == "all queued":
            tasks = [asyncio.create_task(call(band)) for band in bands for _ in range(700)]
        else:
            tasks = [asyncio.create_task(one_after_the_other(band)) for band in bands]
        await asyncio.sleep(60)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert at_zero(limiter)
        return went

    went = tell(story)
    best, *worse = bands
    assert sum(went.values()) == pytest.approx(600, abs=8)  # the next call of each band is under way
    assert {band: went[band] for band in worse} == {band: pytest.approx(60, abs=3) for band in worse}
    assert went[best] == pytest.approx(600 - 60 * len(worse), abs=10)


def test_a_heavy_call_waits_a_bounded_time_among_small_ones() -> None:
    """
    500 of 1000 tokens a minute beside a flood of calls of 10, of another tenant or of a better band.
    """
    for heavy_band, small_band, bound_s in ((0, 0, 70), (-2, 2, 40), (2, -2, 310)):

        async def story(heavy_band: int = heavy_band, small_band: int = small_band) -> float:
            limiter = Limiter(per_minute(tokens=1000), max_in_flight=2000)
            empty(limiter, tokens=10)

            async def flood() -> None:
                while True:
                    async with limiter.permit(tokens=10, priority=small_band, tenant="many"):
                        pass

            floods = [asyncio.create_task(flood()) for _ in range(100)]
            await asyncio.sleep(1)
            began = now_s()
            async with limiter.permit(tokens=500, priority=heavy_band, tenant="one"):
                waited_s = now_s() - began
            for task in floods:
                task.cancel()
            await asyncio.wait(floods)
            assert at_zero(limiter)
            return waited_s

        assert tell(story) <= bound_s


def test_tenants_of_one_band_share_evenly() -> None:
    """
    A thousand calls of one tenant before it do not keep the other's thirty waiting: they take turns.
    """

    async def story() -> None:
        limiter = Limiter("600/min", max_in_flight=2000)
        empty(limiter)
        went: Counter[str] = Counter()

        async def call(tenant: str) -> None:
            async with limiter.permit(tenant=tenant):
                went[tenant] += 1

        tasks = [asyncio.create_task(call("greedy")) for _ in range(1000)]
        await asyncio.sleep(1)
        before = went["greedy"]
        tasks += [asyncio.create_task(call("modest")) for _ in range(30)]
        await asyncio.sleep(6)
        assert went["modest"] == pytest.approx(30, abs=2)
        assert went["greedy"] - before == pytest.approx(30, abs=4)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert at_zero(limiter)

    tell(story)


def test_one_key_does_not_block_another() -> None:
    """
    A model without budget has its own queue; the other goes at once. Free slots go to the key that had least.
    """

    async def story() -> None:
        limiter = Limiter({"small": "1/min", "*": "6000/min"}, max_in_flight=10)
        empty(limiter, key="small")
        stuck = [asyncio.create_task(limiter.call(asyncio.sleep, 0, key="small")) for _ in range(5)]
        await asyncio.sleep(0)
        began = now_s()
        for _ in range(100):
            async with limiter.permit(key="large"):
                pass
        assert now_s() - began < 1
        limiter.close()
        assert {type(each) for each in await asyncio.gather(*stuck, return_exceptions=True)} == {Closed}

    tell(story)


def test_max_in_flight_is_over_all_keys() -> None:
    """
    Seven at once, whatever the keys; each key gets its share of the slots.
    """

    async def story() -> None:
        limiter = Limiter(per_minute(requests=100_000), max_in_flight=7)
        inside = most = 0
        went: Counter[str] = Counter()

        async def call(key: str) -> None:
            nonlocal inside, most
            async with limiter.permit(key=key):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(1)
                inside -= 1
                went[key] += 1

        tasks = [asyncio.create_task(call(key)) for key in ["a"] * 200 + ["b"] * 200]
        await asyncio.sleep(20.5)
        assert most == 7
        assert went["b"] == pytest.approx(went["a"], abs=10)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert at_zero(limiter)

    tell(story)


def test_a_full_queue_says_so() -> None:
    """
    max_queue calls wait; one more is QueueFull with the number; when one leaves there is room again.
    """

    async def story() -> None:
        limiter = Limiter("1/min", max_queue=3)
        async with limiter.permit():
            pass
        waiting = [asyncio.create_task(limiter.call(asyncio.sleep, 0)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull) as caught:
            async with limiter.permit():
                pass
        assert caught.value.max_queue == 3
        waiting.pop().cancel()
        await asyncio.sleep(0)
        waiting.append(asyncio.create_task(limiter.call(asyncio.sleep, 0)))
        await asyncio.gather(*waiting)
        assert at_zero(limiter)

    tell(story)
