"""
A server that says nothing but no.

6000 calls, at most 200 under way, a true limit of 20 a second (a bucket of one
second) that is halved for two minutes, answers of half a second, and no header at
all. What counts is how often it had to refuse, per success.
"""

from __future__ import annotations

import statistics

from ratelimit_client.core.quota import per_second
from ratelimit_client.core.units import to_ns
from ratelimit_client.testing import ModelServer
from ratelimit_client.testing.conduct import Change

from .simulation import Client, Job, World

CALLS = 6000


def run(seed: int) -> tuple[float, float, int]:
    """(refusals per success, seconds over the ideal, calls lost) of one run."""
    world = World(seed)
    server = ModelServer(
        per_second(requests=20),
        latency=0.5,
        headers=False,
        changes=(Change(60.0, per_second(requests=10)), Change(180.0, per_second(requests=20))),
        seed=seed,
    )
    client = Client(world, server, [Job() for _ in range(CALLS)], in_flight=200, back_s=(0.001, 0.01))
    world.run(to_ns(3600))
    report = client.report()
    # 60 s at 20/s, 120 s at 10/s, the rest at 20/s.
    ideal_s = 180 + (CALLS - 20 - 1200 - 1200) / 20
    return report.refused / max(1, report.done), report.seconds / ideal_s, CALLS - report.done


def table(seeds: int = 5) -> tuple[float, float, int]:
    """Medians over seeds."""
    refused, over, lost = (statistics.median(column) for column in zip(*map(run, range(seeds)), strict=True))
    return refused, over, int(lost)


if __name__ == "__main__":
    refused, over, lost = table()
    print(f"refused per success {refused:.3f}   time / ideal {over:.3f}   lost {lost}")
