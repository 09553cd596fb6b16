"""
The pages of a run: its metrics, and what it does at present.

Law of this file: nothing listens and nothing is loaded unless ``--metrics`` asks.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Final

from ..bulk.engines.local import LocalEngine
from ..bulk.job import Job
from .view import Watch
from .voice import Voice

if TYPE_CHECKING:
    from ..adapters.prometheus import MetricsPage

_STATES: Final = ("pending", "running", "done", "failed")


@contextlib.asynccontextmanager
async def page(address: str | None, job: Job, name: str, voice: Voice) -> AsyncIterator[None]:
    """
    Serve what *job* and its client know, while the block runs; of workers elsewhere the rows alone are shown.

    Args:
        address: [HOST:]PORT, or None for no page. A port that is taken is a warning.
        name: the label ``job``.
    """
    if address is None:
        yield
        return
    from prometheus_client import CollectorRegistry

    from ..adapters.prometheus import MetricsPage, gauge, progress, watch

    registry = CollectorRegistry()
    if isinstance(job.engine, LocalEngine):
        watch(job.engine.client, registry)
    for state in _STATES:
        gauge("bulk_rows", {"job": name, "state": state}, partial(rows, job, state), registry)
    gauge("bulk_last_progress_timestamp_seconds", {"job": name}, lambda: job.progressed_s, registry)
    looking = Watch(job)
    progress(name, lambda: looking.look().facts(), registry)
    async with MetricsPage(address, registry) as shown:
        say(shown, voice)
        yield


def say(shown: MetricsPage, voice: Voice) -> None:
    """Where they are."""
    if shown.url is not None:
        voice.say(f"metrics on {shown.url}")
        voice.say(f"watch it on {shown.live_url}")


def rows(job: Job, state: str) -> float:
    """Rows of a job in one state."""
    # A task may have written its row and not have left yet.
    left = (job.total or job.walk.rows) - job.finished
    if state == "running":
        return max(0, min(len(job.lanes.tasks), left))
    if state == "done":
        return job.tally.ok + job.walk.done_before
    if state == "failed":
        return job.tally.failed + job.walk.failed_before
    return max(0, left - len(job.lanes.tasks))
