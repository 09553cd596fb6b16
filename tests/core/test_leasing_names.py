"""Budgets that get the name by which others know them late."""

from __future__ import annotations

from ratelimit_client.core.scopes import Scope
from ratelimit_client.core.ticket import State
from tests.core.test_leasing import Bench


def test_a_budget_is_shared_from_the_answer_on_that_names_it() -> None:
    """Before, it is this process's own; nothing is asked for it, and afterwards nothing twice."""
    bench, scope = Bench(), Scope(2, "https://api.test")
    key = scope.key("m")
    assert bench.submit(key).state is State.GRANTED
    assert bench.keeper.ask(now_ns=bench.now_ns) is None
    bench.machine.named(now_ns=bench.now_ns)
    assert (bench.keeper.leases, bench.keeper.renew_ns > bench.now_ns) == ({}, True)

    woken = []
    bench.machine.wake = lambda: woken.append(bench.now_ns)
    scope.organization, scope.named = "org-a", True
    bench.machine.named(now_ns=bench.now_ns)
    assert woken == [bench.keeper.renew_ns]
    assert bench.submit(key).state is State.QUEUED, "what others spent of it, nobody knows yet"
    call = bench.renew()
    assert len(call.renewals) == 1
    assert bench.later(1.0) == 1
    woken.clear()
    bench.machine.named(now_ns=bench.now_ns)
    assert woken == []
