"""One of several processes that make the calls of a job."""

from __future__ import annotations

import asyncio
import logging

import pytest

from ratelimit_client.bulk.engines.recipe import Recipe
from ratelimit_client.bulk.engines.worker import Worker
from tests import canary


def test_asked_twice_at_once_it_gets_ready_once(caplog: pytest.LogCaptureFixture) -> None:
    """
    Whoever did not hear of the first time asks again while the store is still looked for: there is one engine.
    """
    recipe = Recipe(base_url="http://127.0.0.1:9/v1", store="redis://127.0.0.1:9")

    async def story() -> None:
        worker = Worker()
        first, second = await asyncio.gather(*(worker.open(recipe, canary.KEY) for _ in range(2)))
        assert first == second == await worker.open(recipe, canary.KEY)
        await worker.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(story())
    assert len([record for record in caplog.records if "goes on with its part" in record.getMessage()]) == 1
