"""
Joining the queue.

Law of this file: a new call that cannot go at once either goes after a closer look,
or stands in the queue, or is refused with a reason; refused, it has changed nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import QueueFull
from .events import Kind
from .patience import limit_new
from .refusing import asked_to_wait, check_reachable, exceeds, would_block

if TYPE_CHECKING:
    from .keystate import KeyState
    from .scheduler import Scheduler
    from .ticket import Ticket


def enter_slowly(scheduler: Scheduler, state: KeyState, ticket: Ticket, waits: bool, slot: bool, now_ns: int) -> bool:
    """It may have to wait: look closer."""
    queue = state.queue
    if queue.waiting:
        queue.wake(now_ns=now_ns)
    if ticket.features is None and (bucket := state.budget.never(ticket)) is not None:
        raise exceeds(ticket, bucket)
    if not queue.ready and slot:
        ready_ns, _ = state.blocked_until(ticket, now_ns=now_ns)
        if ready_ns == now_ns:
            scheduler.grant(state, ticket, now_ns, waited=False)
            return True
    if not waits:
        raise would_block(state, ticket, now_ns)
    _enqueue(scheduler, state, ticket, now_ns)
    return False


def _enqueue(scheduler: Scheduler, state: KeyState, ticket: Ticket, now_ns: int) -> None:
    ticket.queued_since_ns = now_ns
    if scheduler.queued >= scheduler.max_queue:
        message = (
            f"the queue holds {scheduler.queued} calls, its max_queue: this one was not sent; "
            "slow down or raise max_queue"
        )
        raise QueueFull(message, max_queue=scheduler.max_queue)
    if (hint := state.too_long(ticket, now_ns=now_ns)) is not None:
        raise asked_to_wait(ticket, hint, now_ns=now_ns)
    if ticket.deadline_ns is not None:
        check_reachable(state, ticket, now_ns)
        scheduler.agenda.end_at(ticket, ticket.deadline_ns)
    limit_new(scheduler, state, ticket)
    if ticket.features is not None:
        ticket.priced = state.estimator.version
    state.queue.push(ticket, now_ns=now_ns)
    scheduler.queued += 1
    scheduler.agenda.touch(state)
    if scheduler.wants(Kind.QUEUED):
        scheduler.emit(Kind.QUEUED, state.name, now_ns, call=ticket.seq, priority=ticket.priority)
