"""Several processes on one key, by what all of them see: what is left, and how fast it goes."""

from __future__ import annotations

import pytest

from ratelimit_client.core.bucket import Bucket
from ratelimit_client.core.profile import Refill
from ratelimit_client.core.sharing import Sharing
from ratelimit_client.core.units import NS as S

LIMIT = 6000  # a minute: a hundred a second; the mark is 450, and of answers that take four seconds 300 more


def bucket(limit: int = LIMIT, window_s: int = 60) -> Bucket:
    return Bucket.full("requests", limit, window_s * S, pays="requests", now_ns=0)


class Story:
    """A pace beside a bucket of which others spend, told second by second."""

    def __init__(self, shared: Bucket, *, own: int = 50, others: int = 50, remaining: int | None = None) -> None:
        self.shared, self.sharing = shared, Sharing()
        self.own, self.others = own, others
        self.slice: Bucket | None = None
        self.remaining = shared.limit if remaining is None else remaining
        self.paid = self.second = 0
        self.late_s = 0.0

    def see(self, foreign_ppm: int = 500_000, seconds: int = 1) -> int:
        """Let seconds pass in which all spend; what the pace is then, 0 for none."""
        for _ in range(seconds):
            self.look(foreign_ppm)
            self.second += 1
            self.paid += self.own
            self.remaining += self.shared.limit * S // self.shared.window_ns - self.own - self.others
            self.remaining = max(0, min(self.shared.limit, self.remaining))
        return self.look(foreign_ppm)

    def look(self, foreign_ppm: int = 500_000) -> int:
        now_ns = self.second * S
        self.sharing.consider(self.shared, foreign_ppm, now_ns=now_ns)
        self.mark(now_ns)
        return self.pace

    def mark(self, now_ns: int) -> None:
        granted_ns = now_ns - int(self.late_s * S)
        self.sharing.marked(self.shared, self.slice, self.remaining, self.paid, granted_ns, now_ns=now_ns)

    @property
    def pace(self) -> int:
        return 0 if self.sharing.pace is None else self.sharing.pace.limit

    def set_pace(self, limit: int) -> None:
        assert self.sharing.pace is not None
        self.sharing.pace.limit = limit


def paced(shared: Bucket | None = None, **of: int) -> Story:
    """One that is on, after three seconds."""
    story = Story(shared or bucket(), **of)
    story.see(seconds=3)
    assert story.pace
    return story


# -- on and off ------------------------------------------------------------------------------


def test_alone_nothing_is_shared() -> None:
    """Up to 3 % is noise: no pace, and nothing is kept of what was seen."""
    story = Story(bucket())
    assert story.see(30_000, seconds=10) == 0
    assert story.sharing._looks == []


def test_it_looks_for_a_second_before_it_is_on() -> None:
    """What all spend shows between two looks; until then there is nothing to go by."""
    story = Story(bucket())
    assert [story.look(30_001), story.see(30_001), story.see(30_001) > 0] == [0, 0, True]


@pytest.mark.parametrize(("foreign_ppm", "first"), [(900_000, 1000), (600_000, 2400), (100_000, 3000)])
def test_where_little_is_left_nobody_looks_first(foreign_ppm: int, first: int) -> None:
    """A sixth of the limit, or what others leave, and no more than half: what all spend shows a second later."""
    story = Story(bucket())
    assert story.sharing.consider(story.shared, foreign_ppm, urgent=True, now_ns=0)
    assert story.pace == first
    story.mark(0)
    assert story.pace == first
    assert story.see() != first


def test_it_ends_after_thirty_seconds_in_a_row_below_one_per_cent() -> None:
    """Between 1 % and 3 % it stays as it is."""
    shared, sharing = bucket(), paced().sharing
    for second, foreign_ppm, changed, is_on in [
        (10, 20_000, False, True),
        (20, 9_999, False, True),  # quiet from here
        (49, 0, False, True),
        (49, 10_000, False, True),  # not quite
        (60, 9_999, False, True),  # quiet again
        (89, 0, False, True),
        (90, 0, True, False),
        (91, 20_000, False, False),
    ]:
        assert sharing.consider(shared, foreign_ppm, now_ns=second * S) is changed, second
        assert (sharing.pace is not None) is is_on, second


def test_it_ends_with_the_input_once_the_level_is_enough() -> None:
    """Against one who never yields the mark would be left for nobody; who needs no more than what is there takes it."""
    story = paced()
    for second, ends, changed, is_on in [
        (4, False, False, True),
        (5, True, True, False),
        (6, True, False, False),  # nor does it begin again
        (7, False, True, True),  # more input came after all
    ]:
        assert story.sharing.consider(story.shared, 500_000, ends=ends, now_ns=second * S) is changed, second
        assert (story.sharing.pace is not None) is is_on, second


@pytest.mark.parametrize(("window_s", "shares"), [(600, True), (601, False), (86_400, False)])
def test_a_pace_over_a_day_would_be_next_to_nothing(window_s: int, shares: bool) -> None:
    """Only windows up to ten minutes are paced; a daily quota is not spread over the day."""
    story = Story(bucket(window_s=window_s), own=1, others=1)
    assert (story.see(seconds=3) > 0) is shares


# -- how it begins ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "others", "foreign_ppm", "first"),
    [
        (50, 50, 500_000, 3000),  # half of the whole
        (80, 20, 200_000, 3000),  # who was here first spent alone: that is no right
        (20, 80, 800_000, 1200),
        (5, 20, 200_000, 3000),  # who has little to do may do more: the others leave four fifths
        (0, 100, 1_000_000, 60),
    ],
)
def test_it_begins_with_its_part_or_with_what_others_leave(own: int, others: int, foreign_ppm: int, first: int) -> None:
    """At the mark, where all may spend what flows in; and never with more than half."""
    shared = bucket()
    story = Story(shared, own=own, others=others, remaining=450 + own + others - 100)
    story.look(foreign_ppm)
    for _ in range(2):
        story.second += 1
        story.paid += own
        story.remaining -= own + others - 100
        changed = story.sharing.consider(shared, foreign_ppm, now_ns=story.second * S)
        if changed:
            break
        story.mark(story.second * S)

    assert story.pace == first


def test_a_full_bucket_may_be_spent() -> None:
    """Of 6000 all but the mark in eight seconds, beside what flows in: nearly eight times as much, and half of it."""
    assert 17_500 <= Story(bucket(), own=400, others=400).see(1_000_000, seconds=2) <= 24_000


def test_the_pace_lets_no_burst_through() -> None:
    """It holds a four-hundredth of the bucket, of a small bucket one call, and it is paid in the same unit."""
    large, small = paced().sharing.pace, paced(bucket(limit=60), own=1, others=1).sharing.pace

    assert large is not None
    assert small is not None
    assert (large.capacity, small.capacity) == (15, 1)
    assert (large.name, large.pays, large.source) == ("requests pace", "requests", "learned")


# -- how it goes on --------------------------------------------------------------------------


def test_it_is_looked_at_once_a_second() -> None:
    """However many answers come."""
    often, seldom = paced(), paced()
    for tenth in range(1, 10):
        often.mark(often.second * S + tenth * S // 10)

    assert often.see() == seldom.see()


def test_at_the_mark_with_no_more_spent_than_flows_in_shares_drift_to_the_same() -> None:
    """A hundredth of the limit more a second, for all; less 3 % of its own part of the whole."""
    for own, pace, after in [(50, 3000, 3000 - 45 + 60), (90, 5400, 5400 - 146 + 60), (10, 600, 600 - 2 + 60)]:
        story = paced(own=own, others=100 - own, remaining=450)
        story.set_pace(pace)
        assert abs(story.see() - after) <= 1, own


def test_above_the_mark_it_grows_and_below_it_shrinks() -> None:
    """By half of what is missing or too much, no more than half and a fifth a second."""
    for remaining, least, most in [(450, 2990, 3030), (650, 3350, 3450), (6000, 4400, 4600), (0, 2400, 2500)]:
        story = paced(remaining=remaining)
        story.set_pace(3000)
        assert least <= story.see() <= most, remaining


def test_who_spends_more_than_flows_in_is_slowed_down_before_nothing_is_left() -> None:
    """Twice as much as flows in, a second of it above the mark."""
    story = paced(own=100, others=100, remaining=850)
    story.set_pace(6000)
    assert story.see() < 5000


def test_the_older_the_news_the_gentler_the_change_and_the_higher_the_mark() -> None:
    """Answers of four seconds: a quarter of the change, and as much again to be left."""
    paces = []
    for late_s in (0.0, 4.0):
        story = paced(remaining=1350)
        story.late_s = late_s
        story.set_pace(3000)
        paces.append(story.see())

    quick, slow = paces
    assert 3000 < slow < (3000 + quick) // 2
    story = paced(remaining=750)
    story.late_s = 4.0
    story.set_pace(3000)
    assert abs(story.see() - 3015) <= 2, "at the mark of slow answers"


def test_it_is_never_so_slow_that_no_answer_would_come_and_never_four_times_the_limit() -> None:
    """A hundredth of the limit, or one."""
    pressed, tiny = paced(own=1, others=200, remaining=0), paced(bucket(limit=50), own=0, others=2, remaining=0)
    assert 60 <= pressed.see(seconds=60) <= 600
    assert 1 <= tiny.see(seconds=60) <= 5

    free = paced(own=0, others=4)
    assert free.see(seconds=60) == 4 * LIMIT


def test_two_greedy_clients_become_equal() -> None:
    """One begins with nine tenths, the other with a tenth; both see the same and follow their paces."""
    greedy, shy = paced(own=90, others=10, remaining=450), paced(own=10, others=90, remaining=450)
    greedy.set_pace(5400)
    shy.set_pace(600)
    level = 450
    for _ in range(120):
        for one, other in ((greedy, shy), (shy, greedy)):
            one.own, one.others, one.remaining = one.pace // 60, other.pace // 60, level
        level = max(0, min(LIMIT, level + 100 - greedy.own - shy.own))
        for each in (greedy, shy):
            each.see()

    assert 0.9 < shy.pace / greedy.pace <= 1.01
    assert 90 <= (shy.pace + greedy.pace) // 60 <= 110
    assert 200 <= level <= 850


def test_a_window_that_steps_has_its_mark_alone() -> None:
    """It does not fill, so what it fell by is no measure: growth, and 0.85 a second below the mark."""
    shared = bucket()
    shared.refill = Refill.WINDOW
    above, below = Story(shared, remaining=4500), Story(shared, remaining=440)
    for story in (above, below):
        story.see(seconds=3)
        story.set_pace(1000)
        story.others = 50
    assert (above.see(), below.see()) == (1060, 910)


def test_what_a_pace_owes_of_better_times_is_repaid_in_a_window() -> None:
    """A call of 5000 left it in debt, then 60 a minute are shown: the debt ends at a bucket of that size."""
    story = paced()
    assert story.sharing.pace is not None
    story.sharing.pace.take(5000, now_ns=story.second * S)
    story.shared.resize(60, now_ns=story.second * S)
    story.remaining, story.own, story.others = 60, 0, 1
    story.see()

    assert story.sharing.pace.level(now_ns=story.second * S) == -60


# -- a slice ---------------------------------------------------------------------------------


def slice_of(shared: Bucket, units: int, level: int) -> Bucket:
    piece = Bucket.full("requests slice", shared.limit, shared.window_ns, pays="requests", now_ns=0)
    piece.brim = units * piece.window_ns
    piece.credits = level * piece.window_ns
    return piece


@pytest.mark.parametrize(("level", "grows"), [(1200, True), (300, True), (150, False), (0, False)])
def test_a_slice_has_a_mark_of_its_own(level: int, grows: bool) -> None:
    """A sixth of it: however much the bucket still shows."""
    story = paced(remaining=5000)
    story.set_pace(3000)
    story.slice = slice_of(story.shared, 1200, level)
    story.slice.as_of_ns = (story.second + 1) * S
    before = story.pace

    assert (story.see() > before + 100) is grows


def test_what_others_took_they_took_of_the_slice_too() -> None:
    """Down to a debt of its size, and up again when it turns out that they had not; nothing while nobody shares."""
    story = paced()
    piece = slice_of(story.shared, 1000, 1000)
    now_ns = story.second * S
    unit = piece.window_ns
    piece.as_of_ns = now_ns
    for taken, level in [(-100, 1000), (300, 700), (-100, 800), (-500, 1000), (300, 700)]:
        story.sharing.drawn(piece, taken * unit, now_ns=now_ns)
        assert piece.level(now_ns=now_ns) == level, taken

    story.sharing.refused(story.shared, now_ns=now_ns)
    for taken, level in [(-300, 700), (5000, -1000)]:
        story.sharing.drawn(piece, taken * unit, now_ns=now_ns)
        assert piece.level(now_ns=now_ns) == level, "after a refusal it is known what is there"

    Sharing().drawn(piece, 1500 * unit, now_ns=now_ns)
    assert piece.level(now_ns=now_ns) == -1000


def test_a_refusal_cuts_the_pace_once_a_second() -> None:
    """To 0.85; without a pace there is nothing to cut."""
    story = paced()
    story.set_pace(3000)
    now_ns = (story.second + 1) * S
    for later_ns, pace in [(0, 2550), (S - 1, 2550), (S, 2167)]:
        story.sharing.refused(story.shared, now_ns=now_ns + later_ns)
        assert story.pace == pace

    Sharing().refused(story.shared, now_ns=now_ns)
    story.set_pace(60)
    story.sharing.refused(story.shared, now_ns=now_ns + 5 * S)
    assert story.pace == 60
