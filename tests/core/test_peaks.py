"""How high a level can be, given that a bucket overflows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.core.peaks import _KEPT, Peaks

BRIM, RATE = 1000, 10


def noted(*debits: tuple[int, int]) -> tuple[Peaks, int]:
    """Peaks that saw (instant, amount) go out, and the sum."""
    peaks, total = Peaks(), 0
    for at_ns, amount in debits:
        peaks.note(total, RATE, now_ns=at_ns)
        total += amount
    return peaks, total


def test_a_bucket_nobody_drew_from_may_be_full() -> None:
    """Without a debit since the snapshot there is no bound but the brim."""
    assert Peaks().bound(BRIM, 0, RATE, since_ns=0, at_ns=50) == BRIM

    peaks, total = noted((10, 300))
    assert peaks.bound(BRIM, total, RATE, since_ns=11, at_ns=50) == BRIM


def test_what_flowed_into_a_full_bucket_is_lost() -> None:
    """
    A snapshot of the instant 0 says 900 of 1000. By 100 the bucket has been full for long; 300 go out.

    Ten later it holds 1000 - 300 + 100, although 900 + 1100 - 300 would say 1700.
    """
    peaks, total = noted((100, 300))

    assert peaks.bound(BRIM, total, RATE, since_ns=0, at_ns=110) == 800
    assert peaks.bound(BRIM, total, RATE, since_ns=0, at_ns=100) == 700
    assert peaks.bound(BRIM, total, RATE, since_ns=0, at_ns=500) == BRIM


def test_the_best_moment_counts_and_not_the_last() -> None:
    """Of three bursts the bound is what a bucket that was full before the first of a row can hold."""
    peaks, total = noted((100, 300), (105, 300), (110, 300))

    assert peaks.bound(BRIM, total, RATE, since_ns=0, at_ns=110) == 1000 - 900 + 100
    assert peaks.bound(BRIM, total, RATE, since_ns=101, at_ns=110) == 1000 - 600 + 50


def test_a_later_and_lower_moment_makes_the_earlier_ones_useless() -> None:
    """After a long rest the bucket was full again: what was before no longer bounds anything, and is dropped."""
    peaks, total = noted((100, 300), (105, 300), (900, 100))

    assert peaks.bound(BRIM, total, RATE, since_ns=0, at_ns=900) == 900
    assert len(peaks._g) == 1


def test_a_moment_after_the_instant_asked_for_bounds_nothing() -> None:
    """A snapshot between two bursts is not held against the later one."""
    peaks, total = noted((100, 300))

    assert peaks.bound(BRIM, total, RATE, since_ns=0, at_ns=99) == BRIM


def test_another_quota_forgets_what_was_counted_in_other_credits() -> None:
    """After clear() there is no bound left."""
    peaks, total = noted((100, 300))
    peaks.clear()

    assert peaks.bound(BRIM, total, RATE, since_ns=0, at_ns=100) == BRIM
    peaks.note(total, RATE, now_ns=200)
    assert peaks.bound(BRIM, total + 400, RATE, since_ns=0, at_ns=200) == 600


def test_the_memory_is_bounded_and_forgetting_only_loosens() -> None:
    """Of too many moments the older half goes: what is left never bounds below the truth."""
    peaks, total, debits = Peaks(), 0, 3 * _KEPT
    for at_ns in range(debits):
        peaks.note(total, RATE, now_ns=at_ns)
        total += RATE + 1  # a little faster than it flows back, so every moment counts

    assert _KEPT // 2 <= len(peaks._g) <= _KEPT
    assert len(peaks._at) == len(peaks._g)
    true = 10**6 - total + RATE * debits
    assert true < peaks.bound(10**6, total, RATE, since_ns=0, at_ns=debits) <= 10**6
    newest = debits - 5
    exact = 10**6 - (debits - newest) * (RATE + 1) + RATE * (debits - newest)
    assert peaks.bound(10**6, total, RATE, since_ns=newest, at_ns=debits) == exact


def brute_force(debits: list[tuple[int, int]], rate: int, brim: int, since: int, at: int) -> int:
    """The least bound over all instants of [since, at], each taken just before what is spent there."""
    spent = sum(amount for _, amount in debits)
    before = [sum(amount for when, amount in debits if when < instant) for instant in range(since, at + 1)]
    bounds = [
        brim - (spent - earlier) + rate * (at - instant)
        for instant, earlier in zip(range(since, at + 1), before, strict=True)
    ]
    return min(brim, *bounds)


@given(
    gaps=st.lists(st.tuples(st.integers(0, 12), st.integers(1, 60)), max_size=25),
    rate=st.integers(1, 9),
    since=st.integers(0, 150),
    wait=st.integers(0, 30),
)
def test_the_bound_is_the_least_over_all_instants(
    gaps: list[tuple[int, int]], rate: int, since: int, wait: int
) -> None:
    """The short rising list answers what a look at every instant since the snapshot would."""
    peaks, debits, now, total = Peaks(), [], 0, 0
    for gap, amount in gaps:
        now += gap
        peaks.note(total, rate, now_ns=now)
        debits.append((now, amount))
        total += amount
    at = max(now, since) + wait

    found = peaks.bound(BRIM, total, rate, since_ns=since, at_ns=at)

    assert found == brute_force(debits, rate, BRIM, since, at)


@given(
    gaps=st.lists(st.tuples(st.integers(0, 12), st.integers(1, 60)), max_size=25),
    rate=st.integers(1, 9),
    since=st.integers(0, 60),
    length=st.integers(0, 60),
)
def test_a_bound_in_the_past_is_never_too_low(gaps: list[tuple[int, int]], rate: int, since: int, length: int) -> None:
    """Asked for an instant before the last debits it may have forgotten what bounds it, but invents nothing."""
    peaks, debits, now, total, at = Peaks(), [], 0, 0, since + length
    for gap, amount in gaps:
        now += gap
        peaks.note(total, rate, now_ns=now)
        debits.append((now, amount))
        total += amount
    until = [(when, amount) for when, amount in debits if when <= at]
    spent = sum(amount for _, amount in until)

    found = peaks.bound(BRIM, spent, rate, since_ns=since, at_ns=at)

    assert brute_force(until, rate, BRIM, since, at) <= found <= BRIM


def test_a_lower_moment_takes_the_place_of_those_before_it() -> None:
    """
    Full at 10 and at 40, and 300 go out at each: what a snapshot of 20 can still hold is bounded by the later one.
    """
    peaks, total = noted((10, 300), (30, 0), (40, 300))

    assert peaks.bound(BRIM, total, RATE, since_ns=35, at_ns=50) == 800
    assert peaks.bound(BRIM, total, RATE, since_ns=41, at_ns=50) == BRIM

    peaks, total = noted((10, 0), (40, 300))
    assert peaks.bound(BRIM, total, RATE, since_ns=20, at_ns=50) == 800
