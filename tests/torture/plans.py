"""
Which cancellations a scene goes through: all there are.

Law of this file: the first run counts, the others cancel. A scene stands still where it
stood before, so every number of the count is a place that is met; after each first
cancellation the standstills of tidying up are counted, and are met by a second one.

What the library runs in tasks of its own stands still elsewhere. So a scene is cancelled
between turns of the loop as well, wherever all of them stand then.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

import attrs

from tests.sizes import SIZE
from tests.torture.census import met
from tests.torture.trial import Around, Outcome, Plan, Scene, run, run_on_sockets
from tests.torture.victim import Mode, Strike

SEEDS = {"test": 1, "ci": 5, "nightly": 500}[SIZE]
"""Orders of tasks, of which the first is asyncio's own."""

MOST_TURNS = 60
"""Turns of the loop after which a scene is cancelled; of more than that, each seed takes others, a quarter as many."""

SCOPES = (Around.TIMEOUT, Around.GROUP, Around.CHILD)


@attrs.define
class Report:
    """
    Args:
        runs: how often the scene was run.
        places: how many standstills it has.
        twice: second cancellations.
        stood: lines of the library at which somebody stood when cancelled, and how; by file, function and line.
    """

    runs: int = 0
    places: int = 0
    twice: int = 0
    stood: set[tuple[Mode | None, tuple[str, str, int]]] = attrs.field(factory=set)

    def add(self, outcome: Outcome) -> Outcome:
        """One more run."""
        self.runs += 1
        for mode, places in outcome.stood:
            self.stood.update((mode, place) for place in met(places))
        return outcome


def torture(scene: Scene, seed: int = 0) -> Report:
    """Run *scene* with every cancellation there is."""
    report = Report()

    def once(plan: Plan) -> Outcome:
        return report.add(run(scene, plan))

    with _collecting_little():
        calm = once(Plan(seed=seed))
        report.places = calm.standstills[0]
        for first in _strikes(report.places):
            outcome = once(Plan((first,), seed=seed))
            assert outcome.struck == 1, f"{scene.__name__}: {first} met nobody: the scene is not the same each time"
            for second in _strikes(outcome.standstills[1]):
                report.twice += once(Plan((first, second), seed=seed)).struck == 2
        for around in SCOPES if seed == 0 else (SCOPES[seed % len(SCOPES)],):
            for at in range(1, report.places + 1):
                once(Plan((Strike(at),), around=around, seed=seed))
        step = 1 + calm.turns // (MOST_TURNS if seed == 0 else MOST_TURNS // 4)
        for turn in range(1 + seed % step, calm.turns, step):
            once(Plan(turn=turn, seed=seed))
    return report


def torture_on_sockets(scene: Scene) -> Report:
    """
    The same on real sockets, where a scene may stand still more or less often each time.

    So it is cancelled one place later each time, until nobody is met.
    """
    report = Report()
    with _collecting_little():
        report.places = _until_nobody_is_met(scene, report, ())
    return report


def _until_nobody_is_met(scene: Scene, report: Report, strikes: tuple[Strike, ...]) -> int:
    for at in range(1, 200):
        met = False
        for mode in Mode:
            plan = Plan((*strikes, Strike(at, mode)))
            struck = report.add(run_on_sockets(scene, plan)).struck
            met = met or struck == len(plan.strikes)
            report.twice += struck == 2
            if struck == len(plan.strikes) == 1:
                _until_nobody_is_met(scene, report, plan.strikes)
        if not met:
            return at - 1
    raise AssertionError("it never ends")


def _strikes(places: int) -> Iterator[Strike]:
    for at in range(1, places + 1):
        for mode in Mode:
            yield Strike(at, mode)


@contextlib.contextmanager
def _collecting_little() -> Iterator[None]:
    """Each run ends with a look at all objects; what stands now need not be looked at."""
    ours = not gc.get_freeze_count()  # under pytest somebody has frozen before, and nothing is thawed
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        if ours:
            gc.unfreeze()
