"""``-``: rows from stdin and to stdout."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.jobs import names, row, rows, run, serving, start, wait_for, write


def test_rows_go_through_pipes(tmp_path: Path) -> None:
    """
    Stdin to stdout: rows and failed rows on stdout, nothing else there, and no file anywhere.
    """
    text = b"".join(json.dumps(one).encode() + b"\n" for one in [*rows(30), row("row-3")]) + b"oops"
    with serving():
        process = start("-", "-o", "-", stdin=subprocess.PIPE, cwd=tmp_path)
        out, err = process.communicate(text, timeout=30)
    assert process.returncode == 1, err
    found = [json.loads(line) for line in out.splitlines()]
    assert len(found) == 32
    assert sorted(line["error"]["code"] for line in found if line["error"]) == ["duplicate_custom_id", "invalid_line"]
    [twice] = [line["error"] for line in found if line["error"] and line["error"]["code"] == "duplicate_custom_id"]
    assert (twice["line"], twice["first_line"]) == (31, 4)
    assert os.listdir(tmp_path) == []
    assert b"30 of 32 ok" in err


def test_a_slow_writer_on_stdin_is_waited_for(tmp_path: Path) -> None:
    """
    A row is answered when it comes, not when the input ends; a signal stops the wait.
    """
    with serving():
        process = start("-", "-o", tmp_path / "out", stdin=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(json.dumps(row("first")).encode() + b"\n")
        process.stdin.flush()
        wait_for(tmp_path / "out", 1)
        process.stdin.write(json.dumps(row("second")).encode() + b"\n")
        process.stdin.flush()
        wait_for(tmp_path / "out", 2)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130
        process.communicate()
    assert names(tmp_path / "out") == ["first", "second"]


def test_stdin_to_a_file_can_be_resumed(tmp_path: Path) -> None:
    """
    The same rows piped again are known.
    """
    write(tmp_path / "in", *rows(12))
    with serving() as server:
        for expected in (75, 0):
            bound = ["--max-rows", "7"] if expected else []
            with (tmp_path / "in").open("rb") as file:
                process = start("-", "-o", tmp_path / "out", *bound, stdin=file)
                process.communicate(timeout=30)
            assert process.returncode == expected
    assert server.tally.calls == 12


def test_an_edited_row_in_a_pipe_is_refused_when_it_comes(tmp_path: Path) -> None:
    """
    A pipe cannot be looked at before; the run stops with 2.
    """
    write(tmp_path / "in", *rows(5))
    with serving():
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 0
        process = start("-", "-o", tmp_path / "out", stdin=subprocess.PIPE)
        text = b"".join(json.dumps(one).encode() + b"\n" for one in rows(5, content="changed"))
        _, err = process.communicate(text, timeout=30)
    assert process.returncode == 2
    assert b"1 row was edited" in err


def test_a_reader_that_leaves_ends_it(tmp_path: Path) -> None:
    """
    Exit code 141, as for any program in a pipe; no traceback.
    """
    write(tmp_path / "in", *rows(300))
    with serving():
        process = start(tmp_path / "in", "-o", "-", "--max-in-flight", "4")
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        assert process.wait(timeout=20) == 141
        process.stderr.close()
    assert b"Traceback" not in err
    assert b"Exception" not in err


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["run", "--help"], ["run", "--show-config"]])
@pytest.mark.parametrize("buffered", [True, False])
def test_nobody_reads_what_was_asked_for(words: list[str], buffered: bool) -> None:
    """
    A pipe that is closed is 141, or 0 where nobody noticed, a full disk 74; no traceback, and nothing from the
    interpreter as it leaves.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "" if buffered else "1"}
    read, written = os.pipe()
    os.close(read)
    full = os.open("/dev/full", os.O_WRONLY)
    for stdout, codes, told in ((written, (141, 0), (b"",)), (full, (74, 0), (b"No space left", b""))):
        process = start(command=words, stdout=stdout, env=environment)
        _, err = process.communicate(timeout=20)
        os.close(stdout)
        assert process.returncode in (codes[:1] if buffered else codes), err
        assert any(text in err for text in told)
        assert b"Traceback" not in err
        assert b"Exception ignored" not in err
        assert b"bug" not in err
