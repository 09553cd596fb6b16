"""
Is it worse than the baseline?

Law of this file: arithmetic on what was counted; nothing is measured, read or written. The
baseline holds an entry for each minor version of Python that was ever accepted. Counted by the same
Python with the same packages, a ratio may be ``NARROW`` larger; counted by another, it is compared with the nearest
entry and may be ``WIDE`` larger. What became smaller passes, and is told, so that somebody accepts it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

NARROW: Final = 0.03
"""Five times what the least steady ratio varied by in five runs of unchanged code on a busy machine (0.6 %)."""
WIDE: Final = 0.15
"""CPython 3.11.7, 3.12.1 and 3.13.0 as pyenv builds them and Debian's 3.11.2: none was more than 6 % above another."""

ACCEPT: Final = "python -m benchmarks.gate --accept"


@attrs.frozen
class Counted:
    """
    Args:
        facts: what decides whether two counts are comparable closely: the Python, its build, the packages.
        counts: by name, instructions or bytes of one operation.
        floors: by name, the name of the floor it is a multiple of.
    """

    facts: Mapping[str, str]
    counts: Mapping[str, float]
    floors: Mapping[str, str]

    def ratio(self, name: str) -> float:
        """How many times its floor it takes."""
        return self.counts[name] / self.counts[self.floors[name]]

    def entry(self) -> dict[str, Any]:
        """As it stands in the file of the baseline."""
        return {
            "facts": dict(self.facts),
            "ratios": {name: round(self.ratio(name), 4) for name in self.floors},
            "counts": {name: round(count, 1) for name, count in self.counts.items()},
        }


@attrs.frozen
class Verdict:
    """
    What became of one ratio; ``floor`` is the name of what it is a multiple of.

    ``was`` is None for what the baseline does not know.
    """

    name: str
    floor: str
    was: float | None
    now: float
    margin: float

    @property
    def allowed(self) -> float | None:
        """The most it may be."""
        return None if self.was is None else self.was * (1 + self.margin)

    @property
    def passes(self) -> bool:
        """Known, and not more than that."""
        return self.allowed is not None and self.now <= self.allowed

    @property
    def fell(self) -> bool:
        """It is so much smaller that the baseline should say so."""
        return self.was is not None and self.now < self.was * (1 - self.margin)

    def __str__(self) -> str:
        times = f"{self.name}: {self.now:.3f} times {self.floor}"
        if self.was is None:
            return f"{times}; the baseline does not know it"
        change = f"{times}, baseline {self.was:.3f} ({self.now / self.was - 1:+.1%}), allowed {self.allowed:.3f}"
        return change if self.passes else f"{change}: refused"


def minor(version: str) -> str:
    """The part of a version of Python under which a baseline is kept."""
    return ".".join(version.split(".")[:2])


def _order(key: str) -> tuple[int, ...]:
    return tuple(map(int, key.split(".")))


def nearest(baseline: Mapping[str, Any], version: str) -> Mapping[str, Any] | None:
    """The entry of that version's minor version, or else of the nearest one, the newer of two."""
    here = _order(minor(version))
    keys = sorted(baseline, key=lambda key: (abs(_order(key)[-1] - here[-1]), -_order(key)[-1]))
    return baseline[keys[0]] if keys else None


def compare(baseline: Mapping[str, Any], counted: Counted) -> list[Verdict]:
    """One verdict for each ratio that was counted."""
    entry = nearest(baseline, counted.facts["python"]) or {"facts": {}, "ratios": {}}
    margin = NARROW if entry["facts"] == dict(counted.facts) else WIDE
    return [
        Verdict(name, floor, entry["ratios"].get(name), counted.ratio(name), margin)
        for name, floor in counted.floors.items()
    ]


def report(baseline: Mapping[str, Any], counted: Counted) -> tuple[bool, list[str]]:
    """Whether it passes, and what to say."""
    verdicts = compare(baseline, counted)
    return all(verdict.passes for verdict in verdicts), list(_lines(baseline, counted, verdicts))


def _lines(baseline: Mapping[str, Any], counted: Counted, verdicts: list[Verdict]) -> Iterator[str]:
    entry = nearest(baseline, counted.facts["python"])
    yield from map(str, verdicts)
    if entry is not None and (other := _differing(entry["facts"], counted.facts)):
        yield f"the baseline was counted with other versions ({other}), so the margin is {WIDE:.0%}, not {NARROW:.0%}"
    if any(verdict.fell for verdict in verdicts):
        fell = "; ".join(verdict.name for verdict in verdicts if verdict.fell)
        yield f"smaller than the baseline, which should be told: {fell}: {ACCEPT}"
    if refused := [verdict.name for verdict in verdicts if not verdict.passes]:
        yield (
            f"REFUSED: {'; '.join(refused)}. Make it take less again; or, if it is worth that, accept what was "
            f"counted as the new baseline and say in the change why: {ACCEPT}"
        )


def _differing(facts: Mapping[str, str], others: Mapping[str, str]) -> str:
    names = sorted({*facts, *others})
    return ", ".join(
        f"{name} {facts.get(name, 'none')}, here {others.get(name, 'none')}"
        for name in names
        if facts.get(name) != others.get(name)
    )
