"""Alive or asleep: which series of readings may raise a level, and how much is kept back."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.core.feed import Feed

UNIT = 60 * 10**9  # credits; the tolerance of 600 is 1 %, six units


def answers(feed: Feed, second: float, calls: int, remaining: Iterable[float], *, own: int = 1) -> list[bool]:
    """Between two answers so many calls go out, the last of which is answered at once; was the series asleep then?"""
    asleep = []
    for shown in remaining:
        for _ in range(calls - 1):
            feed.send(second, own)
        lesson = feed.hear(feed.send(second, own), shown, at=second, limit=600)
        assert lesson is not None
        asleep.append(lesson.asleep)
    return asleep


# -- falling asleep ------------------------------------------------------------


def test_a_constant_falls_asleep() -> None:
    """
    A server that answers every call with its limit less that call (xAI does) says nothing.

    The first is believed; when the next should be six units lower and is not, no more of them raise the level.
    """
    feed = Feed.of()

    assert answers(feed, 0.0, 7, [599, 599, 599]) == [False, True, True]
    assert feed.level(0.0) == 599 - 14
    feed.believe(300, 0.0)
    answers(feed, 0.0, 1, [599])
    assert feed.level(0.0) == 299


def test_a_sleeping_series_still_lowers_a_level() -> None:
    """What it says is the most there can be; said once more, it is no news of what flowed back meanwhile."""
    feed = Feed.of()
    answers(feed, 0.0, 10, [400, 400, 400])
    assert feed.series.asleep
    feed.believe(500, 0.0)
    answers(feed, 0.0, 1, [350])
    assert feed.level(0.0) == 350

    answers(feed, 10.0, 10, [350, 350])
    assert feed.series.asleep
    assert feed.level(10.0) == 350 + 100 - 20


def test_the_constant_is_seen_through_though_its_calls_differ() -> None:
    """Costs of 7 and 9 in turn show 593 and 591: it moves, but twice in a row it claims a full bucket under load."""
    feed = Feed.of()
    feed.hear(feed.send(0.0, 7), 593, at=0.0, limit=600)

    assert answers(feed, 0.0, 1, [591], own=9) == [False]
    assert answers(feed, 0.0, 1, [593], own=7) == [True]
    assert answers(feed, 0.0, 1, [591], own=9) == [True]


def test_one_full_bucket_under_load_is_an_exception() -> None:
    """A server that reset its count once is believed; between two such answers one of another kind starts anew."""
    feed = Feed.of()

    assert answers(feed, 0.0, 10, [590, 599, 500, 599, 480]) == [False] * 5


@pytest.mark.parametrize(("debited", "asleep"), [(5, False), (6, True)])
def test_a_frozen_value_falls_asleep_when_one_per_cent_was_debited(debited: int, asleep: bool) -> None:
    """Up to five of 600 may be a matter of rounding; the sixth is not."""
    feed = Feed.of()

    assert answers(feed, 0.0, 1, [400] * (1 + debited))[-1] is asleep


@pytest.mark.parametrize(("debited", "asleep"), [(199, False), (200, True)])
def test_one_per_cent_of_a_large_limit_is_not_a_unit_less(debited: int, asleep: bool) -> None:
    """Two hundred of twenty thousand, in one call, after which the value stands where it stood."""
    feed = Feed.of(limit=20_000)
    feed.hear(feed.send(0.0), 12_000, at=0.0)
    lesson = feed.hear(feed.send(0.0, debited), 12_000, at=0.0)

    assert lesson is not None
    assert lesson.asleep is asleep


@pytest.mark.parametrize(("debited", "asleep"), [(2, False), (3, True)])
def test_of_a_small_limit_three_units_are_the_least(debited: int, asleep: bool) -> None:
    """One per cent of fifty would be less than one call."""
    feed = Feed.of(limit=50)
    feed.hear(feed.send(0.0), 40, at=0.0)
    lessons = [feed.hear(feed.send(0.0), 40, at=0.0) for _ in range(debited)]

    assert lessons[-1] is not None
    assert lessons[-1].asleep is asleep


def test_a_caller_who_sends_one_call_after_the_other_is_no_disguise() -> None:
    """Each answer differs from its prediction by one call only, but the differences add up."""
    feed = Feed.of()
    for tenth in range(40):
        feed.hear(feed.send(tenth / 20), 400, at=tenth / 20, limit=600)  # twenty a second, ten flow back

    assert feed.series.asleep


# -- staying awake -------------------------------------------------------------


def test_calm_at_the_limit_is_not_asleep() -> None:
    """A call each second finds a full bucket each time: the same answer is the truth."""
    feed = Feed.of()
    for second in range(100):
        lesson = feed.hear(feed.send(second), 599, at=second + 0.5, limit=600)
        assert lesson is not None
        assert not lesson.asleep


def test_an_empty_bucket_is_not_asleep() -> None:
    """No header goes below zero: calls that were refused are debits of ours, and none of theirs."""
    feed = Feed.of()
    feed.hear(feed.burst(0, 600), 0, at=0, limit=600)
    last = feed.burst(0, 200)
    lesson = feed.hear(last, 0, at=1, limit=600, looked=0)
    assert lesson is not None
    assert not lesson.asleep
    assert lesson.residual == 0
    assert feed.level(1) == 10, "a second's worth, and no debt"


def test_a_steady_state_is_not_asleep() -> None:
    """Ten calls a second at ten a second find the same remaining for an hour, at whatever level."""
    for level in (598, 250, 3, 0):
        feed = Feed.of()
        feed.believe(level + 1, 0.0)
        for tenth in range(2000):
            feed.hear(feed.send(tenth / 10), level, at=tenth / 10 + 0.02)
            assert not feed.series.asleep
        assert abs(feed.level(199.9) - level) <= 1


def test_others_who_spend_do_not_put_it_to_sleep() -> None:
    """A value that falls faster than we debit is somebody else's doing, and believed."""
    feed = Feed.of()

    assert not any(answers(feed, 0.0, 1, range(590, 90, -10)))
    assert feed.level(0.0) == 100


def test_a_value_that_rises_is_believed() -> None:
    """As long as it moves it may raise the level, and does."""
    feed = Feed.of()
    answers(feed, 0.0, 1, [599])
    feed.believe(10, 0.0)
    answers(feed, 0.0, 1, [550])

    assert feed.level(0.0) == 550


# -- waking up -----------------------------------------------------------------


def test_it_wakes_when_it_moves_as_predicted() -> None:
    """A cache was renewed: from 400 it ought to have fallen by 40, and it did."""
    feed = Feed.of()
    assert answers(feed, 0.0, 10, [400, 400, 400, 400, 360]) == [False, True, True, True, False]
    feed.believe(10, 0.0)
    answers(feed, 0.0, 1, [359])
    assert feed.level(0.0) == 359


@pytest.mark.parametrize(("shown", "asleep"), [(381, False), (339, False), (382, True), (338, True), (450, True)])
def test_within_half_of_the_predicted_movement_and_one_unit(shown: int, asleep: bool) -> None:
    """Forty were debited: a fall of 19 to 61 is that, of 18 or 62, or a rise, is not."""
    feed = Feed.of()
    answers(feed, 0.0, 10, [400, 400, 400, 400])

    assert answers(feed, 0.0, 10, [shown]) == [asleep]


def test_a_move_that_was_not_predicted_is_a_new_beginning() -> None:
    """
    While it slept somebody spent two hundred. When it is renewed the first value surprises, and the next fits.

    Held against what we had believed it would never fit again.
    """
    feed = Feed.of()
    answers(feed, 0.0, 10, [400, 400, 400])
    assert feed.series.asleep

    assert answers(feed, 0.0, 5, [165, 160, 155]) == [True, False, False]


def test_a_constant_never_wakes_under_load() -> None:
    """Whatever it says, it says the same."""
    feed = Feed.of()

    assert answers(feed, 0.0, 10, [599] * 30) == [False] + [True] * 29


def test_asleep_nothing_is_said_of_others() -> None:
    """What a frozen value lacks or has too much was spent by nobody."""
    feed = Feed.of()
    answers(feed, 0.0, 60, [400, 400, 400])
    answers(feed, 1.0, 1, [200])

    assert feed.series.asleep
    assert feed.series.foreign_ppm(now_ns=10**9) == 0


# -- where costs are estimates -------------------------------------------------


def estimated(feed: Feed, amount: int, shown: float, witness: bool | None) -> bool:
    """A call of an estimated cost shows this; what the requests of the same answer are, if it shows any."""
    lesson = feed.hear(feed.send(0.0, amount), shown, at=0.0, limit=600, counted=False, witness=witness)
    assert lesson is not None
    return lesson.asleep


@pytest.mark.parametrize("witness", [True, False])
def test_a_counted_series_bears_witness_for_an_estimated_one(witness: bool) -> None:
    """Tokens that stand still, or rise, or fall as they like: awake or asleep as the requests of the same answers."""
    feed = Feed.of()
    feed.hear(feed.send(0.0, 10), 590, at=0.0, counted=False)

    assert [estimated(feed, 10, shown, witness) for shown in (590, 590, 590, 590, 595, 100)] == [witness] * 6
    assert estimated(feed, 1, 100, not witness) is not witness


def test_without_a_witness_only_a_value_that_never_moves_is_asleep() -> None:
    """Three times the same while six units should be gone; a value that moves, however little, is alive."""
    feed = Feed.of()
    feed.hear(feed.send(0.0, 10), 590, at=0.0, counted=False)

    rows = [(590, False), (590, False), (590, True), (590, True), (589, False), (589, False), (589, False), (589, True)]
    assert [estimated(feed, 10, shown, None) for shown, _ in rows] == [asleep for _, asleep in rows]


def test_without_a_witness_a_value_that_ought_to_stand_still_is_alive() -> None:
    """Calls that cost next to nothing leave everything as it was."""
    feed = Feed.of()
    feed.hear(feed.send(0.0, 1), 590, at=0.0, counted=False)

    assert [estimated(feed, 1, 590, None) for _ in range(6)] == [False] * 5 + [True]


# -- the reserve ---------------------------------------------------------------


def test_one_per_cent_is_kept_back_while_readings_agree() -> None:
    """Six of six hundred, from the first reading on; before it nothing is."""
    feed = Feed.of()
    assert feed.bucket.reserve == 0
    answers(feed, 0.0, 1, [599, 598, 597])

    assert feed.bucket.reserve == 6 * UNIT


def test_what_the_first_reading_shows_is_no_surprise() -> None:
    """Half of the bucket was gone before we came: nothing had been known, so nothing is feared."""
    feed = Feed.of()
    answers(feed, 0.0, 1, [300])

    assert feed.level(0.0) == 300
    assert feed.bucket.reserve == 6 * UNIT


def for_others(feed: Feed, second: float) -> int:
    """The part of the reserve that is kept because others spend: five times their share of the usual six units."""
    return 6 * UNIT * 5 * feed.series.foreign_ppm(now_ns=round(second * 10**9)) // 1_000_000


def test_the_reserve_grows_with_surprise_and_calms_down() -> None:
    """
    A drop of 32 above all that can be explained adds twice a sixteenth of itself: four units.

    Each reading without one takes a sixteenth of that off again.
    """
    feed = Feed.of()
    answers(feed, 0.0, 1, [300, 299 - 1 - 32])
    assert feed.bucket.reserve == (6 + 4) * UNIT + for_others(feed, 0.0)

    answers(feed, 20.0, 1, range(466, 456, -1))
    assert for_others(feed, 20.0) == 0
    assert feed.bucket.reserve == pytest.approx((6 + 4 * (15 / 16) ** 10) * UNIT, abs=100)
    answers(feed, 20.0, 1, range(456, 56, -1))
    assert 6 * UNIT - 100 < feed.bucket.reserve <= 6 * UNIT


def test_the_reserve_grows_with_what_others_spend() -> None:
    """Of the ten that flow back each second others take four: as much again comes on top of the reserve.

    Ten times four less one unit at both ends, and of the last reading nobody knows yet whether it holds.
    """
    feed = Feed.of()
    answers(feed, 0.0, 7, [300])
    for second in range(1, 11):
        answers(feed, float(second), 7, [300 + second * (10 - 7 - 4)])

    assert for_others(feed, 10.0) == pytest.approx(6 * UNIT * 5 * 0.34, rel=0.01)
    surprise = feed.bucket.reserve - 6 * UNIT - for_others(feed, 10.0)
    assert surprise == pytest.approx(2 * 3 * (1 - (15 / 16) ** 10) * UNIT, rel=0.01)


def test_a_fraction_that_stays_apart_is_told_of_once() -> None:
    """
    What we spend flows back, and 300 are shown each time; that all but the first are read 80 ms late makes 0.8 of a
    unit, and not 0.8 with each of a hundred readings.
    """
    feed = Feed.of()
    for number in range(100):
        second = number / 10
        feed.hear(feed.send(second), 300, at=second + 0.1, looked=second + (0.08 if number else 0.0), limit=600)

    assert feed.series.foreign_ppm(now_ns=10 * 10**9) == 0
    assert not feed.series.asleep


@pytest.mark.parametrize(("heard", "left", "foreign"), [(1.0, 294, 13), (2.5, 309, 0)])
def test_what_was_read_late_tells_of_nobody(heard: float, left: int, foreign: int) -> None:
    """
    Fifteen are missing, and the next reading lacks them, too. Read at once they were taken by others; of readings
    that come a second and a half after the grant the server may have looked as much earlier, and that is fifteen units.
    """
    feed = Feed.of()
    feed.hear(feed.send(0.0), 300, at=0.0, limit=600)
    sent = [feed.send(1.0), feed.send(1.0)]
    for number, call in enumerate(sent):
        feed.hear(call, left - number, at=heard, looked=heard, limit=600)

    assert feed.series.foreign_ppm(now_ns=round(heard * 10**9)) == foreign * 10_000


def test_never_more_than_a_tenth_is_kept_back() -> None:
    """However wild the server, nine tenths may be used."""
    feed = Feed.of()
    answers(feed, 0.0, 1, [599, 599 - 500, 599, 20])

    assert feed.bucket.reserve == 60 * UNIT
