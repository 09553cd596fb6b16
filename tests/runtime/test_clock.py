"""Two clocks: one measures, one has dates."""

from __future__ import annotations

import asyncio
import time

from ratelimit_client import Limiter, per_second
from ratelimit_client.runtime.clock import SYSTEM_CLOCK, Clock, SystemClock
from ratelimit_client.testing import ManualClock, VirtualLoop, run_virtual


def test_the_system_clock_reads_the_machines_clocks() -> None:
    """Both between two readings of the standard library's own."""
    before = (time.monotonic_ns(), time.time_ns())
    now = (SYSTEM_CLOCK.monotonic_ns(), SYSTEM_CLOCK.wall_ns())
    after = (time.monotonic_ns(), time.time_ns())

    assert before[0] <= now[0] <= after[0]
    assert before[1] <= now[1] <= after[1]
    assert repr(SYSTEM_CLOCK) == "<SystemClock>"


def test_both_kinds_of_clock_are_clocks() -> None:
    """The protocol is what the limiter asks for."""
    assert isinstance(SystemClock(), Clock)
    assert isinstance(ManualClock(), Clock)


def test_a_limiter_lives_in_the_time_of_the_loop_it_is_made_on() -> None:
    """On a virtual loop an hour's worth of calls takes no time; nothing has to be passed for it."""

    async def main() -> None:
        limiter = Limiter(per_second(requests=1))
        for _ in range(100):
            async with limiter.permit():
                pass

    began = time.monotonic()
    _, loop = run_virtual(main)

    assert 98 < loop.elapsed_s < 102
    assert time.monotonic() - began < 5


def test_setting_the_date_changes_nothing() -> None:
    """An hour forward, ten years back: the same calls at the same instants."""

    async def main(*steps: int) -> list[float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        limiter = Limiter(per_second(requests=2), dialect="openai")
        times = []
        for number in range(12):
            async with limiter.permit() as permit:
                permit.observe(200, {"x-ratelimit-limit-requests": "120", "x-ratelimit-remaining-requests": "100"})
            if number < len(steps):
                loop.clock.set_wall(loop.clock.wall_ns() + steps[number])
            times.append(loop.time())
        return times

    hour_ns, decade_ns = 3600 * 10**9, 10 * 365 * 86400 * 10**9
    calm, _ = run_virtual(main)
    stormy, _ = run_virtual(lambda: main(hour_ns, -decade_ns, decade_ns, -hour_ns))

    assert calm == stormy
