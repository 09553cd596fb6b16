from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.adapters.aiohttp.url import Base, is_loopback
from ratelimit_client.errors import ConfigurationError


@pytest.mark.parametrize(
    ("base", "path", "url"),
    [
        ("https://api.openai.com/v1", "/chat/completions", "https://api.openai.com/v1/chat/completions"),
        ("https://api.openai.com/v1", "/v1/chat/completions", "https://api.openai.com/v1/chat/completions"),
        ("https://api.openai.com/v1/", "/v1/chat/completions", "https://api.openai.com/v1/chat/completions"),
        ("https://host/api/v1", "/v1/chat/completions", "https://host/api/v1/chat/completions"),
        ("https://host/api/v1", "/models", "https://host/api/v1/models"),
        ("https://host/openai", "/v1/responses", "https://host/openai/responses"),
        ("https://host", "/v1/chat/completions", "https://host/v1/chat/completions"),
        ("https://host/", "/v1/chat/completions", "https://host/v1/chat/completions"),
        ("https://host", "/chat/completions", "https://host/chat/completions"),
        ("https://host/v1", "models", "https://host/v1/models"),
        ("https://host/v1", "/v1", "https://host/v1/v1"),
        ("https://host/v1", "/v1x/y", "https://host/v1/v1x/y"),
        ("https://host/v1", "/models/ft:gpt-4o:acme::x", "https://host/v1/models/ft:gpt-4o:acme::x"),
        ("https://host/v1", "/files/a%20b/content", "https://host/v1/files/a%20b/content"),
        ("http://127.0.0.1:8080/v1", "/v1/models", "http://127.0.0.1:8080/v1/models"),
        ("http://[::1]:8080", "/v1/models", "http://[::1]:8080/v1/models"),
    ],
)
def test_a_path_becomes_a_url(base: str, path: str, url: str):
    """
    ``/v1/`` names an endpoint under a base with a path; everything else is appended.
    """
    assert url == str(Base(base).url(path))


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example/x",
        "http://evil.example/x",
        "https:evil.example",
        "/v1/../../admin",
        "/v1/%2e%2e/admin",
        "/v1/%2E./admin",
        "/v1/..%2fadmin",
        "/v1/.",
        "/v1/a%5cb",
        "/v1/a%00",
        "/v1/a%0d%0aHost:evil",
        "/v1/a%",
        "/v1/a%zz",
        "/v1/a?b=c",
        "/v1/a#b",
        "/v1/a\\b",
        "/v1/a b",
        "/v1/a\n",
        "/v1/ä",
        "/v1//admin",
        "@evil.example/x",
        "",
    ],
)
def test_a_path_leads_nowhere_else(path: str):
    """
    What could leave the origin or the directory is refused, or stays inside it as text.
    """
    base = Base("https://host/v1")
    try:
        url = base.url(path)
    except ConfigurationError as error:
        said = str(error)
    else:
        assert base.owns(url)
        assert str(url) == f"https://host/v1/{path}"
        return
    assert "nothing was sent" in said


@given(st.text(max_size=40))
def test_no_path_at_all_leaves_the_origin(path: str):
    """
    Whatever the text, the URL has the scheme, host and port of the base, or there is none.
    """
    base = Base("https://host:8443/v1")
    try:
        url = base.url("/v1/" + path)
    except ConfigurationError:
        return
    assert (url.scheme, url.host, url.port) == ("https", "host", 8443)
    assert str(url) == "https://host:8443/v1/" + path


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http://api.openai.com/v1", "plain http"),
        ("http://127.0.0.1.evil.example", "plain http"),
        ("http://localhost.evil.example", "plain http"),
        ("http://2130706433", "plain http"),
        ("https://user:pass@host/v1", "user name or password"),
        ("https://user@host/v1", "user name or password"),
        ("https://host/v1?api-version=1", "default_query"),
        ("https://host/v1#x", "fragment"),
        ("ftp://host/v1", "needs http"),
        ("https://", "base URL"),
        ("api.openai.com/v1", "needs http"),
        ("https://host:99999", "base URL"),
        ("https://host/%2e%2e/x", "its path"),
        ("sk-proj-0123456789abcdef", "needs http"),
    ],
)
def test_a_base_no_key_should_go_to(text: str, why: str):
    """
    A base URL that would show the key, hides one, or is none, is refused and not repeated.
    """
    with pytest.raises(ConfigurationError, match=why) as caught:
        Base(text)
    assert "pass@" not in str(caught.value)
    assert "0123456789" not in str(caught.value)


def test_plain_http_where_it_is_safe_or_wanted():
    """
    Loopback needs no TLS; elsewhere plain http takes an explicit word.
    """
    assert str(Base("http://localhost:9/v1")) == "http://localhost:9/v1"
    assert str(Base("http://10.0.0.7:8000/v1", allow_insecure=True)) == "http://10.0.0.7:8000/v1"
    assert is_loopback("127.8.8.8")
    assert not is_loopback("0.0.0.0")


def test_parameters():
    """
    Defaults go along; the same name given for one call replaces the default; values are escaped.
    """
    base = Base("https://host/v1", default_query={"api-version": "2024-10-21"})
    assert str(base.url("/models")) == "https://host/v1/models?api-version=2024-10-21"

    url = base.url("/models", {"limit": 3, "after": "a&b=c", "deep": True})
    assert dict(url.query) == {"api-version": "2024-10-21", "limit": "3", "after": "a&b=c", "deep": "true"}
    assert dict(base.url("/models", {"api-version": "preview"}).query) == {"api-version": "preview"}
    assert list(Base("https://host").url("/x", [("id", "a"), ("id", "b")]).query.items()) == [("id", "a"), ("id", "b")]

    with pytest.raises(ConfigurationError, match="give text or a number"):
        base.url("/models", {"ids": ["a"]})  # type: ignore[dict-item]
