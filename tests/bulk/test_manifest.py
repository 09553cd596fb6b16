"""Which job an output belongs to."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import attrs
import pytest

from ratelimit_client.bulk.manifest import InputState, Manifest, Paths, load, masked, save
from ratelimit_client.errors import ConfigurationError

JOB = Manifest(
    input="/in", base_url="https://a/v1", query={"api-version": "1"}, library="0", rows=3, checked=InputState(1, 2, 3)
)


def test_it_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """
    For its owner only, with nothing left beside it.
    """
    path = tmp_path / "out.job.json"
    save(str(path), attrs.evolve(JOB, rows=None, checked=None))
    save(str(path), JOB)

    assert load(str(path)) == JOB
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["out.job.json"]
    assert json.loads(path.read_text())["version"] == 1


def test_none_is_none(tmp_path: Path) -> None:
    """
    A job that was never begun has none.
    """
    assert load(str(tmp_path / "none")) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 2}', '{"version": 1, "input": "x"}', "\x00\xff"])
def test_what_is_none_of_ours_is_refused(tmp_path: Path, text: str) -> None:
    """
    A file of that name with something else in it.
    """
    path = tmp_path / "out.job.json"
    path.write_text(text)

    with pytest.raises(ConfigurationError, match="no job file"):
        load(str(path))


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (JOB, None),
        (attrs.evolve(JOB, input="/elsewhere", rows=9, checked=None, library="1"), None),
        (attrs.evolve(JOB, base_url="https://b/v1"), "written for https://a/v1, not https://b/v1"),
        (attrs.evolve(JOB, query={}), "another query"),
    ],
)
def test_what_changes_requests_makes_another_job(other: Manifest, says: str | None) -> None:
    """
    The input may move and grow; base URL and query may not change.
    """
    found = JOB.disagreement(other)

    assert found == says or (found is not None and says is not None and says in found)


def test_values_of_a_query_cannot_be_read() -> None:
    """
    They can be compared; an API version stays readable.
    """
    shown = masked({"key": "sk-secret", "api-version": "2024-10-21"})

    assert shown["api-version"] == "2024-10-21"
    assert "secret" not in str(shown)
    assert shown == masked({"key": "sk-secret", "api-version": "2024-10-21"})
    assert shown != masked({"key": "sk-other", "api-version": "2024-10-21"})


def test_side_files_are_named_after_the_output() -> None:
    """
    OUT.errors.jsonl, OUT.job.json, OUT.torn.
    """
    paths = Paths("dir/a.jsonl")

    assert (paths.errors, paths.manifest, paths.torn) == (
        "dir/a.jsonl.errors.jsonl",
        "dir/a.jsonl.job.json",
        "dir/a.jsonl.torn",
    )


def test_a_job_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """
    With the reason.
    """
    (tmp_path / "a.job.json").mkdir()

    with pytest.raises(ConfigurationError, match=r"a\.job\.json cannot be read: Is a directory"):
        load(str(tmp_path / "a.job.json"))


def test_errors_files_put_aside_are_numbered_on(tmp_path: Path) -> None:
    """
    By number, not by name; other files do not count, and where there is no folder there are none.
    """
    paths = Paths(str(tmp_path / "a"))
    assert (paths.retired(), paths.next_retired()) == ([], f"{tmp_path}/a.errors.1.jsonl")
    for number in ("10", "9", "011", "0", "x", "99x"):
        (tmp_path / f"a.errors.{number}.jsonl").touch()

    assert paths.retired() == [f"{tmp_path}/a.errors.{number}.jsonl" for number in (9, 10)]
    assert paths.next_retired() == f"{tmp_path}/a.errors.11.jsonl"
    assert Paths(str(tmp_path / "nowhere" / "a")).retired() == []
