"""An output in shards that one run writes."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.bulk.disk import Disk
from ratelimit_client.bulk.jsonl import Line
from ratelimit_client.bulk.lines import answer_line, error_line
from ratelimit_client.bulk.manifest import Manifest
from ratelimit_client.bulk.row import Row, read_row
from ratelimit_client.bulk.sharded import ShardedOutput, number_of, open_sharded, shard_of
from ratelimit_client.bulk.shards import remainder
from ratelimit_client.bulk.source import Source
from ratelimit_client.bulk.standing import look
from ratelimit_client.cli import main
from ratelimit_client.errors import ConfigurationError
from tests.jobs import lines, row, write

JOB = Manifest(input="in", base_url="http://127.0.0.1/v1")


def read(name: str, content: str = "hello") -> Row:
    found = read_row(Line(1, 0, json.dumps(row(name, content)).encode()))
    assert isinstance(found, Row)
    return found


def opened(folder: Path, of: int = 3, **how: Any) -> ShardedOutput:
    source = Source.open(str(write(folder / "in", row("row-0"))))
    try:
        return open_sharded(str(folder / "out"), of, source, JOB, **how)
    finally:
        source.close()


def fill(folder: Path, count: int, of: int = 3) -> None:
    """A run that answers so many rows and fails one."""

    async def work() -> None:
        output = opened(folder, of)
        for number in range(count):
            output.answers.append(answer_line(read(f"row-{number}"), 200, None, b"{}"))
        output.errors.append(error_line(read("bad"), "odd", "it is odd"))
        await output.sync()
        output.close()

    asyncio.run(work())


@given(name=st.text(min_size=1, max_size=20))
def test_the_shard_of_a_line_is_that_of_its_row(name: str) -> None:
    """
    However the name is spelled in the line; answers and errors alike.
    """
    found = read(name)

    for line in (answer_line(found, 200, "r", b"{}"), error_line(found, "c", "m")):
        assert shard_of(line, 7) == remainder(name, 7)


def test_a_line_that_is_no_row_is_in_the_first_shard() -> None:
    """
    It has no name to be divided by.
    """
    flaw = read_row(Line(4, 0, b"no row"))
    assert not isinstance(flaw, Row)

    assert shard_of(error_line(flaw, flaw.code, flaw.message, line=4), 7) == 0


def test_each_row_is_in_its_shard_and_nowhere_else(tmp_path: Path) -> None:
    """
    The files are those of ``--shard I/N``: status reads them.
    """
    fill(tmp_path, 30)

    for number in range(3):
        own = [line["custom_id"] for line in lines(tmp_path / f"out.{number + 1}-of-3")]
        assert own
        assert {remainder(name, 3) for name in own} == {number}
    report = look(str(tmp_path / "out"))
    assert (report.ok, report.failed, report.missing) == (30, 1, [])
    assert {os.stat(path).st_mode & 0o777 for path in tmp_path.glob("out.*")} == {0o600}


def test_what_was_finished_is_known_again_from_all_shards(tmp_path: Path) -> None:
    """
    And a torn end of each is mended; what was cut is kept beside it.
    """
    fill(tmp_path, 30)
    for number in (1, 3):
        with open(tmp_path / f"out.{number}-of-3", "ab") as file:
            file.write(b'{"id": "rlc_0')

    output = opened(tmp_path)
    assert len(set(output.readable())) == 6
    output.close()

    assert (output.ledger.done, output.ledger.failed) == (30, 1)
    assert sorted(path.name for path in tmp_path.glob("*.torn")) == ["out.1-of-3.torn", "out.3-of-3.torn"]
    assert sum(len(lines(tmp_path / f"out.{number}-of-3")) for number in (1, 2, 3)) == 30


def test_an_output_goes_on_in_as_many_shards_as_it_has(tmp_path: Path) -> None:
    """
    Whatever the number of workers is now; a new one is divided by them.
    """
    assert number_of(str(tmp_path / "out"), 5) == 5
    fill(tmp_path, 3)
    assert number_of(str(tmp_path / "out"), 5) == 3


def test_what_one_process_began_is_left_to_it(tmp_path: Path) -> None:
    """
    Its rows stand in one file, and would be sent again.
    """
    (tmp_path / "out").write_text('{"id": "rlc_')
    with pytest.raises(ConfigurationError, match="begun by one process: leave --engine ray out"):
        number_of(str(tmp_path / "out"), 2)


def test_two_divisions_are_nobody_s(tmp_path: Path) -> None:
    """
    One of them has to go.
    """
    for of in (2, 3):
        (tmp_path / f"out.1-of-{of}").touch()
    with pytest.raises(ConfigurationError, match="begun in 2 and 3 shards"):
        number_of(str(tmp_path / "out"), 2)


def append(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


def another_job(folder: Path) -> None:
    path = folder / "out.2-of-3.job.json"
    path.write_text(path.read_text().replace("127.0.0.1", "127.0.0.2"))


def another_program(folder: Path) -> None:
    append(folder / "out.3-of-3", b'{"id": "chatcmpl-1"}\n')


def edited(folder: Path) -> None:
    write(folder / "in", row("row-1"), row("row-0", "other words"))


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (another_job, "belongs to another job"),
        (another_program, "holds something else: line"),
        (edited, "1 row was edited"),
    ],
)
def test_one_shard_that_cannot_be_refuses_all(tmp_path: Path, harm: Callable[[Path], object], says: str) -> None:
    """
    Before anything in any of them is changed: the torn end of the first is still there.
    """
    write(tmp_path / "in", row("row-0"))
    fill(tmp_path, 30)
    append(tmp_path / "out.1-of-3", b"torn")
    harm(tmp_path)

    source = Source.open(str(tmp_path / "in"))
    with pytest.raises(ConfigurationError, match=says):
        open_sharded(str(tmp_path / "out"), 3, source, JOB)
    source.close()

    assert (tmp_path / "out.1-of-3").read_bytes().endswith(b"torn")
    assert not list(tmp_path.glob("*.torn"))


def test_two_runs_are_not_at_one_output(tmp_path: Path) -> None:
    """
    Nor one that has a single shard of it.
    """
    with closing(opened(tmp_path)), pytest.raises(ConfigurationError, match="another run is writing"):
        opened(tmp_path)


def test_an_output_is_not_its_own_input(tmp_path: Path) -> None:
    """
    No shard of it.
    """
    fill(tmp_path, 30)
    source = Source.open(str(tmp_path / "out.2-of-3"))
    with pytest.raises(ConfigurationError, match="would be written to"):
        open_sharded(str(tmp_path / "out"), 3, source, JOB)
    source.close()


def test_overwriting_begins_all_shards_anew(tmp_path: Path) -> None:
    """
    Nothing of them is left.
    """
    fill(tmp_path, 30)
    output = opened(tmp_path, 3, overwrite=True)
    output.close()
    assert not output.ledger.resumes
    assert [(tmp_path / f"out.{number}-of-3").read_bytes() for number in (1, 2, 3)] == [b""] * 3


def test_the_rows_of_all_shards_are_noted_once(tmp_path: Path) -> None:
    """
    Where the input cannot be read again, status knows how many are left.
    """
    fill(tmp_path, 30)
    output = opened(tmp_path)
    output.note_rows(40)
    output.close()
    (tmp_path / "in").unlink()
    assert look(str(tmp_path / "out")).left == 9


def test_status_tells_the_command_that_goes_on_with_all_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Not with one shard after the other.
    """
    fill(tmp_path, 30)
    assert main(["status", str(tmp_path / "out")]) == 1
    assert "--engine ray" in capsys.readouterr().out


class FullDisk(Disk):
    """Has room for all files but one."""

    fd: int | None = None

    def write(self, fd: int, data: bytes | memoryview) -> int:
        if fd == self.fd:
            raise OSError(errno.ENOSPC, "no room")
        return super().write(fd, data)


def test_a_shard_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """
    Its failure is the output's, is told once, and is over when there is room.
    """

    async def work() -> None:
        disk = FullDisk()
        output = opened(tmp_path, disk=disk)
        told: list[OSError] = []
        output.on_failure(told.append)
        disk.fd = output.parts[1].answers.fd
        for number in range(10):
            output.answers.append(answer_line(read(f"row-{number}"), 200, None, b"{}"))
        await asyncio.sleep(0)
        mine = sum(remainder(f"row-{number}", 3) == 1 for number in range(10))

        assert len(told) == 1
        assert output.failed is told[0] is output.answers.failed
        assert output.answers.name == str(tmp_path / "out.2-of-3")
        assert output.errors.name == str(tmp_path / "out.1-of-3.errors.jsonl")
        assert (output.answers.unwritten, output.errors.unwritten) == (mine, 0)
        disk.fd = None
        output.close()
        assert output.failed is None
        assert len(lines(tmp_path / "out.2-of-3")) == mine

    asyncio.run(work())


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """
    Before a file is made.
    """
    source = Source.open(str(write(tmp_path / "in", row("row-0"))))
    with closing(source), pytest.raises(ConfigurationError, match="there is no folder"):
        open_sharded(str(tmp_path / "nowhere" / "out"), 2, source, JOB)


def test_a_disk_without_room_is_no_refusal(tmp_path: Path) -> None:
    """
    The same command works when there is some.
    """

    class NoRoom(Disk):
        def rename(self, path: str, other: str) -> None:
            raise OSError(errno.ENOSPC, "no room", path)

    with pytest.raises(OSError, match="no room"):
        opened(tmp_path, disk=NoRoom())
    opened(tmp_path).close()


def test_an_input_that_was_looked_at_is_not_looked_at_again(tmp_path: Path) -> None:
    """
    Nor is one whose edited rows are to run again, nor one that cannot be looked at.
    """
    fill(tmp_path, 30)
    with closing(Source.open(str(write(tmp_path / "in", row("row-0"))))) as source:
        found = []
        for how in ({}, {}, {"rerun_edited": True}):
            open_sharded(str(tmp_path / "out"), 3, source, JOB, **how).close()
            found.append([json.loads(path.read_text())["checked"] for path in sorted(tmp_path.glob("*.job.json"))])
    assert found[0] == found[1]
    assert all(found[0])
    assert found[2] == [None] * 3
