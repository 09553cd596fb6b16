"""
What processes tell each other of prices and rates, as one word of text.

Law of this file: a store keeps the text and understands nothing of it. What cannot be read
was written by another version, or by nobody we know: it says nothing, and is no error.

    1;RATE;MARK:PIECE/PIECE;MARK:PIECE        a piece is its six terms and the charge, between commas
"""

from __future__ import annotations

import re

from ...core.fitting import Evidence
from ...core.lore import MOST_PIECES, MOST_RULES, Lore

FORMAT = "1"
MOST_CHARS = 4096
"""Of one word; four rules of six pieces take 1.4 KB."""

_MARK = re.compile(r"[0-9a-f]{12}")
_NUMBER = re.compile(r"[0-9]{1,15}")


def write(lore: Lore) -> str:
    """One word without a blank."""
    rules = (
        f"{mark}:{'/'.join(','.join(map(str, (*piece.terms, piece.charged))) for piece in pieces)}"
        for mark, pieces in lore.rules
    )
    return ";".join((FORMAT, str(lore.rate), *rules))


def read(text: str) -> Lore | None:
    """What ``write`` wrote; None: something else."""
    version, *parts = text[: MOST_CHARS + 1].split(";")
    if version != FORMAT or len(text) > MOST_CHARS or not parts or len(parts) > 1 + MOST_RULES:
        return None
    rate, *rules = parts
    try:
        return Lore(_whole(rate), tuple(_rule(rule) for rule in rules))
    except ValueError:
        return None


def _rule(text: str) -> tuple[str, tuple[Evidence, ...]]:
    mark, _, pieces = text.partition(":")
    several = pieces.split("/")
    if not _MARK.fullmatch(mark) or len(several) > MOST_PIECES:
        raise ValueError("a rule has a mark and a few pieces")
    return mark, tuple(_piece(each) for each in several)


def _piece(text: str) -> Evidence:
    t0, t1, t2, t3, t4, t5, charged = (_whole(word) for word in text.split(","))
    return Evidence((t0, t1, t2, t3, t4, t5), charged, 1)


def _whole(word: str) -> int:
    if not _NUMBER.fullmatch(word):
        raise ValueError("numbers are whole and not below nothing")
    return int(word)
