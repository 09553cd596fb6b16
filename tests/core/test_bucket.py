"""The level of one quota, and what time does to it."""

from __future__ import annotations

import random

import pytest

from ratelimit_client.core.bucket import Bucket, Hold
from ratelimit_client.core.hints import Hint
from ratelimit_client.core.profile import Refill
from ratelimit_client.core.units import NS as S
from tests.sizes import SCALE


def full(limit: int = 10, window_s: float = 1.0, *, reserve: float = 0, refill: Refill = Refill.CONTINUOUS) -> Bucket:
    """Ten a second, unless said otherwise."""
    window_ns = round(window_s * S)
    bucket = Bucket.full("requests", limit, window_ns, pays="requests", refill=refill, now_ns=0)
    bucket.reserve = round(reserve * window_ns)
    return bucket


def ledger(bucket: Bucket, *rows: tuple[float, str, int, int]) -> None:
    """Apply each row (second, verb, amount) and compare the level after it."""
    for number, (second, verb, amount, expected) in enumerate(rows, start=1):
        now_ns = round(second * S)
        match verb:
            case "take":
                bucket.take(amount, now_ns=now_ns)
            case "give back":
                bucket.give_back(amount, now_ns=now_ns)
            case "set":
                bucket.set_level(amount * bucket.window_ns, now_ns=now_ns)
            case "cap":
                bucket.cap_level(amount * bucket.window_ns, now_ns=now_ns)
            case "resize":
                bucket.resize(amount, now_ns=now_ns)
            case "steps at":
                bucket.steps_at_ns = amount * S

        assert expected == bucket.level(now_ns=now_ns), f"row {number}: {verb}"


def ready_s(bucket: Bucket, amount: int, at_s: float = 0.0) -> float:
    return bucket.ready_at_ns(amount, now_ns=round(at_s * S)) / S


# -- what time does -----------------------------------------------------------------


def test_units_come_back_evenly_and_stop_at_the_brim() -> None:
    """Ten a second is one every tenth of a second, never more than ten."""
    ledger(
        full(),
        (0.0, "take", 10, 0),
        (0.1, "take", 1, 0),
        (0.3, "take", 1, 1),
        (9.0, "look", 0, 10),
    )


def test_a_refund_never_overflows() -> None:
    """Giving back more than was missing leaves a full bucket, not a fuller one."""
    ledger(full(), (0.0, "take", 3, 7), (0.2, "give back", 3, 10))


def test_debt_is_repaid_by_time() -> None:
    """More than the level may be drawn; it comes back like everything else."""
    bucket = full()
    ledger(bucket, (0.0, "take", 14, -4), (0.3, "look", 0, -1), (0.5, "look", 0, 1))
    assert ready_s(bucket, 3, at_s=0.5) == 0.7


def test_a_clock_that_steps_back_costs_nothing() -> None:
    """Time that runs backwards is time that stands still."""
    ledger(full(), (1.0, "take", 4, 6), (0.5, "take", 1, 5), (1.1, "look", 0, 6))


def test_a_level_is_set_and_capped_within_the_bucket() -> None:
    """A cap only lowers; neither fills it above the brim."""
    ledger(
        full(),
        (0.0, "set", 4, 4),
        (0.0, "cap", 7, 4),
        (0.0, "cap", 2, 2),
        (0.0, "set", 99, 10),
        (0.0, "set", -3, -3),
    )


def test_used_units_stay_used_when_the_quota_changes() -> None:
    """A larger bucket does not start fuller, a smaller one holds less, and owes itself at most."""
    bucket = full(reserve=5)
    ledger(
        bucket,
        (0.0, "take", 4, 6),
        (0.0, "resize", 20, 6),
        (0.1, "look", 0, 8),
        (0.1, "resize", 5, 5),
        (0.1, "take", 20, -15),
        (0.1, "resize", 2, -2),
    )
    assert bucket.reserve == bucket.brim == 2 * S
    assert bucket.capacity == 2


# -- when it is ready -----------------------------------------------------------------


def test_the_reserve_stays_behind_as_far_as_there_is_room() -> None:
    """One of ten is kept; a call of nine and a half may leave half a one, and a full one all of it."""
    bucket = full(reserve=1)
    assert ready_s(bucket, 9) == 0.0
    bucket.take(1, now_ns=0)
    assert ready_s(bucket, 8) == 0.0
    assert ready_s(bucket, 9) == 0.1
    assert ready_s(bucket, 10) == 0.1
    bucket.spends_reserve = True
    assert ready_s(bucket, 9) == 0.0


def test_more_than_it_holds_is_ready_when_it_is_full() -> None:
    """No wait would make it any fuller."""
    bucket = full()
    bucket.take(5, now_ns=0)
    assert ready_s(bucket, 11) == ready_s(bucket, 1000) == ready_s(bucket, 10) == 0.5


def test_a_hint_keeps_back_calls_as_large_as_the_refused_one() -> None:
    """Until its time has come; smaller ones see the level alone."""
    bucket = full()
    bucket.close(Hint(2 * S, 5), now_ns=0)
    assert [ready_s(bucket, amount) for amount in (4, 5, 10)] == [0.0, 2.0, 2.0]
    assert ready_s(bucket, 5, at_s=2.0) == 2.0


def test_a_longer_hint_for_larger_calls_leaves_the_shorter_in_force() -> None:
    """All wait for a second, and from eight units on for a minute."""
    bucket = full()
    bucket.close(Hint(S, 0), now_ns=0)
    bucket.close(Hint(60 * S, 8), now_ns=0)

    assert [ready_s(bucket, amount) for amount in (1, 7, 8, 10)] == [1.0, 1.0, 60.0, 60.0]
    assert [ready_s(bucket, amount, at_s=1.0) for amount in (1, 7, 8, 10)] == [1.0, 1.0, 60.0, 60.0]


@pytest.mark.parametrize("seed", range(100 * SCALE))
def test_ready_at_is_exact(seed: int) -> None:
    """At the promised instant the amount is there; one nanosecond before, it is not."""
    dice = random.Random(seed)
    bucket = full(dice.randint(1, 10**6), dice.randint(1, 3600 * S) / S)
    now_ns = 0
    for _ in range(30):
        now_ns += dice.randint(0, bucket.window_ns)
        amount = dice.randint(1, bucket.limit)
        ready_ns = bucket.ready_at_ns(amount, now_ns=now_ns)
        if ready_ns > now_ns:
            assert bucket.level(now_ns=ready_ns - 1) < amount

        bucket.take(amount, now_ns=ready_ns)
        assert bucket.credits >= 0
        now_ns = ready_ns


# -- windows ------------------------------------------------------------------------


def hourly(**how: float) -> Bucket:
    return full(100, 3600.0, refill=Refill.WINDOW, **how)  # type: ignore[arg-type]


def test_a_window_gives_nothing_until_it_steps() -> None:
    """And then it is full, whatever was used; steps that nobody looked at count as one."""
    ledger(
        hourly(),
        (0, "take", 60, 40),
        (3599, "look", 0, 40),
        (3600, "look", 0, 100),
        (3600, "take", 70, 30),
        (5 * 3600, "look", 0, 100),
        (5 * 3600, "take", 10, 90),
        (6 * 3600 - 1, "look", 0, 90),
        (6 * 3600, "look", 0, 100),
    )


def test_the_first_call_begins_a_window_whose_end_nobody_told() -> None:
    """Until a reading says otherwise it is as long as it is called."""
    bucket = hourly()
    bucket.take(100, now_ns=500 * S)
    assert ready_s(bucket, 1, at_s=600) == 4100.0
    ledger(bucket, (600, "steps at", 1000, 0), (1000, "look", 0, 100), (1000, "take", 100, 0), (4600, "look", 0, 100))


def test_a_new_window_is_let_out_over_ten_seconds_at_most() -> None:
    """So that all who waited for the same step do not knock at once; a short window over a twentieth of itself."""
    bucket = hourly()
    bucket.take(100, now_ns=0)
    assert ready_s(bucket, 1, at_s=10) == 3600.0
    assert ready_s(bucket, 1, at_s=3600) == pytest.approx(3600.1)
    assert ready_s(bucket, 50, at_s=3600) == pytest.approx(3605)
    assert ready_s(bucket, 100, at_s=3600) == pytest.approx(3610)
    assert ready_s(bucket, 50, at_s=3605) == 3605.0
    bucket.take(50, now_ns=3605 * S)
    assert ready_s(bucket, 1, at_s=3605) == pytest.approx(3605.1)
    assert ready_s(bucket, 60, at_s=3605) == 7200.0
    assert ready_s(bucket, 50, at_s=3610) == 3610.0

    short = full(100, 60.0, refill=Refill.WINDOW)
    short.take(100, now_ns=0)
    assert ready_s(short, 100, at_s=60) == pytest.approx(63)


def test_an_empty_window_that_nobody_paid_in_steps_all_the_same() -> None:
    """A reading emptied it and told no time: a window from when somebody asked."""
    bucket = hourly()
    bucket.cap_level(0, now_ns=0)
    assert ready_s(bucket, 1, at_s=100) == 3700.0
    assert ready_s(bucket, 1, at_s=200) == 3700.0


# -- how long a queue takes ---------------------------------------------------------------


@pytest.mark.parametrize(("amount", "second"), [(3, 0.0), (4, 0.1), (10, 0.7), (100, 9.7)])
def test_a_queue_has_flowed_back_when_its_sum_has(amount: int, second: float) -> None:
    """However much more than the bucket holds at once."""
    bucket = full()
    bucket.take(7, now_ns=0)
    assert bucket.refilled_at_ns(amount, now_ns=0) == round(second * S)


@pytest.mark.parametrize(("amount", "second"), [(30, 0), (31, 3600), (130, 3600), (131, 7200), (1030, 10 * 3600)])
def test_behind_a_window_the_steps_count(amount: int, second: int) -> None:
    """What does not fit in this one waits for the next, and so on."""
    bucket = hourly()
    bucket.take(70, now_ns=0)
    assert bucket.refilled_at_ns(amount, now_ns=0) == second * S


def test_a_window_that_nobody_paid_in_yet_is_reckoned_by_its_rate() -> None:
    """When it steps is not known."""
    assert hourly().refilled_at_ns(200, now_ns=0) == 3600 * S


@pytest.mark.parametrize(("window_s", "kept"), [(1, 8640), (60, 8640), (600, 8640), (3600, 1440), (86_400, 864)])
def test_no_more_is_ever_kept_back_than_flows_back_in_a_minute(window_s: float, kept: int) -> None:
    """Of 86 400 a tenth, of an hour's a sixtieth; of a day's the usual hundredth, which is a quarter of an hour."""
    bucket = full(86_400, window_s)

    assert bucket.most_reserve // bucket.window_ns == kept


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_shorter_hint_undoes_no_longer_one(order: tuple[int, int]) -> None:
    """Calls of five wait for a minute and all others for half of one, whichever was said first."""
    bucket = Bucket.full("tokens", 100, 60 * S, pays="tokens", now_ns=0)
    hints = (Hint(60 * S, 5), Hint(30 * S))
    for number in order:
        bucket.close(hints[number], now_ns=0)

    rows = [(0, 1, 30), (0, 5, 60), (40, 1, 40), (40, 5, 60), (60, 5, 60)]
    for now_s, amount, ready_s in rows:
        assert bucket.ready_at_ns(amount, now_ns=now_s * S) == ready_s * S


def test_the_last_nanosecond_counts() -> None:
    """One unit a minute: of the one that is wanted a single credit is missing, and then it is there."""
    bucket = full(1, 60.0)
    bucket.take(1, now_ns=0)

    for held in (False, True):
        if held:
            bucket.hold_for("somebody", 0, now_ns=0)
        assert bucket.ready_at_ns(1, now_ns=60 * S - 1) == 60 * S


def test_the_step_of_a_full_window_adds_nothing() -> None:
    """Whoever drew nothing finds it full, to the last credit."""
    bucket = hourly()
    bucket.take(0, now_ns=0)
    bucket.refresh(now_ns=3600 * S)

    assert (bucket.credits, bucket.refilled) == (bucket.brim, 0)


def test_what_is_held_already_need_not_flow_in() -> None:
    """A tenth of the inflow: ten credits have to come for each that is missing, and none when none is."""
    hold = Hold("somebody", 1, 10, cap=100, amount=50, since=0)

    assert [hold.inflow_until(credits_, 0) for credits_ in (0, 30, 50, 51, 100, 1000)] == [0, 0, 0, 10, 500, 500]
    assert hold.inflow_until(60, 100) == 0


def test_an_answer_is_whole_however_late_it_is() -> None:
    """Thirty years on, a third of a second is still told to the nanosecond, rounded up."""
    bucket, now_ns = full(3), 10**18 + 1
    bucket.take(3, now_ns=now_ns)
    for answer in (bucket.refilled_at_ns(1, now_ns=now_ns), bucket.ready_at_ns(1, now_ns=now_ns)):
        assert (answer, type(answer)) == (now_ns + 333_333_334, int)
