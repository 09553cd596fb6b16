"""Whatever is killed and torn, the same command finishes the job."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from tests.acceptance.kill import rounds
from tests.sizes import SCALE

# A few under `make test`; five hundred in CI and at night, in parts that can be spread over processes.
KILLS = 6 if SCALE == 1 else 50
PARTS = 1 if SCALE == 1 else 10


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_moment_it_loses_and_repeats_nothing(part: int, tmp_path: Path) -> None:
    """
    kill -9 at random, tails cut and zeroed: every row has one whole line at the end, no row whose line survived is
    sent again, and of the others only those that were out at a kill or stood in a torn tail.
    """
    figures = rounds(KILLS, seed=20_240_611 + part, folder=tmp_path)

    assert figures.kills >= KILLS
    assert figures.cut
    assert figures.zeroed
    assert figures.wrong == {}, attrs.asdict(figures)
