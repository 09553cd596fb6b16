"""
``run --dry-run``: what a run would do.

Law of this file: all is checked that a run checks before its first call, in the
same words; no call is made and no file is touched. It is told on stderr, for
stdout carries rows only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..bulk.fingerprints import Fingerprints
from ..bulk.forecast import Forecast
from ..bulk.preview import preview
from ..bulk.shards import ShardWalk, parts_of
from ..bulk.source import Source
from ..bulk.walk import Walk
from ..errors import ConfigurationError
from . import outlook
from .counter import counter_of
from .report import lines
from .report_file import checked
from .target import base_url, job_of, known_limits, new_client, store_of
from .voice import Voice

_UNKNOWN = "a run reads the limits off the answers"


def dry_run(options: Mapping[str, Any], voice: Voice) -> int:
    """Say what a run of *options* would do; 0, or 1 when some lines of the input cannot be sent."""
    new_client(options, store_of(options))
    counter = counter_of(options, voice)
    checked(options, options["input"], touches=False)
    source = Source.open(options["input"])
    try:
        if not source.regular:
            raise ConfigurationError("a dry run reads a file: save what comes through the pipe first")
        forecast = Forecast(_walk(options, source), counter)
        with source.reading():
            forecast.read(source.lines())
    finally:
        source.close()
    quotas = known_limits(options)
    told = [
        ("dry run", "nothing was sent, nothing was written"),
        ("server", base_url(options["base_url"])),
        *outlook.table(forecast, quotas, _UNKNOWN),
    ]
    for line in lines(told):
        voice.write(line)
    return 0 if outlook.is_well(forecast, quotas) else 1


def _walk(options: Mapping[str, Any], source: Source) -> Walk:
    rerun_edited = options["rerun_edited"]
    if options["overwrite"] or options["out_path"] == "-":
        return ShardWalk(Fingerprints(), rerun_edited, shard=options["shard"])
    ledger = preview(_outs(options), source, job_of(options, source), rerun_edited=rerun_edited)
    return ShardWalk(ledger.table, rerun_edited, ledger.resumes, shard=options["shard"])


def _outs(options: Mapping[str, Any]) -> list[str]:
    """The output, or the shards of it that were begun."""
    out = options["out_path"]
    begun = list(parts_of(out).values()) if options["engine"] == "ray" else []
    return begun or [out]
