"""
A bulk job over connections in memory.

Whenever it is cancelled, what was answered is written, whole and once; nothing of it runs
on; and the same command does the rest, sending again at most what was out.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from ratelimit_client import Client, RetryPolicy, per_day
from ratelimit_client.bulk.disk import Disk
from ratelimit_client.bulk.engines.local import LocalEngine
from ratelimit_client.bulk.job import Bounds, Job
from ratelimit_client.bulk.manifest import Manifest
from ratelimit_client.bulk.output import open_output
from ratelimit_client.bulk.source import Source
from ratelimit_client.bulk.stops import Stop, Why
from ratelimit_client.bulk.walk import Walk
from tests.adapters.aiohttp.rawserver import answer
from tests.jobs import lines, row, write
from tests.runtime.torture import at_rest
from tests.torture.echo import BAD, NO_ANSWER, REFUSED, Echo, Fate
from tests.torture.scenes_client import KEYS, far_away
from tests.torture.trial import HOUR_S, Scene, Stage

NO_SUCH_MODEL: Fate = [0.1, answer(b'{"error":{"code":"model_not_found"}}', status="404 X")]
"""A model that nobody has: the run looks whether there are others."""


MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where files are kept, if there is such a place: what is tried here is not the disk."""


class NoSync(Disk):
    """The disk of this machine, which is not waited for."""

    def sync(self, fd: int) -> None:
        """Nothing."""


def job_of(folder: Path, url: str, stage: Stage, bounds: Bounds) -> Job:
    source = Source.open(str(folder / "in"))
    client = Client(url, api_key=KEYS[0], quotas=per_day(requests=1000), max_in_flight=2, retry=RetryPolicy.bulk())
    output = open_output(str(folder / "out"), source, Manifest(input="in", base_url="u"), disk=NoSync())
    return Job(
        source,
        output,
        LocalEngine(client),
        Walk(output.ledger.table, glances=output.ledger.resumes),
        bounds=bounds,
        monotonic_ns=stage.loop.clock.monotonic_ns,
        wall_s=lambda: stage.loop.clock.wall_ns() / 1e9,
        rows_expected=source.count(),
    )


async def close(job: Job) -> None:
    job.close_output()
    job.source.close()
    await job.engine.client.close()


def rows(count: int, model: str = "gpt-4o") -> list[dict[str, Any]]:
    """Rows whose answers tell whose they are."""
    return [row(f"{model}-{number}", model=model) | {"url": f"/v1/{model}-{number}"} for number in range(count)]


def ended(folder: Path) -> set[tuple[str, int | None]]:
    """Names of the rows that have their line, each of them whole, alone and its own."""
    answered, failed = lines(folder / "out"), lines(folder / "out.errors.jsonl")
    assert [line["response"]["body"] for line in answered] == [{"name": line["custom_id"]} for line in answered]
    names = [(line["custom_id"] or "", (line["error"] or {}).get("line")) for line in answered + failed]
    assert len(names) == len(set(names))
    return set(names)


def job(
    name: str,
    *given: dict[str, Any] | str,
    fates: dict[str, list[Fate]] | None = None,
    bounds: Bounds | None = None,
    stop_after_s: float | None = None,
    deadline_s: float | None = None,
    goes_on: bool = True,
    tail: bytes = b"",
) -> Scene:
    """
    A scene: the job of some rows, and then the same command again until it is done.

    Args:
        fates: what requests go through, by the name of their row.
        deadline_s: of each row; with one, rows are parked early.
        tail: of a line that is not finished.
        goes_on: the rest is done; else it is left.
    """
    in_all = len(given) + bool(tail)

    @far_away
    async def scene(stage: Stage) -> None:
        with tempfile.TemporaryDirectory(dir=MEMORY) as made:
            folder = Path(made)
            write(folder / "in", *given)
            if tail:
                (folder / "in").write_bytes((folder / "in").read_bytes() + tail)
            async with Echo(**(fates or {})) as server:
                job = job_of(folder, server.url, stage, bounds or Bounds())
                job.engine.deadline_s = deadline_s
                if stop_after_s is not None:
                    stage.loop.call_later(stop_after_s, job.end, Stop(Why.SIGTERM, "enough"))
                await stage.torture(job.run())
                assert not job.lanes.tasks
                at_rest(job.engine.client.limiter)
                await close(job)
                before, sent = ended(folder), server.begun.copy()
                for _ in range(3 if goes_on else 0):
                    if len(ended(folder)) < in_all:
                        job = job_of(folder, server.url, stage, Bounds())
                        async with asyncio.timeout(HOUR_S):
                            await job.run()
                        await close(job)
                assert len(ended(folder)) == in_all or not goes_on
                assert all(server.begun[row] == sent[row] for row, _ in before), "what had its line was not sent again"
                await asyncio.sleep(0.5)  # so long the server writes on

    scene.__name__ = f"job-{name}"
    return scene


SCENES: tuple[Scene, ...] = (
    job("small", *rows(4), "no row", *rows(2, "other"), *rows(2), tail=b'{"custom_id": "half'),
    job("refused", *rows(3), fates={"gpt-4o-0": [REFUSED], "gpt-4o-2": [NO_ANSWER, BAD]}),
    job("parked", *rows(6), deadline_s=HOUR_S),
    job("stopped", *rows(5), stop_after_s=0.5, bounds=Bounds(grace_s=0.1)),
    job("gently-stopped", *rows(5), bounds=Bounds(max_rows=2)),
    job("model-unknown", *rows(2, "none"), *rows(3), fates={"none-0": [NO_SUCH_MODEL], "none-1": [NO_SUCH_MODEL]}),
    job("looking-on", *rows(10, "none"), fates={"none-0": [NO_SUCH_MODEL]}, goes_on=False),
)
