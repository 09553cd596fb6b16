"""
``run --engine ray`` beside Ray's own HTTP processor, one server, one run.

    python -m benchmarks ray                  # a part of ``make bench-full``: some twelve minutes

Ray Data and what it needs are installed in an environment of their own, as the peers of the race are.

Law of this file: time is the server's, from the first call to the last admitted one, so what starting Ray takes
is nobody's. The server holds 600 requests a minute, of which the first 600 may come at once; an answer takes a second.
With 900 rows no one can be done before 30 s and one answer. Rows that have no answer at the end, and calls
that were refused, are counted by the server as well.

Ray's processor is told its pace (``qps``, for each worker), since it reads no headers, and its cluster is told of 32
processors, so that none of its workers waits for one. Who is not done after five minutes is stopped.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from ratelimit_client.testing import ModelServer, serve_model

from .peers.envs import ready

ROWS, LIMIT, LATENCY_S = 900, "600 requests/min", 1.0
IDEAL_S = (ROWS - 600) / 10 + LATENCY_S
MOST_S = 300.0
_POLL_S = 0.02

PROCESSOR = """
import json, os, sys
import ray
from ray.data.llm import HttpRequestProcessorConfig, build_processor
concurrency, qps, retries = json.loads(sys.argv[1])
ray.init(num_cpus=32, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
config = HttpRequestProcessorConfig(url=os.environ["OPENAI_BASE_URL"] + "/chat/completions", qps=qps,
    headers={"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}, concurrency=concurrency, max_retries=retries)
processor = build_processor(config, preprocess=lambda row: {"payload": {"model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": f"row {row['id']}"}]}},
    postprocess=lambda row: {"id": row["http_response"]["id"]})
rows = ray.data.range(%d, override_num_blocks=8)
print("answers", len(processor(rows).take_all()))
"""


REQUIREMENTS: Final = Path(__file__).with_suffix(".txt")


@attrs.frozen
class Environment:
    """What both are installed in."""

    name: str = "ray-http"
    requirements: Path = REQUIREMENTS
    python: tuple[int, int] = (3, 11)


VERSIONS: Final = "from importlib.metadata import version; print(version('ray'), version('pydantic'))"


def entrants(python: str, folder: Path) -> dict[str, list[str]]:
    """Who runs, and by which command."""
    ours = [python, "-m", "ratelimit_client", "run", str(folder / "in.jsonl"), "--engine", "ray", "--progress", "none"]
    processor = [python, "-W", "ignore", "-c", PROCESSOR % ROWS]
    return {
        "ours, 2 workers": [*ours, "-o", str(folder / "two"), "--ray-workers", "2"],
        "ours, 2 workers, told the limit": [*ours, "-o", str(folder / "told"), "--ray-workers", "2", "--limit", LIMIT],
        "processor, 1 worker, qps 10": [*processor, "[1, 10, 5]"],
        "processor, 5 workers, qps 2": [*processor, "[5, 2, 5]"],
        "processor, 16 workers, no qps": [*processor, "[16, null, 5]"],
    }


async def measured(command: Sequence[str]) -> dict[str, Any]:
    """What one of them did, as the server saw it."""
    server = ModelServer(LIMIT, latency=LATENCY_S)
    async with serve_model(server) as url:
        environment = {**os.environ, "OPENAI_BASE_URL": str(url), "OPENAI_API_KEY": "nobody-looks-at-it"}
        environment |= {"RAY_ADDRESS": "local", "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": "src"}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe)
        saying = asyncio.create_task(process.communicate())
        began = ended = None
        loop = asyncio.get_running_loop()
        limit_s = loop.time() + MOST_S
        admitted = 0
        while not saying.done() and loop.time() < limit_s:
            await asyncio.sleep(_POLL_S)
            if server.tally.calls and began is None:
                began = loop.time()
            if server.tally.admitted > admitted:
                admitted, ended = server.tally.admitted, loop.time()
        if not saying.done():
            process.terminate()
        _, err = await saying
    if process.returncode:
        print(err.decode(errors="replace").strip()[-400:], file=sys.stderr, flush=True)
    seconds = None if began is None or ended is None else round(ended - began + LATENCY_S, 1)
    return {
        "seconds": seconds,
        "of_ideal": None if seconds is None else round(seconds / IDEAL_S, 2),
        "calls": server.tally.calls,
        "refused": server.tally.refusals,
        "admitted": server.tally.admitted,
        "done": process.returncode == 0 and server.tally.admitted >= ROWS,
    }


def ray_http() -> dict[str, Any]:
    """
    Run all, one after the other.

    Raises:
        Missing: Ray cannot be installed here.
    """
    python = str(ready(Environment()))
    told = subprocess.run([python, "-c", VERSIONS], capture_output=True, text=True, check=True).stdout.split()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
        row = {"method": "POST", "url": "/v1/chat/completions", "body": body}
        lines = (json.dumps({"custom_id": f"row-{number}", **row}) + "\n" for number in range(ROWS))
        (folder / "in.jsonl").write_text("".join(lines), encoding="utf-8")
        found = []
        for who, command in entrants(python, folder).items():
            found.append({"who": who, **asyncio.run(measured(command))})
            print(found[-1], file=sys.stderr, flush=True)
    return {
        "rows": ROWS,
        "limit": LIMIT,
        "latency_s": LATENCY_S,
        "ideal_s": IDEAL_S,
        "most_s": MOST_S,
        "versions": dict(zip(("ray", "pydantic"), told, strict=True)),
        "load": round(load, 1),
        "idle_priority": os.sched_getscheduler(0) == os.SCHED_IDLE,
        "by": found,
    }
