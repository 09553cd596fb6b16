"""
Reports: what ``status``, ``estimate``, ``doctor`` and ``--show-config`` print.

Law of this file: a report is what was asked for, so it goes to stdout, and what
could steer a terminal is shown escaped.
"""

from __future__ import annotations

from collections.abc import Iterable

from .voice import harmless

_LEAST = 10


def show(table: Iterable[tuple[str, str]]) -> None:
    """Print labels and texts, the texts below each other."""
    for line in lines(table):
        print(harmless(line), flush=True)


def lines(table: Iterable[tuple[str, str]]) -> list[str]:
    """The lines of a table."""
    rows = list(table)
    width = max((len(label) + 2 for label, _ in rows), default=_LEAST)
    return [f"{label:<{max(width, _LEAST)}}{text}".rstrip() for label, text in rows]
