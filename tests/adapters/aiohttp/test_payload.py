from __future__ import annotations

import asyncio
import email
import io
from typing import Any

import pytest
from aiohttp import FormData

from ratelimit_client.adapters.aiohttp.payload import Content, Form, prepare
from ratelimit_client.errors import ConfigurationError


def made(*, json: Any = None, data: Any = None, files: Any = None) -> Content:
    content = asyncio.run(prepare(json, data, files))
    assert content is not None
    return content


def parts(content: Content) -> list[tuple[str, str | None, str, bytes]]:
    """(name, file name, content type, bytes) of each part, as the standard library reads them."""
    head = f"Content-Type: {content.content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + content.raw)
    return [
        (
            str(part.get_param("name", header="content-disposition")),
            part.get_filename(),
            part.get_content_type(),
            bytes(part.get_payload(decode=True)),  # type: ignore[arg-type]
        )
        for part in message.get_payload()  # type: ignore[union-attr]
    ]


@pytest.mark.parametrize(
    ("given", "raw", "kind"),
    [
        ({"json": {"a": "é"}}, '{"a":"é"}', "application/json"),
        ({"json": b'{"a": 1}'}, '{"a": 1}', "application/json"),
        ({"json": []}, "[]", "application/json"),
        ({"data": b"raw"}, "raw", ""),
        ({"data": bytearray(b"raw")}, "raw", ""),
        ({"data": "é"}, "é", "text/plain; charset=utf-8"),
        ({"data": {"a": "1 2", "b": [True, 3]}}, "a=1+2&b=true&b=3", "application/x-www-form-urlencoded"),
        ({"data": io.BytesIO(b"file")}, "file", ""),
    ],
)
def test_a_body_is_bytes_before_it_is_queued(given: dict[str, Any], raw: str, kind: str):
    """
    Values, text, forms and files end as bytes and a content type.
    """
    content = made(**given)
    assert kind == content.content_type
    assert raw == content.raw.decode().replace("\\u00e9", "é")


def test_no_body():
    """
    Nothing given, nothing sent.
    """
    assert asyncio.run(prepare(None, None, None)) is None


def test_files_become_multipart():
    """
    Fields first, then files, with names a reader gets back as they were.
    """
    content = made(
        data={"purpose": "batch", "n": 2, "absent": None},
        files={"file": ("rows.jsonl", b"{}\n", "application/jsonl"), "image": io.BytesIO(b"\x89PNG\r\n--x")},
    )

    assert parts(content) == [
        ("purpose", None, "text/plain", b"batch"),
        ("n", None, "text/plain", b"2"),
        ("file", "rows.jsonl", "application/jsonl", b"{}\n"),
        ("image", "image", "application/octet-stream", b"\x89PNG\r\n--x"),
    ]


def test_a_name_does_not_end_its_own_header():
    """
    Quotes and line breaks in names of fields and files are escaped as browsers do.
    """
    content = made(files={'a"\r\nX: 1': ('b"\r\n\r\n<script>', b"x")})
    head = content.raw.partition(b"\r\n\r\n")[0]

    assert len(head.split(b"\r\n")) == 3
    assert b'name="a%22%0D%0AX: 1"; filename="b%22%0D%0A%0D%0A<script>"' in head


def test_a_form_of_aiohttp_is_read_into_bytes():
    """
    So it can be sent again after a refusal, which aiohttp's own could not.
    """
    form = FormData()
    form.add_field("file", b"{}", filename="a.jsonl", content_type="application/jsonl")
    form.add_field("purpose", "batch")

    assert parts(made(data=form)) == [
        ("file", "a.jsonl", "application/jsonl", b"{}"),
        ("purpose", None, "text/plain", b"batch"),
    ]


def form_of_aiohttp(*texts: tuple[str, str], file: str = "file") -> FormData:
    form = FormData()
    for name, text in texts:
        form.add_field(name, text)
    form.add_field(file, io.BytesIO(b"RIFF"), filename="a.wav", content_type="audio/wav")
    return form


WAV = {"file": ("a.wav", b"RIFF")}


@pytest.mark.parametrize(
    ("given", "fields", "files"),
    [
        ({"data": {"model": "m", "n": 2}}, {"model": "m", "n": "2"}, []),
        ({"data": {"model": "m"}, "files": WAV}, {"model": "m"}, [("file", "a.wav")]),
        ({"data": {"model": ["m"]}, "files": WAV}, {"model": "m"}, [("file", "a.wav")]),
        ({"data": {"model": ["m", "n"]}, "files": WAV}, {"model": ["m", "n"]}, [("file", "a.wav")]),
        ({"data": {"file": "m"}, "files": WAV}, {"file": ["m"]}, [("file", "a.wav")]),
        ({"files": [("image[]", b"1"), ("image[]", b"2")]}, {}, [("image[]", "image[]"), ("image[]", "image[]")]),
        ({"data": FormData({"model": "é&="})}, {"model": "é&="}, []),
        ({"data": FormData()}, {}, []),
        ({"data": form_of_aiohttp(("model", "m"), ('a"b', "x"))}, {"model": "m", 'a"b': "x"}, [("file", "a.wav")]),
        ({"data": form_of_aiohttp(("model", "m"), ("model", "n"))}, {"model": ["m", "n"]}, [("file", "a.wav")]),
        ({"data": form_of_aiohttp(("model", "m"), file="model")}, {"model": ["m"]}, [("model", "a.wav")]),
    ],
)
def test_what_can_be_read_of_a_form(
    given: dict[str, Any], fields: dict[str, str | list[str]], files: list[tuple[str, str]]
):
    """
    Its texts by name, a list where a name occurs twice or is a file's too; of files their names.
    """
    content = made(**given)
    assert isinstance(content, Form)
    assert dict(content.fields) == fields
    assert list(content.files) == files


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"json": {}, "data": b""}, "stands for the whole body"),
        ({"json": {}, "files": {}}, "stands for the whole body"),
        ({"data": iter([b"x"])}, "once only"),
        ({"data": 5}, "once only"),
        ({"data": b"x", "files": {}}, "mapping of form fields"),
        ({"files": {"a": 5}}, "give bytes"),
        ({"files": {"a": io.StringIO("x")}}, "'rb'"),
        ({"files": {"a": ("n",)}}, "file name, content"),
        ({"files": {"a": ("n", b"", "text/plain\r\nX: 1")}}, "content type"),
    ],
)
def test_what_is_no_body(given: dict[str, Any], why: str):
    """
    A sentence instead of a body that would be sent empty the second time.
    """
    with pytest.raises(ConfigurationError, match=why):
        made(**given)
