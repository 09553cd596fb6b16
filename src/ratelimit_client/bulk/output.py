"""
OUT and the files beside it, opened for one run.

Law of this file: everything that could be refused is refused before the first
call is paid for and before anything is changed, and nothing of another job is
ever touched without being told to.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable

import attrs

from ..errors import ConfigurationError
from . import journal, manifest
from .disk import DISK, Disk
from .fingerprints import State
from .journal import Journal
from .ledger import SHOWN, Edited, Ledger, edited_rows
from .manifest import InputState, Manifest, Paths
from .source import Source


@attrs.define(eq=False)
class Output:
    """
    Where finished rows go.

    Args:
        answers, errors: the two journals; the same one when rows go to stdout.
        ledger: what was there before.
        paths: the names of the files; None when rows go to stdout.
        manifest: what ``OUT.job.json`` says.
    """

    answers: Journal
    errors: Journal
    ledger: Ledger
    paths: Paths | None = None
    manifest: Manifest | None = None

    @property
    def failed(self) -> OSError | None:
        """Why rows could not be written, or None."""
        return self.answers.failed or self.errors.failed

    def on_failure(self, tell: Callable[[OSError], None]) -> None:
        """Call *tell* when rows cannot be written."""
        self.answers.on_failure = self.errors.on_failure = tell

    def readable(self) -> list[int]:
        """The files that say which rows are finished, to be read again."""
        return [] if self.paths is None else [self.answers.fd, self.errors.fd]

    async def sync(self) -> None:
        """Wait until all that was written is on the disk."""
        await self.answers.sync()
        await self.errors.sync()

    def note_rows(self, rows: int) -> None:
        """The input has been read to its end."""
        if self.paths is not None and self.manifest is not None and self.manifest.rows != rows:
            self.manifest = attrs.evolve(self.manifest, rows=rows)
            with contextlib.suppress(OSError):  # it is a note for people; the rows are what counts
                manifest.save(self.paths.manifest, self.manifest, self.answers.disk)

    def close(self) -> None:
        """Write and sync what is left, and let go of the files; an empty errors file goes."""
        if self.errors is not self.answers:
            if self.paths is not None and self.errors.is_empty():
                with contextlib.suppress(OSError):
                    self.errors.disk.unlink(self.paths.errors)
            self.errors.close()
        self.answers.close()


def to_stdout() -> Output:
    """Rows and failed rows to stdout: no journal, nothing to resume."""
    try:
        fd = sys.stdout.fileno()
    except (AttributeError, ValueError, OSError):
        raise ConfigurationError("stdout is closed: give an output file") from None
    both = Journal(fd, "stdout", durable=False)
    return Output(both, both, Ledger())


def open_output(
    out: str,
    source: Source,
    job: Manifest,
    *,
    overwrite: bool = False,
    rerun_edited: bool = False,
    disk: Disk = DISK,
) -> Output:
    """
    Open or create the files of *job* and mend what a crash left.

    Raises:
        ConfigurationError: they cannot be written, another run has them, they belong to another job, they are the
            input, or finished rows were edited; nothing was changed.
        OSError: there is no room for them.
    """
    paths = Paths(out)
    refuse_input_as_output(paths, source)
    journal.check_kind(paths.manifest)
    if not os.path.isdir(os.path.dirname(out) or "."):
        raise ConfigurationError(f"{out} cannot be written: there is no folder {os.path.dirname(out)}")
    with contextlib.ExitStack() as undo:
        answers_fd = journal.open_file(out, disk)
        undo.callback(os.close, answers_fd)
        journal.lock(answers_fd, out)
        errors_fd = journal.open_file(paths.errors, disk)
        undo.callback(os.close, errors_fd)
        answers, errors = Journal(answers_fd, out, disk=disk), Journal(errors_fd, paths.errors, disk=disk)
        try:
            if overwrite:
                ledger = empty(paths, answers, errors)
            else:
                ledger, job = _continue(paths, source, job, answers, errors, rerun_edited)
            manifest.save(paths.manifest, job, disk)
        except OSError as error:
            raise journal.refused(error.filename or out, error) from None
        undo.pop_all()
    return Output(answers, errors, ledger, paths, job)


def refuse_input_as_output(paths: Paths, source: Source) -> None:
    """No file of an output may be the input."""
    for path in (paths.out, paths.errors, paths.manifest, paths.torn):
        try:
            found = os.stat(path)
        except OSError:
            continue
        if source.is_file(found):
            raise ConfigurationError(f"the input {source.path} would be written to as {path}: give another output")


def empty(paths: Paths, answers: Journal, errors: Journal) -> Ledger:
    """Begin anew: what the files hold goes."""
    for journal_ in (answers, errors):
        journal_.disk.truncate(journal_.fd, 0)
    with contextlib.suppress(FileNotFoundError):
        answers.disk.unlink(paths.torn)
    return Ledger()


def _continue(
    paths: Paths, source: Source, job: Manifest, answers: Journal, errors: Journal, rerun_edited: bool
) -> tuple[Ledger, Manifest]:
    """What is there, once it is sure to be ours; then its ends are mended."""
    ledger = Ledger()
    states = ((answers, State.DONE), (errors, State.FAILED))
    tails = [(file, ledger.read(file.fd, file.name, state)) for file, state in states]
    if ledger.resumes:
        job = _same_job(paths, source, job, ledger, (answers.fd, errors.fd), rerun_edited)
    for file, tail in tails:
        journal.mend(file.fd, tail, paths.torn, file.disk)
    return ledger, job


def _same_job(
    paths: Paths, source: Source, job: Manifest, ledger: Ledger, fds: tuple[int, int], rerun_edited: bool
) -> Manifest:
    known = known_job(paths, job)
    if rerun_edited or not source.regular:
        return job
    state = InputState.of(source.fd)
    if known is None or known.checked != state:
        refuse_edited(paths.out, source, ledger, fds)
    return attrs.evolve(job, checked=state)


def known_job(paths: Paths, job: Manifest) -> Manifest | None:
    """
    What ``OUT.job.json`` says, None when there is none.

    Raises:
        ConfigurationError: it is another job.
    """
    known = manifest.load(paths.manifest)
    different = None if known is None else known.disagreement(job)
    if different is not None:
        raise ConfigurationError(
            f"{paths.out} belongs to another job: {different}; give another output, or --overwrite to replace it"
        )
    return known


def refuse_edited(out: str, source: Source, ledger: Ledger, fds: Iterable[int]) -> None:
    """
    See that no finished row of *source* was edited since.

    Raises:
        ConfigurationError: some were; says which.
    """
    edited = edited_rows(source, ledger.table, fds)
    if edited:
        raise ConfigurationError(edited_sentence(edited, out))


def edited_sentence(edited: list[Edited], out: str) -> str:
    """The first ten edited rows, for people."""
    shown = ", ".join(f"{row.custom_id[:64]!r} (line {row.number})" for row in edited[:SHOWN])
    more = f" and {len(edited) - SHOWN} more" if len(edited) > SHOWN else ""
    rows = "1 row was" if len(edited) == 1 else f"{len(edited)} rows were"
    return (
        f"{rows} edited after an answer or an error was written to {out}: {shown}{more}; "
        "--rerun-edited runs them again and appends, another output starts anew"
    )
