"""How much of a bucket others spend."""

from __future__ import annotations

from ratelimit_client.core.foreign import ForeignMeter
from ratelimit_client.core.units import NS as S

LIMIT, WINDOW_NS = 600, 60 * S  # ten a second: a hundred units in ten seconds
UNIT = WINDOW_NS  # credits


def heard(meter: ForeignMeter, *rows: tuple[float, int, int]) -> int:
    """
    Readings (second, units missing, units unsure), a tenth of a second each, the last of them borne out by one more.

    What others take then, in per cent.
    """
    second = 0.0
    for second, missing, unsure in rows:
        meter.add(missing * UNIT, S // 10, unsure * UNIT, now_ns=round(second * S))
    bear_out(meter, second)
    return percent(meter, second)


def bear_out(meter: ForeignMeter, second: float) -> None:
    """The next reading lacks as much as the last one."""
    meter.add(0, 0, 0, now_ns=round(second * S))


def percent(meter: ForeignMeter, second: float) -> int:
    return meter.ppm(LIMIT, WINDOW_NS, now_ns=round(second * S)) // 10_000


def test_nothing_heard_is_nothing_spent() -> None:
    """Before the first reading others take nothing."""
    assert percent(ForeignMeter(), 5.0) == 0


def test_what_is_missing_was_spent_by_others() -> None:
    """Thirty units gone in ten seconds of a hundred are 30 %."""
    assert heard(ForeignMeter(), *((number / 2, 3, 0) for number in range(10))) == 30


def test_differences_that_cancel_are_noise() -> None:
    """A reading that is five short and one that is five over tell of nobody."""
    assert heard(ForeignMeter(), *((number / 4, (5, -5)[number % 2], 0) for number in range(40))) == 0


def test_more_than_predicted_is_no_spending() -> None:
    """A server that has more than we believed owes nobody an explanation."""
    assert heard(ForeignMeter(), (0.0, -20, 0), (1.0, -20, 0)) == 0


def test_one_odd_reading_is_read_over_ten_seconds() -> None:
    """Four units missing at the very first reading are 4 %, and not all of the tenth of a second it looked at."""
    assert heard(ForeignMeter(), (0.0, 4, 0)) == 4


def test_what_one_reading_lacks_counts_when_the_next_one_lacks_it_too() -> None:
    """
    Fifty calls that were let go after one came before it: it lacks fifty, and of the next one nothing is missing.

    How many overtake a call like that nobody can know when its answer is read.
    """
    for next_one, expected in [(-50, 0), (0, 50), (-20, 30), (10, 50)]:
        meter = ForeignMeter()
        meter.add(50 * UNIT, S // 10, 0, now_ns=S)
        assert percent(meter, 1.0) == 0
        meter.add(next_one * UNIT, S // 10, 0, now_ns=2 * S)
        assert percent(meter, 2.0) == expected, next_one


def test_it_forgets_after_ten_seconds() -> None:
    """What was spent counts for ten seconds, and then no more."""
    meter = ForeignMeter()
    heard(meter, (0.0, 30, 0))

    assert [percent(meter, second) for second in (0.0, 9.9, 10.4, 10.5)] == [30, 30, 30, 0]
    assert meter._covered_ns == 0


def test_a_meter_nobody_looks_at_does_not_grow() -> None:
    """A thousand seconds of readings are kept as ten, whether or not somebody asks."""
    meter = ForeignMeter()
    for second in range(1000):
        meter.add(UNIT, S, 0, now_ns=second * S)

    assert len(meter._slots) == 11


def test_old_spending_makes_room_for_new() -> None:
    """Of a steady stream only the last ten seconds count."""
    meter = ForeignMeter()

    assert heard(meter, *((float(second), 5, 0) for second in range(30))) in (50, 55)
    assert heard(meter, *((float(second), 1, 0) for second in range(30, 50))) in (10, 11)


def test_what_may_be_under_way_at_both_ends_is_taken_off() -> None:
    """
    Calls that overtake each other shift a reading by as much as was unsure there.

    In between the shifts cancel; at the two ends nothing does.
    """
    assert heard(ForeignMeter(), (0.0, 10, 4), (1.0, 10, 9), (2.0, 10, 5)) == 30 - 4 - 5
    assert heard(ForeignMeter(), (0.0, 4, 4), (1.0, 4, 4)) == 0
    assert heard(ForeignMeter(), (0.0, 4, 9), (1.0, 4, 9)) == 0


def test_once_the_first_is_forgotten_its_neighbour_is_the_edge() -> None:
    """Twelve seconds on, the reading that fell out last says what was unsure at the beginning."""
    meter = ForeignMeter()
    heard(meter, (0.0, 0, 1), (1.0, 0, 7), (2.0, 30, 0))

    assert percent(meter, 10.0) == 29
    assert percent(meter, 11.5) == 23


def test_readings_of_one_moment_are_unsure_as_the_worst_of_them() -> None:
    """Within half a second the largest doubt holds for all."""
    assert heard(ForeignMeter(), (0.0, 30, 0), (2.0, 0, 6), (2.1, 0, 2)) == 24


def test_a_bucket_of_few_units_is_too_slow_to_tell() -> None:
    """119 a minute are less than twenty in ten seconds: one odd unit would be an alarm."""
    meter = ForeignMeter()
    meter.add(10 * UNIT, S, 0, now_ns=0)
    bear_out(meter, 0.0)

    assert meter.ppm(119, WINDOW_NS, now_ns=0) == 0
    assert meter.ppm(120, WINDOW_NS, now_ns=0) == 500_000


def test_nobody_takes_more_than_all() -> None:
    """A server that starts to count another bucket is reported as a whole one, not as seven."""
    assert heard(ForeignMeter(), (0.0, 700, 0)) == 100


def test_readings_that_look_far_back_are_measured_over_what_they_saw() -> None:
    """Two readings half a minute apart, three hundred of six hundred missing over a minute: half of it."""
    meter = ForeignMeter()
    meter.add(150 * UNIT, 30 * S, 0, now_ns=30 * S)
    meter.add(150 * UNIT, 30 * S, 0, now_ns=31 * S)
    bear_out(meter, 31.0)

    assert percent(meter, 31.0) == 50
