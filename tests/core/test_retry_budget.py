from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.core.retry_budget import FLOOR, RetryBudget
from ratelimit_client.core.units import NS as S


def count_call(budget: RetryBudget, *, now_ns: int) -> None:
    """As the scheduler does it."""
    if now_ns >= budget.ends_ns:
        budget.turn(now_ns=now_ns)
    budget.calls += 1


def spend_all(budget: RetryBudget, *, share: float = 0.2, at_s: int = 0) -> int:
    """Retry until the budget is spent; how many that were."""
    return next(n for n in range(10**6) if not budget.spend(share, now_ns=at_s * S))


def test_a_quiet_client_has_ten_retries() -> None:
    """Nobody is too small to retry."""
    assert spend_all(RetryBudget()) == FLOOR == 10


def test_calls_earn_a_fifth_of_a_retry_each() -> None:
    """A hundred calls earn twenty, beside the ten."""
    budget = RetryBudget()
    for _ in range(100):
        count_call(budget, now_ns=0)

    assert budget.left(0.2, now_ns=0) == 30
    assert spend_all(budget) == 30
    assert budget.left(0.2, now_ns=0) == 0


@pytest.mark.parametrize(("share", "retries"), [(0.0, 0), (1.0, 15), (0.1, 10), (0.5, 12)])
def test_the_share_is_the_policys(share: float, retries: int) -> None:
    """Five calls earn the whole part of their share; a share of none has no floor either."""
    budget = RetryBudget()
    for _ in range(5):
        count_call(budget, now_ns=0)
    assert spend_all(budget, share=share) == retries


def test_old_calls_earn_nothing_and_old_retries_are_forgotten() -> None:
    """The minute before still counts, the one before that does not."""
    budget = RetryBudget()
    for _ in range(100):
        count_call(budget, now_ns=0)
    assert spend_all(budget, at_s=59) == 30
    assert spend_all(budget, at_s=119) == 0
    assert spend_all(budget, at_s=121) == 10
    assert spend_all(budget, at_s=1000) == 10


def test_a_clock_that_steps_back_earns_nothing() -> None:
    """Time that runs backwards is time that stands still."""
    budget = RetryBudget()
    assert spend_all(budget, at_s=600) == 10
    assert spend_all(budget, at_s=0) == 0


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=300))
def test_retries_stay_below_the_share_of_the_last_two_minutes(steps: list[tuple[int, bool]]) -> None:
    """Whatever happens when, no minute and the one before hold more retries than ten and a fifth of their calls."""
    budget, now_s = RetryBudget(), 0
    calls: dict[int, int] = {}
    retries: dict[int, int] = {}
    for wait_s, is_call in steps:
        now_s += wait_s
        minute = now_s // 60
        if is_call:
            count_call(budget, now_ns=now_s * S)
            calls[minute] = calls.get(minute, 0) + 1
        elif budget.spend(0.2, now_ns=now_s * S):
            retries[minute] = retries.get(minute, 0) + 1
            both = range(minute - 1, minute + 1)
            assert sum(retries.get(m, 0) for m in both) <= 10 + sum(calls.get(m, 0) for m in both) / 5
