"""
pytest fixtures for tests of programs that are limited.

    pytest_plugins = ["ratelimit_client.testing.fixtures"]      # in conftest.py

    def test_the_job_ends(served_model):
        url = served_model(per_minute(requests=300))            # a str, in a process of its own
        ...
        assert url.stats()["refusals"] == 0

    def test_it_takes_an_hour(virtual):
        result, loop = virtual(main)                            # main is an async function
        assert loop.elapsed_s == 3600.0
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .clock import ManualClock
from .loop import VirtualLoop, run_virtual
from .model_server import Limits, ModelServer
from .serve import RemoteURL, serve_in_process


@pytest.fixture
def manual_clock() -> ManualClock:
    """A clock that stands still until it is told to move."""
    return ManualClock()


@pytest.fixture
def model_server() -> Callable[..., ModelServer]:
    """Makes a pure model server: ``model_server(per_minute(requests=3), latency=0.5)``."""
    return ModelServer


@pytest.fixture
def served_model() -> Iterator[Callable[..., RemoteURL]]:
    """Starts a model server in a process of its own and gives its base URL; it ends with the test."""
    with contextlib.ExitStack() as stack:

        def start(limits: Limits = None, **options: Any) -> RemoteURL:
            return stack.enter_context(serve_in_process(limits, **options))

        yield start


@pytest.fixture
def virtual() -> Callable[..., tuple[Any, VirtualLoop]]:
    """Runs an async function on a virtual loop: ``result, loop = virtual(main, seed=7)``."""
    return run_virtual
