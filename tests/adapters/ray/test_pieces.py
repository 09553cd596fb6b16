"""The bytes of files in pieces."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.adapters.ray.pieces import cut, is_compressed

TEXT = st.lists(st.sampled_from([b"a", b"bcd", b"\n", b"\n\n", b"\r\n", "\u2028".encode(), b"long" * 9])).map(b"".join)


@given(text=TEXT, size=st.integers(1, 20))
def test_pieces_are_the_file_cut_after_lines(text: bytes, size: int) -> None:
    """
    Nothing is lost, added or moved; each piece but a torn last one ends with a line; one is the first.
    """
    found = list(cut(io.BytesIO(text), size))

    assert b"".join(piece.data for piece in found) == text
    assert [piece.first for piece in found] == [index == 0 for index in range(len(found))]
    assert [piece.torn for piece in found] == [not piece.data.endswith(b"\n") for piece in found]
    assert not any(piece.torn for piece in found[:-1])


def test_what_is_compressed_is_known_by_its_name() -> None:
    """
    As Ray knows it.
    """
    assert [is_compressed(name) for name in ("a.jsonl", "a.jsonl.gz", "a.zst", "gz")] == [False, True, True, False]
