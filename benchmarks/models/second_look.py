"""
The settings in which simpler rules were caught out, run with ours.

Each row is a name, what came of it, and what a simpler rule made of the same
setting (measured when the rules were chosen).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator

from ratelimit_client.core.quota import Quotas, per_minute
from ratelimit_client.core.units import to_ns
from ratelimit_client.testing import ModelServer
from ratelimit_client.testing.conduct import Constant, Faults, Uniform
from ratelimit_client.testing.enforcement import fixed, sliced
from ratelimit_client.testing.showing import own_cost, stale

from .simulation import Client, Job, World

SEEDS = 5


def _endless() -> Iterator[Job]:
    while True:
        yield Job()


def _job(
    seed: int, calls: int, limits: Quotas, *, in_flight: int = 2000, jitter_s: float = 0.001, **server: object
) -> Client:
    world = World(seed)
    model = ModelServer(limits, seed=seed, **server)  # type: ignore[arg-type]
    client = Client(world, model, [Job() for _ in range(calls)], in_flight=in_flight, out_s=(0.001, 0.001 + jitter_s))
    world.run(to_ns(6 * 3600))
    return client


def _median(run: Callable[[int], tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(statistics.median(column) for column in zip(*map(run, range(SEEDS)), strict=True))


def jittery_burst(seed: int) -> tuple[float, ...]:
    """A burst over connections that differ by a quarter of a second: (refused,)."""
    return (_job(seed, 4000, per_minute(requests=3000), jitter_s=0.25, latency=0.5).refused,)


def long_answers(seed: int) -> tuple[float, ...]:
    """
    Answers of one to two minutes: (share of the limit used in %, refused).

    The first three minutes are left out: until the first answer no more than 32 calls are out.
    """
    world = World(seed)
    server = ModelServer(per_minute(requests=600), latency=Uniform(60, 120), seed=seed)
    client = Client(world, server, _endless(), in_flight=2000)
    world.run(to_ns(180))
    before = server.tally.admitted
    world.run(to_ns(1980))
    return 100 * (server.tally.admitted - before) / (600 * 30), client.refused


def frozen_header(seed: int) -> tuple[float, ...]:
    """A ``remaining`` that never moves: (refused %,)."""
    client = _job(seed, 2000, per_minute(requests=600), latency=0.5, headers=stale())
    return (100 * client.refused / client.sent,)


def lying_header(seed: int) -> tuple[float, ...]:
    """A ``remaining`` that is always the limit less this call: (refused %,)."""
    client = _job(seed, 2000, per_minute(requests=600), latency=0.5, headers=own_cost())
    return (100 * client.refused / client.sent,)


def alone(seed: int) -> tuple[float, ...]:
    """4000 rows at 3000 a minute, answers of half a second: (time / ideal, refused)."""
    client = _job(seed, 4000, per_minute(requests=3000), latency=0.5)
    return client.report().seconds / (1000 / 50 + 0.5), client.refused


def outage(seed: int) -> tuple[float, ...]:
    """Ten minutes without a connection in a job of 3000 rows: (rows lost, calls during the outage)."""
    world = World(seed)
    server = ModelServer(
        per_minute(requests=3000), latency=0.5, faults=Faults(reset=1.0, from_s=5.0, until_s=605.0), seed=seed
    )
    client = Client(world, server, [Job() for _ in range(3000)], in_flight=200)
    world.run(to_ns(6.0))
    before = client.sent
    world.run(to_ns(604))
    during = client.sent - before
    world.run(to_ns(3600))
    return 3000 - client.done, during


def tiny_limit(seed: int) -> tuple[float, ...]:
    """Three a minute, refusals heard after a second: (refused of 9 calls,)."""
    return (_job(seed, 9, per_minute(requests=3), latency=1.0, refusal_latency=Constant(1.0)).refused,)


def slices(
    seed: int, *, refusal_s: float = 0.02, answer_s: float = 0.15, kind: object = None, in_flight: int = 64
) -> tuple[float, ...]:
    """1200 a minute in slices of 5 s, 300 rows, 64 in flight: (refused, time / ideal)."""
    client = _job(
        seed,
        300,
        per_minute(requests=1200),
        in_flight=in_flight,
        latency=answer_s,
        refusal_latency=refusal_s,
        enforcement=kind or sliced(5),
    )
    return client.refused, client.report().seconds / (10 + answer_s)


def silent_slices(seed: int) -> tuple[float, ...]:
    """The same server without any header: (refused, time / ideal)."""
    client = _job(
        seed,
        300,
        per_minute(requests=1200),
        in_flight=64,
        latency=0.15,
        refusal_latency=0.02,
        enforcement=sliced(5),
        headers=False,
    )
    return client.refused, client.report().seconds / 10.15


ROWS: tuple[tuple[str, Callable[[int], tuple[float, ...]], str], ...] = (
    ("burst over 250 ms of jitter: refused", jittery_burst, "mark at the grant: up to 450"),
    ("answers of 60-120 s: used %, refused", long_answers, "without refill since the snapshot: 95-97 %"),
    ("frozen remaining: refused %", frozen_header, "believed upward: 47-53 %"),
    ("remaining = limit - own: refused %", lying_header, "believed upward: about the same"),
    ("alone: time / ideal, refused", alone, "AIMD while alone 1.57-1.94; reserve kept to the end 1.047"),
    ("600 s outage: rows lost, calls", outage, "retry budget without a breaker: every row lost"),
    ("3/min, refusals after 1 s: refused of 9", tiny_limit, "doubling each 250 ms: 61"),
    ("slices of 5 s: refused, time / ideal", slices, "clumped doubling: 10"),
    ("the same, refusals after 150 ms", lambda seed: slices(seed, refusal_s=0.15), "25-53"),
    ("the same, fixed windows", lambda seed: slices(seed, kind=fixed(5)), "25-53"),
    (
        "the same, answers of 3 s",
        lambda seed: slices(seed, answer_s=3.0, in_flight=2000),
        "ramp that waits for answers: time 1.31",
    ),
    ("slices, no header: refused, time / ideal", silent_slices, "concurrency AIMD: 66-144"),
)


def table() -> list[tuple[str, tuple[float, ...], str]]:
    """Medians of five seeds."""
    return [(name, _median(run), other) for name, run, other in ROWS]


if __name__ == "__main__":
    for name, values, other in table():
        print(f"{name:44} {'  '.join(f'{value:8.3f}' for value in values):22} ({other})")
