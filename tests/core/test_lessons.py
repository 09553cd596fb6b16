"""What a refusal teaches about the bucket it names."""

from __future__ import annotations

import attrs
import pytest

from ratelimit_client.core.bucket import Bucket
from ratelimit_client.core.lessons import Lessons
from ratelimit_client.core.readings import Series
from ratelimit_client.core.units import to_ns

LIMIT = 60_000  # a minute: a thousand a second; 2 % are 1200, a quarter of a second is 250


@attrs.define(eq=False)
class Pupil:
    """A bucket that learns; every call costs one unit unless told otherwise."""

    lessons: Lessons
    order: int = 0

    @classmethod
    def of(cls, limit: int = LIMIT) -> Pupil:
        bucket = Bucket.full("tokens", limit, to_ns(60), pays="tokens", source="header", now_ns=0)
        return cls(Lessons(Series(bucket)))

    @property
    def bucket(self) -> Bucket:
        return self.lessons.bucket

    @property
    def burst(self) -> int | None:
        """Units of the learnt slice, or None."""
        return None if self.lessons.slice is None else self.lessons.slice.capacity

    def refused(
        self,
        second: float,
        predicted: int,
        known: int | None,
        *,
        sent: float | None = None,
        looked: float | None = None,
        amount: int = 1,
        in_slice: int | None = None,
        owed: int = 0,
        spent: int = 0,
    ) -> None:
        """
        A no is heard to a call *sent* then, when we believed in *predicted* units; *known* is what the no tells.

        The server *looked* then, or just now.
        """
        self.order += 1
        self.lessons.refused(
            amount,
            predicted,
            in_slice,
            known,
            order=self.order,
            granted_ns=to_ns(second if sent is None else sent),
            refused_ns=to_ns(second if looked is None else looked),
            owed=owed * to_ns(60),
            spent=spent,
            now_ns=to_ns(second),
        )

    def others_took(self, units: int) -> None:
        """Two readings say so, at 0.9 s."""
        for missing in (units, 0):
            self.lessons.series.foreign.add(missing * to_ns(60), to_ns(1), 0, now_ns=to_ns(0.9))

    def reading(self, second: float, level: int, *, later: int = 1) -> None:
        """A reading of a call sent *later* than the last refused one."""
        self.lessons.evidence(level, order=self.order + later, now_ns=to_ns(second))


# -- a smaller burst than shown ------------------------------------------------


def test_a_no_with_room_left_teaches_a_slice() -> None:
    """
    60 000 a minute, a thousand were sent at once, and the no itself says that 59 000 are left.

    So a thousand is what it takes at once. The slice has the rate of the bucket, and is empty now.
    """
    learnt = Pupil.of()
    learnt.refused(0.1, 59_000, 59_000)

    piece = learnt.lessons.slice
    assert piece is not None
    assert (piece.capacity, piece.limit, piece.window_ns) == (1000, LIMIT, to_ns(60))
    assert (piece.name, piece.pays, piece.source) == ("tokens slice", "tokens", "learned")
    assert piece.level(now_ns=to_ns(0.1)) == 0
    assert piece.level(now_ns=to_ns(0.6)) == 500
    assert piece.level(now_ns=to_ns(9.0)) == 1000
    assert piece.reserve == piece.brim // 100
    assert learnt.lessons.strangers == 0


@pytest.mark.parametrize(("limit", "least"), [(60_000, 250), (240, 1), (100, 1)])
def test_a_slice_is_never_less_than_a_quarter_of_a_second(limit: int, least: int) -> None:
    """Refused with a full bucket: there is no telling how little it takes; one unit it is at least."""
    learnt = Pupil.of(limit)
    learnt.refused(0.1, limit, limit)

    assert learnt.burst == least


def test_the_worst_of_an_epoch_counts() -> None:
    """
    Of the calls that were under way together the one with the most left tells the smallest burst.

    The order in which their refusals come back does not matter, and the slice stays empty meanwhile.
    """
    learnt = Pupil.of()
    learnt.refused(0.1, 58_000, 58_000, sent=0.05)
    assert learnt.burst == 2000
    learnt.refused(0.2, 59_000, 59_000, sent=0.03)
    assert learnt.burst == 1000
    learnt.refused(0.3, 58_500, 58_500, sent=0.04)
    assert learnt.burst == 1000
    learnt.refused(0.4, 59_990, 59_990, sent=0.01)
    assert learnt.burst == 250
    assert learnt.lessons.slice is not None
    assert learnt.lessons.slice.level(now_ns=to_ns(0.4)) == 0


def test_refused_again_though_the_slice_had_room_it_halves() -> None:
    """1000, 500, 250, and no less: each by a call that was sent after the cut before it."""
    learnt = Pupil.of()
    learnt.refused(0.1, 59_000, 59_000)
    for second, burst in [(1.0, 500), (2.0, 250), (3.0, 250)]:
        learnt.refused(second, 59_500, 59_500, in_slice=10)
        assert learnt.burst == burst
        assert learnt.lessons.slice is not None
        assert learnt.lessons.slice.level(now_ns=to_ns(second)) == 0


def test_a_slice_as_small_as_it_gets_that_does_not_help_is_helpless() -> None:
    """Then it is the rate that is not kept; until the slice has grown again."""
    learnt = Pupil.of()
    learnt.refused(0.1, 59_000, 59_000)
    for second, helpless in [(1.0, False), (2.0, False), (3.0, True), (4.0, True)]:
        learnt.refused(second, 59_500, 59_500, in_slice=10)
        assert learnt.lessons.helpless is helpless
    learnt.lessons.grow(now_ns=to_ns(65.0))
    assert not learnt.lessons.helpless


def test_calls_that_were_under_way_at_a_halving_teach_nothing_new() -> None:
    """One halving for all that left before it, whatever they knew."""
    learnt = Pupil.of()
    learnt.refused(0.1, 59_000, 59_000)
    learnt.refused(1.0, 59_500, 59_500, in_slice=10)
    for _ in range(5):
        learnt.refused(1.1, 59_900, 59_900, sent=0.99, in_slice=10)
    learnt.refused(1.1, 59_900, 59_900, sent=1.0, in_slice=10)

    assert learnt.burst == 500


def test_a_call_larger_than_the_slice_proves_nothing_against_it() -> None:
    """It went although the slice had too little for it, as such calls must; that it was refused is its own doing."""
    learnt = Pupil.of()
    learnt.refused(0.1, 59_000, 59_000)
    learnt.refused(1.0, 59_500, 59_500, amount=5000, in_slice=1000)
    assert learnt.burst == 1000

    learnt.refused(2.0, 59_500, 59_500, amount=1000, in_slice=1000)
    assert learnt.burst == 500


def test_a_call_that_met_no_slice_yet_may_halve_it() -> None:
    """Sent after the cut without knowing of the slice: its refusal is news."""
    learnt = Pupil.of()
    learnt.refused(0.1, 59_000, 59_000)
    learnt.refused(1.0, 59_500, 59_500, in_slice=None)

    assert learnt.burst == 500


# -- it grows back -------------------------------------------------------------


def test_without_refusals_it_regrows_five_per_cent_a_window() -> None:
    """1000, and 3000 more for each full minute; once it is the whole limit there is no slice."""
    learnt = Pupil.of()
    learnt.refused(0.0, 59_000, 59_000)
    grown = []
    for second in (59.9, 60.0, 100.0, 120.0, 240.0):
        learnt.lessons.grow(now_ns=to_ns(second))
        grown.append(learnt.burst)
    assert grown == [1000, 4000, 4000, 7000, 13_000]
    assert learnt.lessons.slice is not None
    assert learnt.lessons.slice.reserve == 130 * to_ns(60)

    learnt.lessons.grow(now_ns=to_ns(240 + 15 * 60))
    assert learnt.burst == 58_000
    learnt.lessons.grow(now_ns=to_ns(240 + 16 * 60))
    assert learnt.burst is None
    learnt.lessons.grow(now_ns=to_ns(9999))
    assert learnt.burst is None


def test_a_slice_as_large_as_the_limit_is_none() -> None:
    """Ten of a hundred, and five more each minute: after eighteen it is a hundred, and gone."""
    learnt = Pupil.of(100)
    learnt.refused(0.0, 90, 90)
    learnt.lessons.grow(now_ns=to_ns(17 * 60))
    assert learnt.burst == 95
    learnt.lessons.grow(now_ns=to_ns(18 * 60))
    assert learnt.burst is None


def test_a_small_limit_regrows_by_one() -> None:
    """Five per cent of ten would be none."""
    learnt = Pupil.of(10)
    learnt.refused(0.0, 9, 9)
    learnt.lessons.grow(now_ns=to_ns(60))

    assert learnt.burst == 2


def test_a_refusal_begins_the_window_anew() -> None:
    """Fifty-nine seconds without one and a refusal are no full window, whoever's fault it was."""
    learnt = Pupil.of()
    learnt.refused(0.0, 59_000, 59_000)
    learnt.refused(59.0, 59_000, 10_000)
    assert learnt.lessons.strangers == 1
    learnt.lessons.grow(now_ns=to_ns(118.9))
    assert learnt.burst == 1000

    learnt.lessons.grow(now_ns=to_ns(119.0))
    assert learnt.burst == 4000


def test_a_slice_flows_at_the_rate_of_its_bucket() -> None:
    """Halved from 60 000 to 30 000 the slice flows half as fast from then on; one as large as the limit is none."""
    learnt = Pupil.of()
    assert not learnt.lessons.follow(now_ns=0)
    learnt.refused(0.0, 59_000, 59_000)
    learnt.bucket.resize(30_000, now_ns=to_ns(0.5))

    assert not learnt.lessons.follow(now_ns=to_ns(0.5))
    assert learnt.lessons.slice is not None
    assert learnt.lessons.slice.level(now_ns=to_ns(0.7)) == 500 + 100
    learnt.bucket.resize(1000, now_ns=to_ns(1))
    assert learnt.lessons.follow(now_ns=to_ns(1))
    assert learnt.burst is None


def test_what_a_slice_owes_of_better_times_is_repaid_in_a_window() -> None:
    """
    A call of 45 000 left it in debt; then 3 a minute are shown. Whole that debt would take ten days, so it ends at a
    bucket of the new size.
    """
    learnt = Pupil.of()
    learnt.refused(0.0, 59_000, 59_000)
    assert learnt.lessons.slice is not None
    learnt.lessons.slice.take(45_000, now_ns=to_ns(1))
    learnt.bucket.resize(3, now_ns=to_ns(2))
    learnt.lessons.slice.brim = learnt.lessons.slice.window_ns

    assert not learnt.lessons.follow(now_ns=to_ns(2))
    assert learnt.lessons.slice.level(now_ns=to_ns(2)) == -3
    assert learnt.lessons.slice.level(now_ns=to_ns(62)) == 0


# -- somebody else -------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "strangers", "burst"),
    [(57_799, 1, None), (57_800, 0, 1000), (59_000, 0, 1000), (60_000, 0, 1000)],
)
def test_far_less_than_predicted_was_spent_by_somebody_else(known: int, strangers: int, burst: int | None) -> None:
    """2 % of the limit, 1200, is a matter of rounding and overtaking; one unit more is a stranger."""
    learnt = Pupil.of()
    learnt.refused(0.1, 59_000, known)

    assert (learnt.lessons.strangers, learnt.burst) == (strangers, burst)


@pytest.mark.parametrize(
    ("limit", "reserve", "doubt"), [(60_000, 0, 1200), (60_000, 3000, 3000), (40, 0, 1), (100, 0, 2)]
)
def test_the_doubt_is_the_reserve_two_per_cent_or_one_unit(limit: int, reserve: int, doubt: int) -> None:
    """Whatever is largest."""
    for known, strangers in [(limit - 1 - doubt, 0), (limit - 2 - doubt, 1)]:
        learnt = Pupil.of(limit)
        learnt.bucket.reserve = reserve * to_ns(60)
        learnt.refused(0.1, limit - 1, known)
        assert learnt.lessons.strangers == strangers


def test_a_stranger_raises_the_reserve_up_to_a_tenth() -> None:
    """By one per cent of the limit each."""
    learnt = Pupil.of()
    kept = []
    for second in range(1, 13):
        learnt.refused(second, 59_000, 10)
        kept.append(learnt.bucket.reserve // to_ns(60))

    assert kept == [*range(600, 6001, 600), 6000, 6000]
    assert learnt.lessons.strangers == 12
    assert learnt.burst is None


def test_a_debt_that_a_hint_tells_of_is_a_debt_of_the_slice_where_others_spend() -> None:
    """
    The server's slice is 1900 below nothing, or we would not have to wait that long: so is ours, from when it looked.

    Of a counter that starts anew every few seconds the same hint says when it does: alone, no debt is believed.
    """
    for known, heard_s, level in [(10_000, 2.0, -1900), (10_000, 2.5, -1400), (59_000, 2.0, 0)]:
        learnt = Pupil.of()
        learnt.refused(0.1, 59_000, 59_000)
        learnt.refused(heard_s, 59_000, known, sent=1.9, looked=2.0, owed=1900)
        assert learnt.lessons.slice is not None
        assert learnt.lessons.slice.level(now_ns=to_ns(heard_s)) == level


def test_a_slice_in_debt_to_others_is_not_too_large() -> None:
    """A slice gets to nothing by what we were let have, and below by what others took: then it does not halve."""
    for others, owed, burst in [(700, 1, 1000), (700, 0, 500), (0, 1, 500)]:
        learnt = Pupil.of()
        learnt.refused(0.1, 59_000, 59_000)
        learnt.others_took(others)
        learnt.refused(1.0, 59_500, 59_500, in_slice=10, owed=owed)
        assert learnt.burst == burst, (others, owed)
        assert learnt.lessons.slice is not None
        assert learnt.lessons.slice.level(now_ns=to_ns(1.0)) == (-owed if others else 0)


def test_less_than_one_per_cent_for_others_is_no_reason_to_believe_in_a_debt() -> None:
    """Ninety-nine of ten thousand in ten seconds may be noise."""
    for others, burst in [(99, 500), (100, 1000)]:
        learnt = Pupil.of()
        learnt.refused(0.1, 59_000, 59_000)
        learnt.others_took(others)
        learnt.refused(1.0, 59_500, 59_500, in_slice=10, owed=1)
        assert learnt.burst == burst


def test_a_debt_ends_at_a_whole_bucket_and_is_that_of_one_refusal() -> None:
    """Who tells of hours is not believed, and the next one, who tells of none, is asked about its own."""
    learnt = Pupil.of()
    learnt.refused(0.1, 59_000, 59_000)
    learnt.refused(1.0, 59_000, 10, owed=10**9)
    assert learnt.lessons.slice is not None
    assert learnt.lessons.slice.level(now_ns=to_ns(1.0)) == -LIMIT

    learnt.lessons.slice.set_level(0, now_ns=to_ns(2.0))
    learnt.refused(2.0, 59_000, 10)
    assert learnt.lessons.slice.level(now_ns=to_ns(2.0)) == 0


def test_a_question_forgets_the_debt_that_came_with_it() -> None:
    """What was owed then is an old story when the next reading comes."""
    learnt = Pupil.of()
    learnt.refused(0.1, 59_000, 59_000)
    learnt.others_took(700)
    learnt.refused(1.0, 59_500, None, in_slice=10, owed=300)
    assert learnt.lessons.slice is not None
    assert learnt.lessons.slice.level(now_ns=to_ns(1.0)) == -300

    learnt.reading(1.1, 60_000)
    assert learnt.burst == 500
    assert learnt.lessons.slice.level(now_ns=to_ns(1.2)) == -100


# -- what teaches nothing ------------------------------------------------------


def test_a_no_that_we_expected_teaches_nothing() -> None:
    """We believed in less than the call needed (it went because it is larger than the bucket, say)."""
    learnt = Pupil.of()
    learnt.refused(0.1, 499, 59_000, amount=500)

    assert (learnt.burst, learnt.lessons.strangers, learnt.lessons.cut_ns) == (None, 0, -1)
    learnt.refused(0.2, 500, 59_000, amount=500)
    assert learnt.burst == 59_500


def test_a_server_that_has_too_little_by_its_own_words_enforces_what_it_shows() -> None:
    """Thirty were believed and three are left: that is no stranger, and no slice of nearly everything."""
    learnt = Pupil.of()
    learnt.refused(0.1, 30, 3, amount=10)
    assert (learnt.burst, learnt.lessons.strangers) == (None, 0)

    learnt.refused(0.2, 30, 10, amount=10)
    assert learnt.burst == 59_970


def test_a_slice_is_not_halved_by_a_bucket_that_is_as_good_as_empty() -> None:
    """Near nothing every call is refused now and then."""
    learnt = Pupil.of()
    learnt.refused(0.1, 59_000, 59_000)
    learnt.refused(1.0, 30, 3, amount=10, in_slice=500)

    assert learnt.burst == 1000


def test_a_sleeping_series_teaches_neither() -> None:
    """A cache cannot tell a stranger from a slice; the slice that was learnt before is emptied all the same."""
    learnt = Pupil.of()
    learnt.refused(0.1, 59_000, 59_000)
    learnt.lessons.series.asleep = True
    learnt.refused(1.0, 59_000, 59_000, in_slice=10)
    learnt.refused(2.0, 59_000, 10)

    assert (learnt.burst, learnt.lessons.strangers) == (1000, 0)
    assert learnt.lessons.slice is not None
    assert learnt.lessons.slice.level(now_ns=to_ns(2.0)) == 0
    assert learnt.lessons.slice.level(now_ns=to_ns(2.5)) == 500
