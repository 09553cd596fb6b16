"""
``status``: how a job stands.

Law of this file: it says what the next run would find, and what to type; the
report is on stdout, and nothing is touched.
"""

from __future__ import annotations

import os
import shlex
from collections import Counter
from datetime import UTC, datetime

from ...bulk.standing import Report, Standing, look
from ...bulk.words import shown
from ..args import Request
from ..report import show
from ..target import base_url
from ..voice import PROGRAM, Voice

_SHOWN_CODES = 6


def main(request: Request, voice: Voice) -> int:
    """Show it; 0 when every row is answered."""
    report = look(request.options["input"])
    show(_table(report, request.options["input"]))
    return 0 if report.well else 1


def _table(report: Report, out: str) -> list[tuple[str, str]]:
    return [
        ("output", out),
        *_job(report),
        ("rows", _rows(report)),
        *_failures(report, out),
        *_shards(report),
        *_lines(report),
        ("written", _written(report)),
        ("next", _next(report, out)),
    ]


def _job(report: Report) -> list[tuple[str, str]]:
    manifests = [part.manifest for part in report.parts if part.manifest is not None]
    if not manifests:
        return [("job", "there is no job file beside it: nobody knows where its rows came from")]
    return [("input", shown(manifests[0].input)), ("server", shown(manifests[0].base_url))]


def _rows(report: Report) -> str:
    of = "" if report.rows is None else f" of {report.rows}"
    parts = [f"{report.ok}{of} ok", f"{report.failed} failed"]
    if report.left is None:
        parts.append("how many the input has is not known")
    elif report.left:
        parts.append(f"{report.left} still to be done")
    retried = sum(part.retried for part in report.parts)
    if retried:
        parts.append(f"{retried} of a retry have no answer yet")
    return ", ".join(parts)


def _failures(report: Report, out: str) -> list[tuple[str, str]]:
    codes: Counter[str] = sum((part.codes for part in report.parts), Counter())
    if not codes:
        return []
    text = ", ".join(f"{count} x {shown(code)}" for code, count in codes.most_common(_SHOWN_CODES))
    more = len(codes) - _SHOWN_CODES
    files = [part.paths.errors for part in report.parts if part.failed]
    where = files[0] if len(files) == 1 else f"the errors files of {len(files)} shards"
    return [("failed", f"{text}{f' and {more} more codes' if more > 0 else ''} -> {where}")]


def _shards(report: Report) -> list[tuple[str, str]]:
    found = [
        (f"  {part.shard}", f"{part.ok} ok, {part.failed} failed") for part in report.parts if part.shard is not None
    ]
    if report.missing:
        names = ", ".join(map(str, report.missing[:_SHOWN_CODES]))
        more = len(report.missing) - _SHOWN_CODES
        found.append(("shards", f"not begun: {names}{f' and {more} more' if more > 0 else ''}"))
    return found


def _lines(report: Report) -> list[tuple[str, str]]:
    found = []
    repeated = sum(part.repeated for part in report.parts)
    if repeated:
        found.append(("lines", f"{repeated} replaced by a later one of the same custom_id"))
    mended = sum(part.mended for part in report.parts)
    if mended:
        found.append(("lines", f"{mended} errors count no more: the input has those lines no more"))
    bad = [place for part in report.parts for place in part.bad]
    count = sum(part.bad_count for part in report.parts)
    if count:
        places = ", ".join(f"{path} line {number}" for path, number in bad[:3])
        found.append(("lines", f"{count} cannot be read, their rows run again: {places}"))
    for part in report.parts:
        found += [("lines", f"{path} ends within a line; the next run mends it") for path in part.torn]
    return found


def _written(report: Report) -> str:
    last = max(os.stat(part.paths.out).st_mtime for part in report.parts)
    return datetime.fromtimestamp(last, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _next(report: Report, out: str) -> str:
    if report.left != 0 or report.missing:
        return f"to go on: {_run(report, out)}"
    if report.failed:
        return f"to run the failed rows again: {_command(report, 'retry', [], out)}"
    return "nothing: the job is done"


def _run(report: Report, out: str) -> str:
    part = report.parts[0]
    known = part.manifest is not None and part.manifest.input != "-"
    return _command(report, "run", [part.manifest.input if part.manifest is not None and known else "IN"], out)


def _command(report: Report, command: str, words: list[str], out: str) -> str:
    part: Standing = report.parts[0]
    typed = [PROGRAM, command, *words, "-o", out]
    if part.manifest is not None and part.manifest.base_url != base_url(None):
        typed += ["--base-url", part.manifest.base_url]
    if part.manifest is not None and part.manifest.of_all:
        typed += ["--engine", "ray"]
    elif part.shard is not None:
        typed += ["--shard", f"I/{part.shard.of}"]
    return shlex.join(typed)
