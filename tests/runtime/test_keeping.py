"""A limiter whose budget is kept elsewhere."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence

import pytest

from ratelimit_client import (
    Client,
    ConfigurationError,
    Limiter,
    RateLimitClientError,
    StoreUnavailable,
    per_minute,
)
from ratelimit_client.core.lease import Call, Lease
from ratelimit_client.runtime.store import InProcessStore
from tests.runtime.torture import virtual


class AStore(InProcessStore):
    """One that is there or not, as it is told, and takes a millisecond."""

    workers = 4

    def __init__(
        self, *, fails: Exception | None = None, silent: bool = False, on_store_failure: str = "share"
    ) -> None:
        super().__init__(now_us=lambda: int(asyncio.get_running_loop().time() * 1e6) + 10**15)
        self.fails = fails
        self.silent = silent
        self.on_store_failure = on_store_failure
        self.calls: list[Call] = []

    async def renew(self, call: Call) -> Sequence[Lease]:
        self.calls.append(call)
        if self.silent:
            await asyncio.sleep(3600)
        if self.fails is not None:
            raise self.fails
        leases = await super().renew(call)
        await asyncio.sleep(0.001)
        return leases

    def __repr__(self) -> str:
        return "<AStore>"


def now() -> float:
    return asyncio.get_running_loop().time()


async def count(limiter: Limiter, seconds: float, callers: int = 50) -> int:
    """How many calls it lets out in that time, of as many as want to go."""
    granted = 0

    async def one() -> None:
        nonlocal granted
        while True:
            async with limiter.permit():
                granted += 1

    tasks = [asyncio.create_task(one()) for _ in range(callers)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return granted


def test_two_limiters_spend_one_budget() -> None:
    """Each of them alone could spend it all; together they spend it once, evenly."""

    async def main() -> None:
        store = AStore()
        one, other = (Limiter(per_minute(requests=600), store=store) for _ in range(2))
        first = await asyncio.gather(count(one, 60), count(other, 60))
        then = await asyncio.gather(count(one, 30), count(other, 30))

        assert 0.95 * 1200 <= sum(first) <= 1200
        assert 0.95 * 300 <= sum(then) <= 301
        assert min(then) >= 0.45 * sum(then)
        assert len(store.calls) / 90 / 2 <= 2

    virtual(main)


def test_a_first_call_waits_for_the_store_and_no_longer_than_a_quarter_of_a_second(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It goes at this process's part then, and one line in the log says so; not each second one."""

    async def main() -> None:
        with caplog.at_level(logging.INFO, logger="ratelimit_client"):
            silent = AStore(silent=True)
            limiter = Limiter(per_minute(requests=600), store=silent)
            began = now()
            async with limiter.permit():
                waited = now() - began
            alone = await count(limiter, 30)
            silent.silent = False
            back = await count(limiter, 10)

        assert 0.25 <= waited <= 0.5
        assert 0.8 * 67 <= alone <= 70, "nine tenths of a quarter of 600 a minute for half a minute"
        assert back > alone
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warnings) == 1
        assert "<AStore> cannot be reached (no answer from it within 0.25 s)" in warnings[0].getMessage()
        assert sum("is back" in record.getMessage() for record in caplog.records) == 1

    virtual(main)


def test_a_store_that_answers_delays_nothing() -> None:
    """A call on a budget at rest goes as soon as the store has answered; the next ones at once."""

    async def main() -> None:
        limiter = Limiter(per_minute(requests=600), store=AStore())
        began = now()
        async with limiter.permit():
            assert now() - began == pytest.approx(0.001)
        async with limiter.permit():
            assert now() - began == pytest.approx(0.001)

    virtual(main)


@pytest.mark.parametrize("error", [ConfigurationError("no such password"), StoreUnavailable("nobody there")])
def test_what_cannot_work_is_told_before_the_first_call(error: RateLimitClientError) -> None:
    """Set up wrongly, or there at the start and to stop without it: no call goes, and all say why."""

    async def main() -> None:
        store = AStore(fails=error, on_store_failure="stop")
        limiter = Limiter(per_minute(requests=600), store=store)

        async def one() -> None:
            async with limiter.permit():
                raise AssertionError("nothing is to be sent")

        for result in await asyncio.gather(*(one() for _ in range(3)), return_exceptions=True):
            assert isinstance(result, type(error))
            assert str(error) in str(result)
            assert "no call was sent" in str(result)
        with pytest.raises(type(error)):
            await one()
        store.fails = None
        await asyncio.sleep(10)
        async with limiter.permit():
            pass

    virtual(main)


def test_a_store_that_was_there_and_refuses_later_is_one_that_cannot_be_reached() -> None:
    """A password that was changed meanwhile stops nobody."""

    async def main() -> None:
        store = AStore()
        limiter = Limiter(per_minute(requests=600), store=store)
        await count(limiter, 5)
        store.fails = ConfigurationError("the password is another")
        assert await count(limiter, 20) > 0

    virtual(main)


def test_who_is_to_stop_spends_its_lease_and_no_more() -> None:
    """With on_store_failure="stop"."""

    async def main() -> None:
        store = AStore(on_store_failure="stop")
        limiter = Limiter(per_minute(requests=600), store=store)
        await count(limiter, 70)
        store.silent = True
        await count(limiter, 3)
        assert await count(limiter, 20) == 0
        store.silent = False
        assert await count(limiter, 20) > 0

    virtual(main)


@pytest.mark.parametrize("end", ["drain", "close", "error"])
def test_what_is_leased_is_given_back_at_the_end(end: str) -> None:
    """And can be lent to somebody else at once."""

    async def main() -> None:
        store = AStore()
        limiter, other = (Limiter(per_minute(requests=60), store=store) for _ in range(2))
        await count(limiter, 0.5)
        match end:
            case "drain":
                await limiter.drain()
            case "close":
                await limiter.close()
            case _:
                with pytest.raises(ZeroDivisionError):
                    async with limiter:
                        raise ZeroDivisionError
        (pool,) = store._store.pools.values()
        assert pool.members == {}
        used = 60 - next(iter(pool.buckets.values())).level
        assert await count(other, 20) >= 60 - used

    virtual(main)


@pytest.mark.parametrize("end", ["drain", "close"])
@pytest.mark.parametrize("turns", range(6))
def test_cancelled_while_it_gives_back_it_leaves_nothing_behind(end: str, turns: int) -> None:
    """The store hears of it by the lease's end then; no task and no timer is left."""

    async def main() -> None:
        store = AStore()
        limiter = Limiter(per_minute(requests=60), store=store)
        async with limiter.permit():
            pass
        store.silent = turns % 2 == 0

        async def leave() -> None:
            if end == "drain":
                await limiter.drain()
            else:
                await limiter.close()

        task = asyncio.create_task(leave())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() or task.exception() is None
        await asyncio.sleep(20)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    virtual(main)


def test_a_limiter_at_rest_leaves_no_timer_and_no_lease() -> None:
    """After ten seconds without a call; the next one joins again."""

    async def main() -> None:
        store = AStore()
        limiter = Limiter(per_minute(requests=600), store=store)
        await count(limiter, 1)
        await asyncio.sleep(30)
        calls = len(store.calls)
        (pool,) = store._store.pools.values()
        assert pool.members == {}
        await asyncio.sleep(300)
        assert len(store.calls) == calls
        async with limiter.permit():
            pass
        assert len(pool.members) == 1
        await asyncio.sleep(30)

    virtual(main)


def test_limits_that_one_has_learnt_hold_for_a_newcomer() -> None:
    """Nothing is typed: what the answers told the one is what the other begins with."""

    async def main() -> None:
        store = AStore()
        one, other = (Limiter(dialect="openai", store=store) for _ in range(2))
        async with one.permit("m") as permit:
            permit.observe(
                200, {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "10",
                      "x-ratelimit-reset-requests": "50s"},
            )  # fmt: skip
        await asyncio.sleep(1.5)
        granted = 0

        async def call() -> None:
            nonlocal granted
            async with other.permit("m"):
                granted += 1
                await asyncio.sleep(100)

        tasks = [asyncio.create_task(call()) for _ in range(40)]
        await asyncio.sleep(5)
        assert 1 <= granted <= 17
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    virtual(main)


def test_it_goes_on_on_another_loop() -> None:
    """What was asked on the old one is never answered, and nobody waits for that."""
    store = InProcessStore()
    limiter = Limiter(per_minute(requests=600), store=store)

    async def call() -> None:
        async with limiter.permit():
            pass

    for _ in range(3):
        asyncio.run(call())


def test_a_forked_child_is_another_process(tmp_path: object) -> None:
    """It leases under a name of its own."""
    store = InProcessStore()
    limiter = Limiter(per_minute(requests=600), store=store)
    here = limiter._desk.dispatcher.scheduler.keeper.process  # type: ignore[attr-defined]
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writes, limiter._desk.dispatcher.scheduler.keeper.process.encode())  # type: ignore[attr-defined]
        os._exit(0)
    os.waitpid(child, 0)
    there = os.read(reads, 100).decode()
    os.close(reads)
    os.close(writes)

    assert len(there) == len(here) == 12
    assert there != here


def test_what_is_no_store_is_refused() -> None:
    """A budget believed to be shared and not shared is worse than an error."""
    with pytest.raises(ConfigurationError, match="a store has"):
        Limiter(store=object())  # type: ignore[arg-type]


def test_a_client_shares_through_the_store_of_its_limiter() -> None:
    """The key of the API is in no name."""

    async def main() -> None:
        store = AStore()
        client = Client("http://127.0.0.1:1", limiter=Limiter(per_minute(requests=5), store=store))
        async with client.limiter.permit("gpt-4o"):
            pass
        (budget,) = store._store.pools
        assert len(budget) == 20
        assert "gpt" not in budget
        await client.close()

    asyncio.run(main())
