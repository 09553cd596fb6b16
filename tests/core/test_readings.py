"""What one bucket learns from the readings of its server: levels."""

from __future__ import annotations

import pytest

from ratelimit_client.core.profile import Refill
from ratelimit_client.core.readings import Lesson
from ratelimit_client.core.units import NS as S
from tests.core.feed import Feed

MS = 0.001


def heard(lesson: Lesson | None) -> Lesson:
    """A reading that was used."""
    assert lesson is not None
    return lesson


# -- which readings count ------------------------------------------------------


def test_a_reading_of_an_earlier_call_is_old_news() -> None:
    """Answers overtake each other: once the second call's reading was used, the first one's tells nothing."""
    feed = Feed.of()
    first, second = feed.send(0.0), feed.send(0.1)

    assert feed.hear(second, 300, at=1.0) is not None
    level = feed.level(1.0)
    assert feed.hear(first, 10, at=1.1, limit=20, reset_s=9.0) is None
    assert feed.hear(second, 10, at=1.1) is None
    assert feed.level(1.0) == level
    assert feed.bucket.limit == 600
    assert feed.series.server_remaining == 300


def test_what_was_heard_last_is_kept_for_whoever_asks() -> None:
    """The order, the instant, the limit and the remaining of the last used reading; the bucket is watched from then."""
    feed = Feed.of()
    assert (feed.series.read_ns, feed.series.server_remaining, feed.series.shown_limit) == (None, None, None)
    assert not feed.bucket.watched

    feed.hear(feed.send(0.0), 599.0, at=2.0, limit=600.0)

    assert (feed.series.read_ns, feed.series.server_remaining, feed.series.shown_limit) == (2 * S, 599, 600)
    assert feed.series.last_order == 1
    assert feed.bucket.watched


def test_a_reading_without_remaining_teaches_no_level() -> None:
    """A limit alone is a limit; that its call was heard is remembered all the same."""
    feed = Feed.of()
    first, second = feed.send(0.0), feed.send(0.0)

    assert feed.hear(second, None, at=0.5, limit=900) is None
    assert feed.bucket.limit == 900
    assert feed.series.read_ns == S // 2
    assert feed.hear(first, 5, at=0.6) is None


# -- low and high --------------------------------------------------------------


@pytest.mark.parametrize(
    ("believed", "level"),
    [
        (570, 581),  # less than the server can have: raised to the least
        (580, 581),
        (581, 581),
        (590, 590),  # between the two our own account knows better
        (591, 591),  # 590 was rounded down: almost 591 may be there
        (592, 581),  # more than it can have: somebody spends, and the least is all that is sure
        (600, 581),
    ],
)
def test_a_reading_bounds_the_level_from_both_sides(believed: int, level: int) -> None:
    """
    Ten calls went together and the last one's answer says 590.

    It had surely seen itself, at most all ten: at least 590 - 9 are left, at most 590.
    """
    feed = Feed.of()
    last = feed.burst(0.0, 10)
    feed.believe(believed, 0.0)

    lesson = heard(feed.hear(last, 590, at=0.0, unsure=9))

    assert feed.level(0.0) == level
    assert lesson.drop == (believed - 591) * 60 * S
    assert lesson.exact == 590 * 60 * S


def test_our_own_account_flows_on_while_the_answer_is_on_its_way() -> None:
    """Two seconds later it holds twenty more, and so do the two bounds: it stands between them still."""
    feed = Feed.of()
    call = feed.send(0.0)
    feed.believe(300, 0.0)

    lesson = heard(feed.hear(call, 299, at=2.0))
    assert lesson.drop == 0
    assert feed.level(2.0) == 320


def test_later_debits_are_taken_off_and_refill_is_added() -> None:
    """A reading is of the moment of admission: thirty sent since and two seconds of refill make 300 to 290."""
    feed = Feed.of()
    call = feed.send(0.0)
    feed.burst(1.0, 30)

    heard(feed.hear(call, 300, at=2.0))

    assert feed.level(2.0) == 300 - 30 + 20


def test_refill_counts_from_when_the_server_looked() -> None:
    """The server looked three quarters of a second after the call went: what flowed back before that it has seen."""
    feed = Feed.of()
    call = feed.send(0.0)

    heard(feed.hear(call, 300, at=2.75, looked=0.75))

    assert feed.level(2.75) == 320


def test_a_snapshot_in_the_future_adds_nothing() -> None:
    """A guess of when the server looked may lie after its answer; no refill flows backwards."""
    feed = Feed.of()
    call = feed.send(0.0)

    heard(feed.hear(call, 300, at=0.1, looked=0.3))

    assert feed.level(0.1) == 300


def test_a_burst_does_not_count_itself_twice() -> None:
    """
    Two hundred leave at once and only the first answers of them come back: nothing is lost by the doubt.

    Set to the lower bound the bucket would stall at 200, though 400 are left.
    """
    feed = Feed.of()
    calls = [feed.send(0.0) for _ in range(200)]
    for number, call in enumerate(calls[:20], start=1):
        heard(feed.hear(call, 600 - number, at=0.05, unsure=number - 1))

    assert feed.level(0.0) == 400


def test_an_old_snapshot_is_trusted_only_as_far_as_a_full_bucket_goes() -> None:
    """
    A minute-long answer says 599; the bucket was full meanwhile, and a burst of 300 has just left.

    599 + 600 of refill - 300 is more than there can be: what flowed into a full bucket is lost.
    """
    feed = Feed.of()
    heard(feed.hear(feed.send(0.0), 599, at=0.1))
    slow = feed.send(0.2)
    feed.burst(60.0, 300)
    feed.believe(10, 60.0)  # whatever made us think so

    heard(feed.hear(slow, 598, at=60.0))

    assert feed.level(60.0) == 300


def test_what_flowed_into_a_full_bucket_is_missed_by_nobody() -> None:
    """After a minute of rest fifty leave and 550 are left: as predicted, for the bucket held 600 and no more."""
    feed = Feed.of()
    heard(feed.hear(feed.send(0.0), 599, at=0.1))

    lesson = heard(feed.hear(feed.burst(60.0, 50), 550, at=60.1))
    assert lesson.residual == 0
    assert lesson.drop <= 0


# -- fractions, debt and lies --------------------------------------------------


def test_an_exact_reset_tells_the_fraction_that_remaining_hides() -> None:
    """
    Of 600 a minute 300.5 are left: remaining says 300, and 29.949 s to full say the rest.

    Milliseconds are cut, so up to one more may be missing: 0.01 units.
    """
    feed = Feed.of(exact_reset=True)

    lesson = heard(feed.hear(feed.send(0.0), 300, at=0.0, reset_s=29.949, limit=600))

    assert lesson.exact == 60 * S * 600 - 29_950 * 10**6 * 600 == 300.5 * 60 * S


@pytest.mark.parametrize(
    "reset_s",
    [
        29.799,  # 302 left
        29.899,  # 301 left, which would be shown as 301
        30.000,  # 299.99 left, which would be shown as 299
        0.0,
        None,
    ],
)
def test_a_reset_that_contradicts_remaining_is_not_believed(reset_s: float | None) -> None:
    """The whole units stand when the fraction lies outside them, or when there is none."""
    feed = Feed.of(exact_reset=True)

    assert heard(feed.hear(feed.send(0.0), 300, at=0.0, reset_s=reset_s, limit=600)).exact == 300 * 60 * S


def test_a_reset_is_no_fraction_where_it_is_not_exact_or_a_window() -> None:
    """Other servers round it, and a window's reset tells when, not how much."""
    rounded = Feed.of()
    window = Feed.of(refill=Refill.WINDOW, exact_reset=True)

    for feed in (rounded, window):
        assert heard(feed.hear(feed.send(0.0), 300, at=0.0, reset_s=29.949)).exact == 300 * 60 * S


def test_the_limit_shown_with_it_says_what_full_means() -> None:
    """Against a limit of 1200 the same 30 s to full are 600 left; without a shown limit ours holds."""
    feed, silent = Feed.of(exact_reset=True), Feed.of(exact_reset=True)

    shown = heard(feed.hear(feed.send(0.0), 599, at=0.0, reset_s=30.0, limit=1200))
    assert shown.exact == 1200 * 60 * S - 30_001 * 10**6 * 1200
    assert heard(silent.hear(silent.send(0.0), 299, at=0.0, reset_s=30.0)).exact == 299.99 * 60 * S


def test_an_overdrawn_bucket_is_seen_below_zero() -> None:
    """Remaining stops at 0; 66 s to full of a minute's bucket are sixty units of debt."""
    feed = Feed.of(exact_reset=True)

    lesson = heard(feed.hear(feed.send(0.0), 0, at=0.0, reset_s=65.999, limit=600))

    assert lesson.exact == -60 * 60 * S
    assert feed.level(0.0) == -60


def test_no_lie_closes_a_bucket_for_longer_than_its_window() -> None:
    """A remaining of minus a billion, or a reset in a year, is believed down to minus one full bucket."""
    negative, distant = Feed.of(), Feed.of(exact_reset=True)

    assert heard(negative.hear(negative.send(0.0), -(10**9), at=0.0)).exact == -600 * 60 * S
    assert heard(distant.hear(distant.send(0.0), 0, at=0.0, reset_s=3e7, limit=600)).exact == -600 * 60 * S
    assert negative.level(0.0) == distant.level(0.0) == -600


def test_a_debt_within_reason_is_believed() -> None:
    """A server may show what it is owed."""
    feed = Feed.of()

    heard(feed.hear(feed.send(0.0), -25, at=0.0))

    assert feed.level(0.0) == -25
