"""Choosing the failed rows of a job, and putting their lines aside."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ratelimit_client.bulk.fingerprints import Fingerprints, State, row_bits
from ratelimit_client.bulk.journal import Journal, open_file
from ratelimit_client.bulk.jsonl import Line
from ratelimit_client.bulk.ledger import Ledger
from ratelimit_client.bulk.lines import error_line
from ratelimit_client.bulk.manifest import Paths
from ratelimit_client.bulk.output import Output
from ratelimit_client.bulk.retry import Chosen, Codes, RetryWalk, set_aside
from ratelimit_client.bulk.row import mark_of, read_row
from ratelimit_client.bulk.walk import Step
from tests.jobs import row


def line(number: int, name: str, **more: object) -> Line:
    return Line(number, number * 100, json.dumps(row(name, **more)).encode())  # type: ignore[arg-type]


def failed(name: str, code: str, status: int | None = None) -> bytes:
    return error_line(read_row(line(1, name)), code, "why", status=status, content=b"{}")


def output(folder: Path, *errors: bytes) -> Output:
    paths = Paths(str(folder / "out"))
    answers, failures = open_file(paths.out), open_file(paths.errors)
    os.write(failures, b"".join(errors))
    return Output(Journal(answers, paths.out), Journal(failures, paths.errors), Ledger(), paths)


def test_codes_are_statuses_and_names() -> None:
    """
    In one list; without any, every failure is meant.
    """
    found = {"503": True, "5xx": True, "5XX, 429": True, "overloaded": True, "429": False, "4xx": False, "no": False}
    text = failed("a", "overloaded", 503)
    bare = failed("a", "no_answer")

    assert {codes: Codes.read(codes).match(text) for codes in found} == found
    assert [Codes.read(codes).match(bare) for codes in ("no_answer", "5xx")] == [True, False]
    assert Codes().match(bare)


@pytest.mark.parametrize("text", ["", " , ", "4x", "99", "6xx", "42 9", "-1"])
def test_what_can_be_no_code_is_told(text: str) -> None:
    """
    With how codes are written.
    """
    with pytest.raises(ValueError, match="429,5xx"):
        Codes.read(text)


def test_lines_that_do_not_run_again_stay(tmp_path: Path) -> None:
    """
    The old file has a number, the new one the rest; the last line of a name decides.
    """
    lines = [failed("a", "x"), failed("b", "y"), failed("c", "x"), failed("a", "y"), b"broken\n"]
    out = output(tmp_path, *lines)

    chosen = set_aside(out, Codes(("y",)))

    assert chosen.marks == {mark_of("a"), mark_of("b")}
    assert (tmp_path / "out.errors.1.jsonl").read_bytes() == b"".join(lines)
    assert (tmp_path / "out.errors.jsonl").read_bytes() == lines[2]
    os.write(out.errors.fd, lines[0])
    assert (tmp_path / "out.errors.jsonl").read_bytes() == lines[2] + lines[0]
    assert sorted(os.listdir(tmp_path)) == ["out", "out.errors.1.jsonl", "out.errors.jsonl"]


def test_where_nothing_matches_nothing_changes(tmp_path: Path) -> None:
    """
    No number is used up.
    """
    out = output(tmp_path, failed("a", "x"))

    assert set_aside(out, Codes(("y",))) == Chosen()
    assert sorted(os.listdir(tmp_path)) == ["out", "out.errors.jsonl"]


def test_killed_between_its_steps_it_is_done_again(tmp_path: Path) -> None:
    """
    The file has its second name already, and a piece of the new one lies about: no line is lost.
    """
    out = output(tmp_path, failed("a", "x"))
    os.link(tmp_path / "out.errors.jsonl", tmp_path / "out.errors.1.jsonl")
    (tmp_path / f"out.errors.jsonl.{os.getpid()}.tmp").write_bytes(b"half a li")

    assert set_aside(out, Codes()).marks == {mark_of("a")}

    assert (tmp_path / "out.errors.2.jsonl").read_bytes() == failed("a", "x")
    assert (tmp_path / "out.errors.jsonl").read_bytes() == b""


def test_rows_put_aside_before_are_chosen_until_they_have_a_line(tmp_path: Path) -> None:
    """
    A retry that was stopped goes on, and one that failed for another reason stays failed.
    """
    (tmp_path / "out.errors.9.jsonl").write_bytes(failed("a", "x") + failed("b", "x"))
    (tmp_path / "out.errors.10.jsonl").write_bytes(failed("c", "x"))
    out = output(tmp_path, failed("b", "y"))

    assert set_aside(out, Codes(("x",))).marks == {mark_of("a"), mark_of("c")}
    assert Paths(str(tmp_path / "out")).next_retired() == str(tmp_path / "out.errors.11.jsonl")


def test_a_retry_runs_the_chosen_rows_only() -> None:
    """
    Failed or mended; what is done is done, what failed otherwise stays so, the rest is passed over.
    """
    table = Fingerprints()
    known = {"done": State.DONE, "again": State.FAILED, "other": State.FAILED, "mended": State.FAILED}
    for name, state in known.items():
        row_ = read_row(line(1, name, content="old" if name == "mended" else "hello"))
        table.record(row_.mark, row_bits(row_.id), state)
    walk = RetryWalk(
        table,
        True,
        chosen=Chosen(frozenset({mark_of("again"), mark_of("mended"), mark_of("bad")}), frozenset({1, 3, 8})),
    )

    steps = [
        walk.take(one)[0]
        for one in (
            line(1, "done"),
            line(2, "again"),
            line(3, "other"),
            line(4, "mended", content="new"),
            line(5, "never run"),
            line(6, "bad", url="/x"),
            line(7, "again"),
            line(8, "was no row"),
        )
    ]

    assert steps == [Step.DONE, Step.RUN, Step.FAILED, Step.RUN, Step.OTHER, Step.FLAW, Step.OTHER, Step.RUN]
    assert (walk.rows, walk.done_before, walk.failed_before, walk.passed) == (8, 1, 1, 2)
