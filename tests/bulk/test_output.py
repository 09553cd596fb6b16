"""OUT and the files beside it, opened for one run."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from ratelimit_client.bulk.jsonl import Line
from ratelimit_client.bulk.lines import answer_line
from ratelimit_client.bulk.manifest import Manifest
from ratelimit_client.bulk.output import Output, open_output, to_stdout
from ratelimit_client.bulk.row import Row, read_row
from ratelimit_client.bulk.source import Source
from ratelimit_client.errors import ConfigurationError
from tests.bulk.failing import AFTER, BEFORE, FailingDisk
from tests.jobs import names, row, rows, write

JOB = Manifest(input="in", base_url="https://a/v1")


@contextlib.contextmanager
def opened(
    folder: Path, job: Manifest = JOB, *, source: str = "in", out: str = "out", **options: Any
) -> Iterator[Output]:
    """The files of a job that reads *source* in *folder* and writes to *out*."""
    reading = Source.open(str(folder / source))
    try:
        output = open_output(str(folder / out), reading, job, **options)
        try:
            yield output
        finally:
            output.close()
    finally:
        reading.close()


@attrs.define(eq=False)
class NotingDisk(FailingDisk):
    """Knows which descriptors it gave away."""

    opened: list[int] = attrs.field(factory=list)

    def open(self, path: str, flags: int) -> int:
        self.opened.append(super().open(path, flags))
        return self.opened[-1]


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def answered(*found: dict[str, Any]) -> bytes:
    """The lines of these rows, answered."""
    made = [read_row(Line(1, 0, json.dumps(each).encode())) for each in found]
    return b"".join(answer_line(each, 200, None, b"{}") for each in made if isinstance(each, Row))


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_empty_errors_file_goes_and_one_with_a_line_stays(tmp_path: Path) -> None:
    """
    Both are made before the first call is paid for.
    """
    write(tmp_path / "in", *rows(1))
    for line in (b"", b"{}\n"):
        with opened(tmp_path) as output:
            assert {"out", "out.errors.jsonl", "out.job.json"} <= set(os.listdir(tmp_path))
            os.write(output.errors.fd, line)
        assert (tmp_path / "out.errors.jsonl").exists() is bool(line)


def test_the_number_of_rows_is_noted_when_it_is_another(tmp_path: Path) -> None:
    """
    Once: a file that says it already is not touched, and one that cannot be written is no failure.
    """
    write(tmp_path / "in", *rows(3))
    disk = FailingDisk()
    with opened(tmp_path, disk=disk) as output:
        for noted, expected, writes in ((3, 3, True), (3, 3, False), (4, 4, True)):
            before = len(disk.done)
            output.note_rows(noted)
            assert json.loads((tmp_path / "out.job.json").read_text())["rows"] == expected
            assert (len(disk.done) > before) is writes

        disk.at, disk.number = len(disk.done) + 1, errno.ENOSPC
        output.note_rows(5)
        assert json.loads((tmp_path / "out.job.json").read_text())["rows"] == 4
        assert output.failed is None


def test_rows_on_stdout_have_no_files(tmp_path: Path) -> None:
    """
    Answers and errors go the same way, nothing is there to be read again, and stdout stays open.
    """
    with (tmp_path / "terminal").open("w") as stdout:
        with contextlib.redirect_stdout(stdout):
            output = to_stdout()
        assert output.errors is output.answers
        assert output.readable() == []
        output.note_rows(5)
        os.write(output.answers.fd, b"one\n")
        output.close()
        stdout.write("two\n")
    assert held(tmp_path) == {"terminal": b"one\ntwo\n"}


def test_rows_that_stdout_does_not_take_are_tried_once_more_as_it_is_closed(tmp_path: Path) -> None:
    """
    Not twice, though it is the place of answers and of errors.
    """

    async def write_one() -> None:
        disk = FailingDisk(0, BEFORE, errno.ENOSPC, forever=True)
        with (tmp_path / "terminal").open("w") as stdout, contextlib.redirect_stdout(stdout):
            output = to_stdout()
            output.answers.disk = disk
            output.answers.append(b"one\n")
            await asyncio.sleep(0)
            output.close()
        assert disk.done == ["write", "write"]
        assert output.failed is not None

    asyncio.run(write_one())


def test_a_stdout_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    """
    None, closed, or no file at all.
    """
    with (tmp_path / "closed").open("w") as closed:
        pass
    for stdout in (None, closed, io.StringIO()):
        with contextlib.redirect_stdout(stdout), pytest.raises(ConfigurationError, match="stdout is closed"):
            to_stdout()


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """
    It is named, and nothing is written.
    """
    write(tmp_path / "in", *rows(1))
    with pytest.raises(ConfigurationError, match=r"there is no folder .*nowhere"), opened(tmp_path, out="nowhere/out"):
        pass
    assert os.listdir(tmp_path) == ["in"]


@pytest.mark.parametrize("name", ["out", "out.errors.jsonl", "out.job.json", "out.torn"])
def test_the_input_is_never_written_to(tmp_path: Path, name: str) -> None:
    """
    Under its own name or another one, as OUT or beside it, and not even where all is to be overwritten.
    """
    write(tmp_path / "in", *rows(1))
    os.link(tmp_path / "in", tmp_path / name)
    before = held(tmp_path)
    for source in ("in", name):
        with (
            pytest.raises(ConfigurationError, match=r"the input .* would be written to"),
            opened(tmp_path, source=source, overwrite=True),
        ):
            pass
        assert held(tmp_path) == before


def test_another_job_is_refused_and_replaced_when_told(tmp_path: Path) -> None:
    """
    Refused, nothing is changed. Replaced, nothing of it is left, and nothing is taken over.
    """
    write(tmp_path / "in", *rows(2))
    with opened(tmp_path):
        pass
    (tmp_path / "out").write_bytes(answered(*rows(2)) + b'{"id": "rlc_00')
    (tmp_path / "out.errors.jsonl").write_bytes(b"")
    (tmp_path / "out.torn").write_bytes(b"torn")
    before = held(tmp_path)
    other = attrs.evolve(JOB, base_url="https://b/v1")

    with (
        pytest.raises(ConfigurationError, match=r"belongs to another job.*https://a/v1, not https://b/v1"),
        opened(tmp_path, other),
    ):
        pass
    assert held(tmp_path) == before

    with opened(tmp_path, other, overwrite=True) as output:
        assert not output.ledger.resumes
    assert set(held(tmp_path)) == {"in", "out", "out.job.json"}
    assert (tmp_path / "out").read_bytes() == b""
    assert "https://b/v1" in (tmp_path / "out.job.json").read_text()

    with opened(tmp_path, overwrite=True):  # nothing was torn this time
        pass


@pytest.mark.parametrize(
    ("edited", "says"),
    [
        (1, r"1 row was edited .*: 'row-0' \(line 1\); --rerun"),
        (12, r"12 rows were edited .*'row-9' \(line 10\) and 2 more"),
    ],
)
def test_edited_rows_are_refused_unless_they_run_again(tmp_path: Path, edited: int, says: str) -> None:
    """
    The first ten are named; refused, nothing is changed. Without its job file an output says as much.
    """
    (tmp_path / "out").write_bytes(answered(*rows(20)))
    (tmp_path / "out.errors.jsonl").write_bytes(b"")
    write(tmp_path / "in", *(row(f"row-{number}", "edited" if number < edited else "hello") for number in range(20)))
    before = held(tmp_path)

    with pytest.raises(ConfigurationError, match=says), opened(tmp_path):
        pass
    assert held(tmp_path) == before

    with opened(tmp_path, rerun_edited=True) as output:
        assert output.ledger.done == 20
    assert len(names(tmp_path / "out")) == 20


def test_an_input_that_was_not_touched_is_searched_for_edited_rows_once(tmp_path: Path) -> None:
    """
    The job file says how it looked; a file of another time is searched again.
    """
    write(tmp_path / "in", *rows(5))
    (tmp_path / "out").write_bytes(answered(*rows(5)))
    for touched, searched in ((False, True), (False, False), (True, True), (False, False)):
        if touched:
            os.utime(tmp_path / "in", (1, 1))
        with opened(tmp_path) as output:
            assert bool(output.ledger.table.passed) is searched


@pytest.mark.parametrize("when", [BEFORE, AFTER])
@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, OSError), (errno.EACCES, ConfigurationError)])
def test_whatever_fails_while_it_is_opened_is_told_and_everything_is_let_go(
    tmp_path: Path, when: str, number: int, error: type[Exception]
) -> None:
    """
    No room is no refusal: the same command works later. No descriptor stays, and no line is lost.
    """
    write(tmp_path / "in", *rows(3))

    def torn() -> None:
        (tmp_path / "out").write_bytes(answered(*rows(2)) + b'{"id": "rlc_00')

    torn()
    undisturbed = FailingDisk()
    with opened(tmp_path, disk=undisturbed):
        operations = list(undisturbed.done)
    assert {"open", "write", "sync", "close", "truncate", "rename"} <= set(operations)
    for at, operation in enumerate(operations):
        if operation == "unlink":  # what a killed process left, which need not be there
            continue
        torn()
        disk = NotingDisk(at, when, number)
        with pytest.raises(error, match="cannot be written: "), opened(tmp_path, disk=disk):
            pass
        assert not any(map(is_open, disk.opened)), (at, operation)
        with opened(tmp_path) as output:
            assert output.ledger.done == 2, (at, operation)
