"""The fields of a form, read off its bytes."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.proxy.forms import form_of

KIND = "multipart/form-data; boundary=b"


def multipart(*parts: tuple[str, bytes]) -> bytes:
    return (
        b"".join(
            b"--b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (head.encode(), raw) for head, raw in parts
        )
        + b"--b--\r\n"
    )


def test_fields_are_read_and_files_are_named():
    """
    In any order; a name that occurs twice has both its texts; the bytes of a file are nobody's business.
    """
    raw = multipart(
        ('name="model"', b"whisper-1"),
        ('name="file"; filename="a b.wav"\r\nContent-Type: audio/wav', b"\x00\xff\r\n--c\r\n" * 100),
        ('name="include[]"', b"logprobs"),
        ('name="include[]"', "\u00e9".encode()),
        ('name="empty"', b""),
    )

    fields = {"model": "whisper-1", "include[]": ["logprobs", "\u00e9"], "empty": ""}
    assert form_of(raw, KIND) == (fields, [("file", "a b.wav")])
    assert form_of(raw, 'Multipart/Form-Data; charset=x; BOUNDARY="b"') == (fields, [("file", "a b.wav")])


def test_a_form_of_a_page_is_read():
    """
    Names and values in a line.
    """
    raw = urlencode({"model": "gpt-4o", "n": "2"}).encode()

    assert form_of(raw, "application/x-www-form-urlencoded; charset=utf-8") == ({"model": "gpt-4o", "n": "2"}, [])


@pytest.mark.parametrize(
    "kind", ["", "application/json", "multipart/form-data", "multipart/mixed; boundary=b", "text/plain"]
)
def test_what_is_no_form_has_no_fields(kind: str):
    """
    Nor has one whose boundary nobody knows.
    """
    assert form_of(multipart(('name="model"', b"x")), kind) is None


def test_a_field_that_is_long_is_no_field():
    """
    What counts is short; of many parts the first are read.
    """
    assert form_of(multipart(('name="a"', b"x" * 70_000), ('name="b"', b"y")), KIND) == ({"b": "y"}, [])
    many = form_of(multipart(*[(f'name="{number}"', b"x") for number in range(1000)]), KIND)
    assert many is not None
    assert len(many[0]) == 64


@given(
    st.binary(max_size=200),
    st.sampled_from([KIND, "application/x-www-form-urlencoded", 'multipart/form-data; boundary="']),
)
def test_no_bytes_raise_anything(raw: bytes, kind: str):
    """
    Cut anywhere, or never a form at all.
    """
    whole = multipart(('name="a"', b"x"), ('name="f"; filename="g"', b"y"))
    for one in (raw, whole[: len(raw)], whole[len(raw) :], b"--b" + raw + b"--b\r\n" + raw):
        form_of(one, kind)
