"""
What a run would find in its output, looked at without touching it.

Law of this file: every refusal of ``output.open_output`` that follows from the
files is a refusal here, in the same words; nothing is made, cut or locked.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from ..errors import ConfigurationError
from . import manifest
from .fingerprints import State
from .ledger import Ledger, edited_rows
from .manifest import Manifest, Paths
from .output import edited_sentence
from .source import Source
from .standing import opened


def preview(outs: Sequence[str], source: Source, job: Manifest, *, rerun_edited: bool) -> Ledger:
    """
    What earlier runs of *job* left in its output, or in the shards of it.

    Raises:
        ConfigurationError: it belongs to another job, or finished rows were edited.
    """
    ledger = Ledger()
    with contextlib.ExitStack() as closing:
        fds = [fd for out in outs for fd in _take_in(Paths(out), source, ledger, closing)]
        if not ledger.resumes:
            return ledger
        for out in outs:
            known = manifest.load(Paths(out).manifest)
            different = None if known is None else known.disagreement(job)
            if different is not None:
                raise ConfigurationError(f"{out} belongs to another job: {different}; give another output")
        if source.regular and not rerun_edited:
            edited = edited_rows(source, ledger.table, fds)
            if edited:
                raise ConfigurationError(edited_sentence(edited, outs[0]))
    return ledger


def _take_in(paths: Paths, source: Source, ledger: Ledger, closing: contextlib.ExitStack) -> Iterator[int]:
    """Read the two files of an output; gives those that are there, open."""
    if not os.path.isdir(os.path.dirname(paths.out) or "."):
        raise ConfigurationError(f"{paths.out} cannot be written: there is no folder {os.path.dirname(paths.out)}")
    for path, state in ((paths.out, State.DONE), (paths.errors, State.FAILED)):
        if os.path.lexists(path):
            fd = closing.enter_context(opened(path))
            if source.is_file(os.fstat(fd)):
                raise ConfigurationError(f"the input {source.path} would be written to: give another output")
            ledger.read(fd, path, state)
            yield fd
