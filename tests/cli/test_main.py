"""The program itself: help, version, bugs, the commands beside ``run``."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from ratelimit_client import __version__
from ratelimit_client.cli import guarded, main
from ratelimit_client.cli.args import Request
from ratelimit_client.cli.commands.run import resume_command
from ratelimit_client.cli.demo_job import example_job, write_job
from ratelimit_client.cli.tables import COMMANDS
from ratelimit_client.cli.voice import Voice
from ratelimit_client.errors import ConfigurationError, QueueFull
from tests.jobs import lines, names, rows, run, serving, start, write
from tests.sizes import SIZE


def test_help_lists_what_there_is(capfd: pytest.CaptureFixture[str]) -> None:
    """
    Each command; every flag of a command with its value.
    """
    assert main(["--help"]) == 0
    shown = capfd.readouterr().out
    assert re.findall(r"^    (\w+)", shown, re.MULTILINE) == list(COMMANDS)

    assert main(["run", "--help"]) == 0
    shown = capfd.readouterr().out
    for flag in ("--base-url", "--limit", "--max-in-flight", "--overwrite", "--store", "--ray-address", "--metrics"):
        assert flag in shown
    assert "--store" in shown


def test_the_version_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    """
    On stdout, as is usual.
    """
    assert main(["--version"]) == 0
    assert capfd.readouterr().out == f"ratelimit-client {__version__}\n"


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (ConfigurationError("set the key"), 2, "set the key"),
        (QueueFull("too many"), 2, "too many"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (SystemExit(5), 5, ""),
        (SystemExit(), 0, ""),
        (ZeroDivisionError("sk-secret"), 70, "this is a bug: ZeroDivisionError"),
    ],
)
def test_every_end_is_a_code_and_a_sentence(
    capfd: pytest.CaptureFixture[str], error: BaseException, code: int, says: str
) -> None:
    """
    A bug is one, too; where it happened is shown only when asked.
    """

    def break_down() -> int:
        raise error

    assert guarded(break_down, Voice(), debug=False) == code
    said = capfd.readouterr().err
    assert says in said
    assert "Traceback" not in said
    assert "sk-secret" not in said
    assert guarded(break_down, Voice(), debug=True) == code
    assert ("break_down" in capfd.readouterr().err) is (code == 70)


def test_the_command_that_resumes_is_safe_to_show() -> None:
    """
    It overwrites nothing, and values of a query may be keys.
    """
    argv = ["run", "my in", "-o", "out", "--overwrite", "--query", "key=sk", "--query=api-version=1", "--query=x=y"]

    assert resume_command(Request("run", {}, argv)) == [
        "ratelimit-client",
        "run",
        "my in",
        "-o",
        "out",
        "--query",
        "key=***",
        "--query=api-version=1",
        "--query=x=***",
    ]


def test_messages_can_be_json(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    Every line of stderr is an object.
    """
    write(tmp_path / "in", *rows(3))
    with serving():
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--log-format", "json", "--max-rows", "1") == 75
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--log-format", "json") == 0
    said = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert any("1 of 3 already done" in one["message"] for one in said)


def test_metrics_are_served_while_it_runs(tmp_path: Path) -> None:
    """
    Rows of the job by state, beside what the client knows; the page is on this machine only.
    """
    write(tmp_path / "in", *rows(40))
    with serving("600 requests/min", latency=0.3):
        process = start(tmp_path / "in", "-o", tmp_path / "out", "--metrics", "0", "--max-in-flight", "4")
        assert process.stderr is not None
        said = process.stderr.readline().decode()
        found = re.search(r"metrics on (http://127\.0\.0\.1:\d+/metrics)", said)
        assert found, said
        while not lines(tmp_path / "out"):
            pass
        with urllib.request.urlopen(found[1], timeout=5) as answer:
            text = answer.read().decode()
        shown = process.stderr.readline().decode().split()[-1]
        assert shown == found[1].removesuffix("metrics")
        with urllib.request.urlopen(f"{shown}state.json", timeout=5) as answer:
            (job,) = json.load(answer)["jobs"]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    states = dict(re.findall(r'ratelimit_client_bulk_rows\{job="out",state="(\w+)"\} ([\d.]+)', text))
    assert set(states) == {"pending", "running", "done", "failed"}
    assert sum(map(float, states.values())) == 40
    assert float(states["done"]) >= 1
    assert "ratelimit_client_bulk_last_progress_timestamp_seconds" in text
    assert (job["job"], sum(job["rows"].values()), job["progress"]["total"]) == ("out", 40, 40)
    assert 'ratelimit_client_attempts_total{client="bulk"' in text


def test_a_port_that_is_taken_is_a_warning(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    The rows are answered all the same.
    """
    write(tmp_path / "in", *rows(2))
    with serving():
        port = os.environ["OPENAI_BASE_URL"].rsplit(":", 1)[1].split("/")[0]
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--metrics", port) == 0
    assert "no metrics at 127.0.0.1" in capfd.readouterr().err


def test_simulate_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """
    Its URL is the only line on stdout; a job runs against it.
    """
    process = start("--port", "0", "--limit", "6000 requests/min", "--latency", "0.01", command=["simulate"])
    assert process.stdout is not None
    url = process.stdout.readline().decode().strip()
    write(tmp_path / "in", *rows(5))
    try:
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--base-url", url) == 0
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert len(names(tmp_path / "out")) == 5
    assert b"serving every model: 6000 requests/min" in err
    assert b"served 5 calls, refused 0" in err


def test_simulate_says_what_is_wrong(capfd: pytest.CaptureFixture[str]) -> None:
    """
    A port that is taken, an enforcement nobody knows.
    """
    with serving():
        port = os.environ["OPENAI_BASE_URL"].rsplit(":", 1)[1].split("/")[0]
        assert main(["simulate", "--port", port]) == 2
    assert "cannot listen on 127.0.0.1" in capfd.readouterr().err
    assert main(["simulate", "--enforcement", "strict"]) == 2
    assert "is no enforcement" in capfd.readouterr().err


def test_the_demo_needs_nothing(tmp_path: Path) -> None:
    """
    No key, in any folder: it is over within a minute and has answered every row; before CI, it is stopped half-way.
    """
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    out, whole = tmp_path / "answers", SIZE != "test"
    words = ["--progress", "none", *([] if whole else ["--out", out])]
    process = start(*words, command=["demo"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
    while not whole and process.poll() is None and (not out.exists() or out.read_bytes().count(b"\n") < 100):
        time.sleep(0.1)
    if not whole:
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == (0 if whole else 130), err
    assert re.search(rb"(\d+) of \1 ok, 0 failed" if whole else rb"[1-9]\d\d of 339 ok, 0 failed", err)


def test_the_demo_job_is_the_same_every_time(tmp_path: Path) -> None:
    """
    At least 300 rows of very different lengths.
    """
    write_job(tmp_path / "one")
    write_job(tmp_path / "two")
    sizes = [len(line) for line in (tmp_path / "one").read_bytes().splitlines()]

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert len(sizes) >= 300
    assert max(sizes) > 8 * min(sizes)
    found = example_job()
    assert found is None or found.name == "job.jsonl"
