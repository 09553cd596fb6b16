"""What is understood without the parser is what the parser would have understood."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpResponseParser
from aiohttp.http_exceptions import HttpProcessingError
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.adapters.aiohttp.heads import MOST_SHAPES, Shapes

USUAL = {
    "x-request-id": "req_1",
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-reset-requests": "120ms",
    "Content-Type": "application/json",
    "Connection": "keep-alive",
    "Date": "Fri, 27 Nov 2026 02:34:02 GMT",
}


def answer(
    headers: dict[str, str] | Sequence[tuple[str, str]] = USUAL,
    body: bytes = b'{"a": 1}',
    *,
    status: str = "HTTP/1.1 200 OK",
    chunked: bool = False,
) -> bytes:
    pairs = [*(headers.items() if isinstance(headers, dict) else headers)]
    pairs.append(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(body))))
    framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    lines = [status, *(f"{name}: {value}" for name, value in pairs)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + framed


def parsed(data: bytes) -> tuple[Any, bytes] | None:
    """The one answer that *data* is, as aiohttp's parser reads it on a connection; None where it is not just that."""
    loop = Mock(spec=asyncio.AbstractEventLoop)
    parser = HttpResponseParser(
        BaseProtocol(loop), loop, 2**16, response_with_body=True, read_until_eof=True, auto_decompress=False
    )
    try:
        messages, upgraded, tail = parser.feed_data(data)
    except HttpProcessingError:
        return None
    if len(messages) != 1 or upgraded or tail:
        return None
    message, content = messages[0]
    if not content.is_eof() or content.exception() is not None or parser.feed_eof() is not None:
        return None
    return message, content.read_nowait()


def knowing(*answers: bytes) -> Shapes:
    """Shapes as they are after those answers."""
    shapes = Shapes()
    for each in answers:
        read = parsed(each)
        assert read is not None
        shapes.learn(each, read[0])
    return shapes


def assert_agrees(shapes: Shapes, data: bytes) -> bool:
    """True when it was understood, and then it was understood as the parser does."""
    known = shapes.read(data)
    if known is None:
        return False
    head, body = known
    read = parsed(data)
    assert read is not None, data
    message, content = read
    assert (head.code, body) == (message.code, content)
    assert [*head.headers.items()] == [*message.headers.items()]
    assert [*zip(head.headers, head.headers.values(), strict=True)] == [*message.headers.items()]
    assert not message.should_close
    return True


@pytest.mark.parametrize("chunked", [False, True])
def test_the_second_answer_of_a_shape_is_understood(chunked: bool) -> None:
    """Other values and another body, in the same order of names."""
    shapes = knowing(answer(chunked=chunked))
    later = {**USUAL, "x-request-id": "req_2", "x-ratelimit-reset-requests": "1m 2s", "Content-Type": "text/plain"}
    assert assert_agrees(shapes, answer(later, b"something else" * 100, chunked=chunked))


def test_nothing_is_understood_before_something_was_seen() -> None:
    """It knows nothing by itself."""
    assert Shapes().read(answer()) is None


def test_headers_are_found_however_they_are_written() -> None:
    """By any spelling; repeated ones all, the first first."""
    cookies = [("Set-Cookie", "a=1"), ("x-request-id", "r"), ("Set-Cookie", "b=2")]
    shapes = knowing(answer(cookies))
    known = shapes.read(answer(cookies))
    assert known is not None
    headers: Any = known[0].headers
    assert headers["X-Request-ID"] == headers.get("x-REQUEST-id") == "r"
    assert headers["set-cookie"] == "a=1"
    assert headers.getall("set-cookie") == ["a=1", "b=2"]
    assert "content-LENGTH" in headers
    assert "x-other" not in headers
    assert headers.get("x-other") is None
    assert headers.get("x-other", "") == ""
    assert len(headers) == 4
    assert "req" not in repr(headers)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(answer(status="HTTP/1.1 429 Too Many Requests"), id="a refusal"),
        pytest.param(answer(status="HTTP/1.0 200 OK"), id="an older version"),
        pytest.param(answer({**USUAL, "Connection": "close"}), id="the last on its connection"),
        pytest.param(answer({**USUAL, "Date": ""}), id="an empty value"),
        pytest.param(answer({**USUAL, "Date": "caf\u00e9"}), id="a value that is not ASCII"),
        pytest.param(answer({**USUAL, "Date": "a\x01b"}), id="a control character"),
        pytest.param(answer({**USUAL, "Date": "a\rb"}), id="half a line break"),
        pytest.param(answer({**USUAL, "Date": "now "}), id="a space behind a value"),
        pytest.param(answer({**USUAL, "x-more": "1"}), id="a header more"),
        pytest.param(answer(dict(reversed(USUAL.items()))), id="another order"),
        pytest.param(answer({**USUAL, "Date": "x" * 9000}), id="a long head"),
        pytest.param(answer()[:-1], id="a body that goes on"),
        pytest.param(answer() + b"H", id="the beginning of another answer"),
        pytest.param(answer()[:60], id="half a head"),
        pytest.param(answer(body=b""), id="no body"),
        pytest.param(answer(chunked=True), id="another framing"),
    ],
)
def test_what_differs_by_more_than_values_goes_to_the_parser(data: bytes) -> None:
    """Whatever it is: what it means is not for a pattern to say."""
    assert knowing(answer()).read(data) is None


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(answer({**USUAL, "Connection": "close"}), id="the last on its connection"),
        pytest.param(answer({**USUAL, "Date": ""}), id="an empty value"),
        pytest.param(answer(status="HTTP/1.1 201 Created"), id="another success"),
        pytest.param(answer({**USUAL, "Upgrade": "h2c"}), id="an offer to upgrade"),
    ],
)
def test_no_shape_is_made_of_what_is_out_of_the_ordinary(first: bytes) -> None:
    """Such an answer teaches nothing, however often it comes."""
    assert knowing(first).read(first) is None


def test_few_shapes_are_remembered() -> None:
    """A server that sends other names each time teaches only so much; what was learnt holds."""
    shapes = knowing(*(answer({f"x-{number}": "1"}) for number in range(2 * MOST_SHAPES)))
    understood = [assert_agrees(shapes, answer({f"x-{number}": "2"})) for number in range(2 * MOST_SHAPES)]
    assert understood == [True] * MOST_SHAPES + [False] * MOST_SHAPES


edits = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.integers(0, 3),
        st.sampled_from([b"", b" ", b"\t", b"\r", b"\n", b"\r\n", b":", b"0", b"a", b"\x00", b"\x7f", b"\xe9", b";"]),
    ),
    min_size=1,
    max_size=3,
)


@given(edits=edits, chunked=st.booleans())
def test_whatever_was_changed_it_is_understood_as_the_parser_does_or_not_at_all(
    edits: list[tuple[int, int, bytes]], chunked: bool
) -> None:
    """Bytes put in, left out and replaced anywhere in an answer of a known shape."""
    data = answer(chunked=chunked)
    shapes = knowing(answer(chunked=chunked), answer([("Set-Cookie", "a"), *USUAL.items()], chunked=chunked))
    for place, cut, put in edits:
        at = place % (len(data) + 1)
        data = data[:at] + put + data[at + cut :]
    assert_agrees(shapes, data)
