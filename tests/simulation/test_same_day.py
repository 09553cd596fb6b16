"""One seed is one day: in every process, whatever the date, and whatever the order of a hash."""

from __future__ import annotations

import os
import subprocess
import sys

import attrs
import pytest

from tests.simulation.days import FIRST, live
from tests.simulation.drawing import draw
from tests.simulation.world import Happening, World
from tests.sizes import SCALE

DAYS = 10 * SCALE
STEPS_S = ((0.0, -3600.0), (3.3, 86_400.0 * 365), (11.0, -86_400.0 * 3650), (40.0, -0.4))
"""When the clock of the machine is set, and by how much."""


def digests(hash_seed: str) -> list[str]:
    """What a process of its own says of the first days."""
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(FIRST), "--days", str(DAYS), "--digest"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_two_processes_live_the_same_days() -> None:
    """To the last byte and nanosecond, with another order of every hash (I26)."""
    first, second = digests("1"), digests("4711")
    assert first == second
    assert len(set(first)) == DAYS


def on(world: World, *, stepped: bool) -> World:
    """The same day with a clock that is set now and then, by hours and years or by nothing."""
    more = tuple(Happening(at_s=at_s, what="wall", value=step_s) for at_s, step_s in STEPS_S)
    happenings = sorted(world.happenings + more, key=lambda each: each.at_s)
    return attrs.evolve(
        world,
        calm=False,
        happenings=tuple(
            attrs.evolve(each, value=0.0) if each.what == "wall" and not stepped else each for each in happenings
        ),
    )


FOUND = (258, 269)
"""Sessions that were lost when the clock had been set, and were taken for those whose time was over."""


@pytest.mark.parametrize("seed", [*FOUND, *(FIRST + 1000 + number for number in range(DAYS))])
def test_the_date_changes_nothing(seed: int) -> None:
    """Steps of the wall clock, forwards and back, by seconds and by years: every call ends as it did (I15)."""
    world = draw(seed)
    assert live(on(world, stepped=True)).digest == live(on(world, stepped=False)).digest
