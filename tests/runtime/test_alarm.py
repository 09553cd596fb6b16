"""One timer, never early, never spinning."""

from __future__ import annotations

import asyncio

import pytest

from ratelimit_client.core.units import NS
from ratelimit_client.runtime.alarm import Alarm
from ratelimit_client.testing import VirtualLoop
from tests.runtime.torture import virtual


@pytest.mark.parametrize("delay_ns", [1, 999, 1000, 1001, 333_333_333, 5 * NS, 86_400 * NS + 1])
def test_it_rings_at_its_instant_or_a_microsecond_later(delay_ns: int) -> None:
    """Never before, so whoever is woken finds what it was woken for."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        began_ns = loop.clock.monotonic_ns()
        rung: list[int] = []
        alarm = Alarm(lambda: rung.append(loop.clock.monotonic_ns() - began_ns))
        alarm.set(loop, began_ns + delay_ns, now_ns=began_ns)
        assert alarm.is_set
        await asyncio.sleep(delay_ns / NS + 1)
        assert len(rung) == 1
        assert delay_ns <= rung[0] <= delay_ns + 1001
        assert not alarm.is_set

    virtual(main)


def test_it_can_be_moved_and_taken_back() -> None:
    """Setting it again moves it, to the same instant does nothing; there is one timer whatever happens."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        rung: list[float] = []
        alarm = Alarm(lambda: rung.append(loop.elapsed_s))
        now_ns = loop.clock.monotonic_ns()
        for second in (5, 2, 2, 3):
            alarm.set(loop, now_ns + second * NS, now_ns=now_ns)
            assert loop.pending_timers == 1
        await asyncio.sleep(10)
        assert rung == pytest.approx([3], abs=1e-5)
        alarm.set(loop, loop.clock.monotonic_ns() + NS, now_ns=loop.clock.monotonic_ns())
        alarm.cancel()
        alarm.cancel()
        assert loop.pending_timers == 0
        await asyncio.sleep(10)
        assert len(rung) == 1

    virtual(main)


def test_an_instant_that_is_past_does_not_spin_the_loop() -> None:
    """Asked for again and again it rings a thousand times a second at most."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        rung = 0

        def ring() -> None:
            nonlocal rung
            rung += 1
            alarm.set(loop, 0, now_ns=NS)

        alarm = Alarm(ring)
        alarm.set(loop, 0, now_ns=NS)
        await asyncio.sleep(1)
        alarm.cancel()
        assert 900 <= rung <= 1000

    virtual(main)
