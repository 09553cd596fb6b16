"""Hints side by side."""

from __future__ import annotations

import random

from ratelimit_client.core.hints import Hint, longest, with_hint


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
