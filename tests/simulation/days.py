"""
Which days are run, and what is said when one goes wrong.

Law of this file: a failing day is one number, and one command replays it.
"""

from __future__ import annotations

import datetime
from pathlib import Path

from tests.sizes import SCALE, SIZE

from .day import Day
from .drawing import draw
from .stores import draw_shared
from .world import World

BLOCKS = 20
DAYS = 200 * SCALE
# The nightly run looks at days nobody has seen; all others at the same ones each time.
FIRST = 0 if SIZE != "nightly" else datetime.datetime.now(datetime.UTC).toordinal() * 1_000_000

_REGRESSIONS = Path(__file__).with_name("regressions.txt")


def regressions() -> list[int]:
    """The seeds of days on which something was found once."""
    lines = _REGRESSIONS.read_text(encoding="utf-8").splitlines()
    return [int(line.split()[0]) for line in lines if line.strip() and not line.startswith("#")]


def command(seed: int) -> str:
    """What to type to see that day again."""
    return f"python -m tests.simulation --seed {seed} --tell"


def live_shared(seed: int) -> Day:
    """Run a day of several limiters on one store; the same."""
    try:
        return Day(draw_shared(seed)).run()
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error}\n\nreplay: {command(seed)} --shared") from error


def live(world: World) -> Day:
    """Run a day; what goes wrong is told with the command that replays it."""
    try:
        return Day(world).run()
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error}\n\nreplay: {command(world.seed)}") from error


def block(number: int) -> list[int]:
    """One of the `BLOCKS` parts of all seeds."""
    return [FIRST + seed for seed in range(number, DAYS, BLOCKS)]


def live_all(seeds: list[int]) -> list[Day]:
    """Run the days of all *seeds*."""
    return [live(draw(seed)) for seed in seeds]
