"""
Why a call is not admitted, in words.

Law of this file: a refusal says what happened, the number, whose limit, what was
done and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import CostExceedsQuota, DeadlineExpiredInQueue, DeadlineUnreachable, Throttled, WouldBlock
from .bucket import Bucket
from .hints import Hint
from .signals import Reason
from .ticket import Ticket
from .units import to_s

if TYPE_CHECKING:
    from .keystate import KeyState


def check_reachable(state: KeyState, ticket: Ticket, now_ns: int) -> None:
    """
    Say at once what cannot be served before the deadline; later arrivals are not foreseen.

    Raises:
        DeadlineUnreachable: what is queued up to this call cannot have flowed back in time.
    """
    assert ticket.deadline_ns is not None
    for unit, amount in ticket.cost.pairs:
        ahead = state.queue.ahead(unit, ticket.priority) + amount
        for bucket in state.budget.by_unit.get(unit, ()):
            if bucket.source == "learned":
                continue  # a guess may be better in a second
            ready_ns = bucket.refilled_at_ns(ahead, now_ns=now_ns)
            if ready_ns <= ticket.deadline_ns:
                continue
            wait_s, left_s = to_s(ready_ns - now_ns), to_s(ticket.deadline_ns - now_ns)
            message = (
                f"{ahead:,} {unit} are queued up to this call and {bucket.limit:,} flow back each "
                f"{to_s(bucket.window_ns):g} s: it could go in {wait_s:.1f} s, its deadline is in {left_s:.1f} s. "
                "It was not sent; allow more time or raise the quota"
            )
            raise DeadlineUnreachable(message, ready_in_s=wait_s)


def too_late() -> DeadlineExpiredInQueue:
    """What to say of a call whose deadline is no later than the call itself."""
    return DeadlineExpiredInQueue("the deadline had passed when the call was asked for: it was not sent", waited_s=0.0)


def would_block(state: KeyState, ticket: Ticket, now_ns: int) -> WouldBlock:
    """What to say to a caller that does not want to wait."""
    ready_ns, binding = state.blocked_until(ticket, now_ns=now_ns)
    if binding is None:
        binding, ready_ns = ("calls that are first" if state.queue.ready else "slots"), None
    ready_in_s = None if ready_ns is None else to_s(ready_ns - now_ns)
    known = "it is not known when it could" if ready_in_s is None else f"it could in {ready_in_s:.3f} s"
    what = "max_in_flight" if binding == "slots" else binding
    return WouldBlock(f"the call cannot go now because of {what}; {known}; nothing was sent", ready_in_s=ready_in_s)


def asked_to_wait(ticket: Ticket, hint: Hint, *, now_ns: int) -> Throttled:
    """What to say to a caller that is not willing to wait as long as the server asks."""
    signals = hint.signals
    said = f", when it answered {signals.status}" if signals is not None else ""
    # Escaped, for it is a server's word, and as it is where it is harmless.
    by_id = f"; request id {repr(signals.request_id)[1:-1]:.128}" if signals is not None and signals.request_id else ""
    waited_s = to_s(ticket.waited_ns + max(0, now_ns - ticket.queued_since_ns))
    message = (
        f"the server asked calls of {ticket.key!r:.130} to wait{said}: another {to_s(hint.until_ns - now_ns):.0f} s, "
        f"and max_hint_s is {to_s(ticket.patience.hint_ns):g}. It was not sent{' again' if ticket.charged else ''}: "
        f"call later, or allow a longer wait{by_id}"
    )
    return Throttled(
        message,
        status=429 if signals is None else signals.status,
        reason=str(Reason.RATE_LIMITED),
        request_id=None if signals is None else signals.request_id,
        attempts=0,
        waited_s=waited_s,
        signals=signals,
    )


def exceeds(ticket: Ticket, bucket: Bucket) -> CostExceedsQuota:
    """What to say of a cost that no wait helps."""
    amount, window_s = ticket.amount(bucket.pays), to_s(bucket.window_ns)
    message = (
        f"needs {amount:,} {bucket.pays}; the bucket of {ticket.key!r:.130} holds {bucket.limit:,} per {window_s:g} s "
        f"(from {bucket.source}), so no wait would help. It was not sent: split the request or raise the quota"
    )
    return CostExceedsQuota(message, unit=bucket.pays, cost=amount, limit=bucket.limit, window_s=window_s)
