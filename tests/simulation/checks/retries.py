"""When a call is made again: not too soon, not too often, and hardly at all while nobody is there."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import attrs

from ratelimit_client.core.retry import RetryAt, Setback
from ratelimit_client.core.signals import Reason, Signals
from ratelimit_client.core.units import NS, to_ns

from ..check import Check

if TYPE_CHECKING:
    from ratelimit_client.core.failure import TransportFailure
    from ratelimit_client.core.keystate import KeyState
    from ratelimit_client.core.retry import GiveUp, RetryPolicy
    from ratelimit_client.core.ticket import Ticket

    from ..check import Levels
    from ..watching import Watched

_FLOOR = 10
_MINUTE_NS = 60 * NS


class NotBeforeItMay(Check):
    """I9. No attempt goes after its deadline, nor before the instant that the server or the policy named."""

    def __init__(self, day: Any) -> None:
        super().__init__(day)
        self._not_before: dict[tuple[int, int], int] = {}

    def answered(self, of: Watched, ticket: Ticket, signals: Signals, now_ns: int) -> None:
        if signals.reason is not Reason.OK and signals.retry_after_s is not None and signals.retry_after_s > 0:
            self._not_before[of.gate, ticket.seq] = now_ns + to_ns(signals.retry_after_s)

    def judged(
        self, of: Watched, ticket: Ticket, outcome: Any, policy: RetryPolicy, verdict: RetryAt | GiveUp, now_ns: int
    ) -> None:
        if isinstance(verdict, RetryAt):
            at = of.gate, ticket.seq
            self._not_before[at] = max(self._not_before.get(at, 0), verdict.not_before_ns)

    def granted(self, of: Watched, state: KeyState, ticket: Ticket, now_ns: int) -> None:
        early_ns = self._not_before.get((of.gate, ticket.seq), 0) - now_ns
        if early_ns > 0:
            self.broken(f"gate {of.gate}: #{ticket.seq} goes {early_ns / NS:g} s before it was asked to")
        if ticket.deadline_ns is not None and ticket.deadline_ns <= now_ns:
            self.broken(f"gate {of.gate}: #{ticket.seq} goes after its deadline")


@attrs.frozen
class _Asked:
    """A server asked calls that cost so much of a unit (None: all calls) to wait."""

    until_ns: int
    unit: str | None
    amount: int


class OthersWaitAsWell(Check):
    """
    I9. What a refusal asks to wait holds for all calls of its key that cost at least as much there; of one that names
    nothing, for every call.
    """

    def __init__(self, day: Any) -> None:
        super().__init__(day)
        self._asked: dict[tuple[int, str], list[_Asked]] = {}

    def answered(self, of: Watched, ticket: Ticket, signals: Signals, now_ns: int) -> None:
        hint_s = signals.retry_after_s
        if signals.reason is not Reason.RATE_LIMITED or hint_s is None or hint_s <= 0:
            return
        state = of.keys[ticket.key]
        line = state.budget.named(signals, ticket)
        unit = None if line is None else line.bucket.pays
        asked = _Asked(now_ns + to_ns(hint_s), unit, ticket.amount(unit))
        self._asked.setdefault((of.gate, state.name), []).append(asked)

    heard = answered

    def granted(self, of: Watched, state: KeyState, ticket: Ticket, now_ns: int) -> None:
        for asked in self._asked.get((of.gate, state.name), ()):
            early_ns = asked.until_ns - now_ns
            if early_ns > 0 and (asked.unit is None or ticket.amount(asked.unit) >= max(1, asked.amount)):
                self.broken(f"gate {of.gate}: #{ticket.seq} goes {early_ns / NS:g} s too soon, {asked}")

    def quotas_changed(self, of: Watched, now_ns: int) -> None:
        for (gate, _), asked in self._asked.items():
            if gate == of.gate:
                asked.clear()


class NotTooOften(Check):
    """I9. A call fails at most ``max_attempts`` times and is refused at most ``max_refusals`` and one times."""

    def __init__(self, day: Any) -> None:
        super().__init__(day)
        self._setbacks: Counter[tuple[int, int, str]] = Counter()

    def judged(
        self, of: Watched, ticket: Ticket, outcome: Any, policy: RetryPolicy, verdict: RetryAt | GiveUp, now_ns: int
    ) -> None:
        if not isinstance(verdict, RetryAt):
            return
        at = (of.gate, ticket.seq, verdict.counts_as)
        self._setbacks[at] += 1
        most = {Setback.FAILURE: policy.max_attempts - 1, Setback.REFUSAL: policy.max_refusals, Setback.RECONNECT: 1}
        bound = most.get(verdict.counts_as)
        if bound is not None and self._setbacks[at] > bound:
            self.broken(f"gate {of.gate}: #{ticket.seq} is tried again after {self._setbacks[at]} {verdict.counts_as}s")


class WithinTheBudget(Check):
    """I9. Of two minutes, retries of a key are at most a share of its calls and ten, as its policy sets it."""

    def __init__(self, day: Any) -> None:
        super().__init__(day)
        self._calls: Counter[tuple[int, str, int]] = Counter()
        self._retries: Counter[tuple[int, str, int]] = Counter()
        self._new: set[tuple[int, int]] = set()

    def granted(self, of: Watched, state: KeyState, ticket: Ticket, now_ns: int) -> None:
        at = of.gate, ticket.seq
        if at not in self._new:
            self._new.add(at)
            self._calls[of.gate, state.name, now_ns // _MINUTE_NS] += 1

    def judged(
        self, of: Watched, ticket: Ticket, outcome: Any, policy: RetryPolicy, verdict: RetryAt | GiveUp, now_ns: int
    ) -> None:
        if not isinstance(verdict, RetryAt) or verdict.counts_as not in (Setback.FAILURE, Setback.FORGIVEN):
            return
        minute = now_ns // _MINUTE_NS
        key = of.keys[ticket.key].name
        self._retries[of.gate, key, minute] += 1
        retries, calls = (
            counts[of.gate, key, minute] + counts[of.gate, key, minute - 1] for counts in (self._retries, self._calls)
        )
        bound = _FLOOR + policy.budget * calls if policy.budget else 0
        if retries > bound and not policy.patient:  # a patient call waits for its share instead
            self.broken(f"gate {of.gate}: {retries} retries of {calls} calls of {key}")


@attrs.define
class _Outage:
    """What is known of one key's server."""

    failures: int = 0
    since_ns: int | None = None
    next_ns: int = 0
    probes: int = 0
    heard: bool = False
    probing: set[int] = attrs.field(factory=set)


class OnlyProbes(Check):
    """
    I9. After ten failures in a row without a success nothing goes but one probe after 1, 2, 4 ... 60 s each, until
    the server is heard of.
    """

    def __init__(self, day: Any) -> None:
        super().__init__(day)
        self._outages: dict[tuple[int, str], _Outage] = {}

    def _of(self, of: Watched, ticket: Ticket) -> _Outage:
        return self._outages.setdefault((of.gate, of.keys[ticket.key].name), _Outage())

    def granted(self, of: Watched, state: KeyState, ticket: Ticket, now_ns: int) -> None:
        known = self._of(of, ticket)
        if known.since_ns is None:
            return
        if now_ns < known.next_ns:
            self.broken(
                f"gate {of.gate}: #{ticket.seq} goes {(known.next_ns - now_ns) / NS:g} s before the next probe of "
                f"{state.name}, whose server is gone since {(now_ns - known.since_ns) / NS:g} s"
            )
        known.probes += 1
        known.heard = False
        known.probing.add(ticket.order)
        known.next_ns = now_ns + min(60, 2**known.probes) * NS

    def failed(self, of: Watched, ticket: Ticket, failure: TransportFailure, now_ns: int) -> None:
        if failure.may_pass and not failure.stale:
            self._blame(self._of(of, ticket), now_ns)

    def answered(self, of: Watched, ticket: Ticket, signals: Signals, now_ns: int) -> None:
        known = self._of(of, ticket)
        if (signals.status >= 500 and not signals.slow_down) or signals.reason is Reason.SERVER_ERROR:
            self._blame(known, now_ns)
        elif signals.reason is Reason.OK or known.since_ns is not None:
            known.failures, known.since_ns, known.probes = 0, None, 0
            known.probing.clear()

    def heard(self, of: Watched, ticket: Ticket, signals: Signals, now_ns: int) -> None:
        if signals.reason is not Reason.OK or not signals.readings:  # levels alone are no success
            self.answered(of, ticket, signals, now_ns)

    def withdrawn(self, of: Watched, ticket: Ticket, moved: Levels, now_ns: int) -> None:
        known = self._of(of, ticket)
        if ticket.order in known.probing and not known.heard and known.probes:
            known.probes -= 1
            known.next_ns = now_ns

    def _blame(self, known: _Outage, now_ns: int) -> None:
        known.failures += 1
        known.heard = True
        if known.since_ns is None and known.failures >= 10:
            known.since_ns = now_ns
            known.probes = 0
            known.next_ns = now_ns + NS
