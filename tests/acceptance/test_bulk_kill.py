"""Whatever is killed and torn, the same command finishes the job."""

from __future__ import annotations

from pathlib import Path

import attrs

from tests.acceptance.kill import rounds
from tests.sizes import SCALE

# Under `make test` a few; fifty in CI; the night makes the five hundred of the goal.
KILLS = min(500, 6 * SCALE)


def test_killed_at_any_moment_it_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """
    kill -9 at random, tails cut and zeroed: every row has one whole line at the end, no row whose line survived is
    sent again, and of the others only those that were out at a kill or stood in a torn tail.
    """
    figures = rounds(KILLS, seed=20_240_611, folder=tmp_path)

    assert figures.kills >= KILLS
    assert figures.cut
    assert figures.zeroed
    assert figures.wrong == {}, attrs.asdict(figures)
