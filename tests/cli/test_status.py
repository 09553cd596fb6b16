"""``status``: what the next run would find, told without touching anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ratelimit_client.cli import main
from tests.jobs import retry, row, rows, run, serving, write

ID = "rlc_" + "0" * 20


def answer(name: str, id_: str = ID) -> dict[str, object]:
    response = {"status_code": 200, "request_id": "r", "body": {}}
    return {"id": id_, "custom_id": name, "response": response, "error": None}


def failure(name: str | None, code: str = "server_error", **facts: int) -> dict[str, object]:
    return {"id": ID, "custom_id": name, "response": None, "error": {"code": code, "message": "m", **facts}}


def status(out: Path, capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capfd.readouterr()
    code = main(["status", str(out)])
    shown = capfd.readouterr()
    return code, shown.out + shown.err


def test_a_finished_job_is_well(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    0, with the input and the server; the files stay as they are, and the report is on stdout.
    """
    write(tmp_path / "in", *rows(5))
    with serving():
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    capfd.readouterr()

    assert main(["status", str(tmp_path / "out")]) == 0

    out, err = capfd.readouterr()
    assert err == ""
    assert "5 of 5 ok, 0 failed" in out
    assert str(tmp_path / "in") in out
    assert "the job is done" in out
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_is_left_and_what_failed_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    1, with the codes, and with the command that goes on or tries again; an input that grew has rows left.
    """
    write(tmp_path / "in", row("a"), row("b", model="nobody-knows-it"), "no row", row("c"))
    with serving(models=["gpt-4o-mini"]):
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 1
        code, said = status(tmp_path / "out", capfd)
        assert code == 1
        assert "2 of 4 ok, 2 failed\n" in said
        assert "1 x model_not_found" in said
        assert "1 x invalid_line" in said
        assert f"ratelimit-client retry -o {tmp_path / 'out'}\n" in said

        write(tmp_path / "in", row("a"), row("b", model="nobody-knows-it"), "no row", row("c"), row("d"))
    code, said = status(tmp_path / "out", capfd)
    assert code == 1
    assert "2 of 5 ok, 2 failed, 1 still to be done" in said
    assert f"ratelimit-client run {tmp_path / 'in'} -o {tmp_path / 'out'} --base-url http://127" in said


def test_the_last_line_of_a_name_is_valid_and_an_answer_overrides_errors(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    Edited rows are counted once; an error of an answered row is none.
    """
    write(tmp_path / "out", answer("a"), answer("b"), answer("a", "rlc_" + "1" * 20))
    write(tmp_path / "out.errors.jsonl", failure("b"), failure("c", "x"), failure("c", "y"))
    write(tmp_path / "out.errors.1.jsonl", failure("a"), failure("c"), failure("d"))

    code, said = status(tmp_path / "out", capfd)

    assert code == 1
    assert "2 ok, 1 failed, how many the input has is not known, 1 of a retry have no answer yet" in said
    assert "1 x y" in said
    assert "2 replaced by a later one" in said
    assert "there is no job file beside it" in said


def test_rows_of_an_input_that_is_gone_are_known_from_the_job_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    As they were when the input was read to its end.
    """
    write(tmp_path / "in", *rows(3))
    with serving():
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 0
    (tmp_path / "in").unlink()

    assert status(tmp_path / "out", capfd)[0] == 0

    job = json.loads((tmp_path / "out.job.json").read_text()) | {"rows": None}
    (tmp_path / "out.job.json").write_text(json.dumps(job))
    code, said = status(tmp_path / "out", capfd)
    assert code == 1
    assert "3 ok, 0 failed, how many the input has is not known" in said


def test_torn_and_unreadable_lines_are_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    With their places; they count for nothing.
    """
    (tmp_path / "out").write_bytes(json.dumps(answer("a")).encode() + b"\n{broken\n" + b'{"id": "rlc_00')

    code, said = status(tmp_path / "out", capfd)

    assert code == 1
    assert "1 ok" in said
    assert "1 cannot be read, their rows run again" in said
    assert "out line 2" in said
    assert "ends within a line" in said


def test_an_error_about_a_line_counts_as_long_as_the_line_is_there(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    Mended lines run and are answered; then neither the run nor the status speaks of a failure any more.
    """
    write(tmp_path / "in", row("a"), "no row", row("a", "again"), row("b"), "{}")
    with serving():
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 1
        assert status(tmp_path / "out", capfd)[1].count("2 of 5 ok, 3 failed\n") == 1

        write(tmp_path / "in", row("a"), row("c"), row("a", "again"), row("b"), "{}")
        code, said = status(tmp_path / "out", capfd)
        assert code == 1
        assert "2 of 5 ok, 2 failed, 1 still to be done\n" in said
        assert "1 errors count no more" in said

        write(tmp_path / "in", row("a"), row("c"), row("d", "again"), row("b"), "")
        assert "2 of 4 ok, 0 failed, 2 still to be done\n" in status(tmp_path / "out", capfd)[1]
        assert run(tmp_path / "in", "-o", tmp_path / "out", "--summary-file", tmp_path / "sum") == 0
    code, said = status(tmp_path / "out", capfd)
    assert code == 0, said
    assert "4 of 4 ok, 0 failed\n" in said
    assert json.loads((tmp_path / "sum").read_text())["failed"] == 0


def test_an_error_about_a_line_that_moved_counts_where_it_is_now(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    Once, not twice; and while the input cannot be read, what was said last counts.
    """
    write(tmp_path / "in", row("a"), "no row")
    with serving():
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 1
        write(tmp_path / "in", row("a"), row("b"), "no row")
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 1
    assert "2 of 3 ok, 1 failed\n" in status(tmp_path / "out", capfd)[1]
    (tmp_path / "in").unlink()
    assert "2 of 3 ok, 2 failed\n" in status(tmp_path / "out", capfd)[1]


def test_a_mended_line_that_a_retry_put_aside_is_not_waited_for(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    Nothing is left of it once its row is answered.
    """
    write(tmp_path / "in", row("a"), "no row")
    with serving():
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 1
        write(tmp_path / "in", row("a"), row("b"))
        assert retry("-o", tmp_path / "out") == 0
        assert run(tmp_path / "in", "-o", tmp_path / "out") == 0
    code, said = status(tmp_path / "out", capfd)
    assert code == 0, said
    assert "2 of 2 ok, 0 failed\n" in said


def test_shards_are_added_up(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    Each with its own errors; one that was not begun makes the job unfinished.
    """
    write(tmp_path / "out.1-of-3", answer("a"), answer("b"))
    write(tmp_path / "out.3-of-3", answer("c"))
    write(tmp_path / "out.3-of-3.errors.jsonl", failure("d"))

    code, said = status(tmp_path / "out", capfd)

    assert code == 1
    assert "3 ok, 1 failed" in said
    assert "not begun: 2/3" in said
    assert "1/3" in said


@pytest.mark.parametrize("content", [None, "not ours\n", '{"id": "x"}\n', "folder"])
def test_what_is_no_output_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: str | None
) -> None:
    """
    2 and a sentence, for a file that is not there or is something else.
    """
    out = tmp_path / "out"
    if content == "folder":
        out.mkdir()
    elif content is not None:
        out.write_text(content)

    code, said = status(out, capfd)

    assert str(out) in said
    if content == "not ours\n":  # a line that cannot be read might have been one of ours
        assert (code, "1 cannot be read" in said) == (1, True)
    else:
        assert (code, said.count("\n")) == (2, 1)
