"""Structured fields: strict, then loose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.dialects.structured import Malformed, Token, loose_members, parse_dictionary, parse_list


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("", []),
        (' "a";q=1 ', [("a", {"q": 1})]),
        (
            '"burst";q=100;w=60,"daily";q=1000;w=86400',
            [("burst", {"q": 100, "w": 60}), ("daily", {"q": 1000, "w": 86400})],
        ),
        ("100;w=60, 1000;w=3600", [(100, {"w": 60}), (1000, {"w": 3600})]),
        ('"d";r=50;t=30;pk=:QUJD:', [("d", {"r": 50, "t": 30, "pk": b"QUJD"})]),
        (
            'tok; a; b=?0;c=?1;d=-1.5;e=x/y;f="q\\"\\\\"',
            [("tok", {"a": True, "b": False, "c": True, "d": -1.5, "e": "x/y", "f": 'q"\\'})],
        ),
    ],
)
def test_lists(text, members):
    """Members with parameters, by the grammar."""
    assert parse_list(text) == members


def test_a_bare_word_is_told_from_a_string():
    """Both are text; only one was in quotes."""
    ((token, _), (string, _)) = parse_list('word, "word"')
    assert isinstance(token, Token)
    assert not isinstance(string, Token)


@pytest.mark.parametrize(
    "text",
    [
        ",",
        '"a",',
        '"a" "b"',
        '"a";',
        '"a";Q=1',
        '"a";q=',
        '"a',
        '"\u00e4"',
        "1.",
        "1.2345",
        "1234567890123456",
        '"fixed window";"api";q=1000;w=300',
        "?2",
        "a" * 5000,
        ", ".join("a" * 65),
    ],
)
def test_one_malformed_member_spoils_the_list(text):
    """Not by the grammar, or longer than any list of limits."""
    with pytest.raises(Malformed):
        parse_list(text)


def test_dictionaries():
    """Members by key; a key alone is true; parameters are read over."""
    assert parse_dictionary("limit=100, remaining=50;x=1, flag") == {"limit": 100, "remaining": 50, "flag": True}
    assert parse_dictionary("") == {}
    for text in ("limit=100,", "limit=100 remaining=50", "Limit=1", ", ".join(f"a{n}" for n in range(65))):
        with pytest.raises(Malformed):
            parse_dictionary(text)


def test_what_the_loose_reader_picks_out():
    """A name and whole numbers, from fields that no grammar allows."""
    assert loose_members('"fixed window";"api";q=1000;w=300') == [("api", {"q": 1000, "w": 300})]
    assert loose_members("quota;t=1") == [("quota", {"t": 1})]
    assert loose_members("'a b'; r = 5 ; t=x, c;r=1.5") == [("a b", {"r": 5}), ("c", {})]
    assert loose_members("nothing here") == []


@given(st.text('abc "\\;=,.:?*0123456789-\t', max_size=60))
def test_any_text_is_read_or_malformed(text):
    """No third way out, and the loose reader always gives something."""
    for parse in (parse_list, parse_dictionary):
        try:
            parse(text)
        except Malformed:
            pass
    loose_members(text)
