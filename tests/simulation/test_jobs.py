"""Bulk jobs over several lives: nothing is lost, nothing is moved, and hardly anything is paid for twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation import jobs
from tests.simulation.days import FIRST
from tests.sizes import SCALE

BLOCKS = 10
JOBS = 40 * SCALE


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_job_is_whole_whatever_ended_its_lives(block: int, tmp_path: Path) -> None:
    """Killed, unplugged or stopped at any instant, under servers and wires at their worst (I17, I18, I19)."""
    for number in range(block, JOBS, BLOCKS):
        seed = FIRST + number
        folder = tmp_path / str(seed)
        folder.mkdir()
        try:
            jobs.Telling(jobs.draw(seed), folder).tell()
        except Exception as error:
            command = f"python -m tests.simulation --job --seed {seed}"
            raise AssertionError(f"{type(error).__name__}: {error}\n\nreplay: {command}") from error


def test_a_job_that_forgets_a_row_is_found_out(tmp_path: Path) -> None:
    """An output that lost a line, or has one twice, is not whole."""
    telling = jobs.Telling(jobs.draw(FIRST), tmp_path)
    telling.tell()
    text = telling.out.read_bytes()
    first, _, rest = text.partition(b"\n")
    for spoilt in (rest, text + first + b"\n"):
        telling.out.write_bytes(spoilt)
        with pytest.raises(AssertionError, match="missing"):
            telling.judge()
