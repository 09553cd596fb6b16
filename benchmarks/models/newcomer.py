"""
The fifth worker on a budget that is shared through a store, with and without what the others tell it.

No limit is typed, 6000 requests and 500 000 tokens a minute, answers of about two seconds. One worker is
alone for a minute and learns what the server charges, three more come, and a minute later the fifth. All
have as much to do as they can send. For each way of charging: how far the fifth's prices are off in its
first minute (the mean of what is wrong with each, and of the first ten), its refusals, and how much of the
limit all five use meanwhile.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator
from functools import partial
from typing import Any

import attrs

from ratelimit_client.core.lease import Call
from ratelimit_client.core.leasing import LeasingScheduler
from ratelimit_client.core.pool import Store
from ratelimit_client.core.quota import per_minute
from ratelimit_client.core.ticket import Ticket
from ratelimit_client.core.units import NS, to_ns
from ratelimit_client.testing import ModelServer
from ratelimit_client.testing.charging import Ask, Charge, by_characters, by_characters_and_output
from ratelimit_client.testing.conduct import LogNormal

from .simulation import Client, Job, World

TOKENS, JOINS_S, LATEST_S, ENDS_S = 500_000, 60.0, 120.0, 180.0
_TRIP_NS = NS // 500


def by_dense_text(ask: Ask) -> int:
    """2.3 times a quarter of the characters, as for a language that the tokens were not made for."""
    return 23 * ask.chars // 40 + 4


Bounds = tuple[int | None, ...]

SETTINGS: dict[str, tuple[Charge, Bounds]] = {
    "the text": (by_characters, (None, 500, 4000)),
    "the text and max_tokens": (by_characters_and_output, (None, 500, 4000)),
    "2.3 times the text": (by_dense_text, (None, 500, 4000)),
    "the same, no call says max_tokens": (by_dense_text, (None,)),
}
"""How the server charges, and the max_tokens that calls have."""


class Worker(Client):
    """
    One process of several.

    Args:
        hears: what others told.
    """

    def __init__(
        self, world: World, server: ModelServer, store: Store, name: str, bounds: Bounds, *, hears: bool, start_s: float
    ) -> None:
        dice = random.Random(f"{name} {world.dice.random()}")
        self.store, self.hears, self.asking = store, hears, False
        self.errors: list[float] = []
        machine = partial(LeasingScheduler, process=name, spends=True, workers=4)
        super().__init__(world, server, _jobs(dice, bounds), in_flight=300, start_s=start_s, machine=machine)
        assert isinstance(self.scheduler, LeasingScheduler)
        self.machine = self.scheduler
        self.machine.wake = self.wake

    def wake(self) -> None:
        if not self.asking:
            self.world.at(self.machine.keeper.renew_ns, self.ask)

    def ask(self) -> None:
        now_ns = self.world.now_ns
        if self.asking or self.machine.keeper.renew_ns > now_ns:
            return
        call = self.machine.keeper.ask(now_ns=now_ns)
        if call is not None:
            self.asking = True
            self.world.at(now_ns + _TRIP_NS, self.told, call)

    def told(self, call: Call) -> None:
        now_ns = self.world.now_ns
        leases: Any = self.store.renew(call, now_us=10**15 + now_ns // 1000)
        if not self.hears:
            leases = [attrs.evolve(lease, told=()) for lease in leases]
        self.asking = False
        self.machine.store_lent(call, leases, now_ns=now_ns)
        self.turn()
        self.wake()

    def send(self, ticket: Ticket) -> None:
        job, _ = self.histories[ticket]
        charged = self.server.charge(Ask(job.model, job.chars, job.max_tokens))
        self.errors.append(abs(ticket.amount("tokens") - charged) / charged)
        super().send(ticket)


def _jobs(dice: random.Random, bounds: Bounds) -> Iterator[Job]:
    while True:
        yield Job(chars=int(dice.lognormvariate(8, 0.8)), max_tokens=dice.choice(bounds))


def run(charge: Charge, bounds: Bounds, *, hears: bool, seed: int) -> tuple[float, float, float, float]:
    """(error %, error of the first ten %, refused, used %) of the fifth worker's first minute."""
    world, store = World(seed), Store()
    limits = per_minute(requests=6000, tokens=TOKENS)
    server = ModelServer(limits, charge=charge, latency=LogNormal(2.0), seed=seed)
    starts = [0.0, *(JOINS_S + world.dice.uniform(0, 2) for _ in range(3)), LATEST_S]
    workers = [
        Worker(world, server, store, f"w{number}", bounds, hears=hears, start_s=at_s)
        for number, at_s in enumerate(starts)
    ]
    world.run(to_ns(LATEST_S))
    before = server.tally.charged_tokens
    world.run(to_ns(ENDS_S))
    fifth = workers[-1]
    used = 100 * (server.tally.charged_tokens - before) / (TOKENS * (ENDS_S - LATEST_S) / 60)
    errors = fifth.errors or [0.0]
    return 100 * statistics.mean(errors), 100 * statistics.mean(errors[:10]), fifth.refused, used


def table(seeds: int = 3) -> list[tuple[str, str, float, float, float, float]]:
    """Medians over seeds."""
    rows = []
    for name, (charge, bounds) in SETTINGS.items():
        for words, hears in (("told nothing", False), ("told", True)):
            runs = [run(charge, bounds, hears=hears, seed=seed) for seed in range(seeds)]
            error, first, refused, used = (statistics.median(column) for column in zip(*runs, strict=True))
            rows.append((name, words, error, first, refused, used))
    return rows


if __name__ == "__main__":
    for name, words, error, first, refused, used in table():
        print(f"{name:34} {words:13} error {error:6.1f} %, {first:6.1f} %; refused {refused}; used {used:.1f} %")
