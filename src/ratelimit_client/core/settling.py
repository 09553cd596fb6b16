"""
What becomes of the books when a call says what it really used.

Law of this file: what is said last counts, and counts once. A level moves only where the
server settles, too (``Budget.settle`` knows where that is); fairness is corrected always.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .events import Kind
from .observing import learn_from_usage
from .units import MAX_AMOUNT, NS

# No window is so short that a bucket which was read goes uncorrected for long.
_ASKED_AGAIN_NS = NS // 2

if TYPE_CHECKING:
    from .keystate import KeyState
    from .scheduler import Scheduler
    from .ticket import Ticket


def matters(scheduler: Scheduler, state: KeyState, unit: str, *, now_ns: int) -> bool:
    """Whether it makes a difference what a call used of *unit*: to a level, to other tenants, to who listens."""
    if (state.queue.bands and state.queue.tenants > 1) or (scheduler.wanted and scheduler.wants(Kind.SETTLED)):
        return True
    if now_ns >= state.unsettled_until_ns.get(unit, 0):
        if state.budget.settled_by_calls(unit, now_ns=now_ns):
            return True
        state.unsettled_until_ns[unit] = now_ns + _ASKED_AGAIN_NS
    return False


def settle(scheduler: Scheduler, state: KeyState, ticket: Ticket, used: Mapping[str, int], *, now_ns: int) -> bool:
    """
    Enter what *ticket* used.

    Args:
        used: whole units by unit. An amount that cannot be is not believed.

    Returns:
        Whether a level may have moved.
    """
    used = {unit: actual for unit, actual in used.items() if 0 <= actual <= MAX_AMOUNT}
    before = ticket.settled or {}
    moved = False
    for unit, actual in used.items():
        charged = before.get(unit, ticket.amount(unit))
        if actual != charged:
            state.budget.settle(unit, charged - actual, now_ns=now_ns)
            moved = True
    if "tokens" in used and "tokens" not in before:
        learn_from_usage(scheduler, state, ticket, used["tokens"], now_ns=now_ns)
    ticket.settled = {**before, **used}
    if ticket.share:
        share = state.budget.share_of({**dict(ticket.cost.pairs), **used}.items())
        state.queue.correct(ticket, share - ticket.share)
        ticket.share = share
    if scheduler.wants(Kind.SETTLED):
        charged = ticket.amount("tokens")
        scheduler.emit(Kind.SETTLED, state.name, now_ns, call=ticket.seq, charged=charged, **dict(used))
    return moved
