"""
Some processes, one store, one server, and what can go wrong between them, in virtual time.

Law of this file: one seed, one day. The processes are real machines, the store is the model
of the script, the server is a bucket that counts exactly. After every event two sums are
held against the law: what the server was asked for, and what is lent and not yet spent.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Any

import attrs

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.estimate import Features
from ratelimit_client.core.lease import Call
from ratelimit_client.core.leasing import LeasingScheduler
from ratelimit_client.core.pool import Store
from ratelimit_client.core.quota import Quota, Quotas
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.ticket import State
from ratelimit_client.core.units import NS
from tests.core.driving import OPENAI

KEY = "m"
PATIENCE_NS = NS // 4


@attrs.define(eq=False)
class Truth:
    """The server's bucket, in units times nanoseconds of its window."""

    quota: Quota
    credits: int = 0
    as_of_ns: int = 0
    slice_s: float = 0.0
    worst: int = 0
    spent: int = 0
    refused: int = 0
    slice_credits: int = 0

    def __attrs_post_init__(self) -> None:
        self.credits = self.brim
        self.slice_credits = self.slice_brim

    @property
    def slice_brim(self) -> int:
        return int(self.quota.amount * self.slice_s * NS)

    @property
    def brim(self) -> int:
        return self.quota.amount * self.quota.window_ns

    def at(self, now_ns: int) -> int:
        """Whole units at an instant."""
        gained = (now_ns - self.as_of_ns) * self.quota.amount
        self.credits = min(self.brim, self.credits + gained)
        self.slice_credits = min(self.slice_brim, self.slice_credits + gained)
        self.as_of_ns = now_ns
        return self.credits // self.quota.window_ns

    def admit(self, units: int, now_ns: int) -> bool:
        """As a server does that enforces a slice: a refused call pays nothing."""
        self.at(now_ns)
        if self.slice_s and self.slice_credits < units * self.quota.window_ns:
            self.refused += 1
            return False
        self.slice_credits -= units * self.quota.window_ns
        self.spend(units, now_ns)
        return True

    def spend(self, units: int, now_ns: int) -> None:
        self.at(now_ns)
        self.credits -= units * self.quota.window_ns
        self.spent += units
        self.worst = min(self.worst, self.credits // self.quota.window_ns)


@attrs.define(eq=False)
class Process:
    """
    One worker.

    Args:
        offset_ns: its monotonic clock began elsewhere.
        per_s: calls that come to it each second; -1: as many as it can send.
        stopped_ns: it does nothing until then.
        cut: nothing it sends arrives, nothing that is sent to it either.
    """

    name: str
    machine: LeasingScheduler
    offset_ns: int
    per_s: float
    cost: int = 1
    stopped_ns: int = 0
    cut: bool = False
    dead: bool = False
    asking: Call | None = None
    granted: int = 0
    spent: int = 0
    longest_ns: int = 0
    errors: list[float] = attrs.field(factory=list)


@attrs.define(eq=False)
class World:
    """
    Args:
        seed: of all dice.
        quota: what the server allows all of them together, and what each of them was told.
        unit: what calls pay besides one request.
        spends: what processes do while the store is lost.
        sizes: characters of the texts of calls whose price is estimated; the server charges a quarter of them.
    """

    seed: int
    quota: Quota
    spends: bool = True
    loses: float = 0.0
    reads: bool = False
    slice_s: float = 0.0
    sizes: tuple[int, ...] = ()
    store: Store = attrs.field(factory=Store)
    processes: list[Process] = attrs.field(factory=list)
    now_ns: int = 0
    store_skew_us: int = 0
    store_down: bool = False
    trips: int = 0
    least: int = 1 << 62
    _events: list[tuple[int, int, Callable[[], None]]] = attrs.field(factory=list)
    _number: int = 0
    dice: random.Random = attrs.field(init=False)
    truth: Truth = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.truth = Truth(self.quota, slice_s=self.slice_s)

    # -- events -----------------------------------------------------------------------

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Let something happen."""
        self._number += 1
        heapq.heappush(self._events, (self.now_ns + int(seconds * NS), self._number, do))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end_ns = self.now_ns + int(seconds * NS)
        while self._events and self._events[0][0] <= end_ns:
            self.now_ns, _, do = heapq.heappop(self._events)
            do()
            self.check()
        self.now_ns = end_ns

    def check(self) -> None:
        """What all hold and have not spent is there."""
        level = self.truth.at(self.now_ns)
        held = 0
        for process in self.processes:
            for leased in process.machine.keeper.leases.values():
                unit = leased.units.get(self.quota.unit)
                now_ns = self.now_ns + process.offset_ns
                if unit is not None and not process.dead and leased.lost_ns is None and now_ns < leased.until_ns:
                    held += unit.held
        spare = level - held
        self.least = min(self.least, spare)

    # -- processes ----------------------------------------------------------------------

    def join(self, per_s: float, *, cost: int = 1, told: bool = True) -> Process:
        """One more process."""
        offset_ns = self.dice.randrange(10**15)
        name = f"p{len(self.processes)}"
        machine = LeasingScheduler(
            process=name,
            spends=self.spends,
            workers=4,
            quotas=Quotas((self.quota,)) if told else (),
            profile=OPENAI,
            max_in_flight=2000,
            dice=self.dice.random,
            now_ns=self.now_ns + offset_ns,
        )
        process = Process(name, machine, offset_ns, per_s, cost)
        self.processes.append(process)
        self.after(self.dice.random() * 0.2, lambda: self._live(process))
        return process

    def _live(self, process: Process) -> None:
        """One turn of a process: calls come, calls go, the store is asked; then again in a moment."""
        if process.dead:
            return
        if self.now_ns < process.stopped_ns:
            self.after((process.stopped_ns - self.now_ns) / NS, lambda: self._live(process))
            return
        machine, now_ns = process.machine, self.now_ns + process.offset_ns
        step = 0.02 * (0.5 + self.dice.random())
        for _ in range(self._coming(process, step)):
            ticket = machine.submit(KEY, **self._asked(process), now_ns=now_ns)
            if ticket.state is State.GRANTED:
                self._sent(process, ticket)
        for ticket in machine.poll(now_ns=now_ns).granted:
            process.longest_ns = max(process.longest_ns, now_ns - ticket.submitted_ns)
            self._sent(process, ticket)
        if machine.keeper.renew_ns <= now_ns and process.asking is None:
            self.ask(process)
        self.after(step, lambda: self._live(process))

    def _asked(self, process: Process) -> dict[str, Any]:
        if self.sizes:
            return {"cost": None, "features": Features(self.dice.choice(self.sizes), 500, 0, "/chat")}
        return {"cost": Cost(**{self.quota.unit: process.cost}) if self.quota.unit != "requests" else Cost()}

    def _coming(self, process: Process, step: float) -> int:
        if process.per_s < 0:
            return max(0, 30 - process.machine.queued)
        many = process.per_s * step
        return int(many) + (self.dice.random() < many - int(many))

    def _sent(self, process: Process, ticket: Any) -> None:
        units = ticket.amount(self.quota.unit)
        process.granted += 1
        if self.sizes:
            charged = ticket.features.chars // 4
            process.errors.append(abs(units - charged) / charged)
            units = charged
        if self.slice_s:
            self.after(0.002 + 0.008 * self.dice.random(), lambda: self._arrives(process, ticket, units))
            return
        left = self.truth.at(self.now_ns)
        self.truth.spend(units, self.now_ns)
        process.spent += units
        machine, offset_ns = process.machine, process.offset_ns
        headers = {}
        if self.reads:
            headers = {self.quota.unit: Reading(limit=self.quota.amount, remaining=max(0, left - units))}

        def answer() -> None:
            if process.dead:
                return
            now_ns = self.now_ns + offset_ns
            machine.observe(ticket, Signals(status=200, readings=headers), now_ns=now_ns)
            machine.release(ticket, Ending.SUCCEEDED, now_ns)

        self.after(0.05 + 0.1 * self.dice.random(), answer)

    def _arrives(self, process: Process, ticket: Any, units: int) -> None:
        """At a server that enforces a slice; it shows its whole bucket only."""
        admitted = self.truth.admit(units, self.now_ns)
        left = self.truth.at(self.now_ns)
        process.spent += units if admitted else 0
        reading = Reading(limit=self.quota.amount, remaining=max(0, left))
        readings = {self.quota.unit: reading}
        if admitted:
            signals = Signals(status=200, readings=readings)
        else:
            lacks_ns = self.quota.window_ns - self.truth.slice_credits
            wait_s = max(0.001, lacks_ns / self.quota.amount / NS)
            reason = Reason.RATE_LIMITED
            signals = Signals(429, reason, True, retry_after_s=wait_s, readings=readings, unit=self.quota.unit)

        def answer() -> None:
            if not process.dead:
                now_ns = self.now_ns + process.offset_ns
                process.machine.observe(ticket, signals, now_ns=now_ns)
                process.machine.release(ticket, Ending.SUCCEEDED if admitted else Ending.IGNORED, now_ns)

        self.after(0.3 if admitted else 0.01, answer)

    def leave(self, process: Process) -> None:
        """It ends in good order."""
        self.ask(process, leaves=True)
        process.dead = True

    # -- the store ------------------------------------------------------------------------

    def ask(self, process: Process, *, leaves: bool = False) -> None:
        """One trip, with whatever befalls it on the way."""
        now_ns = self.now_ns + process.offset_ns
        call = process.machine.keeper.ask(leaves=leaves, now_ns=now_ns)
        if call is None:
            return
        process.asking = call
        self.trips += 1
        way, back = 0.001 + 0.02 * self.dice.random(), 0.001 + 0.02 * self.dice.random()
        lost = self.dice.random() < self.loses
        late = self.dice.random() < self.loses
        twice = self.dice.random() < self.loses

        def arrives() -> None:
            if process.cut or self.store_down or lost:
                return
            leases = self.store.renew(call, now_us=self.now_ns // 1000 + 10**15 + self.store_skew_us)
            if twice:  # a driver that tried again
                leases = self.store.renew(call, now_us=self.now_ns // 1000 + 10**15 + self.store_skew_us)
            if not late:
                self.after(back, lambda: answered(leases))

        def answered(leases: Any) -> None:
            if not process.cut and not process.dead and process.asking is call and self.now_ns >= process.stopped_ns:
                process.asking = None
                process.machine.store_lent(call, leases, now_ns=self.now_ns + process.offset_ns)

        def times_out() -> None:
            if self.now_ns < process.stopped_ns:
                self.after((process.stopped_ns - self.now_ns) / NS + 0.001, times_out)
            elif process.asking is call and not process.dead:
                process.asking = None
                process.machine.store_failed(call, now_ns=self.now_ns + process.offset_ns)

        self.after(way + (0.4 if late and not lost else 0), arrives)
        self.after(PATIENCE_NS / NS, times_out)


def jain(shares: list[int]) -> float:
    """Fairness: 1 when all are equal, 1/n when one has all."""
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))
