"""
What a run would find in its output, looked at without touching it.

Law of this file: every refusal of ``output.open_output`` that follows from the
files is a refusal here, in the same words; nothing is made, cut or locked.
"""

from __future__ import annotations

import os

from ..errors import ConfigurationError
from . import manifest
from .fingerprints import State
from .ledger import Ledger, edited_rows
from .manifest import Manifest, Paths
from .output import edited_sentence
from .source import Source
from .standing import opened


def preview(out: str, source: Source, job: Manifest, *, rerun_edited: bool) -> Ledger:
    """
    What earlier runs of *job* left in *out*.

    Raises:
        ConfigurationError: it belongs to another job, or finished rows were edited.
    """
    paths = Paths(out)
    if not os.path.isdir(os.path.dirname(out) or "."):
        raise ConfigurationError(f"{out} cannot be written: there is no folder {os.path.dirname(out)}")
    ledger = Ledger()
    for path, state in ((paths.out, State.DONE), (paths.errors, State.FAILED)):
        if os.path.lexists(path):
            with opened(path) as fd:
                if source.is_file(os.fstat(fd)):
                    raise ConfigurationError(f"the input {source.path} would be written to: give another output")
                ledger.read(fd, path, state)
    if not ledger.resumes:
        return ledger
    known = manifest.load(paths.manifest)
    different = None if known is None else known.disagreement(job)
    if different is not None:
        raise ConfigurationError(f"{out} belongs to another job: {different}; give another output")
    if source.regular and not rerun_edited:
        _refuse_edited(paths, source, ledger)
    return ledger


def _refuse_edited(paths: Paths, source: Source, ledger: Ledger) -> None:
    with opened(paths.out) as answers:
        if os.path.exists(paths.errors):
            with opened(paths.errors) as errors:
                edited = edited_rows(source, ledger.table, (answers, errors))
        else:
            edited = edited_rows(source, ledger.table, (answers,))
    if edited:
        raise ConfigurationError(edited_sentence(edited, paths.out))
