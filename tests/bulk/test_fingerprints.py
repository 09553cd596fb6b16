"""Every name of a job in memory."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from ratelimit_client.bulk.fingerprints import Fingerprints, Seen, State, row_bits
from ratelimit_client.bulk.row import mark_of


def test_a_name_is_new_once() -> None:
    """
    The second meeting is a repetition, whatever the row.
    """
    table = Fingerprints()

    assert [table.visit(1 << 40, row) for row in (5, 5, 6)] == [Seen.NEW, Seen.REPEATED, Seen.REPEATED]
    assert len(table) == 1


def test_a_finished_row_is_done_failed_or_edited() -> None:
    """
    The same identity says which; another one says edited.
    """
    table = Fingerprints()
    marks = [mark_of(name) for name in "abcd"]
    table.record(marks[0], 5, State.DONE)
    table.record(marks[1], 5, State.FAILED)
    table.record(marks[2], 5, State.DONE)

    assert [table.look(mark, row) for mark, row in zip(marks, (5, 5, 6, 5), strict=True)] == [
        Seen.DONE,
        Seen.FAILED,
        Seen.EDITED,
        Seen.NEW,
    ]
    assert [table.visit(mark, row) for mark, row in zip(marks, (5, 5, 6, 5), strict=True)] == [
        Seen.DONE,
        Seen.FAILED,
        Seen.EDITED,
        Seen.NEW,
    ]
    assert all(table.visit(mark, 5) is Seen.REPEATED for mark in marks)


def test_an_answer_overrides_every_error_line() -> None:
    """
    Of the same row; and of several answers the last counts.
    """
    table = Fingerprints()
    table.record(1, 5, State.DONE)
    table.record(1, 5, State.FAILED)
    assert table.look(1, 5) is Seen.DONE

    table.record(1, 6, State.DONE)
    assert (table.look(1, 5), table.look(1, 6)) == (Seen.EDITED, Seen.DONE)
    assert len(table) == 1


def test_an_edited_row_may_have_an_answer_and_an_error() -> None:
    """
    An old answer and an error of the row as it is now stand side by side, either way round.
    """
    table = Fingerprints()
    table.record(1, 5, State.DONE)
    table.record(1, 6, State.FAILED)

    assert [table.look(1, row) for row in (5, 6, 7)] == [Seen.DONE, Seen.FAILED, Seen.EDITED]
    table.record(1, 7, State.FAILED)
    assert [table.look(1, row) for row in (5, 6, 7)] == [Seen.DONE, Seen.EDITED, Seen.FAILED]
    assert table.visit(1, 7) is Seen.FAILED
    assert table.visit(1, 7) is Seen.REPEATED


def test_an_answer_to_the_row_as_it_is_now_overrides_its_error() -> None:
    """
    Whichever of the two was recorded first, and though an answer to the row as it was stood there before.
    """
    for lines in (
        [(5, State.FAILED), (5, State.DONE)],
        [(4, State.DONE), (5, State.FAILED), (5, State.DONE)],
    ):
        table = Fingerprints()
        for row, state in lines:
            table.record(1, row, state)
        assert [table.look(1, row) for row in (4, 5)] == [Seen.EDITED, Seen.DONE]
        assert [table.visit(1, 5), table.visit(1, 5)] == [Seen.DONE, Seen.REPEATED]
        assert len(table) == 1


def test_only_an_answer_to_the_row_as_it_is_now_answers_it() -> None:
    """
    Met or not; no other row, no other name, and no error.
    """
    table = Fingerprints()
    assert not table.is_answered(1, 5)
    table.record(1, 5, State.DONE)
    table.record(1 << 11, 5, State.FAILED)

    for _ in range(2):
        found = [table.is_answered(*each) for each in ((1, 5), (1, 6), (1 << 11, 5), (2 << 11, 5), (1 << 60, 5))]
        assert found == [True, False, False, False, False]
        table.visit(1, 5)


def test_forgetting_who_was_never_met_changes_nothing() -> None:
    """
    Also where nothing is known at all.
    """
    table = Fingerprints()
    table.record(1, 5, State.DONE)
    table.visit(1, 5)

    table.forget_visits([1 << 60, 1 << 11])

    assert [table.look(mark, 5) for mark in (1, 1 << 11, 1 << 60)] == [Seen.REPEATED, Seen.NEW, Seen.NEW]


@given(st.integers(0, 2**80 - 1))
def test_twenty_bits_of_an_identity_are_kept(number: int) -> None:
    """
    The first five hex digits.
    """
    id_ = f"rlc_{number:020x}"

    assert row_bits(id_) == number >> 60


def test_a_hundred_thousand_names_take_thirteen_bytes_each() -> None:
    """
    And none is mistaken for another.
    """
    table = Fingerprints()
    dice = random.Random(1)
    marks = [dice.getrandbits(64) for _ in range(100_000)]
    for mark in marks[:50_000]:
        table.record(mark, mark & 0xFFFFF, State.DONE)

    seen = [table.visit(mark, mark & 0xFFFFF) for mark in marks]
    assert seen == [Seen.DONE] * 50_000 + [Seen.NEW] * 50_000
    assert len(table) == 100_000
    assert table.nbytes <= 13 * 100_000


def test_many_at_once_are_what_they_are_one_by_one() -> None:
    """
    Recorded in a table that grows or in one made for them; met in order, up to the first that is not finished.
    """
    dice = random.Random(2)
    marks = [dice.getrandbits(64) for _ in range(20_000)] + [5 << 11, 5 << 11, 6 << 11]
    rows = [dice.getrandbits(20) for _ in marks]
    for expected in (0, len(marks)):
        table, other = Fingerprints(), Fingerprints()
        table.expect(expected)
        table.record_all(marks, rows, State.DONE)
        for mark, row in zip(marks, rows, strict=True):
            other.record(mark, row, State.DONE)
        assert len(table) == len(other) == len(marks) - 1
        assert [table.look(*each) for each in zip(marks, rows, strict=True)] == [
            other.look(*each) for each in zip(marks, rows, strict=True)
        ]

        # The name that is there twice keeps its last row: the first of the two looks edited.
        assert table.visit_finished(marks, rows) == (20_000, 0)
        assert table.look(marks[0], rows[0]) is Seen.REPEATED
        table.forget_visits(marks[:1])
        assert [table.look(mark, row) for mark, row in zip(marks[:2], rows, strict=False)] == [Seen.DONE, Seen.REPEATED]
        table.forget_all_visits()
        assert table.visit_finished(marks[1:20_000], rows[1:20_000]) == (19_999, 0)


def test_failed_rows_are_met_at_once_only_when_asked() -> None:
    """
    And they are counted.
    """
    table = Fingerprints()
    for mark, state in ((1 << 60, State.DONE), (2 << 60, State.FAILED), (3 << 60, State.DONE)):
        table.record(mark, 7, state)
    marks = [1 << 60, 2 << 60, 3 << 60]

    assert table.visit_finished(marks, [7, 7, 7], failed=False) == (1, 0)
    table.forget_all_visits()
    assert table.visit_finished(marks, [7, 7, 7]) == (3, 1)
    assert table.visit_finished([9 << 60], [7]) == (0, 0)


class AgainstADictionary(RuleBasedStateMachine):
    """
    The table says what a plain dictionary says, also where names crowd.
    """

    def __init__(self) -> None:
        super().__init__()
        self.table = Fingerprints()
        self.done: dict[int, int] = {}
        self.failed: dict[int, int] = {}
        self.seen: set[int] = set()

    names = st.integers(0, 60).map(lambda number: number << 11)  # one segment, neighbouring homes
    rows = st.integers(0, 3)

    @rule(name=names, row=rows)
    def answer(self, name: int, row: int) -> None:
        if name not in self.seen and name not in self.failed:
            self.table.record(name, row, State.DONE)
            self.done[name] = row

    @rule(name=names, row=rows)
    def error(self, name: int, row: int) -> None:
        if name not in self.seen:
            self.table.record(name, row, State.FAILED)
            if self.done.get(name) != row or name in self.failed:
                self.failed[name] = row

    @rule(name=names, row=rows)
    def meet(self, name: int, row: int) -> None:
        expected = self.expected(name, row)
        assert name in self.seen or self.table.look(name, row) is expected
        assert self.table.visit(name, row) is (Seen.REPEATED if name in self.seen else expected)
        self.seen.add(name)

    def expected(self, name: int, row: int) -> Seen:
        if self.done.get(name) == row:
            return Seen.DONE
        if self.failed.get(name) == row:
            return Seen.FAILED
        if name in self.done or name in self.failed:
            return Seen.EDITED
        return Seen.NEW


TestAgainstADictionary = AgainstADictionary.TestCase
