"""What the sections of the page are made of: tables, numbers, and where the numbers are from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

NOTHING = "-"


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """A table; a pipe in a cell does not end it."""
    heads = list(heads)
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |"


def of(facts: dict[str, Any]) -> str:
    """When, where and on what it was measured."""
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    return (
        f"_Measured {facts['date']} at commit {facts['commit'][:12]}"
        f"{' with uncommitted changes' if facts['commit'].endswith('changes') else ''}, Python {facts['python']}, "
        f"{facts['system']} {facts['machine']}, {facts['cores']} cores; {versions}._"
    )


def held(holds: bool | None) -> str:
    """Whether what was asked for was reached."""
    return {True: "holds", False: "**missed**", None: NOTHING}[holds]


def number(value: float | None, digits: int = 3) -> str:
    """A number in so many significant digits, never in powers of ten; a dash for none."""
    if value is None:
        return NOTHING
    if abs(value) >= 10**digits:
        return f"{value:,.0f}"
    return f"{float(f'{value:.{digits}g}'):f}".rstrip("0").rstrip(".")


def figure(value: Any, unit: str = "") -> str:
    """A median with the least and the most beside it; words as they are; a dash for what there is no notion of."""
    if value is None:
        return NOTHING
    if not isinstance(value, dict):
        return str(value) if isinstance(value, str) else " ".join(filter(None, (number(value), unit)))
    spread = f"({number(value['least'])} to {number(value['most'])})"
    return " ".join(filter(None, (number(value["median"]), unit, spread)))
