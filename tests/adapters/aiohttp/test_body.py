from __future__ import annotations

import gzip
import json
import random
import tracemalloc
import zlib
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.adapters.aiohttp.body import BadBody, Kept, meaning

TEXT = json.dumps({"text": "one two three " * 500}).encode()


def decoded(pieces: Iterable[bytes], coding: str = "gzip", most: int = 2**20) -> bytes:
    kept = Kept(coding, most)
    for piece in pieces:
        kept.add(piece)
    return kept.whole()


def cut(raw: bytes, size: int) -> list[bytes]:
    return [raw[start : start + size] for start in range(0, len(raw), size)]


@given(st.binary(max_size=5000), st.integers(1, 500), st.integers(0, 9))
def test_gzip_comes_out_as_it_went_in(raw: bytes, size: int, level: int):
    """
    However the bytes are cut up on the way.
    """
    assert raw == decoded(cut(gzip.compress(raw, level), size))
    assert raw == decoded(cut(raw, size), coding="identity")


def test_a_gzip_stream_that_ends_early():
    """
    Cut at any byte it is no body: not the prefix, not an empty success. What there was is kept for the excerpt.
    """
    zipped = gzip.compress(TEXT)
    for end in range(1, len(zipped)):
        with pytest.raises(BadBody, match="cut short") as caught:
            decoded([zipped[:end]])
        assert TEXT.startswith(caught.value.read)


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (TEXT, "corrupt"),
        (gzip.compress(TEXT, mtime=0)[:-8] + b"\0" * 8, "corrupt"),
        (gzip.compress(TEXT, mtime=0) + b"more", "corrupt"),
        (zlib.compress(TEXT), "corrupt"),
    ],
)
def test_what_is_labelled_gzip_and_is_not(wire: bytes, why: str):
    """
    A wrong checksum, trailing rubbish, zlib or plain text are no gzip.
    """
    with pytest.raises(BadBody, match=why):
        decoded([wire])


def test_what_gzip_allows():
    """
    Several members are one body, zeros after the last are padding, and no bytes at all are no bytes.
    """
    assert decoded(cut(gzip.compress(TEXT) + gzip.compress(TEXT) + b"\0" * 100, 7)) == TEXT + TEXT
    assert decoded([gzip.compress(TEXT)], coding="X-GZIP ") == TEXT
    assert decoded([]) == b""


@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "gzip, gzip", "compress"])
def test_a_coding_nobody_asked_for(coding: str):
    """
    Only gzip was asked for, and only gzip can be checked.
    """
    with pytest.raises(BadBody, match="not asked for"):
        Kept(coding)


def test_a_bomb_takes_no_more_memory_than_it_may():
    """
    256 KiB on the wire that hold 256 MiB are stopped at the cap, on the way.
    """
    bomb = gzip_of_zeros(2**28)
    assert len(bomb) < 2**19

    for pieces in (cut(bomb, 2**16), [bomb]):
        tracemalloc.start()
        with pytest.raises(BadBody, match="larger than 16777216 bytes"):
            decoded(pieces, most=2**24)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2**24 + 2**22

    with pytest.raises(BadBody, match="larger than 10 bytes"):
        decoded([b"12345678901"], coding="", most=10)


EMPTY_MEMBER = gzip.compress(b"", mtime=0)
EMPTY_BLOCK = b"\0\0\0\xff\xff"
HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


@pytest.mark.parametrize(
    ("begins", "goes_on", "why"),
    [
        (b"", EMPTY_MEMBER, "holds nothing, again and again"),
        (gzip.compress(b"{}", mtime=0), EMPTY_MEMBER, "holds nothing, again and again"),
        (HEAD, EMPTY_BLOCK, "larger than"),
        (gzip.compress(b"{}", mtime=0), b"\0", "larger than"),
    ],
    ids=["members", "members after something", "blocks", "padding"],
)
def test_a_stream_of_nothing_ends(begins: bytes, goes_on: bytes, why: str):
    """
    Gzip can go on for ever without a byte of content; what came on the wire is counted, too.
    """
    kept = Kept("gzip", most=2**18)
    kept.add(begins)
    with pytest.raises(BadBody, match=why) as caught:
        for _ in range(10):
            kept.add(goes_on * (2**18 // len(goes_on)))
    assert not caught.value.may_pass


def test_many_members_are_one_body():
    """
    As bgzip writes them, with the empty one at its end.
    """
    members = [gzip.compress(b"%d," % number) for number in range(1000)]
    assert decoded([b"".join(members) + EMPTY_MEMBER]) == b"".join(b"%d," % number for number in range(1000))


def test_what_does_not_shrink_may_be_as_large_as_anything():
    """
    Random bytes are longer as gzip; they are within the bound when they are within it off the wire.
    """
    raw = random.Random(1).randbytes(2**18)
    assert len(gzip.compress(raw)) > 2**18
    assert decoded([gzip.compress(raw)], most=2**18) == raw


def gzip_of_zeros(size: int) -> bytes:
    """Made piece by piece, so that the test does not hold what it forbids."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return b"".join(deflate.compress(bytes(2**20)) for _ in range(size // 2**20)) + deflate.flush()


JSON = "application/json"


@pytest.mark.parametrize(
    ("raw", "kind", "value"),
    [
        (b'{"a":1}', JSON, {"a": 1}),
        (b'{"a":1}', "Application/JSON; charset=utf-8", {"a": 1}),
        (b"[]", "application/problem+json", []),
        (b' {"a":1}\n', JSON, {"a": 1}),
        (b'\xef\xbb\xbf{"a":1}', JSON, {"a": 1}),
        (b'{"a":"\\ud83d"}', JSON, {"a": "\ud83d"}),
        (b'{"a":123456789012345678901234567890}', JSON, {"a": pytest.approx(123456789012345678901234567890)}),
        (b'{"a":1}', "", {"a": 1}),
        (b"ID3...", "audio/mpeg", None),
        (b"hello", "text/plain", None),
        (b"hello", "", None),
        (b"", "text/plain", None),
    ],
)
def test_what_a_body_means(raw: bytes, kind: str, value: object):
    """
    JSON by its label, or by its bracket where nothing is labelled; all else is bytes.
    """
    assert value == meaning(raw, kind, must_be_data=True)


@pytest.mark.parametrize(
    ("raw", "kind", "why"),
    [
        (b"", JSON, "is empty"),
        (b"null", JSON, "null"),
        (b'{"a":1', JSON, "is not"),
        (b'{"a":1}{"b":2}', JSON, "is not"),
        (b'{"a":NaN}', JSON, "NaN"),
        (b'{"a":"\xff"}', JSON, "UTF-8"),
        (b'{"a":"\xe2\x82', JSON, "UTF-8"),
        (b"[" * 100_000, JSON, "nested|is not"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, JSON, "nested|is not"),
        (b"<html>", JSON, "is not"),
        (b"<html>", "text/html; charset=utf-8", "web page"),
        (b'{"a":', "", "is not"),
        (b"5" * 5000 + b"x", JSON, "is not"),
    ],
)
def test_what_is_no_success(raw: bytes, kind: str, why: str):
    """
    Truncated, nested without end, not UTF-8, NaN, empty, a web page: one error each, with the bytes kept.
    """
    with pytest.raises(BadBody, match=why) as caught:
        meaning(raw, kind, must_be_data=True)
    assert raw == caught.value.read
    assert len(str(caught.value)) < 200


def test_a_page_that_was_fetched_is_no_surprise():
    """
    A GET may be for a file that is a web page.
    """
    assert meaning(b"<html>", "text/html", must_be_data=False) is None
