"""
The golden table: every row, and the page of the docs that is made of it.

``python -m tests.wire.table`` prints the part of docs/wire.md between its marks.
"""

from __future__ import annotations

from tests.wire import rows_content, rows_framing, rows_heads, rows_refusals, rows_time
from tests.wire.script import Ends, Row

GROUPS: dict[str, list[Row]] = {
    "The head": rows_heads.ROWS,
    "Where the body ends": rows_framing.ROWS,
    "What is in the body": rows_content.ROWS,
    "Refusals and redirects": rows_refusals.ROWS,
    "Kept connections, and time": rows_time.ROWS,
}
HEAD = "| you get | sent again | kept | the server does |\n|---|---|---|---|"
ROWS = [row for rows in GROUPS.values() for row in rows]


def markdown() -> str:
    """A table per group, in which rows that end alike share a line; and one of what differs on a user's session."""
    parts = [_table(title, [(row.name, row.ends) for row in rows]) for title, rows in GROUPS.items()]
    differ = [(row.name, row.theirs) for row in ROWS if row.theirs is not None]
    return "\n".join([*parts, _table("On a session of your own, besides", differ)])


def _table(title: str, rows: list[tuple[str, Ends]]) -> str:
    alike: dict[str, list[str]] = {}
    for name, ends in rows:
        alike.setdefault(" | ".join(_told(ends)), []).append(name)
    lines = [f"| {told} | {'; '.join(names)} |" for told, names in alike.items()]
    return "\n".join([f"### {title}", "", HEAD, *lines, ""])


def _told(ends: Ends) -> tuple[str, str, str]:
    gets = f"`{ends.kind}`"
    if ends.kind == "Reply":
        gets += "" if ends.status == 200 else f" {ends.status}"
    elif ends.status is not None and ends.status != 200:
        gets += f" {ends.status}, {ends.why}"
    elif ends.why:
        gets += f", {ends.why}"
    again = "" if ends.sent == 1 else "yes" if ends.sent == 2 else f"yes, {ends.sent - 1} times"
    return gets, again, "yes" if ends.kept else ""


if __name__ == "__main__":
    print(markdown())  # noqa: T201 - it is what this is for
