"""``estimate`` and ``run --dry-run``: what a job would take, without a call."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratelimit_client.cli import main
from tests.jobs import row, rows, run, serving, write


def estimate(*arguments: str | Path) -> int:
    return main(["estimate", *map(str, arguments)])


def test_rows_tokens_and_the_limit_that_binds(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    A full bucket lets its limit out at once and the rest at its rate; the slowest model decides.
    """
    write(tmp_path / "in", *rows(700), row("other", model="gpt-4o"))

    assert estimate(tmp_path / "in", "--limit", "100 requests/min", "--limit", "gpt-4o=5 requests/min") == 0

    out, err = capfd.readouterr()
    assert err == ""
    assert "701 to be sent" in out
    assert "gpt-4o-mini: 700 rows" in out
    assert "100 requests/minute of gpt-4o-mini binds" in out
    assert "about 6 min 00 s" in out


def test_tokens_may_bind(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    What the output may cost is counted; a row that no bucket ever holds is told, and 1.
    """
    body = {"model": "gpt-4o-mini", "messages": [], "max_tokens": 1000}
    write(tmp_path / "in", *(row(f"row-{number}", body=body) for number in range(10)))

    assert estimate(tmp_path / "in", "--limit", "500 requests/min", "--limit", "4k tokens/min") == 0
    out = capfd.readouterr().out
    assert "4 000 tokens/minute of gpt-4o-mini binds" in out
    assert "about 91.2 s" in out

    assert estimate(tmp_path / "in", "--limit", "500 tokens/min") == 1
    out = capfd.readouterr().out
    assert "more than 500 tokens/minute ever hold" in out


def test_lines_that_will_not_be_sent_are_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    By their kind, and 1; without limits it says what to give.
    """
    write(tmp_path / "in", row("a"), "no row", row("a"), row("b", url="/x"))

    assert estimate(tmp_path / "in") == 1

    out = capfd.readouterr().out
    assert "1 to be sent" in out
    assert "1 x invalid_line, 1 x duplicate_custom_id, 1 x invalid_url: error lines, not sent" in out
    assert "none known: give --limit" in out


def test_rows_that_fit_at_once_are_bound_by_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    Then the answers decide; an empty file is well, too.
    """
    write(tmp_path / "in", row("a"))
    assert estimate(tmp_path / "in", "--limit", "5/s") == 0
    assert "none binds" in capfd.readouterr().out

    (tmp_path / "in").write_bytes(b"")
    assert estimate(tmp_path / "in", "--limit", "5/s") == 0
    assert "0 to be sent" in capfd.readouterr().out
    assert estimate(tmp_path / "nowhere") == 2


def test_a_dry_run_tells_what_is_left_and_touches_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    No call, no file; 0, and stdout stays free for rows.
    """
    write(tmp_path / "in", *rows(9))
    with serving() as server:
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--dry-run") == 0
        assert [path.name for path in tmp_path.iterdir()] == ["in"]
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--max-rows", "4") == 75
        with (tmp_path / "out").open("ab") as file:
            file.write(b'{"id": "rlc_torn')
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        capfd.readouterr()
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--dry-run", "--limit", "1/min") == 0
        said = capfd.readouterr()
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--dry-run", "--overwrite") == 0
        assert "9 to be sent" in capfd.readouterr().err
        assert server.tally.calls == 4
    assert said.out == ""
    assert "5 to be sent, 4 answered before" in said.err
    assert "about 4 min 00 s" in said.err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_dry_run_refuses_what_a_run_refuses(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Another server, an edited row, the input as output, a missing key: 2 each.
    """
    write(tmp_path / "in", *rows(2))
    arguments = (tmp_path / "in", "-o", tmp_path / "out", "--dry-run")
    with serving():
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 0
        assert run(*arguments, "--base-url", "http://127.0.0.1:1/v1") == 2
        assert "belongs to another job" in capfd.readouterr().err
        assert run(tmp_path / "in", "-o", tmp_path / "in", "--dry-run") == 2
        assert "the input" in capfd.readouterr().err
        write(tmp_path / "in", row("row-0", content="edited"), row("row-1"))
        assert run(*arguments) == 2
        assert "1 row was edited" in capfd.readouterr().err
        assert run(*arguments, "--rerun-edited") == 0
        assert "1 to be sent, 1 answered before" in capfd.readouterr().err
        monkeypatch.delenv("OPENAI_API_KEY")
        monkeypatch.setenv("OPENAI_BASE_URL", "https://api.openai.com/v1")
        assert run(*arguments) == 2
        assert "OPENAI_API_KEY" in capfd.readouterr().err
