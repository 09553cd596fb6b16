"""
CPU of a bulk run, against a bare aiohttp loop that does the same calls and writes.

Whole processes, user and system time, start-up included, in turn: A B A B. The
server is a third process with no limits in the way. Both sides read and write JSON by
the same library: once with orjson installed, once where it cannot be imported.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from ratelimit_client.core.quota import per_minute
from ratelimit_client.testing.serve import serve_in_process

from .compiled import compile_library
from .race.rows import plain

ROWS = 20_000
IN_FLIGHT = 64
PAIRS = 5

_ASKED: Final = {"orjson": 1.25, "json": 1.35}


def cpu_s(command: list[str], folder: Path, path: list[str]) -> float:
    """Run to the end; seconds of CPU it took."""
    places = os.pathsep.join(filter(None, [*path, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "OPENAI_API_KEY": "the-key-of-a-benchmark", "CI": "1", "PYTHONPATH": places}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode:
        raise RuntimeError(f"{command}: exit {ended.returncode}\n{ended.stderr[-2000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _pairs(folder: Path, url: str, library: str, pairs: int) -> dict[str, float]:
    path = []
    if library == "json":  # what comes before the installed packages hides them
        hidden = folder / "hidden"
        hidden.mkdir()
        (hidden / "orjson.py").write_text('raise ImportError("hidden by this benchmark")\n', encoding="utf-8")
        path.append(str(hidden))
    ours, bare = [], []
    for number in range(pairs):
        run = ["run", "job.jsonl", "-o", f"out-{library}-{number}.jsonl", "--base-url", url]
        options = ["--progress", "none", "--max-in-flight", str(IN_FLIGHT)]
        ours.append(cpu_s([sys.executable, "-m", "ratelimit_client", *run, *options], folder, path))
        loop = ["-m", "benchmarks.bare", "job.jsonl", f"bare-{library}-{number}.jsonl", url, str(IN_FLIGHT)]
        bare.append(cpu_s([sys.executable, *loop, "--json", library], folder, path))
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    return {
        "bulk_cpu_s": round(statistics.median(ours), 3),
        "bare_cpu_s": round(statistics.median(bare), 3),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_least": round(min(ratios), 3),
        "ratio_most": round(max(ratios), 3),
    }


def cpu(rows: int = ROWS, pairs: int = PAIRS) -> dict[str, dict[str, Any]]:
    """Seconds of both, and their ratio pair by pair, by the library that both use for JSON."""
    compile_library()
    with TemporaryDirectory() as name:
        folder = Path(name)
        lines = "".join(json.dumps(row) + "\n" for row in plain(rows)(0))
        (folder / "job.jsonl").write_text(lines, encoding="utf-8")
        with serve_in_process(per_minute(requests=10**9, tokens=10**12), latency=0.005) as url:
            return {
                library: {"rows": rows, "asked": asked, **_pairs(folder, str(url), library, pairs)}
                for library, asked in _ASKED.items()
            }


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")]))
    print(json.dumps(cpu(*map(int, sys.argv[1:])), indent=2))
