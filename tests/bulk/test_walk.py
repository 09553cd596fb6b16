"""One walk over the input."""

from __future__ import annotations

import json

from ratelimit_client.bulk.fingerprints import Fingerprints, State, row_bits
from ratelimit_client.bulk.jsonl import Line
from ratelimit_client.bulk.row import read_row
from ratelimit_client.bulk.skim import Piece, pass_finished
from ratelimit_client.bulk.walk import Step, Walk
from tests.jobs import row


def line(number: int, name: str, **more: object) -> Line:
    return Line(number, number * 100, json.dumps(row(name, **more)).encode())  # type: ignore[arg-type]


def test_every_line_gets_one_end() -> None:
    """
    Run, done, failed, flaw, suspect or edited; all are counted as rows.
    """
    table = Fingerprints()
    for one, state in ((line(1, "done"), State.DONE), (line(1, "failed"), State.FAILED), (line(1, "old"), State.DONE)):
        found = read_row(one)
        table.record(found.mark, row_bits(found.id), state)
    walk = Walk(table)

    steps = [
        walk.take(one)[0]
        for one in (
            line(1, "new"),
            line(2, "done"),
            line(3, "failed"),
            Line(4, 400, b"oops"),
            line(5, "new", content="other"),
            line(6, "old", content="edited"),
            line(7, "bad", url="/x"),
            line(8, "done"),
        )
    ]
    assert steps == [
        Step.RUN,
        Step.DONE,
        Step.FAILED,
        Step.FLAW,
        Step.SUSPECT,
        Step.EDITED,
        Step.FLAW,
        Step.SUSPECT,
    ]
    assert (walk.rows, walk.done_before, walk.failed_before, walk.offset) == (8, 1, 1, 800)
    assert [suspect.number for suspect in walk.suspects] == [5, 8]


def test_an_edited_row_runs_again_when_told() -> None:
    """
    Once: the next line of that name is a suspect.
    """
    table = Fingerprints()
    old = read_row(line(1, "a"))
    table.record(old.mark, row_bits(old.id), State.DONE)
    walk = Walk(table, rerun_edited=True)

    assert walk.take(line(1, "a", content="new"))[0] is Step.RUN
    assert walk.take(line(2, "a", content="new"))[0] is Step.SUSPECT


def test_an_edited_row_that_cannot_be_sent_is_a_flaw() -> None:
    """
    Told or not, it is never sent.
    """
    table = Fingerprints()
    old = read_row(line(1, "a"))
    table.record(old.mark, row_bits(old.id), State.DONE)

    assert Walk(table, rerun_edited=True).take(line(1, "a", url="/x"))[0] is Step.FLAW


def test_a_repeated_bad_line_is_two_flaws() -> None:
    """
    The same bytes in two lines are two lines.
    """
    walk = Walk(Fingerprints())

    assert [walk.take(Line(number, 0, b"oops"))[0] for number in (1, 2)] == [Step.FLAW, Step.FLAW]


def test_what_is_done_is_passed_at_a_glance() -> None:
    """
    The same ends as with a close look, without the row; a second line of that name is still a suspect.
    """
    table = Fingerprints()
    for name, state in (("done", State.DONE), ("failed", State.FAILED)):
        found = read_row(line(1, name))
        table.record(found.mark, row_bits(found.id), state)
    walk = Walk(table, glances=True)

    taken = [
        walk.take(one)
        for one in (line(1, "done"), line(2, "failed"), line(3, "new"), line(4, "done"), line(5, "done", content="x"))
    ]
    assert [step for step, _ in taken] == [Step.DONE, Step.FAILED, Step.RUN, Step.SUSPECT, Step.SUSPECT]
    assert [row is None for _, row in taken] == [True, False, False, False, False]
    assert (walk.rows, walk.done_before, walk.failed_before) == (5, 1, 1)


def text(*lines: Line) -> bytes:
    return b"".join(one.data + b"\n" for one in lines)


def finished(*lines: Line, state: State = State.DONE) -> Fingerprints:
    table = Fingerprints()
    for one in lines:
        found = read_row(one)
        table.record(found.mark, row_bits(found.id), state)
    return table


def test_finished_lines_are_skipped_as_if_they_had_been_taken() -> None:
    """
    Up to the first that has to be looked at; the counts are the same.
    """
    a, b, new = line(1, "a"), line(2, "b"), line(3, "new")
    walk = Walk(finished(a, b), glances=True)
    data = text(a, b, new)

    passed = walk.skip(Piece(data, 1, 50))
    assert (passed.size, passed.lines) == (len(text(a, b)), 2)
    assert (walk.rows, walk.done_before, walk.failed_before) == (2, 2, 0)
    assert (walk.offset, walk.bytes) == (50 + len(text(a)), 50 + len(text(a, b)) - 1)
    assert walk.skip(Piece(data[passed.size :], 3, 50 + passed.size)).size == 0
    assert walk.take(new)[0] is Step.RUN
    assert walk.take(line(4, "a"))[0] is Step.SUSPECT


def test_what_was_passed_before_the_walk_is_not_looked_at_again() -> None:
    """
    Unless the walk must see failed rows, or does not skip: then it is as if nobody had been there.
    """
    a, b = line(1, "a"), line(2, "b")
    data = text(a, b)
    for walk_of, glances, skipped in ((Walk, True, 2), (Seeing, True, 1), (Walk, False, 0)):
        table = finished(a)
        table.record(read_row(b).mark, row_bits(read_row(b).id), State.FAILED)
        table.passed[0] = pass_finished(table, Piece(data))
        walk = walk_of(table, glances=glances)
        assert (walk.skip(Piece(data)).lines if glances else 0) == skipped
        assert [walk.take(one)[0] for one in (a, b)[skipped:]] == [Step.DONE, Step.FAILED][skipped:]
        assert (walk.rows, walk.done_before, walk.failed_before) == (2, 1, 1)


class Seeing(Walk):
    """A walk that has to see the rows that failed."""

    skips_failed = False
