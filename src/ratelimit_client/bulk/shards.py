"""
A job in parts, one a process or machine: ``--shard I/N``.

Law of this file: every row belongs to exactly one shard, and which one follows
from its ``custom_id`` alone: SHA-256 of it, modulo N. So the order of the input,
its growth and the other shards change nothing. A line that is no row belongs to one
shard as well, which reports it: the first, or that of the name it begins with.

The shard I of N of an output OUT is ``OUT.I-of-N``, with side files of its own.
An output is kept in one way: whole, or in N parts for one N.
"""

from __future__ import annotations

import os
import re
from hashlib import sha256
from typing import Final

import attrs

from ..errors import ConfigurationError
from .jsonl import Line
from .row import Flaw, Row, read_row
from .walk import Step, Walk

_FIRST: Final = re.compile(rb'\{"custom_id": ?"([^"\\\x00-\x1f]+)"')
_ESCAPED: Final = re.compile(rb"\\u00[567]")  # a letter of ASCII, or "_"


@attrs.frozen
class Shard:
    """
    Args:
        number: from 1.
        of: how many there are.
    """

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def owns(self, line: Line) -> bool:
        """Does the row of *line* belong to this shard?"""
        name = name_at_a_glance(line.data)
        if name is None:
            row = read_row(line)
            name = None if row.custom_id is None else row.custom_id.encode("utf-8", "surrogatepass")
        return (0 if name is None else _remainder(name, self.of)) == self.number - 1

    def path(self, out: str) -> str:
        """Its part of the output *out*."""
        return f"{out}.{self.number}-of-{self.of}"


def remainder(custom_id: str, of: int) -> int:
    """SHA-256 of a name modulo the number of shards; one more is the shard's number."""
    return _remainder(custom_id.encode("utf-8", "surrogatepass"), of)


def _remainder(name: bytes, of: int) -> int:
    return int.from_bytes(sha256(name).digest(), "big") % of


def name_at_a_glance(data: bytes) -> bytes | None:
    """
    The name of a line that begins with it, ten times faster than reading the line; None for any other.

    Sure, if it is a row: no second member can be the name, not even one that is spelled with escapes.
    """
    found = _FIRST.match(data)
    if found is None or data.count(b'"custom_id"') != 1 or _ESCAPED.search(data) is not None:
        return None
    return found[1]


def parts_of(out: str) -> dict[Shard, str]:
    """The shards of *out* that were begun, in order, with their paths."""
    folder, name = os.path.split(out)
    known = re.compile(re.escape(name) + r"\.([1-9]\d{0,5})-of-([1-9]\d{0,5})", re.ASCII)
    try:
        found = [match for entry in os.listdir(folder or ".") if (match := known.fullmatch(entry))]
    except OSError:
        return {}
    parts = {Shard(int(match[1]), int(match[2])): os.path.join(folder, match[0]) for match in found}
    return dict(sorted(parts.items(), key=lambda part: (part[0].of, part[0].number)))


def check_division(out: str, shard: Shard | None) -> None:
    """
    An output is whole or divided by one number: anything else would send rows twice.

    Raises:
        ConfigurationError: it was begun in another way.
    """
    begun = {part.of for part in parts_of(out)}
    if shard is None:
        if begun:
            raise ConfigurationError(
                f"{out} was begun in {_listed(begun)} shards: give --shard I/{min(begun)} or --engine ray, or another "
                "output"
            )
        return
    if begun - {shard.of}:
        raise ConfigurationError(
            f"{out} was begun in {_listed(begun - {shard.of})} shards, not {shard.of}: the rows would be divided in "
            "another way and sent twice; give the same number, or another output"
        )
    if os.path.isfile(out) and os.path.getsize(out):
        raise ConfigurationError(f"{out} was begun without --shard: leave it out, or give another output")


def _listed(numbers: set[int]) -> str:
    return " and ".join(map(str, sorted(numbers)))


@attrs.define(eq=False)
class ShardWalk(Walk):
    """A walk that meets the rows of one shard only (None: all rows); the others are no rows of this job."""

    shard: Shard | None = attrs.field(kw_only=True, default=None)

    def take(self, line: Line) -> tuple[Step, Row | Flaw | None]:
        if self.shard is not None and not self.shard.owns(line):
            self.offset = line.offset
            self.bytes = line.offset + len(line.data)
            return Step.OTHER, None
        return super().take(line)

    def takes(self, row: Row) -> bool:
        return self.shard is None or self.shard.number - 1 == remainder(row.custom_id, self.shard.of)
