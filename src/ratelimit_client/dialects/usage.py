"""
What a JSON answer says that it used, read off its last bytes.

Law of this file: of an answer that is somebody else's little is kept and only the one object
is parsed; what cannot be read is None.

Theory. ``usage`` stands near the end of an answer, behind the text, and inside of a text it
cannot be mistaken for one, because quotes are escaped there.
"""

from __future__ import annotations

import json
from typing import Any

KEPT = 16 * 1024
"""Bytes of the end in which it is looked for."""

_NAME = b'"usage"'
_DECODER = json.JSONDecoder()


def usage_at_end(end: bytes) -> Any:
    """The last ``usage`` in the *end* of a JSON text, as the server wrote it."""
    at = end.rfind(_NAME)
    if at < 0:
        return None
    rest = end[at + len(_NAME) :].decode("utf-8", "replace").lstrip(" \r\n\t:")
    try:
        return _DECODER.raw_decode(rest)[0]
    except (ValueError, RecursionError):
        return None
