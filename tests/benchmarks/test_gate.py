"""The gate against growing slower: what it compares, what it says, and that it can refuse."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from benchmarks.gate import __main__ as gate
from benchmarks.gate.comparing import NARROW, WIDE, Counted, compare, nearest, report
from benchmarks.gate.counting import CannotCount, held_bytes, instructions
from tests.sizes import SIZE

FACTS = {"python": "3.11.7", "aiohttp": "3.14"}
FLOORS = {"permit": "semaphore"}


def counted(permit: float, semaphore: float = 100.0, **facts: str) -> Counted:
    return Counted({**FACTS, **facts}, {"permit": permit, "semaphore": semaphore}, FLOORS)


def baseline(permit: float, key: str = "3.11") -> dict[str, Any]:
    return {key: {**counted(permit).entry()}}


@pytest.mark.parametrize(
    ("now", "facts", "passes"),
    [
        (500.0, {}, True),
        (500.0 * (1 + NARROW) - 1, {}, True),
        (500.0 * (1 + NARROW) + 1, {}, False),
        (500.0 * (1 + NARROW) + 1, {"aiohttp": "3.15"}, True),
        (500.0 * (1 + WIDE) + 1, {"aiohttp": "3.15"}, False),
        (500.0 * (1 + WIDE) - 1, {"python": "3.13.1"}, True),
        (500.0 * (1 + WIDE) + 1, {"python": "3.13.1"}, False),
        (5.0, {}, True),
    ],
    ids=["same", "little", "more", "more elsewhere", "much elsewhere", "other Python", "much there", "less"],
)
def test_what_may_grow_and_by_how_much(now: float, facts: dict[str, str], passes: bool) -> None:
    """
    By the narrow margin where Python and packages are the baseline's, by the wide one where not.
    """
    verdict, *more = compare(baseline(500.0), counted(now, **facts))

    assert verdict.passes is passes
    assert not more


def test_a_machine_that_counts_differently_changes_nothing() -> None:
    """
    What is compared is a ratio: twice the count of everything is the same.
    """
    (verdict,) = compare(baseline(500.0), counted(1000.0, 200.0))

    assert (verdict.was, verdict.now) == (5.0, 5.0)


def test_a_refusal_says_all_that_is_needed() -> None:
    """
    Which workload, what it was, is and may be, and how a new baseline is accepted.
    """
    passes, lines = report(baseline(500.0), counted(600.0))

    assert not passes
    assert lines == [
        "permit: 6.000 times semaphore, baseline 5.000 (+20.0%), allowed 5.150: refused",
        "REFUSED: permit. Make it take less again; or, if it is worth that, accept what was counted as the new "
        "baseline and say in the change why: python -m benchmarks.gate --accept",
    ]


def test_what_became_cheaper_is_told() -> None:
    """
    Otherwise it could grow back unseen.
    """
    passes, lines = report(baseline(500.0), counted(400.0))

    assert passes
    assert lines[-1] == "smaller than the baseline, which should be told: permit: python -m benchmarks.gate --accept"


def test_what_the_baseline_does_not_know_is_refused() -> None:
    """
    A new workload comes with its baseline; and without any baseline nothing passes.
    """
    other = baseline(500.0)
    del other["3.11"]["ratios"]["permit"]
    for known in (other, {}):
        passes, lines = report(known, counted(500.0))

        assert not passes
        assert lines[0] == "permit: 5.000 times semaphore; the baseline does not know it"


@pytest.mark.parametrize(
    ("version", "key"),
    [("3.11.2", "3.11"), ("3.12.9", "3.13"), ("3.13.0", "3.13"), ("3.15.0", "3.13"), ("3.9.1", "3.11")],
)
def test_the_entry_of_the_nearest_python_counts(version: str, key: str) -> None:
    """
    Its own, or else the nearest, of two the newer.
    """
    entries = {"3.11": {"facts": {"python": "3.11.7"}}, "3.13": {"facts": {"python": "3.13.0"}}}

    assert nearest(entries, version) is entries[key]


def test_other_versions_are_named() -> None:
    """
    A wide margin has a reason, which is told.
    """
    _, lines = report(baseline(500.0), counted(500.0, aiohttp="3.15"))

    assert "(aiohttp 3.14, here 3.15), so the margin is" in lines[-1]


def test_the_baseline_is_of_all_there_is() -> None:
    """
    The file knows every workload and every holding, and none that there is no more.
    """
    entries = json.loads(gate.BASELINE.read_text(encoding="utf-8"))

    assert entries
    for entry in entries.values():
        assert set(entry["counts"]) == set(gate.ALL)
        assert set(entry["ratios"]) == {name for name, each in gate.ALL.items() if each.floor}


def test_every_floor_is_there() -> None:
    """
    A workload is a multiple of one that is none.
    """
    for each in gate.ALL.values():
        assert not each.floor or not gate.ALL[each.floor].floor


@pytest.fixture(scope="module")
def valgrind() -> None:
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is missing: install it with the packages of your system")


if SIZE != "test":  # it takes its time

    def test_a_planted_loop_is_refused(valgrind: None) -> None:
        """
        Twenty empty turns in one method are more than the margin, and a second count of the same is not.
        """
        counts = instructions(["plain python", "decision", "again", "slowed"], "tests.benchmarks.slowed")

        def as_decision(name: str) -> Counted:
            taken = {"plain python": counts["plain python"], "decision": counts[name]}
            return Counted(FACTS, taken, {"decision": "plain python"})

        known = {"3.11": as_decision("decision").entry()}
        assert report(known, as_decision("again"))[0]
        passes, lines = report(known, as_decision("slowed"))
        assert not passes
        assert lines[-1].startswith("REFUSED: decision.")


def test_a_count_that_fails_is_told(valgrind: None) -> None:
    """
    It is no count of nothing.
    """
    with pytest.raises(CannotCount, match="no_such_module"):
        instructions(["decision"], "no_such_module")


def test_bytes_are_the_same_every_time() -> None:
    """
    What a waiting call holds is counted, not weighed.
    """
    names = ["bare waiter, bytes", "waiter, bytes"]
    once, again = held_bytes(names), held_bytes(names)

    assert once == pytest.approx(again, rel=0.001)
    assert once["waiter, bytes"] > once["bare waiter, bytes"]
