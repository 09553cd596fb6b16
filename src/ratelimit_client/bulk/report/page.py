"""
The page: what came of a run, what held it back, and the plots.

Law of this file: it says what the summary says, in the order of who asks: the verdict, the figures
of this run, those of the whole job where they differ, the plots, and then the lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from ... import __version__
from ..figures import RATE_LIMITED, Figures, limit_name, limit_words
from ..job import Job
from ..summary import Summary
from ..words import duration, number, shown
from . import plots
from .parts import section, sentence, table, text, tiles
from .place import MARK
from .style import POLICY, SHEET

_MOST_ROWS: Final = 40
_BINDS: Final = 0.85
_SOURCES: Final = {
    "header": "the server's headers",
    "config": "you",
    "learned": "refusals",
    "prior": "an earlier run",
    "lease": "the shared budget",
}


def page(job: Job, summary: Summary, name: str) -> str:
    """
    A run that is over, as HTML.

    Args:
        name: how the job is called: the name of its output, without its folder.
    """
    found = summary.figures
    parts = [
        _header(job, summary, name),
        tiles(_tiles(job, summary)),
        _whole_job(job),
        section("What set the pace", _pace(job, found)),
        plots.of_limit(job),
        plots.of_pace(job),
        plots.of_queue(job),
        plots.of_times("Waits in the queue", "queued", job.tally.waits, "Of each row, all its attempts together."),
        plots.of_times(
            "Latency of the server", "flight", job.tally.latencies, "From being let out to the end of the answer."
        ),
        _calls(found),
        _limits(job, summary),
        _failed(job),
        _models(job),
        section("Next", "", f"<p><code>{sentence(summary.next)}</code></p>"),
    ]
    head = (
        f'<head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{text(name)}: bulk run</title><style>{SHEET}</style></head>"
    )
    footer = f"<footer>ratelimit-client {__version__}. This page is one file and loads nothing.</footer>"
    return f"{MARK}{head}\n<body><main>\n" + "\n".join(filter(None, parts)) + f"\n{footer}</main></body></html>\n"


def _header(job: Job, summary: Summary, name: str) -> str:
    tone, sign, verdict, why = _verdict(job, summary)
    began, ended = (_date(s) for s in (job.began_s, job.began_s + job.seconds))
    return (
        f"<header><h1>{text(name)}</h1>"
        f'<p class="verdict {tone}"><b>{sign} {sentence(verdict)}</b> {sentence(why)}</p>'
        f'<p class="soft">Bulk run from {began} to {ended}, {duration(job.seconds)}.</p></header>'
    )


def _verdict(job: Job, summary: Summary) -> tuple[str, str, str, str]:
    tally, walk = job.tally, job.walk
    failed = tally.failed + walk.failed_before
    if job.output.failed is not None or (job.rows_left and job.stop is not None):
        why = job.stop.sentence if job.stop is not None else "the output could not be written"
        return ("warn" if summary.exit_code in (75, 130, 143) else "bad"), "■", "Stopped:", f"{why}."
    if job.rows_left:
        return "bad", "■", "Broken off", "before all rows were done."
    if failed:
        return "warn", "▲", "Finished,", f"{_rows(failed)} failed."
    ok = tally.ok + walk.done_before
    return "well", "✓", "Finished.", f"{_rows(ok)} answered." if ok else "There was nothing to be done."


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{number(count)} rows"


def _tiles(job: Job, summary: Summary) -> list[tuple[str, str, str]]:
    tally, facts, found = job.tally, summary.facts, summary.figures
    ended = tally.ok + tally.failed
    before = job.walk.done_before + job.walk.failed_before
    this = "in this run" if before else f"of {number(job.total)}" if job.total is not None else ""
    used = job.meter.utilisation()
    rate = ended / job.seconds if job.seconds else 0.0
    refused = facts["refused_429"]
    return [
        ("Rows answered", number(tally.ok), this),
        ("Rows failed", number(tally.failed), "in this run" if before else ""),
        ("Time", duration(job.seconds), f"{rate:.1f} rows/s" if ended else "no row ended"),
        _limit_tile(job, used),
        ("Calls", number(facts["calls"]), f"{number(found.retries)} made again after a failure"),
        ("Refused (429)", number(refused), f"{refused / facts['calls']:.1%} of the calls" if facts["calls"] else ""),
        ("Tokens used", number(tally.tokens), "as the answers say"),
        ("Estimate", *_estimate(found)),
    ]


def _limit_tile(job: Job, used: tuple[float, str, str] | None) -> tuple[str, str, str]:
    if used is None:
        return "Limit used", "unknown", "the server named no limit"
    share, key, limit = used
    return "Limit used", f"{share:.0%}", f"of {limit_words(limit, job.meter.gauges[key, limit])}"


def _estimate(found: Figures) -> tuple[str, str]:
    if found.estimate is None:
        return "unknown", "answers do not show what was charged"
    return f"{found.estimate:.2f}", "tokens charged for each estimated"


def _whole_job(job: Job) -> str:
    """This run and those before it, apart."""
    tally, walk = job.tally, job.walk
    if not (walk.done_before or walk.failed_before):
        return ""
    rows = [
        ("answered", tally.ok, walk.done_before),
        ("failed", tally.failed, walk.failed_before),
    ]
    left = max(0, (job.total or walk.rows - walk.passed) - job.finished)
    table_rows = [(what, number(now), number(before), number(now + before)) for what, now, before in rows]
    table_rows.append(("still to be done", "", "", number(left)))
    about = (
        "This run went on where an earlier one stopped. What the earlier ones took, waited for and were refused is "
        "kept nowhere: all other figures of this page are of this run alone."
    )
    heads = ("rows", "this run", "earlier runs", "the whole job")
    return section("The whole job", about, table("Rows of the whole job", heads, table_rows, hidden=True))


def _pace(job: Job, found: Figures) -> str:
    used = job.meter.utilisation()
    words = []
    if used is None:
        words.append("The server named no limit, and none was given.")
    else:
        share, key, limit = used
        of = limit_words(limit, job.meter.gauges[key, limit])
        if share >= _BINDS:
            words.append(f"The limit: {share:.0%} of {of} was used. With a higher one it would have been faster.")
        else:
            words.append(f"Not a limit alone: of {of}, the one that was used most, {share:.0%} was used.")
    words.append(_others(job, found))
    workers = job.engine.facts()
    if workers:
        words.append(f"The calls were made by {number(workers['workers'])} workers of a cluster, added up here.")
        if workers["workers_lost"]:
            words.append("Of a worker that was lost, what it did after it was heard last is not known and not counted.")
    return " ".join(words)


def _others(job: Job, found: Figures) -> str:
    if found.others is not None:
        if found.others < 0.005:
            return "Nobody else on the key was seen to use it."
        return f"Others on the key took {found.others:.0%} of it."
    if not job.engine.tells_others:
        return "What others on the key took is not known: they cannot be told from those that share the budget."
    return "What others on the key took is not known: the answers did not show it, or not for long enough."


def _calls(found: Figures) -> str:
    """What came of the calls, and why some were made again."""
    attempts = table("Calls by what came of them", ("status or failure", "calls"), _counts(found.attempts))
    refused = {limit_name(limit): count for limit, count in found.refused.items()}
    limits = table("Refusals by the limit they named", ("limit", "refusals"), _counts(refused))
    again = {reason.replace("_", " "): count for reason, count in found.retried.items()}
    reasons = table("Calls made again, by reason", ("reason", "calls"), _counts(again))
    if not attempts:
        return ""
    none = "" if refused or again else "None was refused and none was made again."
    held = found.retried[RATE_LIMITED]
    more = f"{number(held)} were made again because of a rate limit, which is no failure." if held else ""
    return section("Calls", none or more, f'<div class="pair"><div>{attempts}</div><div>{limits}{reasons}</div></div>')


def _counts(counts: Mapping[str, int]) -> Iterable[tuple[str, str]]:
    often = sorted(counts.items(), key=lambda item: -item[1])
    return [(what, number(count)) for what, count in often[:_MOST_ROWS]]


def _limits(job: Job, summary: Summary) -> str:
    gauges = sorted(job.meter.gauges.items(), key=lambda item: -item[1].share)
    rows = [
        (
            f"{limit_words(limit, gauge)} of {shown(key)}, from {_SOURCES.get(gauge.source, gauge.source)}",
            f"{gauge.share:.0%}",
            _share(gauge.others_share if job.engine.tells_others else None),
        )
        for (key, limit), gauge in gauges[:_MOST_ROWS]
    ]
    content = table("Limits of the run", ("limit", "used", "by others"), rows, hidden=True)
    more = len(gauges) - _MOST_ROWS
    about = f"The {_MOST_ROWS} used most; there were {more} more." if more > 0 else ""
    return section("Limits", about, content) if content else ""


def _share(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.0%}"


def _failed(job: Job) -> str:
    content = table("Failed rows by code", ("code", "rows"), _counts(job.tally.codes), hidden=True)
    return section("Rows that failed in this run", "", content) if content else ""


def _models(job: Job) -> str:
    rows = [
        (asked or "unnamed", name or "unnamed", number(seen.rows), _date(seen.first_s), _date(seen.last_s))
        for asked, names in job.tally.snapshots.items()
        for name, seen in names.items()
    ]
    heads = ("asked for", "answered as", "rows", "first", "last")
    content = table("Models", heads, rows[:_MOST_ROWS], names=2, hidden=True)
    return section("Models", "", content) if content else ""


def _date(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).isoformat(sep=" ", timespec="seconds").replace("+00:00", " UTC")
