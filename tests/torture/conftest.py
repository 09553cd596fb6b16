"""Processes of one run of tests tell each other what came of a scene."""

from __future__ import annotations

import os

import pytest

from tests.torture.reports import share


@pytest.fixture(scope="session", autouse=True)
def shared_reports(tmp_path_factory: pytest.TempPathFactory) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        share(tmp_path_factory.getbasetemp().parent)
