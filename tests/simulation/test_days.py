"""Whole days, each drawn from its seed, under the eyes of every checker."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.days import BLOCKS, block, live, live_all, regressions
from tests.simulation.drawing import draw


@pytest.mark.parametrize("number", range(BLOCKS))
def test_whatever_happens_no_invariant_breaks(number: int) -> None:
    """Servers, limiters, wires, clocks and callers at their worst; and the calls do end in every way there is."""
    ends: Counter[str] = Counter()
    for day in live_all(block(number)):
        ends.update(record.how for record in day.records.values())
    assert ends["answered"] > ends.total() // 4


def test_what_was_found_once_stays_found() -> None:
    """Each of these days has shown a mistake of the library or of the simulator."""
    for seed in regressions():
        live(draw(seed))
