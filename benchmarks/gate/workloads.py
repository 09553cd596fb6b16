"""
What is counted: workloads, and the floors beside them.

Law of this file: a workload is a function of a number of rounds that does the same in every round,
whatever the hour and the machine. What is made once is made before the first round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs

from ratelimit_client import Limiter, per_day, per_minute
from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.leasing import LeasingScheduler
from ratelimit_client.core.pool import Store
from ratelimit_client.core.scheduler import Scheduler
from ratelimit_client.core.units import NS
from ratelimit_client.dialects import read
from ratelimit_client.dialects.openai import OPENAI
from ratelimit_client.dialects.sse import EventParser
from ratelimit_client.testing.clock import ManualClock

from . import calls, rows, texts

WAITERS: Final = 1000


@attrs.frozen
class Workload:
    """
    Args:
        says: what one operation is.
        run: does so many rounds.
        rounds: how many; twice as many in the second run.
        per_round: operations in a round.
        floor: the name of the workload it is a multiple of; a floor has none.
    """

    says: str
    run: Callable[[int], object]
    rounds: int
    per_round: int = 1
    floor: str = ""


def _within(main: Callable[[int], Awaitable[None]]) -> Callable[[int], None]:
    """The rounds on an event loop of their own."""

    def run(rounds: int) -> None:
        with asyncio.Runner() as runner:
            runner.run(_awaiting(main, rounds))

    return run


async def _awaiting(main: Callable[[int], Awaitable[None]], rounds: int) -> None:
    await main(rounds)


# ---- floors ------------------------------------------------------------------------------------


class _Account:
    """The smallest thing that keeps a balance: attributes, a dictionary, whole numbers and a comparison."""

    def __init__(self) -> None:
        self.level = 10**9
        self.taken = dict.fromkeys(("requests", "tokens"), 0)

    def take(self, unit: str, amount: int) -> bool:
        if amount > self.level:
            return False
        self.level -= amount
        self.taken[unit] = self.taken.get(unit, 0) + amount
        return True


def plain_python(rounds: int) -> None:
    """Twenty small method calls a round."""
    account = _Account()
    for number in range(rounds):
        for step in range(10):
            account.take("requests", 1)
            account.take("tokens", number + step)


async def semaphore(rounds: int) -> None:
    """The simplest thing that lets a call in and out."""
    semaphore = asyncio.Semaphore(10)
    for _ in range(rounds):
        async with semaphore:
            pass


async def wait_for(future: asyncio.Future[None]) -> None:
    """The least that a task can do."""
    await future


async def _bare_tasks() -> tuple[list[asyncio.Future[None]], list[asyncio.Task[None]]]:
    loop = asyncio.get_running_loop()
    futures: list[asyncio.Future[None]] = [loop.create_future() for _ in range(WAITERS)]
    tasks = [asyncio.ensure_future(wait_for(future)) for future in futures]
    await asyncio.sleep(0)
    return futures, tasks


async def bare_waiters(rounds: int) -> None:
    """A thousand tasks that each wait for a future, which comes."""
    for _ in range(rounds):
        futures, tasks = await _bare_tasks()
        for future in futures:
            future.set_result(None)
        await asyncio.wait(tasks)


async def bare_cancels(rounds: int) -> None:
    """The same, cancelled."""
    for _ in range(rounds):
        _, tasks = await _bare_tasks()
        await _cancel(tasks)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    """Every third first, so that no order of the queue is met."""
    chosen = tasks[::3] + tasks[1::3] + tasks[2::3]
    for task in chosen:
        task.cancel()
    await asyncio.wait(chosen)


# ---- the machine -------------------------------------------------------------------------------


def decision(rounds: int) -> None:
    """A call is submitted, goes at once and is over: three buckets."""
    scheduler = Scheduler(
        quotas=per_minute(requests=10**9, tokens=10**12) + per_day(requests=10**12),
        profile=OPENAI.profile,
        max_in_flight=1000,
        dice=lambda: 0.5,
        now_ns=0,
    )
    cost = Cost(1, tokens=1500)
    for number in range(rounds):
        ticket = scheduler.submit("gpt-4o", cost=cost, now_ns=number * 1000)
        scheduler.release(ticket, Ending.SUCCEEDED, now_ns=number * 1000 + 500)


def leased(rounds: int) -> None:
    """Two processes on one budget, a call of each every millisecond; each asks the store, in memory, once a second."""
    store = Store()
    machines = [
        LeasingScheduler(
            process=name,
            spends=True,
            workers=4,
            quotas=per_minute(requests=10**6, tokens=10**9) + per_day(requests=10**9),
            profile=OPENAI.profile,
            max_in_flight=1000,
            dice=lambda: 0.5,
            now_ns=0,
        )
        for name in ("ours", "theirs")
    ]
    cost = Cost(1, tokens=1500)
    for number in range(rounds):
        now_ns = number * NS // 1000
        for machine in machines:
            ticket = machine.submit("gpt-4o", cost=cost, now_ns=now_ns)
            if ticket.order >= 0:
                machine.release(ticket, Ending.SUCCEEDED, now_ns=now_ns + 500)
            if machine.keeper.renew_ns <= now_ns:
                call = machine.keeper.ask(now_ns=now_ns)
                assert call is not None, "both are in use"
                machine.store_lent(call, store.renew(call, now_us=10**15 + now_ns // 1000), now_ns=now_ns)
            for ticket in machine.poll(now_ns=now_ns).granted:
                machine.release(ticket, Ending.SUCCEEDED, now_ns=now_ns)


def headers(rounds: int) -> None:
    """An answer's headers, 25 of them, of which six show limits that change."""
    for number in range(rounds):
        read(200, texts.answer_headers(number), dialect="openai")


def stream(rounds: int) -> None:
    """A stream of 60 events in pieces of 1400 bytes."""
    for _ in range(rounds):
        parser = EventParser()
        for piece in texts.STREAM:
            parser.feed(piece)
        parser.end()


# ---- the limiter -------------------------------------------------------------------------------


def _limiter(**options: Any) -> Limiter:
    return Limiter(clock=ManualClock(), dice=lambda: 0.5, **options)


async def permit_one(rounds: int) -> None:
    """``async with limiter.permit()``, over one bucket."""
    limiter = _limiter(quotas=per_minute(requests=10**9))
    for _ in range(rounds):
        async with limiter.permit(key="gpt-4o"):
            pass


async def permit_three(rounds: int) -> None:
    """The same over three buckets."""
    limiter = _limiter(quotas=per_minute(requests=10**9, tokens=10**12) + per_day(requests=10**12))
    for _ in range(rounds):
        async with limiter.permit(key="gpt-4o", tokens=1500):
            pass


async def observe(rounds: int) -> None:
    """A permit in which an answer is observed, each 100 ms after the one before."""
    clock = ManualClock()
    limiter = Limiter(dialect="openai", clock=clock, dice=lambda: 0.5)
    for number in range(rounds):
        async with limiter.permit(key="gpt-4o", tokens=1500) as permit:
            clock.advance(0.1)
            permit.observe(200, texts.answer_headers(number))


async def _hold(limiter: Limiter) -> None:
    async with limiter.permit(key="gpt-4o", tokens=1):
        pass


async def waiters(rounds: int) -> None:
    """A thousand calls wait for the one place there is, and get it in turn."""
    for _ in range(rounds):
        limiter = _limiter(quotas=per_minute(requests=10**9, tokens=10**12), max_in_flight=1)
        async with limiter.permit(key="gpt-4o", tokens=1):
            tasks = await parked(limiter)
        await asyncio.wait(tasks)


async def cancels(rounds: int) -> None:
    """A thousand calls wait and are cancelled."""
    for _ in range(rounds):
        limiter = _limiter(quotas=per_minute(requests=10**9, tokens=10**12), max_in_flight=1)
        async with limiter.permit(key="gpt-4o", tokens=1):
            await _cancel(await parked(limiter))


async def parked(limiter: Limiter, count: int = WAITERS) -> list[asyncio.Task[None]]:
    """So many tasks, each waiting in the queue."""
    before = limiter.queued
    tasks = [asyncio.ensure_future(_hold(limiter)) for _ in range(count)]
    await asyncio.sleep(0)
    assert limiter.queued == before + count, limiter
    return tasks


WORKLOADS: Final[dict[str, Workload]] = {
    "plain python": Workload("twenty small method calls", plain_python, 200),
    "semaphore": Workload("asyncio.Semaphore, in and out", _within(semaphore), 500),
    "bare waiter": Workload("a task and the future it waits for", _within(bare_waiters), 1, WAITERS),
    "bare cancel": Workload("the same, cancelled", _within(bare_cancels), 1, WAITERS),
    "bare httpx": Workload("httpx alone: a POST and its answer, no network", _within(calls.alone), 20),
    "bare row": Workload("a loop over aiohttp: a row sent, its answer written", rows.bare, 1, rows.ROWS),
    "decision": Workload("core: submit, grant, release; 3 buckets", decision, 300, floor="plain python"),
    "leased": Workload("core: the same of a leased budget, renewals with it", leased, 1000, 2, "plain python"),
    "headers": Workload("read(), 25 headers", headers, 128, floor="plain python"),
    "stream": Workload("a stream of 60 events", stream, 10, floor="plain python"),
    "permit, 1 bucket": Workload("uncontended permit", _within(permit_one), 300, floor="semaphore"),
    "permit, 3 buckets": Workload("uncontended permit", _within(permit_three), 300, floor="semaphore"),
    "observe": Workload("permit, and its answer observed", _within(observe), 128, floor="semaphore"),
    "waiter": Workload("a call queued and granted, of 1000", _within(waiters), 1, WAITERS, floor="bare waiter"),
    "cancel": Workload("a call queued and cancelled, of 1000", _within(cancels), 1, WAITERS, floor="bare cancel"),
    "httpx": Workload("the same POST under the limiter", _within(calls.limited), 20, floor="bare httpx"),
    "row": Workload("a row of a bulk job, with its journal", rows.job, 1, rows.ROWS, floor="bare row"),
}
