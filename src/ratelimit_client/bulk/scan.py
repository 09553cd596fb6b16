"""
Where the members of a JSON object stand in its text.

Law of this file: exact spans, one parse. ``text[start:end]`` of a member is the
very text of its value, so a body can be hashed and sent as the user wrote it:
spacing, order of keys, spelling of numbers and all. The values are parsed by the
C scanner of the standard library on the way, and nothing is parsed twice. Where a
text is known to be one value, orjson may do it.

Of a key that occurs twice the last counts, as everywhere in Python's ``json``.
NaN and Infinity are no JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from json.decoder import scanstring  # type: ignore[attr-defined]  # in json.decoder since 2.0, missing in typeshed
from typing import Any, Final, NamedTuple

try:
    import orjson
except ImportError:  # the extra [fast] is not installed
    orjson = None  # type: ignore[assignment, unused-ignore]  # unused where orjson is not installed


class Member(NamedTuple):
    """One value of an object and where its text stands."""

    value: Any
    start: int
    end: int


class NotJSON(ValueError):
    """The text is no JSON object; says what is wrong and at which column."""


def _refuse_constant(name: str) -> Any:
    raise NotJSON(f"{name} is no JSON number")


_scan_value: Final = json.JSONDecoder(parse_constant=_refuse_constant).scan_once  # type: ignore[attr-defined]  # the same
_space: Final = re.compile(r"[ \t\r\n]*").match


def value_of(raw: bytes) -> Any:
    """
    The value that *raw* is from its first byte to its last.

    Raises:
        NotJSON: it is none, or holds what only ``members`` knows a sentence for.
    """
    try:
        return _quick(raw)
    except ValueError:  # orjson refuses lone surrogates, which prompts contain
        return _standard(raw)


def _standard(raw: bytes) -> Any:
    try:
        text = raw.decode()
        value, end = _scan_value(text, 0)
    except (ValueError, StopIteration, RecursionError) as error:
        raise NotJSON(f"is not JSON: {error}") from None
    if end != len(text):
        raise NotJSON("is not JSON: something follows")
    return value


_quick: Final[Callable[[bytes], Any]] = getattr(orjson, "loads", _standard)


def _skip(text: str, at: int) -> int:
    found = _space(text, at)
    return found.end() if found else at


def members(text: str) -> dict[str, Member]:
    """
    The members of the object that *text* is.

    Raises:
        NotJSON: it is something else, or is followed by something, or is nested too deeply.
    """
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        raise NotJSON("is no JSON object")
    found: dict[str, Member] = {}
    try:
        at = _skip(text, at + 1)
        closed = text[at] == "}"
        while not closed:
            at, closed = _one(text, at, found)
        at = _skip(text, at + 1)
    except NotJSON:
        raise
    except json.JSONDecodeError as error:
        raise NotJSON(f"is not JSON: {error.msg[0].lower()}{error.msg[1:]} at column {error.pos + 1}") from None
    except StopIteration as error:
        raise NotJSON(f"is not JSON: a value is missing at column {error.value + 1}") from None
    except IndexError:
        raise NotJSON("is not JSON: it ends too early") from None
    except RecursionError:
        raise NotJSON("is nested too deeply") from None
    except ValueError as error:  # a number of more than 4300 digits
        raise NotJSON(f"is not usable: {error}") from None
    if at != len(text):
        raise NotJSON(f"is not JSON: something follows the object at column {at + 1}")
    return found


def _one(text: str, at: int, found: dict[str, Member]) -> tuple[int, bool]:
    """Read one ``"key": value`` that starts at *at*; give the place after it and whether the object ends there."""
    if text[at] != '"':
        raise NotJSON(f"is not JSON: a key is missing at column {at + 1}")
    key, at = scanstring(text, at + 1, True)
    if text[at] != ":":
        at = _skip(text, at)
        if text[at] != ":":
            raise NotJSON(f"is not JSON: a colon is missing at column {at + 1}")
    start = _skip(text, at + 1)
    value, end = _scan_value(text, start)
    found[key] = Member(value, start, end)

    at = end
    if text[at] not in ",}":
        at = _skip(text, at)
    if text[at] == "}":
        return at, True
    if text[at] != ",":
        raise NotJSON(f"is not JSON: a comma is missing at column {at + 1}")
    return _skip(text, at + 1), False
