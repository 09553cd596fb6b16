"""Many lines at one look say what the lines say one by one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.bulk.fingerprints import Fingerprints, Passed, Seen, State, row_bits
from ratelimit_client.bulk.jsonl import Line, Splitter
from ratelimit_client.bulk.lines import answer_line, error_line, read_line
from ratelimit_client.bulk.row import Flaw, Row, duplicate, mark_of, read_row
from ratelimit_client.bulk.skim import Piece, has_edited, pass_finished, prints_of_output, undo
from tests.jobs import row


def text(name: str, content: str = "hello", **more: object) -> bytes:
    return json.dumps(row(name, content, **more)).encode() + b"\n"  # type: ignore[arg-type]


def read(line: bytes) -> Row | Flaw:
    return read_row(Line(1, 0, line.rstrip(b"\r\n")))


def made(name: str, content: str = "hello") -> Row:
    found = read(text(name, content))
    assert isinstance(found, Row)
    return found


def answer(name: str, content: bytes = b"{}") -> bytes:
    return answer_line(made(name), 200, "req_1", content)


names = st.text(min_size=1, max_size=20)


other_forms = st.sampled_from(
    [
        b"oops",
        b"5",
        b"{}",
        b"\xff",
        b"\xef\xbb\xbf" + text("bom")[:-1],
        b'{"custom_id": ""}',
        b'{"custom_id": "a"}',
        b'{"custom_id": 5, "method": "POST"}',
        text("with more", metadata={"a": [1]})[:-1],
        text("no endpoint", url="/x")[:-1],
        text("nested")[:-2] + b', "body": {}}',
        text("renamed")[:-2] + b', "custom_id": "otherwise"}',
        b" " + text("spaced")[:-1],
        b'{"custom_id":"dense","method":"POST","url":"/v1/embeddings","body":{"input":"x"}}',
    ]
)


# Lines whose object goes on after the body.
GUESSED = tuple(b'{"custom_id": "%b"' % name for name in (b"with more", b"nested", b"renamed"))


@given(st.lists(st.tuples(names, names).map(lambda found: text(*found)[:-1]) | other_forms, max_size=8), st.booleans())
def test_input_at_one_look_is_input_line_by_line(lines: list[bytes], carriage: bool) -> None:
    """
    The same marks and identities, whatever the lines are.
    """
    data = b"".join(line + (b"\r\n" if carriage else b"\n") for line in lines)
    splitter = Splitter()
    splitter.skip(6, 0)
    rows = [read_row(line) for line in splitter.feed(data)]
    piece = Piece(data, 7)
    marks, bits = piece.prints
    assert len(marks) == len(lines)
    for mark, bit, line, found in zip(marks, bits, lines, rows, strict=True):
        if not line.startswith(GUESSED):
            assert (mark, bit) == (found.mark, row_bits(found.id))
    for index, found in enumerate(rows):
        piece.look_closely(index)
        assert (marks[index], bits[index]) == (found.mark, row_bits(found.id))


def test_a_blank_line_ends_what_is_taken_at_once() -> None:
    """
    It is no row, but it has a number.
    """
    for blank in (b"\n", b" \r\n"):
        assert len(Piece(text("a") + blank + text("b")).prints[0]) == 1


@given(st.lists(st.tuples(names, names), max_size=8))
def test_output_at_one_look_is_output_line_by_line(found: list[tuple[str, str]]) -> None:
    """
    For whatever names and answers there are.
    """
    lines = [answer(name, json.dumps(content).encode()) for name, content in found]
    finished = [read_line(line) for line in lines]
    prints = prints_of_output(b"".join(lines))
    assert prints is not None
    assert list(prints[0]) == [mark_of(each.custom_id or "") for each in finished if each]
    assert prints[1] == [row_bits(each.id) for each in finished if each]


def test_errors_of_rows_are_read_and_errors_of_lines_are_not() -> None:
    """
    A repeated name or a line that is no row is known by its line: those are for a closer look.
    """
    failed = error_line(made("a"), "no_answer", "x")
    assert prints_of_output(failed) is not None
    again = duplicate(made("a"), 1)
    bad = read(b"oops")
    assert isinstance(bad, Flaw)
    for flaw in (again, bad):
        assert prints_of_output(failed + error_line(flaw, flaw.code, flaw.message, **flaw.lines)) is None


@pytest.mark.parametrize(
    "spoilt",
    [
        b"oops\n",
        b"\n",
        b"{}\n",
        b"[]\n",
        b"5\n",
        b'{"id": "x", "custom_id": "a", "error": null}\n',
        b'{"id": 5, "custom_id": "a", "error": null}\n',
        b'{"id": "rlc_0123456789abcdef0123", "custom_id": 5, "error": null}\n',
        b'{"id": "rlc_0123456789abcdef0123", "custom_id": "a", "error": "no"}\n',
        answer("b")[:-2] + b"\n",
        answer("b")[:40] + b"\0" * 20 + answer("b")[60:],
        answer("b").replace(b"{}", b"{"),
        answer("b")[:-1] + b"," + answer("c"),
    ],
)
def test_one_line_that_is_none_of_ours_spoils_the_piece(spoilt: bytes) -> None:
    """
    Wherever it stands: those who read line by line say what is wrong with it.
    """
    a, z = answer("a"), answer("z")
    for piece in (spoilt + a + z, a + spoilt + z, a + z + spoilt):
        assert prints_of_output(piece) is None


def test_a_line_that_goes_on_in_the_next_is_two_bad_lines() -> None:
    """
    Joined by a comma they would be an object; they are not joined.
    """
    whole = answer("b", b'{"a": 1, "b": 2}')
    cut = whole.index(b', "b"')
    assert prints_of_output(answer("a") + whole[:cut] + b"\n" + whole[cut + 1 :]) is None


def finished_table(*found: Row, state: State = State.DONE) -> Fingerprints:
    table = Fingerprints()
    for each in found:
        table.record(each.mark, row_bits(each.id), state)
    return table


def test_finished_lines_are_passed_up_to_the_first_that_is_not() -> None:
    """
    New, edited, repeated, unusual: each ends it, and what was passed counts as met.
    """
    usual = text("a") + text("b", metadata={})
    for other in (text("new"), text("b", "edited"), text("a"), b"oops\n", b"\n", text("a", url="/x")):
        table = finished_table(made("a"), made("b"))
        piece = Piece(usual + other + text("b"))
        assert pass_finished(table, piece) == Passed(len(usual), 2, 0)
        assert table.look(made("a").mark, row_bits(made("a").id)) is Seen.REPEATED

        undo(table, piece, Passed(len(usual), 2, 0))
        assert table.look(made("a").mark, row_bits(made("a").id)) is Seen.DONE
        assert pass_finished(table, Piece(usual)) == Passed(len(usual), 2, 0)


def test_an_error_line_of_earlier_is_finished_at_its_line_only() -> None:
    """
    The same bytes in another line are another error.
    """
    bad = read_row(Line(3, 0, b"oops"))
    table = Fingerprints()
    table.record(bad.mark, row_bits(bad.id), State.FAILED)

    assert pass_finished(table, Piece(b"oops\n", number=3)) == Passed(5, 1, 1)
    assert pass_finished(table, Piece(b"oops\n", number=4)) == Passed(0, 0, 0)


def test_failed_lines_are_passed_when_asked() -> None:
    """
    And counted.
    """
    piece = text("a") + text("b")
    for failed, passed in ((True, Passed(len(piece), 2, 1)), (False, Passed(len(text("a")), 1, 0))):
        table = finished_table(made("a"))
        table.record(made("b").mark, row_bits(made("b").id), State.FAILED)
        assert pass_finished(table, Piece(piece), failed=failed) == passed


def test_nothing_is_passed_at_an_unfinished_line() -> None:
    """
    Also where nothing is known at all.
    """
    assert pass_finished(Fingerprints(), Piece(text("a"))) == Passed(0, 0, 0)
    assert pass_finished(finished_table(made("b")), Piece(text("a") + text("b"))) == Passed(0, 0, 0)
    assert pass_finished(finished_table(made("b")), Piece(b"oops\n" + text("b"))) == Passed(0, 0, 0)
    assert pass_finished(finished_table(made("b")), Piece(b" \r\n" + text("b"))) == Passed(0, 0, 0)


def test_a_piece_may_hold_an_edited_row_or_surely_does_not() -> None:
    """
    So may one behind a blank line.
    """
    table = finished_table(made("a"))
    assert not has_edited(table, Piece(text("a") + text("new") + b"oops\n"))
    assert not has_edited(table, Piece(text("new") + text("a", metadata={"b": 1})))
    assert has_edited(table, Piece(text("new") + text("a", "edited")))
    assert has_edited(table, Piece(text("new") + text("a", "edited", metadata={})))
    assert has_edited(table, Piece(text("a") + b"\n"))
    assert has_edited(table, Piece(text("new")[:-2] + b', "custom_id": "a"}\n'))
