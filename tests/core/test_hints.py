"""Hints side by side."""

from __future__ import annotations

import random

from ratelimit_client.core.hints import Hint, LeastWait, longest, with_hint
from ratelimit_client.core.units import NS as S


def test_no_hint_is_forgotten_before_its_time() -> None:
    """Whatever came in which order, a call waits for the longest hint that meant it, as if all had been kept."""
    dice = random.Random(4)
    for _ in range(200):
        hints: tuple[Hint, ...] = ()
        all_hints: list[Hint] = []
        now_ns = 0
        for _ in range(12):
            now_ns += dice.randint(0, 20)
            new = Hint(now_ns + dice.randint(-5, 60), dice.randint(0, 5))
            hints = with_hint(hints, new, now_ns=now_ns)
            all_hints.append(new)
            for amount in range(7):
                until_ns = max((hint.until_ns for hint in all_hints if hint.amount <= amount), default=0)
                found = longest(hints, amount, now_ns=now_ns)
                assert (found.until_ns if found is not None else None) == (until_ns if until_ns > now_ns else None)


def test_only_what_says_more_is_kept() -> None:
    """A thousand refusals with the same wait are one hint."""
    hints: tuple[Hint, ...] = ()
    for number in range(1000):
        hints = with_hint(hints, Hint(100 + number, 3), now_ns=number)
    assert hints == (Hint(1099, 3),)
    assert with_hint(hints, Hint(50, 9), now_ns=40) == hints


def waits(*refusals: tuple[float, float], success_s: float | None = None) -> list[float]:
    """The waits after refusals of calls (sent, heard) in seconds, of a vendor that says a minute at least."""
    least = LeastWait()
    found = []
    for sent_s, heard_s in refusals:
        last_ns = round(success_s * S) if success_s is not None and success_s < heard_s else None
        found.append(least.refused(60 * S, round(sent_s * S), last_ns, now_ns=round(heard_s * S)) / S)
    return found


def test_a_least_wait_doubles_when_it_was_not_enough() -> None:
    """Each refusal of a call that was sent after the wait; beyond an hour it stays an hour."""
    sent_s, found = 0.0, []
    refusals = []
    for wait_s in (60, 120, 240, 480, 960, 1920, 3600, 3600, 3600):
        refusals.append((sent_s, sent_s + 0.1))
        found.append(float(wait_s))
        sent_s += wait_s + 1
    assert waits(*refusals) == found


def test_calls_that_were_under_way_say_nothing_about_the_wait() -> None:
    """Twenty were out together: all are told a minute."""
    assert waits(*[(0.0, 0.1 + number / 100) for number in range(20)], (61.0, 61.1)) == [60.0] * 20 + [120.0]


def test_a_success_after_the_wait_begins_anew() -> None:
    """One during the wait was sent before it, and begins nothing."""
    refusals = ((0.0, 0.1), (60.2, 60.3), (300.0, 300.1))
    assert waits(*refusals, success_s=299) == [60.0, 120.0, 60.0]
    assert waits(*refusals, success_s=30) == [60.0, 120.0, 240.0]


def test_a_vendor_may_ask_for_more_than_an_hour() -> None:
    """Its least is never cut short."""
    least = LeastWait()
    assert least.refused(7200 * S, 0, None, now_ns=S) == 7200 * S
    assert least.refused(7200 * S, 7300 * S, None, now_ns=7300 * S) == 7200 * S
