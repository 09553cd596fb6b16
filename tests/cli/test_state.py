"""``--state``: limits learnt by one run, for the next one."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path

import pytest

from ratelimit_client.bulk.state import State, load, save
from ratelimit_client.cli import main
from ratelimit_client.core.quota import Quota
from ratelimit_client.core.statistics import BucketStatistics, KeyStatistics, LimiterStatistics, Mode
from ratelimit_client.errors import ConfigurationError
from tests.jobs import KEY, rows, run, serving, write

SERVER = "http://127.0.0.1:1/v1"


def seen(source: str, limit: int = 500, unit: str = "requests") -> LimiterStatistics:
    """Statistics of one model with one bucket."""
    bucket = BucketStatistics(unit, 60.0, limit, 0, 0.0, None, source, 0.0, None, 0.0, "none")
    return LimiterStatistics("bulk", {"m": KeyStatistics(0, 0.0, 0, 1, {unit: bucket}, 0, 0, None, Mode.STEADY)})


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
        import os

        entry = url_of_state | {"server": os.environ["OPENAI_BASE_URL"], "seen_s": time.time()}
        (tmp_path / "state").write_text(json.dumps({"version": 1, "limits": [entry]}))
        code = run(tmp_path / "in", "-o", tmp_path / "out", "--state", tmp_path / "state", "--max-time", "2")
    assert code == 75
    assert 8 <= server.tally.calls <= 11
    found = load(str(tmp_path / "state"), now_s=time.time())
    assert [(one.limit, one.seen_s) for one in found.limits] == [(10, entry["seen_s"])]


def test_limits_are_believed_for_a_day_and_of_their_server(tmp_path: Path) -> None:
    """
    What was only expected grows old; what was shown is new; other servers' are kept.
    """
    path = str(tmp_path / "state")
    first = State().after(SERVER, seen("header"), now_s=1000.0)
    save(path, first)
    assert load(path, now_s=1000.0 + 86_399).of(SERVER) == {"m": (Quota("requests", 500),)}
    assert load(path, now_s=1000.0 + 86_400) == State()
    assert load(path, now_s=0.0).limits == first.limits
    assert first.of("http://elsewhere/v1") == {}

    later = first.after(SERVER, seen("prior"), now_s=2000.0)
    assert [one.seen_s for one in later.limits] == [1000.0]
    later = later.after(SERVER, seen("header", 700), now_s=3000.0).after("http://b", seen("header"), now_s=4000.0)
    assert [(one.server, one.limit, one.seen_s) for one in later.limits] == [
        ("http://b", 500, 4000.0),
        (SERVER, 700, 3000.0),
    ]
    assert later.after(SERVER, seen("config"), now_s=5000.0) == later


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"version": 2, "limits": []}',
        '{"version": 1, "limits": [{}]}',
        '{"version": 1, "limits": [{"server": "", "model": "", "unit": "t", "limit": 0, "window_s": 1, "seen_s": 1}]}',
    ],
)
def test_another_file_is_refused_and_stays(tmp_path: Path, text: str) -> None:
    """
    With its name; a run ends with 2 before its first call.
    """
    (tmp_path / "state").write_text(text)
    write(tmp_path / "in", *rows(1))

    with pytest.raises(ConfigurationError, match="state holds no limits written by this program"):
        load(str(tmp_path / "state"), now_s=0.0)
    with serving() as server:
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--state", tmp_path / "state") == 2
    assert server.tally.calls == 0
    assert (tmp_path / "state").read_text() == text


def test_a_state_that_cannot_be_written_is_a_warning(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    The rows are answered.
    """
    write(tmp_path / "in", *rows(1))
    with serving():
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--state", tmp_path / "no" / "state") == 0
    assert "no/state could not be written" in capfd.readouterr().err
