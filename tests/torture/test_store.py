"""Cancelled anywhere and in every way, a call of a shared budget costs it what was sent and holds nothing of it."""

from __future__ import annotations

import pytest

from tests.torture import scenes_store
from tests.torture.plans import SEEDS, torture
from tests.torture.trial import Scene


@pytest.mark.parametrize("scene", scenes_store.SCENES, ids=lambda scene: scene.__name__)
def test_the_store_has_what_was_not_sent(scene: Scene) -> None:
    """Asleep, woken, twice, in a scope of asyncio's: the cancellation comes out, and all leases are given back."""
    for seed in range(SEEDS):
        report = torture(scene, seed)
        assert report.places
        assert report.runs > 2 * report.places
