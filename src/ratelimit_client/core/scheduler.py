"""
The machine: who may go now, who must wait, and until when.

Law of this file: it is told what happened and at what time, changes its state
once, and says what to do next. It reads no clock, sleeps never and calls nobody.

A call is *submitted* and gets a ticket; ``poll`` lets out the tickets whose turn
has come; ``observe`` learns from an answer; ``release`` frees the slot. Between
two calls of ``poll`` nothing changes by itself but time, and ``next_wakeup`` is
the first instant at which time alone lets somebody go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import attrs

from ..errors import Closed
from .agenda import Agenda
from .bucket import Bucket
from .budget import Budget, shared_buckets
from .concurrency import Ending, InFlightWindow
from .cost import ONE_REQUEST, Cost
from .estimate import Features
from .events import Kind
from .failure import TransportFailure
from .groups import leave_group
from .jitter import ArrivalJitter
from .joining import enter_slowly
from .keystate import KeyState, worth_keeping
from .observing import learn_from_answer, learn_from_event, learn_from_failure, learn_from_unread
from .patience import expire, limit
from .profile import ServerProfile
from .quota import Quota, Quotas, quotas_by_key
from .refusing import too_late
from .retry import CallHistory, GiveUp, RetryAt, RetryPolicy, decide
from .scopes import plain, present
from .serving import serve
from .settling import settle
from .signals import Signals
from .telling import Telling
from .ticket import ENDLESS, EVER_NS, Patience, State, Ticket
from .together import Group, join_at_birth, quotas_name

TURN_MAX = 256
# A look-up in an enum's class costs more than all else in a line.
_QUEUED, _GRANTED, _ANSWERED, _RESTING, _ENDED = State
_KEYS_MAX = 100_000


@attrs.frozen
class Turn:
    """What one ``poll`` decided: tickets to let out, and tickets that ended in the queue (see ``error``)."""

    granted: list[Ticket]
    expired: list[Ticket]


class Scheduler(Telling):
    """
    All keys of one limiter.

    Args:
        quotas: for each key separately; a mapping gives them by key, "*" the rest.
        shared: quotas over all keys together.
        profile: what is known of this kind of server.
        max_in_flight: calls under way, over all keys.
        max_queue: calls waiting, over all keys.
        dice: numbers in [0, 1).
        now_ns: the present.
    """

    together: Mapping[str, Group] = {}
    """The group of each key of which the caller says that it counts with others; to be set before the first call."""

    def __init__(
        self,
        *,
        quotas: Quotas | Iterable[Quota] | Mapping[str, Quotas] = (),
        shared: Quotas | Iterable[Quota] = (),
        profile: ServerProfile,
        max_in_flight: int,
        max_queue: int = 100_000,
        dice: Callable[[], float],
        now_ns: int,
    ) -> None:
        super().__init__()
        self.profile = profile
        self.max_in_flight = max_in_flight
        self.max_queue = max_queue
        self.dice = dice
        self.jitter = ArrivalJitter()
        self.reports_written = False
        self.in_flight = 0
        self.queued = 0
        self.keys: dict[str, KeyState] = {}
        self.closed = False
        self._quotas: dict[str, Quotas] = quotas_by_key(quotas)
        self._shared: list[Bucket] = shared_buckets(shared, now_ns=now_ns)
        self._seq = 0
        self.order = 0
        self.groups: dict[str, Budget] = {}
        self._served = 0
        self._forget_at = _KEYS_MAX
        self.least_patience_ns = EVER_NS
        self.agenda = Agenda()

    # -- submitting -----------------------------------------------------------

    def submit(
        self,
        key: str,
        *,
        cost: Cost | None = None,
        features: Features | None = None,
        priority: int = 0,
        tenant: str = "",
        deadline_ns: int | None = None,
        patience: Patience = ENDLESS,
        waits: bool = True,
        now_ns: int,
    ) -> Ticket:
        """
        A ticket, granted at once when it fits and nobody stands before it.

        Args:
            cost: what the caller states; None with *features*: it is estimated.
            patience: how long it waits in the queue for the sake of the server.
            waits: as of ``enter``, which says what is raised.
        """
        stated = ONE_REQUEST if cost is None else cost  # one that is empty counts
        ticket = Ticket(0, key, tenant, priority, stated, features, deadline_ns, now_ns, patience)
        self.enter(ticket, waits, now_ns)
        return ticket

    def enter(self, ticket: Ticket, waits: bool, now_ns: int) -> bool:
        """
        Grant a new ticket at once when it fits and nobody stands before it; else queue it. True: granted.

        Args:
            ticket: one with *features* is priced now, whatever its cost says.
            waits: False: raise ``WouldBlock`` instead of queueing.

        Raises:
            Closed, CostExceedsQuota, QueueFull, DeadlineExpiredInQueue, DeadlineUnreachable, WouldBlock;
            Throttled: the server asked for a longer wait than its patience allows.
        """
        state = self.keys.get(ticket.key)
        if state is None:
            state = self.open_key(ticket.key, now_ns=now_ns)
        if ticket.features is not None:
            ticket.cost = state.price(ticket.features)
        # Its rank is the instant at which it came: as an object of its own it would take room in each that waits.
        self._seq = ticket.seq = now_ns if now_ns > self._seq else self._seq + 1
        ticket.submitted_ns = now_ns
        if self.closed:
            raise Closed("the limiter is closed: nothing was sent; make a new one for further calls")
        if ticket.deadline_ns is not None and ticket.deadline_ns <= now_ns:
            raise too_late()
        if state.ended:
            state.input_goes_on(ticket.tenant)
        slot = self.in_flight < self.max_in_flight and not (self.queued and self.agenda.starving)
        window = state.window
        if (
            slot
            and not state.queue.waiting
            and state.gate_ns <= now_ns
            and state.breaker.since_ns is None
            and (window.in_flight < window.base or window.has_room(now_ns=now_ns))
            and state.budget.charge_at_once(ticket, self.jitter.ns, now_ns)
        ):
            self.let_out(state, ticket, False, now_ns)
            return True
        return enter_slowly(self, state, ticket, waits, slot, now_ns)

    def open_key(self, key: str, *, now_ns: int) -> KeyState:
        """Begin a key: its quotas, if the caller gave any, and the ramp."""
        if (name := present(key)) != key:
            self.keys[key] = state = self.keys.get(name) or self.open_key(name, now_ns=now_ns)
            return state
        budget = Budget(self.profile, self._shared, dice=self.dice)
        budget.set_quotas(self._typed(key), now_ns=now_ns)
        window = InFlightWindow(self.max_in_flight)
        window.waits_for_written = self.reports_written
        state = KeyState(key, budget, window)
        if len(self.keys) >= self._forget_at:
            self.keys = worth_keeping(self.keys, now_ns=now_ns)
            self._forget_at = max(_KEYS_MAX, 2 * len(self.keys))
        self.keys[key] = state
        join_at_birth(self, state)
        return state

    def unopened(self, key: str, *, now_ns: int) -> KeyState:
        """What a key would begin as, to look at: nothing is opened, and no dice are thrown."""
        budget = Budget(self.profile, self._shared)
        budget.set_quotas(self._typed(key), now_ns=now_ns)
        return KeyState(key, budget, InFlightWindow(self.max_in_flight))

    def _typed(self, key: str) -> Quotas:
        """What the caller typed for a key, in whatever scope it is."""
        return self._quotas.get(quotas_name(self.together, key), self._quotas.get("*", Quotas()))

    def _state_of(self, ticket: Ticket, now_ns: int) -> KeyState:
        """The key of a ticket that rests; it may have been forgotten meanwhile."""
        state = self.keys.get(ticket.key)
        return self.open_key(ticket.key, now_ns=now_ns) if state is None else state

    # -- granting -------------------------------------------------------------

    def poll(self, *, now_ns: int) -> Turn:
        """
        Let out everything whose turn has come, at most 256 tickets.

        When more could go, ``next_wakeup`` answers with an instant in the past.
        """
        turn = Turn([], [])
        expire(self, turn, now_ns)
        self.agenda.gather(now_ns=now_ns)
        while len(turn.granted) < TURN_MAX and self.agenda.feed(self.max_in_flight - self.in_flight):
            state = self.agenda.take()
            # With slots to spare a key is served to its end; else one call each, the least served first.
            spare = self.max_in_flight - self.in_flight > TURN_MAX or not (self.agenda.pending or self.agenda.starving)
            if serve(self, state, turn, TURN_MAX - len(turn.granted) if spare else 1, now_ns):
                self.agenda.touch(state)
        return turn

    def grant(self, state: KeyState, ticket: Ticket, now_ns: int, *, waited: bool) -> None:
        """Let it out; the caller has seen that it may go."""
        if (self._shared or state.kin) and state.budget.holds_for(ticket):
            self.agenda.touch_all()
        state.budget.charge(ticket, jitter_ns=self.jitter.ns, now_ns=now_ns)
        self.let_out(state, ticket, waited, now_ns)

    def let_out(self, state: KeyState, ticket: Ticket, waited: bool, now_ns: int) -> None:
        """It is charged and goes: everything else that a grant changes."""
        first = ticket.order < 0
        self.order = ticket.order = self.order + 1
        ticket.state = _GRANTED
        if waited:
            ticket.waited_ns += now_ns - ticket.granted_ns  # since when it waited, so far
        elif state.queue.bands:
            ticket.share = state.budget.share_of(ticket.cost.pairs)
            state.queue.charge(ticket)
        ticket.granted_ns = now_ns
        if first:
            retries = state.retries
            if now_ns >= retries.ends_ns:
                retries.turn(now_ns=now_ns)
            retries.calls += 1
        if state.breaker.since_ns is not None:
            ticket.probe = True
            state.breaker.probe_granted(now_ns=now_ns)
        window = state.window
        if ticket.features is not None:
            state.evidence.granted(self.order, ticket.features, window.in_flight, now_ns)
        elif state.evidence.calls:  # what states its cost matters only among those that do not
            state.evidence.granted(self.order, ticket.amount("tokens"), window.in_flight, now_ns)
        window.granted(now_ns)
        state.granted += 1
        # A key that was away or is new begins where service stands now, or it would take every free slot.
        if state.service > self._served:
            self._served = state.service
        state.service = self._served + 1
        self.in_flight += 1
        if self.counts is not None:
            self.counts.turns += 1
        if self.wanted and Kind.GRANTED in self.wanted:
            facts = {"waited_ns": ticket.waited_ns, "tokens": ticket.amount("tokens")}
            self.emit(Kind.GRANTED, state.name, now_ns, call=ticket.seq, **facts)

    def next_wakeup(self) -> int | None:
        """
        The first instant at which ``poll`` has something to do by time alone.

        0 when it has something to do now; None when only an event can help.
        """
        return self.agenda.next_wakeup(slots=self.in_flight < self.max_in_flight)

    def fail(self, state: KeyState, ticket: Ticket, error: Exception, turn: Turn) -> None:
        ticket.error = error
        self._leave(state, ticket)
        turn.expired.append(ticket)

    def _leave(self, state: KeyState, ticket: Ticket) -> None:
        """Out of the queue without a grant; what was held for it is everyone's again."""
        ticket.state = _ENDED
        state.queue.remove(ticket)
        self.queued -= 1
        for buckets in state.budget.by_unit.values():
            for bucket in buckets:
                if bucket.escrow is not None:
                    bucket.drop_hold(ticket)
        self._moved(state)

    def _moved(self, state: KeyState) -> None:
        """Something came back to the buckets of this key; those it shares with others are theirs, too."""
        self.agenda.touch(state)
        if self._shared or state.kin:
            self.agenda.touch_all()

    # -- what happened --------------------------------------------------------

    def cancel(self, ticket: Ticket, *, now_ns: int) -> None:
        """The caller went away: out of the queue, or, before anything was sent, out of its grant."""
        state = self._state_of(ticket, now_ns)
        if ticket.state is _QUEUED:
            self._leave(state, ticket)
        elif ticket.state is _GRANTED and ticket.written_ns is None:
            self.unsent(ticket, now_ns=now_ns)
            self.release(ticket, Ending.IGNORED, now_ns=now_ns)
            ticket.state = _ENDED
        elif ticket.state is _RESTING:
            ticket.state = _ENDED
        else:
            return
        if self.wanted and Kind.CANCELLED in self.wanted:
            self.emit(Kind.CANCELLED, state.name, now_ns, call=ticket.seq)

    def written(self, ticket: Ticket, *, now_ns: int) -> bool:
        """The first byte of the request reached the socket. True: ``poll`` has something to do."""
        if ticket.written_ns is not None or ticket.state is not _GRANTED:
            return False
        ticket.written_ns = now_ns
        self.jitter.add(now_ns - ticket.granted_ns)
        state = self.keys[ticket.key]
        if not state.window.written(ticket.granted_ns, now_ns=now_ns):
            return False
        self.agenda.touch(state)
        return True

    def observe(self, ticket: Ticket, signals: Signals, *, now_ns: int) -> None:
        """An answer's head, and of an error its body, was read."""
        if ticket.state is _GRANTED:
            ticket.state = _ANSWERED
            state = self.keys[ticket.key]
            learn_from_answer(self, state, ticket, signals, now_ns=now_ns)
            self.agenda.touch(state)
            if state.kin:
                self.agenda.touch_all()

    def observe_unread(self, ticket: Ticket, status: int, *, now_ns: int) -> None:
        """A success was answered, and its key says that no reading is due: nothing more of it need be read."""
        if ticket.state is _GRANTED:
            ticket.state = _ANSWERED
            state = self.keys[ticket.key]
            learn_from_unread(self, state, ticket, status, now_ns=now_ns)
            if not state.touched:
                self.agenda.touch(state)
            if state.kin:
                self.agenda.touch_all()

    def heard(self, ticket: Ticket, signals: Signals, *, now_ns: int) -> None:
        """Something was said after the head of an answer, or without one; or of a call that has ended just now."""
        if ticket.state is _GRANTED or ticket.state is _ANSWERED or ticket.state is _RESTING:
            state = self._state_of(ticket, now_ns)
            learn_from_event(self, state, ticket, signals, now_ns=now_ns)
            self._moved(state)

    def failed(self, ticket: Ticket, failure: TransportFailure, *, now_ns: int) -> None:
        """It went out and no usable answer came."""
        state = self._state_of(ticket, now_ns)
        learn_from_failure(self, state, ticket, failure, now_ns=now_ns)
        self.agenda.touch(state)

    def unsent(self, ticket: Ticket, *, now_ns: int) -> None:
        """Nothing was written: what was charged comes back, once."""
        if ticket.state is _GRANTED:
            state = self.keys[ticket.key]
            state.budget.give_back(ticket, now_ns=now_ns)
            if ticket.probe:
                ticket.probe = False
                state.breaker.probe_withdrawn(now_ns=now_ns)
            self._moved(state)

    def settle(self, ticket: Ticket, used: Mapping[str, int], *, now_ns: int) -> None:
        """What the call used; it moves a level only where the server settles too, and always fairness."""
        state = self._state_of(ticket, now_ns)
        if settle(self, state, ticket, used, now_ns=now_ns):
            self._moved(state)

    def release(self, ticket: Ticket, ending: Ending, now_ns: int) -> None:
        """The slot is free. The ticket rests until it is sent back or forgotten."""
        if ticket.state is not _GRANTED and ticket.state is not _ANSWERED:
            return
        state = self.keys[ticket.key]
        ticket.state = _RESTING
        state.window.ended(ending, ticket.granted_ns, now_ns)
        self.in_flight -= 1
        if self.queued:
            self.agenda.touch(state)
        if self.counts is not None:
            self.counts.held.add(now_ns - ticket.granted_ns)
        if self.wanted and Kind.RELEASED in self.wanted:
            held_ns = now_ns - ticket.granted_ns
            self.emit(Kind.RELEASED, state.name, now_ns, call=ticket.seq, ending=ending.value, held_ns=held_ns)

    def requeue(self, ticket: Ticket, *, not_before_ns: int, now_ns: int) -> None:
        """The same ticket again, at its old rank, not before an instant."""
        if ticket.state is not _RESTING:
            message = "only a released ticket can be sent back"
            raise ValueError(message)
        state = self._state_of(ticket, now_ns)
        if self.closed:
            raise Closed("the limiter was closed while the call waited to be sent again")
        ticket.state = _QUEUED
        ticket.begin_again()
        ticket.not_before_ns = not_before_ns
        ticket.queued_since_ns = now_ns
        if ticket.deadline_ns is not None:
            self.agenda.end_at(ticket, ticket.deadline_ns)
        limit(self, state, ticket, now_ns)
        state.queue.push(ticket, now_ns=now_ns)
        self.queued += 1
        self.agenda.touch(state)
        if self.wanted and Kind.RETRYING in self.wanted:
            wait_ns = max(0, not_before_ns - now_ns)
            self.emit(Kind.RETRYING, state.name, now_ns, call=ticket.seq, wait_ns=wait_ns)

    def decide(
        self,
        ticket: Ticket,
        outcome: Signals | TransportFailure,
        history: CallHistory,
        policy: RetryPolicy,
        *,
        now_ns: int,
    ) -> RetryAt | GiveUp:
        """What follows an attempt that did not succeed."""
        state = self._state_of(ticket, now_ns)
        return decide(outcome, history, policy, state.retries, state.breaker, dice=self.dice, now_ns=now_ns)

    def end_of_input(self, tenant: str = "", *, now_ns: int) -> None:
        """No more calls of this tenant will come: the reserve may be spent on what is queued."""
        for state in self.keys.values():
            state.ended.add(tenant)
            self.agenda.touch(state)

    # -- set-up while running -------------------------------------------------

    def adopt(self, profile: ServerProfile) -> None:
        """It is another kind of server than was thought; what was learnt stays."""
        self.profile = profile
        for state in self.keys.values():
            state.budget.profile = profile

    def set_quotas(
        self,
        quotas: Quotas | Iterable[Quota] | Mapping[str, Quotas] | None = None,
        *,
        key: str | None = None,
        shared: Quotas | Iterable[Quota] | None = None,
        now_ns: int,
    ) -> None:
        """Change what the caller allows, for one key, for all, or over all keys."""
        if quotas is not None:
            given = quotas_by_key(quotas)
            if key is not None:
                self._quotas[key] = given.get(key, given.get("*", Quotas()))
            else:
                self._quotas = given
            for name, state in self.keys.items():
                if key in (None, quotas_name(self.together, name)):
                    typed = self._typed(name)
                    if state.kin and typed and plain(name) not in self.together:
                        leave_group(self, state, typed, now_ns=now_ns)
                    else:
                        state.budget.set_quotas(typed, now_ns=now_ns)
        if shared is not None:
            self._shared[:] = shared_buckets(shared, self._shared, now_ns=now_ns)
            for state in self.keys.values():
                state.budget.rebuild()
        for state in self.keys.values():
            self.agenda.touch(state)

    def close(self, *, now_ns: int) -> list[Ticket]:
        """Admit nobody from now on; returns what was queued, each with its error."""
        self.closed = True
        ended = []
        for state in self.keys.values():
            waiting = state.empty()
            for ticket in waiting:
                ticket.state = _ENDED
                ticket.error = Closed("the limiter was closed while the call was queued: it was not sent")
                if self.wanted and Kind.EXPIRED in self.wanted:
                    self.emit(Kind.EXPIRED, ticket.key, now_ns, call=ticket.seq, error="Closed")
            self.queued -= len(waiting)
            self._moved(state)
            ended += waiting
        return ended
