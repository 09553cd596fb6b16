"""What the scheduler shows of itself."""

from __future__ import annotations

from typing import Any

import pytest

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.explaining import explain, explain_first
from ratelimit_client.core.failure import FailureKind, TransportFailure
from ratelimit_client.core.outage import FAILURES_TO_CLOSE
from ratelimit_client.core.profile import ServerProfile
from ratelimit_client.core.quota import Quota, per_day, per_minute, per_second
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.statistics import BucketStatistics, LimiterStatistics, Mode
from ratelimit_client.core.units import NS as S
from ratelimit_client.core.views import bands, key_statistics, tallies
from tests.core.driving import OK, Drive, scheduler


def drive_of(*quotas: Any, slots: int = 4, **how: Any) -> Drive:
    return Drive(scheduler(*quotas, slots=slots, **how), hold=True)


def shown(drive: Drive, key: str = "m") -> dict[str, BucketStatistics]:
    return key_statistics(drive.machine.keys[key], now_ns=drive.now_ns).buckets


# -- numbers ----------------------------------------------------------------------


def test_a_key_is_shown_as_it_stands() -> None:
    """What waits and how long, what is under way, and what was let out and refused so far."""
    drive = drive_of(slots=2)
    refused, _, _ = (drive.ask() for _ in range(3))
    drive.to(5)
    drive.ask()
    drive.end(refused, Signals(429, Reason.RATE_LIMITED, True, retry_after_s=60.0), Ending.IGNORED)
    statistics = key_statistics(drive.machine.keys["m"], now_ns=8 * S)

    assert (statistics.queued, statistics.oldest_wait_s) == (2, 8.0)
    assert (statistics.in_flight, statistics.window) == (1, 2)
    assert (statistics.granted, statistics.refused, statistics.estimate_ratio) == (2, 1, None)
    totals = LimiterStatistics("x", {"m": statistics, "n": statistics})
    assert (totals.queued, totals.in_flight) == (4, 2)


def test_nobody_waits_for_no_time() -> None:
    """An empty queue has no oldest."""
    drive = drive_of()
    drive.ask()
    assert key_statistics(drive.machine.keys["m"], now_ns=8 * S).oldest_wait_s == 0.0


def test_a_bucket_shows_what_we_believe_and_what_the_server_said_last() -> None:
    """The two differ by what was debited since."""
    drive = drive_of()
    drive.end(drive.ask(), Signals(200, readings={"requests": Reading(600, 300, window_s=60.0)}))
    drive.ask()

    assert shown(drive) == {
        "requests": BucketStatistics(
            unit="requests",
            window_s=60.0,
            limit=600,
            level=299,
            reserve=6.0,
            server_remaining=300,
            source="header",
            gate_s=0.0,
            learnt_burst=None,
            foreign_ratio=0.0,
            series="alive",
        )
    }


def test_several_windows_of_one_unit_are_told_apart() -> None:
    """By their length; shared buckets and a learnt rate have names of their own."""
    drive = drive_of(per_minute(requests=10) + per_day(requests=100), shared=[Quota("requests", 1000)])
    drive.end(drive.ask(), Signals(429, Reason.RATE_LIMITED, True, retry_after_s=2.0), Ending.IGNORED)

    assert list(shown(drive)) == ["requests per 60 s", "requests per 86400 s", "learnt rate", "shared requests"]
    assert {each.series for each in shown(drive).values()} == {"none"}


def test_a_closed_bucket_shows_for_how_long() -> None:
    """And a learnt slice how much it lets through at once."""
    drive = drive_of()
    drive.end(drive.ask(), Signals(200, readings={"requests": Reading(600, 300, window_s=60.0)}))
    drive.to(1)
    refused = Signals(
        429, Reason.RATE_LIMITED, True, 4.0, {"requests": Reading(600, 309, window_s=60.0)}, unit="requests"
    )
    drive.end(drive.ask(), refused, Ending.IGNORED)

    bucket = shown(drive)["requests"]
    assert bucket.gate_s == pytest.approx(4.025)
    slice_ = drive.machine.keys["m"].budget.lines["requests"][0].lessons.slice
    assert slice_ is not None
    assert bucket.learnt_burst == slice_.capacity


def test_a_reserve_that_is_being_spent_is_shown_as_none() -> None:
    """The input has ended, and what waits costs no more than it."""
    drive = drive_of(per_minute(requests=1000))
    drive.ask(requests=995)
    assert shown(drive)["requests"].reserve == 10.0
    drive.ask(tenant="a")
    drive.machine.end_of_input("a", now_ns=0)
    drive.turn()
    assert shown(drive)["requests"].reserve == 0.0


def test_a_series_that_sleeps_is_shown_asleep() -> None:
    """It repeats itself while it should have fallen."""
    drive = drive_of(slots=1000)
    for number in range(60):
        drive.end(drive.ask(), Signals(200, readings={"requests": Reading(600, 500, window_s=60.0)}))
        drive.to(number / 100)

    assert shown(drive)["requests"].series == "asleep"


# -- mode -------------------------------------------------------------------------


def mode(drive: Drive) -> Mode:
    return key_statistics(drive.machine.keys["m"], now_ns=drive.now_ns).mode


def test_the_mode_tells_how_a_key_finds_its_pace() -> None:
    """A ramp while it keeps calls back, a learnt rate, an outage, and else a steady pace."""
    drive = drive_of(slots=100)
    drive.ask()
    assert mode(drive) is Mode.STEADY
    for _ in range(5):
        drive.ask()
    assert mode(drive) is Mode.RAMP

    drive.end(drive.log[0][1], Signals(429, Reason.RATE_LIMITED, True), Ending.IGNORED)
    assert mode(drive) is Mode.LEARNT_RATE
    for _ in range(FAILURES_TO_CLOSE):
        drive.machine.failed(drive.log[1][1], TransportFailure(kind=FailureKind.TIMEOUT), now_ns=0)
    assert mode(drive) is Mode.OUTAGE


def test_sharing_is_a_mode() -> None:
    """While a pace is kept for the sake of others."""
    drive = drive_of()
    drive.end(drive.ask(), Signals(200, readings={"requests": Reading(600, 300, window_s=60.0)}))
    line = drive.machine.keys["m"].budget.lines["requests"][0]
    line.sharing.consider(line.bucket, 500_000, urgent=True, now_ns=0)
    assert mode(drive) is Mode.SHARING


# -- looking is no event -----------------------------------------------------------


def test_statistics_change_nothing() -> None:
    """A look at a key is no event: the next wake-up stays where it was."""
    drive = drive_of(per_second(tokens=100))
    drive.end(drive.ask(tokens=100), OK)
    drive.ask(tokens=50)
    before = drive.machine.next_wakeup()
    for _ in range(3):
        shown(drive)
        explain(drive.machine, "m", Cost(tokens=10), now_ns=drive.now_ns)
        explain_first(drive.machine, "m", now_ns=drive.now_ns)

    assert drive.machine.next_wakeup() == before


def test_who_only_asks_does_not_widen_the_ramp() -> None:
    """Four are under way: a page that asks each second is no demand, a call that wants to go is."""
    drive = drive_of(slots=100)
    for _ in range(4):
        drive.ask()
    window = drive.machine.keys["m"].window
    for second in range(1, 5):
        assert explain(drive.machine, "m", Cost(), now_ns=drive.now_ns).binding == "ramp"
        assert window.size == 4
        drive.to(second)

    drive.ask()
    assert window.size == 8


def test_a_call_that_rests_waits_in_its_band() -> None:
    """It went at once, was sent back, and nobody ever stood in line there."""
    drive = drive_of()
    ticket = drive.ask(priority=1)
    drive.end(ticket, None, Ending.IGNORED)
    drive.machine.requeue(ticket, not_before_ns=9 * S, now_ns=0)

    found = bands(drive.machine.keys["m"], now_ns=2 * S)
    assert {band: (each.queued, each.oldest_wait_s) for band, each in found.items()} == {0: (0, 0.0), 1: (1, 2.0)}


def test_of_what_no_server_shows_only_our_own_account_is_shown() -> None:
    """A learnt rate, a quota over all keys: nobody has told a level, and nobody else spends there."""
    drive = drive_of(shared=[Quota("requests", 100, 60)])
    drive.ask()
    drive.end(drive.ask(), Signals(429, Reason.RATE_LIMITED, True), Ending.IGNORED)

    assert set(shown(drive)) == {"learnt rate", "shared requests"}
    for each in shown(drive).values():
        assert (each.server_remaining, each.learnt_burst, each.foreign_ratio, each.series) == (None, None, 0.0, "none")


def test_a_wait_that_a_server_asked_of_the_whole_key_is_shown() -> None:
    """Until it has passed; a refusal that asks for none shows none."""
    drive = drive_of(profile=ServerProfile(pays={"requests": "requests"}))
    first, second = drive.ask(), drive.ask()
    drive.end(first, Signals(429, reason=Reason.RATE_LIMITED), Ending.IGNORED)
    assert key_statistics(drive.machine.keys["m"], now_ns=drive.now_ns).gate_s == 0
    drive.end(second, Signals(429, reason=Reason.RATE_LIMITED, retry_after_s=30.0), Ending.IGNORED)
    asked = key_statistics(drive.machine.keys["m"], now_ns=drive.now_ns)
    later = key_statistics(drive.machine.keys["m"], now_ns=drive.now_ns + 60 * S)

    assert 30 <= asked.gate_s < 31
    assert later.gate_s == 0


def test_tallies_are_of_keys_that_are_shown():
    """
    What was let out and what was refused, of those and of no others.
    """
    drive = drive_of(per_minute(requests=100))
    for key in ("m", "m", "m", "hidden"):
        drive.ask(key)
    assert list(tallies(drive.machine, lambda name: name != "hidden")) == [("m", 3, 0)]
