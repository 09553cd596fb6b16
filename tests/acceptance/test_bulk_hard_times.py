"""What happens to a process in a long night, each with its outcome."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import attrs
import pytest

from ratelimit_client import Client, RetryPolicy
from ratelimit_client.bulk.engines.local import LocalEngine
from ratelimit_client.bulk.job import Bounds, Job
from ratelimit_client.bulk.manifest import Manifest
from ratelimit_client.bulk.output import open_output
from ratelimit_client.bulk.source import Source
from ratelimit_client.bulk.walk import Walk
from ratelimit_client.core.units import to_ns
from ratelimit_client.testing import ModelServer, VirtualLoop, run_virtual, serve_model
from tests.jobs import lines, names, row, rows, run, serving, start, write


def everyone(count: int) -> list[str]:
    return sorted(f"row-{number}" for number in range(count))


def wait_for(path: Path, count: int, *, within_s: float = 20.0) -> None:
    """Until *path* holds so many lines."""
    end = time.monotonic() + within_s
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert time.monotonic() < end, f"{path} did not grow to {count} lines"
        time.sleep(0.01)


@attrs.define
class ThenSlow:
    """A latency: a few answers at once, all later ones after a minute."""

    quick: int

    def draw_ns(self, dice: random.Random) -> int:
        self.quick -= 1
        return to_ns(0.05 if self.quick >= 0 else 60.0)


def test_sigterm_with_slow_answers_keeps_what_is_ready(tmp_path: Path) -> None:
    """
    Answers that take a minute are not waited for beyond the grace; those that came are written, the rest is pending.
    """
    write(tmp_path / "in", *rows(9))
    with serving(latency=ThenSlow(3)) as server:
        process = start(tmp_path / "in", "-o", tmp_path / "out", "--grace", "1")
        wait_for(tmp_path / "out", 3)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 143, err
        assert 0.8 < time.monotonic() - began < 5
    assert len(names(tmp_path / "out")) == 3
    assert not lines(tmp_path / "out.errors.jsonl")
    assert err.count(b"ratelimit-client run ") == 2
    assert 3 < server.tally.calls <= 9


def test_stopped_and_continued_it_goes_on(tmp_path: Path) -> None:
    """
    SIGSTOP for a while, SIGCONT: no row fails, none is sent twice.
    """
    write(tmp_path / "in", *rows(60))
    with serving(latency=0.1) as server:
        process = start(tmp_path / "in", "-o", tmp_path / "out", "--max-in-flight", "8")
        for count in (5, 30):
            wait_for(tmp_path / "out", count)
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.4)
            process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert sorted(names(tmp_path / "out")) == everyone(60)
    assert server.tally.calls == 60


# The wall clock of this program jumps by a year, back and forth, five times a second.
STEPPING = """
import sys, time
wall, wall_ns, year_s = time.time, time.time_ns, 365 * 86400
def step(): return year_s * (int(time.monotonic() * 5) % 3 - 1)
time.time = lambda: wall() + step()
time.time_ns = lambda: wall_ns() + step() * 10**9
from ratelimit_client.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_steps_of_the_clock_change_nothing(tmp_path: Path) -> None:
    """
    Waits are measured, not dated: the limit is used as ever, and no row waits for a year to pass.
    """
    write(tmp_path / "in", *rows(40))
    with serving("1200 requests/min", latency=0.02) as server:
        words = ["run", tmp_path / "in", "-o", tmp_path / "out", "--limit", "20/s", "--progress", "none"]
        process = subprocess.run(
            [sys.executable, "-W", "error", "-c", STEPPING, *map(str, words)],
            capture_output=True,
            timeout=30,
            check=False,
        )
    assert process.returncode == 0, process.stderr
    assert b"Traceback" not in process.stderr
    assert sorted(names(tmp_path / "out")) == everyone(40)
    assert server.tally.refusals <= 3


# -- an input that is still written ------------------------------------------------------


def test_half_a_line_of_a_growing_input_is_waited_for(tmp_path: Path) -> None:
    """
    While rows are out its writer may finish it: then it is a row like others.
    """
    late = json.dumps(row("late")).encode() + b"\n"
    (tmp_path / "in").write_bytes(json.dumps(row("first")).encode() + b"\n" + late[:40])
    with serving(latency=1.0) as server:
        process = start(tmp_path / "in", "-o", tmp_path / "out")
        while not server.tally.calls:
            time.sleep(0.01)
        with (tmp_path / "in").open("ab") as file:
            file.write(late[40:] + json.dumps(row("later")).encode()[:30])
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert sorted(names(tmp_path / "out")) == ["first", "late"]
        assert b"line 3 is not finished: left for the next run" in err
        assert not (tmp_path / "out.errors.jsonl").exists()

        with (tmp_path / "in").open("ab") as file:
            file.write(json.dumps(row("later")).encode()[30:])
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 0
    assert sorted(names(tmp_path / "out")) == ["first", "late", "later"]
    assert server.tally.calls == 3


def test_half_a_line_that_nobody_finishes_is_an_error_and_then_a_row(tmp_path: Path) -> None:
    """
    In a file at rest it is no row; once somebody finishes it, it is one.
    """
    text = json.dumps(row("late"))
    (tmp_path / "in").write_text(json.dumps(row("first")) + "\n" + text[:40])
    with serving():
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 1
        [error] = [line["error"] for line in lines(tmp_path / "out.errors.jsonl")]
        assert (error["code"], error["line"]) == ("invalid_line", 2)
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 1
        assert len(lines(tmp_path / "out.errors.jsonl")) == 1

        (tmp_path / "in").write_text(json.dumps(row("first")) + "\n" + text)
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 0
    assert names(tmp_path / "out") == ["first", "late"]


def test_a_whole_row_without_a_newline_is_a_row(tmp_path: Path) -> None:
    """
    Nothing is waited for.
    """
    (tmp_path / "in").write_text("\n".join(json.dumps(one) for one in rows(3)))
    with serving():
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 0
    assert len(names(tmp_path / "out")) == 3


# -- a server that is away ---------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 7])
def test_ten_minutes_of_refused_connections_end_no_row(tmp_path: Path, seed: int) -> None:
    """
    The server goes away in the middle of the job and comes back: every row is answered, and what was sent in
    between is a handful of probes, no storm.
    """
    write(tmp_path / "in", *rows(200))
    server = ModelServer("600 requests/min", latency=0.5)

    async def night() -> tuple[Job, float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        url = "http://127.0.0.1:8080/v1"
        source = Source.open(str(tmp_path / "in"))
        output = open_output(str(tmp_path / "out"), source, Manifest(input="in", base_url=url))
        async with Client(url, api_key="k", retry=RetryPolicy.bulk(), max_in_flight=16) as client:
            job = Job(
                source,
                output,
                LocalEngine(client),
                Walk(output.ledger.table),
                bounds=Bounds(),
                monotonic_ns=loop.clock.monotonic_ns,
                wall_s=time.time,
            )
            running = asyncio.create_task(job.run())
            async with serve_model(server, port=8080):
                while job.tally.ok < 50:  # noqa: ASYNC110  # nothing tells, and the time costs nothing
                    await asyncio.sleep(0.1)
            await asyncio.sleep(600)
            assert not running.done()
            away = job.outage_s
            async with serve_model(server, port=8080):
                await running
        output.close()
        source.close()
        assert away is not None
        return job, away

    (job, away), _ = run_virtual(night, seed=seed)
    assert away > 500
    assert (job.tally.ok, job.tally.failed, job.rows_left) == (200, 0, False)
    assert sorted(names(tmp_path / "out")) == everyone(200)
    assert not lines(tmp_path / "out.errors.jsonl")
    assert server.tally.admitted <= 200 + 16
