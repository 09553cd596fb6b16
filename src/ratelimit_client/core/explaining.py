"""
Why a call waits: what binds, until when, and how many are ahead.

Law of this file: it looks and changes nothing but the clock of a level. It asks what the
machine asks, in the order of the machine, and tells the first answer that is no.

Theory. Two calls can be asked about. One is imagined, comes now and stands behind all that
wait in its band and in better ones. The other is there: the first in line, for whom nothing
but the server, a bucket or a slot is in the way. What the second waits for, all wait for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from .bucket import Bucket
from .cost import Cost
from .keeper import PATIENCE_NS
from .leasing import LeasingScheduler
from .queue import Band, FairQueue, Lane
from .reasons import because, span
from .retry_budget import FLOOR
from .statistics import Explanation
from .ticket import State, Ticket
from .together import siblings
from .units import to_s

if TYPE_CHECKING:
    from .keystate import KeyState
    from .scheduler import Scheduler


@attrs.frozen
class Around:
    """
    What is known above the machine.

    Args:
        draining: no new calls are taken.
        retry_share: retries are at most this part of the calls, and ten; None: nobody says.
        paced: while no start is free of those that are spread evenly, so many there are a second; else None.
    """

    draining: bool = False
    retry_share: float | None = None
    paced: float | None = None


_NOTHING = Around()


def explain(
    scheduler: Scheduler, key: str, cost: Cost, *, priority: int = 0, around: Around = _NOTHING, now_ns: int
) -> Explanation:
    """Whether a call of *cost* could go now, and what makes it wait if not. Changes nothing."""
    state = scheduler.keys.get(key)
    if (shut := _shut(scheduler, around)) is not None:
        return shut
    probe = Ticket(0, key, "", priority, cost, None, None, now_ns)
    probe.state = State.RESTING
    if state is not None:
        return _as_new(scheduler, state, probe, around, now_ns)
    found = _as_new(scheduler, _unopened(scheduler, key, now_ns), probe, around, now_ns, unknown=True)
    return attrs.evolve(found, reason=f"nothing is known of {key!r:.130} yet: {found.reason}")


def explain_first(scheduler: Scheduler, key: str, *, around: Around = _NOTHING, now_ns: int) -> Explanation | None:
    """What the first of the calls that wait in *key* is waiting for; None when none does. Changes nothing."""
    state = scheduler.keys.get(key)
    if state is None or not state.queue.waiting:
        return None
    ticket = _first(state.queue)
    if ticket is None:
        return _resting(state, around, now_ns)
    ready_ns, binding = _binding(scheduler, state, ticket, now_ns)
    waited = f"it has waited {span(ticket.waited_ns + now_ns - ticket.queued_since_ns)}"
    if ticket.deadline_ns is not None:
        waited += f", its deadline is in {span(ticket.deadline_ns - now_ns)}"
    if binding is None:
        return Explanation(True, 0.0, None, 0, f"goes with the next turn; {waited}")
    ready_s = None if ready_ns is None else to_s(ready_ns - now_ns)
    why = because(scheduler, state, ticket, binding, now_ns)
    reason = f"waits {_when(ready_ns, now_ns)}: {why}; {waited}{_retries(state, around, now_ns)}"
    return Explanation(False, ready_s, binding, 0, reason)


def _first(queue: FairQueue) -> Ticket | None:
    """As ``FairQueue.first``, which tidies up on its way; this one may be asked beside the loop, and is O(lanes)."""
    for band in sorted(queue.bands.values(), key=_number):
        lanes = [lane for lane in tuple(band.lanes.values()) if lane.ready]
        if lanes:
            lane = min(lanes, key=_turn)
            heads = [ticket for line in tuple(lane.lines.values()) for ticket in line.oldest()]
            return min(heads, key=_rank, default=None)
    return None


def _number(band: Band) -> int:
    return band.number


def _turn(lane: Lane) -> tuple[int, str]:
    return lane.tag, lane.tenant


def _rank(ticket: Ticket) -> int:
    return ticket.seq


def _unopened(scheduler: Scheduler, key: str, now_ns: int) -> KeyState:
    """A key that nobody has called yet, as its first call would find it."""
    state = scheduler.unopened(key, now_ns=now_ns)
    for other in siblings(scheduler, state):
        state.budget, state.kin = other.budget, (other, *other.kin)
        break
    return state


# -- calls that are not taken ---------------------------------------------------------


def _shut(scheduler: Scheduler, around: Around) -> Explanation | None:
    """Nobody is taken any more."""
    if scheduler.closed:
        return _never("closed", "the limiter is closed, and no call goes any more: make a new one; no wait helps")
    if around.draining:
        left = f"{scheduler.queued:,} queued and {scheduler.in_flight:,} under way"
        return _never("draining", f"the limiter ends what it has ({left}) and takes no further calls: no wait helps")
    if isinstance(scheduler, LeasingScheduler) and scheduler.refused is not None:
        return _never("store", f"the store of the shared budget cannot be used: {scheduler.refused}; no wait helps")
    return None


def _never(binding: str, reason: str) -> Explanation:
    return Explanation(False, None, binding, 0, reason)


def _too_large(bucket: Bucket, probe: Ticket) -> str:
    amount = probe.amount(bucket.pays)
    holds = f"the bucket never holds more than {bucket.limit:,} per {to_s(bucket.window_ns):g} s"
    return f"needs {amount:,} {bucket.pays}; {holds}, from {bucket.source}: split it or raise the quota, no wait helps"


# -- calls that wait ------------------------------------------------------------------


def _as_new(
    scheduler: Scheduler, state: KeyState, probe: Ticket, around: Around, now_ns: int, *, unknown: bool = False
) -> Explanation:
    """One that comes now."""
    if (bucket := state.budget.never(probe)) is not None:
        return _never(bucket.name, _too_large(bucket, probe))
    priority = probe.priority
    ahead = sum(band.ready for band in tuple(state.queue.bands.values()) if band.number <= priority)
    ready_ns, binding = _binding(scheduler, state, probe, now_ns)
    if unknown and binding is None and isinstance(scheduler, LeasingScheduler) and scheduler.keeper.lost_ns is None:
        ready_ns, binding = now_ns + PATIENCE_NS, "store"
    if binding is None and not ahead:
        if around.paced is not None:
            return _paced(around.paced)
        probes = ", and asks a server that does not answer" if state.breaker.open else ""
        return Explanation(True, 0.0, None, 0, f"the call can go now{probes}{_retries(state, around, now_ns)}")
    what = binding or "queue"
    if ready_ns is not None and ahead:
        ready_ns = max(ready_ns, now_ns + _behind(state, probe.cost, priority, now_ns))
    ready_s = None if ready_ns is None else to_s(ready_ns - now_ns)
    reason = (
        f"waits {_when(ready_ns, now_ns)}: {because(scheduler, state, probe, what, now_ns)}"
        f"{_ahead(state, ahead, priority)}{_full(scheduler)}{_retries(state, around, now_ns)}"
    )
    return Explanation(False, ready_s, what, ahead, reason)


def _paced(per_second: float) -> Explanation:
    """It would go, but starts are spread; it stands in no queue yet, so nobody knows how many do before it."""
    wait_s = 1 / per_second
    reason = f"waits {wait_s:.3g} s or more: pacing lets {per_second:g} calls start a second, one after the other"
    return Explanation(False, wait_s, "pacing", 0, reason)


def _binding(scheduler: Scheduler, state: KeyState, ticket: Ticket, now_ns: int) -> tuple[int | None, str | None]:
    """When *ticket* may go, and what makes it wait."""
    ready_ns, binding = state.blocked_until(ticket, wanted=False, now_ns=now_ns)
    if binding in (None, "ramp") and scheduler.in_flight >= scheduler.max_in_flight:
        return None, "slots"
    if binding == "hint":
        if isinstance(scheduler, LeasingScheduler) and scheduler.asks_for(state):
            return ready_ns, "store"
        if state.hint is None or state.hint.until_ns < state.gate_ns:
            return ready_ns, "pause"
    return ready_ns, binding


def _behind(state: KeyState, cost: Cost, priority: int, now_ns: int) -> int:
    """Nanoseconds until the buckets have refilled for what is ahead and for this call."""
    wait_ns = 0
    for unit, amount in cost.pairs:
        needed = state.queue.ahead(unit, priority) + amount
        for bucket in state.budget.by_unit.get(unit, ()):
            wait_ns = max(wait_ns, bucket.refilled_at_ns(needed, now_ns=now_ns) - now_ns)
    return wait_ns


def _resting(state: KeyState, around: Around, now_ns: int) -> Explanation:
    """All that wait were sent back, and none of them may go yet."""
    at_ns = min((ticket.not_before_ns for ticket in state.queue.oldest()), default=now_ns)
    rest = state.queue.waiting
    who = "the call that waits was" if rest == 1 else f"all {rest:,} calls that wait were"
    why = f"{who} refused or failed before; so long is the rest before it is tried again"
    reason = f"waits {_when(at_ns, now_ns)}: {why}{_retries(state, around, now_ns)}"
    return Explanation(False, to_s(max(0, at_ns - now_ns)), "backoff", 0, reason)


# -- what else is worth saying --------------------------------------------------------


def _when(ready_ns: int | None, now_ns: int) -> str:
    return "until something comes back" if ready_ns is None else span(ready_ns - now_ns)


def _ahead(state: KeyState, ahead: int, priority: int) -> str:
    """How many, and why they are first."""
    if not ahead:
        return ""
    bands = state.queue.bands
    better = sum(band.ready for band in tuple(bands.values()) if band.number < priority)
    own = bands.get(priority)
    tenants = 0 if own is None else sum(1 for lane in tuple(own.lanes.values()) if lane.ready)
    words = f"; {ahead:,} {'call is' if ahead == 1 else 'calls are'} ahead"
    words += f", {better:,} of a better priority" if better else ""
    return f"{words}, of {tenants:,} tenants that take turns" if tenants > 1 else words


def _full(scheduler: Scheduler) -> str:
    if scheduler.queued < scheduler.max_queue:
        return ""
    return f"; the queue is full (max_queue is {scheduler.max_queue:,}), so that this one would be turned away"


def _retries(state: KeyState, around: Around, now_ns: int) -> str:
    """Whether what fails now is tried again."""
    share, retries = around.retry_share, state.retries
    if not share or retries.left(share, now_ns=now_ns):
        return ""
    return (
        f"; what fails now is not tried again at once: retries of the last minutes have reached {FLOOR} and "
        f"{share:.0%} of the calls, which is looked at anew in {span(retries.ends_ns - now_ns)}"
    )
