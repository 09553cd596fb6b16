"""
``python -m benchmarks race``: us alone, in minutes, always anew.
``python -m benchmarks race-peers``: us and every peer, in hours, and it goes on where it stopped.

    python -m benchmarks race-peers [--peer NAME] [--scenario B] [--variant tuned] [--seeds 5] [--at-once 4]

Each of --peer, --scenario and --variant may be given more than once. The results are made of
all that the journal holds for what was asked; without those options that is the whole table.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs

from . import entrants, judge, schedule
from .entrants import Entrant
from .run import Run
from .scenarios import SCENARIOS, Scenario, named

SEEDS = 5

Found = Sequence[tuple[Run, int]]


def race(names: Iterable[str] = (), seeds: int | None = None, at_once: int | None = None) -> list[dict[str, Any]]:
    """Every scenario (or those named) run by us, with the verdict; SEEDS and AT_ONCE in the environment change how."""
    seeds = int(os.environ.get("SEEDS", SEEDS)) if seeds is None else seeds
    at_once = int(os.environ.get("AT_ONCE", schedule.AT_ONCE)) if at_once is None else at_once
    scenarios = named(frozenset(names))
    found = schedule.run_all(schedule.races(scenarios, [entrants.ours()], seeds), at_once=at_once)
    verdicts = [judge.alone(each, _of(found, each, entrants.ours())) for each in scenarios]
    for verdict in verdicts:
        print(_line(verdict), flush=True)
    return [attrs.asdict(verdict) for verdict in verdicts]


def peers(arguments: Sequence[str] = (), *, of: str = "") -> list[dict[str, Any]]:
    """The scenarios run by us and the peers, with the verdict on each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks race-peers", description="us and every peer")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME", help="only this peer, and us")
    parser.add_argument("--scenario", action="append", default=[], choices=_raced_names(), help="only this one")
    parser.add_argument("--variant", action="append", default=[], choices=("defaults", "tuned"), help="only this one")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="runs of each (%(default)s)")
    parser.add_argument("--at-once", type=int, default=schedule.AT_ONCE, help="runs side by side (%(default)s)")
    asked = parser.parse_args(arguments)
    scenarios = tuple(each for each in SCENARIOS if each.raced and (not asked.scenario or each.name in asked.scenario))
    try:
        field = [entrants.ours(), *entrants.peers(asked.peer, asked.variant)]
    except ValueError as error:
        parser.error(str(error))
    wanted = schedule.races(scenarios, field, asked.seeds)
    found = schedule.run_all(wanted, at_once=asked.at_once, journal=schedule.JOURNAL, of=of)
    tables = [judge.among_peers(each, [(who, _of(found, each, who)) for who in field]) for each in scenarios]
    for table in tables:
        print("\n".join(_lines(table)), flush=True)
    return tables


def _raced_names() -> tuple[str, ...]:
    return tuple(each.name for each in SCENARIOS if each.raced)


def _of(found: Found, scenario: Scenario, who: Entrant) -> Found:
    wanted = (scenario.name, who.peer, who.variant)
    return [each for each in found if (each[0].scenario, each[0].peer, each[0].variant) == wanted]


# ---- what is printed -----------------------------------------------------------------------------


def _line(verdict: judge.Verdict) -> str:
    mark = {True: "holds", False: "MISSED", None: "-"}[verdict.holds]
    seconds = "   no end" if verdict.seconds is None else f"{verdict.seconds:7.2f} s"
    return (
        f"{verdict.name:10} {seconds}  {verdict.ratio or 0:6.3f} x ideal  "
        f"{verdict.refused:4.0f} refused (most {verdict.refused_most})  {verdict.calls:6.0f} calls  "
        f"lost {verdict.lost}  repeated {verdict.repeated}  {verdict.bound or 'no bound'}: {mark}"
    )


def _lines(table: dict[str, Any]) -> Iterator[str]:
    yield f"{table['name']}: {table['says']} (ideal {table['ideal_s']} s)"
    for each in table["entrants"]:
        seconds = "no end" if each["seconds"] is None else f"{each['seconds']:.2f} s"
        spread = "" if each["spread_s"] is None else "({:.2f} to {:.2f})".format(*each["spread_s"])
        yield (
            f"  {each['peer'] + ', ' + each['variant']:36} {seconds:>9} {spread:18} {each['refused']:6g} refused "
            f"({each['refused_least']} to {each['refused_most']}) {each['calls']:6g} calls  lost {each['lost']}  "
            f"repeated {each['repeated']}  killed {each['killed']} of {each['seeds']}  CPU {each['cpu_s']} s"
        )
    verdict = table["verdict"]
    if verdict is not None:
        mark = "holds" if verdict["holds"] else "MISSED"
        yield (
            f"  {mark}: best {verdict['best_s']} s by {verdict['best']}, we take {verdict['behind']} of it; "
            f"fewest {verdict['fewest_of']} nearby: {verdict['least']}"
        )
    for words in table["better"]:
        yield f"  better: {words}"
