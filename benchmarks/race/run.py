"""
One run of one competitor in one scenario, against a server in a process of its own.

Law of this file: nobody is believed about himself. Calls, refusals and repeated rows are
counted by the server, lost rows are those of the input that the output does not hold. The
time is from the first row to the last answer: ours as the summary says, a peer's from what it
wrote just before its first call to the last line of its output. Start-up and imports count for
nobody.

A competitor that does not end is killed after three times the ideal and half a minute more, and
judged by what it has.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs

from ratelimit_client.testing.serve import RemoteURL, serve_in_process

from .digests import ROOT
from .entrants import Entrant
from .ideal import ideal_s
from .scenarios import Scenario

IN_FLIGHT = 64
ATTEMPTS = 8
_KEY = "the-key-of-a-benchmark"
_PASSED_ON = ("PATH", "LANG")


@attrs.frozen(kw_only=True)
class Run:
    """
    What one run did.

    Args:
        seconds: from the first row to the last answer; None when there was no answer, or no end.
        refused, calls, repeated: as the server counted them.
        lost: rows of the input without an answer; 0 where none can be answered.
        ended: by itself, and not by being killed.
        exit_code: of the process; negative is the number of a signal.
        cpu_s: user and system time of the competitor, its start included.
        busy: share of the machine's cores in use meanwhile, everybody counted; None where it is not told.
        complaint: the last words of one that did not do as it should.
    """

    scenario: str
    peer: str
    variant: str
    seed: int
    ideal_s: float
    seconds: float | None
    refused: int
    calls: int
    lost: int
    repeated: int
    ended: bool
    exit_code: int
    cpu_s: float
    busy: float | None
    complaint: str = ""

    @property
    def ratio(self) -> float:
        """The time in ideals; infinite when there was no end."""
        return float("inf") if self.seconds is None else self.seconds / self.ideal_s


def once(scenario: Scenario, entrant: Entrant, seed: int) -> Run:
    """One run with one seed; blocks until it has ended or was killed."""
    rows = scenario.rows(seed)
    least_s = ideal_s(scenario.name, seed)
    with TemporaryDirectory(prefix="race-") as name:
        folder = Path(name)
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        with serve_in_process(scenario.limits, seed=seed, **scenario.server) as url:
            command = _command(scenario, entrant, url, folder)
            before = _jiffies()
            exit_code, cpu_s, ended = _run(command, folder, ours=entrant.ours, bound_s=3 * least_s + 30)
            busy = _busy(before, _jiffies())
            tally = url.stats()
        lines = list(_lines(folder / "out.jsonl"))
        seconds = _seconds(folder, lines, ours=entrant.ours)
        said = (folder / "stderr").read_text(encoding="utf-8", errors="replace")
    answered = Counter(line["custom_id"] for line in lines if entrant.ours or line.get("ok"))
    expected = 0 if scenario.exit_code else len(rows)
    as_it_should = ended and exit_code == (scenario.exit_code if entrant.ours else 0)
    return Run(
        scenario=scenario.name,
        peer=entrant.peer,
        variant=entrant.variant,
        seed=seed,
        ideal_s=round(least_s, 4),
        seconds=round(seconds, 4) if ended and seconds is not None else None,
        refused=tally["refusals"],
        calls=tally["calls"],
        lost=max(0, expected - len(answered)),
        repeated=tally["rows_repeated"] + sum(count - 1 for count in answered.values()),
        ended=ended,
        exit_code=exit_code,
        cpu_s=round(cpu_s, 3),
        busy=busy,
        complaint="" if as_it_should else _last_words(said, lines, folder),
    )


# ---- the competitor's process ------------------------------------------------------------------


def _command(scenario: Scenario, entrant: Entrant, url: RemoteURL, folder: Path) -> Sequence[str]:
    if entrant.ours:
        arguments = ["run", "rows.jsonl", "-o", "out.jsonl", "--base-url", str(url), "--progress", "none"]
        arguments += ["--summary-file", "summary.json"]
        if scenario.in_flight is not None:
            arguments += ["--max-in-flight", str(scenario.in_flight)]
        return [sys.executable, "-m", "ratelimit_client", *arguments]
    job = {
        "base_url": str(url),
        "rows": str(folder / "rows.jsonl"),
        "out": str(folder / "out.jsonl"),
        "started": str(folder / "started.txt"),
        "variant": entrant.variant,
        "limits": {f"{unit}_per_minute": scenario.per_minute(unit) for unit in ("requests", "tokens")},
        "in_flight": IN_FLIGHT if scenario.in_flight is None else scenario.in_flight,
        "attempts": ATTEMPTS,
    }
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    return [*entrant.command, str(folder / "job.json")]


def _run(command: Sequence[str], folder: Path, *, ours: bool, bound_s: float) -> tuple[int, float, bool]:
    """Exit code, seconds of CPU, and whether it ended by itself."""
    passed_on = (*_PASSED_ON, "PYTHONPATH") if ours else _PASSED_ON
    environment = {name: os.environ[name] for name in passed_on if name in os.environ}
    environment |= {"OPENAI_API_KEY": _KEY, "HOME": str(folder)}
    with (folder / "stderr").open("wb") as stderr:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            start_new_session=True,  # so that what it started itself ends with it
        )
        bound = time.monotonic() + bound_s
        while True:
            # Popen.wait keeps the usage of a child to itself, and RUSAGE_CHILDREN mixes those that run side by side.
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                return _ended(child, status, usage, ended=True)
            if time.monotonic() > bound:
                os.killpg(child.pid, signal.SIGKILL)
                _, status, usage = os.wait4(child.pid, 0)
                return _ended(child, status, usage, ended=False)
            time.sleep(0.02)


def _ended(
    child: subprocess.Popen[bytes], status: int, usage: resource.struct_rusage, *, ended: bool
) -> tuple[int, float, bool]:
    child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, usage.ru_utime + usage.ru_stime, ended


# ---- what it left ------------------------------------------------------------------------------


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of an output; one that was cut off by a kill is none."""
    if not path.exists():
        return
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield json.loads(line)


def _seconds(folder: Path, lines: Sequence[dict[str, Any]], *, ours: bool) -> float | None:
    if ours:
        summary = folder / "summary.json"
        return float(json.loads(summary.read_text(encoding="utf-8"))["seconds"]) if summary.exists() else None
    started = folder / "started.txt"
    if not lines or not started.exists():
        return None
    return float(max(line["at"] for line in lines)) - float(started.read_text(encoding="utf-8"))


def _last_words(said: str, lines: Sequence[dict[str, Any]], folder: Path) -> str:
    """What the rows were given up for, and the end of what was printed; without the places of this machine."""
    errors = Counter(str(line["error"])[:120] for line in lines if line.get("error"))
    given_up = "; ".join(f"{count} x {error}" for error, count in errors.most_common(2))
    for place in (folder, ROOT, Path.home()):
        said = said.replace(f"{place}/", "")
    return " | ".join(filter(None, (given_up, said.strip()[-200:])))


# ---- how busy the machine was --------------------------------------------------------------------


def _jiffies() -> tuple[int, int] | None:
    """(busy, all) of all cores since the machine started, where Linux tells."""
    try:
        first, *_ = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)
    except OSError:
        return None
    counts = [int(count) for count in first.split()[1:9]]
    idle = counts[3] + counts[4]
    return sum(counts) - idle, sum(counts)


def _busy(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    if before is None or after is None or after[1] == before[1]:
        return None
    return round((after[0] - before[0]) / (after[1] - before[1]), 3)
