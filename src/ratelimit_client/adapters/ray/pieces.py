"""
The bytes of files, wherever Ray finds them.

Law of this file: bytes are bytes. What is a line is decided by whoever knows rows, so
files are read in pieces that end with a line and nothing in them is decoded.

``files`` finds them: paths, folders and addresses as ``ray.data`` reads them (``s3://``,
``gs://``, with its credentials and its retries), the compression by the ending of the
name. The order is that of the files, and in them that of the bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from ...errors import ConfigurationError
from .extra import needed

SIZE: Final = 1 << 18
# Of all pieces that one reading task hands over together; Ray's own 128 MB would keep the first row waiting.
_TOGETHER: Final = 8 << 20
_COMPRESSED: Final = (".gz", ".bz2", ".br", ".lz4", ".zst", ".snappy")


class Piece(NamedTuple):
    """
    Part of a file.

    Args:
        data: whole lines, unless a line is longer than a piece.
        first: a file begins with it.
        torn: a file ends with it, and its last line has no newline.
    """

    data: bytes
    first: bool
    torn: bool


class Files(NamedTuple):
    """
    What is to be read.

    Args:
        data: the Ray Data set.
        size: bytes of all files; None when they are compressed, or nobody knows.
    """

    data: Any
    size: int | None


def is_compressed(path: str) -> bool:
    """Is a file of this name read through a decompressor?"""
    return path.endswith(_COMPRESSED)


def files(paths: Sequence[str], *, here: bool = False) -> Files:
    """
    Find files; nothing is read yet. For a process that is connected to a cluster.

    Args:
        here: they are on this machine, and perhaps on no other.

    Raises:
        ConfigurationError: there are none, or they cannot be reached.
    """
    data = needed("ray.data")
    context = data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.target_max_block_size = _TOGETHER
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # it tells on stderr how each reading went
    try:
        source = _datasource(here)(list(paths))
        sizes, names = source._file_sizes(), source._paths()
    except Exception as error:  # noqa: BLE001  # whatever a file system of any vendor raises
        raise ConfigurationError(f"{', '.join(paths)} cannot be read: {_line(error)}") from None
    known = [size for size in sizes if size is not None]
    whole = len(known) == len(sizes) and not any(map(is_compressed, names))
    return Files(data.read_datasource(source), sum(known) if whole else None)


def pieces(data: Any) -> Iterator[Piece]:
    """
    The pieces of a set in order, as they are read. Blocks.

    Raises:
        ConfigurationError: they cannot be read on.
    """
    try:
        for batch in data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1):
            columns = (batch.column(name).to_pylist() for name in Piece._fields)
            yield from map(Piece._make, zip(*columns, strict=True))
    except Exception as error:  # noqa: BLE001  # the same
        raise ConfigurationError(f"the input cannot be read on: {_line(error)}") from None


def cut(stream: Any, size: int = SIZE) -> Iterator[Piece]:
    """The pieces of one open file."""
    rest, first = b"", True
    while chunk := stream.read(size):
        end = chunk.rfind(b"\n") + 1
        if not end:
            rest += chunk
            continue
        yield Piece(rest + chunk[:end], first, False)
        rest, first = chunk[end:], False
    if rest:
        yield Piece(rest, first, True)


@cache
def _datasource(here: bool) -> Any:
    """The class, made once somebody needs it: Ray is no module of ours."""
    arrow, base = needed("pyarrow"), needed("ray.data.datasource").FileBasedDatasource

    class Pieces(base):  # type: ignore[misc, valid-type]  # Any, where Ray is not installed
        """Files in pieces."""

        @property
        def supports_distributed_reads(self) -> bool:
            return not here  # then this node alone reads them

        def _read_stream(self, stream: Any, path: str) -> Iterator[Any]:
            for piece in cut(stream):
                yield arrow.table({name: [value] for name, value in zip(Piece._fields, piece, strict=True)})

    return Pieces


def _line(error: Exception) -> str:
    """The last line of what an error says, where Ray puts the reason; a file that is not there is no more than that."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file or folder"
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:300]
