"""
Several processes on one key: real processes, a model server in another, and with a store a real redis-server.

Law of this package: what is measured is what a server sees of all of them together. *Refused* is the share of the
rows or calls, *time* is from the first admission to the last as a multiple of what the server's own arithmetic
allows, *used* the share of what was there and flowed in, and Jain's index is over the calls that each greedy process
got through.

3000 calls a minute, answers of 0.3 s, no limit typed in. "Sliced": twelve seconds' worth is all that is there at once,
and no header says so. A job is 2400 rows where 600 calls are there at once, and 4800 where 3000 are, cut in equal
shards. An outsider makes 15 calls a second and never waits.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import attrs

from ratelimit_client.core.quota import per_minute
from ratelimit_client.testing import Outsiders, minute, sliced
from ratelimit_client.testing.serve import RemoteURL, serve_in_process

from . import crowd, store

A_SECOND, OUTSIDE = 50, 15
SLICE_S = 12
BURST = {"sliced": SLICE_S * A_SECOND, "minute": 60 * A_SECOND, "minute and an outsider": 60 * A_SECOND}
ROWS = {"sliced": 2400, "minute": 4800, "minute and an outsider": 4800}
GREEDY_S = 80.0
_LONGEST_S = 900.0


@contextlib.contextmanager
def server(kind: str) -> Iterator[RemoteURL]:
    """A server of its own."""
    enforcement = sliced(SLICE_S) if kind == "sliced" else minute()
    outsiders = Outsiders(per_s=OUTSIDE) if "outsider" in kind else ()
    limits = per_minute(requests=60 * A_SECOND, tokens=10_000_000)
    with serve_in_process(limits, enforcement=enforcement, latency=0.3, outsiders=outsiders) as url:
        yield url


def ideal_s(kind: str) -> float:
    """From the first admission to the last, when nothing is refused and nothing is left."""
    return (ROWS[kind] - BURST[kind]) / (A_SECOND - (OUTSIDE if "outsider" in kind else 0))


@attrs.frozen(kw_only=True)
class Job:
    """Programs ``run --shard`` that answer so many rows together."""

    kind: str
    processes: int
    stored: bool = False
    killed: bool = False
    """The store is killed when half of the rows have been asked."""

    def run(self) -> dict[str, Any]:
        rows = ROWS[self.kind]
        with contextlib.ExitStack() as stack:
            url = stack.enter_context(server(self.kind))
            redis = stack.enter_context(store.running()) if self.stored else None
            where = redis.url if redis is not None else ""
            if redis is not None and self.killed:
                stack.enter_context(_meanwhile(partial(_kill, redis, url, rows // 2)))
            ended = crowd.jobs(str(url), where, rows, self.processes, _LONGEST_S)
            tally = url.stats()
        return {
            "kind": self.kind,
            "processes": self.processes,
            "stored": self.stored,
            "killed": self.killed,
            "rows": rows,
            "lost": rows - sum(int(each["ok"]) for each in ended),
            "refused": round(100 * tally["refusals"] / rows, 2),
            "over_ideal": round(tally["seconds"] / ideal_s(self.kind), 3),
        }


@attrs.frozen(kw_only=True)
class Crowd:
    """Processes that spend for a while: greedy ones, and light ones of a call a second each."""

    kind: str
    greedy: int
    light: int = 0
    stored: bool = False
    seconds: float = GREEDY_S

    def run(self) -> dict[str, Any]:
        asks = [crowd.Ask()] * self.greedy + [crowd.Ask(per_s=1.0)] * self.light
        with contextlib.ExitStack() as stack:
            url = stack.enter_context(server(self.kind))
            where = stack.enter_context(store.running()).url if self.stored else ""
            found = crowd.spend(str(url), where, asks, self.seconds)
            tally = url.stats()
        greedy, light = found[: self.greedy], found[self.greedy :]
        lasted_s = max(each["lasted_s"] for each in found)
        there = BURST[self.kind] + (A_SECOND - (OUTSIDE if "outsider" in self.kind else 0)) * lasted_s
        return {
            "kind": self.kind,
            "greedy": self.greedy,
            "light": self.light,
            "stored": self.stored,
            "seconds": self.seconds,
            "refused": round(100 * tally["refusals"] / tally["calls"], 2),
            "used": round(100 * tally["admitted"] / there, 1),
            "jain": round(crowd.jain([each["done"] for each in greedy]), 4),
            "light_done": min((each["done"] for each in light), default=None),
            "light_median_s": max((each["median_s"] for each in light), default=None),
            "trips_per_s": round(max(each["trips"] / each["lasted_s"] for each in found), 2) if self.stored else None,
        }


@contextlib.contextmanager
def _meanwhile(do: Callable[[Callable[[], bool]], object]) -> Iterator[None]:
    """Something that is done beside, and given up at the end."""
    over = False
    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(do, lambda: over)
        try:
            yield
        finally:
            over = True
            done.result()


def _kill(redis: store.Running, url: RemoteURL, calls: int, over: Callable[[], bool]) -> None:
    while not over():
        if url.stats()["calls"] >= calls:
            redis.kill()
            return
        time.sleep(0.1)  # nothing tells how many calls a server has had


KINDS = tuple(ROWS)
WITHOUT = (
    *(Job(kind=kind, processes=number) for kind in KINDS for number in (2, 4, 8)),
    *(Crowd(kind=kind, greedy=number) for kind in KINDS[:2] for number in (2, 4, 8)),
)
WITH = (
    *(Job(kind="sliced", processes=4, stored=True) for _ in range(5)),
    *(Job(kind="sliced", processes=4, stored=True, killed=True) for _ in range(3)),
    Crowd(kind="minute", greedy=8, light=8, stored=True),
    Crowd(kind="sliced", greedy=8, light=8, stored=True),
)


def processes(at_once: int | None = None) -> dict[str, Any]:
    """Without a store and with one; *at_once* of the settings at a time, PROCESSES_AT_ONCE or one."""
    at_once = at_once or int(os.environ.get("PROCESSES_AT_ONCE", "1"))
    loads: list[float] = []

    def one(setting: Job | Crowd) -> dict[str, Any]:
        try:
            found = setting.run()
        except store.NoServer as reason:
            found = {**attrs.asdict(setting), "not_measured": str(reason)}
        loads.append(os.getloadavg()[0])
        print(found, file=sys.stderr, flush=True)
        return found

    with ThreadPoolExecutor(at_once) as pool:
        found = list(pool.map(one, (*WITHOUT, *WITH)))
    return {"settings": found, "at_once": at_once, "load": round(sorted(loads)[len(loads) // 2], 1)}
