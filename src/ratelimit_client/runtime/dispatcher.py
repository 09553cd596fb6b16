"""
Drives one scheduler on one event loop.

Law of this file: the scheduler decides, this carries out. It adds three things
that the pure machine cannot have: futures to wake, one timer, and the loop they
belong to. Nothing here awaits, so nothing here can be cancelled half-way.

Theory. Whatever may change what can go (a call joined, a slot came free, an answer
was read) asks for a *turn*, at most one in each round of the loop. A turn polls
the scheduler once, wakes whose turn it is, and sets the timer to when the scheduler
next has something to say. A call that fits at once takes no part in this: no
future, no timer, no turn.

A ticket is *waiting* while its ``waiter`` is set, and *out* from its grant to its
release. Three parties may end a wait: the turn (granted, expired), ``close``, and
the waiting task itself (cancelled). Whoever comes first clears ``waiter``; the
others find it cleared, which is how a grant that met a cancellation on the way is
given back exactly once.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import get_running_loop
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeVarTuple

from ..core.concurrency import Ending
from ..core.failure import TransportFailure
from ..core.retry import CallHistory, GiveUp, RetryAt, RetryPolicy
from ..core.scheduler import Scheduler
from ..core.settling import matters
from ..core.signals import Signals
from ..core.ticket import State, Ticket
from ..errors import Closed
from .alarm import Alarm
from .clock import Clock
from .instruments import FanOut
from .loop_bound import LoopBound
from .waiting import Ask

Ts = TypeVarTuple("Ts")

_GRANTED = State.GRANTED  # a look-up in an enum's class costs more than all else in a line

ROW = 64
"""Grants in a row that take the fast path; then one round of the loop, so that others live too."""


class Dispatcher(LoopBound):
    """The scheduler of one limiter, and whose turn it is."""

    __slots__ = (
        "__weakref__",
        "_alarm",
        "_came",
        "_gone",
        "_now_ns",
        "_resting",
        "_turn_handle",
        "abandoned",
        "closed",
        "draining",
        "instruments",
        "on_room",
        "row",
        "scheduler",
    )

    def __init__(self, scheduler: Scheduler, clock: Clock, *, name: str, instruments: FanOut) -> None:
        super().__init__(name)
        self.scheduler = scheduler
        self.instruments = instruments
        self.row = 0
        """Grants on the fast path since somebody waited or yielded; the permit looks at it."""
        self.draining = False
        self.closed = False
        self.abandoned = False
        """Left behind by a fork: its loop is not ours, so nothing is to be scheduled on it."""
        self.on_room: list[Callable[[], None]] = []
        """Called when a call was let out, so that whoever looks ahead may look further."""
        self._now_ns = clock.monotonic_ns
        self._alarm = Alarm(self._turn)
        self._turn_handle: asyncio.Handle | None = None
        self._resting: list[asyncio.Future[None]] = []
        self._came: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] | None = None

    def _let_go(self) -> None:
        self._alarm.cancel()
        self._turn_handle = None
        self.row = 0
        if self.waiting:  # on a loop that was closed: nobody can wake them, and they would stand in the way of others
            for state in tuple(self.scheduler.keys.values()):
                for ticket in tuple(state.queue.tickets()):
                    self.take_back(ticket)
        self._came = self._gone = None

    # -- the life of a ticket ---------------------------------------------------

    def submit(self, ticket: Ask, waits: bool = True) -> bool:
        """
        Ask for a turn. True: it was granted at once; else its ``Waiting`` is to be awaited, or closed.

        Raises:
            NotAdmitted, CostExceedsQuota, WrongLoop: and nothing was charged.
        """
        loop = get_running_loop()
        if loop is not self._loop:
            self._move_to(loop)
        if self.draining or self.closed:
            raise self._no_entry()
        if not self.scheduler.enter(ticket, waits, self._now_ns()):
            self._wait(ticket)
            return False
        self.out += 1
        self.row += 1
        if self.on_room:
            self._tell_room()
        return True

    def requeue(self, ticket: Ask, not_before_ns: int) -> None:
        """Back into the queue with its rank, after its release; then it is to be awaited, or taken back."""
        self.here()
        self.scheduler.requeue(ticket, not_before_ns=not_before_ns, now_ns=self._now_ns())
        self._wait(ticket)

    def _wait(self, ticket: Ask) -> None:
        ticket.wait(self)
        self.waiting += 1
        self.row = 0
        self.turn_soon()

    def take_back(self, ticket: Ticket) -> None:
        """The wait ended without the call going on: leave the queue, or give back a grant. Idempotent."""
        if ticket.waiter is not None:
            ticket.waiter = None
            self.waiting -= 1
        elif ticket.state is _GRANTED:
            self.out -= 1
        else:
            return
        self.scheduler.cancel(ticket, now_ns=self._now_ns())
        self._something_changed()

    def written(self, ticket: Ticket) -> None:
        """The first byte of the request reached the socket."""
        if self.scheduler.written(ticket, now_ns=self._now_ns()) and self.waiting:
            self.turn_soon()

    def unsent(self, ticket: Ticket) -> None:
        """Nothing was written: its charge comes back."""
        self.scheduler.unsent(ticket, now_ns=self._now_ns())
        if self.waiting:
            self.turn_soon()

    def failed(self, ticket: Ticket, failure: TransportFailure) -> None:
        """No usable answer came."""
        self.scheduler.failed(ticket, failure, now_ns=self._now_ns())
        if self.waiting:
            self.turn_soon()

    def observe(self, ticket: Ticket, signals: Signals) -> None:
        """An answer was read: levels move, and others may go."""
        self.scheduler.observe(ticket, signals, now_ns=self._now_ns())
        if self.waiting:
            self.turn_soon()

    def heard(self, ticket: Ticket, signals: Signals) -> None:
        """Something more was said than the head of an answer."""
        self.scheduler.heard(ticket, signals, now_ns=self._now_ns())
        if self.waiting:
            self.turn_soon()

    def unread(self, ticket: Ticket, status: int) -> Signals | None:
        """A success was answered. None: it is to be read and observed; else it need not be, and is learnt from."""
        scheduler, now_ns = self.scheduler, self._now_ns()
        if scheduler.keys[ticket.key].reading_due(now_ns=now_ns):
            return None
        scheduler.observe_unread(ticket, status, now_ns=now_ns)
        if self.waiting:
            self.turn_soon()
        return _success(status)

    def counts_use(self, ticket: Ticket, unit: str) -> bool:
        """Whether it makes a difference what a call used of *unit*."""
        scheduler = self.scheduler
        return matters(scheduler, scheduler.keys[ticket.key], unit, now_ns=self._now_ns())

    def settle(self, ticket: Ticket, used: Mapping[str, int]) -> None:
        """What the call really used."""
        self.scheduler.settle(ticket, used, now_ns=self._now_ns())
        if self.waiting:
            self.turn_soon()

    def decide(
        self, ticket: Ticket, outcome: Signals | TransportFailure, history: CallHistory, policy: RetryPolicy
    ) -> RetryAt | GiveUp:
        """What follows an attempt that did not succeed."""
        return self.scheduler.decide(ticket, outcome, history, policy, now_ns=self._now_ns())

    def release(self, ticket: Ticket, ending: Ending) -> None:
        """The slot is free again."""
        self.out -= 1
        self.scheduler.release(ticket, ending, self._now_ns())
        if self.waiting or self._resting or self.instruments.listening:
            self._something_changed()

    def from_anywhere(self, step: Callable[[*Ts], None], *args: *Ts) -> None:
        """Take a step for a handle that was dropped: the collector may run on any thread."""
        loop = self._loop
        try:
            elsewhere = get_running_loop() is not loop
        except RuntimeError:
            elsewhere = True
        if elsewhere and loop is not None and loop.is_running() and not self.abandoned:
            loop.call_soon_threadsafe(step, *args)
        else:
            step(*args)

    def pause(self) -> None:
        """A call is held back by pacing: under way, but neither waiting nor out."""
        self.here()
        self.pausing += 1

    def resume(self) -> None:
        """It goes on, or its task was cancelled there."""
        self.pausing -= 1
        if self._resting and not self.waiting:  # while others wait the alarm is theirs
            self._rest()

    def _something_changed(self) -> None:
        if self.waiting:
            self.turn_soon()
        elif self._alarm.is_set or self._resting:
            self._rest()
        if self.instruments.listening:
            self.turn_soon()

    # -- turns ------------------------------------------------------------------

    def turn_soon(self) -> None:
        """Ask for a turn in this round of the loop."""
        if self._turn_handle is None and self._loop is not None and not self.abandoned and not self._loop.is_closed():
            self._turn_handle = self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        if self._turn_handle is not None:
            self._turn_handle.cancel()  # the alarm rang first
            self._turn_handle = None
        moved = False
        if self.waiting:
            turn = self.scheduler.poll(now_ns=self._now_ns())
            for ticket in turn.granted:
                self._wake(ticket)
            for ticket in turn.expired:
                self._refuse(ticket, ticket.error or self._no_entry())
            moved = bool(turn.granted or turn.expired)
            if turn.granted and self.on_room:
                self._tell_room()
        self._arm(moved)
        if self.instruments.listening:
            self.instruments.deliver(self.scheduler)

    def _wake(self, ticket: Ticket) -> None:
        """Its turn has come: wake its task, unless it was cancelled a moment ago."""
        if isinstance(ticket, Ask) and ticket.waiter is not None:
            self.waiting -= 1
            self.out += 1
            if not ticket.rouse(self.came()):
                self.take_back(ticket)

    def _refuse(self, ticket: Ticket, error: Exception) -> None:
        """It leaves the queue with an error."""
        if isinstance(ticket, Ask) and ticket.waiter is not None:
            self.waiting -= 1
            ticket.error = error
            ticket.rouse(self.came())

    def came(self) -> asyncio.Future[None]:
        """What a task finds when its wait is over; the same each time, for thousands may be at once."""
        came = self._came
        if came is None:
            self._came = came = self.loop.create_future()
            came.set_result(None)
        return came

    def cancelled(self, why: object) -> asyncio.Future[None]:
        """What a task finds that was cancelled while it slept; the same each time, unless a reason was given."""
        gone = self._gone
        if gone is None or why is not None:
            gone = self.loop.create_future()
            gone.cancel(why)
            if why is None:
                self._gone = gone
        return gone

    def _arm(self, moved: bool) -> None:
        """Set the timer to when the scheduler next has something to say."""
        if not self.waiting:
            self._rest()
            return
        wake_ns, now_ns = self.scheduler.next_wakeup(), self._now_ns()
        if wake_ns is None or self._loop is None:
            self._alarm.cancel()
        elif wake_ns <= now_ns and moved:
            self._alarm.cancel()
            self.turn_soon()  # a turn lets out so many and no more; the others are next
        else:
            self._alarm.set(self._loop, wake_ns, now_ns=now_ns)

    def _rest(self) -> None:
        """Nothing waits: no timer; and if nothing is out either, whoever drains is done."""
        self._alarm.cancel()
        if self._resting and self.at_rest:
            for drainer in self._resting:
                if not drainer.done():
                    with contextlib.suppress(RuntimeError):  # its loop is closed
                        drainer.set_result(None)
            self._resting.clear()

    def _tell_room(self) -> None:
        for tell in tuple(self.on_room):
            tell()

    # -- the end ------------------------------------------------------------------

    def _no_entry(self) -> Closed:
        state = "closed" if self.closed else "draining: it finishes what is under way and takes nothing new"
        return Closed(f"limiter {self._name!r} is {state}")

    def reopen(self) -> None:
        """
        Let calls in again after a drain.

        Raises:
            Closed: there is no way back from ``close``.
        """
        if self.closed:
            raise self._no_entry()
        self.draining = False

    async def drain(self) -> None:
        """Return when nothing waits and nothing is out; nothing new is let in meanwhile, nor after."""
        loop = self.here()
        self.draining = True
        self._end_all_input()
        while not self.at_rest:
            if self.waiting:
                self.turn_soon()
            drainer: asyncio.Future[None] = loop.create_future()
            self._resting.append(drainer)
            await drainer
        if self.instruments.listening:
            self.instruments.deliver(self.scheduler)

    def end_of_input(self, tenant: str) -> None:
        """Nothing more comes from *tenant*: what is kept back may be spent on those who wait."""
        self.claim()
        self.scheduler.end_of_input(tenant, now_ns=self._now_ns())
        if self.waiting:
            self.turn_soon()

    def _end_all_input(self) -> None:
        now_ns = self._now_ns()
        waiting = {ticket.tenant for state in self.scheduler.keys.values() for ticket in state.queue.tickets()}
        for tenant in waiting:
            self.scheduler.end_of_input(tenant, now_ns=now_ns)

    def close(self) -> None:
        """Whoever waits fails with ``Closed``; whoever is out may finish. Idempotent."""
        if self.closed:
            return
        self.claim()
        self.closed = True
        for ticket in self.scheduler.close(now_ns=self._now_ns()):
            self._refuse(ticket, ticket.error or self._no_entry())
        self._rest()
        if self.instruments.listening:
            self.instruments.deliver(self.scheduler)


@lru_cache(maxsize=128)
def _success(status: int) -> Signals:
    """A success of which nothing else was looked at."""
    return Signals(status=status)
