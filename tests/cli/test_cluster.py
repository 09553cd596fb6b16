"""``--engine ray``: what is refused before a cluster is looked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ratelimit_client.bulk.retry import RetryWalk
from ratelimit_client.bulk.row import mark_of
from ratelimit_client.bulk.source import Source
from ratelimit_client.cli import main
from ratelimit_client.cli.args import Request, read_arguments
from ratelimit_client.cli.commands.retry import open_retry
from ratelimit_client.cli.commands.run import resume_command
from ratelimit_client.cli.voice import Voice
from tests import canary
from tests.jobs import row, rows, run, serving, write


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["in", "-o", "out", "--shard", "1/2"], "--shard is for a job scheduler"),
        (["-", "-o", "out"], "reads files"),
        (["in", "-o", "s3://bucket/out"], "no file of this machine"),
        (["in", "-o", "whole"], "begun by one process: leave --engine ray out"),
        (["in", "-o", "out", "--ray-workers", "0"], "--ray-workers"),
        (["in", "-o", "out", "--base-url", "http://example.com/v1"], "plain http"),
    ],
)
def test_what_cannot_be_on_a_cluster_is_a_sentence(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    Exit code 2, and no file was made.
    """
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in", *rows(2))
    (tmp_path / "whole").write_text('{"id": "rlc_')
    with serving() as server:
        code = run(*words, "--engine", "ray")

    assert (code, server.tally.calls) == (2, 0)
    assert says in capfd.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "whole"]


def test_one_process_leaves_a_cluster_s_output_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    And a shard of it can be gone on with, by whoever has no cluster.
    """
    write(tmp_path / "in", *rows(20))
    (tmp_path / "out.1-of-2").touch()
    with serving() as server:
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 2
        assert "--shard I/2 or --engine ray" in capfd.readouterr().err
        assert [run(tmp_path / "in", "-o", tmp_path / "out", "--shard", shard) for shard in ("1/2", "2/2")] == [0, 0]
    assert server.tally.calls == 20


def test_a_dry_run_looks_at_all_shards(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    It needs no cluster to say what is left.
    """
    write(tmp_path / "in", *rows(20))
    with serving():
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--shard", "1/2") == 0
        done = json.loads((tmp_path / "out.1-of-2.job.json").read_text())["rows"]
        capfd.readouterr()
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--engine", "ray", "--dry-run") == 0
    assert f"{20 - done} to be sent, {done} answered before" in capfd.readouterr().err


def test_the_password_of_a_store_is_shown_nowhere() -> None:
    """
    Not in the command that resumes, and not by --show-config.
    """
    for words in (["--store", f"redis://me:{canary.KEY}@host"], [f"--store=redis://me:{canary.KEY}@host"]):
        shown = resume_command(Request("run", {}, ["run", "in", *words]))
        assert canary.KEY not in " ".join(shown)
        assert "redis://***@host" in " ".join(shown)
        assert main(["run", "--show-config", *words]) == 0


def test_failed_rows_of_all_shards_are_chosen_again(tmp_path: Path) -> None:
    """
    Those of each shard, and the errors file of each is put aside.
    """
    write(tmp_path / "in", *rows(5), *(row(f"bad-{number}", model="nobody-knows-it") for number in range(6)))
    words = ["-o", str(tmp_path / "out"), "--engine", "ray"]
    with serving(models=["gpt-4o-mini"]):
        for shard in ("1/2", "2/2"):
            assert run(tmp_path / "in", "-o", tmp_path / "out", "--shard", shard) == 1
        options = {**read_arguments(["retry", *words]).options, "overwrite": False, "ray_workers": 7}
        source = Source.open(str(tmp_path / "in"))
        output, walk, says = open_retry(options, source, None, Voice())
        output.close()
        source.close()

    assert isinstance(walk, RetryWalk)
    assert walk.chosen.marks == {mark_of(f"bad-{number}") for number in range(6)}
    assert says == "6 failed rows are run again"
    assert sorted(path.name for path in tmp_path.glob("*.errors.*")) == [
        "out.1-of-2.errors.1.jsonl",
        "out.2-of-2.errors.1.jsonl",
    ]
