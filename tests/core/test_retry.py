from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.core.failure import FailureKind, TransportFailure
from ratelimit_client.core.outage import OutageBreaker, blames_server
from ratelimit_client.core.retry import (
    CallHistory,
    GiveUp,
    GiveUpReason,
    Outcome,
    RetryAt,
    RetryPolicy,
    Setback,
    decide,
    patience_ends_ns,
)
from ratelimit_client.core.retry_budget import RetryBudget
from ratelimit_client.core.signals import Reason, Signals
from ratelimit_client.core.units import NS as S

MS = S // 1000

BUSY = Signals(503, Reason.OVERLOADED, retryable=True)
BROKEN = Signals(500, Reason.SERVER_ERROR, retryable=True)
RESET = TransportFailure(kind=FailureKind.CONNECTION, error=ConnectionResetError())
STALE = TransportFailure(kind=FailureKind.CONNECTION, stale=True)


def refused(hint_s: float | None = None, **more: Any) -> Signals:
    """A refusal by a rate limit."""
    return Signals(429, Reason.RATE_LIMITED, retryable=True, retry_after_s=hint_s, **more)


@attrs.define(eq=False)
class Key:
    """A key's retry state and a clock: what ``decide`` is called with."""

    policy: RetryPolicy = attrs.field(factory=RetryPolicy)
    budget: RetryBudget = attrs.field(factory=RetryBudget)
    breaker: OutageBreaker = attrs.field(factory=OutageBreaker)
    die: float = 0.0

    def call(self, outcome: Outcome, history: CallHistory | None = None, *, now_ns: int = 0) -> RetryAt | GiveUp:
        """Report the outcome as the scheduler does, then decide."""
        if blames_server(outcome):
            self.breaker.failed(now_ns=now_ns)
        history = CallHistory(0) if history is None else history
        return decide(outcome, history, self.policy, self.budget, self.breaker, dice=lambda: self.die, now_ns=now_ns)

    def break_down(self, *, now_ns: int = 0) -> None:
        """Begin an outage."""
        for _ in range(10):
            self.breaker.failed(now_ns=now_ns)


# What may be retried ---------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (refused(), Setback.REFUSAL),
        (Signals(429, Reason.OVERLOADED, retryable=True, slow_down=True), Setback.REFUSAL),
        (BUSY, Setback.FAILURE),
        (BROKEN, Setback.FAILURE),
        (Signals(408, Reason.CLIENT_ERROR, retryable=True), Setback.FAILURE),
        (RESET, Setback.FAILURE),
        (TransportFailure(kind=FailureKind.TIMEOUT), Setback.FAILURE),
        (TransportFailure(kind=FailureKind.PROTOCOL), Setback.FAILURE),
        (TransportFailure(kind=FailureKind.INCOMPLETE), Setback.FAILURE),
        (STALE, Setback.RECONNECT),
        (Signals(400, Reason.CLIENT_ERROR, retryable=False), GiveUpReason.NOT_RETRYABLE),
        (Signals(404, Reason.MODEL_NOT_FOUND, retryable=False), GiveUpReason.NOT_RETRYABLE),
        (Signals(429, Reason.QUOTA_EXHAUSTED, retryable=False, retry_after_s=1), GiveUpReason.NOT_RETRYABLE),
        (Signals(429, Reason.TOO_LARGE, retryable=True), GiveUpReason.NOT_RETRYABLE),
        (Signals(401, Reason.AUTH, retryable=True), GiveUpReason.NOT_RETRYABLE),
        (Signals(503, Reason.OVERLOADED, retryable=True, should_retry=False), GiveUpReason.NOT_RETRYABLE),
        (Signals(200), GiveUpReason.NOT_RETRYABLE),
        (TransportFailure(kind=FailureKind.TLS), GiveUpReason.NOT_RETRYABLE),
        (TransportFailure(kind=FailureKind.OTHER, error=KeyError()), GiveUpReason.NOT_RETRYABLE),
        (TransportFailure(kind=FailureKind.OTHER, error=KeyboardInterrupt()), GiveUpReason.CANCELLED),
    ],
)
def test_what_may_be_retried(outcome: Outcome, verdict: Setback | GiveUpReason) -> None:
    """Refusals, server errors and faults of the way; never what would end the same way."""
    match Key().call(outcome):
        case RetryAt(counts_as=counts_as):
            assert counts_as is verdict
        case GiveUp(reason=reason):
            assert reason is verdict


@pytest.mark.parametrize(
    ("answer", "outcome", "verdict"),
    [
        (True, Signals(404, Reason.MODEL_NOT_FOUND, retryable=False), Setback.FAILURE),
        (True, Signals(200), Setback.FAILURE),
        (True, TransportFailure(kind=FailureKind.OTHER, error=KeyError()), Setback.FAILURE),
        (True, TransportFailure(kind=FailureKind.OTHER), GiveUpReason.NOT_RETRYABLE),
        (True, TransportFailure(kind=FailureKind.OTHER, error=KeyboardInterrupt()), GiveUpReason.CANCELLED),
        (True, Signals(429, Reason.QUOTA_EXHAUSTED), GiveUpReason.NOT_RETRYABLE),
        (True, Signals(413, Reason.TOO_LARGE), GiveUpReason.NOT_RETRYABLE),
        (True, Signals(403, Reason.AUTH), GiveUpReason.NOT_RETRYABLE),
        (True, Signals(500, Reason.SERVER_ERROR, True, should_retry=False), GiveUpReason.NOT_RETRYABLE),
        (False, BUSY, GiveUpReason.DECLINED),
        (False, refused(), GiveUpReason.DECLINED),
        (False, RESET, GiveUpReason.DECLINED),
        (None, BUSY, Setback.FAILURE),
        (None, Signals(400, Reason.CLIENT_ERROR, False), GiveUpReason.NOT_RETRYABLE),
    ],
)
def test_retry_on_decides_but_for_the_hopeless(
    answer: bool | None, outcome: Outcome, verdict: Setback | GiveUpReason
) -> None:
    """True retries, False does not, None leaves it to us; nothing brings back what is hopeless."""
    match Key(RetryPolicy(retry_on=lambda evidence: answer)).call(outcome):
        case RetryAt(counts_as=counts_as):
            assert counts_as is verdict
        case GiveUp(reason=reason):
            assert reason is verdict


def test_retry_on_is_shown_the_answer_or_the_exception() -> None:
    """Signals for an answer, the exception itself for a failure."""
    seen: list[object] = []
    key = Key(RetryPolicy(retry_on=seen.append))
    key.call(BUSY)
    key.call(RESET)
    key.call(TransportFailure(kind=FailureKind.TIMEOUT))

    assert seen == [BUSY, RESET.error]


def test_a_body_that_cannot_be_sent_again_is_not() -> None:
    """Not even after a refusal."""
    for outcome in (refused(1.0), BUSY, STALE):
        verdict = Key().call(outcome, CallHistory(0, replayable=False))
        assert isinstance(verdict, GiveUp)
        assert verdict.reason is GiveUpReason.NOT_REPLAYABLE


# When ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint_s", "die", "wait_s"),
    [
        (2.0, 0.0, 2.0),
        (2.0, 0.5, 2.1),
        (60.0, 0.5, 60.125),
        (0.001, 0.0, 0.025),
        (0.001, 0.5, 0.030),
        (120.0, 0.0, 120.0),
    ],
)
def test_a_refused_call_waits_the_hint_and_a_little(hint_s: float, die: float, wait_s: float) -> None:
    """Jitter of a tenth, 10 to 250 ms, on top; a hint of a millisecond has a floor."""
    assert Key(die=die).call(refused(hint_s), now_ns=7 * S) == RetryAt(7 * S + round(wait_s * S), Setback.REFUSAL)


def test_a_hint_of_a_millisecond_that_repeats_slows_down() -> None:
    """The floor doubles with each refusal, up to 0.8 s: "try again in 1ms" is no loop."""
    key, history = Key(), CallHistory(0)
    waits = [key.call(refused(0.001), history).not_before_ns // MS for _ in range(8)]  # type: ignore[union-attr]

    assert waits == [25, 50, 100, 200, 400, 800, 800, 800]


@pytest.mark.parametrize("hint_s", [None, 0.0, -5.0, math.nan])
def test_no_hint_is_backoff(hint_s: float | None) -> None:
    """Zero, the past and nonsense are no hints: the wait is drawn below a ceiling that doubles."""
    key, history = Key(die=0.5), CallHistory(0)
    waits = [key.call(refused(hint_s), history).not_before_ns // MS for _ in range(4)]  # type: ignore[union-attr]

    assert waits == [275, 525, 1025, 2025]


@pytest.mark.parametrize("hint_s", [120.001, 86_400.0, math.inf])
@pytest.mark.parametrize("policy", [RetryPolicy(), RetryPolicy.bulk()])
def test_a_hint_above_the_cap_ends_the_call_with_its_time(hint_s: float, policy: RetryPolicy) -> None:
    """Hours are reported, not slept, also in bulk."""
    assert Key(policy).call(refused(hint_s)) == GiveUp(GiveUpReason.HINT_TOO_LONG, hint_s)


def test_no_cap_is_no_forever() -> None:
    """A policy may wait for any time, but a time it must be."""
    key = Key(RetryPolicy(max_hint_s=math.inf))

    assert key.call(refused(86_400.0)) == RetryAt(86_400 * S, Setback.REFUSAL)
    assert key.call(refused(math.inf)) == GiveUp(GiveUpReason.HINT_TOO_LONG, math.inf)


def test_a_failing_server_is_asked_later_each_time_whatever_it_hints() -> None:
    """The longer of hint and backoff counts."""
    key, history = Key(die=0.999, policy=RetryPolicy(max_attempts=9)), CallHistory(0)
    hinted = attrs.evolve(BUSY, retry_after_s=1.0)
    waits = [key.call(hinted, history).not_before_ns // MS for _ in range(4)]  # type: ignore[union-attr]

    assert waits == [1099, 1099, 1998, 3996]


@pytest.mark.parametrize(("deadline_s", "goes"), [(9.9, False), (10.0, False), (10.1, True)])
@pytest.mark.parametrize("outcome", [refused(10.0), attrs.evolve(BUSY, retry_after_s=10.0)])
def test_a_retry_after_the_deadline_is_given_up_now(outcome: Signals, deadline_s: float, goes: bool) -> None:
    """An attempt that could only start when it is over does not wait for it, and costs no budget."""
    key = Key()
    verdict = key.call(outcome, CallHistory(0, deadline_ns=round(deadline_s * S)))

    assert isinstance(verdict, RetryAt) if goes else verdict == GiveUp(GiveUpReason.DEADLINE, 10.0)
    assert key.budget.retries == (1 if goes and outcome.status == 503 else 0)


# How often -------------------------------------------------------------------


def test_refusals_are_no_attempts() -> None:
    """Fifty are waited out, the next ends the call; none draws on the budget."""
    key, history = Key(), CallHistory(0)
    verdicts = [key.call(refused(1.0), history) for _ in range(51)]

    assert all(isinstance(verdict, RetryAt) for verdict in verdicts[:50])
    assert verdicts[50] == GiveUp(GiveUpReason.MAX_REFUSALS, 1.0)
    assert (history.refusals, history.failures, key.budget.retries) == (51, 0, 0)


def test_the_fifth_failure_is_the_last() -> None:
    """max_attempts counts the first attempt too; refusals between do not count."""
    key, history = Key(), CallHistory(0)
    for _ in range(4):
        assert isinstance(key.call(BUSY, history), RetryAt)
        assert isinstance(key.call(refused(1.0), history), RetryAt)

    assert key.call(BUSY, history) == GiveUp(GiveUpReason.MAX_ATTEMPTS)
    assert history.setbacks == 9


def test_an_empty_budget_ends_the_call() -> None:
    """Ten retries for a client that has made no calls, whoever makes them."""
    key = Key()
    for _ in range(10):
        assert isinstance(key.call(Signals(408, Reason.CLIENT_ERROR, True)), RetryAt)

    assert key.call(Signals(408, Reason.CLIENT_ERROR, True)) == GiveUp(GiveUpReason.BUDGET_SPENT)
    assert isinstance(key.call(refused(1.0)), RetryAt)


def test_a_closed_idle_connection_is_replaced_at_once_and_once() -> None:
    """No wait, no attempt, no budget; the second time it is a failure like any other."""
    key, history = Key(), CallHistory(0)

    assert key.call(STALE, history, now_ns=5) == RetryAt(5, Setback.RECONNECT)
    assert (history.failures, key.budget.retries, key.breaker.failures_in_row) == (0, 0, 0)
    assert key.call(STALE, history, now_ns=5) == RetryAt(5 + 50 * MS, Setback.FAILURE)


@pytest.mark.parametrize("outcome", [refused(0.1), BUSY, RESET, STALE])
@pytest.mark.parametrize("outage", [False, True])
def test_no_policy_is_one_attempt(outcome: Outcome, outage: bool) -> None:
    """RetryPolicy.none() takes whatever comes as the answer."""
    key = Key(RetryPolicy.none())
    if outage:
        key.break_down()

    assert isinstance(key.call(outcome), GiveUp)


# Outage ----------------------------------------------------------------------


def test_an_outage_costs_a_call_neither_attempt_nor_budget() -> None:
    """It may go as soon as somebody's probe succeeds; the breaker spaces the probes."""
    key, history = Key(), CallHistory(0)
    key.break_down()
    for _ in range(20):
        assert key.call(RESET, history) == RetryAt(0, Setback.OUTAGE)

    assert (history.failures, history.outages, key.budget.retries) == (0, 20, 0)
    assert key.call(attrs.evolve(BUSY, retry_after_s=3.0), history) == RetryAt(3 * S, Setback.OUTAGE)


def test_a_call_without_a_deadline_waits_max_outage_s() -> None:
    """Counted from the start of the outage, or of the call when that was later."""
    key = Key()
    key.break_down(now_ns=100 * S)

    assert isinstance(key.call(RESET, CallHistory(0), now_ns=159 * S), RetryAt)
    assert key.call(RESET, CallHistory(0), now_ns=160 * S) == GiveUp(GiveUpReason.OUTAGE)
    assert isinstance(key.call(RESET, CallHistory(150 * S), now_ns=209 * S), RetryAt)
    assert key.call(RESET, CallHistory(150 * S), now_ns=210 * S) == GiveUp(GiveUpReason.OUTAGE)


def test_a_call_does_not_wait_for_a_probe_that_comes_too_late() -> None:
    """With the next probe after the deadline there is nothing to wait for."""
    key = Key()
    key.break_down()
    key.breaker.probe_granted(now_ns=S)  # the next is due at 3 s

    assert key.call(RESET, CallHistory(0, deadline_ns=3 * S), now_ns=2 * S) == GiveUp(GiveUpReason.DEADLINE)
    assert isinstance(key.call(RESET, CallHistory(0, deadline_ns=3 * S + 1), now_ns=2 * S), RetryAt)


def test_how_long_a_call_waits_for_a_server_that_is_gone() -> None:
    """Its deadline; without one max_outage_s of this outage; without an outage there is no such end."""
    breaker = Key().breaker
    assert patience_ends_ns(CallHistory(5, deadline_ns=9), RetryPolicy(), breaker) == 9
    assert patience_ends_ns(CallHistory(5), RetryPolicy(), breaker) is None
    for _ in range(10):
        breaker.failed(now_ns=7 * S)
    assert patience_ends_ns(CallHistory(5), RetryPolicy(), breaker) == 67 * S
    assert patience_ends_ns(CallHistory(9 * S), RetryPolicy(), breaker) == 69 * S
    assert patience_ends_ns(CallHistory(5), RetryPolicy.bulk(), breaker) is None


def test_an_own_error_during_an_outage_is_an_attempt() -> None:
    """What is not the server's fault does not hide behind it."""
    key = Key(RetryPolicy(retry_on=lambda evidence: True))
    key.break_down()

    assert key.call(Signals(400, Reason.CLIENT_ERROR)) == RetryAt(50 * MS, Setback.FAILURE)


# Bulk ------------------------------------------------------------------------


def test_a_row_survives_any_outage() -> None:
    """600 seconds of "connection refused" end no row."""
    key, history = Key(RetryPolicy.bulk()), CallHistory(0)
    for second in range(600):
        assert isinstance(key.call(RESET, history, now_ns=second * S), RetryAt)

    assert history.failures == 0
    assert history.forgiven == 9


def test_a_row_fails_by_itself_while_others_succeed() -> None:
    """Five failures with successes of the key between are the row's own."""
    key, history = Key(RetryPolicy.bulk()), CallHistory(0)
    for second in range(1, 5):
        key.breaker.succeeded(now_ns=second * S)
        assert isinstance(key.call(BROKEN, history, now_ns=second * S + 1), RetryAt)
    key.breaker.succeeded(now_ns=5 * S)

    assert key.call(BROKEN, history, now_ns=5 * S + 1) == GiveUp(GiveUpReason.MAX_ATTEMPTS)


def test_a_failure_without_success_since_the_last_is_forgiven() -> None:
    """One success of the key makes one failure of the row count, not two."""
    key, history = Key(RetryPolicy.bulk()), CallHistory(0)
    key.breaker.succeeded(now_ns=1)
    setbacks = [key.call(BROKEN, history, now_ns=now_ns).counts_as for now_ns in (2, 3, 4)]  # type: ignore[union-attr]

    assert setbacks == [Setback.FAILURE, Setback.FORGIVEN, Setback.FORGIVEN]


def test_an_empty_budget_delays_a_row_and_does_not_end_it() -> None:
    """It comes back after the longest backoff."""
    key = Key(RetryPolicy.bulk(max_attempts=3))
    for _ in range(10):
        key.budget.spend(0.2, now_ns=0)

    assert key.call(BROKEN) == RetryAt(30 * S, Setback.FORGIVEN)
    assert key.budget.retries == 10


def test_refusals_end_no_row() -> None:
    """A thousand are waited out."""
    key, history = Key(RetryPolicy.bulk()), CallHistory(0)

    assert all(isinstance(key.call(refused(1.0), history), RetryAt) for _ in range(1000))


def test_a_row_with_one_attempt_still_outlives_the_server() -> None:
    """--max-attempts 1 is about the row's own failures."""
    key = Key(RetryPolicy.bulk(max_attempts=1))
    assert key.call(STALE) == RetryAt(0, Setback.RECONNECT)
    key.breaker.succeeded(now_ns=0)
    assert key.call(BROKEN) == GiveUp(GiveUpReason.MAX_ATTEMPTS)
    key.break_down()
    assert key.call(BROKEN) == RetryAt(0, Setback.OUTAGE)


# Retry discipline, whatever comes --------------------------------------------

hints = st.one_of(st.none(), st.floats(-1, 200), st.sampled_from([0.0, 0.001, math.inf, math.nan]))
outcomes: st.SearchStrategy[Outcome] = st.one_of(
    hints.map(refused),
    hints.map(lambda hint_s: attrs.evolve(BUSY, retry_after_s=hint_s)),
    st.sampled_from([BROKEN, RESET, STALE, Signals(400, Reason.CLIENT_ERROR, False)]),
)
policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 8),
    budget=st.sampled_from([0.0, 0.2, 1.0]),
    max_refusals=st.one_of(st.none(), st.integers(0, 5)),
    max_hint_s=st.floats(0, 150),
    max_outage_s=st.one_of(st.none(), st.floats(0, 100)),
    patient=st.booleans(),
)


@given(
    st.lists(st.tuples(outcomes, st.floats(0, 20), st.booleans()), max_size=60),
    policies,
    st.one_of(st.none(), st.integers(1, 300)),
    st.floats(0, 1, exclude_max=True),
)
def test_retry_discipline(
    happens: list[tuple[Outcome, float, bool]], policy: RetryPolicy, deadline_s: int | None, die: float
) -> None:
    """
    Never before the server's time, never after the deadline, never more than the policy allows.

    A call is driven through outcomes that take some seconds each, while others
    of its key succeed now and then; the breaker's gate is obeyed as the
    scheduler obeys it.
    """
    key = Key(policy, die=die)
    deadline_ns = None if deadline_s is None else deadline_s * S
    history = CallHistory(0, deadline_ns=deadline_ns)
    now_ns = 0
    for attempts, (outcome, takes_s, others_succeed) in enumerate(happens, start=1):
        ended_ns = now_ns + round(takes_s * S)
        if others_succeed:
            key.breaker.succeeded(now_ns=(now_ns + ended_ns) // 2)
        verdict = key.call(outcome, history, now_ns=ended_ns)
        assert history.setbacks == attempts
        if isinstance(verdict, GiveUp):
            break

        hint_s = outcome.retry_after_s if isinstance(outcome, Signals) else None
        assert hint_s is None or not hint_s > policy.max_hint_s
        asked_ns = round(hint_s * S) if hint_s is not None and hint_s > 0 else 0
        assert verdict.not_before_ns >= ended_ns + asked_ns
        assert deadline_ns is None or verdict.not_before_ns < deadline_ns
        assert history.failures < policy.max_attempts
        assert policy.max_refusals is None or history.refusals <= policy.max_refusals
        assert history.reconnects <= 1
        now_ns = verdict.not_before_ns
        if not key.breaker.admits(now_ns=now_ns):
            now_ns = key.breaker.next_probe_ns
            assert deadline_ns is None or now_ns < deadline_ns
    assert key.budget.retries <= (10 if policy.budget else 0)


@given(st.integers(1, 50), st.sampled_from([1, 5]))
def test_a_full_outage_sends_a_first_window_and_then_probes(calls: int, takes_ms: int) -> None:
    """
    However many calls wait, a dead server is asked once per interval.

    The first window is all calls in flight at once; after that one per 1, 2, 4
    ... 60 s, until the calls' patience ends.
    """
    key = Key(RetryPolicy(max_outage_s=600))
    waiting = [(0, n, CallHistory(0)) for n in range(calls)]
    sent: list[int] = []
    while waiting:
        at_ns, n, history = min(waiting)
        waiting.remove((at_ns, n, history))
        if not key.breaker.admits(now_ns=at_ns):
            waiting.append((key.breaker.next_probe_ns, n, history))
            continue
        if key.breaker.open:
            key.breaker.probe_granted(now_ns=at_ns)
        sent.append(at_ns)
        verdict = key.call(RESET, history, now_ns=at_ns + takes_ms * MS)
        if isinstance(verdict, RetryAt):
            waiting.append((verdict.not_before_ns, n, history))

    first_window = max(calls, 10) + 10
    assert len(sent) <= first_window + 7 + 600 // 60


def test_every_kind_of_setback_counts_once() -> None:
    """Five kinds, one of each: five attempts that did not succeed."""
    history = CallHistory(0)
    for number, setback in enumerate(Setback, start=1):
        history.add(setback, now_ns=number)
        assert history.setbacks == number


def test_failures_that_were_forgiven_space_out_those_that_are_not() -> None:
    """Three were, and this is the fourth in a row."""
    key, history = Key(die=0.5), CallHistory(0)
    for _ in range(3):
        history.add(Setback.FORGIVEN, now_ns=0)

    assert key.call(BROKEN, history) == RetryAt(key.policy.backoff.delay_ns(4, lambda: 0.5), Setback.FAILURE)
