"""
``--counter``: rows whose tokens are counted by tiktoken.

A module of that name stands in for it, since its encodings are files that have to be fetched.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import attrs
import pytest

from ratelimit_client.cli import main
from tests.jobs import names, row, rows, serving, start, write

STAND_IN = """
import pathlib

class Words:
    def __init__(self, name):
        self.name = name

    def encode_ordinary(self, text):
        with pathlib.Path(__file__).with_name("counted").open("a") as file:
            print(self.name, text, file=file)
        return [0] * (1000 if text else 0)

def encoding_name_for_model(model):
    return {"gpt-4o-mini": "new", "gpt-4": "old"}[model]

def get_encoding(name):
    if name == "old":
        raise ConnectionError("no network")
    return Words(name)
"""
CUT_OFF = STAND_IN.replace('if name == "old"', "if True")
MISSING = "raise ImportError('not here')"


@attrs.frozen
class Ended:
    """What a program came to."""

    code: int
    out: str
    err: str


def program(folder: Path, stand_in: str, command: str, *arguments: str | Path, **variables: str) -> Ended:
    """Run it where a module of ours is found as tiktoken."""
    (folder / "modules").mkdir(exist_ok=True)
    (folder / "modules" / "tiktoken.py").write_text(stand_in)
    env = {**os.environ, "PYTHONPATH": str(folder / "modules"), "PYTHONDONTWRITEBYTECODE": "1", **variables}
    process = start(*arguments, command=(command,), env=env)
    out, err = process.communicate(timeout=60)
    return Ended(process.returncode, out.decode(), err.decode())


def counted(folder: Path) -> list[str]:
    """Encoding and text of everything that was counted."""
    path = folder / "modules" / "counted"
    return [line for line in path.read_text().splitlines() if line.strip() not in ("new", "o200k_base")]


def test_rows_of_a_run_are_counted(tmp_path: Path) -> None:
    """
    Each text once, by its model's encoding; the job is the same one without a counter.
    """
    write(tmp_path / "in", *rows(6))
    with serving() as server:
        first = program(tmp_path, STAND_IN, "run", tmp_path / "in", "-o", tmp_path / "out", "--max-rows", "2")
        before = json.loads((tmp_path / "out.job.json").read_text())
        ended = program(
            tmp_path, STAND_IN, "run", tmp_path / "in", "-o", tmp_path / "out", RATELIMIT_CLIENT_COUNTER="tiktoken"
        )
        calls = server.tally.calls

    assert (first.code, ended.code, calls) == (75, 0, 6)
    assert sorted(counted(tmp_path)) == [f"new row-{number}: hello" for number in range(2, 6)]
    assert sorted(names(tmp_path / "out")) == [f"row-{number}" for number in range(6)]
    assert json.loads((tmp_path / "out.job.json").read_text()).keys() == before.keys()
    assert "tiktoken" not in (tmp_path / "out.job.json").read_text()


@pytest.mark.parametrize("command", ["estimate", "run"])
def test_a_forecast_says_who_counted(tmp_path: Path, command: str) -> None:
    """
    A thousand tokens a row, and a few that every call costs; characters say less.
    """
    write(tmp_path / "in", *rows(3))
    more: list[str | Path] = [] if command == "estimate" else ["-o", tmp_path / "out", "--dry-run"]
    with serving():
        by_tokens = program(tmp_path, STAND_IN, command, tmp_path / "in", *more, "--counter", "tiktoken")
        by_characters = program(tmp_path, STAND_IN, command, tmp_path / "in", *more, "--counter=characters")

    said = by_tokens.out + by_tokens.err
    assert "about 3 024: the text, counted by tiktoken, and all the output" in said
    assert "about 33: the text and all the output" in by_characters.out + by_characters.err


@pytest.mark.parametrize("command", ["estimate", "run", "retry"])
@pytest.mark.parametrize(
    ("stand_in", "why"),
    [
        (MISSING, "counting tokens needs tiktoken: pip install 'ratelimit-client[tokens]'"),
        (CUT_OFF, "tiktoken cannot load its encoding o200k_base for models it does not know: ConnectionError; "),
    ],
    ids=["not installed", "cut off"],
)
def test_what_cannot_be_had_is_said_before_the_first_call(
    tmp_path: Path, command: str, stand_in: str, why: str
) -> None:
    """
    Exit code 2, one sentence, no call and no file.
    """
    write(tmp_path / "in", *rows(2))
    more: list[str | Path] = [] if command == "estimate" else ["-o", tmp_path / "out"]
    with serving() as server:
        ended = program(tmp_path, stand_in, command, tmp_path / "in", *more, "--counter", "tiktoken")
        assert server.tally.calls == 0

    assert ended.code == 2
    assert why in ended.err
    assert len(ended.err.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "modules"]


def test_a_model_whose_encoding_cannot_be_loaded_is_counted_by_the_newest(tmp_path: Path) -> None:
    """
    It is said once, and stops nothing.
    """
    write(tmp_path / "in", *(row(f"row-{number}", model="gpt-4") for number in range(3)))
    with serving():
        ended = program(tmp_path, STAND_IN, "run", tmp_path / "in", "-o", tmp_path / "out", "--counter", "tiktoken")

    assert ended.code == 0
    assert sorted(counted(tmp_path)) == [f"o200k_base row-{number}: hello" for number in range(3)]
    assert ended.err.count("cannot load its encoding old for 'gpt-4': ConnectionError") == 1


def test_no_other_counter_is_known(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    It is refused with the words there are, and shown with where it is from.
    """
    assert main(["estimate", str(tmp_path / "in"), "--counter", "guess"]) == 2
    assert "--counter: 'guess' is none of characters, tiktoken" in capfd.readouterr().err
    assert main(["run", "--counter", "tiktoken", "--show-config"]) == 0
    shown = [line.split() for line in capfd.readouterr().out.splitlines()]
    assert ["--counter", "tiktoken", "--counter"] in shown
