"""Whoever leaves a proxy, at whatever moment, leaves no place, no connection and no task behind; nor does its end."""

from __future__ import annotations

import pytest

from tests.torture.plans import SEEDS
from tests.torture.reports import report, report_on_sockets
from tests.torture.scenes_proxy import SCENES, SERVED
from tests.torture.trial import Scene


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_nothing_is_left(scene: Scene) -> None:
    """
    Of a call in the queue, on its way, with its head or half of its answer; of a proxy that begins, serves or ends.
    """
    for seed in range(SEEDS):
        assert report(scene, seed).places


@pytest.mark.parametrize("scene", SERVED, ids=lambda scene: scene.__name__)
def test_nothing_is_left_on_real_sockets(scene: Scene) -> None:
    """The same where connections arrive by themselves; every file that was opened is closed."""
    assert report_on_sockets(scene).places
