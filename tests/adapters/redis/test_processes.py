"""Real processes on one budget: one that is killed, and one that is stopped with a lease in hand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty, Queue

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


PATIENCE_S = 60.0
"""A worker calls many times a second; one that says nothing for so long will not speak again."""


class Worker:
    """One process; each of its lines is a call: when it was let out, and how often the store had answered by then."""

    def __init__(self, server: RedisServer, said: Path) -> None:
        self.said = said  # a pipe that nobody reads would be full one day
        with said.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-c", WORKER, server.url], stdout=subprocess.PIPE, stderr=file, text=True
            )
        self.lines: Queue[str] = Queue()
        self.listening = threading.Thread(target=self._listen, daemon=True)
        self.listening.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                self.lines.put(line)
        self.lines.put("")

    def call(self) -> tuple[float, int]:
        try:
            line = self.lines.get(timeout=PATIENCE_S)
        except Empty:
            line = ""
        assert line, f"no call for {PATIENCE_S:g} s, or it ended: {self.process.poll()}, {self.said.read_text()}"
        at_s, trips = line.split()
        return float(at_s), int(trips)

    def calls_until(self, at_s: float) -> list[tuple[float, int]]:
        found = [self.call()]
        while found[-1][0] < at_s:
            found.append(self.call())
        return found

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.listening.join(PATIENCE_S)


if SIZE != "test":  # it takes its time

    @pytest.mark.parametrize("fate", [signal.SIGSTOP, signal.SIGKILL], ids=["stopped", "killed"])
    def test_what_becomes_of_one_is_none_of_the_other(tmp_path: Path, fate: signal.Signals) -> None:
        """
        One that is stopped past the end of its lease asks before it sends again; the share of one that is
        killed is the other's within a lease and a turn.
        """
        with running(tmp_path) as server:
            one, other = Worker(server, tmp_path / "one"), Worker(server, tmp_path / "other")
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
