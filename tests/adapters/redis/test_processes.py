"""Real processes on one budget: one that is killed, and one that is stopped with a lease in hand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.redis_server import RedisServer, running
from tests.sizes import SIZE

WORKER = """
import asyncio, sys
from ratelimit_client import Limiter, per_minute
from ratelimit_client.adapters.redis import RedisStore

async def main(url):
    limiter = Limiter(per_minute(requests=1200), store=RedisStore(url, on_store_failure="stop"))

    async def greedy():
        while True:
            async with limiter.permit() as permit:
                print(permit.ticket.granted_ns / 1e9, limiter.sharing.trips, flush=True)

    await asyncio.gather(*(greedy() for _ in range(20)))

asyncio.run(main(sys.argv[1]))
"""


class Worker:
    """One process; each of its lines is a call: when it was let out, and how often the store had answered by then."""

    def __init__(self, server: RedisServer) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, server.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def call(self) -> tuple[float, int]:
        assert self.process.stdout is not None
        at_s, trips = self.process.stdout.readline().split()
        return float(at_s), int(trips)

    def calls_until(self, at_s: float) -> list[tuple[float, int]]:
        found = [self.call()]
        while found[-1][0] < at_s:
            found.append(self.call())
        return found

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


if SIZE != "test":  # it takes its time

    @pytest.mark.parametrize("fate", [signal.SIGSTOP, signal.SIGKILL], ids=["stopped", "killed"])
    def test_what_becomes_of_one_is_none_of_the_other(tmp_path: Path, fate: signal.Signals) -> None:
        """
        One that is stopped past the end of its lease asks before it sends again; the share of one that is
        killed is the other's within a lease and a turn.
        """
        with running(tmp_path) as server:
            one, other = Worker(server), Worker(server)
            try:
                first, _ = one.call()
                other.call()
                before = one.calls_until(first + 1.0)
                os.kill(one.process.pid, fate)
                calls = other.calls_until(before[-1][0] + 5.0)
                late = [at_s for at_s, _ in calls if at_s >= before[-1][0] + 3.5]
                assert late, "the other one goes on"
                if fate is signal.SIGSTOP:
                    os.kill(one.process.pid, signal.SIGCONT)
                    while (call := one.call())[0] < before[-1][0] + 3.5:
                        before.append(call)
                    assert call[1] > before[-1][1], "it sent before it had asked"
            finally:
                one.end()
                other.end()
