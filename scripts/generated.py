"""A part of a page that is made from the code."""

from __future__ import annotations

import sys
from pathlib import Path

_END = "<!-- /from the code -->\n"


def replaced(page: str, script: str, fresh: str) -> str:
    """*page* with *fresh* between the marks of *script*."""
    begin = f"<!-- from the code: python scripts/{script} --write -->\n"
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(_END)
    return f"{before}{begin}\n{fresh}\n{_END}{after}"


def main(path: Path, script: str, fresh: str) -> int:
    """0 when the page at *path* is, or with ``--write`` now is, as the code says."""
    page = path.read_text(encoding="utf-8")
    made = replaced(page, script, fresh)
    if "--write" in sys.argv[1:]:
        path.write_text(made, encoding="utf-8")
        return 0
    return int(page != made)
