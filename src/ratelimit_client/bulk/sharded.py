"""
An output in shards that one run writes.

Law of this file: the files are those of ``--shard I/N``, to the last byte and by the same
rule: a row's line is in the shard of its ``custom_id``. So what one way began another
goes on with, and ``status`` reads both. The number of shards is settled by the first run.

All is refused or nothing is: every file is opened, locked and read before one is changed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from ..errors import ConfigurationError
from . import journal, manifest
from .disk import DISK, Disk
from .fingerprints import State
from .journal import Journal, Tail
from .ledger import Ledger
from .manifest import InputState, Manifest, Paths
from .output import Output, empty, known_job, refuse_edited, refuse_input_as_output
from .shards import Shard, parts_of, remainder
from .source import Source

_NAME: Final = re.compile(rb'\{"id": "rlc_[0-9a-f]{20}", "custom_id": (null|"(?:[^"\\]|\\.)*")')


@attrs.define(eq=False)
class Shards:
    """
    The journals of one kind, as if they were one.

    Args:
        journals: says which they are now: a retry renews them.
    """

    journals: Callable[[], Sequence[Journal]]

    def append(self, line: bytes) -> None:
        """Hand over *line* to the shard of its row."""
        journals = self.journals()
        journals[shard_of(line, len(journals))].append(line)

    @property
    def failed(self) -> OSError | None:
        """Why rows of some shard could not be written, or None."""
        return next((each.failed for each in self.journals() if each.failed is not None), None)

    @property
    def name(self) -> str:
        """Of the file that failed; else of the first."""
        journals = self.journals()
        return next((each.name for each in journals if each.failed is not None), journals[0].name)

    @property
    def unwritten(self) -> int:
        """Lines that are in no file."""
        return sum(each.unwritten for each in self.journals())


def shard_of(line: bytes, of: int) -> int:
    """The shard, from 0, of a line of an output; one that names no row is in the first."""
    found = _NAME.match(line)
    name = None if found is None else json.loads(found[1])
    return 0 if name is None else remainder(name, of)


@attrs.define(eq=False)
class ShardedOutput(Output):
    """
    Args:
        parts: the shards in order, each with its own files, all with one ledger.
    """

    parts: list[Output] = attrs.field(kw_only=True)

    @property
    def failed(self) -> OSError | None:
        return next((part.failed for part in self.parts if part.failed is not None), None)

    def on_failure(self, tell: Callable[[OSError], None]) -> None:
        for part in self.parts:
            part.on_failure(tell)

    def readable(self) -> list[int]:
        return [fd for part in self.parts for fd in part.readable()]

    async def sync(self) -> None:
        for part in self.parts:
            await part.sync()

    def note_rows(self, rows: int) -> None:
        for part in self.parts:
            part.note_rows(rows)

    def close(self) -> None:
        for part in self.parts:
            part.close()


def number_of(out: str, workers: int) -> int:
    """
    In how many shards *out* is written: as many as it was begun in, else one for each worker.

    Raises:
        ConfigurationError: it was begun whole, or in two ways.
    """
    begun = {part.of for part in parts_of(out)}
    if len(begun) > 1:
        raise ConfigurationError(
            f"{out} was begun in {' and '.join(map(str, sorted(begun)))} shards: move one of them away, or give "
            "another output"
        )
    if os.path.isfile(out) and os.path.getsize(out):
        raise ConfigurationError(
            f"{out} was begun by one process: leave --engine ray out to go on with it, or give another output"
        )
    return begun.pop() if begun else workers


def open_sharded(
    out: str,
    of: int,
    source: Source,
    job: Manifest,
    *,
    overwrite: bool = False,
    rerun_edited: bool = False,
    disk: Disk = DISK,
) -> ShardedOutput:
    """
    Open or create the files of all *of* shards and mend what a crash left.

    Raises:
        ConfigurationError: as of ``open_output``; nothing was changed.
        OSError: there is no room for them.
    """
    if not os.path.isdir(os.path.dirname(out) or "."):
        raise ConfigurationError(f"{out} cannot be written: there is no folder {os.path.dirname(out)}")
    job = attrs.evolve(job, of_all=True)
    ledger, paths = Ledger(), Paths(f"{out}.*-of-{of}")  # as people are told of them
    with contextlib.ExitStack() as undo:
        parts = [_open(Paths(Shard(number, of).path(out)), source, ledger, disk, undo) for number in range(1, of + 1)]
        try:
            if overwrite:
                for part in parts:
                    empty(_paths(part), part.answers, part.errors)
            else:
                job = _continue(parts, paths.out, source, job, ledger, rerun_edited)
            for part in parts:
                part.manifest = job
                manifest.save(_paths(part).manifest, job, disk)
        except OSError as error:
            raise journal.refused(error.filename or out, error) from None
        undo.pop_all()
    answers: Any = Shards(lambda: [part.answers for part in parts])
    errors: Any = Shards(lambda: [part.errors for part in parts])
    return ShardedOutput(answers, errors, ledger, paths, job, parts=parts)


def _open(paths: Paths, source: Source, ledger: Ledger, disk: Disk, undo: contextlib.ExitStack) -> Output:
    refuse_input_as_output(paths, source)
    journal.check_kind(paths.manifest)
    found = []
    for path in (paths.out, paths.errors):
        fd = journal.open_file(path, disk)
        undo.callback(os.close, fd)
        found.append(Journal(fd, path, disk=disk))
        if path == paths.out:
            journal.lock(fd, path)
    return Output(found[0], found[1], ledger, paths)


def _continue(
    parts: Sequence[Output], out: str, source: Source, job: Manifest, ledger: Ledger, rerun_edited: bool
) -> Manifest:
    """What is there, once it is sure to be ours; then the ends of all files are mended."""
    tails: list[tuple[Output, Journal, Tail]] = []
    for part in parts:
        for file, state in ((part.answers, State.DONE), (part.errors, State.FAILED)):
            tails.append((part, file, ledger.read(file.fd, file.name, state)))
    if ledger.resumes:
        known = [known_job(_paths(part), job) for part in parts]
        if source.regular and not rerun_edited:
            checked = InputState.of(source.fd)
            if any(each is None or each.checked != checked for each in known):
                refuse_edited(out, source, ledger, [fd for part in parts for fd in part.readable()])
            job = attrs.evolve(job, checked=checked)
    for part, file, tail in tails:
        journal.mend(file.fd, tail, _paths(part).torn, file.disk)
    return job


def _paths(part: Output) -> Paths:
    assert part.paths is not None, "a shard has files"
    return part.paths
