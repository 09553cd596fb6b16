"""The queue beside a plain list, and what a step costs."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ratelimit_client.core.cost import Cost
from ratelimit_client.core.queue import BANDS, FairQueue
from ratelimit_client.core.ticket import Ticket
from tests.core.queueing import call, cancel, grant, queue_of, send_back
from tests.sizes import SCALE

# -- beside a plain list ------------------------------------------------------------


@attrs.define
class Slow:
    """The same rules, told over one list."""

    waiting: list[Ticket] = attrs.field(factory=list)
    resting: list[Ticket] = attrs.field(factory=list)
    tags: dict[tuple[int, str], int] = attrs.field(factory=dict)
    now: dict[int, int] = attrs.field(factory=dict)

    def tag(self, band: int, tenant: str) -> int:
        return self.tags.get((band, tenant), self.now.get(band, 0))

    def lane(self, ticket: Ticket) -> list[Ticket]:
        return [each for each in self.waiting if (each.priority, each.tenant) == (ticket.priority, ticket.tenant)]

    def push(self, ticket: Ticket) -> None:
        band, tenant = ticket.priority, ticket.tenant
        if not self.lane(ticket):
            self.tags[band, tenant] = max(self.tag(band, tenant), self.now.get(band, 0))
        self.waiting.append(ticket)

    def take(self, ticket: Ticket, share: int) -> None:
        band, tenant = ticket.priority, ticket.tenant
        self.waiting.remove(ticket)
        if share:
            self.now[band] = max(self.now.get(band, 0), self.tag(band, tenant))
            self.tags[band, tenant] = self.tag(band, tenant) + share

    def charge(self, ticket: Ticket, share: int) -> None:
        band, tenant = ticket.priority, ticket.tenant
        self.now[band] = max(self.now.get(band, 0), self.tag(band, tenant))
        self.tags[band, tenant] = self.now[band] + share

    def correct(self, ticket: Ticket, share: int) -> None:
        band, tenant = ticket.priority, ticket.tenant
        now = self.now.get(band, 0)
        tag = self.tag(band, tenant) if self.lane(ticket) else max(now, self.tag(band, tenant))
        self.tags[band, tenant] = max(min(tag, now), tag + share)

    def heads(self) -> list[Ticket]:
        found = []
        for band in BANDS:
            tenants = {ticket.tenant for ticket in self.waiting if ticket.priority == band}
            for tenant in sorted(tenants, key=lambda tenant: (self.tag(band, tenant), tenant)):
                kinds: dict[frozenset[str], Ticket] = {}
                lane = [ticket for ticket in self.waiting if (ticket.priority, ticket.tenant) == (band, tenant)]
                for ticket in sorted(lane, key=lambda ticket: ticket.seq):
                    kinds.setdefault(frozenset(ticket.cost), ticket)
                found += kinds.values()
        return found


class Beside(RuleBasedStateMachine):
    """Whatever happens, both name the same heads in the same order."""

    def __init__(self) -> None:
        super().__init__()
        self.queue, self.slow = FairQueue(), Slow()
        self.now_ns, self.rank = 0, 0
        self.out: list[Ticket] = []

    def new(self, tenant: str, band: int, tokens: int, share: int) -> Ticket:
        self.rank += 1
        return call(tenant, priority=band, cost=Cost(tokens=tokens), share=share, rank=self.rank)

    @rule(
        tenant=st.sampled_from("abcd"),
        band=st.sampled_from([0, 0, 0, 1, -2]),
        tokens=st.integers(0, 1),
        share=st.integers(1, 9),
    )
    def push(self, tenant: str, band: int, tokens: int, share: int) -> None:
        ticket = self.new(tenant, band, tokens, share)
        self.queue.push(ticket, now_ns=self.now_ns)
        self.slow.push(ticket)

    @rule(tenant=st.sampled_from("abcd"), band=st.sampled_from([0, 1]), share=st.integers(1, 9))
    def pass_without_waiting(self, tenant: str, band: int, share: int) -> None:
        if not self.slow.waiting:
            ticket = self.new(tenant, band, 0, share)
            self.queue.charge(ticket)
            self.slow.charge(ticket, share)

    @precondition(lambda self: self.slow.waiting)
    @rule(pick=st.integers(0, 4))
    def take(self, pick: int) -> None:
        heads = self.slow.heads()
        ticket = heads[pick % len(heads)]
        self.slow.take(ticket, 0 if ticket.charged else ticket.share)
        self.out.append(grant(self.queue, ticket))

    @precondition(lambda self: self.slow.waiting or self.slow.resting)
    @rule(pick=st.integers(0, 30))
    def cancel(self, pick: int) -> None:
        both = self.slow.waiting + self.slow.resting
        ticket = both[pick % len(both)]
        (self.slow.waiting if ticket in self.slow.waiting else self.slow.resting).remove(ticket)
        cancel(self.queue, ticket)

    @precondition(lambda self: self.out)
    @rule(pick=st.integers(0, 30), wait_ns=st.integers(0, 3))
    def send_back(self, pick: int, wait_ns: int) -> None:
        ticket = self.out.pop(pick % len(self.out))
        send_back(self.queue, ticket, self.now_ns + wait_ns, now_ns=self.now_ns)
        (self.slow.resting.append if wait_ns else self.slow.push)(ticket)

    @precondition(lambda self: self.out)
    @rule(pick=st.integers(0, 30), share=st.integers(-9, 9))
    def correct(self, pick: int, share: int) -> None:
        ticket = self.out[pick % len(self.out)]
        self.queue.correct(ticket, share)
        self.slow.correct(ticket, share)

    @rule(span_ns=st.integers(0, 2))
    def wake(self, span_ns: int) -> None:
        self.now_ns += span_ns
        self.queue.wake(now_ns=self.now_ns)
        for ticket in sorted(self.slow.resting, key=lambda ticket: (ticket.not_before_ns, ticket.seq)):
            if ticket.not_before_ns <= self.now_ns:
                self.slow.resting.remove(ticket)
                self.slow.push(ticket)

    @invariant()
    def they_agree(self) -> None:
        heads = self.slow.heads()
        assert list(self.queue.heads()) == heads
        assert self.queue.first() is (heads[0] if heads else None)
        assert self.queue.ready == len(self.slow.waiting)
        assert self.queue.waiting == len(self.slow.waiting) + len(self.slow.resting)
        assert set(self.queue.tickets()) == {*self.slow.waiting, *self.slow.resting}
        assert self.queue.wakes_at_ns() == min((ticket.not_before_ns for ticket in self.slow.resting), default=None)
        waiting = self.slow.waiting + self.slow.resting
        for band in BANDS:
            tokens = sum(ticket.cost["tokens"] for ticket in waiting if ticket.priority <= band)
            assert self.queue.ahead("tokens", band) == tokens


TestBeside = Beside.TestCase
TestBeside.settings = settings(max_examples=60 * SCALE, stateful_step_count=50, deadline=None)


# -- how much it costs ----------------------------------------------------------------


class Counted(int):
    """A number that counts how often it is compared."""

    comparisons = 0

    def __lt__(self, other: object) -> bool:
        Counted.comparisons += 1
        return int.__lt__(self, other)  # type: ignore[operator]

    __hash__ = int.__hash__


def comparisons_per_step(size: int, *, tenants: int) -> float:
    """Comparisons of one grant and one push in a queue of *size* calls, all of them sent back once."""
    queue = queue_of()
    for number in range(size):
        ticket = call(str(number % tenants), rank=Counted(size - number), share=1 + number % 3)
        queue.push(ticket, now_ns=0)
    Counted.comparisons = 0
    for number in range(200):
        grant(queue)
        queue.push(call(str(number % tenants), rank=Counted(-number)), now_ns=0)
    return Counted.comparisons / 200


@pytest.mark.parametrize("tenants", [1, 50])
def test_a_step_costs_the_logarithm_of_the_length(tenants: int) -> None:
    """A hundred times as many calls that were sent back cost a few comparisons more."""
    short, long = (comparisons_per_step(size, tenants=tenants) for size in (1000, 100_000))

    assert 0 < short < 60
    assert long < 2.5 * short + 20


def test_a_step_among_many_tenants_does_not_look_at_all_of_them() -> None:
    """One grant among 20 000 lanes touches a handful of entries of the order."""
    queue = queue_of(*(call(f"{number:05}", share=1 + number % 7) for number in range(20_000)))
    order = queue.bands[0].order
    for _ in range(100):
        grant(queue)

    assert len(order) <= 20_000
    assert len(queue.bands[0].lanes) <= 20_000
