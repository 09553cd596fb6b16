"""
Letting the calls of one key go, in their order.

Law of this file: the first in line goes as soon as every bucket has room for it.
While it is blocked, others may pass only if they take nothing it waits for: what
an escrow holds, what is kept for a worse band, and their own lane's order stand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .agenda import sooner
from .refusing import exceeds
from .ticket import Ticket

if TYPE_CHECKING:
    from .keystate import KeyState
    from .scheduler import Scheduler, Turn


def serve(scheduler: Scheduler, state: KeyState, turn: Turn, most: int, now_ns: int) -> bool:
    """Grant up to *most* calls of one key; True when it was stopped by that bound."""
    queue = state.queue
    if not queue.waiting:
        _keep_for_bands(scheduler, state, now_ns)
        return False
    queue.wake(now_ns=now_ns)
    _set_reserves(state)
    granted = 0
    while granted < most:
        _keep_for_bands(scheduler, state, now_ns)
        if scheduler.in_flight >= scheduler.max_in_flight:
            if queue.ready:
                scheduler.agenda.starve(state)
            scheduler.agenda.plan(state, queue.wakes_at_ns(), now_ns=now_ns)
            return False
        ticket = _owed(state, now_ns) or queue.first()
        if ticket is None:
            scheduler.agenda.plan(state, queue.wakes_at_ns(), now_ns=now_ns)
            return False
        if not _let_go(scheduler, state, ticket, turn, now_ns):
            wake_ns, more = _pass_by(scheduler, state, ticket, turn, most - granted, now_ns)
            scheduler.agenda.plan(state, wake_ns, now_ns=now_ns)
            return more
        granted += 1
        if queue.waiting:
            _set_reserves(state)  # with this one gone, what is left may be less than they are
    if queue.ready:
        return True
    _keep_for_bands(scheduler, state, now_ns)
    scheduler.agenda.plan(state, queue.wakes_at_ns(), now_ns=now_ns)
    return False


def _owed(state: KeyState, now_ns: int) -> Ticket | None:
    """
    A head of a worse band that needs a whole bucket which is full now, and has had its share kept.

    A full bucket serves whoever is first to ask; in a flood that would be the better band each time.
    """
    queue = state.queue
    if len(queue.bands) < 2:
        return None
    heads = [head for band in queue.waiting_bands()[1:] if (head := queue.head_of(band))]
    for head in heads:
        paid = ((bucket, amount) for unit, amount in head.cost.pairs for bucket in state.budget.by_unit.get(unit, ()))
        if any(bucket.owes(amount, band=head.priority) for bucket, amount in paid):
            ready_ns, _ = state.blocked_until(head, now_ns=now_ns)
            if ready_ns == now_ns:
                return head
    return None


def _let_go(scheduler: Scheduler, state: KeyState, ticket: Ticket, turn: Turn, now_ns: int) -> bool:
    """Grant *ticket* if it may go; an estimate is priced now, a cost that became impossible ends here."""
    if ticket.features is not None:
        _reprice(state, ticket)
    if _charged_at_once(scheduler, state, ticket, now_ns):
        _take(scheduler, state, ticket, now_ns)
        scheduler.let_out(state, ticket, True, now_ns)
        turn.granted.append(ticket)
        return True
    if ticket.features is None and (bucket := state.budget.never(ticket)) is not None:
        scheduler.fail(state, ticket, exceeds(ticket, bucket), turn)
        return True
    ready_ns, _ = state.blocked_until(ticket, now_ns=now_ns)
    if ready_ns != now_ns:
        return False
    _take(scheduler, state, ticket, now_ns)
    scheduler.grant(state, ticket, now_ns, waited=True)
    turn.granted.append(ticket)
    return True


def _charged_at_once(scheduler: Scheduler, state: KeyState, ticket: Ticket, now_ns: int) -> bool:
    """It goes, and nothing but levels has a say: what follows would find the same, and take three times as long."""
    return (
        state.gate_ns <= now_ns
        and state.breaker.since_ns is None
        and state.window.in_flight < state.window.base
        and state.budget.charge_at_once(ticket, scheduler.jitter.ns, now_ns)
    )


def _take(scheduler: Scheduler, state: KeyState, ticket: Ticket, now_ns: int) -> None:
    """Out of the queue, for its turn has come; its lane pays for it once."""
    if scheduler.counts is not None:
        scheduler.counts.waits.add(now_ns - ticket.queued_since_ns)
    if not ticket.charged:
        ticket.share = state.budget.share_of(ticket.cost.pairs)
    state.queue.take(ticket)
    scheduler.queued -= 1


def _reprice(state: KeyState, ticket: Ticket) -> None:
    assert ticket.features is not None
    if ticket.priced == state.estimator.version:
        return
    ticket.priced = state.estimator.version
    cost = state.price(ticket.features)
    if cost.pairs != ticket.cost.pairs:
        state.queue.reprice(ticket, cost)


def _pass_by(
    scheduler: Scheduler, state: KeyState, first: Ticket, turn: Turn, most: int, now_ns: int
) -> tuple[int | None, bool]:
    """
    The first in line is blocked: let others go that it does not hold up.

    Returns when to look again, and whether the bound stopped it.
    """
    wakes_ns = state.queue.wakes_at_ns()
    wake_ns = sooner(wakes_ns, _blocked_at(state, first, now_ns))
    if state.gate_ns > now_ns or state.breaker.open:
        return wake_ns, False
    # Calls of other keys may pass by in a shared bucket: there even a call that is alone here needs its escrow.
    binding = state.budget.binding
    passes_by = bool(state.budget.shared or state.kin)
    if state.queue.alone(first) and not passes_by and (binding is None or binding.escrow is None):
        return wake_ns, False
    granted = 0
    progress = True
    while progress and granted < most:
        progress = False
        wake_ns = wakes_ns
        blocked: list[Ticket] = []
        escrowed: set[int] = set()
        lane: tuple[int, str] | None = None
        closed: dict[str, int] = {}
        gone = False
        for ticket in list(state.queue.heads()):
            if scheduler.in_flight >= scheduler.max_in_flight:
                scheduler.agenda.starve(state)
                return wakes_ns, False
            if (ticket.priority, ticket.tenant) != lane:
                lane, closed, gone = (ticket.priority, ticket.tenant), {}, False
            # Inside a lane nobody passes in a bucket where an earlier call waits; and behind
            # one that went there may be another as old, so the rest is for the next round.
            if gone:
                continue
            if waits_for := [at_ns for unit, at_ns in closed.items() if unit in ticket.cost]:
                wake_ns = sooner(wake_ns, max(waits_for))
                continue
            gone = granted < most and _let_go(scheduler, state, ticket, turn, now_ns)
            while not gone and _hold(scheduler, state, ticket, blocked, escrowed, now_ns):
                gone = granted < most and _let_go(scheduler, state, ticket, turn, now_ns)
            if gone:
                granted += 1
                progress = True
                _keep_for_bands(scheduler, state, now_ns)
                continue
            blocked.append(ticket)
            for unit, at_ns in state.budget.lacking(ticket, now_ns=now_ns).items():
                closed[unit] = max(at_ns, closed.get(unit, 0))
            wake_ns = sooner(wake_ns, _blocked_at(state, ticket, now_ns))
    return wake_ns, granted >= most


def _blocked_at(state: KeyState, ticket: Ticket, now_ns: int) -> int | None:
    ready_ns, _ = state.blocked_until(ticket, now_ns=now_ns)
    return ready_ns if ready_ns is None else max(ready_ns, now_ns + 1)


def _hold(
    scheduler: Scheduler, state: KeyState, ticket: Ticket, before: list[Ticket], escrowed: set[int], now_ns: int
) -> bool:
    """
    Open the escrow of the bucket that blocks *ticket*, unless one *before* it in the order has it; True when opened.

    An owner that comes later, or is no longer first in its lane, gives it up: it would
    keep from this one what it cannot use itself. A call of another key keeps it.
    """
    if state.budget.ready_at_ns(ticket, now_ns=now_ns) <= now_ns:
        return False
    bucket = state.budget.binding
    if bucket is None or id(bucket) in escrowed:
        return False
    escrowed.add(id(bucket))
    owner = bucket.escrow.owner if bucket.escrow is not None else None
    if owner is ticket or (isinstance(owner, Ticket) and (owner.key != ticket.key or owner in before)):
        return False
    bucket.hold_for(ticket, ticket.amount(bucket.pays), band=ticket.priority, now_ns=now_ns)
    if owner is not None and state.shares(bucket):
        scheduler.agenda.touch_all()  # it held back calls of other keys that the new owner may let pass
    return True


def _keep_for_bands(scheduler: Scheduler, state: KeyState, now_ns: int) -> None:
    """
    While a worse band waits, a tenth of every bucket's refill is kept for it.

    Once it has that, it keeps it until it no longer waits, though the better calls be gone for a moment.
    """
    if len(state.queue.bands) < 2 and not state.budget.shared and not state.kin:
        return
    bands = state.queue.waiting_bands()
    heads = {band: head for band in bands if (head := state.queue.head_of(band))}
    for unit, buckets in state.budget.by_unit.items():
        for bucket in buckets:
            # In a shared bucket a better band may wait in another key.
            shared = state.shares(bucket)
            kept = bands if shared else (bucket.bands or ())
            costs = {band: head.amount(unit) for band, head in heads.items() if band != bands[0] or band in kept}
            if costs or bucket.bands is not None:
                free = bucket.keep_for_bands(costs, owner=state.name, now_ns=now_ns)
                if free and shared:
                    scheduler.agenda.touch_all()


def _set_reserves(state: KeyState) -> None:
    """The reserve may be spent once what is still queued costs no more than it."""
    if not state.ended:
        return
    spends = state.spends_reserve()
    for buckets in state.budget.by_unit.values():
        for bucket in buckets:
            bucket.spends_reserve = spends
