"""
The two things every number here is counted in: nanoseconds and named units.

Law of this file: inside the library time is an integer of nanoseconds and an
amount is an integer of something with a name. Seconds and loose spellings live
outside and pass through here, once.
"""

from __future__ import annotations

import functools
import math
import re

NS = 1_000_000_000

MAX_AMOUNT = 10**15
"""The largest amount a cost or a quota may hold; larger ones are typing errors."""

_UNIT = re.compile(r"[a-z][a-z0-9_.-]*")
_UNIT_MAX_CHARS = 64

_ALIASES = {
    "request": "requests",
    "req": "requests",
    "reqs": "requests",
    "token": "tokens",
    "tok": "tokens",
    "toks": "tokens",
    "image": "images",
}


def to_ns(seconds: float) -> int:
    """
    Seconds as whole nanoseconds, to the nearest.

    Raises:
        ValueError: *seconds* is nan or infinite.
    """
    try:
        finite = math.isfinite(seconds)
    except OverflowError:  # an int beyond what a float holds
        finite = False
    if not finite:
        message = "a time must be a finite number of seconds"
        raise ValueError(message)

    # Whole seconds apart: a float of 100 days times 10^9 would lose nanoseconds.
    head = int(seconds)
    return head * NS + round((seconds - head) * NS)


def to_s(ns: int) -> float:
    """Nanoseconds as seconds, for people and for timers."""
    return ns / NS


@functools.lru_cache(maxsize=1024)
def unit_name(name: str) -> str:
    """
    The name under which a unit is kept: "request" and "req" are "requests".

    Raises:
        ValueError: it is no lower-case name.
    """
    if not _UNIT.fullmatch(name) or len(name) > _UNIT_MAX_CHARS:
        message = (
            f"{name[:_UNIT_MAX_CHARS]!r} is no name of a unit: lower-case letters, digits, '_', '-' and '.', "
            "beginning with a letter, such as requests, tokens or project-tokens"
        )
        raise ValueError(message)

    return _ALIASES.get(name, name)


def whole(amount: object) -> int | None:
    """
    An amount as an int, or None when it is none.

    A float counts when it holds a whole number (2e5 is a natural way to type two
    hundred thousand); True and False never do.
    """
    if isinstance(amount, bool):
        return None
    if isinstance(amount, float):
        return int(amount) if amount.is_integer() else None
    # numpy's integers are no ints, but they say what they are worth.
    index = getattr(amount, "__index__", None)
    return None if index is None else int(index())
