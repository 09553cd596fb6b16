"""What a row is, and who it is."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.bulk.jsonl import Line, Splitter
from ratelimit_client.bulk.row import Flaw, Row, counted, duplicate, glance, mark_of, read_row
from ratelimit_client.core.estimate import Features

URL = "/v1/chat/completions"


def line(text: str | bytes, number: int = 7) -> Line:
    return Line(number, 100, text.encode() if isinstance(text, str) else text)


def read(text: str | bytes) -> Row:
    row = read_row(line(text))
    assert isinstance(row, Row), row
    return row


def flaw(text: str | bytes) -> Flaw:
    row = read_row(line(text))
    assert isinstance(row, Flaw), row
    return row


def row_text(**changes: Any) -> str:
    fields = {"custom_id": "a", "method": "POST", "url": URL, "body": {"model": "m"}} | changes
    return json.dumps({key: value for key, value in fields.items() if value is not None})


def test_the_identity_is_over_the_bytes_of_method_url_and_body() -> None:
    """
    Quotes, spacing and escapes included, one after the other, first 20 hex digits.
    """
    body = '{ "model":"m" , "input": "h\\u00e9 é", "t": 1.0 }'
    row = read(f'{{"body": {body}, "custom_id": "a", "url":"{URL}",  "method" : "POST"}}')

    assert row.id == "rlc_" + sha256(f'"POST""{URL}"{body}'.encode()).hexdigest()[:20]
    assert row.body == body.encode()
    assert (row.number, row.offset, row.url, row.model) == (7, 100, URL, "m")


SHOWN = st.sampled_from(["model", "stream", "messages", "max_tokens", "n"])
VALUES = st.recursive(st.none() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3))


@given(
    st.text(min_size=1),
    st.dictionaries(
        st.sampled_from(["model", "stream", "messages", "max_tokens", "n"]) | st.text(), VALUES, max_size=5
    ),
    st.sampled_from(["", " ", "}", ', "x": 1', ', "y": "\\ud800"']),
)
def test_the_usual_layout_is_read_as_any_other(name: str, body: dict[str, Any], more: str) -> None:
    """
    Whatever is odd about it: the short way says what the long way says, which a space in another place leads to.
    """
    inner = json.dumps(body, ensure_ascii=False)[:-1] + more
    text = f'"custom_id": {json.dumps(name, ensure_ascii=False)}, "method": "POST", "url": "{URL}", "body": {inner}}}}}'
    usual, other = (read_row(line(start + text)) for start in ("{", "{ "))
    if isinstance(usual, Row) or usual.custom_id is not None:
        assert (type(usual), usual.custom_id, usual.id, usual.mark) == (type(other), name, other.id, other.mark)
    if isinstance(usual, Row) and isinstance(other, Row):
        assert (usual.body, usual.url, usual.model) == (other.body, other.url, other.model)
        assert (usual.name, usual.features, usual.carried) == (other.name, other.features, other.carried)


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans()), max_size=5))
def test_the_body_is_sent_as_it_stands(body: dict[str, Any]) -> None:
    """
    No value, key or space of it changes on the way, and moving it in the line changes nothing.
    """
    body.pop("stream", None)
    text = json.dumps(body, ensure_ascii=False, separators=(" , ", ":  "))
    one = read(f'{{"custom_id":"x","method":"POST","url":"{URL}","body":{text}}}')
    two = read(f'{{"body":{text} ,"method":"POST","metadata":{{}},"url":"{URL}","custom_id":"y"}}')

    assert one.body == two.body == text.encode()
    assert one.id == two.id


def test_another_spelling_of_the_same_body_is_another_row() -> None:
    """
    A space is enough; so is an escape.
    """
    texts = ['{"model":"m"}', '{"model": "m"}', '{"model":"\\u006d"}']

    assert len({read(f'{{"custom_id":"a","method":"POST","url":"{URL}","body":{text}}}').id for text in texts}) == 3


def test_a_name_is_what_its_json_means_and_is_written_as_it_stood() -> None:
    """
    Escaped or not it is the same name; a lone surrogate is one, too.
    """
    plain, escaped = read(row_text(custom_id="ab")), read(row_text(custom_id="ab").replace('"ab"', '"a\\u0062"'))
    lone = read(row_text().replace('"a"', '"\\ud800"'))

    assert plain.mark == escaped.mark == mark_of("ab")
    assert (plain.name, escaped.name) == ('"ab"', '"a\\u0062"')
    assert (lone.custom_id, lone.name) == ("\ud800", '"\\ud800"')


def test_unknown_members_are_carried_and_ours_are_not() -> None:
    """
    As they stand, in their order; an ``id``, ``response`` or ``error`` of the input would be taken for ours.
    """
    text = row_text()[:-1] + ', "metadata": {"b" :1}, "id": "x", "error": 0, "response": 1, "\\"k": [ ]}'

    assert read(text).carried == ', "metadata": {"b" :1}, "\\"k": [ ]'
    assert read(row_text()).carried == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not json", "is no JSON object"),
        ("[1]", "is no JSON object"),
        ('{"custom_id": "a"', "ends too early"),
        (b'{"custom_id": "\xff"}', "is not UTF-8: byte 16"),
        (b"\x00\x00", "is no JSON object"),
        ("{}", "has no custom_id"),
        (row_text(custom_id=5), "is no string"),
        (row_text(custom_id=""), "empty custom_id"),
        (row_text(custom_id="x" * 10_000), "10000 characters"),
        (row_text()[:-1] + ', "x": NaN}', "NaN"),
    ],
)
def test_a_line_that_is_no_row_has_no_name(text: str | bytes, says: str) -> None:
    """
    It is called by its number, and known again by its number and its bytes.
    """
    one = flaw(text)

    assert (one.code, one.custom_id, one.name, one.lines) == ("invalid_line", None, "null", {"line": 7})
    assert one.message.startswith("line 7 ")
    assert says in one.message
    assert one.id.startswith("rlc_")
    assert len(one.id) == 24
    elsewhere = read_row(line(text, number=8))
    assert (elsewhere.id, elsewhere.mark) == (one.id, elsewhere.mark)
    assert elsewhere.mark != one.mark


def test_a_line_that_is_too_long_is_no_row() -> None:
    """
    Only its digest is left, and that is enough to know it again.
    """
    splitter = Splitter(cap=10)
    [long] = [*splitter.feed(b"x" * 20), *splitter.end()]
    row = read_row(long)

    assert isinstance(row, Flaw)
    assert row.id == "rlc_" + sha256(b"x" * 20).hexdigest()[:20]
    assert "longer than 100 MB" in row.message


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/v1/x",
        "http://127.0.0.1/v1/x",
        "//evil.example/v1/x",
        "/v1//evil",
        "/v1/../admin",
        "/v1/..",
        "/v1/%2e%2e/admin",
        "/v1/chat?x=1",
        "/v1/chat#x",
        "/v1/chat\\x",
        "\\v1\\x",
        "/v1/Chat",
        "/v1/chat completions",
        "/v1/chat\n",
        "/v1/",
        "/v1",
        "/v2/chat",
        "v1/chat",
        "/V1/chat",
        "",
        " /v1/chat",
        "/v1/é",
        "@evil.example/v1/x",
        "/v1/\u202e",
        5,
        ["/v1/chat"],
        None,
    ],
)
def test_a_url_that_could_lead_elsewhere_is_never_sent(url: object) -> None:
    """
    It must be /v1/ and then only lower-case letters, digits, _, - and single slashes.
    """
    one = flaw(row_text(url=url))

    assert (one.code, one.custom_id, one.lines) == ("invalid_url", "a", {"line": 7})
    assert "nothing was sent" in one.message


@pytest.mark.parametrize("url", ["/v1/responses", "/v1/images/generations", "/v1/x_y-2/z", "/v1/chat/completions/"])
def test_a_url_of_an_endpoint_is_fine(url: str) -> None:
    """
    Those of the Batch API, and others that look like them.
    """
    assert read(row_text(url=url)).url == url


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"method": None}, "invalid_method"),
        ({"method": "GET"}, "invalid_method"),
        ({"method": "post"}, "invalid_method"),
        ({"body": None}, "invalid_body"),
        ({"body": "text"}, "invalid_body"),
        ({"body": [1]}, "invalid_body"),
        ({"body": {"model": "m", "stream": True}}, "invalid_body"),
    ],
)
def test_a_named_line_that_cannot_be_sent_keeps_its_name(changes: dict[str, Any], code: str) -> None:
    """
    One error line with its custom_id, and what it must be.
    """
    one = flaw(row_text(**changes))

    assert (one.code, one.custom_id) == (code, "a")


def test_a_url_takes_no_time_to_judge() -> None:
    """
    A long one that is nearly right is refused as fast as a short one.
    """
    assert flaw(row_text(url="/v1/" + "a/" * 50_000 + "!")).code == "invalid_url"


def test_a_duplicate_names_both_lines_and_is_known_by_its_own() -> None:
    """
    The row that came first keeps the name.
    """
    row = read(row_text(custom_id="twice"))
    again = duplicate(row, 3)

    assert (again.code, again.lines, again.id) == ("duplicate_custom_id", {"line": 7, "first_line": 3}, row.id)
    assert "line 7" in again.message
    assert "line 3" in again.message
    assert again.mark != row.mark


def test_a_glance_knows_usual_lines_and_nothing_false() -> None:
    """
    The same mark and identity as a close look, or none; a line that carries more gives an identity nobody has.
    """
    usual = json.dumps({"custom_id": "é1", "method": "POST", "url": URL, "body": {"a": {"b": "}"}}}, ensure_ascii=False)
    compact = row_text().replace(": ", ":").replace(", ", ",")
    for text in (usual, compact):
        row = read(text)
        assert glance(line(text)) == (row.mark, row.id)
    for text in (row_text(custom_id='a"b'), "oops", row_text() + " ", '{"custom_id": "a"}', row_text(method="GET")):
        assert glance(line(text)) is None
    more = row_text()[:-1] + ', "metadata": {}}'
    found = glance(line(more))
    assert found is not None
    assert found[1] != read(more).id


def test_a_counter_reads_the_body_once_more() -> None:
    """
    Its model and its texts; without one, or where the body cannot be read any more, characters count.
    """
    row = read(row_text(body={"model": "m", "messages": [{"role": "user", "content": "12345678"}], "max_tokens": 9}))
    assert counted(row, None) is row.features
    assert counted(row, lambda text, model: len(text) if model == "m" else 0) == Features(32, 9, 0, URL)
    row.body = b"{"
    assert counted(row, lambda text, model: 1) is row.features
