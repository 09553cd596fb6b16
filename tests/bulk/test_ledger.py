"""What an output already holds."""

from __future__ import annotations

import gc
import json
import os
from pathlib import Path

import pytest

from ratelimit_client.bulk.fingerprints import Seen, State, row_bits
from ratelimit_client.bulk.jsonl import Line
from ratelimit_client.bulk.ledger import Edited, Ledger, edited_rows, identities
from ratelimit_client.bulk.lines import answer_line, error_line
from ratelimit_client.bulk.row import Flaw, Row, duplicate, read_row
from ratelimit_client.bulk.source import Source
from ratelimit_client.errors import ConfigurationError
from tests.jobs import row, write


def made(name: str, content: str = "hello", number: int = 1) -> Row:
    found = read_row(Line(number, 0, json.dumps(row(name, content)).encode()))
    assert isinstance(found, Row)
    return found


def answered(*found: Row) -> bytes:
    return b"".join(answer_line(one, 200, None, b"{}") for one in found)


def read(path: Path, text: bytes, state: State = State.DONE, **options: int) -> Ledger:
    path.write_bytes(text)
    ledger = Ledger(**options)
    fd = os.open(path, os.O_RDWR)
    try:
        ledger.read(fd, str(path), state)
    finally:
        os.close(fd)
    return ledger


def looks(ledger: Ledger, found: Row | Flaw) -> Seen:
    return ledger.table.look(found.mark, row_bits(found.id))


def test_whole_lines_say_what_is_done(tmp_path: Path) -> None:
    """
    A whole object without its newline counts, a torn one does not, zeros count for nothing.
    """
    a, b, c = made("a"), made("b"), made("c")
    for tail in (b"", b"\0\0\0", answered(c)[:40], answered(c)[:40] + b"\0"):
        ledger = read(tmp_path / "out", answered(a, b) + tail)
        assert [looks(ledger, one) for one in (a, b, c)] == [Seen.DONE, Seen.DONE, Seen.NEW]
        assert (ledger.done, ledger.failed, ledger.bad) == (2, 0, [])
    ledger = read(tmp_path / "out", answered(a, b)[:-1])
    assert ledger.done == 2


def test_room_is_made_for_what_a_file_holds_unless_it_is_long(tmp_path: Path) -> None:
    """
    A table that grows as the lines come says the same.
    """
    found = [made(f"row-{number}") for number in range(10_000)]
    text = answered(*found)
    counted, grown = (read(tmp_path / "out", text, counted_bytes=size) for size in (len(text), len(text) - 1))

    for ledger in (counted, grown):
        assert ledger.done == len(ledger.table) == 10_000
        assert all(looks(ledger, one) is Seen.DONE for one in found[::100])
    assert counted.table.nbytes != grown.table.nbytes


@pytest.mark.parametrize("on", [True, False])
def test_the_collector_of_garbage_is_left_as_it_was(tmp_path: Path, on: bool) -> None:
    """
    It is off while a file is read; whoever had switched it off before finds it off.
    """
    was_on = gc.isenabled()
    try:
        (gc.enable if on else gc.disable)()
        read(tmp_path / "out", answered(made("a")))
        assert gc.isenabled() is on
    finally:
        (gc.enable if was_on else gc.disable)()


def test_bad_lines_are_counted_and_the_first_ten_named(tmp_path: Path) -> None:
    """
    Their rows are not done.
    """
    ledger = read(tmp_path / "out", answered(made("a")) + b"oops\n" * 15 + answered(made("b")))

    assert ledger.done == 2
    assert ledger.bad_count == 15
    assert ledger.bad == [(str(tmp_path / "out"), number) for number in range(2, 12)]


@pytest.mark.parametrize("text", [b"notes\n", b"notes", b"{}\n", b'{"id": "x"}', b"\n\n5\n", b'{"id": "rlx'])
def test_what_is_not_ours_is_refused(tmp_path: Path, text: bytes) -> None:
    """
    One whole line without an identity of ours is enough; so is nothing of ours at all.
    """
    with pytest.raises(ConfigurationError, match="holds something else"):
        read(tmp_path / "out", text)


@pytest.mark.parametrize("length", range(12))
def test_a_first_line_that_was_torn_is_ours(tmp_path: Path, length: int) -> None:
    """
    However little of it is there.
    """
    ledger = read(tmp_path / "out", answered(made("a"))[:length])

    assert (ledger.done, ledger.resumes) == (0, False)


def test_errors_of_a_line_are_known_by_the_line(tmp_path: Path) -> None:
    """
    A repeated name does not finish the row that came first, and a bad line is known by number and bytes.
    """
    first, again = made("a"), duplicate(made("a", "other", number=5), 1)
    bad = read_row(Line(3, 0, b"oops"))
    assert isinstance(bad, Flaw)
    text = b"".join(error_line(one, one.code, "x", **one.lines) for one in (again, bad))
    ledger = read(tmp_path / "errors", text, State.FAILED)

    assert looks(ledger, first) is Seen.NEW
    assert looks(ledger, again) is Seen.FAILED
    assert looks(ledger, bad) is Seen.FAILED
    assert ledger.failed == 2


def test_edited_rows_are_proved_by_reading_again(tmp_path: Path) -> None:
    """
    The last line of a name counts; a later line of the same name in the input is a repetition, not an edition.
    """
    write(tmp_path / "in", row("same"), row("new"), row("edited", "now"), row("same", "other"), row("again", "2"))
    (tmp_path / "out").write_bytes(answered(made("same"), made("edited"), made("again", "1"), made("again", "2")))
    ledger = read(tmp_path / "out", (tmp_path / "out").read_bytes())
    source = Source.open(str(tmp_path / "in"))
    fd = os.open(tmp_path / "out", os.O_RDONLY)
    try:
        assert edited_rows(source, ledger.table, [fd]) == [Edited(3, "edited")]
        assert identities(["again", "none"], [fd]) == {"again": {made("again", "2").id}, "none": set()}
    finally:
        os.close(fd)
        source.close()


def test_an_edited_row_is_found_in_a_line_that_misses_its_newline(tmp_path: Path) -> None:
    """
    The last one of a file that somebody wrote by hand.
    """
    write(tmp_path / "in", row("a"), row("b", "edited"))
    os.truncate(tmp_path / "in", (tmp_path / "in").stat().st_size - 1)
    for alone in (False, True):
        if alone:
            (tmp_path / "in").write_bytes((tmp_path / "in").read_bytes().split(b"\n")[1])
        ledger = read(tmp_path / "out", answered(made("a"), made("b")))
        source = Source.open(str(tmp_path / "in"))
        fd = os.open(tmp_path / "out", os.O_RDONLY)
        try:
            assert edited_rows(source, ledger.table, [fd]) == [Edited(1 if alone else 2, "b")]
        finally:
            os.close(fd)
            source.close()


def test_a_name_that_only_looks_edited_is_not(tmp_path: Path) -> None:
    """
    Another row's fingerprint in its place: the files tell the truth.
    """
    write(tmp_path / "in", row("a"))
    (tmp_path / "out").write_bytes(answered(made("a")))
    ledger = Ledger()
    ledger.table.record(made("a").mark, 1, State.DONE)
    source = Source.open(str(tmp_path / "in"))
    fd = os.open(tmp_path / "out", os.O_RDONLY)
    try:
        assert ledger.table.look(made("a").mark, row_bits(made("a").id)) is Seen.EDITED
        assert edited_rows(source, ledger.table, [fd]) == []
    finally:
        os.close(fd)
        source.close()


def test_looking_for_edited_rows_passes_what_is_finished(tmp_path: Path) -> None:
    """
    Pieces in which all is finished are done with; of the others nothing was met.
    """
    found = [row(f"row-{number}", "x" * 200) for number in range(2000)]
    write(tmp_path / "in", *found, row("new"))
    rows = [made(one["custom_id"], "x" * 200) for one in found]
    (tmp_path / "out").write_bytes(answered(*rows))
    ledger = read(tmp_path / "out", answered(*rows))
    source = Source.open(str(tmp_path / "in"))
    try:
        assert edited_rows(source, ledger.table, []) == []
        assert min(ledger.table.passed) == 0
        passed = sum(piece.lines for piece in ledger.table.passed.values())
        looked = [looks(ledger, one) for one in rows]
        assert looked == [Seen.REPEATED] * passed + [Seen.DONE] * (2000 - passed)
        assert 500 < passed < 2000
    finally:
        source.close()


@pytest.mark.parametrize("place", [0, 1, 2])
def test_bad_lines_among_many_are_found_as_ever(tmp_path: Path, place: int) -> None:
    """
    First, in the middle or last: it is bad, the others count.
    """
    lines = [answered(made(name)) for name in ("a", "b")]
    lines.insert(place, lines[0].replace(b"{}", b"{"))
    ledger = read(tmp_path / "out", b"".join(lines))

    assert (ledger.done, ledger.bad) == (2, [(str(tmp_path / "out"), place + 1)])
