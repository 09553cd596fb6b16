"""Where the lines of a job come from."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from ratelimit_client.bulk.fingerprints import Passed
from ratelimit_client.bulk.row import Row, read_row
from ratelimit_client.bulk.skim import Piece
from ratelimit_client.bulk.source import Source
from ratelimit_client.errors import ConfigurationError
from tests.jobs import row, rows, write


async def read(source: Source) -> list[int]:
    return [line.number for lines in [batch async for batch in source.batches()] for line in lines]


def piped(path: Path) -> Source:
    """The file as it comes through a pipe."""
    reader, writer = os.pipe()
    os.write(writer, path.read_bytes())
    os.close(writer)
    return Source(reader, "pipe", False, 0)


def test_a_file_and_a_pipe_give_the_same_lines(tmp_path: Path) -> None:
    """
    A file knows its size and can be counted, a pipe cannot.
    """
    path = write(tmp_path / "in", *rows(5))
    file, pipe = Source.open(str(path)), piped(path)

    assert asyncio.run(read(file)) == asyncio.run(read(pipe)) == [1, 2, 3, 4, 5]
    assert (file.size(), file.count()) == (path.stat().st_size, 5)
    assert (pipe.size(), pipe.count()) == (None, None)
    assert file.is_file(path.stat())
    assert not pipe.is_file(path.stat())
    file.close()
    pipe.close()


def test_first_lines_are_found_again_in_both(tmp_path: Path) -> None:
    """
    A pipe remembers the names that went by, however they were spelled.
    """
    path = write(tmp_path / "in", row("a"), row("b"), row("a"), '{"custom_id": "\\u0062"}', row("new\nline"))
    for source in (Source.open(str(path)), piped(path)):

        async def walk(source: Source = source) -> None:
            async for lines in source.batches():
                for line in lines:
                    source.remember(read_row(line))

        asyncio.run(walk())
        found = dict(one for one in source.first_lines({"a", "b", "new\nline", "none"}) if one)
        assert found == {"a": 1, "b": 2, "new\nline": 5}
        assert dict(one for one in source.first_lines({"a"}) if one) == {"a": 1}
        source.close()


def test_a_row_of_a_file_can_be_slimmed_and_read_again(tmp_path: Path) -> None:
    """
    Its body is on the disk; a pipe's row keeps it.
    """
    path = write(tmp_path / "in", row("a"), row("b"))
    file, pipe = Source.open(str(path)), piped(path)
    [_, second] = list(file.after(0))
    assert isinstance(second, Row)

    slim = file.slim(second)
    again = file.again(slim)
    assert isinstance(slim, Row)
    assert isinstance(again, Row)
    assert slim.body == b""
    assert (again.body, again.id, again.number) == (second.body, second.id, second.number)
    assert pipe.again(pipe.slim(second)) is second
    assert [one.custom_id for one in file.after(second.offset)] == ["b"]
    assert list(pipe.after(0)) == []
    file.close()
    pipe.close()


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    """
    Nothing there, a folder.
    """
    with pytest.raises(ConfigurationError, match="No such file"):
        Source.open(str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match="is a folder"):
        Source.open(str(tmp_path))


def test_waiting_for_a_pipe_can_be_cancelled(tmp_path: Path) -> None:
    """
    A writer that writes nothing holds up nobody.
    """
    reader, writer = os.pipe()
    source = Source(reader, "pipe", False, 0)

    async def wait() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await read(source)

    asyncio.run(wait())
    os.close(writer)
    source.close()


def test_a_device_that_cannot_be_waited_for_is_read_at_once() -> None:
    """
    /dev/null is an empty input.
    """
    source = Source.open("/dev/null")

    assert asyncio.run(read(source)) == []
    source.close()


def test_what_needs_no_look_is_passed_over(tmp_path: Path) -> None:
    """
    Whole lines are shown with their place; of the rest every line comes, with its number.
    """
    path = write(tmp_path / "in", *(f"{number:03}" for number in range(1, 201)))
    shown: list[tuple[int, int]] = []

    def skip(piece: Piece) -> Passed:
        """All up to line 120, but for line 3."""
        first = piece.number
        assert piece.offset == 4 * (first - 1)
        shown.append((piece.offset, len(piece.data)))
        lines = 2 if first == 1 else 0 if first == 3 else max(0, 121 - first)
        return Passed(4 * lines, lines, 0)

    async def numbers(source: Source) -> list[int]:
        return [line.number for lines in [batch async for batch in source.batches(skip)] for line in lines]

    source = Source.open(str(path))
    assert asyncio.run(numbers(source)) == [3, *range(121, 201)]
    assert shown[:3] == [(0, 800), (12, 788), (484, 316)]
    assert len(shown) < 12  # it is not asked at every line
    source.close()


@pytest.mark.parametrize("tail", [b"", b"{}", b"oops", b'{"custom_id": "half'])
def test_the_last_line_of_a_file_at_rest_is_a_line(tmp_path: Path, tail: bytes) -> None:
    """
    Whatever it is, once nobody else is busy.
    """
    path = tmp_path / "in"
    path.write_bytes(write(path, *rows(2)).read_bytes() + tail)
    source = Source.open(str(path))
    assert asyncio.run(read(source)) == [1, 2, *([3] if tail else [])]
    source.close()


def test_a_file_that_grows_is_read_on_while_others_are_busy(tmp_path: Path) -> None:
    """
    Half a line is waited for; what is half in the end is no line yet.
    """
    path = write(tmp_path / "in", row("a"))
    text = json.dumps(row("b")).encode()
    with path.open("ab") as file:
        file.write(text[:30])
    source = Source.open(str(path))
    told: list[bytes] = [text[30:] + b"\n" + text[:10], b""]

    def busy() -> bool:
        """Each time we are asked the file has grown, until there is no more to come."""
        if not told:
            return False
        with path.open("ab") as file:
            file.write(told.pop(0))
        return True

    async def numbers() -> list[int]:
        return [line.number for lines in [batch async for batch in source.batches(busy=busy)] for line in lines]

    assert asyncio.run(numbers()) == [1, 2]
    source.close()
