"""
``run``: answer every row of a file.

Law of this file: set-up, hand-over and farewell. Everything that can be refused
is refused before the loop starts; the loop runs the job and the display; the
summary says how it went.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ... import __version__
from ...adapters.aiohttp.client import Client
from ...bulk.engines.local import LocalEngine
from ...bulk.job import Bounds, Job
from ...bulk.manifest import Manifest, masked
from ...bulk.output import Output, open_output, to_stdout
from ...bulk.source import Source
from ...bulk.stops import Stop, Why
from ...bulk.summary import Summary, summarise, write_facts
from ...bulk.walk import Walk
from ...core.retry import RetryPolicy
from ...errors import ConfigurationError
from ..args import Request
from ..metrics import page
from ..options import quotas_by_model
from ..progress import display_for, keep_showing
from ..target import base_url
from ..view import look
from ..voice import PROGRAM, Handler, Voice

_SIGNALS = {signal.SIGINT: Why.SIGINT, signal.SIGTERM: Why.SIGTERM}
# Must not be in the command that resumes: it would throw away what is there.
_ONCE = "--overwrite"


def main(request: Request, voice: Voice) -> int:
    """Run the job of *request*."""
    options = request.options
    if options["engine"] == "ray":
        raise ConfigurationError("--engine ray is not available yet: leave it out, and this process makes the calls")
    handler = Handler(voice)
    logging.getLogger("ratelimit_client").addHandler(handler)
    try:
        return _main(request, voice)
    finally:
        logging.getLogger("ratelimit_client").removeHandler(handler)


def _main(request: Request, voice: Voice) -> int:
    options = request.options
    source = Source.open(options["input"])
    try:
        client = _client(options)
        output = _output(options, source, voice)
        job = _job(options, source, output, client)
        command = resume_command(request)
        summary = asyncio.run(_run(job, client, command, voice, options))
    finally:
        source.close()
    _say_summary(summary, options, voice)
    return summary.exit_code


def resume_command(request: Request) -> list[str]:
    """What to type to go on; values of --query may be keys and are masked."""
    words = [PROGRAM]
    hide = False
    for word in request.argv:
        if word == _ONCE:
            continue
        if word.startswith("--query="):
            words.append("--query=" + _hidden(word.removeprefix("--query=")))
        else:
            words.append(_hidden(word) if hide else word)
        hide = word == "--query"
    return words


def _hidden(pair: str) -> str:
    name, _, _ = pair.partition("=")
    return pair if name == "api-version" else f"{name}=***"


# -- set-up ---------------------------------------------------------------------------


def _client(options: Mapping[str, Any]) -> Client:
    try:
        return _new_client(options)
    except LookupError as error:
        raise ConfigurationError(f"--dialect: {error.args[0] if error.args else error}") from None


def _new_client(options: Mapping[str, Any]) -> Client:
    return Client(
        options["base_url"],
        api_key=options.get("api_key"),
        quotas=quotas_by_model(options["limit"] or ()),
        name="bulk",
        dialect=options["dialect"],
        max_in_flight=options["max_in_flight"],
        retry=RetryPolicy.bulk(max_attempts=options["max_attempts"]),
        default_query=dict(options["query"] or ()),
        allow_insecure=options["allow_insecure"],
    )


def _output(options: Mapping[str, Any], source: Source, voice: Voice) -> Output:
    if options["out_path"] == "-":
        return to_stdout()
    job = Manifest(
        input=source.path if source.path == "-" else os.path.abspath(source.path),
        base_url=base_url(options["base_url"]),
        query=masked(dict(options["query"] or ())),
        library=__version__,
    )
    output = open_output(
        options["out_path"],
        source,
        job,
        overwrite=options["overwrite"],
        rerun_edited=options["rerun_edited"],
    )
    for path, number in output.ledger.bad:
        voice.say(f"{path}: line {number} cannot be read and is ignored; its row runs again", level="warning")
    more = output.ledger.bad_count - len(output.ledger.bad)
    if more > 0:
        voice.say(f"{more} more lines cannot be read", level="warning")
    return output


def _job(options: Mapping[str, Any], source: Source, output: Output, client: Client) -> Job:
    bounds = Bounds(
        grace_s=options["grace"],
        max_time_s=options["max_time"],
        max_rows=options["max_rows"],
        max_outage_s=options["max_outage"],
    )
    return Job(
        source,
        output,
        LocalEngine(client, priority=options["priority"], deadline_s=options["deadline"]),
        Walk(
            output.ledger.table,
            rerun_edited=options["rerun_edited"],
            glances=source.regular and output.ledger.resumes,
        ),
        bounds=bounds,
        monotonic_ns=time.monotonic_ns,
        wall_s=time.time,
        rows_expected=source.count(),
    )


# -- the run --------------------------------------------------------------------------


async def _run(
    job: Job, client: Client, command: Sequence[str], voice: Voice, options: Mapping[str, Any]
) -> Summary:
    display = display_for(options["progress"], voice, os.environ)
    _say_start(job, voice)
    showing = asyncio.create_task(keep_showing(display, lambda: look(job)), name="progress")
    try:
        with _signals(job, command, voice):
            async with page(options["metrics"], job, client, os.path.basename(options["out_path"]), voice):
                await job.run()
    finally:
        showing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await showing
        display.close(look(job))
        job.output.close()
        summary = summarise(job, command)
        await client.close()
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


def _say_start(job: Job, voice: Voice) -> None:
    if not job.output.ledger.resumes:
        return
    done = len(job.output.ledger.table)
    of = f" of {job.rows_expected}" if job.rows_expected is not None else ""
    voice.say(f"{done}{of} already done")


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
