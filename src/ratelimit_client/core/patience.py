"""
When a ticket stops waiting.

Law of this file: a call ends in the queue by its deadline, or by its patience: with a
server that does not answer, and with one that asks not to be called for longer than the
call is willing to wait. It ends with the reason, and nothing was sent for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import DeadlineExpiredInQueue, RateLimitClientError
from .events import Kind
from .refusing import asked_to_wait
from .units import to_s

if TYPE_CHECKING:
    from .keystate import KeyState
    from .scheduler import Scheduler, Turn
    from .ticket import Ticket


def expire(scheduler: Scheduler, turn: Turn, now_ns: int) -> None:
    """End the tickets that have waited as long as they may."""
    while (ticket := scheduler.agenda.next_end(now_ns=now_ns)) is not None:
        error = _why(scheduler.keys[ticket.key], ticket, now_ns)
        if error is None:
            continue
        scheduler.fail(scheduler.keys[ticket.key], ticket, error, turn)
        if scheduler.wants(Kind.EXPIRED):
            scheduler.emit(Kind.EXPIRED, ticket.key, now_ns, call=ticket.seq, error=type(error).__name__)


def _why(state: KeyState, ticket: Ticket, now_ns: int) -> RateLimitClientError | None:
    """What ends it; None: it may go on waiting after all."""
    if ticket.deadline_ns is not None and ticket.deadline_ns <= now_ns:
        why = "the deadline passed"
    elif (hint := state.too_long(ticket, now_ns=now_ns)) is not None:
        return asked_to_wait(ticket, hint, now_ns=now_ns)
    elif (ends_ns := state.patience_ends_ns(ticket)) is not None and ends_ns <= now_ns:
        why = "the server still does not answer"
    else:
        return None
    waited_s = to_s(ticket.waited_ns + now_ns - ticket.queued_since_ns)
    sent = "it was not sent again" if ticket.charged else "it was not sent"
    message = f"{why} after {waited_s:.3f} s in the queue of {ticket.key!r:.130}: {sent}"
    return DeadlineExpiredInQueue(message, waited_s=waited_s)


def limit(scheduler: Scheduler, state: KeyState, ticket: Ticket, now_ns: int) -> None:
    """A ticket is in the queue: note how long it is willing to be, as things are."""
    if state.too_long(ticket, now_ns=now_ns) is not None:
        scheduler.agenda.end_at(ticket, now_ns)
    limit_new(scheduler, state, ticket)


def limit_new(scheduler: Scheduler, state: KeyState, ticket: Ticket) -> None:
    """The same of one that was found willing just now to wait out all that servers have asked for."""
    hint_ns = ticket.patience.hint_ns
    if hint_ns < scheduler.least_patience_ns:
        scheduler.least_patience_ns = hint_ns
    ends_ns = state.patience_ends_ns(ticket)
    if ends_ns is not None:
        scheduler.agenda.end_at(ticket, ends_ns)


def outage_began(scheduler: Scheduler, state: KeyState, now_ns: int) -> None:
    """The key's server does not answer: calls without a deadline wait only so long."""
    for ticket in state.queue.tickets():
        limit(scheduler, state, ticket, now_ns)


def hint_came(scheduler: Scheduler, state: KeyState, now_ns: int) -> None:
    """The key's server asked for a wait: calls that are not willing to wait so long end."""
    buckets = (bucket for paid in state.budget.by_unit.values() for bucket in paid)
    closed_ns = max((bucket.gate_ns for bucket in buckets), default=0)
    # Most hints are of seconds, and nobody need be asked.
    if max(closed_ns, state.gate_ns) > now_ns + scheduler.least_patience_ns:
        for ticket in state.queue.tickets():
            limit(scheduler, state, ticket, now_ns)
