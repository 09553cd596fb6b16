"""The threat model names tests; they have to be there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "threat-model.md").read_text()


def test_every_proof_exists():
    """
    Each test and each file of tests that the page names; and every row of what somebody wants has a proof.
    """
    source = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    there = set(re.findall(r"^def (test_\w+)", source, re.MULTILINE))
    named = set(re.findall(r"`(test_\w+)`", PAGE))

    assert len(named) > 40
    assert named - there == set()
    for path in re.findall(r"`(tests/[\w/.]+)`", PAGE):
        assert (ROOT / path).is_file(), path

    rows = [line for line in PAGE.splitlines() if re.search(r"\(A\d(, A\d)*\)", line)]
    assert len(rows) > 30
    assert [row for row in rows if "`test" not in row] == []


def test_every_asset_is_wanted_by_somebody():
    """
    Six assets, each of them named in what somebody wants.
    """
    assets = set(re.findall(r"^\| (A\d) \|", PAGE, re.MULTILINE))
    wanted = set(re.findall(r"A\d", " ".join(re.findall(r"\((A\d(?:, A\d)*)\)", PAGE))))

    assert assets == wanted == {f"A{number}" for number in range(1, 7)}
