"""
A scheduler in the hand of a test: calls that end as soon as they went, and time that jumps.

Law of this file: it asks for turns as a runtime does, after everything that happened
and at every wake-up, and never otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.profile import Refill, ServerProfile
from ratelimit_client.core.quota import Quota
from ratelimit_client.core.scheduler import Scheduler
from ratelimit_client.core.signals import Signals
from ratelimit_client.core.ticket import State, Ticket
from ratelimit_client.core.units import NS as S

OPENAI = ServerProfile(
    pays={"requests": "requests", "tokens": "tokens"}, refill=Refill.CONTINUOUS, reset_is_exact=True
)
GENERIC = ServerProfile(pays={"requests": "requests", "tokens": "tokens"})

OK = Signals(200)


def scheduler(
    quotas: Any = (),
    *,
    slots: int = 4,
    profile: ServerProfile = OPENAI,
    shared: Iterable[Quota] = (),
    max_queue: int = 100_000,
) -> Scheduler:
    """At time zero, with dice that always fall on a half. With four slots the ramp is never in the way."""
    return Scheduler(
        quotas=quotas,
        shared=shared,
        profile=profile,
        max_in_flight=slots,
        max_queue=max_queue,
        dice=lambda: 0.5,
        now_ns=0,
    )


@attrs.define(eq=False)
class Drive:
    """
    Args:
        machine: the scheduler.
        hold: granted calls stay under way until ``end`` is called.
        log: (second, ticket) of every grant.
    """

    machine: Scheduler
    hold: bool = False
    now_ns: int = 0
    log: list[tuple[float, Ticket]] = attrs.field(factory=list)
    expired: list[Ticket] = attrs.field(factory=list)
    polls: int = 0
    on_grant: Callable[[Ticket], None] | None = None

    def ask(self, key: str = "m", *, requests: int = 1, tokens: int = 0, polled: bool = True, **how: Any) -> Ticket:
        """Submit a call now and take the turn that follows."""
        cost = None if "features" in how else Cost(requests, tokens=tokens)
        ticket = self.machine.submit(key, cost=cost, now_ns=self.now_ns, **how)
        if ticket.state is State.GRANTED:
            self._went(ticket)
        if polled:
            self.turn()
        return ticket

    def _went(self, ticket: Ticket) -> None:
        self.log.append((self.now_ns / S, ticket))
        if not self.hold:
            self.end(ticket, polled=False)
        if self.on_grant is not None:
            self.on_grant(ticket)

    def end(
        self, ticket: Ticket, signals: Signals | None = OK, ending: Ending = Ending.SUCCEEDED, *, polled: bool = True
    ) -> None:
        """Its answer came (None: it did not) and its slot is free."""
        if signals is not None:
            self.machine.observe(ticket, signals, now_ns=self.now_ns)
        self.machine.release(ticket, ending, now_ns=self.now_ns)
        if polled:
            self.turn()

    def turn(self) -> None:
        """Poll until nothing more is to be done at this instant."""
        for _ in range(1000):
            self.polls += 1
            turn = self.machine.poll(now_ns=self.now_ns)
            self.expired += turn.expired
            for ticket in turn.granted:
                self._went(ticket)
            wake_ns = self.machine.next_wakeup()
            if wake_ns is None or wake_ns > self.now_ns:
                return
        raise AssertionError("a thousand polls in one instant")

    def to(self, second: float) -> None:
        """Let time pass, with every wake-up on the way."""
        until_ns = round(second * S)
        while (wake_ns := self.machine.next_wakeup()) is not None and wake_ns <= until_ns:
            self.now_ns = max(self.now_ns, wake_ns)
            self.turn()
        self.now_ns = max(self.now_ns, until_ns)
        self.turn()

    def drain(self, *, limit_s: float = 10_000) -> float:
        """Until nobody waits any more; the second at which that was."""
        until_ns = self.now_ns + round(limit_s * S)
        while self.machine.queued:
            wake_ns = self.machine.next_wakeup()
            assert wake_ns is not None, "somebody waits for nothing"
            assert wake_ns <= until_ns, "somebody waits for ever"
            self.now_ns = max(self.now_ns, wake_ns)
            self.turn()
        return self.now_ns / S

    def order(self, name: str = "tenant") -> str:
        """One letter for each grant so far: its tenant, or another field."""
        return "".join(str(getattr(ticket, name)) for _, ticket in self.log)

    def when(self, ticket: Ticket) -> float | None:
        """The second of its (last) grant; None: it still waits, or left."""
        return next((second for second, each in reversed(self.log) if each is ticket), None)
