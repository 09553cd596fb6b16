"""What each bucket says when it keeps a call back."""

from __future__ import annotations

import pytest

from ratelimit_client.core.profile import Refill, ServerProfile
from ratelimit_client.core.quota import per_day, per_minute, per_second
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.units import NS as S
from tests.core.asking_why import drive_of, refuse, why
from tests.core.test_observing_slow_down import slowed

WINDOWS = ServerProfile(pays={"requests": "requests"}, refill=Refill.WINDOW)


# -- buckets --------------------------------------------------------------------------


def test_the_bucket_that_binds_is_named_with_its_level() -> None:
    """And the calls that are ahead, with the time they take."""
    drive = drive_of(per_second(requests=100, tokens=1000))
    drive.ask(tokens=900)
    alone = why(drive, tokens=500)
    assert alone.ready_in_s == pytest.approx(0.41)
    assert str(alone) == "waits 0.4 s: tokens hold 100 of 1,000 per 1 s (as typed) and the call needs 500"

    drive.ask(tokens=600)
    drive.ask(tokens=700)
    behind = why(drive, tokens=500)
    assert (behind.ahead, behind.ready_in_s) == (2, pytest.approx(1.7))
    assert str(behind).endswith("; 2 calls are ahead")
    better = why(drive, priority=-1, tokens=500)
    assert (better.ahead, better.ready_in_s) == (0, pytest.approx(0.41, abs=0.5))


def test_of_two_windows_the_later_one_is_told() -> None:
    """A day's quota that is used up, and hours that nobody can read as seconds."""
    drive = drive_of(per_minute(requests=60) + per_day(requests=20))
    drive.ask(requests=20)
    assert str(why(drive, 2)) == "waits 2 h 38 min: requests hold 0 of 20 per 86400 s (as typed) and the call needs 2"


def test_what_is_kept_back_is_told() -> None:
    """There is one left, and it is the reserve; there are some, and somebody waits for more of them."""
    drive = drive_of(per_second(requests=100))
    drive.ask(requests=99)
    assert str(why(drive)) == (
        "waits 10 ms: requests hold 1 of 100 per 1 s (as typed) and the call needs 1, "
        "with 1 in reserve for what others spend unseen"
    )
    held = drive_of(per_second(requests=1000, tokens=1000))
    held.ask(tokens=900)
    held.ask(tokens=900, tenant="a")
    held.ask(tokens=900, tenant="b", priority=2)
    held.to(0.5)
    text = str(why(held, tokens=300))
    assert "tokens hold 600 of 1,000 per 1 s (as typed) and the call needs 300, with 10 in reserve for what" in text
    assert "unseen, with 250 set aside for a call that has waited longer, with 50 kept for worse priorities;" in text


def test_a_reserve_that_is_being_spent_holds_nobody() -> None:
    """Nor is it told; what is set aside for another call is."""
    drive = drive_of(per_second(tokens=1000))
    drive.ask(tokens=990)
    bucket = drive.machine.keys["m"].budget.by_unit["tokens"][0]
    bucket.spends_reserve = True
    bucket.hold_for(object(), 100, now_ns=0)
    drive.now_ns = S // 250
    assert str(why(drive, tokens=13)) == (
        "waits 2 ms: tokens hold 14 of 1,000 per 1 s (as typed) and the call needs 13, "
        "with 2 set aside for a call that has waited longer"
    )


def test_behind_a_window_the_steps_are_counted() -> None:
    """What is ahead takes this window and the next; no rate could tell that."""
    drive = drive_of(profile=WINDOWS)
    drive.end(drive.ask(), Signals(200, readings={"requests": Reading(10, 0, 100.0, window_s=3600.0)}))
    for _ in range(12):
        drive.ask()

    assert why(drive).ready_in_s == pytest.approx(100 + 1 + 0.25 + 3600, abs=1)


def test_a_window_says_when_it_ends_and_that_it_has_just_begun() -> None:
    """In between nothing flows back, and what comes with it is let out bit by bit."""
    drive = drive_of(profile=WINDOWS)
    drive.end(drive.ask(), Signals(200, readings={"requests": Reading(10, 0, 98.0, window_s=3600.0)}))
    ends_s = why(drive).ready_in_s
    assert ends_s is not None
    assert str(why(drive)) == (
        f"waits {ends_s:.1f} s: requests hold 0 of 10 per 3600 s (as the server shows) and the call needs 1, "
        f"nothing flows back before the window ends in {ends_s:.1f} s"
    )
    drive.to(ends_s + 0.5)
    assert "the window has just begun and opens bit by bit" in str(why(drive, 9))


def test_a_window_that_a_server_closed_may_end_at_any_time() -> None:
    """It named a wait and no end, and nobody has paid there yet: nothing is said of what nobody knows."""
    drive = drive_of(profile=WINDOWS)
    refused = Signals(429, Reason.RATE_LIMITED, True, 9.0, {"requests": Reading(10, 0, window_s=60.0)}, unit="requests")
    refuse(drive, drive.ask(), refused)
    assert str(why(drive)) == (
        "waits 9.0 s: requests hold 0 of 10 per 60 s (as the server shows) and the call needs 1, "
        "the server refused one with 429 and asked all calls to wait 9.0 s"
    )


def test_what_others_take_is_told() -> None:
    """Fifteen readings, one a second, that lack three requests each: of ten that flow in that is less than a third."""
    drive = drive_of(slots=1000)
    for second in range(15):
        drive.to(second)
        drive.end(drive.ask(), Signals(200, readings={"requests": Reading(600, 400 + 6 * second, window_s=60.0)}))
    assert str(why(drive, 500)) == (
        "waits 3.2 s: requests hold 484 of 600 per 60 s (as the server shows) and the call needs 500, "
        "others take 25% of what flows in"
    )


def test_a_limit_that_a_server_closed_tells_for_whom() -> None:
    """Whatever is left in it."""
    drive = drive_of()
    drive.end(drive.ask(), Signals(200, readings={"requests": Reading(600, 300, window_s=60.0)}))
    drive.to(1)
    named = {"requests": Reading(600, 309, window_s=60.0)}
    refuse(drive, drive.ask(), Signals(429, Reason.RATE_LIMITED, True, 4.0, named, unit="requests"))
    assert str(why(drive)) == (
        "waits 4.0 s: requests hold 309 of 600 per 60 s (as the server shows) and the call needs 1, "
        "the server refused one with 429 and asked all calls to wait 4.0 s"
    )
    drive.to(5.1)
    assert str(why(drive, 300)) == (
        "waits 25.0 s: the server lets through no more than 291 requests of 600 per 60 s at once: "
        "41 are left and the call needs 300"
    )


# -- what servers taught --------------------------------------------------------------


def test_a_pace_that_is_kept_for_the_sake_of_others_is_told() -> None:
    """Half is left in the bucket, so that it may go faster than what flows in."""
    drive = drive_of(slots=1000)
    for second in range(16):
        drive.to(second)
        drive.end(drive.ask(), Signals(200, readings={"requests": Reading(600, 300 + 4 * second, window_s=60.0)}))
    assert str(why(drive)) == (
        "waits 12 ms: others take 44% of what flows into requests, so that this process spreads its own evenly, "
        "no faster than 2,400 per 60 s"
    )


def test_a_pace_that_refusals_taught_is_told() -> None:
    """By a server that shows no limit, and by one that shows a better one; before it there is a pause."""
    drive = drive_of()
    refuse(drive, drive.ask())
    paused = why(drive)
    assert (paused.binding, paused.ready_in_s) == ("pause", pytest.approx(0.1))
    assert str(paused) == (
        "waits 0.1 s: the server refused and named no time: a pause of our own, twice as long while nothing is let in"
    )
    drive.to(0.2)
    assert str(why(drive)) == (
        "waits 0.8 s: the server shows no limit; its refusals taught 60 calls a minute, and more once none come"
    )
    liar = drive_of(slots=1000)
    enough = {"requests": Reading(600, 300, window_s=60.0)}
    refuse(liar, liar.ask(), Signals(429, Reason.RATE_LIMITED, True, readings=enough))
    liar.to(0.2)
    while not liar.machine.queued:
        liar.ask()
    assert "the server refuses below the limit that it shows; its refusals taught 300 calls a minute" in str(why(liar))


def test_a_server_that_says_slow_down_is_told_with_its_pace() -> None:
    """A rate, and until when it is held."""
    drive = drive_of(per_minute(requests=6000), slots=1000)
    slowed(drive)
    assert "the server asks to slow down: 90 requests a minute, for another 15 min, then" in str(why(drive))


def test_a_wait_that_a_server_asked_is_told_with_its_answer() -> None:
    """It named no limit, so all of the key wait; one that says less meanwhile changes nothing."""
    drive = drive_of()
    asked, other = drive.ask(), drive.ask()
    refuse(drive, asked, Signals(429, Reason.RATE_LIMITED, True, retry_after_s=3.0))
    refuse(drive, other)
    said = why(drive)
    assert (said.binding, said.ready_in_s) == ("hint", pytest.approx(3.025))
    assert str(said) == (
        "waits 3.0 s: the server refused a call with 429 without naming a limit and asked for this wait"
    )
