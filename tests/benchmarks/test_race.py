"""The race as far as nobody runs: what is ideal, who has won, and what need not be run again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from benchmarks.race import judge, schedule
from benchmarks.race.entrants import OURS, Entrant
from benchmarks.race.ideal import ideal_s
from benchmarks.race.run import Run
from benchmarks.race.scenarios import SCENARIOS, Scenario, named

US = Entrant(OURS, "untold")
THEM = Entrant("peer", "tuned", "1.0", ("peer",), made_of="a script")


def run(scenario: str = "B", who: Entrant = US, seed: int = 0, **changed: Any) -> Run:
    as_usual = {"ideal_s": 10.0, "seconds": 10.0, "refused": 0, "calls": 300, "lost": 0, "repeated": 0}
    facts = {**as_usual, "ended": True, "exit_code": 0, "cpu_s": 0.5, "busy": 0.5, **changed}
    return Run(scenario=scenario, peer=who.peer, variant=who.variant, seed=seed, **facts)


def verdict(ours: Run, theirs: Run, scenario: str = "B") -> dict[str, Any]:
    (what,) = named(frozenset({scenario}))
    table = judge.among_peers(what, [(US, [(ours, 4)]), (THEM, [(theirs, 4)])])
    return {"holds": table["verdict"]["holds"], "first": table["entrants"][0]["peer"], "better": table["better"]}


@pytest.mark.parametrize(
    ("scenario", "seconds"),
    [
        ("A", (400 - 300) / 5 + 0.15),
        ("B", (300 - 100) / 20 + 0.15),
        ("E", (300 - 100) / 20 + 0.15),
        ("C", (360 * 210 - 60_000) / 1000 + 0.15),
        # three bursts of 40 are charged before the last row may go
        ("F", (280 + 3 * 40 - 100) / 20 + 0.15),
        # a burst of 100, 4 s at 20/s, 6 s at a third of it, the rest at 20/s
        ("G", 10 + (340 - 100 - 4 * 20 - 6 * 20 / 3) / 20 + 0.15),
        ("H", (6 * 12_002 + 54 * 77 - 60_000) / 1000 + 0.15),
    ],
)
def test_the_ideal_is_the_integral_of_what_is_allowed(scenario: str, seconds: float) -> None:
    """The server asked step by step says what arithmetic says, to a step."""
    assert ideal_s(scenario, 0) == pytest.approx(seconds, abs=0.005)


def test_the_ideal_pays_for_what_goes_wrong() -> None:
    """A row whose call went wrong is called again: later than without faults, at most by a tenth of the rows."""
    without, most = (370 - 300) / 5 + 0.15, (1.1 * 370 - 300) / 5 + 0.5
    assert all(without < ideal_s("I", seed) <= most for seed in range(5))


def test_every_raced_scenario_takes_seconds_and_is_told() -> None:
    """All but the hopeless one take ten to twenty seconds at best, and have a limit a peer can be told."""
    raced = [each for each in SCENARIOS if each.raced]

    assert "".join(each.name for each in raced) == "ABCDEFGHI"
    assert all(10 <= ideal_s(each.name, 0) <= 21 for each in raced if not each.exit_code)
    assert all(each.per_minute("requests") or each.per_minute("tokens") for each in raced)


@pytest.mark.parametrize(
    ("ours", "theirs", "holds"),
    [
        ({}, {}, True),
        ({"seconds": 10.2}, {}, True),
        ({"seconds": 10.3}, {}, False),  # not within 2 %
        ({"seconds": 10.3}, {"lost": 1}, True),  # who lost a row is no rival
        ({"seconds": 10.3}, {"ended": False}, True),
        ({"lost": 1}, {"lost": 1}, False),
        ({"repeated": 1}, {}, False),
        ({"refused": 3}, {"refused": 2, "seconds": 10.4}, False),
        ({"refused": 3}, {"refused": 2, "seconds": 10.6}, True),  # more than 5 % later
        ({"seconds": None, "lost": 300}, {}, False),
        ({"seconds": 10.3}, {"seconds": None, "lost": 300}, True),
    ],
)
def test_what_it_takes_to_win(ours: dict[str, Any], theirs: dict[str, Any], holds: bool) -> None:
    """First or within 2 %, nothing lost or repeated, and the fewest refusals of those within 5 %."""
    assert verdict(run(**ours), run(who=THEM, **theirs))["holds"] is holds


def test_the_hopeless_is_won_by_asking_least() -> None:
    """Where no row can be answered calls count, and milliseconds do not."""
    theirs = run("D", THEM, seconds=0.02, calls=20)

    assert verdict(run("D", seconds=0.03, calls=4), theirs, "D")["holds"] is True
    assert verdict(run("D", seconds=0.03, calls=21), theirs, "D")["holds"] is False


def test_who_is_better_in_what_is_said() -> None:
    """The sooner with their refusals, the politer with their time; nobody who lost a row."""
    assert verdict(run(seconds=10.1, refused=4), run(who=THEM, refused=900))["better"] == [
        "peer, tuned: 0.10 s sooner, 900 refusals against our 4"
    ]
    assert verdict(run(refused=4), run(who=THEM, seconds=20.0))["better"] == [
        "peer, tuned: 4 fewer refusals, in 20.00 s against our 10.00"
    ]
    assert verdict(run(lost=1), run(who=THEM, refused=2))["better"] == [
        "peer, tuned: done in 10.00 s with 2 refusals, and we were not"
    ]
    assert verdict(run(seconds=10.1), run(who=THEM, lost=1)) == {"holds": True, "first": OURS, "better": []}


def test_a_broken_schedule_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """What stands in the journal is not run again, unless what it depends on has changed."""
    journal = tmp_path / "race.jsonl"
    made: list[tuple[str, int]] = []
    (scenario,) = named(frozenset({"B"}))

    def make(scenario: Scenario, who: Entrant, seed: int) -> Run:
        if len(made) == 3:
            raise KeyboardInterrupt
        if who.peer == "one that cannot be run":
            raise TimeoutError
        made.append((who.peer, seed))
        return run(scenario.name, who, seed)

    def go_on(*entrants: Entrant) -> list[tuple[Run, int]]:
        wanted = schedule.races([scenario], entrants, seeds=2)
        return schedule.run_all(wanted, at_once=1, journal=journal, make=make, say=str)

    with pytest.raises(KeyboardInterrupt):
        go_on(US, THEM)
    assert made == [(OURS, 0), ("peer", 0), (OURS, 1)]

    made.clear()
    assert len(go_on(US, THEM)) == 4
    assert made == [("peer", 1)]

    made.clear()
    assert len(go_on(US, attrs.evolve(US, peer="one that cannot be run"))) == 2

    made.clear()
    go_on(US, attrs.evolve(THEM, made_of="another script"))
    assert made == [("peer", 0), ("peer", 1)]
    assert len({json.loads(line)["digest"] for line in journal.read_text(encoding="utf-8").splitlines()}) == 3
