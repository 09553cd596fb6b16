"""Several processes on one key, by the mark that all of them see."""

from __future__ import annotations

import pytest

from ratelimit_client.core.bucket import Bucket
from ratelimit_client.core.sharing import Sharing
from ratelimit_client.core.units import NS as S

LIMIT = 6000  # a minute: a hundred a second; 7.5 % are 450, half a per cent 30 a second


def bucket(limit: int = LIMIT, window_s: int = 60) -> Bucket:
    return Bucket.full("requests", limit, window_s * S, pays="requests", now_ns=0)


def on(shared: Bucket, foreign_ppm: int = 500_000) -> Sharing:
    """A pace that was switched on at 0."""
    sharing = Sharing()
    assert sharing.consider(shared, foreign_ppm, now_ns=0)
    return sharing


def pace_of(sharing: Sharing) -> int:
    assert sharing.pace is not None
    return sharing.pace.limit


def test_alone_nothing_is_shared() -> None:
    """Up to 3 % is noise: no pace, and a mark means nothing."""
    shared, sharing = bucket(), Sharing()

    assert not sharing.consider(shared, 30_000, now_ns=0)
    sharing.marked(shared, 0, 0, now_ns=0)
    assert sharing.pace is None


def test_it_switches_on_above_three_per_cent_and_off_after_thirty_quiet_seconds() -> None:
    """Between 1 % and 3 % it stays as it is, and only 30 s in a row below 1 % end it."""
    shared, sharing = bucket(), Sharing()
    for second, foreign_ppm, changed, is_on in [
        (0, 30_001, True, True),
        (10, 20_000, False, True),
        (20, 9_999, False, True),  # quiet from here
        (49, 0, False, True),
        (49, 10_000, False, True),  # not quite
        (60, 9_999, False, True),  # quiet again
        (89, 0, False, True),
        (90, 0, True, False),
        (91, 20_000, False, False),
        (92, 40_000, True, True),
        (100, 0, False, True),  # the thirty seconds begin anew
        (129, 0, False, True),
        (130, 0, True, False),
    ]:
        assert sharing.consider(shared, foreign_ppm, now_ns=second * S) is changed, second
        assert (sharing.pace is not None) is is_on, second


def test_it_ends_with_the_input_once_the_level_is_enough() -> None:
    """Against one who never yields the mark would be left for nobody; who needs no more than is there takes it."""
    shared, sharing = bucket(), Sharing()
    for second, ends, changed, is_on in [
        (0, False, True, True),
        (1, True, True, False),
        (2, True, False, False),  # nor does it begin again
        (3, False, True, True),  # more input came after all
    ]:
        assert sharing.consider(shared, 500_000, ends=ends, now_ns=second * S) is changed, second
        assert (sharing.pace is not None) is is_on, second


@pytest.mark.parametrize(("window_s", "shares"), [(600, True), (601, False), (86_400, False)])
def test_a_pace_over_a_day_would_be_next_to_nothing(window_s: int, shares: bool) -> None:
    """Only windows up to ten minutes are paced; a daily quota is not spread over the day."""
    assert Sharing().consider(bucket(window_s=window_s), 500_000, now_ns=0) is shares


def test_it_begins_with_what_others_leave() -> None:
    """Of 6000 others take a fifth: 4800 remain; and when they take all, a hundredth."""
    assert pace_of(on(bucket(), 200_000)) == 4800
    assert pace_of(on(bucket(), 1_000_000)) == 60
    assert pace_of(on(bucket(limit=9_900), 1_000_000)) == 99
    assert pace_of(on(bucket(limit=50), 1_000_000)) == 1


def test_the_pace_lets_no_burst_through() -> None:
    """It holds a four-hundredth of the bucket, of a small bucket one call, and it is paid in the same unit."""
    large, small = on(bucket()).pace, on(bucket(limit=60)).pace

    assert large is not None
    assert small is not None
    assert large.level(now_ns=0) == large.capacity == 15
    assert small.level(now_ns=0) == small.capacity == 1
    assert (large.name, large.pays, large.source) == ("requests pace", "requests", "learned")


def test_it_grows_by_half_a_per_cent_of_the_limit_a_second() -> None:
    """From 3000 by 30 a second, however often it is looked at, and never above the limit."""
    shared = bucket()
    often, seldom = on(shared), on(shared)
    for tenth in range(1, 101):
        often.marked(shared, 3000, 0, now_ns=tenth * S // 10)
    seldom.marked(shared, 3000, 0, now_ns=10 * S)

    assert pace_of(often) == pace_of(seldom) == 3300
    seldom.marked(shared, 3000, 0, now_ns=900 * S)
    assert pace_of(seldom) == LIMIT


def test_growth_too_small_for_a_unit_is_not_lost() -> None:
    """Of 600 a minute three come back each second: thirty looks of a tenth are nine, and none is dropped."""
    shared = bucket(limit=600)
    sharing = on(shared)
    for tenth in range(1, 31):
        sharing.marked(shared, 300, 0, now_ns=tenth * S // 10)

    assert 307 <= pace_of(sharing) <= 309
    slow = bucket(limit=200)
    sharing = on(slow)
    sharing.marked(slow, 100, 0, now_ns=S)
    assert pace_of(sharing) == 101


def test_it_begins_when_it_is_switched_on() -> None:
    """Neither the growth nor the patience of a cut reaches back to before there was a pace."""
    shared, sharing = bucket(), Sharing()
    sharing.consider(shared, 500_000, now_ns=100 * S)
    sharing.marked(shared, 0, 0, now_ns=100 * S + S // 2)

    assert pace_of(sharing) == 3015


def test_what_flowed_back_at_the_old_pace_stays() -> None:
    """A tenth of a second at fifty calls a second is five calls, also when the pace is cut just then."""
    shared = bucket()
    sharing = on(shared)
    assert sharing.pace is not None
    sharing.pace.take(15, now_ns=9 * S // 10)
    sharing.marked(shared, 0, 0, now_ns=S)

    assert pace_of(sharing) == 3030 * 85 // 100
    assert sharing.pace.level(now_ns=S) == 5


def test_below_the_mark_it_is_cut_at_most_once_a_second() -> None:
    """Under 7.5 % of the limit the pace falls to 0.85; at 7.5 % it does not; nor again within the second."""
    shared = bucket()
    sharing = on(shared)
    for second, remaining, expected in [
        (0.5, 449, 3015),  # not within a second of the start
        (1.0, 450, 3030),  # at the mark is not below it
        (1.0, 449, 3030 * 85 // 100),
        (1.9, 0, 2575 + 27),
        (2.0, 0, (2575 + 27 + 3) * 85 // 100),
    ]:
        sharing.marked(shared, remaining, 0, now_ns=round(second * S))
        assert pace_of(sharing) == expected, second


def test_it_never_gets_so_slow_that_no_answer_would_come() -> None:
    """Marks without end leave a pace, for it is answers that bring it up again."""
    large, small = bucket(), bucket(limit=50)
    pressed, tiny = on(large), on(small, 1_000_000)
    for second in range(1, 60):
        pressed.marked(large, 0, 0, now_ns=second * S)
        tiny.marked(small, 0, 0, now_ns=second * S)
        assert pace_of(tiny) in (1, 2)

    assert 160 <= pace_of(pressed) <= 180
    for second in range(60, 300):
        pressed.marked(large, LIMIT, 0, now_ns=second * S)
    assert pace_of(pressed) == LIMIT


def test_two_greedy_clients_become_equal() -> None:
    """One begins with nine tenths, the other with a tenth; marks that both see bring them together."""
    shared = bucket()
    greedy, shy = on(shared, 100_000), on(shared, 900_000)
    level = LIMIT
    for second in range(1, 601):
        level = min(LIMIT, level + (LIMIT - pace_of(greedy) - pace_of(shy)) // 60)
        for each in (greedy, shy):
            each.marked(shared, max(0, level), 0, now_ns=second * S)

    assert 0.8 < pace_of(shy) / pace_of(greedy) <= 1.0


def test_what_a_pace_owes_of_better_times_is_repaid_in_a_window() -> None:
    """A call of 5000 left it in debt, then 60 a minute are shown: the debt ends at a bucket of that size."""
    shared = bucket()
    sharing = on(shared)
    assert sharing.pace is not None
    sharing.pace.take(5000, now_ns=S)
    shared.resize(60, now_ns=2 * S)
    sharing.marked(shared, 60, 0, now_ns=2 * S)

    assert sharing.pace.level(now_ns=2 * S) == -60
