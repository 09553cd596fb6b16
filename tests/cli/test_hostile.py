"""Names, files and limits that nobody gives on purpose: one sentence, a stated exit code, and nothing is harmed."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import time
from pathlib import Path

import pytest

from ratelimit_client.cli import main
from tests.jobs import lines, row, rows, run, serving, start, write

UNREADABLE = "/proc/self/mem"  # a regular file whose first byte cannot be read: EIO


def said(capfd: pytest.CaptureFixture[str]) -> str:
    return capfd.readouterr().err


@pytest.mark.parametrize("words", [["run", "IN", "-o", ""], ["run", "", "-o", "OUT"], ["retry", "-o", ""]])
def test_an_empty_name_is_a_slip(tmp_path: Path, capfd: pytest.CaptureFixture[str], words: list[str]) -> None:
    """
    An unset variable of a script, for instance.
    """
    write(tmp_path / "IN", row("a"))
    with serving() as server:
        assert main([str(tmp_path / word) if word.isupper() else word for word in words]) == 2
    assert "is empty" in said(capfd)
    assert not server.tally.calls


@pytest.mark.parametrize("words", [["run", "-o", "OUT"], ["run", "-o", "OUT", "--dry-run"], ["estimate"]])
def test_an_input_that_cannot_be_read_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """
    With its name and what the system says.
    """
    if not Path(UNREADABLE).exists():
        pytest.skip(f"there is no {UNREADABLE} here")
    words = [str(tmp_path / "out") if word == "OUT" else word for word in words]
    with serving():
        assert main([words[0], UNREADABLE, *words[1:]]) == 2
    assert f"{UNREADABLE} cannot be read: Input/output error" in said(capfd)


def _bytes_read(pid: int) -> int:
    """What a process has read so far, from whatever."""
    _, _, amount = Path(f"/proc/{pid}/io").read_text().splitlines()[0].partition(": ")
    return int(amount)


def test_an_input_without_an_end_can_be_stopped(tmp_path: Path) -> None:
    """
    A device is always ready; signals are heard all the same.
    """
    with serving():
        process = start("/dev/zero", "-o", tmp_path / "out", "--progress", "none")
        end = time.monotonic() + 20
        while _bytes_read(process.pid) < 64 << 20:  # more than all its modules: it is reading the device
            assert time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err


@pytest.mark.parametrize("kind", ["a device", "a pipe", "a folder"])
def test_a_state_that_is_no_file_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str) -> None:
    """
    It would be read for ever, or waited for.
    """
    write(tmp_path / "in", row("a"))
    os.mkfifo(tmp_path / "pipe")
    state = {"a device": "/dev/zero", "a pipe": tmp_path / "pipe", "a folder": tmp_path}[kind]
    with serving() as server:
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--state", state) == 2
    assert f"{state} is no file" in said(capfd)
    assert not server.tally.calls


def test_a_summary_does_not_replace_what_is_no_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    A pipe stays one, whoever reads it; a link stays one, and the file behind it gets the summary; /dev/stdout works.
    """
    write(tmp_path / "in", row("a"))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with serving():
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--summary-file", tmp_path / "pipe") == 0
        assert "pipe could not be written" in said(capfd)
        assert stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)

        reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--summary-file", tmp_path / "pipe") == 0
        assert json.loads(os.read(reader, 1 << 20))["skipped"] == 1
        os.close(reader)

        assert run(tmp_path / "in", "-o", tmp_path / "out", "--summary-file", tmp_path / "link") == 0
        assert (tmp_path / "link").is_symlink()
        assert json.loads((tmp_path / "file").read_text())["skipped"] == 1

        capfd.readouterr()
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--summary-file", "/dev/stdout") == 0
        assert json.loads(capfd.readouterr().out)["skipped"] == 1
    assert not list(tmp_path.glob("*.tmp"))


def test_what_could_not_be_written_is_not_called_done(tmp_path: Path) -> None:
    """
    A file that may not grow: 74, and the summary counts the lines that are there, and says how many are not.
    """
    write(tmp_path / "in", *rows(20))

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    with serving(latency=0.05):
        words = ("--max-in-flight", "8", "--progress", "none", "--summary-file", tmp_path / "summary")
        process = start(tmp_path / "in", "-o", tmp_path / "out", *words, preexec_fn=small_files)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 74, err
        facts = json.loads((tmp_path / "summary").read_text())
        whole = (tmp_path / "out").read_bytes().count(b"\n")
        assert 0 < whole < 20
        assert facts["ok"] == whole
        assert facts["pending"] == 20 - whole
        assert facts["lost"] == facts["calls"] - whole > 0
        assert b"could not be written: those rows are still to be done" in err

        assert run(tmp_path / "in", "-o", tmp_path / "out") == 0
    assert len(lines(tmp_path / "out")) == 20


def test_a_file_size_limit_at_the_start_is_74(tmp_path: Path) -> None:
    """
    Nothing is wrong with the command: it works without the limit.
    """
    write(tmp_path / "in", row("a"))

    def no_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    with serving() as server:
        process = start(tmp_path / "in", "-o", tmp_path / "out", preexec_fn=no_files)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 74, err
        assert not server.tally.calls
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 0
