"""Ledgers for the budget of one limit group."""

from __future__ import annotations

import random
from typing import Any

import attrs

from ratelimit_client import Quotas, per_day, per_minute
from ratelimit_client.testing import Outsiders, binding, fixed, honest, minute, own_cost, silent, sliced, stale
from ratelimit_client.testing.account import Account, pays

S = 1_000_000_000


def account(quotas: Any, **changed: Any) -> Account:
    options: dict[str, Any] = {
        "enforcement": lambda unit: minute(),
        "dice": random.Random(0),
        "charge_refusals": False,
        "choice": binding,
        "outsiders": (),
        "start_ns": 0,
        "now_ns": 0,
    }
    return Account("gpt-4o", Quotas.of(quotas), **{**options, **changed})


def left(judge: Account, *, now_ns: int = 0) -> list[int]:
    judge.advance(now_ns=now_ns)
    return [meter.shown()[0] // meter.window_ns for meter in judge.meters]


def test_a_call_is_charged_everywhere_or_nowhere() -> None:
    """A call that lacks tokens takes no request either."""
    judge = account(per_minute(requests=10, tokens=1000))

    assert judge.admit(1, 600, {}, now_ns=0) is None
    assert left(judge) == [9, 400]
    refusal = judge.admit(1, 600, {}, now_ns=0)
    assert refusal is not None
    assert attrs.astuple(refusal) == ("tokens", 1000, 60 * S, 600, 600, 12 * S)
    assert left(judge) == [9, 400]


def test_a_refused_call_may_cost_its_request() -> None:
    """With charged refusals a retry loop starves itself: one request each, no tokens, never below zero."""
    judge = account(per_minute(requests=3, tokens=1000), charge_refusals=True)
    for _ in range(50):
        assert judge.admit(1, 1001, {}, now_ns=0) is not None

    assert left(judge) == [0, 1000]


def test_the_refusal_names_the_longest_wait() -> None:
    """Of two empty buckets the one that takes longer is named, so that its hint is enough."""
    judge = account(per_minute(requests=60, tokens=600))
    judge.admit(60, 600, {}, now_ns=0)

    refusal = judge.admit(1, 20, {}, now_ns=0)
    assert refusal is not None
    assert (refusal.unit, refusal.wait_ns) == ("tokens", 2 * S)
    refusal = judge.admit(3, 20, {}, now_ns=0)
    assert refusal is not None
    assert (refusal.unit, refusal.wait_ns) == ("requests", 3 * S)


def test_the_hint_of_a_bucket_is_made_of_the_numbers_it_prints() -> None:
    """(used + requested - limit) x window / limit, with used in whole units: half a unit on hand does not count."""
    judge = account(per_minute(requests=60))
    judge.admit(60, 0, {}, now_ns=0)

    refusal = judge.admit(1, 0, {}, now_ns=S // 2)
    assert refusal is not None
    assert (refusal.used, refusal.wait_ns) == (60, S)


def test_the_hint_of_a_slice_is_the_slice() -> None:
    """Refused with 55 of 60 left: the text says used 5 and the wait is that of the hidden bucket."""
    judge = account(per_minute(requests=60), enforcement=lambda unit: sliced(5))
    judge.admit(5, 0, {}, now_ns=0)

    refusal = judge.admit(2, 0, {}, now_ns=0)
    assert refusal is not None
    assert (refusal.used, refusal.wait_ns) == (5, 2 * S)


def test_the_hint_of_a_counter_is_its_step() -> None:
    """A window that steps in 7 s is full again in 7 s, however long a unit takes on the average."""
    judge = account(per_minute(requests=3), enforcement=lambda unit: fixed(60))
    judge.admit(3, 0, {}, now_ns=0)
    (meter,) = judge.meters
    step_ns = meter.shown()[1]

    refusal = judge.admit(1, 0, {}, now_ns=step_ns - 7 * S)
    assert refusal is not None
    assert (refusal.used, refusal.wait_ns) == (3, 7 * S)


def test_never_is_not_later() -> None:
    """A cost above a limit is too large, and says whose limit."""
    judge = account(per_minute(requests=60, tokens=1000))

    assert judge.too_large(1, 1000, {}) is None
    refusal = judge.too_large(1, 1001, {})
    assert refusal is not None
    assert (refusal.unit, refusal.limit, refusal.requested, refusal.wait_ns) == ("tokens", 1000, 1001, None)


def test_what_each_unit_is_paid_with() -> None:
    """Project limits are paid like those of the organisation; other units by what the caller gives."""
    assert pays("project-tokens", 1, 50, {}) == 50
    assert pays("project-requests", 1, 50, {}) == 1
    assert pays("images", 1, 50, {"images": 3}) == 3
    assert pays("images", 1, 50, {}) == 0


def test_outsiders_spend_in_the_order_of_time() -> None:
    """2 a second and 10 at once every 5 s, from a bucket of 60 that returns one a second."""
    judge = account(per_minute(requests=60), outsiders=[Outsiders(per_s=2, burst=10, every_s=5)])

    assert left(judge, now_ns=0) == [60]
    assert left(judge, now_ns=S) == [58]
    assert left(judge, now_ns=4_500_000_000) == [55]
    assert left(judge, now_ns=5 * S) == [44]
    assert judge.outside_calls == 20
    assert left(judge, now_ns=300 * S) == [0]


def test_outsiders_who_insist_get_theirs() -> None:
    """50 at once of 5 that are left: the level falls to -45, shows 0, and whoever comes next waits for 46 to return."""
    judge = account(per_minute(requests=60), outsiders=[Outsiders(burst=50, every_s=10, insist=True)])
    for _ in range(60):
        assert judge.admit(1, 0, {}, now_ns=5 * S) is None

    refusal = judge.admit(1, 0, {}, now_ns=10 * S)
    assert refusal is not None
    assert (left(judge, now_ns=10 * S), refusal.wait_ns) == ([-45], 46 * S)
    assert judge.shown(honest(), 0, {}, now_ns=10 * S)[0].remaining == 0
    assert judge.outside_calls == 50


def test_outsiders_come_and_go() -> None:
    """From the second second to the fourth, and never again."""
    judge = account(
        per_minute(requests=60), outsiders=[Outsiders(per_s=10, tokens=5, from_s=2, until_s=4), Outsiders(per_s=0)]
    )
    judge.advance(now_ns=100 * S)
    assert judge.outside_calls == 19

    late = account(per_minute(requests=60), outsiders=[Outsiders(per_s=10, until_s=4)], now_ns=10 * S)
    late.advance(now_ns=100 * S)
    assert late.outside_calls == 0


def test_quotas_may_come_and_go() -> None:
    """A quota that stays keeps its level, a new one opens full, one that goes is forgotten."""
    judge = account(per_minute(requests=60) + per_day(requests=100))
    judge.admit(10, 0, {}, now_ns=0)
    judge.set_quotas(per_minute(requests=30, tokens=500), now_ns=0)

    assert left(judge) == [20, 500]
    judge.set_quotas(per_minute(requests=30), now_ns=0)
    assert left(judge) == [20]


def test_what_the_headers_tell() -> None:
    """Honest: the level. Own cost: always limit less cost. Stale: the first look, renewed when due. Silent: nothing."""
    judge = account(per_minute(requests=60, tokens=1000))
    judge.admit(1, 100, {}, now_ns=0)
    judge.admit(1, 100, {}, now_ns=0)

    def remaining(kind: Any, now_ns: int = 0) -> list[int]:
        judge.advance(now_ns=now_ns)
        return [each.remaining for each in judge.shown(kind, 100, {}, now_ns=now_ns)]

    assert remaining(honest()) == [58, 800]
    assert remaining(own_cost()) == [59, 900]
    assert remaining(silent()) == []
    assert remaining(stale(5)) == [58, 800]
    judge.admit(1, 100, {}, now_ns=0)
    assert remaining(stale(5), 4 * S) == [58, 800]
    assert remaining(stale(), 100 * S) == [58, 800]
    assert remaining(stale(5), 100 * S) == [60, 1000]


def test_one_header_for_two_quotas_of_a_unit() -> None:
    """Requests per minute beside requests per day: only the binding one is shown."""
    judge = account(per_minute(requests=60) + per_day(requests=62))
    judge.admit(60, 0, {}, now_ns=0)
    (shown,) = judge.shown(honest(), 0, {}, now_ns=0)
    assert (shown.limit, shown.remaining) == (60, 0)

    judge.advance(now_ns=10 * S)
    (shown,) = judge.shown(honest(), 0, {}, now_ns=10 * S)
    assert (shown.limit, shown.remaining) == (62, 2)
    assert repr(judge) == "<Account gpt-4o: <BucketMeter 10/60 requests>, <BucketMeter 2/62 requests>>"
