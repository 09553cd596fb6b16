"""
A scheduler and a model server in virtual time, in circumstances that a seed makes up.

Limits, latencies, jitter, keys, tenants, priorities, deadlines, cancellations, faults,
strangers, and limits that change. Whatever they are, every call ends exactly once,
nobody waits for nothing, and the scheduler is not asked more often than things happen.
"""

from __future__ import annotations

import collections
import random
from typing import Any

import pytest

from benchmarks.models.simulation import Client, Job, World
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.estimate import Features
from ratelimit_client.core.quota import Quotas, per_minute
from ratelimit_client.core.retry import CallHistory
from ratelimit_client.core.ticket import State, Ticket
from ratelimit_client.core.units import NS as S
from ratelimit_client.core.units import to_ns
from ratelimit_client.errors import CostExceedsQuota, DeadlineUnreachable
from ratelimit_client.testing import ModelServer
from ratelimit_client.testing.conduct import Change, Faults, LogNormal, Outsiders, Uniform
from ratelimit_client.testing.enforcement import sliced
from tests.sizes import SCALE

HORIZON_S = 4 * 3600
MOST_TURNS_IN_A_SECOND = 3000


class Crowd(Client):
    """A client whose calls have tenants, priorities and deadlines, and some of which change their mind."""

    def __init__(self, *args: Any, dice: random.Random, tenants: int, bands: tuple[int, ...], **how: Any) -> None:
        self.dice, self.tenants, self.bands = dice, tenants, bands
        self.cancels, self.hurries = dice.choice([0, 0, 0.2]), dice.choice([0, 0, 0.3])
        self.cancelled = self.refused_at_once = 0
        self.turns: collections.Counter[int] = collections.Counter()
        super().__init__(*args, **how)

    def submit(self, job: Job, now_ns: int) -> None:
        dice = self.dice
        deadline_ns = now_ns + to_ns(dice.uniform(0.1, 90)) if dice.random() < self.hurries else None
        cost = features = None
        if job.chars:
            features = Features(job.chars, job.max_tokens or 0)
        else:
            cost = Cost(1, tokens=job.tokens or 0)
        try:
            ticket = self.scheduler.submit(
                job.model,
                cost=cost,
                features=features,
                priority=dice.choice(self.bands),
                tenant=f"t{dice.randrange(self.tenants)}",
                deadline_ns=deadline_ns,
                now_ns=now_ns,
            )
        except (DeadlineUnreachable, CostExceedsQuota):
            self.refused_at_once += 1
            return
        self.histories[ticket] = (job, CallHistory(now_ns, deadline_ns=deadline_ns))
        if ticket.order >= 0:
            self.send(ticket)
        if dice.random() < self.cancels:
            self.world.at(now_ns + to_ns(dice.expovariate(1 / dice.choice([0.001, 1, 10]))), self.cancel, ticket)

    def cancel(self, ticket: Ticket) -> None:
        unsent = ticket.state is State.GRANTED and ticket.written_ns is None and self.writes
        if ticket in self.histories and (ticket.state is State.QUEUED or unsent):
            self.scheduler.cancel(ticket, now_ns=self.world.now_ns)
            del self.histories[ticket]
            self.cancelled += 1
            self.turn()

    def turn(self) -> None:
        self.turns[self.world.now_ns // S] += 1
        super().turn()
        if self.scheduler.queued and not self.scheduler.in_flight:
            assert self.scheduler.next_wakeup() is not None, "queued, nothing in flight, and no wake-up"

    def send(self, ticket: Ticket) -> None:
        assert self.scheduler.in_flight <= self.scheduler.max_in_flight
        super().send(ticket)

    def wrote(self, ticket: Ticket) -> None:
        if ticket in self.histories:
            super().wrote(ticket)

    def arrive(self, ticket: Ticket) -> None:
        if ticket in self.histories:
            super().arrive(ticket)


def made_up(seed: int) -> tuple[World, Crowd, int]:
    """World, client and the number of its calls."""
    dice, world = random.Random(seed), World(seed)
    rpm = dice.choice([3, 10, 60, 300, 1200, 6000])
    tpm = dice.choice([None, rpm * dice.choice([10, 100, 1000])])
    limits = per_minute(requests=rpm) + (per_minute(tokens=tpm) if tpm else Quotas())
    how: dict[str, Any] = {"latency": dice.choice([0.01, 0.15, LogNormal(2.0), Uniform(0.01, 20)])}
    seconds = dice.choice([1.0, 5.0])
    if not tpm and rpm * seconds >= 120 and dice.random() < 0.3:
        how["enforcement"] = sliced(seconds)
    if dice.random() < 0.15:
        how["headers"] = False
    if dice.random() < 0.3:
        chances = {name: dice.choice([0, 0.05]) for name in ("server_error", "overloaded", "slow_down", "reset")}
        how["faults"] = Faults(until_s=dice.choice([30, 10**9]), **chances)
    if dice.random() < 0.2:
        how["outsiders"] = Outsiders(per_s=rpm / 60 * dice.choice([0.1, 0.5]), until_s=300)
    if dice.random() < 0.2:
        changed = max(1, int(rpm * dice.choice([0.1, 0.5, 2])))
        others = per_minute(tokens=tpm) if tpm else Quotas()
        how["changes"] = Change(dice.uniform(1, 30), per_minute(requests=changed) + others)
    number = min(300, max(10, int(rpm * dice.choice([0.5, 1.5, 2.5]))))
    models = [f"m{number}" for number in range(dice.choice([1, 1, 2, 4]))]
    client = Crowd(
        world,
        ModelServer(limits, seed=seed, **how),
        [_job(dice, dice.choice(models), tpm, number) for _ in range(number)],
        dice=dice,
        tenants=dice.choice([1, 3, 12]),
        bands=dice.choice([(0,), (-1, 0, 2), (-2, -1, 0, 1, 2)]),
        in_flight=dice.choice([1, 4, 64, 2000]),
        out_s=dice.choice([(0.001, 0.001), (0.001, 0.3)]),
        jitter_s=dice.choice([None, 0.3]),
        ahead=dice.choice([8, 64, 500]),
        told=dice.choice([(), limits, per_minute(requests=rpm)]),
    )
    return world, client, number


def _job(dice: random.Random, model: str, tpm: int | None, number: int) -> Job:
    """One call: of requests only, of stated tokens, a few of them heavy, or with an estimate."""
    kind = dice.choice(["requests", "stated", "estimated"]) if tpm else "requests"
    if kind == "requests" or tpm is None:
        return Job(model)
    if kind == "stated":
        heavy = dice.random() < 0.05
        part = dice.uniform(0.3, 1) if heavy else dice.choice([0.001, 0.01, 0.1, 0.6]) * min(1, 30 / number)
        return Job(model, tokens=max(1, int(tpm * part)))
    chars = int(4 * tpm * dice.choice([0.001, 0.01]) * min(1, 100 / number))
    return Job(model, chars=max(4, chars), max_tokens=dice.choice([None, 10]))


@pytest.mark.parametrize("seed", range(60 * SCALE))
def test_every_call_ends_once(seed: int) -> None:
    """Done, failed, cancelled, expired, or refused at once; and then nothing waits and nothing is under way."""
    world, client, number = made_up(seed)
    world.run(to_ns(HORIZON_S))

    assert client.histories == {}
    assert client.done + client.failed + client.cancelled + client.refused_at_once == number
    assert (client.scheduler.queued, client.scheduler.in_flight) == (0, 0)
    assert max(client.turns.values()) <= MOST_TURNS_IN_A_SECOND
    for state in client.scheduler.keys.values():
        assert (state.queue.waiting, state.window.in_flight) == (0, 0)
