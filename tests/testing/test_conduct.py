from __future__ import annotations

import math
import pickle
import random
from collections import Counter

import pytest

from ratelimit_client.testing import Change, Constant, Faults, LogNormal, Outsiders, Uniform
from ratelimit_client.testing.conduct import latency

S = 1_000_000_000


def test_latencies_are_what_they_say() -> None:
    """A constant is exact; half of a log-normal lies below its median, none above its cap; a uniform has two ends."""
    dice = random.Random(1)
    log_normal = sorted(LogNormal(4.0, most_s=20.0).draw_ns(dice) for _ in range(4001))
    uniform = [Uniform(1.0, 3.0).draw_ns(dice) for _ in range(1000)]

    assert Constant(0.15).draw_ns(dice) == 150_000_000
    assert abs(log_normal[2000] / S - 4.0) < 0.2
    assert log_normal[-1] == 20 * S
    assert S <= min(uniform) < max(uniform) <= 3 * S


def test_seconds_are_a_latency() -> None:
    """Where a latency is asked for, a number of seconds will do."""
    assert latency(2) == Constant(2)
    assert latency(Uniform(0, 1)) == Uniform(0, 1)


def test_faults_come_as_often_as_they_should() -> None:
    """Each name turns up with its probability, and nothing happens the rest of the time."""
    faults = Faults(server_error=0.1, overloaded=0.2, reset=0.05)
    dice = random.Random(7)
    seen = Counter(faults.draw(dice) for _ in range(20_000))

    assert set(seen) == {"server_error", "overloaded", "reset", None}
    for name, chance in (("server_error", 0.1), ("overloaded", 0.2), ("reset", 0.05), (None, 0.65)):
        assert math.isclose(seen[name] / 20_000, chance, abs_tol=0.015), name


@pytest.mark.parametrize("chances", [{"reset": -0.1}, {"reset": 0.6, "slow": 0.6}])
def test_probabilities_add_up(chances: dict[str, float]) -> None:
    """None is negative and together they are at most one."""
    with pytest.raises(ValueError, match="probabilities"):
        Faults(**chances)


def test_a_behaviour_travels_to_another_process() -> None:
    """All of it can be pickled and means the same there."""
    for value in (Constant(1), LogNormal(2), Uniform(1, 2), Faults(reset=0.1), Outsiders(per_s=3), Change(5, {})):
        assert pickle.loads(pickle.dumps(value)) == value
