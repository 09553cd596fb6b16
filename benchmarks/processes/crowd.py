"""
Several processes at once, against a model server in a process of its own.

Law of this file: whoever is waited for has a deadline, and whoever does not keep it is named with the last words it
said. What is measured is measured by the server, which sees all of them: calls, refusals, and the time between.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

ROOT = Path(__file__).parents[2]
_START_S = 120.0
_GRACE_S = 60.0


@attrs.frozen
class Ask:
    """How much one process has to do: calls a second, or 0 for as many as it can send, so many at a time."""

    per_s: float = 0.0
    calls: int = 100


@contextlib.contextmanager
def started(
    base_url: str, store_url: str, asks: Sequence[Ask], seconds: float
) -> Iterator[list[subprocess.Popen[str]]]:
    """The processes, none of which has begun."""
    workers: list[subprocess.Popen[str]] = []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    try:
        for ask in asks:
            words = [base_url, store_url or "-", str(ask.per_s), str(seconds), str(ask.calls)]
            command = [sys.executable, "-m", "benchmarks.processes.worker", *words]
            workers.append(
                subprocess.Popen(
                    command,
                    text=True,
                    cwd=ROOT,
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
            )
        for worker in workers:
            said = line(worker, _START_S)
            if said.strip() != "READY":
                raise RuntimeError(f"a process was not ready: {said}")
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def line(worker: subprocess.Popen[str], seconds: float) -> str:
    """
    Its next line.

    Raises:
        TimeoutError: none came in time; says what else it said.
    """
    assert worker.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(worker.stdout, selectors.EVENT_READ)
        if not selector.select(seconds):
            worker.kill()
            _, err = worker.communicate()
            raise TimeoutError(f"process {worker.pid} said nothing for {seconds:g} s: {err[-2000:]}")
    said = worker.stdout.readline()
    if not said:
        _, err = worker.communicate(timeout=_GRACE_S)
        raise RuntimeError(f"process {worker.pid} ended, exit code {worker.returncode}: {err[-2000:]}")
    return said


def spend(
    base_url: str,
    store_url: str,
    asks: Sequence[Ask],
    seconds: float,
    *,
    meanwhile: Callable[[], object] | None = None,
) -> list[dict[str, Any]]:
    """What became of each, all of which began at once."""
    with started(base_url, store_url, asks, seconds) as workers:
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        if meanwhile is not None:
            meanwhile()
        return [json.loads(line(worker, seconds + _GRACE_S)) for worker in workers]


def jobs(base_url: str, store_url: str, rows: int, parts: int, seconds: float, *options: str) -> list[dict[str, Any]]:
    """So many programs ``run --shard``, each with its part of the rows, and the summary of each."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    environment |= {
        "OPENAI_BASE_URL": base_url,
        "OPENAI_API_KEY": "a-key-of-nobody",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src")]),
    }
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        path = _rows(folder, rows)
        running = []
        for part in range(1, parts + 1):
            command = [sys.executable, "-m", "ratelimit_client", "run", str(path), "-o", str(folder / f"{part}.jsonl")]
            command += ["--shard", f"{part}/{parts}", "--progress", "none", *options]
            command += ["--summary-file", str(folder / f"{part}.json")]
            command += ["--store", store_url] if store_url else []
            running.append(
                subprocess.Popen(
                    command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT
                )
            )
        try:
            ends = time.monotonic() + seconds
            for part, program in enumerate(running, 1):
                _, said = program.communicate(timeout=max(0.0, ends - time.monotonic()))
                if program.returncode:
                    raise RuntimeError(f"run {part} of {parts} ended with {program.returncode}: {said[-2000:]}")
        finally:
            for program in running:
                program.kill()
                program.wait()
        return [json.loads((folder / f"{part}.json").read_text()) for part in range(1, parts + 1)]


def _rows(folder: Path, count: int) -> Path:
    path = folder / "rows.jsonl"
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}]}
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            row = {"custom_id": f"r{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
            file.write(json.dumps(row) + "\n")
    return path


def jain(shares: Sequence[float]) -> float:
    """1: all have the same; one by their number: one has all."""
    squares = sum(each * each for each in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


def later(seconds: float, do: Callable[[], object]) -> threading.Timer:
    """Something that happens meanwhile."""
    timer = threading.Timer(seconds, do)
    timer.daemon = True
    timer.start()
    return timer
