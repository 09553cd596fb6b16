"""
Structured header fields (RFC 9651), as far as rate limits use them.

Law of this file: strict first. A list is parsed by the grammar, and one malformed
member makes the whole field nothing. Only then the lenient reader picks out what
looks like ``"name";k=v;k=v``, and what it finds is of low confidence.

Theory: the strict reader alone would miss real servers (a hub that sends two strings
in one member, a draft whose own example lacks the quotes); the lenient reader alone
would take a broken field for a limit. So the caller is told which one spoke.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Bare = str | int | float | bytes | bool

_LONGEST_FIELD = 4096
_MAX_MEMBERS = 64

_KEY = re.compile(r"[a-z*][a-z0-9_.*-]*")
_NUMBER = re.compile(r"-?[0-9]{1,15}(?!\.?[0-9])|-?[0-9]{1,12}\.[0-9]{1,3}(?![0-9])")
_STRING = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_TOKEN = re.compile(r"[A-Za-z*][!#$%&'*+\-.^_`|~:/0-9A-Za-z]*")
_BYTES = re.compile(r":([A-Za-z0-9+/=]*):")
_BOOLEAN = re.compile(r"\?([01])")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_SPACES = re.compile(r" *")

_LOOSE_NAME = r"""(?<![^\s,;"'])["']?([A-Za-z0-9_.*/-][A-Za-z0-9_.*/ -]{0,63}?)["']?"""
_LOOSE_MEMBER = re.compile(_LOOSE_NAME + r"""\s*((?:;\s*[a-z*]+\s*=\s*[^;,"]+)+)""")
_LOOSE_PARAMETER = re.compile(r";\s*([a-z*]+)\s*=\s*([0-9]{1,15})(?![0-9.])")


class Malformed(ValueError):
    """The text is no structured field."""


class Token(str):
    """A bare word, as against a string in quotes."""

    __slots__ = ()


class _Reader:
    """A place in a text."""

    __slots__ = ("at", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def done(self) -> bool:
        return self.at == len(self.text)

    def member(self) -> tuple[Bare, dict[str, Bare]]:
        return self.bare(), self.parameters()

    def parameters(self) -> dict[str, Bare]:
        found: dict[str, Bare] = {}
        while self.text.startswith(";", self.at):
            self.at += 1
            self.match(_SPACES)
            key = self.key()
            found[key] = self.value()
        return found

    def key(self) -> str:
        found = self.match(_KEY)
        if found is None:
            raise Malformed
        return found[0]

    def value(self) -> Bare:
        """What follows a key: a bare item, or true when there is no ``=``."""
        if not self.text.startswith("=", self.at):
            return True
        self.at += 1
        return self.bare()

    def bare(self) -> Bare:
        if found := self.match(_NUMBER):
            return float(found[0]) if "." in found[0] else int(found[0])
        if found := self.match(_STRING):
            return re.sub(r"\\(.)", r"\1", found[1])
        if found := self.match(_TOKEN):
            return Token(found[0])
        if found := self.match(_BYTES):
            return found[1].encode("ascii")
        if found := self.match(_BOOLEAN):
            return found[1] == "1"
        raise Malformed

    def comma(self) -> None:
        """Step over one comma; a comma at the end is as malformed as none between members."""
        if self.match(_COMMA) is None or self.done():
            raise Malformed


def parse_list(text: str) -> list[tuple[Bare, dict[str, Bare]]]:
    """
    The members of a list with their parameters; byte sequences stay as written.

    Raises:
        Malformed: anything is not by the grammar, or it is longer than any rate limit is.
    """
    reader = _started(text)
    members: list[tuple[Bare, dict[str, Bare]]] = []
    while not reader.done():
        members.append(reader.member())
        if len(members) > _MAX_MEMBERS:
            raise Malformed
        if not reader.done():
            reader.comma()
    return members


def parse_dictionary(text: str) -> dict[str, Bare]:
    """
    The members of a dictionary, their parameters read and dropped.

    Raises:
        Malformed: as `parse_list`.
    """
    reader = _started(text)
    members: dict[str, Bare] = {}
    while not reader.done():
        key = reader.key()
        members[key] = reader.value()
        reader.parameters()
        if len(members) > _MAX_MEMBERS:
            raise Malformed
        if not reader.done():
            reader.comma()
    return members


def loose_members(text: str) -> list[tuple[Bare, Mapping[str, Bare]]]:
    """Whatever in *text* looks like ``name;k=1;k=2``, with its whole-number parameters."""
    return [
        (name, {key: int(number) for key, number in _LOOSE_PARAMETER.findall(parameters)})
        for name, parameters in _LOOSE_MEMBER.findall(text[:_LONGEST_FIELD])[:_MAX_MEMBERS]
    ]


def _started(text: str) -> _Reader:
    if len(text) > _LONGEST_FIELD:
        raise Malformed
    return _Reader(text.strip(" "))
