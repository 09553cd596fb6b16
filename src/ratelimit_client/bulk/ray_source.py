"""
An input that Ray Data reads.

Law of this file: it is an input as any other, line for line. Only the bytes take
another way: they come in pieces, from wherever Ray finds files (``adapters.ray.pieces``).

A single file that this machine has can be looked at again as well, so with it goes all
that goes with a file: its rows are counted, edited rows are found before the first call. Of
anything else the names are kept on the way, as of a pipe. Several files are one after the
other, in the order of their names, and their lines are numbered through.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import attrs

from ..adapters.ray.pieces import Files, Piece, files, is_compressed, pieces
from ..runtime.logs import fields
from .fingerprints import Passed
from .jsonl import Line, Splitter
from .row import Row, read_row
from .skim import Piece as Lines
from .source import Source, unfinished

_log: Final = logging.getLogger(__name__)
_BOM: Final = b"\xef\xbb\xbf"
_NOWHERE: Final = -1


@attrs.define(eq=False)
class RaySource(Source):
    """
    Args:
        found: what Ray Data is to read.
    """

    found: Files = attrs.field(kw_only=True)

    def size(self) -> int | None:
        return super().size() if self.regular else self.found.size

    def count(self) -> int | None:
        return super().count() if self.regular else None

    def is_file(self, other: os.stat_result) -> bool:
        return self.regular and super().is_file(other)

    async def batches(
        self, skip: Callable[[Lines], Passed] | None = None, *, busy: Callable[[], bool] = bool
    ) -> AsyncGenerator[list[Line], None]:
        splitter, torn = Splitter(), False
        async with contextlib.aclosing(_in_a_thread(pieces(self.found.data))) as found:
            async for piece in found:
                if torn:  # a file without its last newline, and another after it
                    yield splitter.feed(b"\n")
                torn, data = piece.torn, piece.data
                if piece.first and splitter.offset:
                    data = data.removeprefix(_BOM)
                for part in (data,) if skip is None else unfinished(data, splitter, skip):
                    yield splitter.feed(part)
        last = splitter.unfinished()
        if last is not None and not isinstance(read_row(last), Row) and self._has_grown(last):
            extra = fields("line_unfinished", line=last.number)
            _log.warning("line %d is not finished: left for the next run", last.number, extra=extra)
            return
        yield splitter.end()

    def _has_grown(self, last: Line) -> bool:
        """Is somebody still writing the file? Then what is half at its end is no line yet."""
        return self.regular and os.fstat(self.fd).st_size - self.start > last.offset + len(last.data)

    def close(self) -> None:
        if self._names is not None:
            self._names.close()
        if self.fd != _NOWHERE:
            os.close(self.fd)


def open_ray_source(path: str) -> RaySource:
    """
    The file, the folder or the address *path*; a cluster is connected.

    Raises:
        ConfigurationError: there is none, or it cannot be read.
    """
    here = os.path.isfile(path)
    if here and not is_compressed(path):
        local = Source.open(path)
        if local.regular:
            return RaySource(local.fd, path, True, local.start, found=_files(path))
        local.close()
    return RaySource(_NOWHERE, path, False, 0, found=_files(path))


def _files(path: str) -> Files:
    """What this machine has is read on this machine: no other need have it."""
    here = "://" not in path and os.path.exists(path)
    return files([os.path.abspath(path) if here else path], here=here)


async def _in_a_thread(found: Iterator[Piece]) -> AsyncGenerator[Piece, None]:
    """The same without blocking the loop; one piece is read ahead at most."""
    loop = asyncio.get_running_loop()
    with _reader() as pool:
        while (piece := await loop.run_in_executor(pool, next, found, None)) is not None:
            yield piece


@contextlib.contextmanager
def _reader() -> Iterator[ThreadPoolExecutor]:
    """A thread of its own, not waited for: what it waits for ends with the connection to the cluster."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="bulk: read")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
