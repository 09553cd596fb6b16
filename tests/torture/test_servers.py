"""Cancelled anywhere, what listens listens no more, and whoever had connected is told."""

from __future__ import annotations

import pytest

from tests.torture.plans import SEEDS
from tests.torture.reports import report, report_on_sockets
from tests.torture.scenes_server import SCENES
from tests.torture.trial import Scene


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_the_port_is_free(scene: Scene) -> None:
    """While it begins, while it serves, and while it ends."""
    for seed in range(SEEDS):
        assert report(scene, seed).places


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_the_port_is_free_on_real_sockets(scene: Scene) -> None:
    """The same where connections arrive by themselves; every file that was opened is closed."""
    assert report_on_sockets(scene).places
