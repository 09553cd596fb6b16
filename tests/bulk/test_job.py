"""The run, looked at from inside while it goes on."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from ratelimit_client.adapters.aiohttp.client import Client
from ratelimit_client.adapters.aiohttp.reply import Reply
from ratelimit_client.bulk.engines.local import LocalEngine
from ratelimit_client.bulk.job import Bounds, Job
from ratelimit_client.bulk.manifest import Manifest
from ratelimit_client.bulk.output import open_output
from ratelimit_client.bulk.row import Row
from ratelimit_client.bulk.source import Source
from ratelimit_client.bulk.stops import Stop, Why
from ratelimit_client.bulk.summary import summarise
from ratelimit_client.bulk.walk import Walk
from ratelimit_client.cli.metrics import rows as rows_in
from ratelimit_client.cli.view import View, Watch
from ratelimit_client.core.quota import Quota
from ratelimit_client.core.retry import RetryPolicy
from ratelimit_client.testing import run_virtual, serve_model
from tests.jobs import KEY, lines, row, rows, serving, write


def job_of(
    folder: Path,
    *,
    bounds: Bounds | None = None,
    base_url: str | None = None,
    engine: type[LocalEngine] = LocalEngine,
    **options: Any,
) -> Job:
    source = Source.open(str(folder / "in"))
    client = Client(base_url, retry=RetryPolicy.bulk(), **options)
    output = open_output(str(folder / "out"), source, Manifest(input="in", base_url="u"))
    return Job(
        source,
        output,
        engine(client),
        Walk(output.ledger.table, glances=output.ledger.resumes),
        bounds=bounds or Bounds(),
        monotonic_ns=time.monotonic_ns,
        wall_s=time.time,
        rows_expected=source.count(),
    )


async def close(job: Job) -> None:
    job.output.close()
    job.source.close()
    await job.engine.client.close()


async def until(job: Job, true: Callable[[View], bool], *, within_s: float = 10.0) -> View:
    """The first view that is as it should be."""
    async with asyncio.timeout(within_s):
        while not true(view := Watch(job).look()):  # noqa: ASYNC110  # nothing tells when a view changes
            await asyncio.sleep(0.01)
    return view


def test_a_view_tells_how_it_goes(tmp_path: Path) -> None:
    """
    Before the first answer little is known; then the limit, its share, and how long the rest takes.
    """
    write(tmp_path / "in", *rows(80))

    async def watch() -> None:
        job = job_of(tmp_path)
        before = Watch(job).look()
        assert (before.total, before.done, before.limit, before.eta_s) == (80, 0, None, None)
        running = asyncio.create_task(job.run())
        view = await until(job, lambda view: view.done > 10)
        await asyncio.sleep(1.1)
        view = Watch(job).look()
        assert view.limit == "60 requests/minute"
        assert view.share is not None
        assert 0 < view.share <= 1
        assert view.queued > 0
        assert sum(rows_in(job, state) for state in ("pending", "running", "done", "failed")) == 80
        job.end(Stop(Why.SIGTERM, "enough"))
        assert Watch(job).look().state.startswith("stopping: ")
        await running
        view = Watch(job).look()
        assert (view.state, view.eta_s, view.in_flight) == ("ended", None, 0)
        await close(job)

    with serving("60 requests/min", latency=0.2):
        asyncio.run(watch())


def test_an_outage_is_told(tmp_path: Path) -> None:
    """
    In words, with the time it has taken; no row is touched.
    """
    write(tmp_path / "in", *rows(30))

    async def watch() -> None:
        job = job_of(tmp_path, bounds=Bounds(grace_s=0.0), base_url="http://127.0.0.1:9/v1")
        running = asyncio.create_task(job.run())
        await until(job, lambda view: view.state.startswith("no answer from the server for"))
        job.end(Stop(Why.SIGTERM, "enough"))
        await running
        await close(job)

    asyncio.run(watch())
    assert lines(tmp_path / "out") == lines(tmp_path / "out.errors.jsonl") == []


@pytest.mark.parametrize(("window_s", "ends"), [(30 * 86_400.0, True), (3600.0, False)])
def test_a_limit_that_is_used_up_for_hours_ends_the_run(tmp_path: Path, window_s: float, ends: bool) -> None:
    """
    Ten a month: a tenth of a row is kept back, and the tenth row could go in seven hours, which is no wait for a
    program. Ten an hour: half a minute is.
    """
    write(tmp_path / "in", *rows(13))

    async def run() -> None:
        bounds = Bounds(max_time_s=None if ends else 2.5)
        job = job_of(tmp_path, quotas=Quota("requests", 10, window_s), bounds=bounds)
        await job.run()
        summary = summarise(job, ["ratelimit-client", "run"])
        assert job.stop is not None
        assert (job.stop.why, summary.exit_code) == (Why.LONG_WAIT if ends else Why.MAX_TIME, 75)
        if ends:
            assert job.stop.sentence.startswith("no row can go for 7 h 11 min: waits ")
            assert "requests hold 1 of 10" in job.stop.sentence
        await close(job)

    with serving():
        asyncio.run(run())
    assert len(lines(tmp_path / "out")) == 9
    assert lines(tmp_path / "out.errors.jsonl") == []


def test_cancelled_it_leaves_rows_to_be_done(tmp_path: Path) -> None:
    """
    No task goes on behind it, and what was answered is written.
    """
    write(tmp_path / "in", *rows(40))

    async def cancel() -> None:
        job = job_of(tmp_path)
        running = asyncio.create_task(job.run())
        await until(job, lambda view: view.in_flight > 0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not job.lanes.tasks
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await close(job)

    with serving(latency=30.0):
        asyncio.run(cancel())
    assert lines(tmp_path / "out") == []


def test_a_bug_in_a_row_ends_the_run_and_shows(tmp_path: Path) -> None:
    """
    It is not taken for a failed row.
    """
    write(tmp_path / "in", *rows(10))

    class Broken(LocalEngine):
        async def call(self, row: Any) -> Any:
            raise ZeroDivisionError("a bug")

    async def run() -> None:
        job = job_of(tmp_path, engine=Broken)
        with pytest.raises(ZeroDivisionError):
            await job.run()
        await close(job)

    with serving():
        asyncio.run(run())
    assert lines(tmp_path / "out.errors.jsonl") == []


def test_of_two_stops_the_first_counts(tmp_path: Path) -> None:
    """
    And a stop after the end changes nothing.
    """
    write(tmp_path / "in", *rows(3))

    async def run() -> None:
        job = job_of(tmp_path)
        await job.run()
        job.end(Stop(Why.SIGINT, "late"))
        job.end(Stop(Why.FATAL, "later"))
        summary = summarise(job, ["ratelimit-client", "run"])
        assert job.stop is not None
        assert (job.stop.why, summary.exit_code) == (Why.SIGINT, 0)
        await close(job)

    with serving():
        asyncio.run(run())


def test_a_changed_snapshot_is_told_in_the_summary(tmp_path: Path) -> None:
    """
    When, at which row, and what to do about it.
    """
    write(tmp_path / "in", *rows(40))

    async def run() -> list[str]:
        job = job_of(tmp_path, max_in_flight=4)
        await job.run()
        await close(job)
        return list(summarise(job, ["ratelimit-client", "run"]).lines)

    with serving("6000 requests/min", latency=0.2, snapshots={"gpt-4o-mini": [(0.0, "m-1"), (1.0, "m-2")]}):
        said = "\n".join(asyncio.run(run()))
    assert "gpt-4o-mini answered as m-1 (" in said
    assert "changed to m-2 at 20" in said
    assert "pinned snapshot" in said


def test_large_rows_and_answers_go_through(tmp_path: Path) -> None:
    """
    A body of two megabytes.
    """
    write(tmp_path / "in", row("big", "x" * (2 << 20)), row("small"))

    async def run() -> None:
        job = job_of(tmp_path)
        await job.run()
        await close(job)

    with serving():
        asyncio.run(run())
    assert len(lines(tmp_path / "out")) == 2
    assert os.path.getsize(tmp_path / "out") > 0


class Impatient(LocalEngine):
    """Has the run cancelled by the end of its second row."""

    running: asyncio.Task[None]

    def call(self, row: Row) -> Coroutine[Any, Any, Reply]:
        async def ended() -> Reply:
            try:
                return await LocalEngine.call(self, row)
            finally:
                if row.custom_id == "row-1":
                    self.running.cancel()

        return ended()


def test_cancelled_as_a_row_ends_it_begins_no_other(tmp_path: Path) -> None:
    """
    An ending makes room, and rows are parked; but the run is over.
    """
    write(tmp_path / "in", *rows(12))

    async def run() -> None:
        async with serve_model(latency=0.1) as url:
            job = job_of(tmp_path, base_url=str(url), engine=Impatient, api_key=KEY, max_in_flight=2)
            engine = job.engine
            assert isinstance(engine, Impatient)
            engine.deadline_s = 100.0  # with one, rows are parked early
            engine.running = asyncio.create_task(job.run())
            await asyncio.wait([engine.running])
            assert engine.running.cancelled()
            assert not job.lanes.tasks
            assert job.ended_ns is not None
            await close(job)

    run_virtual(run)
    assert sorted(line["custom_id"] for line in lines(tmp_path / "out")) == ["row-0", "row-1"]


def test_cancelled_it_does_not_look_on(tmp_path: Path) -> None:
    """
    Nobody has the model, and the run looks through a long input whether another one is asked for; then it is cancelled.
    """
    write(tmp_path / "in", *rows(2000))

    async def run() -> None:
        async with serve_model(models=["another"]) as url:
            job = job_of(tmp_path, base_url=str(url), engine=Impatient, api_key=KEY)
            engine = job.engine
            assert isinstance(engine, Impatient)
            engine.running = asyncio.create_task(job.run())
            await asyncio.wait([engine.running])
            assert engine.running.cancelled()
            (looking,) = job._unknown.looking()
            assert looking.cancelled()
            await close(job)

    run_virtual(run)
