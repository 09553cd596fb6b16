"""Where the members of an object stand in its text."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.bulk.scan import NotJSON, members

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)
SPACES = st.text(" \t\r\n", max_size=3)


@given(st.dictionaries(st.text(), VALUES, max_size=6), SPACES, SPACES, st.booleans())
def test_every_span_is_the_text_of_its_value(given_: dict[str, Any], one: str, two: str, escape: bool) -> None:
    """
    Parsed and sliced agree with the standard parser, whatever the spacing and the spelling.
    """
    texts = {key: json.dumps(value, ensure_ascii=escape) for key, value in given_.items()}
    inside = f"{two},{one}".join(f"{json.dumps(key)}{one}:{two}{text}" for key, text in texts.items())
    text = f"{one}{{{two}{inside}{one}}}{two}"

    found = members(text)
    assert {key: member.value for key, member in found.items()} == json.loads(text)
    assert {key: text[member.start : member.end] for key, member in found.items()} == texts


def test_of_a_repeated_key_the_last_counts() -> None:
    """
    As everywhere in Python's json, and its span is the last one's.
    """
    text = '{"a": 1, "b": 0, "a": [2]}'

    assert members(text)["a"] == ([2], 22, 25)
    assert text[22:25] == "[2]"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no JSON object"),
        ("[]", "no JSON object"),
        ("null", "no JSON object"),
        ('"text"', "no JSON object"),
        ("{", "ends too early"),
        ('{"a"', "ends too early"),
        ('{"a":', "a value is missing"),
        ('{"a":1', "ends too early"),
        ('{"a":1,', "ends too early"),
        ('{"a":1,}', "a key is missing at column 8"),
        ("{a:1}", "a key is missing at column 2"),
        ('{"a" 1}', "a colon is missing at column 6"),
        ('{"a":1 "b":2}', "a comma is missing at column 8"),
        ('{"a":}', "a value is missing at column 6"),
        ('{"a":1} x', "something follows the object at column 9"),
        ('{"a":1}{"b":2}', "something follows the object"),
        ('{"a":NaN}', "NaN is no JSON number"),
        ('{"a":-Infinity}', "Infinity is no JSON number"),
        ('{"a":"\x01"}', "control character"),
        ('{"a":"\\x"}', "invalid \\escape"),
        ('{"a":' + "[" * 100_000, "nested too deeply"),
        ('{"a":' + "9" * 5000 + "}", "not usable"),
        ('{"a":1}\x00', "something follows"),
    ],
)
def test_what_is_no_object_says_why(text: str, says: str) -> None:
    """
    One sentence, with the column where there is one.
    """
    with pytest.raises(NotJSON) as caught:
        members(text)
    assert says in str(caught.value)


@given(st.text(alphabet='{}[]":,0a \\ntrue', max_size=30))
def test_it_takes_what_the_standard_parser_takes_and_nothing_else(text: str) -> None:
    """
    Never another exception than NotJSON.
    """
    try:
        expected = json.loads(text)
    except ValueError:
        expected = None
    if isinstance(expected, dict):
        assert {key: member.value for key, member in members(text).items()} == expected
    else:
        with pytest.raises(NotJSON):
            members(text)


def test_a_value_is_read_where_orjson_is_not_installed() -> None:
    """The same values come out, and the same text is refused."""
    program = (
        "import sys; sys.modules['orjson'] = None\n"
        "from ratelimit_client.bulk.scan import NotJSON, value_of\n"
        "print(value_of(b'{\"a\": [1, 2.5, null]}'))\n"
        "try: value_of(b'{} {}')\n"
        "except NotJSON as error: print(error)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == ["{'a': [1, 2.5, None]}", "is not JSON: something follows"]
