"""``retry``: the failed rows of a job once more, and nothing else."""

from __future__ import annotations

import json
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.jobs import lines, names, retry, row, rows, run, serving, start, wait_for, write
from tests.sizes import SCALE

BAD = "nobody-knows-it"


def test_failed_rows_run_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    Those and no others; the errors file is kept under a number, and IN is known from the job file.
    """
    write(tmp_path / "in", row("a"), row("b", model=BAD), row("c", model=BAD), row("d"))
    with serving(models=["gpt-4o-mini"]) as server:
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 1
        first = (tmp_path / "out.errors.jsonl").read_bytes()
        assert retry("-o", tmp_path / "out") == 1
        assert server.tally.calls == 6
        assert sorted(names(tmp_path / "out.errors.jsonl")) == ["b", "c"]
        assert (tmp_path / "out.errors.1.jsonl").read_bytes() == first
        assert "2 failed rows are run again" in capfd.readouterr().err

        server.models = None  # from now on it knows every model
        assert retry("-o", tmp_path / "out") == 0
        assert retry("-o", tmp_path / "out") == 0
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 0
    assert server.tally.calls == 8
    assert sorted(names(tmp_path / "out")) == ["a", "b", "c", "d"]
    assert not (tmp_path / "out.errors.jsonl").exists()
    assert sorted(names(tmp_path / "out.errors.2.jsonl")) == ["b", "c"]
    assert stat.S_IMODE((tmp_path / "out.errors.2.jsonl").stat().st_mode) == 0o600


def test_only_rows_of_the_codes_run_again(tmp_path: Path) -> None:
    """
    By status, by class of status, or by the code of the error line; the others stay failed, and their lines stay.
    """
    write(tmp_path / "in", row("a"), row("b", model=BAD), row("c", url="/x"), "no row", row("b"), row("c"))
    with serving(models=["gpt-4o-mini"]) as server:
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 1
        before = lines(tmp_path / "out.errors.jsonl")
        assert server.tally.calls == 2

        assert retry("-o", tmp_path / "out", "--codes", "429,5xx") == 1
        assert server.tally.calls == 2
        assert lines(tmp_path / "out.errors.jsonl") == before
        assert not (tmp_path / "out.errors.1.jsonl").exists()

        assert retry("-o", tmp_path / "out", "--codes", "404") == 1
        assert server.tally.calls == 3
        assert retry("-o", tmp_path / "out", "--codes", "4xx") == 1
        assert retry("-o", tmp_path / "out", "--codes", "model_not_found") == 1
        assert server.tally.calls == 5
    after = lines(tmp_path / "out.errors.jsonl")
    assert sorted(map(str, (line["custom_id"] for line in after))) == ["None", "b", "b", "c", "c"]
    assert {line["error"]["code"] for line in after} == {line["error"]["code"] for line in before}


def test_everything_that_failed_runs_again_without_codes(tmp_path: Path) -> None:
    """
    Lines that are no rows and repeated names are told again, without a call.
    """
    write(tmp_path / "in", row("a"), "no row", row("a"), row("b", url="/x"))
    with serving() as server:
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 1
        before = lines(tmp_path / "out.errors.jsonl")
        assert retry("-o", tmp_path / "out") == 1
    assert server.tally.calls == 1
    after = lines(tmp_path / "out.errors.jsonl")
    assert sorted(after, key=str) == sorted(before, key=str)


def test_a_row_that_was_mended_runs_as_it_is_now(tmp_path: Path) -> None:
    """
    And an answered row that was edited does not.
    """
    write(tmp_path / "in", row("a"), row("b", model=BAD))
    with serving(models=["gpt-4o-mini"]) as server:
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 1
        write(tmp_path / "in", row("a", content="edited"), row("b"))
        assert retry(tmp_path / "in", "-o", tmp_path / "out") == 0
    assert server.tally.calls == 3
    assert names(tmp_path / "out") == ["a", "b"]


def test_a_line_that_was_no_row_and_was_mended_runs(tmp_path: Path) -> None:
    """
    Also a name that was the second of its kind; rows that nobody has run are still not run.
    """
    write(tmp_path / "in", row("a"), "oops", row("a", content="again"), row("b", model=BAD))
    with serving(models=["gpt-4o-mini"]) as server:
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 1
        write(tmp_path / "in", row("a"), row("c"), row("d", content="again"), row("b", model=BAD), row("never"))
        assert retry("-o", tmp_path / "out", "--codes", "invalid_line", "--max-rows", "1") == 1
        assert retry("-o", tmp_path / "out", "--codes", "duplicate_custom_id") == 1
        assert names(tmp_path / "out") == ["a", "c", "d"]
        assert retry("-o", tmp_path / "out") == 1
        assert server.tally.calls == 5
        assert names(tmp_path / "out.errors.jsonl") == ["b"]


def test_rows_that_nobody_has_run_are_passed_over(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    They are the next run's; the job file goes on to count them.
    """
    write(tmp_path / "in", row("b", model=BAD), *rows(5))
    with serving(models=["gpt-4o-mini"]) as server:
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--max-rows", "3") == 75
        capfd.readouterr()
        assert retry("-o", tmp_path / "out") == 1
        assert server.tally.calls == 4
        assert "3 that nobody has run yet left to `run`" in capfd.readouterr().err
        assert json.loads((tmp_path / "out.job.json").read_text())["rows"] == 6
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 1
        assert server.tally.calls == 7


def test_a_retry_that_was_stopped_goes_on(tmp_path: Path) -> None:
    """
    What was put aside and has no line since runs, whoever runs it.
    """
    bad = [row(f"bad-{number}", model=BAD) for number in range(4)]
    write(tmp_path / "in", row("a"), *bad)
    with serving(models=["gpt-4o-mini"]) as server:
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 1
        assert server.tally.calls == 5
        assert retry("-o", tmp_path / "out", "--max-rows", "1") == 75
        calls = server.tally.calls
        write(tmp_path / "in", row("a"), *(row(f"bad-{number}") for number in range(4)))
        assert retry("-o", tmp_path / "out") == 0
    assert server.tally.calls == calls + 4
    assert sorted(names(tmp_path / "out")) == ["a", "bad-0", "bad-1", "bad-2", "bad-3"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("-o", "{}/out"), "is not there to say where rows came from"),
        (("{}/in", "-o", "{}/out"), "is the output of no run"),
        (("{}/in", "-o", "-"), "rows on stdout leave nothing to retry"),
        (("{}/in", "-o", "{}/out", "--codes", "4x"), "--codes: '4x' holds no codes"),
    ],
)
def test_what_cannot_be_retried_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    """
    2, and nothing is made.
    """
    write(tmp_path / "in", row("a"))
    with serving() as server:
        assert retry(*(word.format(tmp_path) for word in arguments)) == 2
    assert says in capfd.readouterr().err
    assert server.tally.calls == 0
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_killed_at_random_a_retry_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """
    kill -9 a few times: each failed row has one answer at the end, and only rows that were out were sent twice.
    """
    count, in_flight, kills = 150, 8, 3 * SCALE
    write(tmp_path / "in", row("a"), *(row(f"late-{number}", model=BAD) for number in range(count)))
    with serving(models=["gpt-4o-mini"], latency=0.05) as server:
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 1
        before = server.tally.admitted
        server.models = None
        for kill in range(kills):
            words = ("-o", tmp_path / "out", "--max-in-flight", str(in_flight))
            process = start(*words, command=["retry"], stderr=subprocess.DEVNULL)
            wait_for(tmp_path / "out.errors.1.jsonl", count)
            time.sleep(0.05 + 0.11 * (kill % 5))
            process.kill()
            process.communicate()
        assert retry("-o", tmp_path / "out") == 0
    assert sorted(names(tmp_path / "out")) == sorted(["a", *(f"late-{number}" for number in range(count))])
    assert server.tally.admitted - before <= count + kills * in_flight
