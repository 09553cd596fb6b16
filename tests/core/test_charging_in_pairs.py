"""Charging at once is looking and charging: two budgets live through the same, and end with the same books."""

from __future__ import annotations

import copy
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from ratelimit_client.core.bucket import Bucket
from ratelimit_client.core.budget import Budget, shared_buckets
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.hints import Hint
from ratelimit_client.core.profile import Refill, ServerProfile
from ratelimit_client.core.quota import Quota, per_day, per_minute
from ratelimit_client.core.signals import Reading, Signals
from ratelimit_client.core.ticket import Ticket
from ratelimit_client.core.units import NS as S
from tests.core.charging import Key
from tests.core.driving import GENERIC, OPENAI
from tests.sizes import SCALE

WINDOWS = attrs.evolve(GENERIC, refill=Refill.WINDOW)
SOME = st.integers(0, 60)
UNITS = st.sampled_from(["requests", "tokens"])
JITTERS = st.sampled_from([0, S // 10, 20 * S])


@attrs.define
class Books:
    """One budget, and how much of it anybody could ever see."""

    key: Key
    shared: list[Bucket]

    @classmethod
    def of(cls, profile: ServerProfile, quotas: list[Quota], over_all: list[Quota]) -> Books:
        shared = shared_buckets(over_all, now_ns=0)
        budget = Budget(profile, shared)
        budget.set_quotas(quotas, now_ns=0)
        return cls(Key(budget), shared)

    @property
    def buckets(self) -> list[Bucket]:
        return [bucket for _, paid in sorted(self.key.budget.by_unit.items()) for bucket in paid]

    def levels(self, now_ns: int) -> list[tuple[int, int]]:
        """(credits, instant of them) as they would be then; nobody has looked yet."""
        looked_at = [copy.copy(bucket) for bucket in self.buckets]
        for bucket in looked_at:
            bucket.refresh(now_ns=now_ns)
        return [(bucket.credits, bucket.as_of_ns) for bucket in looked_at]

    def debits(self) -> Any:
        """Every total, what has arrived, the parts that are on their way, and the moments that may be peaks."""
        debits = self.key.budget.debits
        tills = {unit: (till.total, till.arrived) for unit, till in debits.tills.items()}
        return tills, debits.closes_ns, debits.last_ns, debits.busy_since_ns, debits.busy_from, list(debits._recent)

    def peaks(self) -> list[tuple[list[int], list[int]]]:
        return [(bucket.peaks._at.copy(), bucket.peaks._g.copy()) for bucket in self.buckets]

    def look_as(self, other: Books, now_ns: int) -> None:
        """Time may have been looked at, and that a bucket may be full just now may be noted; both are always true."""
        for mine, theirs in zip(self.buckets, other.buckets, strict=True):
            if theirs.as_of_ns > mine.as_of_ns:
                mine.refresh(now_ns=now_ns)
            mine.peaks._at[:], mine.peaks._g[:] = theirs.peaks._at, theirs.peaks._g

    def ask(self, cost: Cost, now_ns: int) -> Ticket:
        self.key.order += 1
        ticket = Ticket(self.key.order, "m", "", 0, cost, None, None, now_ns)
        ticket.order, ticket.granted_ns = self.key.order, now_ns
        return ticket

    def step(self, step: tuple[Any, ...], now_ns: int) -> None:
        """Anything else that may happen to a budget."""
        match step:
            case "pay", requests, tokens, jitter_ns:  # also what is not there: debt
                self.key.charge(requests, tokens=tokens, now_ns=now_ns, jitter_ns=jitter_ns)
            case "return", requests, tokens, jitter_ns:
                ticket = self.key.charge(requests, tokens=tokens, now_ns=now_ns, jitter_ns=jitter_ns)
                self.key.budget.give_back(ticket, now_ns=now_ns)
            case "read", unit, limit, remaining, reset_s:
                reading = Reading(limit=limit, remaining=min(limit, remaining), reset_s=reset_s)
                self.key.budget.read(
                    self.ask(Cost(), now_ns) if remaining % 2 else self.key.charge(tokens=1, now_ns=now_ns),
                    Signals(200, readings={unit: reading}),
                    refused=False,
                    jitter_ns=0,
                    now_ns=now_ns,
                )
            case "gate", which, at_least, for_s:
                bucket = self.buckets[which % len(self.buckets)]
                bucket.close(Hint(now_ns + for_s * S, at_least), now_ns=now_ns)
            case "hold", which, amount:
                self.buckets[which % len(self.buckets)].hold_for(self, amount, now_ns=now_ns)
            case "let go", which, _:
                self.buckets[which % len(self.buckets)].drop_hold(self)
            case "reserve", which, spends:
                self.buckets[which % len(self.buckets)].spends_reserve = spends


STEPS = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([0, 1, S // 3, S, 7 * S, 61 * S, -S])),
    st.tuples(st.just("try"), SOME, SOME, JITTERS),
    st.tuples(st.just("try"), st.just(1), st.integers(0, 3), JITTERS),
    st.tuples(st.sampled_from(["pay", "return"]), SOME, SOME, JITTERS),
    st.tuples(st.just("read"), UNITS, st.integers(1, 120), st.integers(0, 120), st.none() | st.integers(0, 90)),
    st.tuples(st.just("gate"), SOME, st.sampled_from([0, 1, 30]), st.integers(0, 5)),
    st.tuples(st.sampled_from(["hold", "let go"]), SOME, SOME),
    st.tuples(st.just("reserve"), SOME, st.booleans()),
)
QUOTAS = st.sampled_from(
    [
        [],
        [*per_minute(requests=60)],
        [*per_minute(requests=60, tokens=100)],
        [*per_minute(requests=60, tokens=100), *per_day(requests=300, tokens=200)],
    ]
)


@settings(max_examples=200 * SCALE)  # two seconds: the odd case is one in some hundreds
@given(
    st.sampled_from([OPENAI, GENERIC, WINDOWS]),
    QUOTAS,
    st.sampled_from([[], [*per_minute(requests=40)], [*per_minute(tokens=50), *per_day(tokens=400)]]),
    st.lists(STEPS, min_size=4, max_size=30),
)
def test_charged_at_once_and_charged_after_a_look_leave_equal_books(
    profile: ServerProfile, quotas: list[Quota], over_all: list[Quota], steps: list[tuple[Any, ...]]
) -> None:
    """
    A yes is a yes of the closer look, too, and both charge alike; a no has charged nothing.

    Several windows of a unit, quotas over all keys, debt, gates, holds, limits that readings change, and a clock
    that stands or steps back.
    """
    one, two = (Books.of(profile, quotas, over_all) for _ in range(2))
    now_ns = 0
    for step in steps:
        if step[0] == "wait":
            now_ns = max(0, now_ns + step[1])
        elif step[0] != "try":
            for books in (one, two):
                if books.buckets or step[0] in {"pay", "return", "read"}:
                    books.step(step, now_ns)
        else:
            _, requests, tokens, jitter_ns = step
            mine, theirs = (books.ask(Cost(requests, tokens=tokens), now_ns) for books in (one, two))
            if one.key.budget.charge_at_once(mine, jitter_ns, now_ns):
                assert two.key.budget.ready_at_ns(theirs, now_ns=now_ns) == now_ns
                two.key.budget.charge(theirs, jitter_ns=jitter_ns, now_ns=now_ns)
                assert one.peaks() == two.peaks()
            elif now_ns >= two.key.budget.debits.closes_ns:  # which time alone would do
                two.key.budget.debits.begin_part(jitter_ns=jitter_ns, now_ns=now_ns)
            two.look_as(one, now_ns)
            assert (list(mine.marks), mine.levels) == (list(theirs.marks), theirs.levels)
            assert {unit: len(paid) for unit, paid in mine.paid.items()} == {
                unit: len(paid) for unit, paid in theirs.paid.items()
            }
        for unit in ("requests", "tokens"):
            one.key.budget.debits.till(unit)
            two.key.budget.debits.till(unit)
        assert one.levels(now_ns) == two.levels(now_ns)
        assert one.debits() == two.debits()
    assert one.levels(now_ns + 30 * S) == two.levels(now_ns + 30 * S)
    assert one.levels(now_ns + 86_400 * S) == two.levels(now_ns + 86_400 * S)
