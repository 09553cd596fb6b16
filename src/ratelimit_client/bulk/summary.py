"""
What a run came to: one JSON object for machines, a few lines for people.

Law of this file: the morning after, it answers what was done, what failed and
why, how much of the limit was used, how long the longest wait was, which models
answered and when they changed, and what to type next.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs

from . import figures
from .disk import replace, resolved, write_all
from .figures import Figures
from .job import Job
from .meter import Gauge
from .tally import Snapshot
from .words import duration, number, shown

_SHOWN_CODES = 6
_SHOWN_MODELS = 8


@attrs.frozen
class Summary:
    """
    Args:
        facts: what ``--summary-file`` holds.
        lines: what people read.
        exit_code: what the program ends with.
        figures: what made it as fast as it was.
        next: what to type or look at next.
    """

    facts: Mapping[str, Any]
    lines: Sequence[str]
    exit_code: int
    figures: Figures
    next: str


def summarise(job: Job, command: Sequence[str]) -> Summary:
    """
    Look at a run that is over.

    Args:
        command: what the user typed, to be shown as what to type next.
    """
    exit_code = _exit_code(job)
    found = figures.figures_of(job)
    following = _next(job, command, exit_code)
    return Summary(_facts(job, found, exit_code), _lines(job, found, following), exit_code, found, following)


def _exit_code(job: Job) -> int:
    failed = job.output.failed
    if failed is not None:
        return 141 if isinstance(failed, BrokenPipeError) else 74
    if job.stop is not None and job.rows_left:
        return job.stop.exit_code
    return 1 if job.tally.failed or job.walk.failed_before else 0


# -- for machines ---------------------------------------------------------------------


def _facts(job: Job, found: Figures, exit_code: int) -> dict[str, Any]:
    tally, walk = job.tally, job.walk
    calls, refused = _calls(job)
    used = job.meter.utilisation()
    return {
        "rows": job.total,
        "ok": tally.ok,
        "failed": tally.failed + walk.failed_before,
        "skipped": walk.done_before,
        "lost": tally.lost,
        "pending": max(0, (job.total or walk.rows - walk.passed) - job.finished),
        "calls": calls,
        "retries": found.retries,
        "refused_429": refused,
        "tokens": tally.tokens,
        "seconds": round(job.seconds, 3),
        "utilisation": None if used is None else round(used[0], 4),
        "limits": _limits(job),
        "models": {
            asked: {name: _snapshot_facts(snapshot) for name, snapshot in names.items()}
            for asked, names in tally.snapshots.items()
        },
        "failed_by_code": dict(tally.codes.most_common()),
        "slowest_wait_s": round(tally.slowest_wait_s, 3),
        **figures.facts(job, found),
        "resumed": job.output.ledger.resumes,
        "stopped": None if job.stop is None or not job.rows_left else job.stop.why.value,
        "exit_code": exit_code,
        **job.engine.facts(),
    }


def _calls(job: Job) -> tuple[int, int]:
    """Requests that went out, and those that a rate limit refused."""
    keys = job.engine.statistics().keys.values()
    return sum(key.granted for key in keys), sum(key.refused for key in keys)


def _limits(job: Job) -> list[dict[str, Any]]:
    return [
        {
            "model": key,
            "limit": name,
            "amount": gauge.limit,
            "window_s": gauge.window_s,
            "source": gauge.source,
            "utilisation": round(gauge.share, 4),
            "foreign_share": _others(job, gauge),
        }
        for (key, name), gauge in job.meter.gauges.items()
    ]


def _others(job: Job, gauge: Gauge) -> float | None:
    share = gauge.others_share if job.engine.tells_others else None
    return None if share is None else round(share, 4)


def _snapshot_facts(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "rows": snapshot.rows,
        "first": _date(snapshot.first_s),
        "last": _date(snapshot.last_s),
        "first_custom_id": snapshot.first_id,
    }


def write_facts(path: str, facts: Mapping[str, Any]) -> None:
    """
    The JSON of a summary, complete or not at all; into a pipe or a device it is written as it comes.

    Raises:
        OSError: it cannot be written.
    """
    text = (json.dumps(facts, indent=1) + "\n").encode()
    is_device = os.path.abspath(path).startswith("/dev/")  # /dev/stdout may be a regular file
    found = path if is_device else resolved(path)
    if not is_device and (os.path.isfile(found) or not os.path.exists(found)):
        replace(found, text, f"{found}.{os.getpid()}.tmp")
        return
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK)  # nobody waits for a reader
    try:
        write_all(fd, text)
    finally:
        os.close(fd)


# -- for people -----------------------------------------------------------------------


def _lines(job: Job, found: Figures, following: str) -> list[str]:
    table = [
        ("rows", _rows(job)),
        *_failures(job),
        *_losses(job),
        ("time", _time(job)),
        ("calls", _calls_line(job, found)),
        *_limit_lines(job),
        *figures.lines(job, found),
        *_model_lines(job),
        *_ending(job),
        ("next", following),
    ]
    return [f"{label:<10}{text}" for label, text in table]


def _rows(job: Job) -> str:
    tally, walk = job.tally, job.walk
    total = job.total
    ok = number(tally.ok + walk.done_before)
    parts = [f"{ok} of {number(total)} ok" if total else f"{ok} ok"]
    if walk.done_before:
        parts.append(f"{number(walk.done_before)} of them before this run")
    parts.append(f"{number(tally.failed + walk.failed_before)} failed")
    if job.rows_left:
        left = (total or walk.rows - walk.passed) - job.finished
        parts.append(f"{number(max(left, 0))} still to be done" if job.source.regular else "more still to be done")
    if walk.passed:
        parts.append(f"{number(walk.passed)} that nobody has run yet left to `run`")
    return ", ".join(parts)


def _failures(job: Job) -> list[tuple[str, str]]:
    codes = job.tally.codes.most_common(_SHOWN_CODES)
    if not codes:
        return []
    text = ", ".join(f"{number(count)} x {shown(code)}" for code, count in codes)
    where = f" -> {job.output.paths.errors}" if job.output.paths is not None else ""
    return [("failed", text + where)]


def _losses(job: Job) -> list[tuple[str, str]]:
    lost = job.tally.lost
    lines = "1 line" if lost == 1 else f"{lost} lines"
    return [("lost", f"{lines} could not be written: those rows are still to be done")] if lost else []


def _time(job: Job) -> str:
    rows = job.tally.ok + job.tally.failed
    words = [duration(job.seconds)]
    if rows and job.seconds:
        words.append(f"{rows / job.seconds:.1f} rows/s")
    if job.tally.tokens:
        words.append(f"{number(job.tally.tokens)} tokens")
    return ", ".join(words)


def _calls_line(job: Job, found: Figures) -> str:
    calls, refused = _calls(job)
    retries = found.retries
    words = [f"{number(calls)} sent", f"{number(refused)} refused (429)"]
    if retries:
        words.append(f"{number(retries)} retried")
    words.append(f"longest wait in the queue {duration(job.tally.slowest_wait_s)}")
    return ", ".join(words)


def _limit_lines(job: Job) -> list[tuple[str, str]]:
    used = job.meter.utilisation()
    if used is None:
        return [("limit", "none known: the server showed none and none was given")]
    share, key, name = used
    gauge = job.meter.gauges[key, name]
    of = f" ({shown(key)})" if len({key for key, _ in job.meter.gauges}) > 1 else ""
    return [("limit", f"{share:.0%} of {figures.limit_words(name, gauge)} used{of}")]


def _model_lines(job: Job) -> list[tuple[str, str]]:
    found = []
    for asked, names in list(job.tally.snapshots.items())[:_SHOWN_MODELS]:
        answered = ", ".join(f"{shown(name) or 'unnamed'} ({number(seen.rows)})" for name, seen in names.items())
        as_asked = list(names) == [asked]
        found.append(("model", answered if as_asked else f"{shown(asked) or 'unnamed'} answered as {answered}"))
        found += [("", text) for text in _changes(list(names.items()))]
    more = len(job.tally.snapshots) - _SHOWN_MODELS
    if more > 0:
        found.append(("", f"and {more} more models"))
    return found


def _changes(names: list[tuple[str, Snapshot]]) -> list[str]:
    """One sentence for each time another snapshot began to answer."""
    return [
        f"changed to {shown(name)} at {_date(snapshot.first_s)} (row {shown(snapshot.first_id)}): "
        "a pinned snapshot keeps answers alike"
        for name, snapshot in names[1:]
    ]


def _ending(job: Job) -> list[tuple[str, str]]:
    if job.stop is None or not job.rows_left:
        return []
    return [("stopped", job.stop.sentence)]


def _next(job: Job, command: Sequence[str], exit_code: int) -> str:
    again = shlex.join(command)
    paths = job.output.paths
    if paths is None:
        return "-" if exit_code == 0 else "rows on stdout cannot be resumed: give -o FILE for that"
    if job.rows_left:
        return f"to go on: {again}"
    if exit_code == 1:
        return f"look at {paths.errors}; to run its rows again: {_retry_command(command)}"
    return f"answers are in {paths.out}"


def _retry_command(command: Sequence[str]) -> str:
    """What runs the failed rows of *command* again: the same words, but for those that are about edited rows."""
    program, _, *words = command
    return shlex.join([program, "retry", *(word for word in words if word != "--rerun-edited")])






def _date(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
