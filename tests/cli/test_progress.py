"""Showing a run while it runs."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import pty
import re
import select
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest

from ratelimit_client.cli.progress import JsonLines, Nothing, Plain, keep_showing, mode_for
from ratelimit_client.cli.view import View
from ratelimit_client.cli.voice import Handler, Voice
from tests.jobs import rows, serving, write

VIEW = View(
    total=400,
    done=120,
    failed=2,
    in_flight=31,
    queued=64,
    rate=5.04,
    refused=1,
    limit="300 requests/minute",
    share=0.974,
    eta_s=55.6,
    seconds=24.0,
    state="at the limit's pace",
)


@pytest.mark.parametrize(
    ("asked", "is_terminal", "environment", "has_rich", "mode"),
    [
        ("auto", True, {}, True, "live"),
        ("auto", True, {"TERM": "xterm", "NO_COLOR": "1"}, True, "live"),
        ("auto", True, {}, False, "plain"),
        ("auto", False, {}, True, "plain"),
        ("auto", True, {"TERM": "dumb"}, True, "plain"),
        ("auto", True, {"CI": "true"}, True, "plain"),
        ("auto", True, {"CI": ""}, True, "live"),
        ("live", False, {"CI": "1"}, True, "live"),
        ("live", True, {}, False, "plain"),
        ("plain", True, {}, True, "plain"),
        ("json", True, {}, True, "json"),
        ("none", True, {}, True, "none"),
    ],
)
def test_the_display_fits_the_place(
    asked: str, is_terminal: bool, environment: Mapping[str, str], has_rich: bool, mode: str
) -> None:
    """
    A live block only on a terminal that can draw one, and where rich is.
    """
    assert mode_for(asked, is_terminal=is_terminal, environment=environment, has_rich=has_rich) == mode


def test_a_plain_line_says_it_all() -> None:
    """
    Rows, rate, share of the limit that binds, calls, time left, state.
    """
    stream = io.StringIO()
    Plain(Voice(stream=stream)).show(VIEW)

    assert stream.getvalue() == (
        "ratelimit-client: 24 s: 120/400 rows; 5.0 rows/s; 2 failed; 97% of 300 requests/minute used; "
        "31 in flight, 64 queued, 1 refused; about 56 s left; at the limit's pace\n"
    )


def test_a_plain_line_of_many_models_names_the_slowest() -> None:
    """
    And says how many calls were made again, where some were.
    """
    many = attrs.evolve(VIEW, model="gpt-4o", models=12, retried=1_234, total=1_000_000)

    assert many.sentence() == (
        "24 s: 120/1 000 000 rows; 5.0 rows/s; 2 failed; 97% of 300 requests/minute (gpt-4o) used; "
        "31 in flight, 64 queued, 1 refused, 1 234 retried; about 56 s left; at the limit's pace"
    )


def test_what_nobody_knows_is_left_out() -> None:
    """
    A pipe has no total, a silent server no limit.
    """
    stream = io.StringIO()
    Plain(Voice(stream=stream)).show(
        attrs.evolve(VIEW, total=None, failed=0, limit=None, share=None, eta_s=None, state="running")
    )

    assert stream.getvalue() == (
        "ratelimit-client: 24 s: 120 rows; 5.0 rows/s; 31 in flight, 64 queued, 1 refused; running\n"
    )


def test_json_lines_are_objects() -> None:
    """
    One a line, the last at the end.
    """
    stream = io.StringIO()
    display = JsonLines(Voice(stream=stream))
    display.show(VIEW)
    display.close(attrs.evolve(VIEW, state="ended"))

    one, two = (json.loads(line)["progress"] for line in stream.getvalue().splitlines())
    assert (one["done"], one["total"], one["share"], one["state"]) == (120, 400, 0.974, "at the limit's pace")
    assert two["state"] == "ended"


def test_nothing_is_shown_when_nobody_asks() -> None:
    """
    Not even at the end.
    """
    Nothing().show(VIEW)
    Nothing().close(VIEW)


def test_it_is_shown_every_so_often() -> None:
    """
    Until it is cancelled.
    """

    class Counting(Nothing):
        every_s = 0.001
        shown = 0

        def show(self, view: View) -> None:
            self.shown += 1
            if self.shown == 3:
                enough.set()

    async def show() -> None:
        task = asyncio.create_task(keep_showing(Counting(), lambda: VIEW))
        await enough.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    enough = asyncio.Event()
    asyncio.run(show())


def test_a_voice_that_nobody_hears_breaks_nothing() -> None:
    """
    A closed stream, and text that the stream cannot encode.
    """
    gone = io.StringIO()
    gone.close()
    Voice(stream=gone).say("x")
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Voice(stream=narrow).say("é\ud800")
    stream = io.StringIO()
    Voice(as_json=True, stream=stream).fail("oops")
    assert json.loads(stream.getvalue())["level"] == "error"
    assert json.loads(stream.getvalue())["message"] == "oops"


def test_a_server_cannot_steer_the_terminal() -> None:
    """
    Escapes, bells and overrides of direction are shown, not sent.
    """
    stream = io.StringIO()
    Voice(stream=stream).write("a\x1b[2J\x07\u202e\nb é")

    assert stream.getvalue() == "a\\x1b[2J\\x07\\u202e\nb é\n"


def test_what_the_library_logs_is_said() -> None:
    """
    Without a traceback.
    """
    stream = io.StringIO()
    handler = Handler(Voice(stream=stream))
    handler.handle(logging.LogRecord("x", logging.WARNING, "f", 1, "no %s", ("page",), None))

    assert stream.getvalue() == "ratelimit-client: no page\n"


def test_lines_are_broken_between_words_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    JSON never, and nothing where a file is read by a program.
    """
    monkeypatch.delenv("COLUMNS", raising=False)
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 60))
    line = "calls     244 sent, 0 refused (429), longest wait in the queue 11.8 s"
    with os.fdopen(theirs, "w") as stream:
        Voice(stream=stream).write(line)
        Voice(stream=stream).write(line, whole=True)
        Voice(stream=stream, as_json=True).say(line)
        text = b""
        while text.count(b"\n") < 4:
            text += os.read(ours, 65536)
    os.close(ours)
    drawn = text.decode().splitlines()
    kept = io.StringIO()
    Voice(stream=kept).write(line)

    assert drawn[:3] == ["calls     244 sent, 0 refused (429), longest wait in the", " " * 10 + "queue 11.8 s", line]
    assert json.loads(drawn[3])["message"] == line
    assert kept.getvalue() == line + "\n"


def read_terminal(fd: int, process: subprocess.Popen[bytes]) -> str:
    """All that is drawn until the program ends."""
    drawn = b""
    while True:
        ready, _, _ = select.select([fd], [], [], 0.1)
        if ready:
            try:
                piece = os.read(fd, 65536)
            except OSError:  # the other side is closed
                break
            drawn += piece
        elif process.poll() is not None:
            break
    return drawn.decode()


@pytest.mark.parametrize(("more", "colour"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_live_block_is_drawn_on_a_terminal(tmp_path: Path, more: dict[str, str], colour: bool) -> None:
    """
    Rows, limit, calls and state, drawn over and over; without colour where that is asked for.
    """
    pytest.importorskip("rich")
    write(tmp_path / "in", *rows(60))
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR")}
    with serving("1200 requests/min", latency=0.5):
        environment |= {name: os.environ[name] for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY")}
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "ratelimit_client", "run", tmp_path / "in", "-o", tmp_path / "out"],
            stderr=theirs,
            stdin=subprocess.DEVNULL,
            env=environment | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"} | more,
        )
        os.close(theirs)
        drawn = read_terminal(ours, process)
        os.close(ours)
        assert process.wait(timeout=10) == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", drawn)
    assert "of 60" in plain
    assert "requests/minute used" in plain
    assert "in flight" in plain
    assert "60 of 60 ok" in plain
    assert bool(re.search(r"\x1b\[[0-9;]*3[0-9]", drawn)) is colour


def test_no_block_is_drawn_where_rows_run_through_the_terminal(tmp_path: Path) -> None:
    """
    With ``-o -`` through a pipe, what reads the rows may print them there.
    """
    write(tmp_path / "in", *rows(20))
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    with serving("600 requests/min", latency=0.5):
        environment |= {name: os.environ[name] for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY")}
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "ratelimit_client", "run", tmp_path / "in", "-o", "-"],
            stdout=subprocess.PIPE,
            stderr=theirs,
            stdin=subprocess.DEVNULL,
            env=environment | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
        )
        os.close(theirs)
        drawn = read_terminal(ours, process)
        os.close(ours)
        answers, _ = process.communicate(timeout=10)
        assert process.returncode == 0
    assert len(answers.splitlines()) == 20
    assert "20 of 20 ok" in drawn
    assert "\x1b" not in drawn
