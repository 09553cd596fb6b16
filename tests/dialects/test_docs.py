"""The page about dialects says what the tables say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ratelimit_client.core.profile import ServerProfile
from ratelimit_client.core.signals import Reason
from ratelimit_client.dialects import Dialect, Field, Unit, lookup, names, read

PAGE = (Path(__file__).parents[2] / "docs" / "dialects.md").read_text(encoding="utf-8")
VENDORS = [name for name in names() if name != "auto"]
MOST_SHOWN = 6


def listed(words: list[str]) -> str:
    shown = ", ".join(f"`{word}`" for word in words[:MOST_SHOWN]) + (" ..." if len(words) > MOST_SHOWN else "")
    return shown or "-"


def row(name: str) -> str:
    """The line of the page's table about one dialect."""
    table = lookup(name)
    profile: ServerProfile = table.profile
    cells = [
        f"`{name}`",
        listed(list(table.hosts[:2])),
        profile.refill.value,
        f"{profile.default_window_s:g} s",
        listed(list(profile.pays)),
        listed(sorted(profile.settles)),
    ]
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize("name", VENDORS)
def test_each_dialect_has_its_row(name):
    """Made of its table."""
    assert row(name) in PAGE.splitlines()


def test_there_is_a_row_for_nothing_else():
    """The list of vendors is that of the registry, in its order."""
    assert re.findall(r"^\| `([a-z]+)` \|", PAGE, re.MULTILINE) == VENDORS


@pytest.mark.parametrize("name", VENDORS)
def test_each_dialect_has_its_words(name):
    """A paragraph that begins with its name."""
    assert f"\n**{name}** " in PAGE


def test_the_table_of_ones_own_is_one():
    """The example runs as it stands, is as short as it is said to be, and reads what it says."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    example = next(block for block in blocks if "Dialect(" in block)
    assert len(re.search(r"ACME = Dialect\(.*?\n\)", example, re.DOTALL)[0].splitlines()) == 10
    space: dict[str, object] = {}
    exec(example, space)
    table = space["ACME"]
    assert isinstance(table, Dialect)
    headers = {"x-acme-left": "5", "x-acme-words": "900", "x-ratelimit-reset": "1500"}
    signals = read(429, headers, {"error": {"code": "too_fast"}}, dialect=table)
    assert (signals.reason, signals.readings["requests"].reset_s) == (Reason.RATE_LIMITED, 1.5)
    assert signals.readings["words"].remaining == 900


def test_every_member_of_the_vocabulary_is_explained():
    """What a header may tell, and what a bare number may count."""
    told = [field for field in Field if field not in (Field.MARK, Field.UNKNOWN)]
    missing = [f"Field.{field.name}" for field in told if f"`{field.name}`" not in PAGE]
    missing += [f"Unit.{unit.name}" for unit in Unit if f"`{unit.name}`" not in PAGE]
    assert missing == []
