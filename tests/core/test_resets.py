"""What the resets of one limit mean: the time to full, the time to a step, or nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.core.resets import Meaning, Resets
from ratelimit_client.core.units import NS as S
from ratelimit_client.core.units import to_ns

MS = S // 1000
MINUTE, HOUR, DAY = 60 * S, 3600 * S, 86_400 * S


def tell(resets: Resets, *answers: tuple[float, int, float], limit: int = 1200) -> list[bool]:
    """Answers of (second, remaining, reset in seconds)."""
    return [
        resets.see(limit, remaining, to_ns(reset_s), snap_ns=to_ns(second)) for second, remaining, reset_s in answers
    ]


def counter(window_s: float, phase_s: float, rate: float, *, limit: int = 1200) -> Iterator[tuple[float, int, float]]:
    """A counter of *limit* that starts anew every *window_s*, under *rate* calls a second."""
    used, number = 0, 0
    while True:
        second = number / rate
        left_s = window_s - (second - phase_s) % window_s
        if number and left_s > window_s - 1 / rate:
            used = 0
        used = min(limit, used + 1)
        yield second, limit - used, left_s
        number += 1


@given(
    st.sampled_from([1, 10, 60, 3600, 86_400]),
    st.integers(2, 10**7),
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**7)), max_size=100),
)
def test_an_honest_bucket_never_contradicts_itself(window_s: int, limit: int, walk: list[tuple[int, int]]) -> None:
    """Whoever spends, however long it rests: cut to milliseconds and whole units, all bounds meet."""
    resets, now_ns, level = Resets(), 0, limit * window_s * S
    full = level
    for rest_ns, spent in walk:
        now_ns += rest_ns
        level = max(-full, min(full, level + rest_ns * limit) - spent * window_s * S)
        remaining = max(0, level // (window_s * S))
        reset_ns = (full - level) // limit // MS * MS
        assert not resets.see(limit, remaining, reset_ns, snap_ns=now_ns)
    assert resets.tells_window
    assert resets.meaning is Meaning.TO_FULL


@pytest.mark.parametrize(
    ("window_s", "phase_s", "window_ns"),
    [(60, 45, MINUTE), (60, 3, 10 * S), (3600, 2000, HOUR), (1, 0, S), (30, 0, MINUTE)],
)
def test_a_reset_that_falls_with_the_time_is_the_time_to_a_step(
    window_s: float, phase_s: float, window_ns: int
) -> None:
    """Ten calls a second use up a counter: its reset does not care, and its window is the least that is usual."""
    resets, answers = Resets(), counter(window_s, phase_s, 10)
    seen = 0
    while not tell(resets, next(answers))[0]:
        seen += 1
    assert seen < 45
    assert resets.meaning is Meaning.TO_STEP
    assert resets.window_ns == window_ns
    assert not resets.tells_window


def test_whole_seconds_are_fine_enough_for_a_step() -> None:
    """A counter whose resets are rounded up."""
    resets, answers = Resets(), counter(60, 40, 10)
    changed = [
        tell(resets, (second, remaining, float(int(reset_s) + 1)))[0]
        for second, remaining, reset_s in zip_to(answers, 60)
    ]
    assert sum(changed) == 1
    assert resets.meaning is Meaning.TO_STEP


def zip_to(answers: Iterator[tuple[float, int, float]], count: int) -> list[tuple[float, int, float]]:
    return [next(answers) for _ in range(count)]


@pytest.mark.parametrize("reset_s", [0.0, 0.001, 1.0, 60.0, 360.0, 86_400.0])
def test_a_reset_that_is_always_the_same_means_nothing(reset_s: float) -> None:
    """Whatever it is: used ten times as much, a bucket needs ten times as long."""
    resets = Resets()
    changed = tell(resets, *((number / 10, 1200 - number, reset_s) for number in range(1, 60)))
    assert sum(changed) == 1
    assert resets.meaning is Meaning.NOTHING
    assert not resets.tells_window
    assert tell(resets, (7, 1000, 10)) == [False]


def test_one_odd_answer_is_no_evidence() -> None:
    """It contradicts what came before it, and what comes after contradicts it: two are not three."""
    resets = Resets()
    tell(resets, (0, 1100, 5), (1, 1000, 10), (2, 900, 3000), (3, 800, 20), (4, 700, 25))
    assert resets.tells_window

    tell(resets, (5, 600, 3000))
    assert not resets.tells_window
    assert resets.meaning is Meaning.TO_FULL, "there was no time to see what it is"


def test_long_agreement_forgives() -> None:
    """After 64 answers that agree, an odd one is the first again."""
    honest = [(5 + number, 1000, 10.0) for number in range(64)]
    for agreed, forgiven in ((64, True), (63, False)):
        resets = Resets()
        tell(resets, (0, 1100, 5), (1, 900, 3000), (2, 1100, 5), *honest[:agreed])
        tell(resets, (100, 900, 3000))
        assert resets.tells_window is forgiven


def test_another_limit_is_another_bucket() -> None:
    """What was read beside the old one contradicts nothing."""
    resets = Resets()
    tell(resets, (0, 1100, 5), (1, 900, 3000), (2, 1100, 5))
    tell(resets, (3, 9_999, 8.64), limit=10_000)
    tell(resets, (4, 9_900, 864), limit=10_000)
    tell(resets, (5, 1100, 5))
    assert resets.tells_window


def test_an_untouched_bucket_tells_nothing() -> None:
    """Nothing is used, so no window is bound, whatever the reset."""
    resets = Resets()
    assert tell(resets, *((second, 1200, 50.0 * second) for second in range(9))) == [False] * 9
    assert resets.tells_window


def test_a_longer_reset_lengthens_the_window_of_a_counter() -> None:
    """Seen first in its last minute, an hour's counter was taken for a minute's."""
    resets, answers = Resets(), counter(3600, 50, 10)
    told = [tell(resets, answer)[0] for answer in zip_to(answers, 490)]
    assert resets.window_ns == MINUTE
    told += [tell(resets, answer)[0] for answer in zip_to(answers, 100)]
    assert resets.window_ns == HOUR
    assert sum(told) == 2
