"""``--state``: limits learnt by one run, for the next one."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest

from ratelimit_client.bulk.state import load
from ratelimit_client.cli import main
from tests.jobs import KEY, rows, run, serving, write


def test_a_run_leaves_its_limits_for_the_next(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    The file is its owner's; an estimate needs no --limit then, and the key is not in it.
    """
    state = tmp_path / "state"
    write(tmp_path / "in", *rows(3))
    with serving("300 requests/min"):
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--state", state) == 0
        assert stat.S_IMODE(state.stat().st_mode) == 0o600
        assert KEY not in state.read_text()
        write(tmp_path / "more", *rows(600))
        capfd.readouterr()
        assert main(["estimate", str(tmp_path / "more"), "--state", str(state)]) == 0
        assert "300 requests/minute of gpt-4o-mini binds" in capfd.readouterr().out
        assert run(tmp_path / "more", "-o", "-", "--state", state, "--dry-run", "--limit", "100/min") == 0
        assert "100 requests/minute of gpt-4o-mini binds" in capfd.readouterr().err


def test_a_run_begins_with_what_was_learnt(tmp_path: Path) -> None:
    """
    Twenty rows under a limit of ten a minute: without a header, the first ten are all that go out.
    """
    url_of_state = {"server": "", "model": "gpt-4o-mini", "unit": "requests", "limit": 10, "window_s": 60.0}
    write(tmp_path / "in", *rows(20))
    with serving(headers=False) as server:
        entry = url_of_state | {"server": os.environ["OPENAI_BASE_URL"], "seen_s": time.time()}
        (tmp_path / "state").write_text(json.dumps({"version": 1, "limits": [entry]}))
        code = run(tmp_path / "in", "-o", tmp_path / "out", "--state", tmp_path / "state", "--max-time", "2")
    assert code == 75
    assert 8 <= server.tally.calls <= 11
    found = load(str(tmp_path / "state"), now_s=time.time())
    assert [(one.limit, one.seen_s) for one in found.limits] == [(10, entry["seen_s"])]


def test_another_file_is_refused_and_stays(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    2, before the first call.
    """
    (tmp_path / "state").write_text("my notes")
    write(tmp_path / "in", *rows(1))
    with serving() as server:
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--state", tmp_path / "state") == 2
    assert "holds no limits written by this program" in capfd.readouterr().err
    assert server.tally.calls == 0
    assert (tmp_path / "state").read_text() == "my notes"


def test_a_state_that_cannot_be_written_is_a_warning(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    The rows are answered.
    """
    write(tmp_path / "in", *rows(1))
    with serving():
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--state", tmp_path / "no" / "state") == 0
    assert "no/state could not be written" in capfd.readouterr().err
