from __future__ import annotations

import pickle
import traceback

import pytest
from multidict import CIMultiDict

from ratelimit_client.adapters.aiohttp.headers import OURS, Shy, checked, merged, standing
from ratelimit_client.errors import ConfigurationError


@pytest.mark.parametrize("name", OURS)
def test_what_is_ours_is_ours(name: str):
    """
    A header that could move, end or sign a request cannot be set, in whatever case.
    """
    with pytest.raises(ConfigurationError, match=OURS[name].split("(")[0]):
        checked({name.title(): "x"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-A", "a\r\nHost: evil"),
        ("X-A", "a\nb"),
        ("X-A", "a\0"),
        ("X-A", "a\u2028b"),
        ("X-A", "é"),
        ("X-A", "a" * 8001),
        ("X-A", 5),
        ("X A", "a"),
        ("X-A:", "a"),
        ("X-A\n", "a"),
        ("", "a"),
        (5, "a"),
    ],
)
def test_what_is_no_header_is_not_sent(name: str, value: str):
    """
    Anything but printable ASCII is refused before it meets a parser, and values are not repeated.
    """
    with pytest.raises(ConfigurationError) as caught:
        checked({name: value})
    assert "evil" not in str(caught.value)


def test_the_standing_headers():
    """
    Organization and project are named when given; a user's header replaces ours in any case.
    """
    headers = standing("org-1", None, {"user-agent": "mine/1", "X-Team": "a b\tc"}, "ours/1")

    assert headers["OpenAI-Organization"] == "org-1"
    assert "OpenAI-Project" not in headers
    assert headers["user-agent"] == "mine/1"
    assert "User-Agent" not in headers
    assert headers["Accept-Encoding"] == "gzip"
    assert merged({"a": "1", "b": "1"}, {"A": "2"}) == {"A": "2", "b": "1"}

    with pytest.raises(ConfigurationError, match="OpenAI-Project"):
        standing(None, "proj\n", None, "ours/1")


def test_shy_text_is_sent_and_not_shown():
    """
    A parser gets the text; prints of whatever holds it, a pickle and a traceback get dots.
    """
    shy = Shy("Bearer sk-canary")
    headers = CIMultiDict({"Authorization": shy})
    try:
        raise ValueError
    except ValueError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())

    assert "Bearer sk-canary" == str(shy) == headers["Authorization"]
    for text in (shown, repr(shy), repr(headers), repr({"a": shy}), repr(pickle.loads(pickle.dumps(shy)))):
        assert "Bearer" not in text
