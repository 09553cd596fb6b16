"""Lines of bytes out of chunks of bytes."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.bulk.jsonl import CHUNK, Line, Splitter, count_lines, lines_of, regions_of


def split(*chunks: bytes, cap: int = 1000) -> list[Line]:
    splitter = Splitter(cap=cap)
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    return lines + splitter.end()


def test_only_a_newline_byte_ends_a_line() -> None:
    """
    U+2028, form feeds and lone carriage returns stay inside; a carriage return before the newline goes.
    """
    text = '{"a":"\u2028\u2029\x85"}\r\n{"b":\f1}\n{"c":\r2}'.encode()

    assert [line.data for line in split(text)] == ['{"a":"\u2028\u2029\x85"}'.encode(), b'{"b":\f1}', b'{"c":\r2}']


def test_numbers_count_blank_lines_and_offsets_count_bytes() -> None:
    """
    Blank lines are dropped but numbered; an offset leads back to the line, byte-order mark or not.
    """
    text = b"\xef\xbb\xbfone\n\n \t\r\n\ntwo\n"

    assert split(text) == [Line(1, 0, b"one"), Line(5, 13, b"two")]
    assert text[13:16] == b"two"


def test_a_mark_is_dropped_at_the_start_of_the_file_only() -> None:
    """
    A byte-order mark in a later line is part of that line.
    """
    assert [line.data for line in split(b"\xef\xbb\xbfone\n\xef\xbb\xbftwo")] == [b"one", b"\xef\xbb\xbftwo"]


def test_a_line_over_the_cap_is_hashed_and_not_held() -> None:
    """
    Lines around it are untouched; the same bytes have the same digest however they were cut.
    """
    whole = split(b"a\n" + b"x" * 50 + b"\nb\n", cap=10)
    cut = split(b"a\nxxx", b"x" * 7, b"x" * 39, b"x\nb\n", cap=10)

    assert whole == cut
    assert [(line.number, line.offset, line.data, line.too_long) for line in whole] == [
        (1, 0, b"a", False),
        (2, 2, b"", True),
        (3, 53, b"b", False),
    ]
    assert split(b"x" * 10, cap=10)[0].data == b"x" * 10


@given(st.binary(max_size=200).map(lambda raw: raw.replace(b"\x07", b"\n")), st.lists(st.integers(0, 200), max_size=8))
def test_the_same_bytes_give_the_same_lines_however_they_are_cut(text: bytes, cuts: list[int]) -> None:
    """
    Chunking changes nothing, and every line stands where its offset says.
    """
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    chunks = [text[start:end] for start, end in itertools.pairwise(places)]

    lines = split(text, cap=40)
    assert split(*chunks, cap=40) == lines
    for line in lines:
        if not line.too_long:
            found = text[line.offset :].split(b"\n")[0]
            assert found.removeprefix(b"\xef\xbb\xbf" if line.number == 1 else b"").removesuffix(b"\r") == line.data


def test_a_file_is_read_at_its_own_places(tmp_path: Path) -> None:
    """
    Start and end are bytes of the file; the descriptor's position stays where it was.
    """
    path = tmp_path / "rows"
    path.write_bytes(b"head\none\ntwo\nthree")
    fd = os.open(path, os.O_RDONLY)
    try:
        assert [line.data for line in lines_of(fd, start=5)] == [b"one", b"two", b"three"]
        assert [(line.number, line.data) for line in lines_of(fd, start=5, end=12)] == [(1, b"one"), (2, b"two")]
        assert count_lines(fd) == 4
        assert count_lines(fd, start=5) == 3
        assert os.lseek(fd, 0, os.SEEK_CUR) == 0
    finally:
        os.close(fd)


def test_what_is_skipped_is_counted_like_what_is_fed() -> None:
    """
    Numbers and offsets go on as if the lines had been given.
    """
    splitter = Splitter()
    assert splitter.at_start
    splitter.skip(2, 8)

    assert splitter.feed(b"three\nfo") == [Line(3, 8, b"three")]
    assert not splitter.at_start
    assert splitter.offset == 14
    assert splitter.unfinished() == Line(4, 14, b"fo")
    assert splitter.end() == [Line(4, 14, b"fo")]


def test_an_unfinished_line_is_what_it_would_be_at_the_end() -> None:
    """
    Nothing at the start of a line or when it is blank so far; a line too long is known by its digest.
    """
    for chunk in (b"", b"one\n", b"one\n \t", b"\xef\xbb\xbfone\r", b"x" * 20):
        splitter = Splitter(cap=10)
        splitter.feed(chunk)
        unfinished = splitter.unfinished()
        assert ([] if unfinished is None else [unfinished]) == splitter.end()


def test_pieces_of_a_file_end_with_a_line(tmp_path: Path) -> None:
    """
    But for the rest at the end and for lines that are longer than a piece; together they are the file.
    """
    lines = [b"x" * 1000 + b"\n"] * 400 + [b"y" * (2 * CHUNK) + b"\n", b"short\n", b"rest"]
    (tmp_path / "in").write_bytes(b"".join(lines))
    fd = os.open(tmp_path / "in", os.O_RDONLY)
    try:
        for start, end in ((0, None), (1001, 300_000)):
            pieces = list(regions_of(fd, start=start, end=end))
            assert b"".join(pieces) == b"".join(lines)[start:end]
            assert max(map(len, pieces)) <= CHUNK
        ends = [piece[-1:] for piece in regions_of(fd)]
        assert ends == [b"\n", b"\n", b"y", b"y", b"\n", b"t"]
    finally:
        os.close(fd)
