"""Every file a job writes: for its owner only, and where it was asked for, whatever lies under its name."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.jobs import lines, names, retry, row, rows, run, serving, write

BAD = "nobody-knows-it"
MARK = "what another user's file holds"


def test_every_file_is_its_owners_only(tmp_path: Path) -> None:
    """
    Output, errors, those put aside, job file, torn end, limits and summary, under the most careless umask there is.
    """
    write(tmp_path / "in", row("a"), row("b", model=BAD), "no row", row("c"))
    given = set(os.listdir(tmp_path))
    before = os.umask(0)
    try:
        with serving(models=["gpt-4o-mini"]):
            options = ["--summary-file", tmp_path / "sum", "--state", tmp_path / "limits"]
            assert run(tmp_path / "in", "-o", tmp_path / "out", *options) == 1
            with (tmp_path / "out").open("ab") as file:
                file.write(b'{"torn')
            assert run(tmp_path / "in", "-o", tmp_path / "out", *options) == 1
            assert retry("-o", tmp_path / "out", *options) == 1
    finally:
        os.umask(before)

    modes = {name: stat.S_IMODE((tmp_path / name).lstat().st_mode) for name in set(os.listdir(tmp_path)) - given}
    assert set(modes.values()) == {0o600}
    assert {
        "out",
        "out.errors.jsonl",
        "out.errors.1.jsonl",
        "out.job.json",
        "out.torn",
        "limits",
        "sum",
    } <= set(modes)


@pytest.mark.parametrize("command", ["run", "retry"])
@pytest.mark.parametrize(
    "name",
    ["out", "out.errors.jsonl", "out.job.json", "out.job.json.tmp", "out.errors.jsonl.tmp", "out.torn"],
)
def test_a_link_in_the_place_of_a_file_harms_nobody(tmp_path: Path, name: str, command: str) -> None:
    """
    Somebody who may write to the folder lays a link there before the run or between two: what it leads to
    stays as it was; the job refuses, or its own file takes the place of the link.
    """
    victim = tmp_path / "victim"
    victim.write_text(MARK)
    write(tmp_path / "in", row("a"), row("b", model=BAD))
    with serving(models=["gpt-4o-mini"]):
        if command == "retry" or name == "out.torn":
            assert run(tmp_path / "in", "-o", tmp_path / "out") == 1
        if name == "out.torn":
            with (tmp_path / "out").open("ab") as file:
                file.write(b'{"torn')
        (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / name).symlink_to(victim)
        code = run(tmp_path / "in", "-o", tmp_path / "out") if command == "run" else retry("-o", tmp_path / "out")

    assert victim.read_text() == MARK
    assert stat.S_IMODE(victim.stat().st_mode) != 0o600
    if code == 1:
        assert names(tmp_path / "out") == ["a"]
        assert not (tmp_path / "out").is_symlink()
    else:
        assert code in (2, 74)


def test_a_name_is_never_a_path(tmp_path: Path) -> None:
    """
    A custom_id or model may look like one: nothing is written but the files that were asked for.
    """
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "folder").mkdir()
    odd = ["../outside/x", f"{outside}/y", "a/b/c", "..", "/etc/passwd", "C:\\x", "~/x", "$(touch z)", "-o", "a\u0000b"]
    write(tmp_path / "folder" / "in", *(row(name, model=name) for name in odd))
    with serving():
        assert run(tmp_path / "folder" / "in", "-o", tmp_path / "folder" / "out") == 0

    assert sorted(line["custom_id"] for line in lines(tmp_path / "folder" / "out")) == sorted(odd)
    assert os.listdir(outside) == []
    assert sorted(os.listdir(tmp_path / "folder")) == ["in", "out", "out.job.json"]
    assert sorted(os.listdir(tmp_path)) == ["folder", "outside"]


@pytest.mark.parametrize("text", ["a\nb", "a\x1b[2Jb", "a\u202eb", "a\u2028b", "a\rb", "a\x9bb", "a" * 4000])
def test_names_and_servers_write_no_lines_of_their_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str
) -> None:
    """
    A custom_id, a model or an error may hold anything: the files stay one object a line, the terminal is not steered.
    """
    write(tmp_path / "in", row(text), row(text), row("m", model=text), row("u", url=f"/v1/{text}"), *rows(2))
    with serving(models=["gpt-4o-mini"]):
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--summary-file", tmp_path / "sum") == 1
    said = capfd.readouterr().err

    assert text in names(tmp_path / "out")
    assert len(lines(tmp_path / "out.errors.jsonl")) == 3
    assert said.replace("\n", "").isprintable()
    assert all(len(line) < 1500 for line in said.splitlines())
