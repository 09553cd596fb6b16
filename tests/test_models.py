"""
The rules of the scheduler held against their tables, in virtual time.

The whole tables are printed by ``make bench``; here one seed of each row has to
stay within what the table promises.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from benchmarks.models import contention, ramp, reconciliation, second_look, storms
from benchmarks.models.simulation import Client, Job, World
from ratelimit_client.core.quota import per_minute
from ratelimit_client.core.retry import RetryPolicy
from ratelimit_client.core.units import to_ns
from ratelimit_client.testing import ModelServer
from ratelimit_client.testing.conduct import Constant, Faults, LogNormal
from tests.sizes import SCALE

SEEDS = range(min(SCALE, 20))


@pytest.mark.parametrize(
    ("setting", "refused", "used"),
    [("alone", 0.0, 99.5), ("another client at 3/s", 0.2, 96.0), ("+ its bursts of 60", 0.5, 97.0)],
)
def test_late_readings_keep_the_bucket_full_and_the_server_silent(setting: str, refused: float, used: float) -> None:
    """
    300 in flight, answers of 4 s: next to nothing is refused, next to nothing is left unused.
    """
    refused_percent, used_percent = reconciliation.run(setting, 0)

    assert refused_percent <= refused
    assert used_percent >= used


def test_several_greedy_processes_share() -> None:
    """
    Four without a store: hardly a refusal, a full bucket, equal shares.
    """
    refused, used, jain = contention.run(4, 0, 0)

    assert refused <= 1.0
    assert used >= 97.0
    assert jain >= 0.97


def test_a_silent_server_is_asked_little_too_much() -> None:
    """
    No header at all, a limit halved for two minutes: 6000 calls, few refusals, none lost.
    """
    refused_per_success, over_ideal, lost = storms.run(0)

    assert refused_per_success <= 0.05
    assert over_ideal <= 1.1
    assert lost == 0


@pytest.mark.parametrize(
    ("run", "most"),
    [
        (second_look.jittery_burst, (0,)),
        (second_look.frozen_header, (1.0,)),
        (second_look.lying_header, (1.0,)),
        (second_look.alone, (1.03, 0)),
        (second_look.outage, (0, 20)),
        (second_look.tiny_limit, (9,)),
        (second_look.slices, (9, 1.05)),
        (second_look.silent_slices, (25, 1.1)),
    ],
    ids=lambda run: getattr(run, "__name__", ""),
)
@pytest.mark.parametrize("seed", SEEDS)
def test_where_simpler_rules_were_caught_out(run, most: tuple[float, ...], seed: int) -> None:  # type: ignore[no-untyped-def]
    """
    Each row of that table stays at or below its bound.
    """
    assert all(value <= bound for value, bound in zip(run(seed), most, strict=True)), run(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_answers_of_a_minute_or_two_are_no_reason_for_a_refusal(seed: int) -> None:
    """
    900 calls in flight, every reading a minute old: the limit is used and nothing is refused.

    Only the first minute is lost, in which nobody has answered yet.
    """
    used, refused = second_look.long_answers(seed)

    assert refused == 0
    assert used >= 96.0


@pytest.mark.parametrize(
    ("setting", "slowed", "used"),
    [
        ({"minutes": 10}, 2.0, 88.0),
        ({"minutes": 20, "kind": "mixed"}, 9.0, 55.0),
        ({"minutes": 20, "clients": 2}, 6.0, 68.0),
        ({"minutes": 20, "calm_s": 600.0}, 2.0, 65.0),
        ({"minutes": 20, "refusal_s": 1.0}, 15.0, 65.0),  # 8 on the average of 32 seeds, 12.5 at most
    ],
    ids=["cold", "mixed rows", "two processes", "a step", "slow refusals"],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_rate_that_may_grow_slowly_is_kept(setting: dict[str, Any], slowed: float, used: float, seed: int) -> None:
    """
    Limits of thirty times what the server lets in at once: it has to say slow_down a few times, and no row is lost.

    Without a pace it says so more often than it lets rows in.
    """
    slow_downs_percent, used_percent, failed = ramp.run(seed, **setting)

    assert slow_downs_percent <= slowed
    assert used_percent >= used
    assert failed == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pace_grows_by_half_in_a_quarter_of_an_hour(seed: int) -> None:
    """
    Held against the minute fifteen minutes ago: all of it in the first minute, and three quarters of it used.
    """
    slow_downs_percent, used_percent, failed = ramp.run(seed, minutes=40, compared_s=(900, 960))

    assert slow_downs_percent <= 0.6
    assert used_percent >= 70.0
    assert failed == 0


@pytest.mark.parametrize("share", [0.02, 0.05])
@pytest.mark.parametrize("seed", SEEDS)
def test_stray_slow_downs_slow_nobody_down(share: float, seed: int) -> None:
    """
    One answer in fifty, or in twenty, says it by chance: 9000 rows at 100 a second take as long as ever.
    """
    assert ramp.stray(seed, share) <= 50


WEATHER: tuple[tuple[str, dict[str, object], tuple[float, float], float], ...] = (
    ("fair", {"latency": Constant(0.3)}, (0.001, 0.003), 1.03),
    ("jittery", {"latency": Constant(0.3)}, (0.001, 0.25), 1.03),
    ("slow answers", {"latency": LogNormal(4.0)}, (0.001, 0.003), 1.4),
    (
        "a bad day",
        {
            "latency": Constant(0.3),
            "faults": Faults(server_error=0.02, overloaded=0.02, reset=0.02, truncated=0.02, slow=0.02),
        },
        (0.001, 0.003),
        1.5,
    ),
)


@pytest.mark.parametrize(("name", "conduct", "way_s", "over"), WEATHER, ids=[row[0] for row in WEATHER])
@pytest.mark.parametrize("seed", SEEDS)
def test_mixed_rows_run_at_the_limit_whatever_their_estimates(
    name: str, conduct: dict[str, object], way_s: tuple[float, float], over: float, seed: int
) -> None:
    """
    Rows of 40 to 4000 characters, with and without a max_tokens that is not charged.

    First prices are up to fifty times too high. All rows are answered, nobody is
    refused, no stranger is seen on the key, and the time is that of the limit.

    Twelve attempts: of 9000 rows of a day where 8 % of the answers fail, one in thirty
    such days has a row that fails five times.
    """
    dice = random.Random(f"{name} {seed}")
    limit = dice.choice([60, 300, 3000])
    world = World(seed)
    server = ModelServer(per_minute(requests=limit, tokens=limit * 300), seed=seed, **conduct)  # type: ignore[arg-type]
    sizes = [int(40 * 100 ** dice.random()) for _ in range(3 * limit)]
    jobs = [Job(chars=size, max_tokens=dice.choice([None, 100, 2000])) for size in sizes]
    client = Client(
        world, server, jobs, in_flight=300, out_s=way_s, policy=RetryPolicy.bulk(max_attempts=12)
    )
    world.run(to_ns(3600))

    assert client.done == len(jobs)
    assert client.refused <= 2
    assert not client.scheduler.keys["gpt-4o"].budget.shares
    tokens_s = (server.tally.charged_tokens - limit * 300) / (limit * 300) * 60
    assert client.report().seconds <= over * max(120.0, tokens_s) + 12
