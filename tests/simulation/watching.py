"""
A scheduler that is overheard.

Law of this file: it decides nothing and changes nothing; each step is the library's own,
told to the checkers after it was taken. The scheduler of a limiter becomes one by getting
this class, so all that stands around it is what users have.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ratelimit_client import Limiter
from ratelimit_client.core.bucket import Bucket
from ratelimit_client.core.leasing import LeasingScheduler
from ratelimit_client.core.scheduler import Scheduler
from ratelimit_client.core.signals import Signals
from ratelimit_client.core.ticket import State

from .check import Check

HOOKS = tuple(name for name, each in vars(Check).items() if callable(each) and name not in ("__init__", "broken"))


class Ears:
    """Who wants to hear of what."""

    def __init__(self, checks: Iterable[Check]) -> None:
        self.checks = tuple(checks)
        for hook in HOOKS:
            hearers = [
                getattr(each, hook) for each in self.checks if getattr(type(each), hook) is not getattr(Check, hook)
            ]
            setattr(self, hook, _to_all(hearers))

    def __getattr__(self, name: str) -> Callable[..., None]:
        raise AttributeError(name)  # for type checkers: every hook is one


def _to_all(hearers: list[Callable[..., None]]) -> Callable[..., None]:
    if not hearers:
        return _nobody
    if len(hearers) == 1:
        return hearers[0]

    def tell(*facts: Any) -> None:
        for hear in hearers:
            hear(*facts)

    return tell


def _nobody(*facts: Any) -> None:
    pass


Before = dict[int, tuple[Bucket, int, int]]


def levels(paid: Mapping[str, Iterable[Bucket]], now_ns: int) -> Before:
    """The buckets in *paid*, the credits in each, and their windows."""
    found = {}
    for buckets in paid.values():
        for bucket in buckets:
            bucket.refresh(now_ns=now_ns)
            found[id(bucket)] = (bucket, bucket.credits, bucket.window_ns)
    return found


def _moved(before: Before) -> dict[int, int]:
    """By how much each has changed; credits of another window cannot be compared."""
    return {
        at: bucket.credits - had if bucket.window_ns == window_ns else 0
        for at, (bucket, had, window_ns) in before.items()
    }


class Watched(Scheduler):
    """The scheduler of one limiter, and who listens."""

    ears: Ears
    gate: int
    moved: Mapping[int, int] = {}
    """By how many credits the answer that was read last moved each bucket."""
    _now_ns: int = 0

    def enter(self, ticket: Any, waits: bool, now_ns: int) -> bool:
        granted = super().enter(ticket, waits, now_ns)
        self.ears.submitted(self, ticket, now_ns)
        return granted

    def let_out(self, state: Any, ticket: Any, waited: bool, now_ns: int) -> None:
        super().let_out(state, ticket, waited, now_ns)
        self.ears.granted(self, state, ticket, now_ns)

    def fail(self, state: Any, ticket: Any, error: Any, turn: Any) -> None:
        super().fail(state, ticket, error, turn)
        self.ears.gone(self, [ticket], self._now_ns)

    def poll(self, *, now_ns: int) -> Any:
        self._now_ns = now_ns
        return super().poll(now_ns=now_ns)

    def cancel(self, ticket: Any, *, now_ns: int) -> None:
        was = ticket.state
        super().cancel(ticket, now_ns=now_ns)
        if ticket.state is State.ENDED and was is not State.ENDED:
            self.ears.gone(self, [ticket], now_ns)

    def written(self, ticket: Any, *, now_ns: int) -> bool:
        more = super().written(ticket, now_ns=now_ns)
        self.ears.written(self, ticket, now_ns)
        return more

    def observe(self, ticket: Any, signals: Any, *, now_ns: int) -> None:
        used = ticket.state is State.GRANTED
        before = levels(self.keys[ticket.key].budget.by_unit, now_ns) if used else {}
        super().observe(ticket, signals, now_ns=now_ns)
        if used:
            self.moved = _moved(before)
            self.ears.answered(self, ticket, signals, now_ns)

    def observe_unread(self, ticket: Any, status: int, *, now_ns: int) -> None:
        used = ticket.state is State.GRANTED
        before = levels(self.keys[ticket.key].budget.by_unit, now_ns) if used else {}
        super().observe_unread(ticket, status, now_ns=now_ns)
        if used:
            self.moved = _moved(before)
            self.ears.answered(self, ticket, Signals(status), now_ns)

    def heard(self, ticket: Any, signals: Any, *, now_ns: int) -> None:
        used = ticket.state in (State.GRANTED, State.ANSWERED, State.RESTING)
        super().heard(ticket, signals, now_ns=now_ns)
        if used:
            self.ears.heard(self, ticket, signals, now_ns)

    def failed(self, ticket: Any, failure: Any, *, now_ns: int) -> None:
        super().failed(ticket, failure, now_ns=now_ns)
        self.ears.failed(self, ticket, failure, now_ns)

    def unsent(self, ticket: Any, *, now_ns: int) -> None:
        charged = bool(ticket.marks)
        before = levels(ticket.paid, now_ns)
        super().unsent(ticket, now_ns=now_ns)
        moved = _moved(before)
        if charged or any(moved.values()):
            self.ears.withdrawn(self, ticket, moved, now_ns)

    def settle(self, ticket: Any, used: Any, *, now_ns: int) -> None:
        before = levels(self._state_of(ticket, now_ns).budget.by_unit, now_ns)
        had = dict(ticket.cost.pairs) | dict(ticket.settled or {})
        super().settle(ticket, used, now_ns=now_ns)
        has = dict(ticket.cost.pairs) | dict(ticket.settled or {})
        refund = {unit: had.get(unit, 0) - amount for unit, amount in has.items()}
        self.ears.settled(self, ticket, refund, _moved(before), now_ns)

    def release(self, ticket: Any, ending: Any, now_ns: int) -> None:
        held = ticket.state in (State.GRANTED, State.ANSWERED)
        super().release(ticket, ending, now_ns)
        if held:
            self.ears.released(self, ticket, ending, now_ns)

    def decide(self, ticket: Any, outcome: Any, history: Any, policy: Any, *, now_ns: int) -> Any:
        verdict = super().decide(ticket, outcome, history, policy, now_ns=now_ns)
        self.ears.judged(self, ticket, outcome, policy, verdict, now_ns)
        return verdict

    def requeue(self, ticket: Any, *, not_before_ns: int, now_ns: int) -> None:
        super().requeue(ticket, not_before_ns=not_before_ns, now_ns=now_ns)
        self.ears.requeued(self, ticket, now_ns)

    def set_quotas(self, *given: Any, now_ns: int, **more: Any) -> None:
        super().set_quotas(*given, now_ns=now_ns, **more)
        self.ears.quotas_changed(self, now_ns)

    def close(self, *, now_ns: int) -> Any:
        ended = super().close(now_ns=now_ns)
        self.ears.gone(self, ended, now_ns)
        return ended


@functools.cache
def _leasing(kind: type[Watched]) -> type[Watched]:
    """The same, of a limiter that shares its budgets."""
    return type(f"Leasing{kind.__name__}", (kind, LeasingScheduler), {})


def watch(limiter: Limiter, gate: int, ears: Ears, kind: type[Watched] = Watched) -> Watched:
    """From now on *ears* hear what the scheduler of *limiter* does; a *kind* of its own may do something wrong."""
    scheduler: Any = limiter._desk.dispatcher.scheduler
    scheduler.__class__ = _leasing(kind) if isinstance(scheduler, LeasingScheduler) else kind
    scheduler.ears, scheduler.gate = ears, gate
    watched: Watched = scheduler
    return watched
