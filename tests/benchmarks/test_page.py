"""docs/benchmarks.md and its plots: made of the results, whatever of them is there."""

from __future__ import annotations

import json
import re
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import page
from benchmarks.page.plots import PLOTS, drawn
from benchmarks.page.svg import Axis, Kind, apart, short
from benchmarks.page.tables import figure, number
from tests.benchmarks.results import RESULTS
from tests.programs import ROOT

LATEST = json.loads((ROOT / "benchmarks" / "results" / "latest.json").read_text(encoding="utf-8"))
PARTS = {**LATEST, **RESULTS}


def test_what_stands_in_the_docs_is_made_of_the_results() -> None:
    """
    Page and plots, to the byte; after a change of either: python -m benchmarks.page
    """
    made = page.files(LATEST)

    assert {path: path.read_text(encoding="utf-8") for path in made} == made
    assert set(page.PICTURES.glob("*")) == set(made) - {page.PAGE}


@pytest.mark.parametrize("missing", [*(name for name, *_ in page.SECTIONS), "all"])
def test_a_part_that_is_missing_is_said(missing: str) -> None:
    """
    Under its heading, where all other parts stand as before.
    """
    results = {} if missing == "all" else {name: part for name, part in PARTS.items() if name != missing}
    shown = page.page(results)

    unsaid = [name for name, *_ in page.SECTIONS if name not in results]
    assert shown.count("Not measured yet.") == len(unsaid)
    for name, heading, *_ in page.SECTIONS:
        below = shown.split(f"## {heading}\n\n")[1]
        assert below.startswith("Not measured yet.") is (name in unsaid)


def test_no_table_is_broken() -> None:
    """
    Every row has the cells of its head, whatever stands in them.
    """
    cells = re.compile(r"(?<!\\)\|")
    width = 0
    for line in page.page(PARTS).splitlines():
        width = 0 if not line.startswith("|") else width or len(cells.findall(line))
        assert not line.startswith("|") or len(cells.findall(line)) == width, line


def test_where_a_peer_is_better_is_said() -> None:
    """
    In the race in a list of its own, in small costs under the table; and that nobody is, too.
    """
    shown = page.page(PARTS)
    better = shown.split("### Where a peer is better\n\n")[1]

    assert better.startswith("- **C**: lm-deluge, tuned: 1 fewer refusals, in 10.20 s against our 10.30\n")
    assert "- an uncontended permit, three buckets: aiolimiter (3.22 times as cheap)" in shown
    alone = {"peers": {**PARTS["peers"], "found": PARTS["peers"]["found"][:2]}}
    assert "In no scenario was a peer" in page.page(alone)


def test_what_was_missed_is_said() -> None:
    """
    A verdict stands beside what was asked for.
    """
    lines = page.page(PARTS).splitlines()

    assert any(line.startswith("| without | 20,000 |") and line.endswith("| <= 1.35 | **missed** |") for line in lines)
    assert any(line.startswith("| with orjson | 20,000 |") and line.endswith("| <= 1.25 | holds |") for line in lines)


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_says_what_it_shows(name: str) -> None:
    """
    To those who do not see it, too; and it asks for nothing from elsewhere.
    """
    text = str(dict(drawn(PARTS))[name])
    root = ElementTree.fromstring(text)
    told = {child.tag.split("}")[1]: child.text for child in root}

    assert root.attrib["role"] == "img"
    assert told["title"]
    assert len(told["desc"] or "") > 60
    assert "prefers-color-scheme: dark" in text
    assert text.count("http") == 1
    assert f"](plots/{name}.svg)" in page.page(PARTS)


@pytest.mark.parametrize("name", PLOTS)
def test_nothing_lies_outside_of_a_plot(name: str) -> None:
    """
    Not even what never ended or was refused thousands of times.
    """
    root = ElementTree.fromstring(str(dict(drawn(PARTS))[name]))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    places = [
        (float(each.attrib[x]), float(each.attrib[y]))
        for each in root.iter()
        for x, y in (("x", "y"), ("cx", "cy"))
        if x in each.attrib
    ]

    assert len(places) > 10
    assert all(0 <= x <= width and 0 <= y <= height for x, y in places)


def test_a_race_marks_everyone() -> None:
    """
    Ours, those that finished and those that did not, each saying who it is.
    """
    text = str(dict(drawn(PARTS))["race"])

    assert text.count("<title>ratelimit-client, untold: ") == 9
    assert text.count("<title>openai-sdk, defaults: no end, 3000 refused, 40 lost</title>") == 9


def test_an_axis_keeps_what_it_is_given_inside() -> None:
    """
    By logarithms, from end to end, also downwards.
    """
    up = Axis(1, 1000, 300, 0)

    assert [round(up.at(value), 6) for value in (0.1, 1, 10, 1000, float("inf"))] == [300, 300, 200, 0, 0]
    assert up.ticks == [1, 10, 100, 1000]
    assert Axis(0.97, 2.2, 0, 1).ticks == [1, 1.2, 1.5, 2]
    assert Axis(1, 20, 0, 1).ticks == [1, 2, 5, 10, 20]
    assert Axis(0, 120, 0, 1, Kind.LOG_FROM_ZERO).ticks == [0, 1, 2, 5, 10, 20, 50, 100]


@pytest.mark.parametrize(
    ("value", "said"), [(1.0, "1"), (0.5, "0.5"), (1000.0, "1 k"), (20_000.0, "20 k"), (10_000_000.0, "10 M")]
)
def test_a_tick_is_short(value: float, said: str) -> None:
    """
    No zeros to count.
    """
    assert short(value) == said


def test_labels_do_not_lie_on_each_other() -> None:
    """
    They keep their order and move down as far as they must.
    """
    assert apart([50.0, 10.0, 52.0, 12.0], 15) == [50.0, 10.0, 65.0, 25.0]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "-"),
        ("not installed", "not installed"),
        (2.3456, "2.35 us"),
        ({"median": 1234.5, "least": 0.00012345, "most": 5e6}, "1,234 us (0.000123 to 5,000,000)"),
    ],
)
def test_a_figure_is_read_at_a_glance(value: Any, said: str) -> None:
    """
    Three digits that count, no powers of ten, and what it varied by beside it.
    """
    assert figure(value, "us") == said


def test_no_number_is_a_dash() -> None:
    """
    A gap looks like an oversight.
    """
    assert (number(None), number(0.0), number(100.0)) == ("-", "0", "100")


def test_who_was_not_done_has_no_time() -> None:
    """
    What it had answered when it was stopped stands beside it.
    """
    shown = page.page(PARTS)

    assert "| ours | 31.0 s | 1.0 | 900 | 0 | 900 |" in shown
    assert "| theirs | not done after 300 s | - | 452 | 0 | 452 |" in shown
    assert "with idle priority, on a machine that others used as well (load 1.5 at the start); ray 2.60" in shown
