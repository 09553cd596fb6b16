"""Ledgers for every kind of enforcement: rows of (second, cost, what happens, units left as shown)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client import Quota
from ratelimit_client.testing.enforcement import Enforcement, FixedWindowMeter, Meter, fixed, minute, sliced
from ratelimit_client.testing.showing import show

S = 1_000_000_000
SIXTY = Quota("requests", 60)
TAKEN = 0.0


def meter(kind: Enforcement, quota: Quota = SIXTY, phase_s: float = 0.0) -> Meter:
    class Dice(random.Random):
        def randrange(self, *_: object) -> int:  # type: ignore[override]
            return round(phase_s * S)

    return kind.meter(quota, Dice(), now_ns=0)


def ledger(judge: Meter, *rows: tuple[float, int, float, int]) -> None:
    """
    Each row asks for a cost at a second and says how long it has to wait (0: it is taken)
    and what the headers show after it.
    """
    for number, (second, cost, wait_s, left) in enumerate(rows, start=1):
        judge.advance(round(second * S))
        wait_ns = judge.wait_ns(cost)
        assert wait_ns == round(wait_s * S), f"row {number}"
        if not wait_ns:
            judge.take(cost)
        assert show(judge).remaining == left, f"row {number}"


def test_minute_holds_the_whole_limit_and_refills_evenly() -> None:
    """60 a minute: sixty at once, then one a second, never more than sixty."""
    ledger(
        meter(minute()),
        (0.0, 60, TAKEN, 0),
        (0.0, 1, 1.0, 0),
        (0.5, 1, 0.5, 0),
        (1.0, 1, TAKEN, 0),
        (3.5, 5, 2.5, 2),
        (500.0, 0, TAKEN, 60),
    )


def test_sliced_refuses_a_burst_that_the_headers_promise() -> None:
    """60 a minute in slices of 5 s: five at once, while the headers still show 55."""
    ledger(
        meter(sliced(5)),
        (0.0, 5, TAKEN, 55),
        (0.0, 1, 1.0, 55),
        (0.5, 1, 0.5, 55),
        (1.0, 1, TAKEN, 55),
        (6.0, 5, TAKEN, 55),
        (6.0, 2, 2.0, 55),
    )


def test_sliced_lets_a_call_dearer_than_a_slice_go_from_an_untouched_one() -> None:
    """Ten from a slice of five go when it is full, and overdraw it by five."""
    ledger(
        meter(sliced(5)),
        (0.0, 1, TAKEN, 59),
        (0.0, 10, 1.0, 59),
        (1.0, 10, TAKEN, 50),
        (1.0, 1, 6.0, 50),
        (7.0, 1, TAKEN, 55),
    )


def test_sliced_is_also_a_minute_bucket() -> None:
    """When the minute bucket is what lacks, its wait counts: a slice of 50 s does not hide it."""
    judge = meter(sliced(50))
    judge.take(50)
    judge.advance(50 * S)  # 60 and 50 on hand
    judge.take(50)
    judge.advance(50 * S)
    judge.take(0)

    assert judge.wait_ns(11) == 11 * S


def test_fixed_counts_anew_at_its_own_phase() -> None:
    """60 a minute counted by 5 s: five until the step at 2 s, then five more until 7 s."""
    ledger(
        meter(fixed(5), phase_s=2),
        (0.0, 5, TAKEN, 55),
        (0.0, 1, 2.0, 55),
        (1.9, 1, 0.1, 56),
        (2.0, 5, TAKEN, 52),
        (6.5, 3, 0.5, 56),
        (7.0, 5, TAKEN, 52),
        (22.0, 5, TAKEN, 55),
    )


def test_fixed_lets_ten_through_in_no_time_around_a_step() -> None:
    """That is what a counter is: twice the slice in a hundredth of a second."""
    ledger(meter(fixed(5), phase_s=2), (1.995, 5, TAKEN, 55), (2.005, 5, TAKEN, 50), (2.005, 1, 4.995, 50))


def test_a_counter_as_long_as_the_window_stands_alone() -> None:
    """fixed(60) shows its own count, and its reset is the time to the next step."""
    judge = meter(fixed(60), phase_s=10)

    assert isinstance(judge, FixedWindowMeter)
    ledger(judge, (0.0, 60, TAKEN, 0), (0.0, 1, 10.0, 0), (9.0, 1, 1.0, 0), (10.0, 60, TAKEN, 0), (10.5, 1, 59.5, 0))
    assert show(judge).reset_ns == 59_500_000_000
    assert repr(judge) == "<FixedWindowMeter 0/60 requests>"


@pytest.mark.parametrize("kind", [minute(), sliced(5), fixed(5), fixed(60)], ids=lambda kind: f"{kind.kind}")
def test_a_refusal_takes_what_is_there_and_no_more(kind: Enforcement) -> None:
    """Charging refused calls leaves zero, never a debt, and forgives no debt either."""
    judge = meter(kind, phase_s=30)
    judge.take(57 if kind.slice_ns in (0, 60 * S) else 3)
    for _ in range(100):
        judge.drain(2)

    assert show(judge).credits == 0
    judge.advance(S // 2)
    judge.drain(1)
    judge.take(4)
    debt = show(judge).credits
    judge.drain(1)
    assert show(judge).credits == debt < 0


@pytest.mark.parametrize("kind", [minute(), sliced(5), fixed(5), fixed(60)], ids=lambda kind: f"{kind.kind}")
def test_a_changed_limit_keeps_what_was_used(kind: Enforcement) -> None:
    """Five of 60 used are five of 120 and five of 30; a cut below what was used leaves nothing, not a debt."""
    judge = meter(kind, phase_s=30)
    judge.take(5)

    judge.resize(120)
    assert show(judge).remaining == 115
    judge.resize(30)
    assert show(judge).remaining == 25
    judge.resize(3)
    assert show(judge).credits == 0
    judge.resize(60)
    judge.advance(1000 * S)
    assert (show(judge).remaining, show(judge).limit) == (60, 60)


def test_a_slice_grows_and_shrinks_with_its_limit() -> None:
    """Twice the limit is twice the slice."""
    for kind in (sliced(5), fixed(5)):
        judge = meter(kind, phase_s=4)
        judge.resize(120)
        judge.take(10)
        assert judge.wait_ns(1) > 0
        judge.resize(60)
        assert judge.wait_ns(1) > 0


def test_a_slice_that_grows_gives_nothing_at_once() -> None:
    """A third of the limit and the whole again: an empty bucket of 5 fills as time passes; a count stays."""
    judge = meter(sliced(5))
    judge.take(5)
    judge.resize(20)
    judge.resize(60)
    assert judge.wait_ns(1) == S
    judge.resize(12)
    judge.advance(100 * S)
    judge.resize(60)
    assert [judge.wait_ns(cost) for cost in (1, 2)] == [0, S]

    counter = meter(fixed(5), phase_s=4)
    counter.take(4)
    counter.resize(120)
    assert [counter.wait_ns(cost) for cost in (6, 7)] == [0, 4 * S]


def test_a_slice_holds_at_least_one() -> None:
    """3 a minute in slices of a second: one call at a time, not none ever."""
    quota = Quota("requests", 3)

    ledger(meter(sliced(1), quota), (0.0, 1, TAKEN, 2), (0.0, 1, 20.0, 2), (20.0, 1, TAKEN, 2))
    ledger(meter(fixed(1), quota), (0.0, 1, TAKEN, 2), (0.0, 1, 1.0, 2), (1.0, 1, TAKEN, 1))


def test_time_that_runs_backwards_stands_still() -> None:
    """A call that arrives with an earlier time than the last is judged at the last one."""
    for kind in (minute(), sliced(5), fixed(5), fixed(60)):
        judge = meter(kind, phase_s=4)
        judge.advance(10 * S)
        before = show(judge)
        judge.advance(5 * S)
        assert show(judge) == before


def test_a_slice_has_a_length_that_fits() -> None:
    """No slice of nothing, none longer than its window."""
    for make in (sliced, fixed):
        with pytest.raises(ValueError, match="slice"):
            make(0)
        with pytest.raises(ValueError, match="does not fit"):
            make(61).meter(SIXTY, random.Random(0), now_ns=0)


def test_the_phase_is_left_to_the_dice() -> None:
    """Two servers with two seeds step at two instants."""
    steps = {
        judge.counter.step_ns
        for seed in range(20)
        if isinstance(judge := fixed(60).meter(SIXTY, random.Random(seed), now_ns=0), FixedWindowMeter)
    }

    assert len(steps) == 20
    assert all(0 < step_ns <= 60 * S for step_ns in steps)


def test_the_phase_counts_from_the_opening() -> None:
    """One seed, one server: its first step comes as soon after it was opened, whatever the clock showed then."""
    waits = set()
    for now_ns in (0, 7 * S, 123_456_789_012_345):
        judge = fixed(60).meter(SIXTY, random.Random(3), now_ns=now_ns)
        judge.take(60)
        waits.add(judge.wait_ns(1))

    assert len(waits) == 1


@given(
    limit=st.integers(1, 10**7),
    window_s=st.sampled_from([1, 60, 86_400, 2_592_000]),
    steps=st.lists(st.tuples(st.integers(0, 10**11), st.integers(0, 10**6)), max_size=30),
    kind=st.sampled_from([minute(), sliced(0.5)]),
)
def test_headers_obey_the_law_of_the_bucket(
    limit: int, window_s: int, steps: list[tuple[int, int]], kind: Enforcement
) -> None:
    """0 <= (limit - remaining) - reset x limit / window < 1, for every history; the instant it names is exact."""
    judge = kind.meter(Quota("tokens", limit, window_s), random.Random(0), now_ns=0)
    now_ns = 0
    for pause_ns, cost in steps:
        now_ns += pause_ns
        judge.advance(now_ns)
        if cost <= limit:
            wait_ns = judge.wait_ns(cost)
            if wait_ns:
                judge.advance(now_ns + wait_ns - 1)
                assert judge.wait_ns(cost) == 1
                now_ns += wait_ns
                judge.advance(now_ns)
            assert judge.wait_ns(cost) == 0
            judge.take(cost)
        else:
            judge.drain(cost)
        shown = show(judge)
        # reset is cut to whole nanoseconds, which is worth limit / window units at most.
        gap = (shown.limit - shown.remaining) * shown.window_ns - shown.reset_ns * limit
        assert 0 <= gap < shown.window_ns + limit
        assert 0 <= shown.remaining <= limit
