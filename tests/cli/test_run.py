"""``run``, from the outside: files in, files and exit code out."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.jobs import KEY, lines, names, row, rows, run, serving, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_every_row_is_answered(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    One line each, in the Batch form, with what the input carried; files for their owner only; exit code 0.
    """
    write(folder / "in", *rows(40, metadata={"k": [1]}))
    with serving() as server:
        assert run(folder / "in", "-o", folder / "out") == 0

    found = lines(folder / "out")
    assert sorted(line["custom_id"] for line in found) == sorted(f"row-{number}" for number in range(40))
    assert list(found[0]) == ["id", "custom_id", "response", "error", "metadata"]
    assert {line["response"]["status_code"] for line in found} == {200}
    assert all(line["response"]["request_id"] for line in found)
    assert all(line["response"]["body"]["model"] == "gpt-4o-mini" for line in found)
    assert server.tally.calls == server.tally.admitted == 40
    assert sorted(os.listdir(folder)) == ["in", "out", "out.job.json"]
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in ("out", "out.job.json")} == {0o600}
    assert json.loads((folder / "out.job.json").read_text())["rows"] == 40
    out, err = capfd.readouterr()
    assert out == ""
    assert "40 of 40 ok" in err
    assert KEY not in err


def test_a_finished_job_makes_no_further_call(folder: Path) -> None:
    """
    The same command again: nothing to do, exit code 0.
    """
    write(folder / "in", *rows(5))
    with serving() as server:
        assert run(folder / "in", "-o", folder / "out") == 0
        before = (folder / "out").read_bytes()
        assert run(folder / "in", "-o", folder / "out") == 0
    assert server.tally.calls == 5
    assert (folder / "out").read_bytes() == before


def test_a_stopped_job_goes_on(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    24 of 40 rows, then the rest: it says so, and sends each row once.
    """
    write(folder / "in", *rows(40))
    with serving() as server:
        assert run(folder / "in", "-o", folder / "out", "--max-rows", "24") == 75
        assert len(names(folder / "out")) == 24
        first = capfd.readouterr().err
        assert run(folder / "in", "-o", folder / "out") == 0
    assert server.tally.calls == 40
    assert sorted(names(folder / "out")) == sorted(f"row-{number}" for number in range(40))
    assert f"ratelimit-client run {folder / 'in'} -o {folder / 'out'}" in first
    assert "16 still to be done" in first
    assert "24 of 40 already done" in capfd.readouterr().err


def test_the_input_may_grow(folder: Path) -> None:
    """
    Rows that were added are run, the others are not run again.
    """
    write(folder / "in", *rows(3))
    with serving() as server:
        assert run(folder / "in", "-o", folder / "out") == 0
        write(folder / "in", *rows(7))
        assert run(folder / "in", "-o", folder / "out") == 0
    assert server.tally.calls == 7
    assert json.loads((folder / "out.job.json").read_text())["rows"] == 7


def test_lines_that_are_no_rows_are_reported_once(folder: Path) -> None:
    """
    Each is one error line with its number; the rest runs; exit code 1 again and no call the second time.
    """
    write(
        folder / "in",
        b"\xef\xbb\xbf" + json.dumps(row("a")).encode() + b"\r",
        b"",
        "not json",
        "not json",
        b"\xff\xfe",
        {"method": "POST"},
        row("b", content="one\u2028line"),
        row("bad url", url="//evil.example/v1/x"),
        row("bad method", method="DELETE"),
    )
    with serving() as server:
        assert run(folder / "in", "-o", folder / "out") == 1
        assert run(folder / "in", "-o", folder / "out") == 1
    assert server.tally.calls == 2
    assert sorted(names(folder / "out")) == ["a", "b"]
    errors = lines(folder / "out.errors.jsonl")
    assert [(line["custom_id"], line["error"]["code"], line["error"]["line"]) for line in errors] == [
        (None, "invalid_line", 3),
        (None, "invalid_line", 4),
        (None, "invalid_line", 5),
        (None, "invalid_line", 6),
        ("bad url", "invalid_url", 8),
        ("bad method", "invalid_method", 9),
    ]
    assert {json.dumps(line["response"]) for line in errors} == {"null"}
    assert stat.S_IMODE((folder / "out.errors.jsonl").stat().st_mode) == 0o600


def test_of_a_repeated_name_the_first_row_runs(folder: Path) -> None:
    """
    The others are error lines that name both lines, once; also when the name is spelled otherwise.
    """
    again = json.dumps(row("twice", content="other")).replace('"twice"', '"\\u0074wice"')
    write(folder / "in", row("twice"), row("once"), again, row("twice"))
    with serving() as server:
        assert run(folder / "in", "-o", folder / "out") == 1
        assert run(folder / "in", "-o", folder / "out") == 1
    assert server.tally.calls == 2
    assert sorted(names(folder / "out")) == ["once", "twice"]
    errors = lines(folder / "out.errors.jsonl")
    assert [line["custom_id"] for line in errors] == ["twice", "twice"]
    assert [(line["error"]["line"], line["error"]["first_line"]) for line in errors] == [(3, 1), (4, 1)]


def test_a_refused_row_fails_alone(folder: Path) -> None:
    """
    A 4xx about the row is its end, with the answer; it is finished: the next run makes no call.
    """
    write(folder / "in", row("good"), row("bad", model="no-such-model"), row("fine"))
    with serving(models=["gpt-4o-mini"]) as server:
        assert run(folder / "in", "-o", folder / "out") == 1
        calls = server.tally.calls
        assert run(folder / "in", "-o", folder / "out") == 1
    assert server.tally.calls == calls == 3
    assert sorted(names(folder / "out")) == ["fine", "good"]
    [error] = lines(folder / "out.errors.jsonl")
    assert (error["custom_id"], error["error"]["code"]) == ("bad", "model_not_found")
    assert error["response"]["status_code"] == 404
    assert error["response"]["body"]["error"]["code"] == "model_not_found"


def test_an_edited_row_is_refused_unless_told(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    The first ten are named and nothing is sent; --rerun-edited appends, and the last line counts from then on.
    """
    write(folder / "in", *rows(20))
    with serving() as server:
        assert run(folder / "in", "-o", folder / "out") == 0
        write(folder / "in", *rows(15, content="changed"), *rows(20)[15:])
        capfd.readouterr()
        assert run(folder / "in", "-o", folder / "out") == 2
        said = capfd.readouterr().err
        assert "15 rows were edited" in said
        assert "'row-9' (line 10) and 5 more" in said
        assert "--rerun-edited" in said
        assert server.tally.calls == 20

        assert run(folder / "in", "-o", folder / "out", "--rerun-edited") == 0
        assert server.tally.calls == 35
        assert run(folder / "in", "-o", folder / "out") == 0
        assert server.tally.calls == 35
    assert len(lines(folder / "out")) == 35
    assert "Traceback" not in said


def test_a_failed_row_that_was_mended_runs_with_rerun_edited(folder: Path) -> None:
    """
    Its answer in OUT overrides the old error line.
    """
    write(folder / "in", row("a", model="no-such-model"), row("b"))
    with serving(models=["gpt-4o-mini"]):
        assert run(folder / "in", "-o", folder / "out") == 1
        write(folder / "in", row("a"), row("b"))
        assert run(folder / "in", "-o", folder / "out") == 2
        assert run(folder / "in", "-o", folder / "out", "--rerun-edited") == 0
        assert run(folder / "in", "-o", folder / "out") == 0
    assert sorted(names(folder / "out")) == ["a", "b"]


def test_another_base_url_or_query_is_another_job(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    Refused before any call, unless it may overwrite; no key is shown.
    """
    write(folder / "in", *rows(2))
    with serving() as server:
        assert run(folder / "in", "-o", folder / "out") == 0
        assert run(folder / "in", "-o", folder / "out", "--query", "key=sk-secret") == 2
        assert run(folder / "in", "-o", folder / "out", "--base-url", "http://127.0.0.1:1/v1") == 2
        assert server.tally.calls == 2
        assert run(folder / "in", "-o", folder / "out", "--query=key=sk-secret", "--overwrite") == 0
        assert server.tally.calls == 4
    assert len(lines(folder / "out")) == 2
    said = capfd.readouterr().err
    assert "another job" in said
    assert "--overwrite" in said
    assert "sk-secret" not in said + (folder / "out.job.json").read_text()


@pytest.mark.parametrize(
    "text",
    [
        b"my notes\n",
        b"my notes",
        b'{"custom_id": "a", "method": "POST"}\n',
        b'{"id": "batch_req_1", "custom_id": "a", "response": {}, "error": null}\n',
        b"[1]\n",
    ],
)
def test_somebody_elses_file_is_not_touched(folder: Path, capfd: pytest.CaptureFixture[str], text: bytes) -> None:
    """
    Neither as OUT nor as its errors file.
    """
    write(folder / "in", *rows(2))
    with serving() as server:
        for name in ("out", "out.errors.jsonl"):
            (folder / name).write_bytes(text)
            assert run(folder / "in", "-o", folder / "out") == 2
            assert (folder / name).read_bytes() == text
            (folder / name).unlink()
    assert server.tally.calls == 0
    assert "holds something else" in capfd.readouterr().err
    assert not (folder / "out.torn").exists()


def test_a_bad_line_in_the_middle_is_reported_and_its_row_runs_again(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    The line stays where it is.
    """
    write(folder / "in", *rows(5))
    with serving() as server:
        assert run(folder / "in", "-o", folder / "out") == 0
        text = (folder / "out").read_bytes().split(b"\n")
        lost = json.loads(text[2])["custom_id"]
        text[2] = text[2][:50] + b"\0" * 20
        (folder / "out").write_bytes(b"\n".join(text))
        assert run(folder / "in", "-o", folder / "out") == 0
    assert server.tally.calls == 6
    found = (folder / "out").read_bytes().split(b"\n")
    assert json.loads(found[-2])["custom_id"] == lost
    assert len(found) == 7
    assert "line 3 cannot be read" in capfd.readouterr().err


def test_torn_anywhere_it_comes_to_the_same_end(folder: Path) -> None:
    """
    Cut at a few places of the last two lines, or zeroed from there: only rows that were cut are sent again.
    """
    write(folder / "in", *rows(6))
    with serving() as server:
        assert run(folder / "in", "-o", folder / "out") == 0
        whole = (folder / "out").read_bytes()
        ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
        for place in range(ends[-3], len(whole), 61):
            for tail in (b"", b"\0" * (len(whole) - place)):
                (folder / "out").write_bytes(whole[:place] + tail)
                before = server.tally.calls
                assert run(folder / "in", "-o", folder / "out") == 0
                assert sorted(names(folder / "out")) == [f"row-{number}" for number in range(6)]
                assert server.tally.calls - before == sum(place < end - 1 for end in ends)
    assert (folder / "out.torn").exists()


def usage_slips(folder: Path) -> list[tuple[list[Any], str]]:
    good = write(folder / "in", *rows(1))
    (folder / "link").symlink_to(folder / "elsewhere")
    os.mkfifo(folder / "pipe")
    out = ["-o", folder / "out"]
    return [
        ([], "the following arguments are required"),
        ([good], "-o/--output"),
        ([good, *out, "--no-such-flag"], "unrecognized arguments: --no-such-flag"),
        ([folder / "none", *out], "cannot be read: No such file"),
        ([folder, *out], "is a folder"),
        ([good, "-o", folder], "is a folder"),
        ([good, "-o", folder / "link"], "is a symbolic link"),
        ([good, "-o", folder / "pipe"], "is a pipe"),
        ([good, "-o", "/dev/null"], "is a device"),
        ([good, "-o", folder / "no" / "out"], "there is no folder"),
        ([good, "-o", good], "would be written to"),
        ([good, *out, "--limit", "many"], "--limit: cannot read 'many' as a quota"),
        ([good, *out, "--limit", "=5/s"], "names no model"),
        ([good, *out, "--query", "x"], "write NAME=VALUE"),
        ([good, *out, "--max-attempts", "0"], "--max-attempts: '0' is no whole number from 1"),
        ([good, *out, "--max-rows", "x"], "--max-rows: 'x' is no whole number"),
        ([good, *out, "--max-in-flight", "1e3"], "--max-in-flight"),
        ([good, *out, "--priority", "3"], "from -2 to 2"),
        ([good, *out, "--deadline", "soon"], "is no span of time"),
        ([good, *out, "--progress", "loud"], "is none of auto, live, plain, json, none"),
        ([good, *out, "--metrics", "here"], "--metrics"),
        ([good, *out, "--dialect", "klingon"], "klingon"),
        ([good, *out, "--engine", "ray", "--shard", "1/2"], "leave it out"),
        ([good, *out, "--base-url", "http://example.com/v1"], "plain http"),
        ([good, *out, "--base-url", "https://u:p@example.com"], "user name"),
        ([good, *out, "--base-url", "nonsense"], "base URL"),
    ]


def test_a_slip_is_answered_with_a_sentence(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    Exit code 2, one line that says what is wrong, no traceback, no call, no output.
    """
    from ratelimit_client.cli import main

    with serving() as server:
        for arguments, says in usage_slips(folder):
            assert main(["run", *map(str, arguments)]) == 2, arguments
            out, err = capfd.readouterr()
            assert says in err, arguments
            assert err.count("\n") == 1, err
            assert err.startswith("ratelimit-client: ")
            assert out == ""
            assert not (folder / "out").exists(), arguments
    assert server.tally.calls == 0


def test_the_environment_counts_less_than_a_flag(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    RATELIMIT_CLIENT_MAX_ROWS and its kin; a wrong value there is named by the variable.
    """
    write(folder / "in", *rows(9))
    monkeypatch.setenv("RATELIMIT_CLIENT_MAX_ROWS", "2")
    with serving():
        assert run(folder / "in", "-o", folder / "out") == 75
        assert run(folder / "in", "-o", folder / "out", "--max-rows", "3") == 75
        assert len(lines(folder / "out")) == 5
        monkeypatch.setenv("RATELIMIT_CLIENT_MAX_ROWS", "no")
        assert run(folder / "in", "-o", folder / "out") == 2
    assert "RATELIMIT_CLIENT_MAX_ROWS: 'no' is no whole number" in capfd.readouterr().err


def test_without_a_key_openai_is_not_asked(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Said before any file is made.
    """
    write(folder / "in", *rows(1))
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    assert run(folder / "in", "-o", folder / "out") == 2
    assert "set OPENAI_API_KEY" in capfd.readouterr().err
    assert not (folder / "out").exists()


def test_the_summary_file_holds_the_figures(folder: Path) -> None:
    """
    Rows, calls, refusals, share of the limit, models and what they answered as.
    """
    write(folder / "in", *rows(10), row("bad", url="/x"))
    with serving("60 requests/min", snapshots={"gpt-4o-mini": "gpt-4o-mini-2024-07-18"}):
        assert run(folder / "in", "-o", folder / "out", "--max-rows", "4") == 75
        assert run(folder / "in", "-o", folder / "out", "--summary-file", folder / "sum.json") == 1
    facts = json.loads((folder / "sum.json").read_text())
    assert (facts["rows"], facts["ok"], facts["failed"], facts["skipped"], facts["pending"]) == (11, 6, 1, 4, 0)
    assert (facts["calls"], facts["retries"], facts["refused_429"], facts["resumed"]) == (6, 0, 0, True)
    assert facts["tokens"] > 0
    assert facts["seconds"] > 0
    assert 0 < facts["utilisation"] < 0.2
    assert facts["slowest_wait_s"] >= 0
    assert facts["failed_by_code"] == {"invalid_url": 1}
    assert facts["models"]["gpt-4o-mini"]["gpt-4o-mini-2024-07-18"]["rows"] == 6
    assert [limit["amount"] for limit in facts["limits"]] == [60]
