"""How long the calls of a new key wait for what a store knows of it."""

from __future__ import annotations

from ratelimit_client.core.scopes import Scope, ScopedKey
from ratelimit_client.core.ticket import State
from ratelimit_client.core.units import NS
from tests.core.test_leasing import Bench


def test_a_key_by_another_name_waits_for_the_store_once() -> None:
    """The scope turned out to be the first: the key begins once, and its gate is one."""
    bench = Bench()
    home = Scope(1, "o")
    woken: list[int] = []
    bench.machine.wake = lambda: woken.append(bench.now_ns)
    bench.machine.open_key(ScopedKey("m", Scope(2, "o", into=home)), now_ns=bench.now_ns)
    assert len(woken) == 1, "the store is asked once"
    assert bench.machine.keys["m @2"] is bench.machine.keys["m"]
    assert list(bench.machine._gates) == [bench.machine.keys["m"]]


def test_what_a_server_closed_stays_closed_when_the_store_answers() -> None:
    """Only the wait for the store is over."""
    bench = Bench()
    bench.submit()
    state = bench.machine.keys["m"]
    state.gate_ns += NS
    closed_ns = state.gate_ns
    bench.renew()
    assert state.gate_ns == closed_ns
    assert not bench.machine._gates


def test_whoever_waits_has_what_came_in_before_one_that_comes_now() -> None:
    """A call that comes finds that a portion is due: those in line are looked at in this round, not at their alarm."""
    bench = Bench()
    turns: list[int] = []
    bench.machine.turn = lambda: turns.append(bench.now_ns)
    first = bench.submit()
    bench.renew()
    bench.later(2.0)
    assert first.state is State.GRANTED
    while bench.submit().state is State.GRANTED:
        pass
    bench.renew()
    turns.clear()
    bench.now_ns += NS // 20
    assert bench.submit().state is State.QUEUED
    assert turns == [bench.now_ns]
    assert bench.machine.poll(now_ns=bench.now_ns).granted
