"""
The tables of docs/metrics.md, written from the list of families in the code.

    python scripts/metrics.py            look whether they are as the code says
    python scripts/metrics.py --write    write them anew

Law of this file: what stands between the marks is made here and nowhere else.
"""

from __future__ import annotations

import sys
from pathlib import Path

import generated

from ratelimit_client.adapters.prometheus.families import FAMILIES, LABELS, Family

PAGE = Path(__file__).parent.parent / "docs" / "metrics.md"
NAME = "metrics.py"


def tables() -> str:
    """What stands between the marks."""
    return "\n".join([_families(), _labels(), _buckets()])


def _families() -> str:
    rows = ["| name | type | labels | what it says |", "|---|---|---|---|"]
    for family in FAMILIES.values():
        labels = ", ".join(f"`{label}`" for label in family.labels)
        rows.append(f"| `{family.shown}` | {family.kind} | {labels} | {family.help}{_more(family)} |")
    return "\n".join(rows) + "\n"


def _more(family: Family) -> str:
    return " With exemplars." if family.exemplars else ""


def _labels() -> str:
    rows = ["| label | values |", "|---|---|"]
    rows += [f"| `{name}` | {text} |" for name, text in LABELS.items()]
    return "\n".join(rows) + "\n"


def _buckets() -> str:
    rows = ["| buckets of | up to |", "|---|---|"]
    by_bounds: dict[tuple[float, ...], list[str]] = {}
    for family in FAMILIES.values():
        if family.kind == "histogram":
            by_bounds.setdefault(family.bounds, []).append(f"`{family.name}`")
    for bounds, names in by_bounds.items():
        rows.append(f"| {', '.join(names)} | {', '.join(f'{bound:g}' for bound in bounds)} |")
    return "\n".join(rows) + "\n"


def with_tables(page: str) -> str:
    """*page* with the tables as they are now."""
    return generated.replaced(page, NAME, tables())


if __name__ == "__main__":
    sys.exit(generated.main(PAGE, NAME, tables()))
