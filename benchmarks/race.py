"""
Whole runs of the command against a server in a process of its own.

The time is that of the run's own summary (first row read to last answer written);
calls, refusals, lost and repeated rows are counted by the server and in the output.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs

from ratelimit_client.testing.serve import serve_in_process

from .scenarios import SCENARIOS, Scenario

SEEDS = 5


@attrs.frozen
class Run:
    """What one run did."""

    seconds: float
    ratio: float
    refused: int
    calls: int
    lost: int
    repeated: int
    exit_code: int


@attrs.frozen
class Verdict:
    """Medians over the seeds, and whether the bounds hold."""

    name: str
    says: str
    seconds: float
    ratio: float
    refused: float
    refused_most: int
    calls: float
    lost: int
    repeated: int
    spread_s: tuple[float, float]
    bound: str
    holds: bool | None


def run_command(arguments: Iterable[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """The command, as a user's shell would start it, with a clean set of variables."""
    clean = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
    clean["OPENAI_API_KEY"] = "the-key-of-a-benchmark"
    command = [sys.executable, "-m", "ratelimit_client", *arguments]
    return subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False)


def once(scenario: Scenario, seed: int) -> Run:
    """One run with one seed."""
    rows = scenario.rows(seed)
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "job.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        with serve_in_process(scenario.limits, seed=seed, **scenario.server) as url:
            arguments = ["run", "job.jsonl", "-o", "out.jsonl", "--base-url", str(url), "--progress", "none"]
            arguments += ["--summary-file", "summary.json"]
            if scenario.in_flight is not None:
                arguments += ["--max-in-flight", str(scenario.in_flight)]
            ended = run_command(arguments, folder)
            tally = url.stats()
        if ended.returncode != scenario.exit_code:
            raise RuntimeError(f"{scenario.name}: exit {ended.returncode}\n{ended.stderr[-2000:]}")
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        done = Counter(_ids(folder / "out.jsonl"))
    expected = 0 if scenario.exit_code else len(rows)
    return Run(
        seconds=summary["seconds"],
        ratio=summary["seconds"] / scenario.ideal_s(rows),
        refused=tally["refusals"],
        calls=tally["calls"],
        lost=max(0, expected - len(done)),
        repeated=tally["rows_repeated"] + sum(count - 1 for count in done.values()),
        exit_code=ended.returncode,
    )


def _ids(path: Path) -> list[str]:
    if not path.exists():
        return []
    with path.open("rb") as lines:
        return [json.loads(line)["custom_id"] for line in lines]


def judge(scenario: Scenario, runs: list[Run]) -> Verdict:
    """The median run, held against what is asked of it."""
    seconds = statistics.median(run.seconds for run in runs)
    ratio = statistics.median(run.ratio for run in runs)
    refused = statistics.median(run.refused for run in runs)
    calls = statistics.median(run.calls for run in runs)
    checks = [
        (f"<= {scenario.seconds_at_most} s", seconds, scenario.seconds_at_most),
        (f"<= {scenario.ratio_at_most} x ideal", ratio, scenario.ratio_at_most),
        (f"<= {scenario.refused_at_most} refused", refused, scenario.refused_at_most),
        (f"<= {scenario.calls_at_most} calls", calls, scenario.calls_at_most),
    ]
    asked = [(text, value <= bound) for text, value, bound in checks if bound is not None]
    lost, repeated = sum(run.lost for run in runs), sum(run.repeated for run in runs)
    whole = lost == 0 and repeated == 0
    return Verdict(
        name=scenario.name,
        says=scenario.says,
        seconds=round(seconds, 2),
        ratio=round(ratio, 3),
        refused=refused,
        refused_most=max(run.refused for run in runs),
        calls=calls,
        lost=lost,
        repeated=repeated,
        spread_s=(round(min(run.seconds for run in runs), 2), round(max(run.seconds for run in runs), 2)),
        bound=", ".join(text for text, _ in asked),
        holds=(whole and all(held for _, held in asked)) if asked else None,
    )


def race(names: Iterable[str] = (), seeds: int = SEEDS) -> list[dict[str, Any]]:
    """Every scenario (or those named), with its verdict."""
    wanted = set(names)
    verdicts = []
    for scenario in SCENARIOS:
        if wanted and scenario.name not in wanted:
            continue
        verdict = judge(scenario, [once(scenario, seed) for seed in range(seeds)])
        print(_line(verdict), flush=True)
        verdicts.append(attrs.asdict(verdict))
    return verdicts


def _line(verdict: Verdict) -> str:
    mark = {True: "holds", False: "MISSED", None: "-"}[verdict.holds]
    return (
        f"{verdict.name:10} {verdict.seconds:7.2f} s  {verdict.ratio:6.3f} x ideal  "
        f"{verdict.refused:4.0f} refused (most {verdict.refused_most})  {verdict.calls:6.0f} calls  "
        f"lost {verdict.lost}  repeated {verdict.repeated}  {verdict.bound or 'no bound'}: {mark}"
    )


if __name__ == "__main__":
    race(sys.argv[1:], seeds=int(os.environ.get("SEEDS", SEEDS)))
