"""The page about the wire says what the table says."""

from __future__ import annotations

from pathlib import Path

from tests.wire.table import ROWS, markdown

PAGE = (Path(__file__).parents[2] / "docs" / "wire.md").read_text(encoding="utf-8")
FROM, TO = "<!-- python -m tests.wire.table -->\n", "<!-- end -->\n"


def test_the_page_holds_the_table() -> None:
    """
    What stands between the marks is what ``python -m tests.wire.table`` prints.
    """
    assert PAGE.partition(FROM)[2].partition(TO)[0].strip() == markdown().strip()


def test_the_page_tells_how_long_it_is() -> None:
    """
    The number in its text is the number of rows, and no two of them have one name.
    """
    assert f"{len(ROWS)} faults" in PAGE
    assert len({row.name for row in ROWS}) == len(ROWS)
