"""Refusals whose lesson comes later: that tell no level, or are read late."""

from __future__ import annotations

from ratelimit_client.core.units import to_ns
from tests.core.test_lessons import Pupil

# -- a refusal that tells nothing ----------------------------------------------


def test_a_no_without_a_number_lowers_the_level_below_its_cost() -> None:
    """That much is certain; what it meant is left to the next reading."""
    learnt = Pupil.of()
    learnt.refused(0.0, 59_000, None, amount=500)

    assert learnt.bucket.level(now_ns=0) == 499
    assert (learnt.burst, learnt.lessons.strangers) == (None, 0)


def test_the_next_reading_decides_that_it_was_a_slice() -> None:
    """The level of the server agrees with what we would believe now, had we not lowered it."""
    learnt = Pupil.of()
    learnt.bucket.cap_level(58_500 * to_ns(60), now_ns=0)  # other calls left since the refused one
    learnt.refused(0.0, 59_000, None)
    learnt.reading(0.1, 58_400)

    assert (learnt.burst, learnt.lessons.strangers) == (1000, 0)


def test_the_next_reading_decides_that_it_was_somebody_else() -> None:
    """The server has far less than that."""
    learnt = Pupil.of()
    learnt.bucket.cap_level(58_500 * to_ns(60), now_ns=0)
    learnt.refused(0.0, 59_000, None)
    learnt.reading(0.1, 58_500 - 1201)

    assert (learnt.burst, learnt.lessons.strangers) == (None, 1)


def test_a_reading_of_an_earlier_call_decides_nothing() -> None:
    """It was admitted before the refused one; the question stays open until a later one answers it, once."""
    learnt = Pupil.of()
    learnt.refused(0.0, 59_000, None)
    learnt.reading(0.1, 100, later=-1)
    learnt.reading(0.1, 100, later=0)
    assert learnt.lessons.strangers == 0

    learnt.reading(0.2, 100)
    learnt.reading(0.3, 100)
    assert learnt.lessons.strangers == 1


def test_without_a_question_a_reading_answers_none() -> None:
    """Readings come all the time."""
    learnt = Pupil.of()
    learnt.reading(0.0, 10)

    assert (learnt.burst, learnt.lessons.strangers) == (None, 0)


def test_refusals_of_one_epoch_ask_one_question() -> None:
    """Thirty calls refused together: one stranger, or one slice, and not thirty."""
    learnt = Pupil.of()
    for number in range(30):
        learnt.refused(1.0 + number / 100, 59_000 - number, None, sent=0.5)
    learnt.reading(2.0, 59_000)
    learnt.reading(2.1, 59_000)

    assert learnt.burst == 1000


def test_a_question_remembers_whether_the_slice_had_room() -> None:
    """A later refusal without a number halves it only if the call would have fitted in."""
    for in_slice, burst in [(400, 500), (399, 1000)]:
        learnt = Pupil.of()
        learnt.refused(0.1, 59_000, 59_000)
        learnt.refused(1.0, 59_500, None, amount=400, in_slice=in_slice)
        learnt.reading(1.1, 60_000)
        assert learnt.burst == burst


def test_what_flowed_in_while_a_question_was_open_is_taken_back() -> None:
    """A tenth of a second brought a hundred; halved, the slice begins empty, and its first full minute begins."""
    learnt = Pupil.of()
    learnt.refused(0.1, 59_000, 59_000)
    learnt.refused(1.0, 59_500, None, in_slice=10)
    assert learnt.lessons.slice is not None
    assert learnt.lessons.slice.level(now_ns=to_ns(1.1)) == 100
    learnt.reading(1.1, 60_000)
    assert learnt.lessons.slice.level(now_ns=to_ns(1.1)) == 0

    learnt.lessons.grow(now_ns=to_ns(61.0))
    assert learnt.burst == 500
    learnt.lessons.grow(now_ns=to_ns(61.1))
    assert learnt.burst == 3500


def test_a_question_remembers_what_the_call_cost() -> None:
    """Thirty were believed, and three are left when the next reading comes: it was as good as empty."""
    learnt = Pupil.of()
    learnt.bucket.cap_level(30 * to_ns(60), now_ns=0)
    learnt.refused(0.0, 30, None, amount=10)
    learnt.reading(0.1, 3)

    assert (learnt.burst, learnt.lessons.strangers) == (None, 0)


def test_a_no_that_was_read_late_empties_what_was_there_when_it_was_said() -> None:
    """Half a second passes before the process comes to read it: at a thousand a second 500 have flowed in since."""
    for looked, level in [(0.6, 0), (0.1, 500)]:
        learnt = Pupil.of()
        learnt.refused(0.6, 59_000, 59_000, sent=0.05, looked=looked)
        assert learnt.lessons.slice is not None
        assert learnt.lessons.slice.level(now_ns=to_ns(0.6)) == level
        learnt.lessons.slice.set_level(10**15, now_ns=to_ns(0.6))

        learnt.refused(1.0, 0, 0, amount=1, looked=looked + 0.4)
        assert learnt.lessons.slice.level(now_ns=to_ns(1.0)) == level, "one that teaches nothing new empties it, too"


def test_what_was_spent_since_is_not_there_though_it_has_flowed_in() -> None:
    """A second has passed since the no was said, and 900 of the thousand that came were taken by later calls."""
    learnt = Pupil.of()
    learnt.refused(0.6, 59_000, 59_000, sent=0.05)
    learnt.refused(1.6, 0, 0, looked=0.6, spent=900)
    assert learnt.lessons.slice is not None
    assert learnt.lessons.slice.level(now_ns=to_ns(1.6)) == 100


def test_a_slice_that_is_made_smaller_holds_no_more_than_it_can() -> None:
    """Half as large as it was, it has half as much at most."""
    learnt = Pupil.of()
    learnt.refused(0.6, 30_000, 30_000, sent=0.05)
    learnt.refused(41, 45_000, 45_000, sent=0.06, looked=0.7, in_slice=30_000)
    piece = learnt.lessons.slice
    assert piece is not None
    assert piece.credits <= piece.brim
