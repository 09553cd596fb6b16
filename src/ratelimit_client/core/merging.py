"""
Two scopes that turned out to be one.

Law of this file: the keys of the one are the keys of the other from then on. A key that
both had goes on as one: the lower level of both, readings only of calls sent afterwards,
one queue in which everybody keeps his rank. Quotas that the caller typed are no reason to
keep them apart, for what was typed for a key is what its organization may do, whichever
credential asks.

A ticket knows its key by the name it was submitted under, and that name stays good: it
leads to the same state.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from .groups import join
from .patience import limit
from .queue import FairQueue
from .scopes import Scope, ScopedKey
from .together import rejoin

if TYPE_CHECKING:
    from .keystate import KeyState
    from .scheduler import Scheduler


def merge(scheduler: Scheduler, kept: Scope, gone: Scope, *, now_ns: int) -> None:
    """*gone* is *kept*: so are its keys, and those of scopes that had turned out to be *gone*."""
    for name, state in list(scheduler.keys.items()):
        if isinstance(name, ScopedKey) and name.scope is not kept and name.scope.now is kept:
            known = scheduler.keys.setdefault(kept.key(name.plain), state)
            if known is state:
                _rename(scheduler, state, kept.key(name.plain), now_ns)
            else:
                _absorb(scheduler, known, state, name, now_ns)


def _rename(scheduler: Scheduler, state: KeyState, name: str, now_ns: int) -> None:
    """Only one of them had this key: it goes on as it is."""
    _speak_no_more(state, now_ns)
    state.name = name
    rejoin(scheduler, state, now_ns=now_ns)


def _absorb(scheduler: Scheduler, known: KeyState, other: KeyState, name: str, now_ns: int) -> None:
    """Both had this key."""
    _speak_no_more(other, now_ns)
    scheduler.keys[name] = known
    if other.budget is not known.budget:
        join(scheduler, known.budget, other.budget, now_ns)
    for member in other.kin:
        member.kin = tuple(each for each in member.kin if each is not other)
    other.kin, other.budget = (), known.budget
    known.gate_ns = max(known.gate_ns, other.gate_ns)
    if other.hint is not None:
        known.close(other.hint)
    known.granted += other.granted
    known.refused += other.refused
    known.service = max(known.service, other.service)
    known.window.heard = known.window.heard or other.window.heard
    known.window.in_flight += other.window.in_flight
    other.granted = other.refused = other.window.in_flight = 0
    _move_queue(scheduler, known, other, now_ns)
    scheduler.agenda.touch(known)


def _move_queue(scheduler: Scheduler, known: KeyState, other: KeyState, now_ns: int) -> None:
    waiting = sorted(other.queue.tickets(), key=attrgetter("seq"))
    other.queue, other.wake_ns = FairQueue(), None
    for ticket in waiting:
        ticket.key = known.name
        ticket.priced = -1  # by the rules of another estimator
        known.queue.push(ticket, now_ns=now_ns)
    for ticket in known.queue.tickets():
        limit(scheduler, known, ticket, now_ns)


def _speak_no_more(state: KeyState, now_ns: int) -> None:
    """Where all keys pay, the key of this name keeps nothing for its worse bands any more."""
    for bucket in state.budget.shared:
        bucket.keep_for_bands({}, owner=state.name, now_ns=now_ns)
