"""Cancelled anywhere and in every way, a realtime session leaves no socket, no place and no task behind."""

from __future__ import annotations

import pytest

from tests.torture.plans import SEEDS
from tests.torture.reports import report
from tests.torture.scenes_realtime import SCENES
from tests.torture.trial import Scene


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_nothing_is_left(scene: Scene) -> None:
    """Handshake, turn, room to write, event, goodbye: whatever it waits for, it can be cancelled there, twice."""
    for seed in range(SEEDS):
        found = report(scene, seed)
        assert found.places
        assert found.runs > 2 * found.places
