"""``--shard I/N``: a job in parts, each with an output of its own."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path

import pytest

from ratelimit_client.bulk.shards import Shard, parts_of, remainder
from ratelimit_client.cli import main
from tests.jobs import lines, names, retry, row, rows, run, serving, write


def test_every_row_belongs_to_one_shard(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    By SHA-256 of its name; together they answer all, once, and status adds them up.
    """
    write(tmp_path / "in", *rows(40), "no row", row("row-3"))
    with serving() as server:
        codes = [run(tmp_path / "in", "-o", tmp_path / "out", "--shard", f"{number}/3") for number in (1, 2, 3)]
        assert server.tally.calls == 40
        assert main(["status", str(tmp_path / "out")]) == 1
    assert sorted(codes) in ([0, 0, 1], [0, 1, 1])
    found = {number: names(tmp_path / f"out.{number}-of-3") for number in (1, 2, 3)}
    for number, own in found.items():
        assert own
        assert {int(sha256(name.encode()).hexdigest(), 16) % 3 for name in own} == {number - 1}
    assert sorted(name for own in found.values() for name in own) == sorted(f"row-{number}" for number in range(40))
    errors = [line for number in (1, 2, 3) for line in lines(tmp_path / f"out.{number}-of-3.errors.jsonl")]
    assert sorted((line["error"]["code"], line["error"]["line"]) for line in errors) == [
        ("duplicate_custom_id", 42),
        ("invalid_line", 41),
    ]
    assert not (tmp_path / "out").exists()
    rows_of = [json.loads((tmp_path / f"out.{number}-of-3.job.json").read_text())["rows"] for number in (1, 2, 3)]
    assert sum(rows_of) == 42
    assert "40 of 42 ok, 2 failed" in capfd.readouterr().out


def test_a_shard_goes_on_where_it_stopped(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    And tells what is left of it, not of the whole.
    """
    write(tmp_path / "in", *rows(40))
    mine = sum(remainder(f"row-{number}", 2) == 0 for number in range(40))
    arguments = (tmp_path / "in", "-o", tmp_path / "out", "--shard", "1/2")
    with serving() as server:
        assert run(*arguments, "--max-rows", "5") == 75
        assert run(*arguments, "--dry-run") == 0
        assert f"{mine - 5} to be sent, 5 answered before" in capfd.readouterr().err
        assert run(*arguments) == 0
        assert f"{mine} of {mine} ok, 5 of them before this run" in capfd.readouterr().err
        assert run(*arguments) == 0
    assert server.tally.calls == mine
    assert sorted(os.listdir(tmp_path)) == ["in", "out.1-of-2", "out.1-of-2.job.json"]


def test_failed_rows_of_a_shard_run_again(tmp_path: Path) -> None:
    """
    Its own, into its own files.
    """
    write(tmp_path / "in", *rows(10), *(row(f"bad-{number}", model="nobody-knows-it") for number in range(6)))
    mine = sum(remainder(f"bad-{number}", 2) == 1 for number in range(6))
    with serving(models=["gpt-4o-mini"]) as server:
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--shard", "2/2") == 1
        calls = server.tally.calls
        server.models = None
        assert retry("-o", tmp_path / "out", "--shard", "2/2") == 0
    assert server.tally.calls == calls + mine
    assert parts_of(str(tmp_path / "out")) == {Shard(2, 2): str(tmp_path / "out.2-of-2")}
    assert len(lines(tmp_path / "out.2-of-2.errors.1.jsonl")) == mine


def test_an_unknown_model_alone_in_a_shard_stops_it(tmp_path: Path) -> None:
    """
    Rows of other shards are nobody who could still succeed: 3, after a handful of calls.
    """
    known = [row(name) for number in range(40) if remainder(name := f"row-{number}", 2) == 1]
    unknown = [row(name, model="no-such") for number in range(900) if remainder(name := f"late-{number}", 2) == 0]
    write(tmp_path / "in", *unknown, *known)
    with serving(models=["gpt-4o-mini"], latency=0.05) as server:
        arguments = (tmp_path / "in", "-o", tmp_path / "out", "--max-in-flight", "4")
        assert run(*arguments, "--shard", "1/2") == 3
        assert server.tally.calls < 100
        assert run(*arguments, "--shard", "2/2") == 0


def test_an_output_is_divided_in_one_way(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    Another number, or none, would send rows twice: 2, before the first call.
    """
    write(tmp_path / "in", *rows(6))
    with serving() as server:
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--shard", "1/2") == 0
        calls = server.tally.calls
        for other in ("1/3", "2/4"):
            assert run(tmp_path / "in", "-o", tmp_path / "out", "--shard", other) == 2
            assert "was begun in 2 shards" in capfd.readouterr().err
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 2
        assert "give --shard I/2" in capfd.readouterr().err
        assert run(tmp_path / "in", "-o", tmp_path / "whole") == 0
        assert run(tmp_path / "in", "-o", tmp_path / "whole", "--shard", "1/2") == 2
        assert "was begun without --shard" in capfd.readouterr().err
    assert server.tally.calls == calls + 6


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/0", "a/b", "-1/2", "1/2/3"])
def test_what_is_no_shard_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str) -> None:
    """
    With how it is written.
    """
    write(tmp_path / "in", *rows(1))

    assert run(tmp_path / "in", "-o", tmp_path / "out", f"--shard={text}") == 2
    assert "write I/N with I from 1 to N" in capfd.readouterr().err
