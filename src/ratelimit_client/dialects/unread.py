"""
What an answer said of its limits and nobody could use.

Law of this file: of what is dropped there remains its *kind*, the name of the header and
what is wrong with it, never its value. These are understood, though nothing comes of them:

    blank; -1 for an amount or a reset      "unknown", or "no limit"
    a limit of 0                            a plan without that limit
    levels of an answer from a cache        those of another request
    a wait that a success asks for          a polling interval, or a leftover
    what a table calls ignored              known, and of no use
    a proxy's copies of its upstream's      not its own limits

Theory: a gap in a table makes no noise, for the field is left out and the answer stands. So what
is left out is told. Names are few and a server's own; a value may be private and of any
length, and ten thousand wrong values are one kind of wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .bodies import ErrorBody
from .dialect import Field
from .durations import Unit, parse_number, parse_when
from .headers import MOST_DIMENSIONS, MOST_VALUES, Collected

MOST_KINDS = 16
"""Kinds that one answer tells of."""

LONGEST_NAME = 64

NOT_A_NUMBER = "not a number"
NOT_A_TIME = "not a time"
TOO_FAR = "further away than any limit reaches"
MORE_THAN_LIMIT = "more than the limit"
LESS_THAN_LEFT = "less than what is left"
NOT_THE_GRAMMAR = "not by the grammar"
NO_LIMIT = "says nothing of a limit"
NAMELESS = "several limits without a name"
NOT_YES_OR_NO = "neither true nor false"
SILENT_REFUSAL = "body: a refusal that names neither limit nor wait"

_SEVERAL = "several values"
_NEGATIVE = "negative"
_TOO_LARGE = "too large"
_UNKNOWN = "no rule knows it"
_NO_CHARACTER_OF_A_NAME = re.compile(r"[^a-z0-9!#$%&'*+.^_`|~-]")

_HUGE = 10**18

Understood = Callable[[str], object]


def fault_of_amount(raw: Any, *, several: bool) -> str:
    """What is wrong with an amount; "" where nothing is. *several*: it came more than once, with other values."""
    parts = (part.partition(";")[0] for text in _texts(raw) for part in text.split(",")[:MOST_VALUES])
    return _first_fault(parts, parse_number, NOT_A_NUMBER, ("", "-1")) or (_SEVERAL if several else "")


def fault_of_time(raw: Any, unit: Unit, *, several: bool, blank: tuple[str, ...] = ("", "-1")) -> str:
    """What is wrong with a time; "" where nothing is. *blank*: the texts that say nothing."""

    def understood(text: str) -> object:
        return parse_when(text, unit)

    # A date holds a comma of its own, so the whole text is tried first.
    parts = (
        part
        for text in _texts(raw)
        for part in ([text] if understood(text) is not None else text.split(",")[:MOST_VALUES])
    )
    return _first_fault(parts, understood, NOT_A_TIME, blank) or (_SEVERAL if several else "")


def _texts(raw: Any) -> Iterator[str]:
    """The texts of a value; what is no text and no number is a text that nobody understands."""
    if isinstance(raw, list | tuple):
        for item in raw[:MOST_VALUES]:
            if not isinstance(item, list | tuple):
                yield from _texts(item)
    elif isinstance(raw, bytes | bytearray):
        yield raw.decode("latin-1")
    elif isinstance(raw, int | float) and not isinstance(raw, bool):
        yield str(_HUGE) if abs(raw) >= _HUGE else str(raw)
    else:
        yield raw if isinstance(raw, str) else "?"


def _first_fault(parts: Iterable[str], understood: Understood, otherwise: str, blank: tuple[str, ...]) -> str:
    return next((fault for part in parts if (fault := _fault(part.strip(), understood, otherwise, blank))), "")


def _fault(text: str, understood: Understood, otherwise: str, blank: tuple[str, ...]) -> str:
    if text in blank or understood(text) is not None:
        return ""
    if text.startswith("-") and understood(text[1:]) is not None:
        return _NEGATIVE
    return _TOO_LARGE if text.isascii() and text.isdigit() else otherwise


def kinds(collected: Collected, error: ErrorBody | None = None, *, silent: bool = False) -> tuple[str, ...]:
    """
    The kinds of what one answer said in vain, in the order of the alphabet.

    Args:
        collected: its headers, after everything else has been read.
        error: the error in its body.
        silent: it is a refusal that says nothing of itself.
    """
    waits = () if error is None else error.unread
    if not (collected.unknown or collected.faults or collected.crowded or waits or silent):
        return ()
    found = {f"{_shown(name)}: {_UNKNOWN}" for name in collected.unknown}
    found |= {f"{_shown(collected.name_of(field, dimension))}: {fault}" for field, dimension, fault in collected.faults}
    found |= {f"body {name}: {NOT_A_TIME}" for name in waits}
    if collected.crowded:
        found.add(f"headers: more than {MOST_DIMENSIONS} dimensions")
    if silent:
        found.add(SILENT_REFUSAL)
    return _bounded(found)


def kinds_of_names(names: Iterable[str]) -> tuple[str, ...]:
    """The kinds of headers that speak of a limit and that nobody knows."""
    return _bounded({f"{_shown(name)}: {_UNKNOWN}" for name in names})


def _bounded(found: set[str]) -> tuple[str, ...]:
    return tuple(sorted(found)[:MOST_KINDS])


def _shown(name: str) -> str:
    """A name fit for a log: the characters that a header's name may have, and not too many."""
    return _NO_CHARACTER_OF_A_NAME.sub("?", name[:LONGEST_NAME])


def should_retry(collected: Collected) -> bool | None:
    """What the server says of sending the call again; None where it says nothing that could be understood."""
    if collected.told[Field.SHOULD_RETRY.index] is None:
        return None
    said = {part.strip().lower() for text in collected.texts(Field.SHOULD_RETRY) for part in text.split(",")}
    if said - {"true", "false", ""} or not said:
        collected.faults.append((Field.SHOULD_RETRY, "", NOT_YES_OR_NO))
    return False if "false" in said else True if "true" in said else None
