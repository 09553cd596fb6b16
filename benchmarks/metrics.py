"""
What metrics cost: an event that is counted, a scrape, and a bulk job that is watched.

    python -m benchmarks.metrics

Times are the least of many short rounds, because whatever else the machine does can only add to
them. What is compared is compared in instructions, as the gate counts them; that needs valgrind.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
import statistics
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest

from ratelimit_client import Client, Limiter, per_minute
from ratelimit_client.adapters.prometheus import watch
from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.counts import Counts
from ratelimit_client.core.scheduler import Scheduler
from ratelimit_client.core.signals import Signals
from ratelimit_client.dialects.openai import OPENAI
from ratelimit_client.testing.serve import serve_in_process

from .cpu import IN_FLIGHT, cpu_s
from .gate import rows
from .gate.counting import instructions
from .gate.workloads import Workload
from .race.rows import plain

ROUNDS: Final = 400
CALLS: Final = 200
MODELS: Final = 32
EVENTS: Final = 3
"""Of a call: let out, answered, over."""

_OK = Signals(200)


def _least(run: Callable[[], object], times: int) -> float:
    """Nanoseconds of the shortest."""
    best = float("inf")
    for _ in range(times):
        began = time.perf_counter_ns()
        run()
        best = min(best, time.perf_counter_ns() - began)
    return best


def _machine(counts: Counts | None, calls: int) -> Callable[[], None]:
    """So many calls in a row, each in and out."""
    made = Scheduler(profile=OPENAI.profile, max_in_flight=10, dice=lambda: 0.5, now_ns=0)
    made.counts = counts
    at_ns = 0

    def run() -> None:
        nonlocal at_ns
        for _ in range(calls):
            at_ns += 1_000_000
            ticket = made.submit("m", now_ns=at_ns)
            made.observe(ticket, _OK, now_ns=at_ns + 300_000)
            made.release(ticket, Ending.SUCCEEDED, now_ns=at_ns + 400_000)

    return run


def event_us() -> dict[str, float]:
    """What counting adds to the scheduler, for each event of a call, and what the same call takes without."""
    without, counted = _machine(None, CALLS), _machine(Counts(), CALLS)
    best = [float("inf"), float("inf")]
    for _ in range(ROUNDS):
        for place, run in enumerate((without, counted)):
            best[place] = min(best[place], _least(run, 1))
    each = (best[1] - best[0]) / CALLS / EVENTS
    return {"event_us": round(each / 1e3, 3), "call_us": round(best[0] / CALLS / 1e3, 2)}


def scrape() -> dict[str, float]:
    """A page of 32 models and 100 more that are "other", each with three limits, errors, refusals and waits."""
    registry = CollectorRegistry()
    kept: list[Any] = []

    async def story() -> None:
        quotas = per_minute(requests=500, tokens=200_000) + per_minute(images=50)
        client = Client("http://127.0.0.1:1/v1", api_key="the-key-of-a-benchmark", limiter=Limiter(quotas, name="c"))
        kept.append(client)
        watch(client, registry)
        for number in range(MODELS + 100):
            model = f"model-{number}"
            for status in (200, 429, 500):
                async with client.limiter.permit(model, tokens=100) as permit:
                    permit.observe(status, {"x-ratelimit-limit-requests": "500", "x-ratelimit-remaining-requests": "9"})
            for outcome in ("success", "error", "expired", "cancelled", "rejected"):
                client.tally.add(model, outcome, 0.3)
            for reason in ("rate_limited", "server_error"):
                client.tally.tried_again(model, reason)
            client.tally.used(model, {"prompt_tokens": 9, "completion_tokens": 9})
        await client.close()

    asyncio.run(story())
    text = generate_latest(registry).decode()
    series = [line for line in text.splitlines() if line and not line.startswith("#")]
    gc.disable()
    took = _least(lambda: generate_latest(registry), 60)
    gc.enable()
    return {"scrape_ms": round(took / 1e6, 2), "series": len(series), "bytes": len(text)}


# ---- a whole run --------------------------------------------------------------------------------


@contextlib.contextmanager
def _scraper(address: str) -> Iterator[None]:
    """Asks for the page once a second, fifteen times as often as Prometheus does by itself."""
    over = threading.Event()

    def ask() -> None:
        while not over.wait(1.0):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as page:
                page.read()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _free() -> str:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{made.getsockname()[1]}"


def runs(count: int = 20_000, pairs: int = 5) -> dict[str, Any]:
    """Whole runs with ``--metrics`` and without, in turn: CPU and time of the one as a multiple of the other's."""
    times: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    plenty = per_minute(requests=10**9, tokens=10**12)
    with TemporaryDirectory() as name, serve_in_process(plenty, latency=0.005) as url:
        folder = Path(name)
        (folder / "job.jsonl").write_text("".join(json.dumps(row) + "\n" for row in plain(count)(0)), encoding="utf-8")
        for number in range(pairs):
            for watched in (True, False) if number % 2 else (False, True):
                address = _free()
                run = ["run", "job.jsonl", "-o", f"out-{watched}-{number}.jsonl", "--base-url", str(url)]
                options = ["--progress", "none", "--max-in-flight", str(IN_FLIGHT)]
                page = ["--metrics", address] if watched else []
                began = time.perf_counter()
                with _scraper(address) if watched else contextlib.nullcontext():
                    spent = cpu_s([sys.executable, "-m", "ratelimit_client", *run, *options, *page], folder, [])
                    took = time.perf_counter() - began
                times[watched].append((spent, took))
    both = list(zip(times[True], times[False], strict=True))
    return {
        "rows": count,
        "watched_cpu": [round(one[0] / other[0], 4) for one, other in both],
        "watched_time": [round(one[1] / other[1], 4) for one, other in both],
        "watched_cpu_median": round(statistics.median(one[0] / other[0] for one, other in both), 4),
        "watched_time_median": round(statistics.median(one[1] / other[1] for one, other in both), 4),
    }


# ---- in instructions ----------------------------------------------------------------------------


def _watched(rounds: int) -> None:
    registry = CollectorRegistry()

    def made(*args: Any, **options: Any) -> Client:
        client = Client(*args, **options)
        watch(client, registry)
        return client

    rows.Client = made  # type: ignore[assignment,misc]  # in a process of its own
    rows.job(rounds)


def _uncounted_calls(rounds: int) -> None:
    _machine(None, rounds)()


def _counted_calls(rounds: int) -> None:
    _machine(Counts(), rounds)()


WORKLOADS: Final = {
    "row": Workload("a row of a bulk job, with its journal", rows.job, 1, rows.ROWS),
    "watched row": Workload("the same, watched", _watched, 1, rows.ROWS),
    "call": Workload("core: submit, answer, release", _uncounted_calls, 300),
    "counted call": Workload("the same, counted", _counted_calls, 300),
}


def counted() -> dict[str, float]:
    """What being watched adds to a row, of what a row takes; and to an event, in instructions."""
    found = instructions(list(WORKLOADS), "benchmarks.metrics")
    return {
        "row_instructions": round(found["row"]),
        "watched_over_row": round(found["watched row"] / found["row"], 4),
        "event_instructions": round((found["counted call"] - found["call"]) / EVENTS),
        "call_instructions": round(found["call"]),
    }


def metrics() -> dict[str, Any]:
    """All of it, as ``make bench`` wants it."""
    return {**event_us(), **scrape(), **counted(), **runs()}


if __name__ == "__main__":
    print(json.dumps(metrics(), indent=1))
