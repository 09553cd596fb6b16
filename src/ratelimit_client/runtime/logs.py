"""
The loggers of this library, and what goes with a record of theirs.

Law of this file: one tree, whose root is ``ratelimit_client``, and nothing of it is set up here: without a
handler of the program's own no record is written anywhere. What goes with a record is of one line, short, and
cannot steer what shows it, whoever wrote it.

Theory. A name of a model, the id of a request and the words of a server come from outside, and a log is read by
people on terminals and by programs line by line. Whatever is no printable character (line breaks, escape sequences,
marks that turn the direction of writing, zero widths) is shown by its code instead, where the record is made, so
that it makes no difference who formats it and how.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

ROOT = "ratelimit_client"
LOGGER = logging.getLogger(ROOT)
LOGGER.addHandler(logging.NullHandler())  # without it Python would write warnings to stderr by itself

LONGEST = 128
"""Characters of a text from outside."""


def one_line(text: str) -> str:
    """*text* with everything that is not printable shown by its code."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _code(each) for each in text)


def _code(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def short(text: str, most: int = LONGEST) -> str:
    """*text* on one line, and no longer than *most* characters of it."""
    return one_line(text[:most]) + ("..." if len(text) > most else "")


def fields(event: str, **facts: object) -> Mapping[str, object]:
    """
    What to give as ``extra=``.

    Args:
        event: what happened, as a word to search for.
        facts: by name; None is left out, numbers stay numbers, all else becomes a short text on one line.
    """
    return {"event": event, **{name: _fit(fact) for name, fact in facts.items() if fact is not None}}


def _fit(fact: object) -> object:
    return fact if isinstance(fact, bool | int | float) else short(str(fact))
