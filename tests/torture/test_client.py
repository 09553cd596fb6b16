"""Cancelled anywhere and in every way, a client leaves no connection, no timer and no task behind."""

from __future__ import annotations

import pytest

from tests.torture import scenes_client, scenes_stream
from tests.torture.plans import SEEDS
from tests.torture.reports import report
from tests.torture.trial import Scene


@pytest.mark.parametrize("scene", scenes_client.SCENES + scenes_stream.SCENES, ids=lambda scene: scene.__name__)
def test_nothing_is_left(scene: Scene) -> None:
    """Whatever it waits for (key, turn, connection, head, body, the end of others), each call has its own end."""
    for seed in range(SEEDS):
        found = report(scene, seed)
        assert found.places
        assert found.runs > 2 * found.places
