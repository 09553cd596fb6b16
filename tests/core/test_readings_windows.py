"""What one bucket learns from the readings of its server: windows that step."""

from __future__ import annotations

import pytest

from ratelimit_client.core.profile import Refill
from ratelimit_client.core.units import NS as S
from tests.core.feed import Feed, Sent


def window(limit: int = 100) -> Feed:
    """A hundred a minute, stepping to the limit at each reset."""
    return Feed.of(limit, refill=Refill.WINDOW)


def steps_at_s(feed: Feed) -> float | None:
    """When the bucket is thought to step next, in seconds."""
    return None if feed.bucket.steps_at_ns is None else feed.bucket.steps_at_ns / S


def stepped_s(feed: Feed) -> float | None:
    return None if feed.bucket.stepped_ns is None else feed.bucket.stepped_ns / S


# -- when it steps -------------------------------------------------------------


def test_nothing_flows_in_between() -> None:
    """Forty left are forty left, until the reset."""
    feed = window()
    feed.hear(feed.send(0.0), 40, at=0.0, reset_s=30.0)

    assert [feed.level(second) for second in (0.0, 29.9, 30.0, 89.9, 90.0)] == [40, 40, 100, 100, 100]


def test_the_reset_is_learnt_with_its_grain() -> None:
    """Our own guess was a window after the first call; the server says 30 s, cut to whole seconds: 31 to be sure."""
    feed = window()
    call = feed.send(10.0)
    assert steps_at_s(feed) == 70.0

    feed.hear(call, 40, at=10.5, looked=10.25, reset_s=30.0, grain_s=1.0)
    assert steps_at_s(feed) == 10.25 + 30.0 + 1.0


@pytest.mark.parametrize(("window_s", "most_s"), [(60, 1.0), (3600, 1.0), (6, 0.1)])
def test_many_processes_do_not_come_at_the_same_instant(window_s: int, most_s: float) -> None:
    """Each awaits the step a little later than it is told: its own part of a sixtieth of the window, or of 1 s."""
    for late_ppm in (0, 500_000, 1_000_000):
        feed = Feed.of(100, window_s, refill=Refill.WINDOW)
        feed.series.late_ppm = late_ppm
        feed.hear(feed.send(0.0), 40, at=0.0, reset_s=3.0)
        assert steps_at_s(feed) == 3.0 + most_s * late_ppm / 1_000_000


def test_the_reset_of_a_bucket_nobody_paid_in_is_learnt_too() -> None:
    """A dimension that is only shown steps when its readings say so."""
    feed = window()
    assert steps_at_s(feed) is None
    feed.hear(Sent(1, 0, 0, 0), 40, at=0.0, reset_s=30.0)

    assert steps_at_s(feed) == 30.0


def test_a_reset_of_zero_and_none_tell_nothing() -> None:
    """A server that says 0 is about to step, or has no idea: what is known stays."""
    feed = window()
    feed.hear(feed.send(0.0), 40, at=0.0, reset_s=30.0)
    feed.hear(feed.send(1.0), 39, at=1.0, reset_s=0.0)
    feed.hear(feed.send(2.0), 38, at=2.0)

    assert steps_at_s(feed) == 30.0
    assert feed.level(2.0) == 38


def test_a_later_reading_corrects_the_step() -> None:
    """The next step is provisional until a reading of its window was used: 60 s, then 55 s."""
    feed = window()
    feed.hear(feed.send(0.0), 40, at=0.0, reset_s=30.0)
    feed.level(31.0)
    assert (stepped_s(feed), steps_at_s(feed)) == (30.0, 90.0)

    feed.hear(feed.send(35.0), 99, at=35.0, reset_s=50.0)
    assert (stepped_s(feed), steps_at_s(feed)) == (30.0, 85.0)


def test_a_continuous_bucket_does_not_step() -> None:
    """There reset is the time to full, and nothing else."""
    feed = Feed.of()
    feed.hear(feed.send(0.0), 300, at=0.0, reset_s=30.0)

    assert steps_at_s(feed) is None


# -- which window a reading is of ----------------------------------------------


def test_a_reading_of_the_old_window_says_nothing_of_the_new_one() -> None:
    """Its answer came late: the step was at 30, the server looked at 29. Neither level nor reset is taken from it."""
    feed = window()
    feed.hear(feed.send(0.0), 40, at=0.0, reset_s=30.0)
    late = feed.send(29.0)
    feed.send(31.0)

    assert feed.hear(late, 3, at=32.0, reset_s=1.0) is None
    assert feed.level(32.0) == 99
    assert (stepped_s(feed), steps_at_s(feed)) == (30.0, 90.0)


def test_the_first_reading_of_the_new_window_counts() -> None:
    """Looked at in the instant of the step itself, it is of the new one."""
    feed = window()
    feed.hear(feed.send(0.0), 40, at=0.0, reset_s=30.0)

    assert feed.hear(feed.send(30.0), 70, at=30.1, reset_s=60.0) is not None
    assert feed.level(30.1) == 70


def test_a_server_that_stepped_before_we_thought_is_recognised() -> None:
    """
    We expected the step at 61, the grain included; at 60.2 the server shows a reset in 59.8 s: it is there already.
    """
    feed = window()
    feed.hear(feed.send(0.0, 95), 5, at=0.0, reset_s=60.0, grain_s=1.0)
    early = feed.send(60.2)
    assert feed.level(60.3) == 4

    feed.hear(early, 99, at=60.4, reset_s=59.8, grain_s=1.0)
    assert feed.level(60.4) == 100  # 99, and what rounding may hide
    assert stepped_s(feed) == 60.2
    assert steps_at_s(feed) == 121.0


def test_a_reset_that_moves_a_little_is_the_same_window() -> None:
    """A clock that jumps by less than half a window moves the step, and opens nothing."""
    feed = window()
    feed.hear(feed.send(0.0, 95), 5, at=0.0, reset_s=30.0)
    feed.hear(feed.send(1.0), 4, at=1.0, reset_s=59.0)

    assert feed.level(1.0) == 4
    assert stepped_s(feed) is None
    assert steps_at_s(feed) == 60.0


def test_a_step_that_is_due_is_not_pushed_away_by_the_next_one() -> None:
    """
    Sent before the step and looked at after it: nobody has looked at the bucket meanwhile.

    The reading tells the reset of the window after, and not even what is left.
    """
    feed = window()
    feed.hear(feed.send(0.0, 95), 5, at=0.0, reset_s=60.0)
    call = feed.send(59.9)

    feed.hear(call, None, at=60.2, looked=60.1, reset_s=59.9)
    assert feed.level(60.2) == 100
    assert (stepped_s(feed), steps_at_s(feed)) == (60.0, 120.0)


def test_the_count_of_a_new_window_is_predicted_from_its_beginning() -> None:
    """After the step a call of one leaves 99 of a hundred; that it was 5 before is no reason for surprise."""
    feed = window()
    feed.hear(feed.send(0.0, 95), 5, at=0.0, reset_s=60.0)
    lesson = feed.hear(feed.send(61.0), 99, at=61.1, reset_s=58.9)

    assert lesson is not None
    assert lesson.residual == 0
    lesson = feed.hear(feed.send(62.0), 90, at=62.1, reset_s=57.9)
    assert lesson is not None
    assert lesson.residual == 8 * 60 * S


# -- a window, or not ----------------------------------------------------------


def undecided() -> Feed:
    """A generic server: taken for a window until it shows that it is none."""
    return Feed.of(100, refill=Refill.WINDOW, undecided=True)


def test_a_reset_that_grew_with_use_twice_is_no_window() -> None:
    """A window's reset only shrinks; a bucket that refills evenly needs longer the more was used."""
    feed = undecided()
    for second, remaining, reset_s, refill in [
        (0.0, 99, 0.6, Refill.WINDOW),
        (0.1, 90, 6.0, Refill.WINDOW),
        (0.2, 80, 12.0, Refill.CONTINUOUS),
    ]:
        feed.hear(feed.send(second), remaining, at=second, reset_s=reset_s)
        assert feed.bucket.refill is refill, second

    assert steps_at_s(feed) is None
    assert not feed.bucket.special
    assert feed.level(6.2) == 90
    feed.hear(feed.send(7.0), 89, at=7.0, reset_s=3.0)
    assert feed.bucket.refill is Refill.CONTINUOUS


def test_what_a_window_does_is_no_proof() -> None:
    """
    A reset that grew without use, by a rounding, or once, or because a new window began, proves nothing.
    """
    feed = undecided()
    for second, remaining, reset_s in [
        (0.0, 99, 30.0),
        (0.1, 99, 31.0),  # nothing was used
        (0.2, 98, 31.0005),  # half a millisecond
        (0.3, 97, 32.0),  # once
        (1.3, 96, 31.0),  # and the count begins anew
        (1.4, 95, 32.0),  # once again
    ]:
        feed.hear(feed.send(second), remaining, at=second, reset_s=reset_s)
        assert feed.bucket.refill is Refill.WINDOW, second

    feed.hear(feed.send(1.5), 94, at=1.5, reset_s=33.0)
    assert feed.bucket.refill is Refill.CONTINUOUS


def test_a_new_window_is_no_growth() -> None:
    """Two windows begin with a full bucket and a long reset: more is left, not less."""
    feed = undecided()
    for second, remaining, reset_s in [(0.0, 5, 1.0), (1.5, 99, 59.5), (60.0, 40, 1.0), (61.5, 99, 59.5)]:
        feed.hear(feed.send(second), remaining, at=second, reset_s=reset_s)

    assert feed.bucket.refill is Refill.WINDOW


def test_a_reading_that_shows_only_a_part_proves_nothing() -> None:
    """Without remaining use is not seen; without an earlier reset growth is not."""
    feed = undecided()
    feed.hear(feed.send(0.0), 99, at=0.0)
    feed.hear(feed.send(0.1), None, at=0.1, reset_s=1.0)
    feed.hear(feed.send(0.2), None, at=0.2, reset_s=2.0)
    feed.hear(feed.send(0.3), None, at=0.3, reset_s=3.0)

    assert feed.bucket.refill is Refill.WINDOW
    silent = undecided()
    silent.hear(silent.send(0.0), None, at=0.0, reset_s=1.0)
    silent.hear(silent.send(0.1), 98, at=0.1, reset_s=2.0)
    silent.hear(silent.send(0.2), 97, at=0.2, reset_s=3.0)
    assert silent.bucket.refill is Refill.WINDOW
    late = undecided()
    late.hear(late.send(0.0), 99, at=0.0)
    for number, refill in [(1, Refill.WINDOW), (2, Refill.WINDOW), (3, Refill.CONTINUOUS)]:
        late.hear(late.send(number / 10), 99 - number, at=number / 10, reset_s=number)
        assert late.bucket.refill is refill


def test_a_server_known_for_windows_stays_one() -> None:
    """What a dialect says is not put to the test."""
    feed = window()
    for number in range(5):
        feed.hear(feed.send(number / 10), 99 - 10 * number, at=number / 10, reset_s=1.0 + 6 * number)

    assert feed.bucket.refill is Refill.WINDOW
