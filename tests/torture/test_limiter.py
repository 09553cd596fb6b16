"""Cancelled anywhere and in every way, a call leaves the books of its limiter balanced and the others unharmed."""

from __future__ import annotations

import pytest

from tests.torture import scenes_limiter, scenes_rows
from tests.torture.plans import SEEDS
from tests.torture.reports import report
from tests.torture.trial import Scene


@pytest.mark.parametrize("scene", scenes_limiter.SCENES + scenes_rows.SCENES, ids=lambda scene: scene.__name__)
def test_the_books_balance(scene: Scene) -> None:
    """Asleep, woken, twice, in a scope of asyncio's: the cancellation comes out, and nothing is left of the call."""
    for seed in range(SEEDS):
        found = report(scene, seed)
        assert found.places
        assert found.runs > 2 * found.places
