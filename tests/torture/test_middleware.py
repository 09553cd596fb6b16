"""Cancelled anywhere and in every way, a session under the limiter leaves no place and no connection behind."""

from __future__ import annotations

import pytest

from tests.torture.plans import SEEDS
from tests.torture.reports import report
from tests.torture.scenes_middleware import SCENES
from tests.torture.trial import Scene


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_nothing_is_left(scene: Scene) -> None:
    """Turn, connection, head, error, body: whatever it waits for, it can be cancelled there, twice."""
    for seed in range(SEEDS):
        found = report(scene, seed)
        assert found.places
        assert found.runs > 2 * found.places
