"""
A server that minds how fast a rate grows.

Limits of thirty times what may be used at once, and a rule beside them: the last minute
holds at most one and a half times the mean minute of the quarter of an hour before, or a
floor of 100 calls, if that is more. What counts is how often the server had to say
slow_down, for 100 rows that were answered; how much went through of what somebody would
have got through who knows the rule and asks all the time; and how many rows failed.

And what stray slow_downs cost: 9000 rows at 100 a second, a share of whose answers say so
by chance, against the same faults under another name.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator
from typing import Any

from ratelimit_client.core.quota import per_minute
from ratelimit_client.core.retry import RetryPolicy
from ratelimit_client.core.units import NS, to_ns
from ratelimit_client.testing.charging import exactly
from ratelimit_client.testing.conduct import Faults, Latency, LogNormal
from ratelimit_client.testing.model_server import ModelServer
from ratelimit_client.testing.ramp import Ramp, RampMeter

from .simulation import Client, Job, World

CALLS, TOKENS, TIMES = 100, 1000, 30
USUAL = LogNormal(0.6)


def _jobs(kind: str, dice: random.Random) -> Iterator[Job]:
    """Rows without end, of a thousand tokens each, or as many on average."""
    while True:
        if kind == "mixed":
            yield Job(chars=int(400 * 100 ** dice.random()), max_tokens=dice.choice([None, 1000, 8000]))
        else:
            yield Job(tokens=TOKENS if kind == "tokens" else None)


def allowed(ramp: Ramp, limit: int, cost: int, seconds: int) -> int:
    """Units that somebody who knows the rule gets through in so many seconds."""
    meter, level, total = RampMeter(ramp), limit, 0
    for second in range(seconds):
        level = min(limit, level + limit // 60)
        while level >= cost and meter.allows(cost, now_ns=second * NS):
            meter.take(cost, now_ns=second * NS)
            level -= cost
            total += cost
    return total


class Stepping(Client):
    """A client with a call a second to make, and from some second on with as many as can be."""

    calm_until_ns = 0

    def pump(self) -> None:
        if self.world.now_ns >= self.calm_until_ns:
            super().pump()
            return
        if not self.scheduler.queued and not self.scheduler.in_flight:
            self.submit(next(self.jobs), self.world.now_ns)
            self.world.at(self.world.now_ns + NS, self.pump)
        self.turn()


def run(
    seed: int,
    *,
    minutes: int = 45,
    kind: str = "tokens",
    times: int = TIMES,
    clients: int = 1,
    calm_s: float = 0.0,
    latency: Latency = USUAL,
    refusal_s: float = 0.005,
    faults: float = 0.0,
    **rule: Any,
) -> tuple[float, float, int]:
    """(slow_downs for 100 rows, used % of what the rule lets pass, rows that failed)."""
    unit, cost = ("requests", 1) if kind == "requests" else ("tokens", TOKENS)
    ramp = Ramp(floor=CALLS * cost, unit=unit, **rule)
    quotas = per_minute(requests=times * CALLS)
    if kind != "requests":
        quotas += per_minute(tokens=times * CALLS * TOKENS)
    world = World(seed)
    server = ModelServer(
        quotas,
        latency=latency,
        refusal_latency=refusal_s,
        charge=exactly,
        ramp=ramp,
        faults=Faults(slow_down=faults),
        seed=seed,
    )
    many = []
    for number in range(clients):
        client = Stepping(world, server, _jobs(kind, world.dice), in_flight=1000, start_s=2.0 * number)
        client.calm_until_ns = to_ns(calm_s)
        many.append(client)
    world.run(to_ns(60 * minutes))
    best = allowed(ramp, times * CALLS * cost, cost, 60 * minutes)
    used = server.tally.admitted if kind == "requests" else server.tally.charged_tokens
    done = sum(client.done for client in many)
    refused = 100 * server.tally.errors["slow_down"] / max(1, done)
    return refused, 100 * used / best, sum(client.failed for client in many)


def stray(seed: int, share: float, name: str = "slow_down", latency: float = 0.3) -> float:
    """Seconds of 9000 rows at 100 a second, this share of whose answers are a fault of that name."""
    world = World(seed)
    server = ModelServer(per_minute(requests=6000), latency=latency, faults=Faults(**{name: share}), seed=seed)
    policy = RetryPolicy.bulk(max_attempts=12)
    client = Client(world, server, [Job() for _ in range(9000)], in_flight=2000, policy=policy)
    world.run(to_ns(4 * 3600))
    return client.report().seconds


ROWS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ten minutes", {"minutes": 10}),
    ("45 minutes", {}),
    ("the same, answers of 20 s", {"latency": LogNormal(20.0)}),
    ("the same, refusals after 1 s", {"refusal_s": 1.0}),
    ("the same, no tokens", {"kind": "requests"}),
    ("the same, mixed rows at estimated prices", {"kind": "mixed"}),
    ("the same, limits of twice the floor", {"times": 2}),
    ("the same, and 2 % stray slow_downs", {"faults": 0.02}),
    ("the same, refused calls count as well", {"counts_refused": True}),
    ("the same, two processes", {"clients": 2}),
    ("the same after 20 min of a call a second", {"calm_s": 1200.0}),
    ("compared with the minute 15 min before", {"compared_s": (900, 960)}),
)


def table(seeds: int = 2) -> list[tuple[str, float, float, int]]:
    """Medians over seeds."""
    rows = []
    for name, setting in ROWS:
        runs = [run(seed, **setting) for seed in range(seeds)]
        refused, used, failed = (statistics.median(column) for column in zip(*runs, strict=True))
        rows.append((name, refused, used, int(failed)))
    return rows


def strays(seeds: int = 3) -> list[tuple[float, float, float]]:
    """(share, seconds with slow_down, seconds with resets), medians over seeds."""
    rows = []
    for share in (0.02, 0.05, 0.1):
        slowed, reset = (
            statistics.median(stray(seed, share, name) for seed in range(seeds)) for name in ("slow_down", "reset")
        )
        rows.append((share, slowed, reset))
    return rows


if __name__ == "__main__":
    for row in ROWS:
        found = [run(seed, **row[1]) for seed in range(2)]
        print(f"{row[0]:42}", "   ".join(f"{a:6.2f} slow_downs {b:6.1f} % failed {c}" for a, b, c in found), flush=True)
    for share, slowed, reset in strays():
        print(f"stray {100 * share:g} %: {slowed:.1f} s with slow_down, {reset:.1f} s with resets", flush=True)
