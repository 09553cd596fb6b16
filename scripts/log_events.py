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

from ratelimit_client.adapters.logging.table import EVENTS, OTHERS, Told

PAGE = Path(__file__).parent.parent / "docs" / "logging.md"
BEGIN, END = "<!-- from the code: python scripts/log_events.py --write -->\n", "<!-- /from the code -->\n"


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


def with_tables(page: str) -> str:
    """*page* with the tables as they are now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


def main() -> int:
    """0 when the page is, or now is, as the code says."""
    page = PAGE.read_text(encoding="utf-8")
    fresh = with_tables(page)
    if "--write" in sys.argv[1:]:
        PAGE.write_text(fresh, encoding="utf-8")
        return 0
    return int(page != fresh)


if __name__ == "__main__":
    sys.exit(main())
