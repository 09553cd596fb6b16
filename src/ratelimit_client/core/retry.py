"""
What a finished attempt means for its call: again at this instant, or never.

Laws of this file. No attempt starts earlier than the server asked, after the
deadline, or beyond the policy's bounds. What can never succeed is never retried.
Cancellation is not an outcome and is never swallowed.

Theory. Setbacks are of several kinds, and each is bounded by what it costs:

* a *refusal* by a rate limit costs the server next to nothing and says when to
  come back. It is no attempt; ``max_refusals`` and the deadline bound it. So is
  *slow down*, which is said of a rate;
* a *failure* cost the server work. It is an attempt (``max_attempts``) and draws
  on the key's retry budget;
* a failure during an *outage* is a fact about the key, not the call. It costs
  the call nothing; the deadline, or ``max_outage_s`` without one, bounds the wait;
* a *reconnect*, after an idle connection turned out to be closed, is free once.

A patient policy (bulk) goes further: a row never ends because of the server. A
failure counts only when the key has succeeded since the row's last one, which
makes it the row's own; else it is *forgiven*. An empty budget delays a row and
does not end it.

``decide`` looks at everything, changes the history and the budget once, and
returns the verdict; the queue and the timer are the caller's.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import Any

import attrs

from ..errors import ConfigurationError
from .backoff import Backoff
from .failure import TransportFailure
from .outage import OutageBreaker, blames_server
from .retry_budget import RetryBudget
from .signals import Reason, Signals
from .units import NS, to_ns

Outcome = Signals | TransportFailure

_MS = NS // 1000
# Servers say "try again in 1ms" forever when their clock and their bucket disagree: each refusal
# of a call doubles the least wait, from a wait no one notices to one that stops the loop.
_HINT_FLOOR_NS = 25 * _MS
_HINT_FLOOR_DOUBLINGS = 5  # 25 ms ... 800 ms
# What waits for the same instant should not arrive in the same millisecond; a tenth is enough for
# short hints, a quarter of a second for long ones.
_LEAST_JITTER_NS, _MOST_JITTER_NS = 10 * _MS, 250 * _MS

_HOPELESS = frozenset({Reason.QUOTA_EXHAUSTED, Reason.TOO_LARGE, Reason.AUTH})


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """
    Which outcomes a call outlives, how often and how long.

    Args:
        max_attempts: attempts in all, the first included; refusals by a rate
            limit are none.
        backoff: the wait where the server names none.
        budget: retries as a share of the calls of the key, 0 to 1.
        max_refusals: refusals by a rate limit one call waits out; None for no bound.
        max_hint_s: the longest wait a server may ask for; beyond it the call ends
            with ``Throttled`` and the time. The OpenAI SDK draws the line at 120 s too.
        max_outage_s: seconds a call without a deadline waits for a server that is
            gone; None for no bound.
        retry_on: asked with the ``Signals`` or the exception of each outcome:
            True retries it, False does not, None leaves it to us. It cannot
            retry what is hopeless: an exhausted quota, a request that is too
            large, a rejected key, or what the server says not to retry
            (``x-should-retry: false``).
        stop: a tenacity stop object; the call ends when it or our bounds say so.
        wait: a tenacity wait object; the longer of its wait and ours counts.
        patient: a call never ends because of the server; see ``bulk``.

    Raises:
        ConfigurationError: a bound is out of its range.
    """

    max_attempts: int = 5
    backoff: Backoff = attrs.field(factory=Backoff)
    budget: float = 0.2
    max_refusals: int | None = 50
    max_hint_s: float = 120.0
    max_outage_s: float | None = 60.0
    retry_on: Callable[[BaseException | Signals], bool | None] | None = None
    stop: Any = None
    wait: Any = None
    patient: bool = False

    def __attrs_post_init__(self) -> None:
        for name, value, least, most, example in (
            ("max_attempts", self.max_attempts, 1, math.inf, "5"),
            ("budget", self.budget, 0, 1, "0.2, a fifth of the calls"),
            ("max_refusals", self.max_refusals or 0, 0, math.inf, "50, or None for no bound"),
            ("max_hint_s", self.max_hint_s, 0, math.inf, "120"),
            ("max_outage_s", self.max_outage_s or 0, 0, math.inf, "60, or None for no bound"),
        ):
            if not least <= value <= most:
                bound = f"at least {least}" if most == math.inf else f"from {least} to {most}"
                message = f"a retry policy's {name} is {bound}, such as {example}; got {value}"
                raise ConfigurationError(message)

    @classmethod
    def none(cls) -> RetryPolicy:
        """One attempt; whatever comes of it is the answer."""
        return cls(max_attempts=1, budget=0.0, max_refusals=0, max_outage_s=0.0)

    @classmethod
    def bulk(cls, **changes: Any) -> RetryPolicy:
        """
        For work that is resumed rather than lost.

        A row ends by its own 4xx, by its deadline, or by ``max_attempts``
        failures while other rows of the key succeed; refusals and outages
        have no bound but the deadline.
        """
        return cls(**({"max_refusals": None, "max_outage_s": None, "patient": True} | changes))


class Setback(enum.StrEnum):
    """What an attempt that did not succeed counts as."""

    REFUSAL = "refusal"
    FAILURE = "failure"
    FORGIVEN = "forgiven"
    OUTAGE = "outage"
    RECONNECT = "reconnect"


class GiveUpReason(enum.StrEnum):
    """Why there is no further attempt."""

    NOT_RETRYABLE = "another attempt would end the same way"
    DECLINED = "retry_on said no"
    NOT_REPLAYABLE = "the body cannot be sent a second time"
    CANCELLED = "the call was cancelled"
    HINT_TOO_LONG = "the server asks for a longer wait than max_hint_s allows"
    MAX_REFUSALS = "the rate limit refused it more often than max_refusals allows"
    MAX_ATTEMPTS = "max_attempts is reached"
    BUDGET_SPENT = "the retry budget of the key is spent"
    DEADLINE = "the next attempt could only start after the deadline"
    OUTAGE = "the server has been away longer than max_outage_s allows"
    STOPPED = "the policy's stop said so"


@attrs.frozen
class RetryAt:
    """Again, not before this instant, through the queue like any other attempt."""

    not_before_ns: int
    counts_as: Setback


@attrs.frozen
class GiveUp:
    """
    The last outcome is the call's end.

    Args:
        reason: why; its value is the sentence for people.
        hint_s: the wait the server asked for, in seconds, or None.
    """

    reason: GiveUpReason
    hint_s: float | None = None


@attrs.define(eq=False)
class CallHistory:
    """
    What has happened to one logical call.

    Args:
        started_ns: when it was submitted.
        deadline_ns: the instant it must be over, or None.
        replayable: its body can be sent again. Whoever sends clears this once a
            one-shot body was begun or output has been delivered.
    """

    started_ns: int
    deadline_ns: int | None = attrs.field(default=None, kw_only=True)
    replayable: bool = attrs.field(default=True, kw_only=True)

    failures: int = attrs.field(default=0, init=False)
    refusals: int = attrs.field(default=0, init=False)
    forgiven: int = attrs.field(default=0, init=False)
    outages: int = attrs.field(default=0, init=False)
    reconnects: int = attrs.field(default=0, init=False)
    last_failure_ns: int = attrs.field(init=False)
    waited_ns: int = attrs.field(default=0, init=False)
    """Time in the queue, all attempts; kept by the runtime."""

    def __attrs_post_init__(self) -> None:
        self.last_failure_ns = self.started_ns

    @property
    def setbacks(self) -> int:
        """Attempts that did not succeed, of every kind."""
        return self.failures + self.refusals + self.forgiven + self.outages + self.reconnects

    def add(self, setback: Setback, *, now_ns: int) -> None:
        """Write one down."""
        match setback:
            case Setback.REFUSAL:
                self.refusals += 1
                return
            case Setback.RECONNECT:
                self.reconnects += 1
                return
            case Setback.FAILURE:
                self.failures += 1
            case Setback.FORGIVEN:
                self.forgiven += 1
            case _:
                self.outages += 1
        self.last_failure_ns = now_ns


def decide(
    outcome: Outcome,
    history: CallHistory,
    policy: RetryPolicy,
    budget: RetryBudget,
    breaker: OutageBreaker,
    *,
    dice: Callable[[], float],
    now_ns: int,
) -> RetryAt | GiveUp:
    """
    What follows an attempt that did not succeed.

    The caller has told *breaker* of the outcome before. The history is written
    either way; the budget pays only for a retry that is granted.
    """
    setback = _classify(outcome, history, policy, breaker)
    history.add(setback, now_ns=now_ns)
    hint_s = _hint_s(outcome)

    never = _why_never(outcome, history, policy) or _why_no_more(setback, hint_s, history, policy)
    if never is not None:
        return GiveUp(never, hint_s)

    at_ns = now_ns + _delay_ns(setback, hint_s, history, policy, dice)
    if setback in _PAID and not budget.left(policy.budget, now_ns=now_ns):
        if not policy.patient:
            return GiveUp(GiveUpReason.BUDGET_SPENT, hint_s)
        at_ns = max(at_ns, now_ns + to_ns(policy.backoff.cap_s))

    late = _why_too_late(at_ns, setback, history, policy, breaker)
    if late is not None:
        return GiveUp(late, hint_s)
    if setback in _PAID:
        budget.spend(policy.budget, now_ns=now_ns)
    return RetryAt(at_ns, setback)


def patience_ends_ns(history: CallHistory, policy: RetryPolicy, breaker: OutageBreaker) -> int | None:
    """
    The instant at which a call stops waiting for a server that is gone; None when never.

    For calls in the queue as for those that have just failed: their deadline, or
    without one ``max_outage_s`` of waiting in this outage.
    """
    if history.deadline_ns is not None:
        return history.deadline_ns
    if policy.max_outage_s is None or breaker.since_ns is None:
        return None
    return max(breaker.since_ns, history.started_ns) + to_ns(policy.max_outage_s)


_PAID = frozenset({Setback.FAILURE, Setback.FORGIVEN})


def _classify(outcome: Outcome, history: CallHistory, policy: RetryPolicy, breaker: OutageBreaker) -> Setback:
    """Which kind of setback it is; this decides what it costs the call."""
    if isinstance(outcome, Signals):
        if outcome.reason is Reason.RATE_LIMITED or outcome.slow_down:
            return Setback.REFUSAL
    elif outcome.stale and not history.reconnects:
        return Setback.RECONNECT
    if not blames_server(outcome):
        return Setback.FAILURE
    if breaker.open:
        return Setback.OUTAGE
    if policy.patient and (breaker.last_success_ns is None or breaker.last_success_ns < history.last_failure_ns):
        return Setback.FORGIVEN
    return Setback.FAILURE


def _why_never(outcome: Outcome, history: CallHistory, policy: RetryPolicy) -> GiveUpReason | None:
    """Why this outcome may not be retried at all."""
    evidence: Signals | BaseException | None
    if isinstance(outcome, Signals):
        if outcome.should_retry is False or outcome.reason in _HOPELESS:
            return GiveUpReason.NOT_RETRYABLE
        may_pass, evidence = bool(outcome.retryable), outcome
    else:
        if outcome.cancels:
            return GiveUpReason.CANCELLED
        may_pass, evidence = outcome.may_pass, outcome.error

    asked = policy.retry_on(evidence) if policy.retry_on is not None and evidence is not None else None
    if asked is not None and not asked:
        return GiveUpReason.DECLINED
    if not (asked or may_pass):
        return GiveUpReason.NOT_RETRYABLE
    return None if history.replayable else GiveUpReason.NOT_REPLAYABLE


def _why_no_more(
    setback: Setback, hint_s: float | None, history: CallHistory, policy: RetryPolicy
) -> GiveUpReason | None:
    """Which bound of the policy is reached."""
    if hint_s is not None and (hint_s > policy.max_hint_s or hint_s == math.inf):
        return GiveUpReason.HINT_TOO_LONG
    if setback is Setback.REFUSAL and policy.max_refusals is not None and history.refusals > policy.max_refusals:
        return GiveUpReason.MAX_REFUSALS
    # Outages and reconnects spend no attempt, but who asks for one attempt means one.
    single = policy.max_attempts == 1 and not policy.patient and setback is not Setback.REFUSAL
    if single or history.failures >= policy.max_attempts:
        return GiveUpReason.MAX_ATTEMPTS
    return None


def _why_too_late(
    at_ns: int, setback: Setback, history: CallHistory, policy: RetryPolicy, breaker: OutageBreaker
) -> GiveUpReason | None:
    """Whether an attempt at that instant would come too late."""
    if setback is not Setback.OUTAGE:
        late = history.deadline_ns is not None and at_ns >= history.deadline_ns
        return GiveUpReason.DEADLINE if late else None

    # It may go the moment somebody's probe succeeds, which is never before the next one.
    ends_ns = patience_ends_ns(history, policy, breaker)
    if ends_ns is None or max(at_ns, breaker.next_probe_ns) < ends_ns:
        return None
    return GiveUpReason.OUTAGE if history.deadline_ns is None else GiveUpReason.DEADLINE


def _hint_s(outcome: Outcome) -> float | None:
    """The wait the server asks for. Zero, a past date and nonsense ask for none."""
    hint_s = outcome.retry_after_s if isinstance(outcome, Signals) else None
    return hint_s if hint_s is not None and hint_s > 0 else None


def _delay_ns(
    setback: Setback, hint_s: float | None, history: CallHistory, policy: RetryPolicy, dice: Callable[[], float]
) -> int:
    """How long to wait from now; never shorter than the hint."""
    hinted_ns = 0 if hint_s is None else _hinted_ns(hint_s, history.setbacks, dice)
    if setback is Setback.RECONNECT or setback is Setback.OUTAGE:
        return hinted_ns  # the breaker, not the call, spaces the probes
    if setback is Setback.REFUSAL:
        return hinted_ns or policy.backoff.delay_ns(history.refusals, dice)
    # A server that fails may ask for a second each time; failures in a row still space out.
    return max(hinted_ns, policy.backoff.delay_ns(history.failures + history.forgiven, dice))


def _hinted_ns(hint_s: float, setbacks: int, dice: Callable[[], float]) -> int:
    """The hint plus some jitter, not below the floor for so many setbacks."""
    hint_ns = to_ns(hint_s)
    floor_ns = _HINT_FLOOR_NS << min(setbacks - 1, _HINT_FLOOR_DOUBLINGS)
    spread_ns = min(max(hint_ns // 10, _LEAST_JITTER_NS), _MOST_JITTER_NS)
    return max(hint_ns, floor_ns) + int(spread_ns * dice())
