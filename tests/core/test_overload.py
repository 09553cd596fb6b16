"""What overload does to the number of calls that may be under way."""

from __future__ import annotations

import pytest

from ratelimit_client.core.concurrency import Ending, InFlightWindow
from ratelimit_client.core.units import NS as S
from tests.core.pressing import answer, greedy, overload, sent

SILENCE = S // 4


@pytest.mark.parametrize(("out", "left"), [(30, 19), (13, 6), (6, 1), (5, 1)])
def test_overload_cuts_a_quarter_of_what_is_out(out: int, left: int) -> None:
    """Five of the last calls were dropped: of the 26 still out nineteen may go on, of nine six; one may always go."""
    window = InFlightWindow(1000)
    sent(window, 60 * S)
    answer(window, 32 - out, now_ns=60 * S)
    overload(window, 4, granted_ns=S, now_ns=61 * S)
    assert (window.size, window.careful) == (32, False)
    overload(window, 1, granted_ns=S, now_ns=61 * S)

    assert window.size == left
    assert window.careful
    assert not window.growing


def meet(window: InFlightWindow, pattern: str, *, at_s: int) -> None:
    """Calls one after the other, one a second: x meets the overload, a dot does not."""
    for second, letter in enumerate(pattern, start=at_s):
        window.granted(now_ns=second * S)
        window.answered(now_ns=second * S)
        window.ended(Ending.DROPPED if letter == "x" else Ending.SUCCEEDED, second * S, now_ns=second * S)


@pytest.mark.parametrize(("every", "cut"), [(8, False), (7, True)])
def test_four_of_32_are_no_overload(every: int, cut: bool) -> None:
    """One call in eight dropped is four of any 32, and the window stands; one in seven is five, and it is cut."""
    window = InFlightWindow(1000, in_flight=100)
    meet(window, ("x" + "." * (every - 1)) * 5, at_s=1)

    assert window.careful is cut


def test_a_cut_that_did_not_help_is_taken_back() -> None:
    """
    The way drops one call in seven, however few are out: what it comes from is not us.

    Five of 29 were dropped before the cut and four of 24 after it. From then on four of
    32 are usual, so twelve are let pass and the thirteenth cuts.
    """
    window = InFlightWindow(1000, in_flight=100)
    window.base = 64
    meet(window, "x......" * 4 + "x", at_s=1)
    assert (window.size, window.careful) == (48, True)
    meet(window, "......x" * 3 + "..", at_s=30)
    assert window.size == 48
    meet(window, "x", at_s=53)
    assert (window.size, window.careful) == (64, False)

    meet(window, "." * 32 + "x." * 12, at_s=54)
    assert (window.size, window.careful) == (64, False)
    meet(window, "x", at_s=110)
    assert (window.size, window.careful) == (48, True)


def test_a_cut_that_helped_stands() -> None:
    """One of 24 afterwards is less than a quarter of what was met before; what was usual counts half as much."""
    window = InFlightWindow(1000, in_flight=100)
    window.base, window._usual = 64, 3
    meet(window, "." * 10 + "x" * 11, at_s=1)
    assert window.size == 48
    meet(window, "." * 10 + "x" + "." * 13, at_s=22)

    assert (window.size, window.careful) == (48, True)
    meet(window, "." * 32 + "x" * 6, at_s=46)
    assert window.size == 48
    meet(window, "x", at_s=84)
    assert window.size == 36


def test_calls_that_tell_nothing_settle_no_question() -> None:
    """Cancelled and refused ones ended in no success; the next 24 that end well or badly say whether the cut helped."""
    window = InFlightWindow(100, in_flight=100)
    window.base = 64
    meet(window, "x......" * 4 + "x", at_s=1)
    assert window.size == 48
    for second in range(30, 84):
        window.ended(Ending.IGNORED, second * S, now_ns=second * S)
    meet(window, "......x" * 3 + "..x", at_s=84)

    assert window.size == 64


def test_while_it_is_compared_the_window_stands_still() -> None:
    """A round of answers earns nothing before 24 calls have ended; then it does."""
    window = InFlightWindow(1000)
    window.base = 8
    meet(window, "x" * 5, at_s=1)
    assert window.size == 1
    meet(window, "." * 23, at_s=6)
    window.granted(now_ns=29 * S)
    assert not window.has_room(now_ns=29 * S)
    assert window.opens_at_ns(now_ns=29 * S) is None
    window.ended(Ending.SUCCEEDED, 29 * S, now_ns=29 * S)
    window.granted(now_ns=30 * S)

    assert window.has_room(now_ns=30 * S)


def test_what_was_dropped_more_than_32_calls_ago_is_forgotten() -> None:
    """Four drops, 28 good ends and a fifth drop are not five of 32; with 27 between they are."""
    for between, cut in [(28, False), (27, True)]:
        window = InFlightWindow(1000, in_flight=100)
        overload(window, 4, granted_ns=0, now_ns=S)
        answer(window, between, now_ns=S)
        overload(window, 1, granted_ns=0, now_ns=S)
        assert window.careful is cut


def test_calls_that_were_out_together_cut_once() -> None:
    """Of twenty that hit the same overload the fifth cuts and no other; five that were sent after the cut cut again."""
    window = InFlightWindow(1000)
    sent(window, 60 * S)
    overload(window, 20, granted_ns=59 * S, now_ns=60 * S)
    assert window.size == 28 * 3 // 4

    overload(window, 5, granted_ns=60 * S, now_ns=62 * S)
    assert window.size == 21
    overload(window, 4, granted_ns=60 * S + 1, now_ns=62 * S)
    assert window.size == 21
    overload(window, 1, granted_ns=60 * S + 1, now_ns=62 * S)
    assert window.size == 3 * 3 // 4


def test_overload_ends_a_doubling_that_is_under_way() -> None:
    """What was not let out of it is gone, and so are the answers that were counted."""
    window = InFlightWindow(1000)
    sent(window, SILENCE)
    answer(window, 5, now_ns=SILENCE)
    greedy(window, now_ns=SILENCE)
    assert window.size == 8
    overload(window, 5, granted_ns=SILENCE, now_ns=2 * SILENCE - 1)

    assert window.size == 1
    assert greedy(window, now_ns=2 * SILENCE) == 1
    assert greedy(window, now_ns=2 * SILENCE) == 0


@pytest.mark.parametrize("ending", [Ending.SUCCEEDED, Ending.IGNORED])
def test_other_endings_cut_nothing(ending: Ending) -> None:
    """A success and a call without a lesson only free their slot."""
    window = InFlightWindow(1000)
    sent(window, 60 * S)
    answer(window, 20, now_ns=60 * S, ending=ending)

    assert (window.size, window.in_flight, window.careful) == (32, 12, False)


@pytest.mark.parametrize("size", [1, 6, 8, 15, 16, 240])
def test_after_overload_it_grows_by_an_eighth_each_answered_round(size: int) -> None:
    """By one up to fifteen calls, by thirty at 240: and silence earns nothing."""
    window = InFlightWindow(1000, careful=True)
    window.base = size
    second = 60
    for _ in range(3):
        greedy(window, now_ns=second * S)
        assert window.in_flight == window.size == size
        assert not window.has_room(now_ns=(second + 500) * S)
        assert window.opens_at_ns(now_ns=(second + 500) * S) is None
        second += 501
        answer(window, size - 1, now_ns=second * S)
        assert greedy(window, now_ns=second * S) == size - 1
        answer(window, 1, now_ns=second * S)
        assert greedy(window, now_ns=second * S) == 2
        size += max(1, size // 8)
        assert window.size == size
        second += 1
