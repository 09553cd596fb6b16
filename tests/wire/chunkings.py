"""
The ways a stream of bytes can come apart.

Law of this file: every cut gives the same bytes in the same order, so whatever the reader
makes of them may not depend on it.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Iterable, Mapping

Chunking = Callable[[bytes], list[bytes]]

_ALONE = 300
_MIDDLE = 16 * 1024


def whole(data: bytes) -> list[bytes]:
    """All that is sent at once comes at once."""
    return [data]


def byte_by_byte(data: bytes) -> list[bytes]:
    """Each byte alone; of a large body the beginning and the end."""
    size = len(data)
    if size <= 2 * _ALONE:
        return _cut(data, range(1, size))
    cuts = itertools.chain(range(1, _ALONE), range(_ALONE, size - _ALONE, _MIDDLE), range(size - _ALONE, size))
    return _cut(data, cuts)


def at_seams(data: bytes) -> list[bytes]:
    """Between CR and LF and after each line end, and in the middle of each empty line."""
    return _cut(data, itertools.islice((found.end() for found in re.finditer(rb"[\r\n]", data)), 3000))


def head_and_body(data: bytes) -> list[bytes]:
    """A segment up to each empty line, and one with the rest."""
    ends = itertools.islice((found.end() for found in re.finditer(rb"\r?\n\r?\n", data)), 300)
    return _cut(data, ends)


def at_random(seed: int) -> Chunking:
    """Up to a dozen cuts wherever the dice say."""

    def cut(data: bytes) -> list[bytes]:
        dice = random.Random(f"{seed} {len(data)}")
        return _cut(data, sorted(dice.randrange(len(data) + 1) for _ in range(dice.randrange(1, 12))))

    return cut


def _cut(data: bytes, at: Iterable[int]) -> list[bytes]:
    edges = [0, *at, len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges) if end > start]


CHUNKINGS: Mapping[str, Chunking] = {
    "whole": whole,
    "byte by byte": byte_by_byte,
    "at seams": at_seams,
    "at random": at_random(1),
    "head and body": head_and_body,
}
