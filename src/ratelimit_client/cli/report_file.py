"""
``--report``: where the page of a run goes.

Law of this file: nothing is loaded unless it is asked for; a place that cannot be is refused before
the first call, and a page that could not be written in the end does not make the run a failure.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..bulk.job import Job
from ..bulk.summary import Summary
from .voice import Voice


def checked(options: Mapping[str, Any], input_: str, *, touches: bool = True) -> str | None:
    """
    The file of the page, or None where none is asked for.

    Args:
        touches: try whether a file can be made there.

    Raises:
        ConfigurationError: it cannot be written there, or must not.
    """
    path = options["report"]
    if path is None:
        return None
    from ..bulk.report import check, probe

    others = [each for each in (input_, options["summary_file"], options["state"]) if each not in (None, "-")]
    found = check(path, options["out_path"], others)
    if touches:
        probe(path, found)
    return found


def write_report(found: str | None, job: Job, summary: Summary, options: Mapping[str, Any], voice: Voice) -> None:
    """Write the page of a run that began; what goes wrong is a warning."""
    if found is None or job.ended_ns is None:
        return
    from ..bulk.report import page, write

    out = options["out_path"]
    try:
        write(found, page(job, summary, "rows to stdout" if out == "-" else os.path.basename(out)))
    except OSError as error:
        voice.say(f"{options['report']} could not be written: {error.strerror}", level="warning")
