"""A disk that is full, read-only or no place for rows."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import SKIPS_FORBIDDEN
from tests.jobs import lines, names, row, rows, run, serving, start, write

PAGE = 4096
ROOM = 16 * PAGE
LONG = "x" * 400


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = _mount("-t", "tmpfs", "-o", f"size={ROOM},mode=700", "tmpfs", place)
    if mounted:
        # No program is missing that could be installed, so this is not what forbidding skips is about.
        leave = pytest.xfail if SKIPS_FORBIDDEN else pytest.skip
        leave(f"mounting a small tmpfs is not permitted here: {mounted}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def _mount(*words: str | Path) -> str:
    """What mount complains of, or nothing."""
    try:
        return subprocess.run(["mount", *words], capture_output=True, check=False).stderr.decode().strip()
    except OSError as error:
        return str(error)


def test_a_full_disk_ends_it_and_nothing_is_lost(tmp_path: Path, disk: Path) -> None:
    """
    Exit code 74 and whole lines; with room again the same command finishes, and every row is there once.
    """
    write(tmp_path / "in", *rows(400, content=LONG))
    with serving(latency=0.01) as server:
        process = start(tmp_path / "in", "-o", disk / "out", "--max-in-flight", "16")
        _, err = process.communicate(timeout=60)
        assert process.returncode == 74, err
        assert b"No space left on device. Make room" in err
        assert b"Traceback" not in err
        assert server.tally.calls < 400
        paid = server.tally.admitted

        _mount("-o", f"remount,size={64 * ROOM}", disk)
        assert run(tmp_path / "in", "-o", disk / "out") == 0
    assert sorted(names(disk / "out")) == sorted(f"row-{number}" for number in range(400))
    # What was out, and what had come in the turn whose write failed.
    assert server.tally.admitted - 400 <= 2 * 16 < paid


def test_answers_wait_in_memory_until_there_is_room(tmp_path: Path) -> None:
    """
    Calls that are out when the file cannot grow are paid for once: their answers are written when it can.
    """
    write(tmp_path / "in", *rows(40, content=LONG))
    limit = resource.RLIMIT_FSIZE

    def small_files() -> None:
        resource.setrlimit(limit, (PAGE, resource.RLIM_INFINITY))

    with serving(latency=0.6) as server:
        process = start(tmp_path / "in", "-o", tmp_path / "out", "--max-in-flight", "16", preexec_fn=small_files)
        end = time.monotonic() + 30
        while not (tmp_path / "out").exists() or (tmp_path / "out").stat().st_size < PAGE:
            assert time.monotonic() < end, "nothing was written"
            time.sleep(0.01)
        resource.prlimit(process.pid, limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        _, err = process.communicate(timeout=60)
        assert process.returncode == 74, err
        assert len(names(tmp_path / "out")) == server.tally.admitted < 40

        assert run(tmp_path / "in", "-o", tmp_path / "out") == 0
        assert server.tally.admitted == 40
    assert sorted(names(tmp_path / "out")) == sorted(f"row-{number}" for number in range(40))


def test_a_disk_that_is_full_from_the_start_costs_no_call(
    tmp_path: Path, disk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    Not even the job file finds room: exit code 74, and with room the same command does it all.
    """
    write(tmp_path / "in", *rows(10))
    (disk / "filler").write_bytes(b"x" * (os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize))
    with serving() as server:
        assert run(tmp_path / "in", "-o", disk / "out") == 74
        said = capfd.readouterr().err
        assert "cannot be written: No space left on device" in said
        assert "Make room" in said
        assert server.tally.calls == 0

        (disk / "filler").unlink()
        assert run(tmp_path / "in", "-o", disk / "out") == 0
        assert server.tally.calls == 10


def test_a_read_only_disk_costs_no_call(tmp_path: Path, disk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    Refused, also when the output is there already.
    """
    write(tmp_path / "in", *rows(10))
    with serving() as server:
        assert run(tmp_path / "in", "-o", disk / "out", "--max-rows", "3") == 75
        assert not _mount("-o", "remount,ro", disk)
        calls = server.tally.calls
        for out in ("out", "other"):
            assert run(tmp_path / "in", "-o", disk / out) == 2
            assert "Read-only file system" in capfd.readouterr().err
        assert server.tally.calls == calls
    assert len(names(disk / "out")) == 3


@pytest.mark.parametrize("name", ["out", "out.errors.jsonl", "out.job.json"])
@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a symbolic link"])
def test_what_is_no_file_costs_no_call(tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, kind: str) -> None:
    """
    Neither the output nor a file beside it: refused at once, and nothing waits for the other end of a pipe.
    """
    write(tmp_path / "in", row("a"))
    if kind == "a pipe":
        os.mkfifo(tmp_path / name)
    elif kind == "a folder":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with serving() as server:
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 2
    assert server.tally.calls == 0
    assert f"{tmp_path / name} is {kind}" in capfd.readouterr().err
    assert not (tmp_path / "elsewhere").exists()
    assert lines(tmp_path / "in") == [row("a")]


def test_an_output_that_is_deleted_under_it_stops_it(tmp_path: Path) -> None:
    """
    Within seconds, with 74: the answers of a whole night would go with the file.
    """
    write(tmp_path / "in", *rows(2000))
    with serving(latency=0.05) as server:
        process = start(tmp_path / "in", "-o", tmp_path / "out", "--max-in-flight", "4")
        end = time.monotonic() + 20
        while not (tmp_path / "out").exists() or not (tmp_path / "out").stat().st_size:
            assert time.monotonic() < end
            time.sleep(0.05)
        (tmp_path / "out").unlink()
        _, err = process.communicate(timeout=30)
    assert process.returncode == 74, err
    assert b"somebody deleted it" in err
    assert server.tally.calls < 1000
