"""
What one call costs that nothing holds up, step by step.

Law of this file: each step is measured in turn with the least that Python needs for its like (a loop, a
look at every header), with the collector as Python sets it.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Any

from ratelimit_client import Limiter, per_day, per_minute
from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.scheduler import Scheduler
from ratelimit_client.core.ticket import Ticket
from ratelimit_client.dialects import lookup, read
from ratelimit_client.dialects.openai import OPENAI

from .answers import ANSWERS, HEADERS
from .figures import row

CALLS = 10_000
REPEATS = 9
THREE = per_minute(requests=10**9, tokens=10**12) + per_day(requests=10**12)
ONE = per_minute(requests=10**9)


def in_turn(*steps: Callable[[], float]) -> list[list[float]]:
    """What each step takes, in microseconds a call: A B, B A, A B ..., once each before it counts."""
    for step in steps:
        step()
    found: list[list[float]] = [[] for _ in steps]
    for number in range(REPEATS):
        gc.collect()
        for index in range(len(steps))[:: -1 if number % 2 else 1]:
            found[index].append(steps[index]())
    return found


def timed(run: Callable[[int], Any], calls: int = CALLS) -> Callable[[], float]:
    """A step that takes so many calls."""

    def step() -> float:
        began_s = time.process_time()
        run(calls)
        return (time.process_time() - began_s) / calls * 1e6

    return step


def loop(calls: int) -> None:
    for _ in range(calls):
        pass


def permits(quotas: Any) -> Callable[[], float]:
    async def run() -> float:
        limiter = Limiter(quotas)
        began_s = time.process_time()
        for _ in range(CALLS):
            async with limiter.permit(key="gpt-4o", tokens=1500):
                pass
        return (time.process_time() - began_s) / CALLS * 1e6

    return lambda: asyncio.run(run())


class Nothing:
    """An ``async with`` that does nothing."""

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        pass


def nothings() -> float:
    async def run() -> float:
        nothing = Nothing()
        began_s = time.process_time()
        for _ in range(CALLS):
            async with nothing:
                pass
        return (time.process_time() - began_s) / CALLS * 1e6

    return asyncio.run(run())


def observing() -> float:
    """Answers, each within its call; what the clock costs is taken off."""

    async def run() -> float:
        limiter = Limiter(THREE, dialect="openai")
        used_s = clock_s = 0.0
        for number in range(CALLS // 10):
            headers = HEADERS[number % ANSWERS]
            async with limiter.permit(key="gpt-4o", tokens=1500) as permit:
                began_s = time.process_time()
                permit.observe(200, headers)
                ended_s = time.process_time()
                clock_s += time.process_time() - ended_s
                used_s += ended_s - began_s
        return (used_s - clock_s) / (CALLS // 10) * 1e6

    return asyncio.run(run())


def reading(calls: int) -> None:
    dialect = lookup("openai")
    for number in range(calls):
        read(200, HEADERS[number % ANSWERS], dialect=dialect)


def looking(calls: int) -> None:
    """The least: each name in small letters, each value taken."""
    for number in range(calls):
        [(name.lower(), value) for name, value in HEADERS[number % ANSWERS].items()]


def scheduler() -> Scheduler:
    made = Scheduler(quotas=THREE, profile=OPENAI.profile, max_in_flight=10**6, dice=lambda: 0.5, now_ns=1)
    made.submit("gpt-4o", cost=Cost(tokens=1500), now_ns=1)
    return made


def deciding(calls: int) -> None:
    """May a call go that costs so much: every bucket is looked at, and charged when it may."""
    machine = scheduler()
    budget, jitter_ns = machine.keys["gpt-4o"].budget, machine.jitter.ns
    ticket = Ticket(0, "gpt-4o", "", 0, Cost(tokens=1500), None, None, 0)
    for now_ns in range(1000, 1000 * (calls + 1), 1000):
        if not budget.charge_at_once(ticket, jitter_ns, now_ns):
            raise RuntimeError("it was to fit")


def scheduling(calls: int) -> None:
    """A call in and out of the machine: its ticket, the decision, the charge and its release."""
    machine = scheduler()
    cost = Cost(tokens=1500)
    for now_ns in range(1000, 1000 * (calls + 1), 1000):
        ticket = machine.submit("gpt-4o", cost=cost, now_ns=now_ns)
        machine.release(ticket, Ending.SUCCEEDED, now_ns=now_ns)


def calls(peers: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows."""
    one, three, nothing = in_turn(permits(ONE), permits(THREE), nothings)
    decided, scheduled, empty = in_turn(timed(deciding), timed(scheduling), timed(loop))
    read_us, observed, looked = in_turn(timed(reading, CALLS // 5), observing, timed(looking, CALLS // 5))
    body, names = "an `async with` that does nothing", "the least look at 25 headers"
    return [
        row("permit_1_bucket", "a permit that waits for nothing, one bucket", one, floor=nothing, floor_is=body)
        | {"peers": peers},
        row("permit_3_buckets", "the same, three buckets", three, floor=nothing, floor_is=body, most=3.0),
        row(
            "decision",
            "may it go: the decision alone, three buckets",
            [one - other for one, other in zip(decided, empty, strict=True)],
            most=0.6,
        ),
        row("core_call", "a call in and out of the core, no event loop", scheduled),
        row("read", "`read()` of an answer with 25 headers", read_us, floor=looked, floor_is=names, most=6.0),
        row("observe", "`permit.observe()` of the same: read and learnt from", observed, floor=looked, floor_is=names),
    ]
