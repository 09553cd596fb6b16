from __future__ import annotations

import pytest

from ratelimit_client.testing import ManualClock

S = 1_000_000_000


def test_time_moves_only_when_told() -> None:
    """Both readings stand still, then move together by what they are told."""
    clock = ManualClock()
    before = clock.monotonic_ns(), clock.wall_ns()

    assert (clock.monotonic_ns(), clock.wall_ns()) == before
    assert clock.advance(2.5) == before[0] + 2_500_000_000
    assert clock.advance(ns=7) == before[0] + 2_500_000_007
    assert clock.wall_ns() == before[1] + 2_500_000_007


def test_the_date_may_jump_and_the_measure_does_not_notice() -> None:
    """Setting the date back an hour changes wall_ns only."""
    clock = ManualClock(5 * S, wall_ns=10_000 * S)
    clock.set_wall(6_400 * S)
    clock.advance(1)

    assert clock.monotonic_ns() == 6 * S
    assert clock.wall_ns() == 6_401 * S


def test_time_does_not_run_backwards() -> None:
    """A negative step is an error; an instant that is past already changes nothing."""
    clock = ManualClock(5 * S)

    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
    assert clock.advance_to(3 * S) == 5 * S
    assert clock.advance_to(8 * S) == 8 * S
    assert repr(clock) == "<ManualClock 8.000000000 s>"
