"""
``retry``: the failed rows of a job once more.

Law of this file: a run like any other, over the rows that ``bulk.retry`` chooses.
Without IN it reads the file that the job file names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...bulk import manifest
from ...bulk.disk import DISK, Disk
from ...bulk.journal import refused
from ...bulk.manifest import Paths
from ...bulk.output import Output
from ...bulk.retry import Chosen, Codes, RetryWalk, set_aside
from ...bulk.sharded import ShardedOutput
from ...bulk.shards import parts_of
from ...bulk.source import Source
from ...bulk.walk import Walk
from ...errors import ConfigurationError
from ..args import Request
from ..target import with_shard
from ..voice import Voice
from . import run


def main(request: Request, voice: Voice) -> int:
    """Run them."""
    options = with_shard({**request.options, "overwrite": False})
    if options["out_path"] == "-":
        raise ConfigurationError("retry needs the output of a run: rows on stdout leave nothing to retry")
    paths = _paths(options)
    input_ = options["input"] or _input_of(paths)
    return run.carry_out(Request(request.command, options, request.argv), voice, input_, open_retry)


def _paths(options: Mapping[str, Any]) -> Paths:
    """The files of the output; of one in shards those of the first that was begun."""
    out = options["out_path"]
    begun = parts_of(out).values() if options["engine"] == "ray" else ()
    return Paths(next(iter(begun), out))


def _set_aside(output: Output, codes: Codes) -> Chosen:
    """The same for an output and for each of its shards."""
    parts = output.parts if isinstance(output, ShardedOutput) else [output]
    found = [set_aside(part, codes) for part in parts]
    marks = frozenset(mark for chosen in found for mark in chosen.marks)
    return Chosen(marks, frozenset(line for chosen in found for line in chosen.lines))


def _input_of(paths: Paths) -> str:
    """Where the rows of an output came from."""
    job = manifest.load(paths.manifest)
    if job is None:
        raise ConfigurationError(f"{paths.manifest} is not there to say where rows came from: give IN")
    if job.input == "-":
        raise ConfigurationError(f"the rows of {paths.out} came from stdin: give IN")
    return job.input


def open_retry(
    options: Mapping[str, Any], source: Source, rows: int | None, voice: Voice, *, disk: Disk = DISK
) -> tuple[Output, Walk, str | None]:
    """The plan of ``retry``: what failed, mended or not."""
    paths = _paths(options)
    if manifest.load(paths.manifest) is None:
        raise ConfigurationError(f"{paths.out} is the output of no run: there is nothing to retry")
    # Rows that were mended run as they are now; which rows run at all is chosen by name.
    output = run.open_files(options, source, voice, rerun_edited=True, disk=disk)
    try:
        chosen = _set_aside(output, options["codes"] or Codes())
    except OSError as error:
        output.close()
        raise refused(paths.errors, error) from None
    walk = RetryWalk(output.ledger.table, True, source.regular, chosen=chosen, shard=options["shard"])
    count = len(chosen.marks)
    what = "row is" if count == 1 else "rows are"
    return output, walk, f"{count} failed {what} run again" if count else "no row is to be run again"
