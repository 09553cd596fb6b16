"""
Several processes on one key, without a store between them.

600 a minute, answers of 4 s (log-normal), ten minutes. For each setting: the share
of calls refused, the share of the bucket used, and how fair it was (Jain's index
over the calls each greedy client got through).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from ratelimit_client.core.quota import per_minute
from ratelimit_client.core.units import NS, to_ns
from ratelimit_client.testing import ModelServer
from ratelimit_client.testing.conduct import LogNormal

from .simulation import Client, Job, World

LIMIT, MINUTES = 600, 10


def _jobs() -> Iterator[Job]:
    while True:
        yield Job()


class Light(Client):
    """A client with little to do: one call each second and a half."""

    def pump(self) -> None:
        self.submit(Job(), self.world.now_ns)
        self.turn()
        self.world.at(self.world.now_ns + 3 * NS // 2, self.pump)

    def hear(self, *args: object) -> None:
        pump, self.pump = self.pump, self.turn  # type: ignore[method-assign]
        super().hear(*args)  # type: ignore[arg-type]
        self.pump = pump  # type: ignore[method-assign]


def run(greedy: int, light: int, seed: int) -> tuple[float, float, float]:
    """(refused %, used %, Jain) of one run."""
    world = World(seed)
    server = ModelServer(per_minute(requests=LIMIT), latency=LogNormal(4.0), seed=seed)
    starts = [world.dice.uniform(0, 2) for _ in range(greedy)]
    clients = [Client(world, server, _jobs(), in_flight=300, start_s=start) for start in starts]
    others = [Light(world, server, (), in_flight=300) for _ in range(light)]
    world.run(to_ns(60 * MINUTES))
    sent = sum(client.sent for client in clients + others)
    refused = sum(client.refused for client in clients + others)
    done = [client.done for client in clients]
    jain = sum(done) ** 2 / (len(done) * sum(each * each for each in done))
    used = 100 * server.tally.admitted / (LIMIT + LIMIT * MINUTES)
    return 100 * refused / max(1, sent), used, jain


def table(seeds: int = 3) -> list[tuple[str, float, float, float]]:
    """Medians over seeds."""
    rows = []
    for name, greedy, light in (("4 greedy", 4, 0), ("16 greedy", 16, 0), ("1 greedy + 3 light", 1, 3)):
        runs = [run(greedy, light, seed) for seed in range(seeds)]
        refused, used, jain = (statistics.median(column) for column in zip(*runs, strict=True))
        rows.append((name, refused, used, jain))
    return rows


if __name__ == "__main__":
    for name, refused, used, jain in table():
        print(f"{name:20} refused {refused:6.2f} %   used {used:6.1f} %   Jain {jain:.3f}")
