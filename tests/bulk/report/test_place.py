"""Where a report is written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ratelimit_client.bulk.report.place import MARK, check, probe, write
from ratelimit_client.errors import ConfigurationError
from tests.bulk.failing import FailingDisk


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("in", "out"):
        (tmp_path / name).write_bytes(b"rows\n")
    return tmp_path


def checked(folder: Path, name: str) -> str:
    return check(str(folder / name), str(folder / "out"), [str(folder / "in"), str(folder / "sum.json")])


def test_a_new_name_beside_the_output_is_taken(folder: Path) -> None:
    """
    As it is, and nothing is there afterwards that was not before.
    """
    found = checked(folder, "report.html")
    probe("report.html", found)

    assert found == str(folder / "report.html")
    assert sorted(os.listdir(folder)) == ["in", "out"]


def test_a_report_takes_the_place_of_a_report(folder: Path) -> None:
    """
    Through a link of ours as well, which stays one; it is its owner's only.
    """
    (folder / "link").symlink_to(folder / "report.html")
    for text in ("one", "two"):
        write(checked(folder, "link"), MARK + text)

    assert (folder / "report.html").read_text() == MARK + "two"
    assert (folder / "link").is_symlink()
    assert (folder / "report.html").stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(folder)) == ["in", "link", "out", "report.html"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("out", "rows are written there"),
        ("out.errors.jsonl", "rows are written there"),
        ("out.errors.3.jsonl", "rows are written there"),
        ("out.job.json", "rows are written there"),
        ("out.torn", "rows are written there"),
        ("out.2-of-4", "rows are written there"),
        ("out.2-of-4.errors.jsonl", "rows are written there"),
        ("./out", "rows are written there"),
        ("to-out", "rows are written there"),
        ("in", "the run reads or writes that file"),
        ("to-in", "the run reads or writes that file"),
        ("sum.json", "the run reads or writes that file"),
        ("hard", "there is something else in it"),
        ("notes.txt", "there is something else in it"),
        ("sub", "it is no file"),
        ("pipe", "it is no file"),
        ("none/report.html", "there is no folder"),
        ("notes.txt/report.html", "Not a directory"),
        ("x" * 300, "File name too long"),
        ("nul\0", "null"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_touched(folder: Path, name: str, why: str) -> None:
    """
    Neither the input nor the output, by whatever name, nor anything that is no report.
    """
    (folder / "to-out").symlink_to("out")
    (folder / "to-in").symlink_to("in")
    os.link(folder / "in", folder / "hard")
    (folder / "notes.txt").write_bytes(b"<!doctype html>\n<title>mine</title>")
    (folder / "sub").mkdir()
    os.mkfifo(folder / "pipe")
    before = sorted(os.listdir(folder))

    with pytest.raises(ConfigurationError, match=why):
        checked(folder, name)
    assert sorted(os.listdir(folder)) == before


def test_stdout_is_for_rows(folder: Path) -> None:
    """
    A report is a file.
    """
    with pytest.raises(ConfigurationError, match="rows are written there"):
        check("-", str(folder / "out"))


def test_an_empty_file_is_taken(folder: Path) -> None:
    """
    Such as one that was made to hold the name.
    """
    (folder / "report.html").touch()
    assert checked(folder, "report.html") == str(folder / "report.html")


def test_a_disk_that_takes_nothing_is_noticed_before_the_run(folder: Path) -> None:
    """
    And what was there stays.
    """
    with pytest.raises(ConfigurationError, match="No space left"):
        probe("report.html", str(folder / "report.html"), FailingDisk(at=0, number=errno.ENOSPC))
    assert sorted(os.listdir(folder)) == ["in", "out"]


@pytest.mark.parametrize("at", range(1, 6))
def test_a_write_that_fails_leaves_the_old_report(folder: Path, at: int) -> None:
    """
    Old or new, never half, and nothing beside it: opened, written, synced, closed, renamed.
    """
    disk = FailingDisk(at=at, number=errno.ENOSPC)
    write(str(folder / "report.html"), MARK + "old")
    with pytest.raises(OSError, match="No space left"):
        write(str(folder / "report.html"), MARK + "new", disk)

    assert (folder / "report.html").read_text() == MARK + "old"
    assert sorted(os.listdir(folder)) == ["in", "out", "report.html"]
    assert disk.done[at] == ("unlink", "open", "write", "sync", "close", "rename")[at]
