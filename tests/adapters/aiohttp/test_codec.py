from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.adapters.aiohttp import codec
from ratelimit_client.errors import ConfigurationError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_out_and_back(value: object):
    """
    What is encoded is JSON to the standard library and to us, and the same value.
    """
    raw = codec.encode(value)
    assert value == codec.decode(raw) == json.loads(raw)


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(raw: bytes):
    """
    Whatever a server sent, it is a value or ``NotJson``.
    """
    problem: BaseException | None = None
    try:
        codec.decode(raw)
    except codec.NotJson as error:
        problem = error.__context__
    assert problem is None


def test_what_one_parser_has_no_word_for():
    """
    Lone surrogates and big integers go through the standard library.
    """
    assert codec.encode({"a": "\ud83d"}) == b'{"a":"\\ud83d"}'
    assert codec.encode([2**70]) == b"[1180591620717411303424]"
    assert codec.encode({1: 2}) == b'{"1":2}'


@pytest.mark.parametrize("value", [{"a": {1, 2}}, object(), {"a": b"bytes"}])
def test_what_json_has_no_word_for(value: object):
    """
    A typed error before anything is sent.
    """
    with pytest.raises(ConfigurationError, match="cannot be written as JSON") as caught:
        codec.encode(value)
    assert caught.value.__context__ is None


def test_a_number_that_is_none_is_not_sent():
    """
    NaN is no JSON: it is refused, or written as null, but never as NaN.
    """
    try:
        raw = codec.encode([math.nan])
    except ConfigurationError:
        return
    assert raw == b"[null]"
