"""Several processes that are scraped as one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters.prometheus.scraping import Found, read

# What a worker does: calls of a limiter and of a client, an estimate of which it knows; then it waits for its end.
WORKER = """
import asyncio, os, sys
from ratelimit_client import Client, Limiter, per_minute
from ratelimit_client.adapters.prometheus import gauge, watch
from ratelimit_client.core.counts import PPM
from ratelimit_client.testing import serve_model

async def story():
    limiter = Limiter(per_minute(requests=100), name="workers")
    async with serve_model(per_minute(requests=100)) as url, Client(url, limiter=limiter) as client:
        for _ in range(2):
            watch(client)
        gauge("bulk_rows", {"job": "j", "state": "done"}, lambda: 3.0)
        limiter.counts.estimates.add(2 * PPM)
        for _ in range(int(sys.argv[1])):
            await client.post("/embeddings", json={"model": "m", "input": "a pond, a frog"})
        async with limiter.permit("m"):
            await asyncio.sleep(1.2)
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.readline)

asyncio.run(story())
"""

# gunicorn: what watches is made before the fork, calls are made after it.
PARENT = """
import asyncio, os
from ratelimit_client import Limiter
from ratelimit_client.adapters.prometheus import watch

limiter = Limiter(name="forked")
watch(limiter)

async def calls(count):
    for _ in range(count):
        async with limiter.permit("m") as permit:
            permit.observe(200, {})
    await limiter.drain()

asyncio.run(calls(5))
if (pid := os.fork()) == 0:
    asyncio.run(calls(2))
else:
    assert os.waitpid(pid, 0)[1] == 0
"""

READER = """
import asyncio
from ratelimit_client.adapters.prometheus import make_metrics_app

async def send(message):
    print(message.get("body", b"").decode(), end="")

scope = {"type": "http", "method": "GET", "headers": []}
asyncio.run(make_metrics_app(asgi=True)(scope, None, send))
"""


class Folder:
    """Where the processes of one test write."""

    def __init__(self, path: Path) -> None:
        self.env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(path), "PYTHONPATH": os.pathsep.join(sys.path)}

    def start(self, code: str, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code, *args],
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, code: str) -> str:
        process = self.start(code)
        out, _ = process.communicate()
        assert process.returncode == 0
        return out

    def found(self) -> Found:
        return read(self.run(READER))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_two_workers_are_one_in_the_sum(folder: Folder):
    """
    Counts and histograms add up, and so do queues and places; of a limit there is one; the dead still count.
    """
    with folder.start(WORKER, "3") as one, folder.start(WORKER, "4") as two:
        try:
            for worker in (one, two):
                assert worker.stdout is not None
                assert worker.stdout.readline() == "ready\n"
            shows_both(folder.found())
            for worker in (one, two):
                worker.communicate("go\n")
                assert worker.returncode == 0
        finally:
            one.kill()
            two.kill()
    found = folder.found()
    assert found["requests_total", "workers", "m", "success"] == 7
    assert found["in_flight", "workers", "m"] == 0
    assert found["queue_wait_seconds_count", "workers"] == 9


def shows_both(found: Found) -> None:
    """Of workers that made three calls and four, and have one each under way."""
    assert found["requests_total", "workers", "m", "success"] == 7
    assert found["attempts_total", "workers", "200", "m"] == 7
    assert found["in_flight", "workers", "m"] == 2
    assert found["limit", "workers", "requests", "m", "config", "60"] == 100
    assert found["request_duration_seconds_count", "workers"] == 7
    assert found["request_duration_seconds_bucket", "workers", "+Inf"] == 7
    assert 0 < found["request_duration_seconds_sum", "workers"] < 60
    assert found["token_estimate_ratio_sum", "workers"] == 4
    assert found["token_estimate_ratio_bucket", "workers", "2.0"] == 2
    assert found["token_estimate_ratio_bucket", "workers", "1.5"] == 0
    assert found["bulk_rows", "j", "done"] == 6
    assert [value for at, value in found.items() if at[0] == "build_info"] == [1]


def test_a_child_does_not_count_what_its_parent_did(folder: Folder):
    """
    Five calls before the fork and two after it are seven.
    """
    folder.run(PARENT)

    assert folder.found()["attempts_total", "forked", "200", "m"] == 7


def test_a_registry_that_is_named_is_of_one_process(folder: Folder):
    """
    Its collector is asked at each scrape, as without the folder, and nothing is written down.
    """
    code = """
from prometheus_client import CollectorRegistry, generate_latest
from ratelimit_client import Limiter
from ratelimit_client.adapters.prometheus import watch
registry, limiter = CollectorRegistry(), Limiter()
watch(limiter, registry)
limiter.counts.answered("m", 200, None)
print(generate_latest(registry).decode(), end="")
"""
    assert read(folder.run(code))["attempts_total", "default", "200", "m"] == 1
    assert {at[0] for at in folder.found()} == {"build_info"}, "that of the reader"
