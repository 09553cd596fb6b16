"""A row is the same row in whatever layout it is written, however odd its body is."""

from __future__ import annotations

import pytest

from ratelimit_client.bulk.jsonl import Line, Splitter
from ratelimit_client.bulk.row import Flaw, Row, read_row

URL = "/v1/chat/completions"
DEEP = 900  # what every parser of JSON that may be installed takes; at 200 000 none does
TOO_DEEP = 200_000

BODIES = {
    "empty": b"{}",
    "newline inside": b'{"model":\n"m"}',
    "surrogates that belong together": b'{"model": "\\ud83d\\ude00"}',
    "a lone surrogate": b'{"model": "\\ud800"}',
    "one that was encoded": b'{"model": "\xed\xa0\x80"}',
    "no UTF-8": b'{"model": "\xff"}',
    "a control character": b'{"model": "a\tb"}',
    "a byte-order mark": b'\xef\xbb\xbf{"model": "m"}',
    "an integer of 30 digits": b'{"model": "m", "n": %s}' % (b"9" * 30),
    "an integer of 5000 digits": b'{"model": "m", "n": %s}' % (b"9" * 5000),
    "a number beyond all": b'{"model": "m", "max_tokens": 1e999}',
    "no number": b'{"model": "m", "n": NaN}',
    "a leading zero": b'{"model": "m", "n": 01}',
    "the model twice": b'{"model": "m", "model": "k"}',
    "a stream after all": b'{"model": "m", "stream": false, "stream": true}',
    "no stream after all": b'{"model": "m", "stream": true, "stream": false}',
    "two bodies": b'{"model": "m"}, "body": {"model": "k"}',
    "two names": b'{"model": "m"}, "custom_id": "b", "metadata": {}',
    "an id of an answer": b'{"model": "m"}, "id": {}',
    "more than a body": b'{"model": "m"}, "metadata": {"y": 1}',
    "one brace too many": b'{"model": "m"}}',
    "deep": b'{"model": "m", "messages": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "too deep": b'{"model": "m", "messages": ' + b"[" * TOO_DEEP + b"]" * TOO_DEEP + b"}",
    "deep objects": b'{"model": "m", "messages": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "objects too deep": b'{"model": "m", "messages": ' + b'{"a":' * TOO_DEEP + b"1" + b"}" * TOO_DEEP + b"}",
}


def read(start: bytes, body: bytes) -> Row | Flaw:
    head = b'%s"custom_id": "a", "method": "POST", "url": "%s", "body": ' % (start, URL.encode())
    return read_row(Line(2, 0, head + body + b"}"))


@pytest.mark.parametrize("odd", BODIES)
def test_the_usual_layout_takes_and_refuses_what_any_other_does(odd: str) -> None:
    """Row or flaw, the same name, identity, body and price."""
    usual, other = (read(start, BODIES[odd]) for start in (b"{", b"{ "))
    assert type(usual) is type(other)
    assert (usual.custom_id, usual.name, usual.id, usual.mark, usual.carried) == (
        (other.custom_id, other.name, other.id, other.mark, other.carried)
        if other.custom_id is not None
        else (None, "null", usual.id, usual.mark, other.carried)  # no row at all is known by its bytes
    )
    if isinstance(usual, Row) and isinstance(other, Row):
        assert (usual.body, usual.url, usual.model) == (other.body, other.url, other.model)
        assert usual.features == other.features


@pytest.mark.parametrize(("odd", "kind"), [("deep", Row), ("too deep", Flaw), ("objects too deep", Flaw)])
def test_a_body_may_be_deep_but_not_endlessly(odd: str, kind: type) -> None:
    """Who counts as far as a parser goes, and beyond that it is a flaw of the row and no crash."""
    assert type(read(b"{", BODIES[odd])) is kind


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 18])
def test_lines_are_the_same_however_the_file_is_cut(size: int) -> None:
    """Those that end with a brace in one piece and those that do not; blank ones and ``\\r`` count as ever."""
    text = b'\xef\xbb\xbf{"a": 1}\n{"b": 2}\n\n  \n{"c": 3}\r\n{"d": 4} \n}\n{"e": "' + b"x" * 40 + b'"}\n{"f": 6}'
    splitter = Splitter(cap=30)
    found = [line for at in range(0, len(text), size) for line in splitter.feed(text[at : at + size])]
    found += splitter.end()
    assert [(line.number, line.data, line.too_long) for line in found] == [
        (1, b'{"a": 1}', False),
        (2, b'{"b": 2}', False),
        (5, b'{"c": 3}', False),
        (6, b'{"d": 4} ', False),
        (7, b"}", False),
        (8, b"", True),
        (9, b'{"f": 6}', False),
    ]
    assert [text[line.offset :].split(b"\n")[0].rstrip(b"\r") for line in found[1:5]] == [
        line.data for line in found[1:5]
    ]
