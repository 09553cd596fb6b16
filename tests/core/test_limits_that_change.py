"""What becomes of buckets and slices when a limit is typed or shown anew."""

from __future__ import annotations

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.quota import Quotas
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.units import NS as S
from tests.core.test_slips import call, scheduler


def shows(limit: int, remaining: int) -> dict[str, Reading]:
    """The readings of one answer."""
    return {"requests": Reading(limit, remaining)}


def test_what_a_header_showed_outlives_quotas_that_are_taken_back() -> None:
    """No quota is typed before or after: the bucket of the header stays as it is."""
    machine = scheduler()
    call(machine, 10, Signals(200, readings=shows(600, 599)), now_ns=0)

    machine.set_quotas(Quotas(), now_ns=S)

    (bucket,) = machine.keys["m"].budget.by_unit["requests"]
    assert (bucket.limit, bucket.source) == (600, "header")


def test_a_slice_as_large_as_the_new_limit_is_none() -> None:
    """1200 a minute turned out to be a hundred at once; then the limit itself falls to 60."""
    machine = scheduler()
    call(machine, 10, Signals(200, readings=shows(1200, 1199)), now_ns=0)
    hundred = machine.submit("m", cost=Cost(100), now_ns=1)
    machine.observe(hundred, Signals(200, readings=shows(1200, 1099)), now_ns=2)
    machine.release(hundred, Ending.SUCCEEDED, now_ns=2)
    call(machine, 10, Signals(429, Reason.RATE_LIMITED, True, 0.05, shows(1200, 1098), "requests"), now_ns=3)
    budget = machine.keys["m"].budget
    line = budget.lines["requests"][0]
    assert line.lessons.slice is not None
    assert 100 <= line.lessons.slice.capacity <= 102
    assert line.lessons.slice in budget.by_unit["requests"]

    call(machine, 10, Signals(200, readings=shows(60, 50)), now_ns=20 * S)
    call(machine, 10, Signals(200, readings=shows(60, 50)), now_ns=22 * S)

    assert line.lessons.slice is None
    assert budget.by_unit["requests"] == (line.bucket,)
