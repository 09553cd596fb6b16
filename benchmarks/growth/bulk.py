"""
What a job of many rows costs in memory, and how long a resume takes to begin.

    python benchmarks/growth/bulk.py [rows|ids|resume]... [--rows N] [--ids N]

Law of this file: every figure is of a process of its own, which says itself what its
largest resident set was (VmHWM: reset by exec, so nothing of the parent is in it).

``rows``: a whole run, with an engine that answers at once in place of the client, so
that the journal, the walk, the lanes and the ledger are what is measured. ``ids``: the
table of names alone, grown name by name (the worst case) and made for what is coming.
``resume``: the program, started on an output in which every row is done.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ratelimit_client.adapters.aiohttp.client import Client
from ratelimit_client.adapters.aiohttp.reply import Reply
from ratelimit_client.bulk.engines.local import LocalEngine
from ratelimit_client.bulk.fingerprints import Fingerprints, State
from ratelimit_client.bulk.job import Bounds, Job
from ratelimit_client.bulk.jsonl import Line
from ratelimit_client.bulk.lines import answer_line
from ratelimit_client.bulk.manifest import Manifest
from ratelimit_client.bulk.output import open_output
from ratelimit_client.bulk.row import Row, read_row
from ratelimit_client.bulk.source import Source
from ratelimit_client.bulk.walk import Walk
from ratelimit_client.core.retry import RetryPolicy
from ratelimit_client.runtime.desk import Told

URL: Final = "http://127.0.0.1:1/v1"
ROWS: Final = 1_000_000
IDS: Final = 10_000_000
POINT_S: Final = 3600.0
"""At most, for one process."""
_BATCH: Final = 1000

ANSWER: Final = json.dumps(
    {
        "id": "chatcmpl-9f2k3",
        "object": "chat.completion",
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "An answer that says something. " * 6},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 30, "completion_tokens": 60, "total_tokens": 90},
    }
).encode()


def memory_mb(name: str = "VmHWM", of: int | str = "self") -> float:
    """A figure of /proc/PID/status in MB (1 000 000 bytes); zero when the process is gone."""
    try:
        with open(f"/proc/{of}/status", encoding="ascii") as file:
            found = [line for line in file if line.startswith(name + ":")]
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return int(found[0].split()[1]) * 1024 / 1e6 if found else 0.0


def write_rows(path: Path, count: int) -> None:
    """An input of so many rows of about 280 bytes."""
    with path.open("wb") as file:
        for number in range(count):
            file.write(_row_text(number) + b"\n")


def write_answers(path: Path, count: int) -> None:
    """The output of a job in which all of them are answered."""
    with path.open("wb") as file:
        for number in range(count):
            row = read_row(Line(number + 1, 0, _row_text(number)))
            assert isinstance(row, Row)
            file.write(answer_line(row, 200, f"req_{number:x}", ANSWER, is_json=True))


def _row_text(number: int) -> bytes:
    text = f"Translate sentence {number} into French, please: " + "word " * 20
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
    row = {"custom_id": f"row-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(row).encode()


# ---- in the child ------------------------------------------------------------------------------


class AtOnce(LocalEngine):
    """Answers in the next turn of the loop."""

    async def call(self, row: Row) -> Reply:
        await asyncio.sleep(0)
        told = Told(200, {}, None, 0)
        data = {"model": row.model}
        return Reply(status=200, headers={}, content=ANSWER, data=data, told=told, attempts=1, queue_s=0.0)


def run_rows(count: int) -> dict[str, Any]:
    """A whole run; the resident set after each tenth of it, and the largest."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_rows(place / "in", count)
        return asyncio.run(_run_rows(place, count))


async def _run_rows(place: Path, count: int) -> dict[str, Any]:
    source = Source.open(str(place / "in"))
    client = Client(URL, retry=RetryPolicy.bulk())
    output = open_output(str(place / "out"), source, Manifest(input="in", base_url=URL))
    job = Job(
        source,
        output,
        AtOnce(client),
        Walk(output.ledger.table),
        bounds=Bounds(),
        monotonic_ns=time.monotonic_ns,
        wall_s=time.time,
        rows_expected=source.count(),
    )
    tenths: list[float] = []
    watching = asyncio.create_task(_watch(job, count, tenths))
    began, began_cpu_s = time.perf_counter(), time.process_time()
    await job.run()
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu_s
    watching.cancel()
    output.close()
    source.close()
    await client.close()
    assert job.tally.ok == count
    return {
        "rows": count,
        "seconds": round(seconds, 1),
        "cpu_s": round(cpu_s, 1),
        "largest_mb": round(memory_mb(), 1),
        "after_each_tenth_mb": tenths,
        "table_mb": round(output.ledger.table.nbytes / 1e6, 1),
    }


async def _watch(job: Job, count: int, tenths: list[float]) -> None:
    while True:
        while job.tally.ok >= (len(tenths) + 1) * count // 10:
            tenths.append(round(memory_mb("VmRSS"), 1))
        await asyncio.sleep(0.05)


def fill_ids(count: int, *, expected: bool) -> dict[str, Any]:
    """So many names in the table."""
    table = Fingerprints()
    if expected:
        table.expect(count)
    began = time.perf_counter()
    for _ in range(count // _BATCH):
        marks = array("Q", os.urandom(8 * _BATCH))
        table.record_all(marks, [mark & 0xFFFFF for mark in marks], State.DONE)
    seconds = time.perf_counter() - began
    return {
        "ids": len(table),
        "seconds": round(seconds, 1),
        "largest_mb": round(memory_mb(), 1),
        "bytes_an_id": round(table.nbytes / len(table), 1),
    }


def ids_grown(count: int) -> dict[str, Any]:
    """Nobody said how many come."""
    return fill_ids(count, expected=False)


def ids_expected(count: int) -> dict[str, Any]:
    """Room was made before."""
    return fill_ids(count, expected=True)


CHILDREN: Final[dict[str, Callable[[int], dict[str, Any]]]] = {
    "rows": run_rows,
    "ids_grown": ids_grown,
    "ids_expected": ids_expected,
}


# ---- in the parent -----------------------------------------------------------------------------


def measured(name: str, count: int) -> dict[str, Any]:
    """The figures that a child gives."""
    words = [sys.executable, __file__, "--child", name, "--rows", str(count)]
    done = subprocess.run(words, capture_output=True, check=True, timeout=POINT_S)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def resumed(count: int) -> dict[str, Any]:
    """The program on a finished job, the first time and once it knows that no row was edited."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_rows(place / "in", count)
        write_answers(place / "out", count)
        manifest = {"version": 1, "input": str(place / "in"), "base_url": URL, "query": {}}
        (place / "out.job.json").write_text(json.dumps(manifest))
        sizes = {name: round((place / name).stat().st_size / 1e6) for name in ("in", "out")}
        first, again = _resume(place), _resume(place)
    return {"rows": count, "mb": sizes, "first": first, "again": again}


def _resume(place: Path) -> dict[str, float]:
    words = [sys.executable, "-m", "ratelimit_client", "run", place / "in", "-o", place / "out", "--progress", "none"]
    largest = 0.0
    began, used_s = time.perf_counter(), _cpu_of_children_s()
    process = subprocess.Popen(
        [*map(str, words), "--base-url", URL, "--summary-file", str(place / "summary")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None:
        largest = max(largest, memory_mb(of=process.pid))
        time.sleep(0.02)
        if time.perf_counter() - began > POINT_S:
            process.kill()
            raise subprocess.TimeoutExpired([*map(str, words)], POINT_S)
    seconds = time.perf_counter() - began
    assert process.returncode == 0, process.returncode
    facts = json.loads((place / "summary").read_text())
    assert facts["skipped"] == facts["rows"]
    assert facts["calls"] == 0
    return {
        "seconds": round(seconds, 1),
        "cpu_s": round(_cpu_of_children_s() - used_s, 1),
        "largest_mb": round(largest, 1),
    }


def _cpu_of_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure what was asked for; JSON on stdout."""
    parser = argparse.ArgumentParser(prog="benchmarks/growth/bulk.py", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], "rows", "ids", "resume"], default=[])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--ids", type=int, default=IDS)
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(CHILDREN[asked.child](asked.rows)))
        return
    parts = asked.parts or ["rows", "ids", "resume"]
    found: dict[str, Any] = {}
    if "rows" in parts:
        found["rows"] = measured("rows", asked.rows)
    if "ids" in parts:
        found["ids_grown"] = measured("ids_grown", asked.ids)
        found["ids_expected"] = measured("ids_expected", asked.ids)
    if "resume" in parts:
        found["resume"] = resumed(asked.rows)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
