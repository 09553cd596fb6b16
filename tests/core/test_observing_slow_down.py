"""What a server that says *slow down* does to its key."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.events import Kind
from ratelimit_client.core.explaining import explain
from ratelimit_client.core.keystate import KeyState
from ratelimit_client.core.quota import per_minute
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.statistics import Mode
from ratelimit_client.core.ticket import State, Ticket
from ratelimit_client.core.units import NS as S
from ratelimit_client.core.views import key_statistics
from tests.core.driving import OK, OPENAI, Drive, scheduler

SLOW = Signals(429, Reason.OVERLOADED, True, slow_down=True)
OTHERS = (
    Signals(503, Reason.OVERLOADED, True),
    Signals(500, Reason.SERVER_ERROR, True),
    Signals(429, Reason.RATE_LIMITED, True),
)


def drive_of(quotas: Any = ()) -> Drive:
    return Drive(scheduler(quotas, slots=1000, profile=attrs.evolve(OPENAI, groups_share=True)), hold=True)


def state_of(drive: Drive, key: str = "m") -> KeyState:
    return drive.machine.keys[key]


def answer(drive: Drive, signals: Signals = OK, *, key: str = "m", **ask: Any) -> Ticket:
    """One call, answered as soon as it went."""
    ticket = drive.ask(key, **ask)
    while ticket.state is State.QUEUED:
        wake_ns = drive.machine.next_wakeup()
        assert wake_ns is not None
        drive.to(wake_ns / S)
    drive.end(ticket, signals, Ending.IGNORED)
    return ticket


def slowed(drive: Drive, *, key: str = "m", bad: Signals = SLOW, **ask: Any) -> None:
    """A minute of a hundred calls, and then it is said of ten in a row."""
    start_s = drive.now_ns / S
    for number in range(100):
        drive.to(start_s + number * 0.6)
        answer(drive, key=key, **ask)
    drive.to(start_s + 60)
    for _ in range(10):
        answer(drive, bad, key=key, **ask)


@pytest.mark.parametrize(("ask", "unit", "rate"), [({}, "requests", 90), ({"tokens": 500}, "tokens", 45_000)])
def test_a_key_that_is_slowed_down_gets_a_pace(ask: dict[str, int], unit: str, rate: int) -> None:
    """A bucket beside the others, in what the calls pay; the rate stays that of the pace."""
    drive = drive_of(per_minute(requests=6000, tokens=3_000_000))
    drive.machine.subscribe([Kind.SLOWED_DOWN])
    slowed(drive, **ask)
    state = state_of(drive)
    pace = state.budget.slowdown.pace
    assert pace is not None
    assert (pace.pays, pace.limit, pace.source) == (unit, rate, "learned")
    assert pace in state.budget.by_unit[unit]
    event = drive.machine.next_event()
    assert event is not None
    assert (event.kind, event.facts) == (Kind.SLOWED_DOWN, {"unit": unit, "per_minute": rate, "request_id": None})

    drive.hold = False
    for _ in range(1000):
        drive.ask(**ask)
    drive.to(180)
    before = len(drive.log)
    drive.to(360)
    assert len(drive.log) - before == pytest.approx(3 * 90, abs=2)


@pytest.mark.parametrize("bad", OTHERS)
def test_no_other_trouble_is_a_matter_of_the_rate(bad: Signals) -> None:
    """A server that is overloaded, that fails, that refuses: each has its own remedy."""
    drive = drive_of()
    slowed(drive, bad=bad)

    assert state_of(drive).budget.slowdown.pace is None


def test_a_pace_that_nobody_uses_up_ends() -> None:
    """A call a minute for a quarter of an hour: the bucket is gone again, and the key is what it was."""
    drive = drive_of()
    slowed(drive)
    assert "requests" in state_of(drive).budget.by_unit
    for minute in range(2, 20):
        drive.to(60 * minute)
        answer(drive)

    assert state_of(drive).budget.slowdown.pace is None
    assert "requests" not in state_of(drive).budget.by_unit


def test_a_pace_that_does_not_help_is_given_up() -> None:
    """Whatever the rate, one call in six is slowed down: no event is told of the end, and no bucket is left."""
    drive = drive_of()
    drive.machine.subscribe([Kind.SLOWED_DOWN])
    slowed(drive)
    for number in range(1000):
        drive.to(130 + 2 * number)
        answer(drive, OK if number % 6 else SLOW)
        if state_of(drive).budget.slowdown.pace is None:
            break

    assert state_of(drive).budget.slowdown.pace is None
    assert "requests" not in state_of(drive).budget.by_unit
    rates = []
    while (event := drive.machine.next_event()) is not None:
        rates.append(event.facts["per_minute"])
    assert len(rates) == 3
    assert rates == sorted(rates, reverse=True)


def test_what_a_call_used_is_nothing_to_its_pace() -> None:
    """The pace was measured by what calls are charged, and their output is no part of that."""
    drive = drive_of()
    slowed(drive, tokens=500)
    pace = state_of(drive).budget.slowdown.pace
    assert pace is not None
    drive.to(100)
    before = pace.level(now_ns=drive.now_ns)
    ticket = drive.log[-1][1]
    drive.machine.settle(ticket, {"tokens": 40_000}, now_ns=drive.now_ns)

    assert pace.level(now_ns=drive.now_ns) == before


# -- keys that count together ---------------------------------------------------------


def named(drive: Drive, key: str) -> None:
    """A refusal that names the group of two keys."""
    shown = {"requests": Reading(60_000, 50_000, window_s=60.0)}
    refusal = Signals(429, Reason.RATE_LIMITED, True, unit="requests", readings=shown, limit_group="ab")
    drive.end(drive.ask(key), refusal, Ending.IGNORED)


def test_keys_that_turn_out_to_count_together_keep_the_pace_of_one() -> None:
    """What was sent before is counted in another ledger and teaches nothing."""
    drive = drive_of()
    named(drive, "a")
    slowed(drive, key="b")
    pace = state_of(drive, "b").budget.slowdown.pace
    assert pace is not None
    out = [drive.machine.submit("b", cost=Cost(), now_ns=drive.now_ns) for _ in range(15)]
    drive.to(90)
    named(drive, "b")
    slowdown = state_of(drive, "a").budget.slowdown
    assert slowdown.pace is pace
    assert pace in state_of(drive, "a").budget.by_unit["requests"]

    limit = pace.limit
    for ticket in out:
        drive.end(ticket, SLOW, Ending.IGNORED)
    assert pace.limit == limit


def test_the_own_pace_stands_when_another_key_joins() -> None:
    """It was measured by more of the calls."""
    drive = drive_of()
    slowed(drive, key="a")
    drive.to(100)
    named(drive, "a")
    pace = state_of(drive, "a").budget.slowdown.pace
    named(drive, "b")

    assert pace is not None
    assert state_of(drive, "b").budget.slowdown.pace is pace


# -- what is said about it ------------------------------------------------------------


def test_the_pace_is_shown_and_explained() -> None:
    """A mode, a bucket, and a sentence that says what it is and until when."""
    drive = drive_of()
    slowed(drive)
    shown = key_statistics(state_of(drive), now_ns=drive.now_ns)
    assert (shown.mode, shown.buckets["slow_down pace"].limit) == (Mode.SLOW_DOWN, 90)
    assert state_of(drive).remembers(now_ns=drive.now_ns)

    said = explain(drive.machine, "m", Cost(), now_ns=drive.now_ns)
    assert (said.admissible, said.binding) == (False, "slow_down pace")
    assert "the server asks to slow down: 90 requests a minute, for another 15 min, then growing slowly" in str(said)

    drive.to(1000)
    drive.ask()
    drive.ask()
    drive.ask()
    said = explain(drive.machine, "m", Cost(), now_ns=drive.now_ns)
    assert "90 requests a minute, growing slowly" in str(said)


def test_a_call_that_pays_a_thousand_times_the_usual_holds_nobody_up_for_hours() -> None:
    """A pace of 90 tokens a minute, and one call of 90 000: whoever comes next waits two minutes, not sixteen hours."""
    drive = drive_of(per_minute(requests=6000, tokens=3_000_000))
    slowed(drive, tokens=1)
    assert state_of(drive).budget.slowdown.pace is not None
    answer(drive, tokens=90_000)
    went_s = drive.now_ns / S
    answer(drive, tokens=1)

    assert drive.now_ns / S - went_s <= 121
