"""
Several processes on one key without a store, on servers that make it hard, in virtual time.

3000 calls a minute, answers of 0.3 s. *Sliced*: 600 are there at once, and no header says so. *Minute*: 3000 are. An
outsider makes 15 calls a second and never waits. On a *loaded* machine a call takes up to 0.4 s more in either
direction, which is what a server or a client is behind that gets no processor; processes begin up to 2 s apart.
Two minutes of greedy processes, and jobs cut in equal shards: 2400 rows where 600 are there at once, else 4800.
"""

from __future__ import annotations

import itertools
from typing import Any

import attrs

from ratelimit_client.core.quota import per_minute
from ratelimit_client.core.units import to_ns
from ratelimit_client.testing import ModelServer, Outsiders, minute, sliced
from ratelimit_client.testing.conduct import Constant

from .simulation import Client, Job, World

LIMIT, A_SECOND, SLICE_S, OUTSIDE = 3000, 50, 12, 15
GREEDY_S, LONGEST_S = 120, 600
AT_ONCE = 100


@attrs.frozen
class Setting:
    """How many, and against what."""

    kind: str
    processes: int

    @property
    def burst(self) -> int:
        return SLICE_S * A_SECOND if "sliced" in self.kind else LIMIT

    @property
    def rate(self) -> int:
        return A_SECOND - (OUTSIDE if "outsider" in self.kind else 0)

    @property
    def rows(self) -> int:
        return 2400 if "sliced" in self.kind else 4800

    def clients(self, seed: int, *, rows: int | None) -> tuple[World, list[Client]]:
        """A server, and those who draw on it."""
        world = World(seed)
        server = ModelServer(
            per_minute(requests=LIMIT),
            latency=Constant(0.3),
            seed=seed,
            enforcement=sliced(SLICE_S) if "sliced" in self.kind else minute(),
            outsiders=Outsiders(per_s=OUTSIDE) if "outsider" in self.kind else (),
        )
        way_s = (0.001, 0.4 if "loaded" in self.kind else 0.01)
        clients = []
        for _ in range(self.processes):
            jobs = (Job() for _ in (range(rows // self.processes) if rows else itertools.count()))
            at_once = 2000 if rows else AT_ONCE
            start_s = world.dice.uniform(0, 2)
            clients.append(Client(world, server, jobs, in_flight=at_once, start_s=start_s, out_s=way_s, back_s=way_s))
        return world, clients

    def run(self, seed: int = 1) -> dict[str, Any]:
        """What became of greedy ones, and of a job."""
        world, greedy = self.clients(seed, rows=None)
        world.run(to_ns(GREEDY_S // 2))
        early = [client.done for client in greedy]
        world.run(to_ns(GREEDY_S))
        later = [client.done - done for client, done in zip(greedy, early, strict=True)]
        there = self.burst + self.rate * GREEDY_S
        job, workers = self.clients(seed, rows=self.rows)
        job.run(to_ns(LONGEST_S))
        return {
            "kind": self.kind,
            "processes": self.processes,
            "refused": _refused(greedy),
            "used": round(100 * sum(client.done for client in greedy) / there, 1),
            "jain": round(sum(later) ** 2 / (len(later) * sum(each * each for each in later)), 3),
            "job_refused": _refused(workers),
            "over_ideal": round(max(client.last_ns for client in workers) / 1e9 / self.ideal_s, 3),
        }

    @property
    def ideal_s(self) -> float:
        return (self.rows - self.burst) / self.rate


def _refused(clients: list[Client]) -> float:
    return round(100 * sum(client.refused for client in clients) / sum(client.sent for client in clients), 2)


KINDS = ("sliced", "minute", "minute, outsider", "sliced, loaded")


def table(sizes: tuple[int, ...] = (2, 4, 8)) -> list[dict[str, Any]]:
    """All of them."""
    return [Setting(kind, number).run() for kind in KINDS for number in sizes]


if __name__ == "__main__":
    for row in table():
        print(row, flush=True)
