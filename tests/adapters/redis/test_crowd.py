"""Sixteen real processes on one budget, half of them greedy and half with little to do."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.redis_server import running
from tests.sizes import SIZE

GREEDY = LIGHT = 8
A_SECOND = 50
SETTLES_S, LASTS_S = 10.0, 20.0
PATIENCE_S = 240.0

WORKER = """
import asyncio, sys, time
from ratelimit_client import Limiter
from ratelimit_client.adapters.redis import RedisStore

async def main(url, per_s):
    store = RedisStore(url)
    limiter = Limiter("500 requests/10s", store=store)
    calls, longest = [], 0.0

    async def call():
        nonlocal longest
        came = time.monotonic()
        async with limiter.permit():
            calls.append(time.monotonic())
        longest = max(longest, calls[-1] - came)

    async def greedy():
        while True:
            await call()
            await asyncio.sleep(0.01)

    async def light():
        while True:
            await call()
            await asyncio.sleep(1 / per_s)

    print("READY", flush=True)
    begins, ends = map(float, (await asyncio.to_thread(sys.stdin.readline)).split())
    tasks = [asyncio.create_task(light() if per_s else greedy()) for _ in range(1 if per_s else 20)]
    await asyncio.sleep(ends - time.monotonic())
    for task in tasks:
        task.cancel()
    print(sum(begins <= at < ends for at in calls), longest, limiter.sharing.trips, flush=True)
    await limiter.close()
    await store.close()

asyncio.run(main(sys.argv[1], float(sys.argv[2])))
"""

if SIZE != "test":  # it takes its time

    def test_the_limit_is_used_the_greedy_are_equal_and_nobody_starves(tmp_path: Path) -> None:
        """
        What is there is spent, to the same parts by all who want all they can get; who wants little has it.

        Nobody asks the store more than twice a second.
        """
        with running(tmp_path) as server:
            said = [(tmp_path / str(number)).open("w+") for number in range(GREEDY + LIGHT)]
            crowd = [
                subprocess.Popen(
                    [sys.executable, "-c", WORKER, server.url, "0" if number < GREEDY else "2"],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True,
                )
                for number, file in enumerate(said)
            ]  # fmt: skip
            late = threading.Timer(PATIENCE_S, lambda: [each.kill() for each in crowd])
            late.start()
            try:
                for number, each in enumerate(crowd):
                    assert each.stdout is not None
                    assert each.stdout.readline() == "READY\n", complaint(said[number].name)
                begins = time.monotonic() + SETTLES_S
                ended = [each.communicate()[0] for each in _told(crowd, begins)]
            finally:
                late.cancel()
                for each in crowd:
                    each.kill()
                    each.wait()
                for file in said:
                    file.close()
        assert all(ended), complaint(*(file.name for file in said))
        found = [line.split() for line in ended]
        done = [int(count) for count, _, _ in found]
        greedy, light = done[:GREEDY], done[GREEDY:]

        assert sum(done) >= 0.95 * A_SECOND * LASTS_S
        assert sum(greedy) ** 2 / (GREEDY * sum(each * each for each in greedy)) >= 0.98
        assert min(light) >= 0.8 * 2 * LASTS_S
        assert max(int(trips) for _, _, trips in found) <= 2 * (SETTLES_S + LASTS_S) + 2


def _told(crowd: list[subprocess.Popen[str]], begins: float) -> list[subprocess.Popen[str]]:
    """All hear when it begins before anybody is waited for."""
    for each in crowd:
        assert each.stdin is not None
        each.stdin.write(f"{begins} {begins + LASTS_S}\n")
        each.stdin.flush()
    return crowd


def complaint(*paths: str) -> str:
    """What a process said that did not do what it was to do, in time."""
    return f"a process ended, or said nothing for {PATIENCE_S:g} s: " + "\n".join(
        Path(path).read_text()[-1000:] for path in paths
    )
