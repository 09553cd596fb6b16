"""
The tables of docs/logging.md, written from the list of records in the code.

    python scripts/log_events.py            look whether they are as the code says
    python scripts/log_events.py --write    write them anew

Law of this file: what stands between the marks is made here and nowhere else.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path

import generated

from ratelimit_client.adapters.logging.table import EVENTS, OTHERS, Told

PAGE = Path(__file__).parent.parent / "docs" / "logging.md"
NAME = "log_events.py"


def tables() -> str:
    """What stands between the marks."""
    events = {kind.value: told for kind, told in EVENTS.items()}
    return f"Of `ratelimit_client.events`:\n\n{_table(events)}\nOf the others:\n\n{_table(OTHERS)}"


def _table(records: Mapping[str, Told]) -> str:
    rows = ["| `event` | level | what happened | fields |", "|---|---|---|---|"]
    for name, told in records.items():
        fields = ", ".join(f"`{field}`" for field in told.fields)
        rows.append(f"| `{name}` | {logging.getLevelName(told.level).lower()} | {told.text} | {fields} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.exit(generated.main(PAGE, NAME, tables()))
