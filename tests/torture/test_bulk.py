"""Cancelled anywhere, a job has lost no row, and goes on."""

from __future__ import annotations

import pytest

from tests.torture.plans import SEEDS
from tests.torture.reports import report
from tests.torture.scenes_bulk import SCENES
from tests.torture.trial import Scene


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_the_same_command_does_the_rest(scene: Scene) -> None:
    """What was answered is written once and whole; nothing runs on; what had its line is not sent again."""
    for seed in range(SEEDS):
        assert report(scene, seed).places
