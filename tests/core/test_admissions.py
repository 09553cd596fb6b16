"""
Some hundred thousand calls through the pure machine, and a clerk who counts along.

Law of this file: fast before thorough. The machine beside its clerk (``test_machine``)
knows everything and is slow; here each call is checked against a few integers, and the
rest is looked at now and then. A seed is a story of some thousand calls: a crowd of
several keys, tenants and priorities, some of which come back, under quotas that were
typed, typed over all keys, or shown by a server that is honest or is not.
"""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import attrs
import pytest

from ratelimit_client.core.bucket import Bucket
from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.profile import Refill, ServerProfile
from ratelimit_client.core.quota import Quota, Quotas
from ratelimit_client.core.scheduler import Scheduler
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.ticket import State, Ticket
from ratelimit_client.core.units import NS as S
from ratelimit_client.errors import CostExceedsQuota, DeadlineUnreachable
from tests.sizes import SCALE

BLOCKS = 10
ADMISSIONS = 15_000 if SCALE == 1 else 50_000 * SCALE
# Of the stories every third is of a crowd before a narrow door, and short: there a turn takes a hundred times longer.
NARROW, WIDE = 200, 10_000
HOSTILE = (0.0, -1.0, 1e18, 3.0, 1e9, -1e18, 0.5, 600.0)

PROFILE = ServerProfile(pays={"requests": "requests", "tokens": "tokens"}, refill=Refill.CONTINUOUS)
OK = Signals(200)


@attrs.define(eq=False)
class Debt:
    """What is missing from a bucket, in credits; one flows back for each unit of *amount* and nanosecond."""

    unit: str
    amount: int
    window_ns: int
    owed: int = 0
    at_ns: int = 0

    def pay(self, units: int, now_ns: int) -> None:
        """No span of time may see more than a full bucket and what flowed back (over-admission)."""
        self.owed = max(0, self.owed - (now_ns - self.at_ns) * self.amount) + units * self.window_ns
        self.at_ns = now_ns
        assert self.owed <= self.amount * self.window_ns, f"{self.owed // self.window_ns} of {self.amount} {self.unit}"

    def move(self, units: int, now_ns: int) -> None:
        """Units come back."""
        self.owed = max(0, self.owed - (now_ns - self.at_ns) * self.amount - units * self.window_ns)
        self.at_ns = now_ns


class Story:
    """One crowd before one machine."""

    def __init__(self, seed: int) -> None:
        dice = self.dice = random.Random(f"admissions {seed}")
        self.now_ns = 0
        window_ns = dice.choice((S, 10 * S, 60 * S, 7 * S + 13))
        self.narrow = seed // BLOCKS % 3 == 0
        requests, tokens = dice.choice((5, 60, 600)), dice.choice((100, 3_000, 90_000))
        if not self.narrow:
            requests, tokens = dice.choice((3_000, 20_000)), dice.choice((400_000, 9_000_000))
        self.quotas = Quotas(
            [Quota.from_ns("requests", requests, window_ns), Quota.from_ns("tokens", tokens, window_ns)]
        )
        most = min(quota.amount for quota in self.quotas if quota.unit == "tokens")
        part = dice.choice((0.5, 3))
        shared = [Quota.from_ns("requests", int(part * requests), window_ns)] if dice.random() < 0.3 else []
        self.lies = self.narrow and dice.random() < 0.5
        self.slots = dice.choice((1, 4, 4, 20, 200) if self.narrow else (100, 500, 2000))
        self.machine = Scheduler(
            quotas=self.quotas if not self.lies else (),
            shared=shared,
            profile=PROFILE,
            max_in_flight=self.slots,
            dice=dice.random,
            now_ns=0,
        )
        self.keys = ("a", "b", "c")[: dice.choice((1, 1, 2, 3))]
        self.tenants = ("x", "y", "z")[: dice.choice((1, 2, 3))]
        self.bands = dice.choice(((0,), (0,), (0, 1), (-2, 0, 0, 2)))
        self.costs = [Cost(1, tokens=tokens) for tokens in (0, 1, 10, most // 50, most // 10, most // 2)]
        if not self.narrow:
            self.costs = [Cost(1, tokens=tokens) for tokens in (0, 1, 10, 100, 100, 300)]
        self.patience_ns = dice.choice((None, None, 5 * window_ns))
        self.crowd = dice.choice((1, 5, 50) if self.narrow else (20, 200))
        least = min(each.amount for each in (*self.quotas, *shared) if each.unit == "requests")
        # Where the door is wide, about as many come as flow back.
        self.pause_ns = 1 if self.narrow else self.crowd * window_ns // least
        self.returns = dice.choice((0.0, 0.05))
        self.shared = [Debt(quota.unit, quota.amount, quota.window_ns) for quota in shared]
        self.debts: dict[str, list[Debt]] = {}
        self.newest: dict[tuple[Any, ...], int] = {}
        self.out: deque[Ticket] = deque()
        self.waiting = 0
        self.admitted = 0
        self.steps = 0

    # -- what the clerk does ------------------------------------------------------

    def pays(self, key: str) -> list[Debt]:
        found = self.debts.get(key)
        if found is None:
            typed = [] if self.lies else [Debt(each.unit, each.amount, each.window_ns) for each in self.quotas]
            found = self.debts[key] = typed + self.shared
        return found

    def granted(self, ticket: Ticket) -> None:
        """Every bucket had room for it, and no older call of its lane and kind stood before it."""
        for debt in self.pays(ticket.key):
            if amount := ticket.amount(debt.unit):
                debt.pay(amount, self.now_ns)
        lane = (ticket.key, ticket.priority, ticket.tenant, len(ticket.cost.pairs))
        if not ticket.not_before_ns:  # one that was sent back comes at its old rank, after younger ones
            assert self.newest.get(lane, 0) < ticket.seq, "overtaken"
            self.newest[lane] = ticket.seq
        self.out.append(ticket)
        self.admitted += 1

    def look(self) -> None:
        """Counts agree; nothing is left to do now; nobody who is first could go and waits."""
        machine = self.machine
        wake_ns = machine.next_wakeup()
        assert machine.in_flight == len(self.out) <= self.slots
        assert machine.queued == self.waiting
        for state in machine.keys.values():
            head = state.queue.first()
            if head is not None and machine.in_flight < self.slots:
                at_ns, _ = state.blocked_until(head, wanted=False, now_ns=self.now_ns)
                soon = wake_ns is not None and wake_ns <= self.now_ns + 1  # a turn that moved nothing looks again then
                assert soon or at_ns is None or at_ns > self.now_ns, f"{head} could go"
            for buckets in state.budget.by_unit.values():
                assert all(map(in_bounds, buckets)), buckets

    # -- what happens --------------------------------------------------------------

    def submit(self) -> None:
        dice = self.dice
        deadline_ns = None if self.patience_ns is None else self.now_ns + dice.randrange(1, self.patience_ns)
        try:
            ticket = self.machine.submit(
                dice.choice(self.keys),
                cost=dice.choice(self.costs),
                tenant=dice.choice(self.tenants),
                priority=dice.choice(self.bands),
                deadline_ns=deadline_ns,
                now_ns=self.now_ns,
            )
        except (CostExceedsQuota, DeadlineUnreachable):
            return
        if ticket.state is State.GRANTED:
            self.granted(ticket)
        else:
            self.waiting += 1

    def end(self) -> None:
        """The oldest call that is out ends: unsent, which may be said twice, refused, or answered."""
        ticket = self.out.popleft()
        machine, dice, now_ns = self.machine, self.dice, self.now_ns
        chance = dice.random()
        if chance < 0.02:
            if chance < 0.01:
                machine.unsent(ticket, now_ns=now_ns)
            machine.cancel(ticket, now_ns=now_ns)
            for debt in self.pays(ticket.key):
                debt.move(ticket.amount(debt.unit), now_ns)
            return
        if self.lies:
            machine.observe(ticket, self.some_answer(ticket, chance), now_ns=now_ns)
        elif chance < 0.5:
            machine.observe(ticket, OK, now_ns=now_ns)
        machine.release(ticket, Ending.SUCCEEDED if chance < 0.95 else Ending.DROPPED, now_ns=now_ns)
        if dice.random() < self.returns and (ticket.deadline_ns is None or ticket.deadline_ns > now_ns):
            machine.requeue(ticket, not_before_ns=now_ns + dice.choice((1, S // 2, 3 * S)), now_ns=now_ns)
            self.waiting += 1

    def some_answer(self, ticket: Ticket, chance: float) -> Signals:
        """Limits and levels that may be anything, now and then a refusal."""
        dice = self.dice
        readings = {
            quota.unit: Reading(
                dice.choice((float(quota.amount), float(quota.amount), *HOSTILE)),
                dice.choice((float(quota.amount // 2), *HOSTILE)),
                dice.choice((None, 1.0, 30.0, *HOSTILE)),
            )
            for quota in self.quotas
        }
        if chance < 0.1:
            unit = dice.choice((None, "requests", "tokens"))
            return Signals(429, Reason.RATE_LIMITED, True, dice.choice((None, 0.5, 5.0)), readings, unit)
        return Signals(200, readings=readings if chance < 0.8 else {})

    def poll(self) -> None:
        """Until nothing more is to be done at this instant."""
        for _ in range(100):
            turn = self.machine.poll(now_ns=self.now_ns)
            self.waiting -= len(turn.granted) + len(turn.expired)
            for ticket in turn.granted:
                self.granted(ticket)
            wake_ns = self.machine.next_wakeup()
            if wake_ns is None or wake_ns > self.now_ns:
                return
        raise AssertionError("a hundred polls in one instant")

    def step(self) -> None:
        """Some calls come, some end, and time passes: a little, to the next wake-up, or a long while."""
        dice = self.dice
        self.steps += 1
        if self.waiting < 300:
            for _ in range(dice.randint(0, self.crowd)):
                self.submit()
        for _ in range(dice.randint(0, len(self.out))):
            self.end()
        self.poll()
        if self.steps % 16 == 0:
            self.look()
        wake_ns = self.machine.next_wakeup()
        if self.steps % 100 == 0:
            self.now_ns += 100 * S
        elif self.narrow and wake_ns is not None and (not self.out or dice.random() < 0.7):
            self.now_ns = max(self.now_ns, wake_ns)
        elif self.narrow:
            self.now_ns += dice.choice((1, S // 1000, S // 10))
        else:
            self.now_ns += dice.randrange(2 * self.pause_ns)
        self.poll()

    def tell(self) -> int:
        """To the end: everybody who waits is served in bounded time; the calls that were let out."""
        most = NARROW if self.narrow else WIDE
        while self.admitted < most and self.steps < most:
            self.step()
        until_ns = self.now_ns + 400 * max(quota.window_ns for quota in self.quotas) + 86_400 * S
        while self.machine.queued:
            while self.out:
                self.end()
            self.poll()
            wake_ns = self.machine.next_wakeup()
            if self.machine.queued and not self.out:
                assert wake_ns is not None, "somebody waits for nothing"
                assert wake_ns <= until_ns, "somebody waits for ever"
                self.now_ns = max(self.now_ns, wake_ns)
                self.poll()
        while self.out:
            self.end()
        self.look()
        return self.admitted


def in_bounds(bucket: Bucket) -> bool:
    """Whole numbers, no more than a full bucket, and no limit above what was typed (headers are harmless)."""
    whole = type(bucket.credits) is int and type(bucket.limit) is int
    return whole and bucket.credits <= bucket.brim and 0 < bucket.limit <= (bucket.ceiling or bucket.limit)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_crowd_is_let_out_within_its_quotas(block: int) -> None:
    """No more than was typed, first come first served, nobody in vain, whatever an answer says; and all are served."""
    admitted = number = 0
    while admitted < ADMISSIONS:
        seed = block + BLOCKS * number
        number += 1
        try:
            admitted += Story(seed).tell()
        except AssertionError as error:
            raise AssertionError(f"Story({seed}): {error}") from error
    assert admitted >= ADMISSIONS


@pytest.mark.parametrize("seed", [1712, 1869, 2464])
def test_a_crowd_that_once_waited_for_ever(seed: int) -> None:
    """
    A call of another key, that nobody told when the one before it was replaced; a learnt slice that owed a hundred
    thousand times what it holds.
    """
    assert Story(seed).tell()
