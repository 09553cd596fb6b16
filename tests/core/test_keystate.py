"""What belongs to one key, and the small questions it answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from ratelimit_client.core.bucket import Bucket
from ratelimit_client.core.budget import Budget
from ratelimit_client.core.concurrency import InFlightWindow
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.estimate import Features
from ratelimit_client.core.hints import SPREAD_NS, Hint
from ratelimit_client.core.keystate import KeyState
from ratelimit_client.core.outage import FAILURES_TO_CLOSE
from ratelimit_client.core.quota import per_minute
from ratelimit_client.core.ticket import Patience, Ticket
from ratelimit_client.core.units import NS as S
from tests.core.driving import OPENAI


def key() -> KeyState:
    budget = Budget(OPENAI)
    budget.set_quotas(per_minute(requests=100, tokens=1000), now_ns=0)
    return KeyState("m", budget, InFlightWindow(10))


def call(*, tenant: str = "", features: Features | None = None, **units: int) -> Ticket:
    return Ticket(1, "m", tenant, 0, Cost(**units), features, None, 0)


def _wait(state: KeyState) -> None:
    state.queue.push(call(), now_ns=0)


def _go(state: KeyState) -> None:
    state.window.granted(now_ns=0)


def _read(state: KeyState) -> None:
    state.budget.has_readings = True


def _refuse(state: KeyState) -> None:
    state.budget.learner.refused(0, 0, state.budget.debits, now_ns=0)


def _slow(state: KeyState) -> None:
    state.budget.slowdown.pace = Bucket.full("slow_down pace", 60, 60 * S, pays="requests", now_ns=0)


def _close(state: KeyState) -> None:
    state.gate_ns = S


def _break(state: KeyState) -> None:
    for _ in range(FAILURES_TO_CLOSE):
        state.breaker.failed(now_ns=0)


def _spend(state: KeyState) -> None:
    state.budget.charge(call(tokens=5), jitter_ns=0, now_ns=0)


@pytest.mark.parametrize("happen", [_wait, _go, _read, _refuse, _slow, _close, _break, _spend])
def test_a_key_that_something_happened_to_is_remembered(happen: Callable[[KeyState], None]) -> None:
    """A fresh one would not be as good: it would know less, or hold more."""
    state = key()
    assert not state.remembers(now_ns=0)
    happen(state)
    assert state.remembers(now_ns=0)


def test_time_heals_what_was_spent_and_closed() -> None:
    """A key whose buckets are full again may be forgotten."""
    state = key()
    _spend(state)
    _close(state)
    assert state.remembers(now_ns=S // 2)
    assert not state.remembers(now_ns=60 * S)


def test_what_blocks_is_named_the_key_first() -> None:
    """A closed key, an outage, a bucket, the ramp, the slots; and then nothing does."""
    state, ticket = key(), call(tokens=600)
    assert state.blocked_until(ticket, now_ns=0) == (0, None)
    for _ in range(4):
        _go(state)
    assert state.blocked_until(ticket, now_ns=0) == (S // 4, "ramp")
    state.window.in_flight = 10
    assert state.blocked_until(ticket, now_ns=0)[1] == "slots"
    state.budget.charge(call(tokens=900), jitter_ns=0, now_ns=0)
    assert state.blocked_until(ticket, now_ns=0) == (round(30.6 * S), "tokens")
    _break(state)
    assert state.blocked_until(ticket, now_ns=0) == (S, "outage")
    _close(state)
    state.gate_ns = 3 * S
    assert state.blocked_until(ticket, now_ns=0) == (3 * S, "hint")


def test_the_reserve_is_for_the_last_calls_only() -> None:
    """All tenants have ended, somebody waits, and all that waits costs no more than it in every bucket."""
    state, ranks = key(), itertools.count()

    def wait(tokens: int) -> None:
        ticket = call(tenant="a", tokens=tokens)
        ticket.seq = next(ranks)
        state.queue.push(ticket, now_ns=0)

    assert not state.spends_reserve()
    state.ended.add("a")
    assert not state.spends_reserve(), "nobody waits"

    wait(10)
    assert state.spends_reserve()
    wait(1)
    assert not state.spends_reserve(), "eleven tokens, and ten are kept"


def test_more_input_keeps_the_reserve_again() -> None:
    """At once, and for all buckets."""
    state = key()
    state.ended.update("ab")
    for buckets in state.budget.by_unit.values():
        buckets[0].spends_reserve = True
    state.input_goes_on("a")

    assert state.ended == {"b"}
    assert not any(bucket.spends_reserve for buckets in state.budget.by_unit.values() for bucket in buckets)


@pytest.mark.parametrize(("until_ns", "too_long"), [(2 * S + SPREAD_NS, False), (2 * S + SPREAD_NS + 1, True)])
def test_what_a_hint_is_lengthened_by_is_no_part_of_the_wait_one_is_willing_to(until_ns: int, too_long: bool) -> None:
    """Asked for two seconds, by the key or by a bucket, whoever is patient for two waits them out."""
    patient = Ticket(1, "m", "", 0, Cost(tokens=5), None, None, 0, Patience(hint_ns=2 * S))
    hint = Hint(until_ns)
    closed, shut = key(), key()
    closed.close(hint)
    shut.budget.by_unit["tokens"][0].close(hint, now_ns=0)

    assert [state.too_long(patient, now_ns=0) for state in (closed, shut)] == [hint if too_long else None] * 2
