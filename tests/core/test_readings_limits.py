"""What one bucket learns from the readings of its server: limits."""

from __future__ import annotations

import pytest

from tests.core.feed import Feed


def shown(feed: Feed, second: float, limit: float | None, remaining: float | None = None, *, no: bool = False) -> int:
    """A call of that second shows a limit; the limit in force then. *no*: it was a refusal."""
    feed.hear(feed.send(second), remaining, at=second + 0.01, limit=limit, refused=no)
    return feed.bucket.limit


# -- higher --------------------------------------------------------------------


def test_a_higher_limit_counts_at_once() -> None:
    """One reading is enough; what was used stays used until time brings it back."""
    feed = Feed.of()
    feed.send(0.0, 400)

    assert shown(feed, 0.0, 900) == 900
    assert feed.bucket.brim == 900 * 60 * 10**9
    assert feed.level(0.0) == 199
    assert not feed.bucket.firm


def test_who_said_so_last_is_the_source() -> None:
    """A limit remembered from the last time gives way to what a header shows."""
    feed = Feed.of()
    feed.bucket.source = "prior"
    shown(feed, 0.0, 600)
    assert feed.bucket.source == "prior"
    shown(feed, 0.0, 900)
    assert feed.bucket.source == "header"


def test_no_limit_and_no_sensible_one_change_nothing() -> None:
    """A server that shows none, 0 or less says nothing of its bucket."""
    feed = Feed.of()

    assert [shown(feed, 0.0, limit) for limit in (None, 0, -5, 0.4)] == [600] * 4
    assert feed.series.shown_limit is None
    assert shown(feed, 0.0, 1, no=True) == 1


# -- lower ---------------------------------------------------------------------


def test_a_lower_limit_caps_the_level_at_once_and_counts_when_seen_again_a_second_later() -> None:
    """One header may be a slip: the bucket keeps its size for a second, but holds no more than was shown."""
    feed = Feed.of()

    assert shown(feed, 0.0, 100) == 600
    assert feed.level(0.0) == 100
    assert shown(feed, 0.999, 100) == 600
    assert shown(feed, 1.0, 100) == 100
    assert feed.bucket.firm
    assert feed.bucket.source == "header"


def test_a_refusal_needs_no_second_witness() -> None:
    """A lower limit beside a no is the reason of the no; but it is not certain enough to say never."""
    feed = Feed.of()

    assert shown(feed, 0.0, 100, no=True) == 100
    assert not feed.bucket.firm


def test_two_different_lower_limits_are_no_agreement() -> None:
    """Each begins its own second; a limit that is not the same again has to wait."""
    feed = Feed.of()

    assert shown(feed, 0.0, 300) == 600
    assert shown(feed, 1.0, 200) == 600
    assert shown(feed, 1.9, 200) == 600
    assert shown(feed, 2.0, 200) == 200


def test_the_usual_limit_in_between_takes_the_lower_one_back() -> None:
    """It was a slip: the next time it is shown it is the first time."""
    feed = Feed.of()

    assert shown(feed, 0.0, 300) == 600
    assert shown(feed, 1.0, 600) == 600
    assert shown(feed, 2.0, 300) == 600
    assert shown(feed, 3.0, 300) == 300


def test_agreement_counts_from_when_the_calls_were_sent() -> None:
    """Two answers an hour apart to calls of one moment are one witness."""
    feed = Feed.of()
    first, second = feed.send(0.0), feed.send(0.5)
    feed.hear(first, None, at=1.0, limit=300)
    feed.hear(second, None, at=3600.0, limit=300)

    assert feed.bucket.limit == 600


def test_a_smaller_bucket_predicts_from_no_more_than_it_holds() -> None:
    """A refusal cut 600 to 100 without saying what is left; fifty calls later 49 are, which is no stranger's doing."""
    feed = Feed.of()
    shown(feed, 0.0, 600, 599)
    shown(feed, 0.0, 100, no=True)
    lesson = feed.hear(feed.burst(0.0, 50), 49, at=0.0, limit=100)

    assert lesson is not None
    assert lesson.residual == 0


# -- certain enough to say never -----------------------------------------------


@pytest.mark.parametrize(("second", "firm"), [(0.9, False), (1.0, True)])
def test_a_limit_seen_twice_a_second_apart_is_firm(second: float, firm: bool) -> None:
    """Only then a stated cost above it is refused for ever."""
    feed = Feed.of()
    shown(feed, 0.0, 600)
    shown(feed, second, 600)

    assert feed.bucket.firm is firm


def test_a_refusal_that_shows_the_known_limit_takes_nothing_away() -> None:
    """It was seen twice; a no of the same bucket is no doubt of its size."""
    feed = Feed.of()
    shown(feed, 0.0, 600)
    shown(feed, 1.0, 600)
    shown(feed, 1.5, 600, 0, no=True)

    assert feed.bucket.firm
    assert feed.bucket.limit == 600


def test_a_new_limit_is_not_firm_yet() -> None:
    """Raised to 900 it has to be seen again; the readings of the old limit do not count for it."""
    feed = Feed.of()
    shown(feed, 0.0, 600)
    shown(feed, 1.0, 600)
    assert feed.bucket.firm

    shown(feed, 2.0, 900)
    assert not feed.bucket.firm
    shown(feed, 2.9, 900)
    assert not feed.bucket.firm
    shown(feed, 3.0, 900)
    assert feed.bucket.firm


# -- the caller's ceiling ------------------------------------------------------


def test_a_server_never_raises_what_the_caller_allowed() -> None:
    """600 were typed; 5000 are shown: 600 it stays, and certain as typed."""
    feed = Feed.of(ceiling=600)
    feed.bucket.firm = True

    assert [shown(feed, second, 5000, 4990 - second) for second in range(4)] == [600] * 4
    assert feed.bucket.source == "config"
    assert feed.bucket.firm
    assert feed.series.shown_limit == 5000


def test_a_server_may_lower_it_and_raise_it_again_up_to_there() -> None:
    """600, 300, and back to 600 although 5000 are shown."""
    feed = Feed.of(ceiling=600)

    assert shown(feed, 0.0, 300, no=True) == 300
    assert feed.bucket.source == "header"
    assert shown(feed, 1.0, 5000) == 600
    assert shown(feed, 2.0, 5000) == 600
    assert not feed.bucket.firm  # 600 is what the caller allowed, and no more what the server is known to hold


def test_readings_against_a_larger_bucket_may_only_lower_a_level() -> None:
    """
    The server counts against 5000, we against 600: its 4000 say nothing of what is left of ours, its 50 do.
    """
    feed = Feed.of(ceiling=600)
    feed.send(0.0, 500)

    shown(feed, 0.0, 5000, 4000)
    assert feed.level(0.0) == 99
    shown(feed, 0.0, 5000, 50)
    assert feed.level(0.0) == 50
    assert feed.series.foreign_ppm(now_ns=0) == 0
    shown(feed, 0.0, 5000, 4000)
    assert feed.level(0.0) == 49
    assert not feed.series.asleep


def test_a_server_that_counts_as_the_caller_does_may_raise_a_level() -> None:
    """Typed and shown are the same 600: the reading is of our bucket, and others are seen in it."""
    feed = Feed.of(ceiling=600)
    shown(feed, 0.0, 600, 599)
    feed.believe(100, 0.0)
    shown(feed, 0.0, 600, 500)

    assert feed.level(0.0) == 500
    shown(feed, 0.0, 600, 499)
    assert feed.series.foreign_ppm(now_ns=0) > 0


def test_one_odd_answer_lends_nothing_to_what_the_caller_allowed() -> None:
    """
    600 are typed and spent, the server counts against 5000; one answer tells of a bucket of 300 that is full. It is
    another count, so it adds nothing to ours; a second one like it does.
    """
    feed = Feed.of(ceiling=600)
    shown(feed, 0.0, 5000, 4999)
    feed.send(0.0, 598)

    shown(feed, 0.0, 300, 300)
    assert feed.level(0.0) == 0
    shown(feed, 0.1, 5000, 4300)
    assert feed.level(0.1) == 0
    shown(feed, 0.2, 300, 300)
    shown(feed, 0.3, 300, 299)
    assert feed.level(0.3) > 290


def test_without_a_ceiling_the_larger_bucket_is_ours() -> None:
    """The same server raises the same bucket where nobody typed a quota."""
    feed = Feed.of()
    feed.send(0.0, 500)
    shown(feed, 0.0, 5000, 4000)

    assert feed.level(0.0) == 4000


# -- two limits, two accounts --------------------------------------------------


def test_a_changed_limit_does_not_tell_what_was_spent_meanwhile() -> None:
    """A server that moves from 600 to 900 starts another count: what is missing in it is no stranger's doing."""
    feed = Feed.of()
    shown(feed, 0.0, 600, 599)

    lesson = feed.hear(feed.send(0.1), 400, at=0.2, limit=900)
    assert lesson is not None
    assert lesson.residual == 0
    lesson = feed.hear(feed.send(0.2), 350, at=0.3, limit=900)
    assert lesson is not None
    assert lesson.residual == pytest.approx((400 + 1.5 - 1 - 350) * 60 * 10**9)
