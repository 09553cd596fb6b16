"""
docs/benchmarks.md and docs/plots/*.svg, made of the results; nobody edits them by hand.

    python -m benchmarks.page     # write them anew, measuring nothing

Law of this package: the page is a function of the results and of nothing else, so a test can say
whether it is theirs. A part that was not measured is named as such. Whatever a peer does better is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from . import clusters, costs, models, races, shared
from .plots import PLOTS, drawn
from .tables import of

DOCS: Final = Path(__file__).parent.parent.parent / "docs"
PAGE: Final = DOCS / "benchmarks.md"
PICTURES: Final = DOCS / "plots"

_HEAD: Final = """# Benchmarks

Written by `make bench` from `benchmarks/results/latest.json`; do not edit. Absolute times are of one
shared machine and worth little; compare within a table. What was measured where, and of which
commit, stands below each table. [How to run it yourself](#how-to-run-it-yourself)."""

_TAIL: Final = """## How to run it yourself

    make bench           # all but the peers; needs nothing but the checkout
    make bench-full      # and the race against the peers, and Ray, each installed in an environment of its own
    make gate            # has anything grown more costly? Counts instructions, in a minute or two

    .venv-bench/bin/python -m benchmarks race cpu micro    # only these parts; the others keep their figures
    .venv-bench/bin/python -m benchmarks race-peers --scenario B --peer openai-sdk
    .venv-bench/bin/python -m benchmarks.page              # this page anew, measuring nothing

The race against the peers goes on where it was stopped. `make gate` compares instructions, counted by valgrind, and
bytes held, each as a multiple of what the same takes without this library, with `benchmarks/gate/baseline.json`:
no time is measured, so a noisy machine changes nothing."""

Write = Callable[[Any], Iterator[str]]

SECTIONS: Final[tuple[tuple[str, str, Write, tuple[str, ...]], ...]] = (
    ("peers", "The race against peers", races.peers, ("race", "refusals")),
    ("race", "The race alone", races.alone, ()),
    ("cpu", "CPU of a bulk run", costs.cpu, ()),
    ("sdk", "Under the OpenAI SDK", costs.sdk, ()),
    ("micro", "Small costs", costs.micro, ()),
    ("growth", "Growth", costs.growth, ("growth", "memory")),
    ("startup", "Start-up", costs.startup, ()),
    ("metrics", "Being watched", costs.metrics, ()),
    ("proxy", "The proxy", costs.proxy, ()),
    ("processes", "Several processes on one key", shared.processes, ()),
    ("crowds", "The same without a store, in virtual time", shared.crowds, ()),
    ("stored", "Through a Redis", shared.stored, ()),
    ("ray", "On a Ray cluster", clusters.ray, ()),
    ("newcomer", "A new worker on a shared budget", models.newcomer, ()),
    ("models", "Models in virtual time", models.models, ()),
)
"""The part of the results, the heading, what writes it, and the plots that stand over it."""


def page(results: dict[str, Any]) -> str:
    """The whole page."""
    there = dict(drawn(results))
    parts = [_HEAD]
    for name, heading, write, plots in SECTIONS:
        lines = [f"## {heading}", ""]
        if name not in results:
            lines.append("Not measured yet.")
        else:
            for plot in plots:
                if plot in there:
                    lines += [f"![{there[plot].name}]({PICTURES.name}/{plot}.svg)", ""]
            lines += [*write(results[name]["found"]), "", of(results[name]["of"])]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, _TAIL]) + "\n"


def files(results: dict[str, Any]) -> dict[Path, str]:
    """What stands in each file that is made of the results."""
    plots = {PICTURES / f"{name}.svg": str(drawing) for name, drawing in drawn(results)}
    return {PAGE: page(results), **plots}


def write(results: dict[str, Any]) -> None:
    """Write them; the plot of a part that is not there any more goes."""
    made = files(results)
    PICTURES.mkdir(exist_ok=True)
    for name in PLOTS:
        (PICTURES / f"{name}.svg").unlink(missing_ok=True)
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
