from __future__ import annotations

import pytest

from ratelimit_client.core.failure import FailureKind, TransportFailure
from ratelimit_client.core.outage import FAILURES_TO_CLOSE, OutageBreaker, blames_server
from ratelimit_client.core.signals import Reason, Signals
from ratelimit_client.core.units import NS as S


def broken(*, at_s: int = 0) -> OutageBreaker:
    """A breaker that has just closed its key."""
    breaker = OutageBreaker()
    closed = [breaker.failed(now_ns=at_s * S) for _ in range(FAILURES_TO_CLOSE)]
    assert closed == [False] * 9 + [True]
    return breaker


def test_ten_failures_in_a_row_close_the_key() -> None:
    """Nine do not, and a success between starts the count again."""
    breaker = OutageBreaker()
    for _ in range(9):
        breaker.failed(now_ns=0)
    assert not breaker.open
    assert not breaker.succeeded(now_ns=1)
    for _ in range(9):
        breaker.failed(now_ns=2)
    assert breaker.admits(now_ns=2)
    assert breaker.failed(now_ns=3)
    assert breaker.open
    assert breaker.since_ns == 3
    assert not breaker.admits(now_ns=3)


def test_a_refusal_between_failures_is_no_success() -> None:
    """A server that refuses and fails in turn is still counted as failing."""
    breaker = OutageBreaker()
    for _ in range(9):
        breaker.failed(now_ns=0)
        assert not breaker.answered(now_ns=0)
    assert breaker.failed(now_ns=0)


def test_probes_go_after_1_2_4_up_to_60_seconds() -> None:
    """One at a time; until the next is due the key is closed, whatever else still fails."""
    breaker = broken(at_s=100)
    now_s, waits = 100, []
    for _ in range(9):
        due_s = breaker.next_probe_ns // S
        waits.append(due_s - now_s)
        assert not breaker.admits(now_ns=due_s * S - 1)
        assert breaker.admits(now_ns=due_s * S)
        breaker.probe_granted(now_ns=due_s * S)
        assert not breaker.admits(now_ns=due_s * S)
        assert not breaker.failed(now_ns=due_s * S)
        now_s = due_s

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert breaker.probes == 9
    assert breaker.since_ns == 100 * S


def test_the_first_success_opens_the_key() -> None:
    """It says so once, and the next outage begins its probes at 1 s again."""
    breaker = broken()
    breaker.probe_granted(now_ns=S)
    assert breaker.succeeded(now_ns=2 * S)
    assert not breaker.succeeded(now_ns=2 * S)
    assert not breaker.open
    assert breaker.last_success_ns == 2 * S
    for _ in range(10):
        breaker.failed(now_ns=3 * S)
    assert breaker.next_probe_ns == 4 * S


@pytest.mark.parametrize(("status", "blames"), [(499, False), (500, True), (599, True)])
def test_from_500_on_it_is_the_server_whatever_the_reason(status: int, blames: bool) -> None:
    """A status that no table has a reason for is judged by its number."""
    assert blames_server(Signals(status, Reason.CLIENT_ERROR)) is blames


def test_a_refusal_ends_an_outage() -> None:
    """A server that says no is a server that is there."""
    breaker = broken()
    breaker.probe_granted(now_ns=S)
    assert breaker.answered(now_ns=2 * S)
    assert not breaker.open
    assert breaker.last_success_ns is None
    assert not breaker.failed(now_ns=3 * S)


def test_a_probe_that_did_not_ask_is_given_back() -> None:
    """Cancelled before it was sent, it makes room for another at once."""
    breaker = broken()
    breaker.probe_withdrawn(now_ns=0)
    assert breaker.next_probe_ns == S
    breaker.probe_granted(now_ns=S)
    breaker.probe_withdrawn(now_ns=S + 5)
    assert breaker.admits(now_ns=S + 5)
    breaker.probe_granted(now_ns=S + 5)
    assert breaker.next_probe_ns == 3 * S + 5


def test_a_refused_connection_is_an_answer_though_nothing_was_sent() -> None:
    """Its charge comes back, its probe does not: a dead port is not asked without pause."""
    breaker = broken()
    breaker.probe_granted(now_ns=S)
    breaker.failed(now_ns=S + 1)
    breaker.probe_withdrawn(now_ns=S + 1)
    assert not breaker.admits(now_ns=3 * S - 1)
    assert breaker.probes == 1


def test_a_probe_withdrawn_after_the_outage_changes_nothing() -> None:
    """The key stays open."""
    breaker = broken()
    breaker.probe_granted(now_ns=S)
    breaker.succeeded(now_ns=S)
    breaker.probe_withdrawn(now_ns=2 * S)
    assert breaker.admits(now_ns=2 * S)
    assert breaker.probes == 0


@pytest.mark.parametrize(
    ("outcome", "blamed"),
    [
        (Signals(500, Reason.SERVER_ERROR, True), True),
        (Signals(503, Reason.OVERLOADED, True), True),
        (Signals(529, Reason.OVERLOADED, True), True),
        (Signals(200, Reason.SERVER_ERROR, True), True),
        (Signals(429, Reason.RATE_LIMITED, True), False),
        (Signals(429, Reason.OVERLOADED, True), False),
        (Signals(400, Reason.CLIENT_ERROR, False), False),
        (Signals(404, Reason.MODEL_NOT_FOUND, False), False),
        (TransportFailure(kind=FailureKind.CONNECTION), True),
        (TransportFailure(kind=FailureKind.CONNECTION, stale=True), False),
        (TransportFailure(kind=FailureKind.TIMEOUT), True),
        (TransportFailure(kind=FailureKind.INCOMPLETE), True),
        (TransportFailure(kind=FailureKind.TLS), False),
        (TransportFailure(kind=FailureKind.OTHER), False),
    ],
)
def test_whose_fault_an_outcome_is(outcome: Signals | TransportFailure, blamed: bool) -> None:
    """Server errors and faults of the way count; a server that answers is well."""
    assert blames_server(outcome) is blamed


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_says_slow_down_is_there(status: int) -> None:
    """It is asked too much by us, whatever the status is: no reason to close the key."""
    assert not blames_server(Signals(status, Reason.OVERLOADED, slow_down=True))


def test_the_repr_tells_how_it_stands() -> None:
    """Well or not, since when, and what comes next."""
    assert repr(OutageBreaker()) == "<OutageBreaker well, 0 of 10 failures in a row>"
    assert repr(broken(at_s=7)) == "<OutageBreaker outage since 7.000 s, 0 probes, next at 8.000 s>"


def test_after_an_outage_that_a_refusal_ended_it_takes_ten_failures_again() -> None:
    """The server lived when it refused, so nine are bad luck."""
    breaker = broken()
    assert breaker.answered(now_ns=S)

    assert [breaker.failed(now_ns=2 * S) for _ in range(FAILURES_TO_CLOSE)] == [False] * 9 + [True]
