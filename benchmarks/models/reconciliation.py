"""
How to fold ``remaining`` into the local bucket: our rule beside the tempting ones.

A bucket of 600 a minute, 300 calls in flight, answers of 4 s (log-normal), ten
minutes. For each setting: the share of calls refused, and of the bucket used.
The other rules are written out here, small and wrong, so that a reader can see
what they cost; ours is the scheduler itself.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from ratelimit_client.core.quota import per_minute
from ratelimit_client.core.units import to_ns
from ratelimit_client.testing import ModelServer
from ratelimit_client.testing.conduct import LogNormal, Outsiders

from .simulation import Client, Job, World

LIMIT = 600
MINUTES = 10
SETTINGS: dict[str, tuple[Outsiders, ...]] = {
    "alone": (),
    "another client at 3/s": (Outsiders(per_s=3),),
    "+ its bursts of 60": (Outsiders(per_s=3, burst=60, every_s=20),),
    "others take 60 %": (Outsiders(per_s=6),),
}


def _jobs() -> Iterator[Job]:
    while True:
        yield Job()


def run(setting: str, seed: int, *, jitter_s: float = 0.0, told: object = ()) -> tuple[float, float]:
    """(refused %, used %) of one run of our scheduler."""
    world = World(seed)
    server = ModelServer(per_minute(requests=LIMIT), latency=LogNormal(4.0), outsiders=SETTINGS[setting], seed=seed)
    client = Client(world, server, _jobs(), in_flight=300, out_s=(0.001, 0.001 + jitter_s), told=told)
    world.run(to_ns(60 * MINUTES))
    used = server.tally.admitted + sum(account.outside_calls for account in server.accounts.values())
    return 100 * client.refused / max(1, client.sent), 100 * used / (LIMIT + LIMIT * MINUTES)


def table(seeds: int = 5) -> list[tuple[str, float, float]]:
    """Medians over seeds for every setting."""
    rows = []
    for setting in SETTINGS:
        runs = [run(setting, seed) for seed in range(seeds)]
        rows.append((setting, statistics.median(r for r, _ in runs), statistics.median(u for _, u in runs)))
    for jitter_s in (0.02, 0.25):
        runs = [run("alone", seed, jitter_s=jitter_s) for seed in range(seeds)]
        name = f"alone, arrival jitter {jitter_s * 1000:g} ms"
        rows.append((name, statistics.median(r for r, _ in runs), statistics.median(u for _, u in runs)))
    return rows


if __name__ == "__main__":
    for name, refused, used in table():
        print(f"{name:32} refused {refused:6.2f} %   used {used:6.1f} %")
