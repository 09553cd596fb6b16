"""An input that comes in pieces from somewhere else. What Ray brings is stood for by its pieces."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.adapters.ray.pieces import Files, Piece, cut
from ratelimit_client.bulk.fingerprints import Fingerprints, State, row_bits
from ratelimit_client.bulk.jsonl import Line
from ratelimit_client.bulk.ray_source import RaySource
from ratelimit_client.bulk.row import Row, read_row
from ratelimit_client.bulk.source import Source
from ratelimit_client.bulk.walk import Walk
from ratelimit_client.errors import ConfigurationError
from tests.jobs import row, rows, write


@attrs.frozen
class Column:
    values: list[Any]

    def to_pylist(self) -> list[Any]:
        return self.values


@attrs.frozen
class Table:
    pieces: Sequence[Piece]

    def column(self, name: str) -> Column:
        return Column([getattr(piece, name) for piece in self.pieces])


@attrs.frozen
class Data:
    """A set of Ray Data, two pieces a batch; it fails at the end when it has a *problem*."""

    pieces: Sequence[Piece]
    problem: Exception | None = None

    def iter_batches(self, **how: Any) -> Iterator[Table]:
        for index in range(0, len(self.pieces), 2):
            yield Table(self.pieces[index : index + 2])
        if self.problem is not None:
            raise self.problem


def elsewhere(*files: bytes, size: int = 64, problem: Exception | None = None) -> RaySource:
    """Files that this machine has not."""
    found = [piece for file in files for piece in cut(io.BytesIO(file), size)]
    return RaySource(-1, "s3://bucket/in", False, 0, found=Files(Data(found, problem), sum(map(len, files))))


def here(path: Path, size: int = 64) -> RaySource:
    """A file that it has."""
    source = Source.open(str(path))
    found = list(cut(io.BytesIO(path.read_bytes()), size))
    return RaySource(source.fd, source.path, True, 0, found=Files(Data(found), None))


def lines_of(source: Source, skip: Any = None) -> list[Line]:
    async def read() -> list[Line]:
        return [line async for lines in source.batches(skip) for line in lines]

    try:
        return asyncio.run(read())
    finally:
        source.close()


@given(
    parts=st.lists(st.sampled_from([b"a", b"{}", b"\n", b"\r\n", b" ", b"long" * 30, "\u2028".encode()]), max_size=30),
    size=st.integers(1, 90),
)
def test_the_lines_are_those_of_the_file(parts: list[bytes], size: int) -> None:
    """
    With their numbers and places, however the file was cut.
    """
    text = b"".join(parts)
    found = lines_of(elsewhere(text, size=size))

    whole = lines_of(elsewhere(text, size=10_000))
    assert found == whole
    assert [line.data for line in whole] == [
        kept for piece in text.split(b"\n") if (kept := piece.removesuffix(b"\r")) and not kept.isspace()
    ]


def test_files_follow_each_other() -> None:
    """
    A last line without its newline ends with its file, a mark at the beginning of any file is no part of a line.
    """
    found = lines_of(elsewhere(b"\xef\xbb\xbfone\ntwo", b"\xef\xbb\xbfthree\n", b"", b"four"))

    assert [(line.number, line.data) for line in found] == [(1, b"one"), (2, b"two"), (3, b"three"), (4, b"four")]


def test_what_is_finished_is_passed_unread(tmp_path: Path) -> None:
    """
    As of any file that is here: a walk meets the rows that are left, in their places.
    """
    path = write(tmp_path / "in", *rows(200))
    table = Fingerprints()
    for line in lines_of(Source.open(str(path))):
        found = read_row(line)
        if line.number != 150:
            table.record(found.mark, row_bits(found.id), State.DONE)
    walk = Walk(table, glances=True)

    left = [read_row(line) for line in lines_of(here(path, 4000), walk.skip) if walk.take(line)[1] is not None]

    assert [each.custom_id for each in left] == ["row-149"]
    assert (walk.rows, walk.done_before) == (200, 199)


def test_a_file_that_is_here_is_a_file(tmp_path: Path) -> None:
    """
    It is counted, looked at again and known by its inode; what is elsewhere is none of that, but has a size.
    """
    path = write(tmp_path / "in", *rows(3))
    source, other = here(path), elsewhere(b"12345")

    assert (source.count(), source.size(), source.is_file(os.stat(path))) == (3, path.stat().st_size, True)
    assert (other.count(), other.size(), other.is_file(os.stat(path))) == (None, 5, False)
    source.close()
    other.close()


def test_the_half_of_a_line_that_is_still_written_is_left(tmp_path: Path) -> None:
    """
    What grew since Ray read it is the next run's; where nothing grew it is a line like any other.
    """
    path = write(tmp_path / "in", row("row-0"), '{"custom_id": "row')
    path.write_bytes(path.read_bytes()[:-1])

    ended, growing = here(path), here(path)
    assert len(lines_of(ended)) == 2
    with path.open("ab") as file:
        file.write(b"-1")
    (only,) = lines_of(growing)
    assert isinstance(read_row(only), Row)


def test_a_store_that_fails_is_a_sentence() -> None:
    """
    The last line of what it says; rows before it were given.
    """
    with pytest.raises(ConfigurationError, match="cannot be read on: AccessDenied"):
        lines_of(elsewhere(b"one\n", problem=RuntimeError("much\nAccessDenied")))
