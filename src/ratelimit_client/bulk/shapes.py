"""
The shapes of a line that tell who a row is without a parse.

Law of this file: what is read off a line here is a guess with one way to be wrong. Its
name, and everything in it but the body, is what a parse would find. The body is what
stands between two braces; whether it is JSON is not looked at. The guess is right when
a finished row of that name has this identity: the same bytes were read as a body then.

Three shapes, the fastest first:

* *usual*: the four members of a row in their order and nothing after the body. Whatever
  does follow is taken for the body, so here the name may be wrong as well, and then so
  is the body.
* *roomy*: the four members in one order, which the first such line shows, among any others, with any spaces, and
  escapes in values.
* *shuffled*: members in any order, taken one by one.

A value beside the body is matched by the grammar of JSON, at most three levels deep. A
key that is spelled with escapes might be one of ours, and one that occurs twice would
need a parse to say which counts: such lines have none of the shapes.
"""

from __future__ import annotations

import functools
import re
import sys
from json.decoder import scanstring  # type: ignore[attr-defined]  # in json.decoder since 2.0, missing in typeshed
from typing import Final

Shape = re.Pattern[bytes]
# Name, url as it stands there, body; or the whole line, where it has another shape or is blank.
Parts = tuple[bytes, bytes, bytes, bytes]

# For lines that end with a newline. Three groups of a line of that shape, and one of any other.
_USUAL: Final = re.compile(
    rb'^(?:\{"custom_id": ?"([^"\\\x00-\x1f]+)", ?"method": ?"POST", ?"url": ?("[a-z0-9_/-]+"), ?'
    rb'"body": ?(\{[^\n]*\})\}\r?|([^\n]*))\n',
    re.MULTILINE,
)
_URL: Final = re.compile(rb'"[a-z0-9_/-]+"')

# Repeated groups need no way back, but Python before 3.11.5 may take half a turn of a possessive one for a whole one.
_MANY: Final = b")*+" if sys.version_info >= (3, 11, 5) else b")*"
_W: Final = rb"[ \t]*+"
_COMMA: Final = _W + b"," + _W
_COLON: Final = _W + b":" + _W
_TEXT: Final = rb'[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+' + _MANY
_STRING: Final = b'"' + _TEXT + b'"'
# Not more digits than Python takes, however they are counted.
_NUMBER: Final = rb"-?(?:0|[1-9][0-9]{0,300}+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?"
_SCALAR: Final = _STRING + b"|" + _NUMBER + b"|true|false|null"
_OURS: Final = b'(?:custom_id|method|url|body)"'
Order = tuple[bytes, ...]
_KEYS: Final[Order] = (b"custom_id", b"method", b"url", b"body")
_MISSING: Final = (b"",) * len(_KEYS)
_LEVELS: Final = 2
_BODY_LEVELS: Final = 10


def _value(levels: int) -> bytes:
    """A value with so many levels of arrays and objects in it."""
    if levels < 0:
        return _SCALAR
    inner = b"(?:" + _value(levels - 1) + b")" + _W
    array = inner + b"(?:," + _W + rb"(?!\])|(?=\]))"
    members = _STRING + _COLON + inner + b"(?:," + _W + rb"(?!\})|(?=\}))"
    return b"|".join(
        (_SCALAR, rb"\[" + _W + b"(?:" + array + _MANY + rb"\]", rb"\{" + _W + b"(?:" + members + _MANY + rb"\}")
    )


def _body(levels: int = _BODY_LEVELS) -> bytes:
    """From a brace to the one that belongs to it, if it is JSON."""
    between = rb'[^{}\[\]"\n]*+'
    inner = rb'"[^"\\\n]*+(?:\\.[^"\\\n]*+' + _MANY + b'"'
    if levels:
        inner = b"(?:" + inner + b"|" + _body(levels - 1) + b")"
    return rb"[{\[]" + between + b"(?:" + inner + between + _MANY + rb"[}\]]"


_PARTS: Final = {
    b"custom_id": b'"(?!")(' + _TEXT + b')"',
    b"method": b'"POST"',
    b"url": rb'("[a-z0-9_/-]++")',
    b"body": rb"(?=\{)(" + _body() + b")",
}


@functools.cache
def _roomy(order: Order) -> Shape:
    """Compiled when it is needed: that takes longer than a short job."""
    other = b'"(?!' + _OURS + rb')[^"\\\x00-\x1f]*+"' + _COLON + b"(?:" + _value(_LEVELS) + b")"
    before, after = b"(?:" + other + _COMMA + _MANY, b"(?:" + _COMMA + other + _MANY
    ours = [b'"' + key + b'"' + _COLON + _PARTS[key] for key in order]
    row = rb"\{" + _W + before + (_COMMA + before).join(ours) + after + _W + rb"\}[ \t\r]*+"
    return re.compile(b"^(?:" + row + rb"|([^\n]*+))\n", re.MULTILINE)


@functools.cache
def _member() -> Shape:
    key = rb'"([^"\\\x00-\x1f]*+)"'
    value = b"(" + _STRING + b"|" + _body() + b"|" + _NUMBER + b"|true|false|null)"
    return re.compile(rb"((?:^\{|,)" + _W + key + _COLON + value + _W + b")")


@functools.cache
def _strict() -> Shape:
    return re.compile(_value(_LEVELS))


def usual(data: bytes) -> list[Parts]:
    """The parts of each of some whole lines, where they have the usual shape."""
    return _USUAL.findall(data)


def roomy(data: bytes, order: Order) -> list[Parts]:
    """The same for the roomy shape in one order; the name as it is spelled."""
    if not _is_text(data):
        return [(b"", b"", b"", line) for line in data.split(b"\n")[:-1]]
    found: list[Parts] = _roomy(order).findall(data)
    named = [key for key in order if key != b"method"]
    if named == [b"custom_id", b"url", b"body"]:
        return found
    name, url, body = map(named.index, (b"custom_id", b"url", b"body"))
    return [(parts[name], parts[url], parts[body], parts[3]) for parts in found]


def order_of(line: bytes) -> Order:
    """In which order a line has the members of a row; the usual one, where it has others."""
    keys = tuple(key for _, key, _ in _member().findall(line) if key in _KEYS)
    return keys if len(keys) == len(_KEYS) == len(set(keys)) else _KEYS


def shuffled(line: bytes) -> tuple[bytes, bytes] | None:
    """The name as it is spelled, and what the identity is made of, of a line with its members in any order."""
    found = _member().findall(line)
    members = {key: value for _, key, value in found}
    if len(members) != len(found) or sum([len(member[0]) for member in found]) != len(line) - 1:
        return None
    name, method, url, body = map(members.pop, _KEYS, _MISSING)
    if method != b'"POST"' or name[:1] != b'"' or len(name) < 3 or body[:1] != b"{" or _URL.fullmatch(url) is None:
        return None
    if line[:1] != b"{" or line[-1:] != b"}" or not _is_text(line):
        return None
    for value in members.values():
        if value[0] in b"[{" and _strict().fullmatch(value) is None:
            return None
    return name[1:-1], method + url + body


def spelled_out(name: bytes) -> bytes:
    """A name without escapes."""
    if b"\\" not in name:
        return name
    text: str = scanstring(name.decode() + '"', 0, True)[0]
    return text.encode("utf-8", "surrogatepass")


def _is_text(data: bytes) -> bool:
    """Is it UTF-8?"""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
