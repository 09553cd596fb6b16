"""Calls that need not wait: charged in one go, in all buckets or in none."""

from __future__ import annotations

from ratelimit_client.core.budget import Budget, shared_buckets
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.profile import ServerProfile
from ratelimit_client.core.quota import per_minute
from ratelimit_client.core.ticket import Ticket
from ratelimit_client.core.units import NS as S
from tests.core.charging import Key, key


def at_once(one: Key, cost: Cost, now_ns: int = 0) -> bool:
    """A new call is charged without a closer look, and given back."""
    ticket = Ticket(0, "m", "", 0, cost, None, None, now_ns)
    charged = one.budget.charge_at_once(ticket, 0, now_ns)
    one.budget.give_back(ticket, now_ns=now_ns)
    return charged


def test_a_call_is_charged_at_once_only_where_its_buckets_surely_have_room() -> None:
    """Level, gate, holds, and the size of the bucket; the reserve is not touched."""
    one = key(*per_minute(requests=100))
    bucket = one.budget.by_unit["requests"][0]
    assert at_once(one, Cost(99))
    assert not at_once(one, Cost(100))
    assert not at_once(one, Cost(101))
    assert at_once(one, Cost(0, tokens=10**9)), "nobody limits tokens"

    bucket.gate_ns = 5
    assert not at_once(one, Cost(1), now_ns=4)
    assert at_once(one, Cost(1), now_ns=5)
    bucket.special = True
    assert not at_once(one, Cost(1), now_ns=5)


def test_a_call_that_one_bucket_has_no_room_for_is_charged_in_none() -> None:
    """Levels and debits are as before, wherever the bucket without room stands; what has flowed in stays."""
    for requests, tokens, shared in [(9, 100, 100), (100, 9, 100), (100, 100, 9)]:
        buckets = shared_buckets(per_minute(tokens=shared), now_ns=0)
        one = Budget(ServerProfile(pays={}), buckets)
        one.set_quotas(per_minute(requests=requests, tokens=tokens), now_ns=0)
        everything = [bucket for paid in one.by_unit.values() for bucket in paid]
        for bucket in everything:
            bucket.credits //= 2
        ticket = Ticket(0, "m", "", 0, Cost(10, tokens=10), None, None, 0)

        assert not one.charge_at_once(ticket, 0, 6 * S)
        assert [bucket.level(now_ns=6 * S) for bucket in everything] == [
            bucket.limit * 6 // 10 for bucket in everything
        ]
        assert [one.debits.till(unit).total for unit in ("requests", "tokens")] == [0, 0]
        assert (list(ticket.marks), ticket.levels) == ([], None)
