"""How a run ends before its input does, and that the same command goes on."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ratelimit_client.testing import Faults, shortest, sliced
from tests.jobs import KEY, lines, names, row, rows, run, serving, start, wait_for, write
from tests.sizes import SCALE


def unused_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


# -- answers that end it --------------------------------------------------------------


def test_an_exhausted_quota_stops_at_once_and_keeps_what_was_paid(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    Exit code 3; the answers before it stay, no row is failed, and the rest runs when there is money again.
    """
    write(tmp_path / "in", *rows(60))
    with serving(quota_after=30) as server:
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 3
        assert len(names(tmp_path / "out")) == 30
        assert not (tmp_path / "out.errors.jsonl").exists()
        server.quota_after = None
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 0
    assert sorted(names(tmp_path / "out")) == sorted(f"row-{number}" for number in range(60))
    said = capfd.readouterr().err
    assert "nothing left to spend" in said
    assert "30 still to be done" in said


def test_no_money_from_the_start_costs_a_handful_of_calls(tmp_path: Path) -> None:
    """
    At most the four of the first round.
    """
    write(tmp_path / "in", *rows(200))
    with serving(quota_after=0) as server:
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 3
    assert server.tally.calls <= 4


def test_a_key_that_is_not_accepted_stops_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    Exit code 3, every row still to be done, the key not shown.
    """
    write(tmp_path / "in", *rows(20))
    with serving(api_keys=["sk-another"]):
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 3
    assert names(tmp_path / "out") == []
    assert not (tmp_path / "out.errors.jsonl").exists()
    said = capfd.readouterr().err
    assert "did not accept the key" in said
    assert KEY not in said


def test_a_server_that_cannot_prove_who_it_is_fails_no_row(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    It would be the same for every row: the run stops with 2.
    """
    write(tmp_path / "in", *rows(20))
    with serving() as server:
        url = os.environ["OPENAI_BASE_URL"].replace("http://", "https://")
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--base-url", url) == 2
    assert server.tally.calls == 0
    assert not (tmp_path / "out.errors.jsonl").exists()
    assert "could not prove who it is" in capfd.readouterr().err


def test_one_unknown_model_fails_its_rows_only(tmp_path: Path) -> None:
    """
    Also when its rows come first.
    """
    unknown = [row(f"u{number}", model="no-such-model") for number in range(5)]
    write(tmp_path / "in", *unknown, *rows(5))
    with serving(models=["gpt-4o-mini"]):
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 1
    assert len(names(tmp_path / "out")) == 5
    assert {line["error"]["code"] for line in lines(tmp_path / "out.errors.jsonl")} == {"model_not_found"}
    assert len(lines(tmp_path / "out.errors.jsonl")) == 5


def test_an_unknown_model_alone_stops_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    Exit code 3 after a handful of calls: a slip in the model's name makes no error line for every row.
    """
    write(tmp_path / "in", *rows(3000, model="gpt-4o-mimi"))
    with serving(models=["gpt-4o-mini"]) as server:
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 3
    assert server.tally.calls < 100
    assert names(tmp_path / "out") == []
    assert not (tmp_path / "out.errors.jsonl").exists()
    assert "'gpt-4o-mimi' is unknown" in capfd.readouterr().err


def test_several_unknown_models_and_no_other_stop_it(tmp_path: Path) -> None:
    """
    Nobody succeeded and nobody is left.
    """
    mixed = [row(f"r{number}", model=f"unknown-{number % 3}") for number in range(30)]
    write(tmp_path / "in", *mixed)
    with serving(models=["gpt-4o-mini"]):
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 3
    assert not (tmp_path / "out.errors.jsonl").exists()


@pytest.mark.parametrize("input_", ["a file", "a pipe"])
def test_what_another_model_answered_in_an_earlier_run_counts(tmp_path: Path, input_: str) -> None:
    """
    The unknown one is not all there is, so its rows fail; not so when all earlier answers were its own.
    """
    first, late = rows(5), [row(f"u{number}", model="no-such-model") for number in range(3)]

    def go(*lines_: dict[str, Any]) -> int:
        write(tmp_path / "in", *lines_)
        if input_ == "a file":
            return run(tmp_path / "in", "-o", tmp_path / "out")
        process = start("-", "-o", tmp_path / "out", "--progress", "none", stdin=subprocess.PIPE)
        process.communicate((tmp_path / "in").read_bytes(), timeout=30)
        return process.returncode

    port = unused_port()
    with serving(models=["gpt-4o-mini"]):
        assert go(*first) == 0
        assert go(*first, *late) == 1
        assert len(lines(tmp_path / "out.errors.jsonl")) == 3
        for path in tmp_path.iterdir():
            path.unlink()
    with serving(port=port):
        assert go(*late[:1]) == 0
    with serving(models=["gpt-4o-mini"], port=port):
        assert go(*late) == 3
        assert not lines(tmp_path / "out.errors.jsonl")
        assert go(*late, *first) == 1
        assert len(lines(tmp_path / "out.errors.jsonl")) == 2


def test_unknown_models_in_a_pipe(tmp_path: Path) -> None:
    """
    A pipe cannot be looked at ahead: judged when it ends, by whether another model's row succeeded.
    """
    unknown = [row(f"u{number}", model="no-such-model") for number in range(5)]
    with serving(models=["gpt-4o-mini"]):
        for job, code, failed in ((unknown, 3, 0), ([*unknown, row("a")], 1, 5)):
            out = tmp_path / f"out-{code}"
            process = start("-", "-o", out, stdin=subprocess.PIPE)
            process.communicate(b"".join(json.dumps(one).encode() + b"\n" for one in job), timeout=20)
            assert process.returncode == code
            assert len(lines(tmp_path / f"out-{code}.errors.jsonl")) == failed


def test_a_wait_of_hours_is_reported_and_not_slept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    Exit code 75 with the time the server named.
    """
    write(tmp_path / "in", *rows(12))
    with serving(["1000 requests/min", "4 requests/day"], choice=shortest):
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 75
    assert len(names(tmp_path / "out")) == 4
    assert not (tmp_path / "out.errors.jsonl").exists()
    said = capfd.readouterr().err
    assert "the server asks to wait for 6 h 00 min" in said or "5 h 59 min" in said


# -- bounds -----------------------------------------------------------------------------


def test_refused_connections_end_no_row(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    After --max-outage it stops with 75; all rows are still to be done.
    """
    write(tmp_path / "in", *rows(20))
    url = f"http://127.0.0.1:{unused_port()}/v1"
    code = run(tmp_path / "in", "-o", tmp_path / "out", "--base-url", url, "--max-outage", "0.5", "--grace", "0")
    assert code == 75
    assert names(tmp_path / "out") == []
    assert not (tmp_path / "out.errors.jsonl").exists()
    assert "--max-outage" in capfd.readouterr().err


def test_a_server_that_comes_back_is_used(tmp_path: Path) -> None:
    """
    It was away at the start; every row is answered once.
    """
    write(tmp_path / "in", *rows(20))
    port = unused_port()
    process = start(tmp_path / "in", "-o", tmp_path / "out", "--base-url", f"http://127.0.0.1:{port}/v1")
    time.sleep(1.5)
    with serving(port=port) as server:
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert server.tally.admitted == 20


def test_max_time_stops_and_can_go_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    Exit code 75; what was out has finished.
    """
    write(tmp_path / "in", *rows(200))
    with serving("60 requests/min") as server:
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--max-time", "1") == 75
        assert 0 < len(names(tmp_path / "out")) < 200
        assert len(names(tmp_path / "out")) == server.tally.admitted
    assert "--max-time" in capfd.readouterr().err


def test_failures_of_the_server_are_tried_again(tmp_path: Path) -> None:
    """
    A tenth of the calls break in all ways there are; every row is answered and none fails.
    """
    write(tmp_path / "in", *rows(100))
    faults = Faults(server_error=0.03, overloaded=0.03, reset=0.02, truncated=0.02)
    with serving(faults=faults, seed=3) as server:
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--summary-file", tmp_path / "sum") == 0
    assert sorted(names(tmp_path / "out")) == sorted(f"row-{number}" for number in range(100))
    facts = json.loads((tmp_path / "sum").read_text())
    assert facts["calls"] == server.tally.calls
    assert facts["retries"] == server.tally.calls - 100 > 0


def test_a_deadline_is_the_rows_own(tmp_path: Path) -> None:
    """
    A row that takes too long is a failed row.
    """
    write(tmp_path / "in", *rows(3))
    with serving(latency=5.0):
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--deadline", "0.3") == 1
    assert {line["error"]["code"] for line in lines(tmp_path / "out.errors.jsonl")} == {"deadline_exceeded"}


def test_a_deadline_does_not_run_while_others_go_first(tmp_path: Path) -> None:
    """
    Rows that wait for the limit are not begun long before their turn.
    """
    write(tmp_path / "in", *rows(30))
    with serving("20 requests/s", latency=0.05, enforcement=sliced(0.1)):
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--limit", "20/s", "--deadline", "1") == 0
    assert len(names(tmp_path / "out")) == 30


def test_rows_without_a_model_are_rows(tmp_path: Path) -> None:
    """
    The server says what it thinks of them.
    """
    bare = [row(f"r{number}") | {"url": "/v1/moderations", "body": {"input": "x"}} for number in range(100)]
    write(tmp_path / "in", *bare)
    with serving(latency=0.01) as server:
        assert run(tmp_path / "in", "-o", tmp_path / "out") in (0, 1)
    assert server.tally.calls == 100


# -- signals ------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_drains(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """
    What is out is waited for and written; it prints the command that goes on, and that finishes the job.
    """
    write(tmp_path / "in", *rows(160))
    with serving(latency=0.3) as server:
        process = start(tmp_path / "in", "-o", tmp_path / "out", "--max-in-flight", "8")
        wait_for(tmp_path / "out", 4)
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
        assert process.returncode == code, err
        done = len(names(tmp_path / "out"))
        assert done == server.tally.admitted < 160
        said = err.decode()
        assert f"{number.name}: waiting" in said
        assert said.count(f"ratelimit-client run {tmp_path / 'in'} -o {tmp_path / 'out'} --max-in-flight 8") == 2
        assert "Traceback" not in said
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--max-in-flight", "64") == 0
        assert server.tally.admitted == 160


def test_a_second_signal_aborts(tmp_path: Path) -> None:
    """
    At once, although answers take a minute; it prints the command again.
    """
    write(tmp_path / "in", *rows(50))
    with serving(latency=60.0) as server:
        process = start(tmp_path / "in", "-o", tmp_path / "out")
        while server.tally.calls < 4:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert time.monotonic() - began < 5
    assert err.decode().count("To go on") == 2
    assert b"Traceback" not in err


def test_sigterm_waits_no_longer_than_grace(tmp_path: Path) -> None:
    """
    Rows that are out then stay to be done.
    """
    write(tmp_path / "in", *rows(50))
    with serving(latency=60.0) as server:
        process = start(tmp_path / "in", "-o", tmp_path / "out", "--grace", "0.5")
        while server.tally.calls < 4:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=15)
    assert process.returncode == 143, err
    assert names(tmp_path / "out") == []


def test_a_signal_after_the_last_row_changes_nothing(tmp_path: Path) -> None:
    """
    Draining finished the job: exit code 0.
    """
    write(tmp_path / "in", *rows(4))
    with serving(latency=1.0) as server:
        process = start(tmp_path / "in", "-o", tmp_path / "out")
        while server.tally.calls < 4:
            time.sleep(0.01)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=15)
    assert process.returncode == 0, err
    assert len(names(tmp_path / "out")) == 4


def test_killed_at_random_it_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """
    kill -9 a few times: each row has one line at the end, and only rows that were out were sent twice.
    """
    count, in_flight, kills = 300, 16, 3 * SCALE
    write(tmp_path / "in", *rows(count))
    with serving(latency=0.1) as server:
        for kill in range(kills):
            process = start(
                tmp_path / "in", "-o", tmp_path / "out", "--max-in-flight", str(in_flight), stderr=subprocess.DEVNULL
            )
            wait_for(tmp_path / "out.job.json", 1)
            time.sleep(0.25 + 0.07 * (kill % 7))
            process.kill()
            process.communicate()
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--max-in-flight", "64") == 0
    assert sorted(names(tmp_path / "out")) == sorted(f"row-{number}" for number in range(count))
    assert server.tally.admitted <= count + kills * in_flight


# -- files ------------------------------------------------------------------------------


def test_two_runs_on_one_output_the_second_refuses(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    Also with --overwrite; the first goes on undisturbed.
    """
    write(tmp_path / "in", *rows(20))
    with serving(latency=1.5) as server:
        process = start(tmp_path / "in", "-o", tmp_path / "out")
        while server.tally.calls < 4:
            time.sleep(0.01)
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 2
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--overwrite") == 2
        assert "another run is writing" in capfd.readouterr().err
        _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert len(names(tmp_path / "out")) == 20


def test_an_output_that_cannot_grow_stops_it(tmp_path: Path) -> None:
    """
    Exit code 74 and a sentence; when there is room again the same command finishes, and every line is whole.
    """
    write(tmp_path / "in", *rows(60))

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))

    with serving(latency=0.05) as server:
        process = start(tmp_path / "in", "-o", tmp_path / "out", preexec_fn=small_files)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 74, err
        assert b"could not be written" in err
        assert b"Traceback" not in err
        assert (tmp_path / "out").stat().st_size <= 9000
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 0
    assert sorted(names(tmp_path / "out")) == sorted(f"row-{number}" for number in range(60))
    assert server.tally.admitted >= 60


def test_a_closed_stderr_changes_nothing(tmp_path: Path) -> None:
    """
    Nobody listens; the rows are answered all the same.
    """
    write(tmp_path / "in", *rows(5))
    with serving():
        reader, writer = os.pipe()
        os.close(reader)
        # As users have it: an unbuffered stderr holds nothing that Python would try to write once more as it leaves.
        buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        process = start(tmp_path / "in", "-o", tmp_path / "out", stderr=writer, env=buffered)
        os.close(writer)
        process.communicate(timeout=20)
    assert process.returncode == 0
    assert len(names(tmp_path / "out")) == 5


def test_the_key_is_nowhere(tmp_path: Path) -> None:
    """
    In no file, message, summary or progress line, whatever happens to the rows.
    """
    write(tmp_path / "in", *rows(30), "oops", row("bad", model="no-such-model"))
    with serving(models=["gpt-4o-mini"], faults=Faults(server_error=0.2, reset=0.1), seed=1):
        process = start(
            tmp_path / "in", "-o", tmp_path / "out", "--summary-file", tmp_path / "sum", "--progress", "json"
        )
        out, err = process.communicate(timeout=30)
    assert process.returncode == 1, err
    everything = out + err + b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert KEY.encode() not in everything


def test_rows_that_are_added_while_it_runs_are_taken(tmp_path: Path) -> None:
    """
    The input ends where it ends when its end is reached.
    """
    write(tmp_path / "in", *rows(1500))
    with serving("600000 requests/min", latency=0.2) as server:
        done = threading.Event()

        def grow() -> None:
            while server.tally.calls < 4:
                time.sleep(0.005)
            with (tmp_path / "in").open("ab") as file:
                file.write(json.dumps(row("late")).encode() + b"\n")
            done.set()

        thread = threading.Thread(target=grow)
        thread.start()
        process = start(tmp_path / "in", "-o", tmp_path / "out", "--max-in-flight", "200")
        process.communicate(timeout=60)
        thread.join()
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 0
    assert len(set(names(tmp_path / "out"))) == len(names(tmp_path / "out")) == 1501
