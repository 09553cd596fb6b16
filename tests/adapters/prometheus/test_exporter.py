"""What is written down for other processes: here the instruments keep it in memory, where it can be looked at."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric

from ratelimit_client import Limiter, per_minute
from ratelimit_client.adapters.prometheus import Collector
from ratelimit_client.adapters.prometheus.processes import Exporter
from ratelimit_client.testing import run_virtual


def value(exporter: Exporter, name: str, *labels: str) -> float:
    found: float = exporter._instruments[name].labels(*labels)._value.get()
    return found


class Asked(Collector):
    """A collector that counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__(None)
        self.times = 0

    def collect(self) -> Iterator[Metric]:
        self.times += 1
        yield from super().collect()


def test_it_is_written_while_calls_come_and_go():
    """
    What is true a second later, at each end of a call a second after it; seldom, while nothing goes on.
    """
    exporter = Exporter(asked := Asked())
    seen: list[tuple[float, float]] = []

    def look() -> None:
        seen.append((value(exporter, "in_flight", "mine", "m"), value(exporter, "attempts", "mine", "m", "200")))

    async def story() -> None:
        limiter = Limiter(per_minute(requests=100), name="mine")
        exporter.watch(limiter)
        exporter.watch(limiter)
        for _ in range(2):
            async with limiter.permit("m") as permit:
                permit.observe(200, {})
                await asyncio.sleep(2.5)
                look()
        await asyncio.sleep(1.5)
        look()
        busy = asked.times
        await asyncio.sleep(100)
        assert busy <= 7
        assert 8 <= asked.times - busy <= 12

    run_virtual(story)
    assert seen == [(1, 1), (1, 2), (0, 2)]


def test_a_series_that_is_gone_is_no_number():
    """
    It cannot be taken back: a limit has no value then, and a sum one less.
    """
    limits: dict[str, Any] = {"a": per_minute(requests=7)}
    exporter = Exporter(Collector(None))

    async def story() -> None:
        limiter = Limiter(limits, name="mine")
        exporter.watch(limiter)
        async with limiter.permit("a"):
            exporter.write()
        assert value(exporter, "limit", "mine", "a", "requests", "60", "config") == 7
        limiter.set_quotas(per_minute(requests=9), key="a")
        exporter.write()
        assert value(exporter, "limit", "mine", "a", "requests", "60", "config") == 9
        await limiter.drain()

    run_virtual(story)
    exporter.write()
    assert math.isnan(value(exporter, "limit", "mine", "a", "requests", "60", "config"))
    assert value(exporter, "in_flight", "mine", "a") == 0


def test_it_moves_to_the_loop_that_is_used():
    """
    A timer on a loop that is over is none.
    """
    exporter = Exporter(Collector(None))
    limiter = Limiter(name="mine")
    exporter.watch(limiter)

    async def one_call() -> None:
        async with limiter.permit("m") as permit:
            permit.observe(200, {})
        await asyncio.sleep(0)

    async def and_time() -> None:
        await one_call()
        await asyncio.sleep(1.5)

    asyncio.run(one_call())
    run_virtual(and_time)
    assert value(exporter, "attempts", "mine", "m", "200") == 2


class Full(Exporter):
    """One whose folder has no room."""

    def write(self) -> None:
        raise OSError(28, "No space left on device")


def test_a_folder_without_room_costs_a_line_in_the_log(caplog: pytest.LogCaptureFixture):
    """
    And no call; it is tried again, and not told again.
    """
    exporter = Full(Collector(None))

    async def story() -> None:
        limiter = Limiter(name="mine")
        exporter.watch(limiter)
        for _ in range(3):
            async with limiter.permit("m") as permit:
                permit.observe(200, {})
            await asyncio.sleep(3)

    run_virtual(story)
    assert caplog.text.count("no metrics can be written into PROMETHEUS_MULTIPROC_DIR") == 1
