"""
The scheduler beside a clerk who keeps lists and fractions.

The clerk is slow and plain: a debt for every bucket, a list of everybody who
waits, and no heap anywhere. Whatever hypothesis lets happen, both have to agree.
"""

from __future__ import annotations

from fractions import Fraction

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.profile import Refill, ServerProfile
from ratelimit_client.core.quota import Quota, Quotas
from ratelimit_client.core.scheduler import Scheduler
from ratelimit_client.core.signals import Signals
from ratelimit_client.core.ticket import State, Ticket
from ratelimit_client.core.units import NS as S
from ratelimit_client.errors import Closed, CostExceedsQuota, DeadlineUnreachable, WouldBlock
from tests.sizes import SCALE

KEYS = ("gpt-4o", "o3")
TENANTS = ("anna", "bert", "cleo")
PROFILE = ServerProfile(pays={}, refill=Refill.CONTINUOUS)
FUTILE_WAKES = 12


class Debt:
    """What is missing from one bucket, as a fraction of units that time repays."""

    def __init__(self, unit: str, amount: int, window_ns: int) -> None:
        self.unit, self.amount, self.window_ns = unit, amount, window_ns
        self.owed = Fraction(0)
        self.at_ns = 0

    def missing(self, now_ns: int) -> Fraction:
        repaid = Fraction(self.amount * (now_ns - self.at_ns), self.window_ns)
        self.owed, self.at_ns = max(Fraction(0), self.owed - repaid), now_ns
        return self.owed

    def level(self, now_ns: int) -> Fraction:
        return self.amount - self.missing(now_ns)

    def admit(self, amount: int, now_ns: int) -> None:
        """No window of time may ever see more than a full bucket and what flowed back (over-admission)."""
        self.owed = self.missing(now_ns) + amount
        assert self.owed <= self.amount, f"{self.unit}: {self.owed} units out of a bucket of {self.amount}"

    def move(self, amount: int, now_ns: int) -> None:
        """Units come back, or more was used than was taken; debt ends at a whole bucket."""
        owed = self.missing(now_ns)
        self.owed = max(Fraction(0), min(max(owed, Fraction(2 * self.amount)), owed - amount))

    def resize(self, amount: int, now_ns: int) -> None:
        level = max(Fraction(-amount), min(Fraction(amount), self.level(now_ns)))
        self.amount, self.owed = amount, amount - level

    def fits(self, amount: int, now_ns: int, *, kept: Fraction = Fraction(0)) -> bool:
        """Whether *amount* could go, one per cent of the bucket staying behind as far as there is room for it."""
        reserve = min(Fraction(self.amount, 100), Fraction(self.amount - amount))
        return self.level(now_ns) >= amount + reserve + kept


@attrs.define(eq=False, repr=False)
class Call:
    """What the clerk knows of one call."""

    ticket: Ticket
    cost: dict[str, int]
    deadline_ns: int | None
    where: str = "waits"
    not_before_ns: int = 0
    settled: dict[str, int] = attrs.field(factory=dict)

    def __repr__(self) -> str:
        return f"<{'/'.join(map(str, self.lane))} #{self.ticket.seq} {self.where} {self.cost}>"

    @property
    def lane(self) -> tuple[str, int, str]:
        return self.ticket.key, self.ticket.priority, self.ticket.tenant


def one(calls: list[Call], pick: int) -> Call:
    return calls[pick % len(calls)]


picks = st.integers(0, 99)
costs = st.fixed_dictionaries({"requests": st.integers(0, 2), "tokens": st.sampled_from([0, 0, 1, 3, 10, 20])})


class Machine(RuleBasedStateMachine):
    """Everything that may happen to a scheduler without any news from a server."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0
        self.calls: list[Call] = []
        self.futile = 0
        self.closed = False

    @initialize(
        requests=st.sampled_from([2, 5, 60]),
        tokens=st.sampled_from([20, 33, 100]),
        shared=st.sampled_from([0, 0, 25, 40]),
        window_ns=st.sampled_from([S, 7 * S + 13, 60 * S]),
        slots=st.integers(1, 4),
    )
    def begin(self, requests: int, tokens: int, shared: int, window_ns: int, slots: int) -> None:
        quotas = Quotas([Quota.from_ns("requests", requests, window_ns), Quota.from_ns("tokens", tokens, window_ns)])
        over_all = Quotas([Quota.from_ns("tokens", shared, 2 * window_ns)] if shared else [])
        # With at most four slots the ramp, which begins at four calls, is never in the way.
        self.slots = slots
        self.scheduler = Scheduler(
            quotas=quotas, shared=over_all, profile=PROFILE, max_in_flight=slots, dice=lambda: 0.5, now_ns=0
        )
        self.debts = {key: [Debt(quota.unit, quota.amount, quota.window_ns) for quota in quotas] for key in KEYS}
        self.shared = [Debt(quota.unit, quota.amount, quota.window_ns) for quota in over_all]

    # -- what the clerk can tell ------------------------------------------------

    def pays(self, call: Call) -> list[tuple[Debt, int]]:
        debts = self.debts[call.ticket.key] + self.shared
        return [(debt, call.cost[debt.unit]) for debt in debts if call.cost[debt.unit]]

    def waiting(self, key: str | None = None, *, ready: bool = False) -> list[Call]:
        return [
            call
            for call in self.calls
            if call.where == "waits"
            and key in (None, call.ticket.key)
            and not (ready and call.not_before_ns > self.now_ns)
        ]

    def under_way(self) -> list[Call]:
        return [call for call in self.calls if call.where == "goes"]

    def admissible(self, call: Call, *, kept: bool = False) -> bool:
        """By its buckets alone; *kept*: even if everything that can be kept for worse bands is kept."""
        for debt, amount in self.pays(call):
            worse = {other.ticket.priority: other for other in self.waiting(call.ticket.key)}
            most = max(Fraction(debt.amount * S, debt.window_ns), Fraction(20))
            bands = sum(1 for band in worse if band > call.ticket.priority) if kept else 0
            if not debt.fits(amount, self.now_ns, kept=bands * min(most, Fraction(debt.amount))):
                return False
        return True

    # -- what both do -------------------------------------------------------------

    def granted(self, call: Call) -> None:
        """The scheduler let a call go: nobody was overtaken, and every bucket had room."""
        assert call.where == "waits"
        assert len(self.under_way()) < self.slots
        assert call.not_before_ns <= self.now_ns
        assert call.deadline_ns is None or call.deadline_ns > self.now_ns
        units = {unit for unit, amount in call.cost.items() if amount}
        for other in self.waiting(call.ticket.key, ready=True):
            if other.lane == call.lane and other.ticket.seq < call.ticket.seq:
                # Only a call that pays nothing in the bucket where the older one waits may pass.
                assert {unit for unit, amount in other.cost.items() if amount} - units
        for debt, amount in self.pays(call):
            debt.admit(amount, self.now_ns)
        call.where, call.settled = "goes", {}
        self.futile = 0

    def drive(self) -> None:
        """Poll until nothing more is to be done now, as the runtime does after everything that happens."""
        for _ in range(30):
            turn = self.scheduler.poll(now_ns=self.now_ns)
            for ticket in turn.expired:
                call = self.call_of(ticket)
                assert call.where == "waits"
                late = call.deadline_ns is not None and call.deadline_ns <= self.now_ns
                assert late or any(amount > debt.amount for debt, amount in self.pays(call))
                assert ticket.error is not None
                call.where = "ended"
                self.futile = 0
            for ticket in turn.granted:
                self.granted(self.call_of(ticket))
            wake_ns = self.scheduler.next_wakeup()
            if wake_ns is None or wake_ns > self.now_ns:
                break
        else:
            pytest.fail("thirty polls in one instant")
        self.nobody_waits_without_need()

    def call_of(self, ticket: Ticket) -> Call:
        return next(call for call in self.calls if call.ticket is ticket)

    def nobody_waits_without_need(self) -> None:
        """The first in line of a key goes when its buckets have room (work-conserving)."""
        if len(self.under_way()) >= self.slots:
            return
        for key in KEYS:
            ready = self.waiting(key, ready=True)
            if not ready or (self.shared and len({call.ticket.key for call in self.waiting()}) > 1):
                continue
            band = min(call.ticket.priority for call in ready)
            lanes = {call.lane: call for call in sorted(ready, key=lambda call: -call.ticket.seq)}
            heads = [call for lane, call in lanes.items() if lane[1] == band]
            assert not all(self.admissible(head, kept=True) for head in heads), f"{heads} could go"

    def event(self) -> None:
        self.futile = 0
        self.drive()

    # -- rules ----------------------------------------------------------------------

    @rule(
        key=st.sampled_from(KEYS),
        tenant=st.sampled_from(TENANTS),
        band=st.sampled_from([0, 0, 0, -2, 1, 2]),
        cost=costs,
        patience_ns=st.one_of(st.none(), st.none(), st.integers(1, 30 * S)),
        waits=st.sampled_from([True, True, True, False]),
    )
    def submit(
        self, key: str, tenant: str, band: int, cost: dict[str, int], patience_ns: int | None, waits: bool
    ) -> None:
        deadline_ns = None if patience_ns is None else self.now_ns + patience_ns
        free = len(self.under_way()) < self.slots
        alone = not self.waiting(key, ready=True)
        others = [call for call in self.waiting() if call.ticket.key != key]
        probe = Call(Ticket(0, key, tenant, band, Cost(), None, None, 0), cost, deadline_ns)
        unreachable = deadline_ns is not None and self.unreachable(probe)
        try:
            ticket = self.scheduler.submit(
                key,
                cost=Cost(**cost),
                tenant=tenant,
                priority=band,
                deadline_ns=deadline_ns,
                waits=waits,
                now_ns=self.now_ns,
            )
        except Closed:
            assert self.closed
            return
        except CostExceedsQuota:
            assert any(amount > debt.amount for debt, amount in self.pays(probe))
            return
        except WouldBlock:
            assert not waits
            assert not (free and alone and not others and self.admissible(probe))
            return
        except DeadlineUnreachable:
            assert unreachable
            return
        assert all(amount <= debt.amount for debt, amount in self.pays(probe))
        call = Call(ticket, cost, deadline_ns)
        self.calls.append(call)
        if ticket.state is State.GRANTED:
            assert free
            assert alone
            self.granted(call)
        else:
            assert waits
            assert not (free and alone and not others and self.admissible(call))
            assert not unreachable
        self.event()

    def unreachable(self, probe: Call) -> bool:
        """What waits in the same or a better band, and the call itself, cannot have flowed back in time."""
        assert probe.deadline_ns is not None
        for debt, own in self.pays(probe):
            waiting = [call for call in self.waiting(probe.ticket.key) if call.ticket.priority <= probe.ticket.priority]
            ahead = own + sum(call.cost[debt.unit] for call in waiting)
            inflow = Fraction(debt.amount * (probe.deadline_ns - self.now_ns), debt.window_ns)
            if ahead > debt.level(self.now_ns) + inflow:
                return True
        return False

    @precondition(lambda self: self.waiting())
    @rule(pick=picks)
    def cancel_one_that_waits(self, pick: int) -> None:
        call = one(self.waiting(), pick)
        self.scheduler.cancel(call.ticket, now_ns=self.now_ns)
        call.where = "ended"
        self.scheduler.cancel(call.ticket, now_ns=self.now_ns)
        self.event()

    @precondition(lambda self: self.under_way())
    @rule(pick=picks, how=st.sampled_from(["cancelled", "unsent", "answered", "ended"]))
    def end_one_that_goes(self, pick: int, how: str) -> None:
        """Nothing was written: all comes back, once. Otherwise the charge stays."""
        call = one(self.under_way(), pick)
        ticket = call.ticket
        if how == "answered":
            self.scheduler.observe(ticket, Signals(200), now_ns=self.now_ns)
            self.scheduler.cancel(ticket, now_ns=self.now_ns)
            assert ticket.state is State.ANSWERED, "an answered call gives nothing back"
        if how in ("cancelled", "unsent"):
            for debt, amount in self.pays(call):
                debt.move(amount, self.now_ns)
        if how == "cancelled":
            self.scheduler.cancel(ticket, now_ns=self.now_ns)
            call.where = "ended"
        else:
            if how == "unsent":
                self.scheduler.unsent(ticket, now_ns=self.now_ns)
                self.scheduler.unsent(ticket, now_ns=self.now_ns)
            self.scheduler.release(ticket, Ending.IGNORED, now_ns=self.now_ns)
            call.where = "rests"
        self.scheduler.release(ticket, Ending.IGNORED, now_ns=self.now_ns)
        self.event()

    @precondition(lambda self: self.under_way())
    @rule(pick=picks, unit=st.sampled_from(["requests", "tokens"]), used=st.integers(0, 60))
    def settle(self, pick: int, unit: str, used: int) -> None:
        """No reading corrects these buckets, so what a call really used does; said twice, the second word counts."""
        call = one(self.under_way(), pick)
        charged = call.settled.get(unit, call.cost[unit])
        for debt in self.debts[call.ticket.key] + self.shared:
            if debt.unit == unit and used != charged:
                debt.move(charged - used, self.now_ns)
        call.settled[unit] = used
        self.scheduler.settle(call.ticket, {unit: used}, now_ns=self.now_ns)
        self.event()

    @precondition(lambda self: any(call.where == "rests" for call in self.calls))
    @rule(pick=picks, pause_ns=st.sampled_from([0, 1, S // 3, 5 * S]))
    def send_back(self, pick: int, pause_ns: int) -> None:
        call = one([call for call in self.calls if call.where == "rests"], pick)
        if call.deadline_ns is not None and call.deadline_ns <= self.now_ns:
            return
        try:
            self.scheduler.requeue(call.ticket, not_before_ns=self.now_ns + pause_ns, now_ns=self.now_ns)
        except Closed:
            assert self.closed
            return
        call.where, call.not_before_ns = "waits", self.now_ns + pause_ns
        self.event()

    @rule(amount=st.sampled_from([20, 25, 50]), key=st.sampled_from(KEYS))
    def change_a_quota(self, amount: int, key: str) -> None:
        """Queued calls that can never fit any more end; what is used stays used."""
        debts = self.debts[key]
        if key in self.scheduler.keys:
            debts[1].resize(amount, self.now_ns)
        else:
            debts[1] = Debt("tokens", amount, debts[1].window_ns)
        quotas = Quotas([Quota.from_ns(debt.unit, debt.amount, debt.window_ns) for debt in debts])
        self.scheduler.set_quotas(quotas, key=key, now_ns=self.now_ns)
        self.event()

    @rule(tenant=st.sampled_from(TENANTS))
    def end_of_input(self, tenant: str) -> None:
        self.scheduler.end_of_input(tenant, now_ns=self.now_ns)
        self.event()

    @rule(part=st.fractions(0, 1))
    def wait_a_little(self, part: Fraction) -> None:
        """Before the next wake-up time alone lets nobody go: it is not slept past, and not too early either."""
        wake_ns = self.scheduler.next_wakeup()
        assert wake_ns is None or wake_ns > self.now_ns
        span_ns = S if wake_ns is None else wake_ns - 1 - self.now_ns
        self.now_ns += int(span_ns * part)
        turn = self.scheduler.poll(now_ns=self.now_ns)
        assert not turn.granted
        assert not turn.expired
        self.nobody_waits_without_need()

    @precondition(lambda self: self.scheduler.next_wakeup() is not None)
    @rule()
    def wake(self) -> None:
        """A wake-up lets somebody go or moves on, and soon somebody goes."""
        wake_ns = self.scheduler.next_wakeup()
        assert wake_ns is not None
        self.now_ns = wake_ns
        self.futile += 1
        self.drive()
        assert self.futile <= FUTILE_WAKES

    @rule(seconds=st.sampled_from([1, 30, 1000]))
    def stall(self, seconds: int) -> None:
        """However long nobody polled, a full bucket is all that goes at once: the debts see to it."""
        self.now_ns += seconds * S
        self.drive()

    @precondition(lambda self: not self.closed and len(self.calls) > 30)
    @rule()
    def close(self) -> None:
        self.closed = True
        ended = self.scheduler.close(now_ns=self.now_ns)
        assert {id(ticket) for ticket in ended} == {id(call.ticket) for call in self.waiting()}
        for call in self.waiting():
            assert isinstance(call.ticket.error, Closed)
            call.where = "ended"
        self.event()

    # -- always ---------------------------------------------------------------------

    @invariant()
    def the_books_agree(self) -> None:
        if not hasattr(self, "scheduler"):
            return
        assert self.scheduler.queued == len(self.waiting())
        assert self.scheduler.in_flight == len(self.under_way())
        for key, state in self.scheduler.keys.items():
            assert state.queue.waiting == len(self.waiting(key))
            assert state.window.in_flight == sum(1 for call in self.under_way() if call.ticket.key == key)
            for debt in self.debts[key]:
                bucket = next(bucket for bucket in state.budget.by_unit[debt.unit] if bucket.limit == debt.amount)
                bucket.refresh(now_ns=self.now_ns)
                assert Fraction(bucket.credits, bucket.window_ns) == debt.level(self.now_ns)

    def teardown(self) -> None:
        """Once no more comes, everybody who waits is served in bounded time, and everything comes to rest."""
        if not hasattr(self, "scheduler"):
            return
        start_ns = self.now_ns
        for _ in range(60 * len(self.calls) + 60):
            self.drive()
            while self.under_way():
                for call in self.under_way():
                    self.scheduler.release(call.ticket, Ending.SUCCEEDED, now_ns=self.now_ns)
                    call.where = "ended"
                self.drive()
            if not self.waiting():
                break
            wake_ns = self.scheduler.next_wakeup()
            assert wake_ns is not None, "queued, nothing in flight, and no wake-up: a stall"
            self.now_ns = max(self.now_ns, wake_ns)
        else:
            pytest.fail("the queue never drains")
        took_ns = self.now_ns - start_ns
        debts = [*self.shared, *(debt for debts in self.debts.values() for debt in debts)]
        repaid_ns = sum(
            Fraction(debt.window_ns, debt.amount) * sum(call.cost[debt.unit] for call in self.calls) for debt in debts
        )
        assert took_ns <= 2 * repaid_ns + 4 * max(debt.window_ns for debt in debts) + 6 * S
        self.now_ns += 3 * max(debt.window_ns for debt in debts)
        for state in self.scheduler.keys.values():
            assert state.window.in_flight == 0
            for buckets in state.budget.by_unit.values():
                assert all(bucket.level(now_ns=self.now_ns) == bucket.limit for bucket in buckets)
                assert all(bucket.escrow is None and bucket.bands is None for bucket in buckets)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=40 * SCALE, stateful_step_count=60, deadline=None)
