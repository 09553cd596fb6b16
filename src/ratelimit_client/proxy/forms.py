"""
The fields of a form, read off its bytes.

Law of this file: short fields are read and files are not; what is no form has no fields.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl

_BOUNDARY: Final = re.compile(r'boundary="?([A-Za-z0-9\'()+_,./:=? -]{1,70})"?', re.IGNORECASE)
_NAME: Final = re.compile(rb'\bname="([^"\r\n]{1,256})"')
_FILE: Final = re.compile(rb'\bfilename="([^"\r\n]{0,256})"')
_MOST_PARTS: Final = 64
_LONGEST: Final = 64 * 1024

Form = tuple[dict[str, str | list[str]], list[tuple[str, str]]]
"""Text by name (a list where it occurs more than once), and of each file the name of its field and its own."""


def form_of(raw: bytes, content_type: str) -> Form | None:
    """The form in *raw*; None when it is none."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded" and len(raw) <= _LONGEST:
        return _by_name(parse_qsl(raw.decode("latin-1"), keep_blank_values=True)), []
    if kind != "multipart/form-data":
        return None
    found = _BOUNDARY.search(content_type)
    return None if found is None else _multipart(raw, b"--" + found[1].rstrip().encode())


def _multipart(raw: bytes, boundary: bytes) -> Form:
    """RFC 7578, with a look at the heads of the parts only."""
    fields: list[tuple[str, str]] = []
    files: list[tuple[str, str]] = []
    at = raw.find(boundary)
    for _ in range(_MOST_PARTS):
        start = at + len(boundary)
        if at < 0 or raw[start : start + 2] == b"--":
            break
        end = raw.find(b"\r\n" + boundary, start)
        head_end = raw.find(b"\r\n\r\n", start, start + _LONGEST)
        if head_end < 0:
            break
        head = raw[start:head_end]
        name, file = _NAME.search(head), _FILE.search(head)
        if name is not None and file is not None:
            files.append((_text(name[1]), _text(file[1])))
        elif name is not None and 0 <= end - head_end <= _LONGEST:
            fields.append((_text(name[1]), _text(raw[head_end + 4 : end])))
        at = -1 if end < 0 else end + 2
    return _by_name(fields), files


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _by_name(fields: list[tuple[str, str]]) -> dict[str, str | list[str]]:
    texts: dict[str, list[str]] = {}
    for name, text in fields:
        texts.setdefault(name, []).append(text)
    return {name: found[0] if len(found) == 1 else found for name, found in texts.items()}
