"""
Reports: what ``status``, ``estimate``, ``doctor`` and ``--show-config`` print.

Law of this file: a report is what was asked for, so it goes to stdout, and what
could steer a terminal is shown escaped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from .voice import fitted, harmless

_LEAST = 10


def show(table: Iterable[tuple[str, str]]) -> None:
    """
    Print labels and texts, the texts below each other.

    Raises:
        OSError: stdout cannot take it; says so.
    """
    print_lines(lines(table))


def print_lines(texts: Iterable[str], *, whole: bool = False) -> None:
    """
    Print lines; those too long for a terminal are broken between words, unless they are to stay *whole*.

    Raises:
        OSError: stdout cannot take it; says so.
    """
    try:
        for line in texts:
            text = harmless(line)
            print(text if whole else fitted(text, sys.stdout), flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(error.errno, f"it cannot be written: {error.strerror}", "stdout") from None


def lines(table: Iterable[tuple[str, str]]) -> list[str]:
    """The lines of a table."""
    rows = list(table)
    width = max((len(label) + 2 for label, _ in rows), default=_LEAST)
    return [f"{label:<{max(width, _LEAST)}}{text}".rstrip() for label, text in rows]
