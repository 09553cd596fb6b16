"""A bucket in which time stands still."""

from __future__ import annotations

from ratelimit_client.core.purse import Purse
from ratelimit_client.core.units import NS


def purse(units: int = 0) -> Purse:
    found = Purse.empty("requests", 60, 60 * NS, name="leased requests")
    found.put_in(units * found.window_ns)
    return found


def test_it_gets_nothing_from_time() -> None:
    """An hour later it holds what it held, and what was spent is what was put in less what is left."""
    one = purse(10)
    one.take(3, now_ns=NS)
    assert (one.level(now_ns=3600 * NS), one.spent, one.units) == (7, 3, 7)
    one.take_out(2 * one.window_ns)
    assert (one.units, one.spent) == (5, 3)


def test_who_lacks_something_looks_again_when_something_comes() -> None:
    """As far as that is known; else in a tenth of a second. No deadline is called unreachable because of it."""
    one = purse(1)
    assert one.ready_at_ns(1, now_ns=5) == 5
    assert one.ready_at_ns(2, now_ns=5) == 5 + NS // 10
    one.next_ns = 77
    assert one.ready_at_ns(2, now_ns=5) == 77
    assert one.refilled_at_ns(50, now_ns=5) == 5


def test_what_is_held_for_one_is_not_for_another() -> None:
    """An escrow holds in it as in any bucket, and grows with what is put in."""
    one = purse(0)
    heavy = object()
    one.hold_for(heavy, 4, now_ns=0)
    one.put_in(4 * one.window_ns)
    assert one.ready_at_ns(3, now_ns=1) > 1
    assert one.ready_at_ns(2, now_ns=1) == 1
    assert one.ready_at_ns(4, owner=heavy, now_ns=1) == 1


def test_what_comes_back_comes_back_whole() -> None:
    """Unsent, or settled by the server; more than it ever held, if need be."""
    one = purse(60)
    one.take(1, now_ns=0)
    one.put_in(5 * one.window_ns)
    one.give_back(1, now_ns=0)
    assert (one.units, one.spent) == (65, 0)
    one.set_level(-3 * one.window_ns, now_ns=0)
    assert (one.units, one.spent) == (-3, 68)


def test_a_call_as_large_as_the_bucket_goes_when_the_purse_holds_as_much() -> None:
    """More no purse can be given."""
    one = purse(59)
    assert one.ready_at_ns(100, now_ns=1) > 1
    one.put_in(one.window_ns)
    assert one.ready_at_ns(100, now_ns=1) == 1
    one.fit(30)
    assert (one.limit, one.capacity) == (30, 30)
