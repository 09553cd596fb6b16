"""What a finished row looks like in a file."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.bulk.jsonl import Line
from ratelimit_client.bulk.lines import Finished, answer_line, error_line, one_line, read_line
from ratelimit_client.bulk.row import Flaw, Row, duplicate, read_row

TEXT = (
    '{"custom_id": "r\\u0031", "method": "POST", "url": "/v1/responses", "body": {"model": "m"}, '
    '"metadata": {"a" : [1.0]}}'
)


def row() -> Row:
    found = read_row(Line(3, 0, TEXT.encode()))
    assert isinstance(found, Row)
    return found


def test_an_answer_has_the_form_of_the_batch_api() -> None:
    """
    id, custom_id, response, error; then what the input line carried, as it stood.
    """
    line = answer_line(row(), 200, "req_1", b'{"model":"m-1"}', is_json=True)

    assert (
        line
        == (
            f'{{"id": "{row().id}", "custom_id": "r\\u0031", "response": {{"status_code": 200, "request_id": "req_1", '
            '"body": {"model":"m-1"}}, "error": null, "metadata": {"a" : [1.0]}}\n'
        ).encode()
    )
    assert json.loads(line)["custom_id"] == "r1"


def test_an_error_says_code_and_message_and_keeps_the_answer() -> None:
    """
    Without an answer the response is null.
    """
    with_answer = json.loads(
        error_line(row(), "x", "é\n\u2028", status=400, request_id=None, content=b'{"error": {"code": 1}}')
    )
    without = error_line(row(), "x", "y")

    assert with_answer["response"] == {"status_code": 400, "request_id": None, "body": {"error": {"code": 1}}}
    assert with_answer["error"] == {"code": "x", "message": "é\n\u2028"}
    assert with_answer["metadata"] == {"a": [1.0]}
    assert json.loads(without)["response"] is None
    assert without.count(b"\n") == 1


def test_an_answer_is_written_as_it_came_but_for_line_breaks() -> None:
    """
    Numbers, key order, repeated keys and escapes are untouched; indentation goes with its newline.
    """
    pretty = b'{\n  "b": 1.50,\r\n  "a": [\n    1e400,\n    "x  y\\n"\n  ],\n  "b": 12345678901234567890\n}\n'

    assert one_line(pretty) == b'{"b": 1.50,"a": [1e400,"x  y\\n"],"b": 12345678901234567890}'


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    ),
    st.sampled_from([None, 1, "\t", "  \r\n \t"]),
    st.booleans(),
)
def test_any_json_becomes_one_line_with_the_same_value(value: Any, indent: Any, escape: bool) -> None:
    """
    However it was laid out.
    """
    line = one_line(json.dumps(value, indent=indent, ensure_ascii=escape).encode("utf-8", "surrogatepass"))

    assert b"\n" not in line
    assert b"\r" not in line
    assert json.loads(line) == value


@given(st.binary(max_size=40))
def test_what_is_no_json_becomes_a_string(content: bytes) -> None:
    """
    Whatever the bytes, the line stays valid JSON.
    """
    value = json.loads(one_line(content))

    assert isinstance(value, object)
    assert b"\n" not in one_line(content)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", b"null"),
        (b"<html>", b'"<html>"'),
        (b'{"a": NaN, "b": [-Infinity]}', b'{"a": null, "b": [null]}'),
        (b'\xef\xbb\xbf{"a":1}', b'{"a":1}'),
        (b"\xff", b'"\\ufffd"'),
        (b'"\\ud83d"', b'"\\ud83d"'),
    ],
)
def test_odd_answers_stay_valid(content: bytes, line: bytes) -> None:
    """
    Nothing, HTML, NaN, a byte-order mark, bytes that are no text, half an emoji.
    """
    assert one_line(content) == line


def test_a_line_is_read_back_as_what_finished() -> None:
    """
    Answers and errors by name, flaws of a line by its number.
    """
    no_row = read_row(Line(9, 0, b"oops"))
    assert isinstance(no_row, Flaw)
    again = duplicate(row(), 1)

    assert read_line(answer_line(row(), 200, None, b"{}")) == Finished(row().id, "r1", None, None)
    assert read_line(error_line(row(), "http", "x", status=400)) == Finished(row().id, "r1", "http", None)
    assert read_line(error_line(no_row, no_row.code, "x", **no_row.lines)) == Finished(
        no_row.id, None, "invalid_line", 9
    )
    assert read_line(error_line(again, again.code, "x", **again.lines)) == Finished(
        again.id, "r1", "duplicate_custom_id", 3
    )


READ: list[tuple[bytes, str | None]] = [
    (b"", None),
    (b"oops", None),
    (b"[]", None),
    (b'{"id": "rlc_', None),
    (b"\x00\x00{}", None),
    (b"\xff", None),
    (b"{}", ""),
    (b'{"id": "batch_req_1", "custom_id": "a"}', ""),
    (b'{"id": "rlc_0123456789abcdef012", "custom_id": "a"}', ""),
    (b'{"id": "rlc_0123456789ABCDEF0123", "custom_id": "a"}', ""),
    (b'{"id": "rlc_0123456789abcdef0123", "custom_id": 5}', ""),
]


@pytest.mark.parametrize(("data", "found"), READ)
def test_a_line_that_is_not_ours_is_told_from_one_that_cannot_be_read(data: bytes, found: str | None) -> None:
    """
    None: no JSON object. An empty id: somebody else's.
    """
    finished = read_line(data)

    assert (None if finished is None else finished.id) == found


WITHOUT = """
import sys
sys.modules["orjson"] = None
"""
# As strict as the real one in what answers may contain and json takes: half an emoji.
STAND_IN = """
import json, sys, types

def loads(data):
    value = json.loads(data)
    json.dumps(value, ensure_ascii=False).encode()
    return value

sys.modules["orjson"] = types.SimpleNamespace(loads=loads)
"""
READING = """
import json, sys
from ratelimit_client.bulk.lines import read_line
lines = [line.encode("latin-1") for line in json.load(sys.stdin)]
print(json.dumps([found and found.id for found in map(read_line, lines)]))
"""


@pytest.mark.parametrize("orjson", [WITHOUT, STAND_IN], ids=["without", "with"])
def test_a_line_is_read_the_same_with_the_extra_and_without(orjson: str) -> None:
    """
    orjson is faster, and no more: what it refuses is read once again.
    """
    ours = b'{"id": "rlc_0123456789abcdef0123", "custom_id": "\\ud83d", "error": null}'
    table = [*READ, (ours, "rlc_0123456789abcdef0123")]
    lines = json.dumps([data.decode("latin-1") for data, _ in table])

    program = [sys.executable, "-c", orjson + READING]
    done = subprocess.run(program, input=lines, capture_output=True, text=True, check=True)

    assert json.loads(done.stdout) == [found for _, found in table]
