"""
``run``: answer every row of a file.

Law of this file: set-up, hand-over and farewell. Everything that can be refused
is refused before the loop starts; the loop runs the job and the display; the
summary says how it went.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import shlex
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from ...bulk.disk import DISK, Disk
from ...bulk.engines import Engine
from ...bulk.engines.local import LocalEngine
from ...bulk.job import Bounds, Job
from ...bulk.output import Output, open_output, to_stdout
from ...bulk.shards import ShardWalk
from ...bulk.source import Source
from ...bulk.state import State, load, save
from ...bulk.stops import Stop, Why
from ...bulk.summary import Summary, summarise, write_facts
from ...bulk.walk import Walk
from ..args import Request
from ..counter import counter_of
from ..metrics import page
from ..options import pair_shown, url_shown
from ..progress import display_for, keep_showing
from ..report_file import checked, write_report
from ..target import base_url, job_of, new_client, store_of, with_shard
from ..view import Watch
from ..voice import PROGRAM, Voice, log_events_of, logging_to

_SIGNALS = {signal.SIGINT: Why.SIGINT, signal.SIGTERM: Why.SIGTERM}
# New objects, of those that may be in cycles, after which they are looked for: all that hundreds of rows bring.
_YOUNG = 10_000
# Must not be in the command that resumes: it would throw away what is there.
_ONCE = "--overwrite"
# What may hold a key or a password, and how it is shown.
_MASKED: Final[Mapping[str, Callable[[str], str]]] = {"--query": pair_shown, "--store": url_shown}

# How a command finds its files and its rows: options, input, lines of it -> output, walk, what to say at the start.
SetUp = Callable[
    [Mapping[str, Any], str, Voice], contextlib.AbstractContextManager[tuple[Mapping[str, Any], Source, Engine]]
]
"""Options, input -> the options as they are then, the input opened, and who makes the calls."""

Plan = Callable[[Mapping[str, Any], Source, int | None, Voice], tuple[Output, Walk, str | None]]


def main(request: Request, voice: Voice) -> int:
    """Run the job of *request*."""
    request = attrs.evolve(request, options=with_shard(request.options))
    if request.options["dry_run"]:
        from ..dry_run import dry_run  # what only a plan needs

        return dry_run(request.options, voice)
    return carry_out(request, voice, request.options["input"], open_run)


def carry_out(request: Request, voice: Voice, input_: str, plan: Plan) -> int:
    """Open what *plan* says, run the job, say how it went."""
    with logging_to(voice):
        return _carry_out(request, voice, input_, plan)


def _carry_out(request: Request, voice: Voice, input_: str, plan: Plan) -> int:
    options = request.options
    report = checked(options, input_)
    learnt = load(options["state"], now_s=time.time()) if options["state"] else State()
    with _set_up(options)(options, input_, voice) as (options, source, engine):
        rows = source.count() if options["shard"] is None else None
        output, walk, words = plan(options, source, rows, voice)
        job = _job(options, source, output, engine, walk, rows)
        job.engine.priors = learnt.of(base_url(options["base_url"]))
        if words:
            voice.say(words)
        with _collected_seldom():
            summary = asyncio.run(_run(job, resume_command(request), voice, options, report))
    if options["state"]:
        _save_state(options, learnt, job, voice)
    _say_summary(summary, options, voice)
    return summary.exit_code


def _set_up(options: Mapping[str, Any]) -> SetUp:
    """Where a run gets its input and its engine."""
    if options["engine"] != "ray":
        return _here
    from ..cluster import with_cluster  # and what only workers need

    return with_cluster


@contextlib.contextmanager
def _here(options: Mapping[str, Any], input_: str, voice: Voice) -> Iterator[tuple[Mapping[str, Any], Source, Engine]]:
    """The input, and an engine of this process."""
    source = Source.open(input_)
    try:
        store = store_of(options)
        client = new_client(options, store)
        client.counter = counter_of(options, voice)
        log_events_of(client.limiter)
        yield options, source, LocalEngine(client, options["priority"], options["deadline"], store=store)
    finally:
        source.close()


@contextlib.contextmanager
def _collected_seldom() -> Iterator[None]:
    """
    Look for cycles where there may be some, and not at what stands to the end.

    A row leaves none, and those under way alone would set the collector off many times a second.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _save_state(options: Mapping[str, Any], learnt: State, job: Job, voice: Voice) -> None:
    now_s = time.time()
    state = learnt.after(base_url(options["base_url"]), job.engine.statistics(), now_s=now_s)
    try:
        save(options["state"], state)
    except OSError as error:
        voice.say(f"{options['state']} could not be written: {error.strerror}", level="warning")


def open_run(
    options: Mapping[str, Any], source: Source, rows: int | None, voice: Voice, *, disk: Disk = DISK
) -> tuple[Output, Walk, str | None]:
    """The plan of ``run``: whatever has no line yet."""
    output = open_files(options, source, voice, rerun_edited=options["rerun_edited"], disk=disk)
    ledger = output.ledger
    glances = source.regular and ledger.resumes
    walk = ShardWalk(ledger.table, options["rerun_edited"], glances, shard=options["shard"])
    of = f" of {rows}" if rows is not None else ""
    return output, walk, f"{len(ledger.table)}{of} already done" if ledger.resumes else None


def resume_command(request: Request) -> list[str]:
    """What to type to go on; values of --query and --store may hold keys and are masked."""
    words = [PROGRAM]
    hide: Callable[[str], str] | None = None
    for word in request.argv:
        if word == _ONCE:
            continue
        flag, sign, value = word.partition("=")
        if sign and flag in _MASKED:
            words.append(f"{flag}={_MASKED[flag](value)}")
        else:
            words.append(hide(word) if hide else word)
        hide = _MASKED.get(word)
    return words


# -- set-up ---------------------------------------------------------------------------


def open_files(
    options: Mapping[str, Any], source: Source, voice: Voice, *, rerun_edited: bool, disk: Disk = DISK
) -> Output:
    """OUT and what belongs to it, mended; lines that cannot be read are told."""
    if options["out_path"] == "-":
        return to_stdout()
    out, job = options["out_path"], job_of(options, source)
    how: dict[str, Any] = {"overwrite": options["overwrite"], "rerun_edited": rerun_edited, "disk": disk}
    if options["engine"] == "ray":
        from ...bulk.sharded import number_of, open_sharded  # what only a cluster needs

        output: Output = open_sharded(out, number_of(out, options["ray_workers"]), source, job, **how)
    else:
        output = open_output(out, source, job, **how)
    for path, number in output.ledger.bad:
        voice.say(f"{path}: line {number} cannot be read and is ignored; its row runs again", level="warning")
    more = output.ledger.bad_count - len(output.ledger.bad)
    if more > 0:
        voice.say(f"{more} more lines cannot be read", level="warning")
    return output


def _job(
    options: Mapping[str, Any], source: Source, output: Output, engine: Engine, walk: Walk, rows: int | None
) -> Job:
    bounds = Bounds(
        grace_s=options["grace"],
        max_time_s=options["max_time"],
        max_rows=options["max_rows"],
        max_outage_s=options["max_outage"],
    )
    job = Job(
        source,
        output,
        engine,
        walk,
        bounds=bounds,
        monotonic_ns=time.monotonic_ns,
        wall_s=time.time,
        rows_expected=rows,
        is_retry=not walk.skips_failed,
    )
    engine.on_stop(job.end)
    return job


# -- the run --------------------------------------------------------------------------


async def _run(
    job: Job, command: Sequence[str], voice: Voice, options: Mapping[str, Any], report: str | None
) -> Summary:
    display = display_for(options["progress"], voice, os.environ, out=options["out_path"])
    watch = Watch(job)
    showing = asyncio.create_task(keep_showing(display, watch.look), name="progress")
    try:
        with _signals(job, command, voice):
            async with page(options["metrics"], job, os.path.basename(options["out_path"]), voice):
                await job.engine.open()
                await job.run()
    finally:
        showing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await showing
        display.close(watch.look())
        job.close_output()
        summary = summarise(job, command)
        write_report(report, job, summary, options, voice)
        await job.engine.close()
    return summary


@contextlib.contextmanager
def _signals(job: Job, command: Sequence[str], voice: Voice) -> Iterator[None]:
    """The first signal drains, the second aborts."""
    loop = asyncio.get_running_loop()
    again = shlex.join(command)

    def on_signal(number: signal.Signals) -> None:
        if job.stop is not None and job.stop.why in _SIGNALS.values():
            voice.say(f"{number.name} again: not waiting for {len(job.lanes.tasks)} rows. To go on: {again}")
            job.abort()
            return
        job.end(Stop(_SIGNALS[number], f"by {number.name}"))
        bound = "" if number is signal.SIGINT else f" for at most {job.bounds.grace_s:g} s"
        voice.say(
            f"{number.name}: waiting{bound} for {job.engine.in_flight()} calls under way; once more aborts. "
            f"To go on later: {again}"
        )

    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def _say_summary(summary: Summary, options: Mapping[str, Any], voice: Voice) -> None:
    for line in summary.lines:
        voice.write(line) if not voice.as_json else None
    if voice.as_json:
        voice.say("; ".join(summary.lines))
    path = options["summary_file"]
    if path:
        try:
            write_facts(path, summary.facts)
        except OSError as error:
            voice.say(f"{path} could not be written: {error.strerror}", level="warning")
