"""The checkers themselves: a library that does one thing wrong is found out, by the checker whose law it breaks."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from ratelimit_client.core.retry import RetryAt, Setback
from ratelimit_client.core.ticket import State
from ratelimit_client.testing import Deadlock
from tests.simulation.check import Broken, Check
from tests.simulation.checks import (
    AsksOnce,
    EverySlotOnce,
    FirstComeFirstServed,
    HeadersAreHarmless,
    InTime,
    NoOverAdmission,
    NotBeforeItMay,
    NotTooOften,
    OldNewsRaisesNothing,
    OnlyProbes,
    OthersWaitAsWell,
    SaysHowOften,
    Shown,
    WhatWasNotSentComesBack,
)
from tests.simulation.day import Day
from tests.simulation.drawing import draw
from tests.simulation.watching import Watched

MOST_DAYS = 60


class TakesNothing(Watched):
    """Every other grant is not charged, though it is counted."""

    def grant(self, state: Any, ticket: Any, now_ns: int, *, waited: bool) -> None:
        super().grant(state, ticket, now_ns, waited=waited)
        if self.order % 2:
            for unit, amount, _, _ in ticket.marks:
                for bucket in ticket.paid.get(unit, ()):
                    bucket.give_back(amount, now_ns=now_ns)


class GivesBackTwice(Watched):
    """What was not sent comes back two times."""

    def unsent(self, ticket: Any, *, now_ns: int) -> None:
        marks, paid = ticket.marks, ticket.paid
        super().unsent(ticket, now_ns=now_ns)
        if not ticket.marks:
            for unit, amount, _, _ in marks:
                for bucket in paid.get(unit, ()):
                    bucket.give_back(amount, now_ns=now_ns)
            self.ears.withdrawn(self, ticket, {}, now_ns)


class KeepsWhatWasNotSent(Watched):
    """A charge stays although nothing was written."""

    def unsent(self, ticket: Any, *, now_ns: int) -> None:
        if ticket.state is State.GRANTED and ticket.marks:
            self.ears.withdrawn(self, ticket, {id(each): 0 for paid in ticket.paid.values() for each in paid}, now_ns)
            ticket.unpay()


class LosesASlot(Watched):
    """A call that is cancelled at its grant keeps its place."""

    def cancel(self, ticket: Any, *, now_ns: int) -> None:
        if ticket.state is State.GRANTED:
            self.unsent(ticket, now_ns=now_ns)
            ticket.state = State.ENDED
        else:
            super().cancel(ticket, now_ns=now_ns)


class ForgetsToLook(Watched):
    """Nobody is told that time will let somebody go."""

    def next_wakeup(self) -> int | None:
        return None


class ServesTheLastFirst(Watched):
    """Whoever came last is let out first."""

    def enter(self, ticket: Any, waits: bool, now_ns: int) -> bool:
        granted = super().enter(ticket, waits, now_ns)
        if not granted:
            for band in self.keys[ticket.key].queue.bands.values():
                for lane in band.lanes.values():
                    for line in lane.lines.values():
                        block = line.blocks[0]
                        block[line.gone :] = block[line.gone :][::-1]
        return granted


class AsksTwice(Watched):
    """A call gives up its turn and stands in line once more."""

    def enter(self, ticket: Any, waits: bool, now_ns: int) -> bool:
        super().enter(ticket, waits, now_ns)
        self.cancel(ticket, now_ns=now_ns)
        ticket.state = State.QUEUED
        return super().enter(ticket, waits, now_ns)


class LetsDeadlinesPass(Watched):
    """A deadline is for others."""

    def enter(self, ticket: Any, waits: bool, now_ns: int) -> bool:
        ticket.deadline_ns = None
        return super().enter(ticket, waits, now_ns)


class CannotWait(Watched):
    """Whatever the server asked for, the next attempt goes at once."""

    def decide(self, *asked: Any, now_ns: int) -> Any:
        verdict = super().decide(*asked, now_ns=now_ns)
        return attrs.evolve(verdict, not_before_ns=now_ns) if isinstance(verdict, RetryAt) else verdict


class KeepsTheWaitToItself(Watched):
    """What a refusal asks to wait holds for the refused call alone."""

    def observe(self, ticket: Any, signals: Any, *, now_ns: int) -> None:
        super().observe(ticket, signals, now_ns=now_ns)
        state = self.keys[ticket.key]
        state.gate_ns = 0
        for line in state.budget.all_lines:
            line.bucket.gate_ns = 0


class NeverGivesUp(Watched):
    """One more attempt, always."""

    def decide(self, ticket: Any, outcome: Any, history: Any, policy: Any, *, now_ns: int) -> Any:
        super().decide(ticket, outcome, history, policy, now_ns=now_ns)
        verdict = RetryAt(now_ns + 10**9, Setback.FAILURE)
        self.ears.judged(self, ticket, outcome, policy, verdict, now_ns)
        return verdict


class AsksADeadServer(Watched):
    """An outage is nothing to wait for."""

    def failed(self, ticket: Any, failure: Any, *, now_ns: int) -> None:
        super().failed(ticket, failure, now_ns=now_ns)
        self.keys[ticket.key].breaker.since_ns = None

    def observe(self, ticket: Any, signals: Any, *, now_ns: int) -> None:
        super().observe(ticket, signals, now_ns=now_ns)
        self.keys[ticket.key].breaker.since_ns = None


class BelievesEverything(Watched):
    """A header may raise what was typed."""

    def observe(self, ticket: Any, signals: Any, *, now_ns: int) -> None:
        super().observe(ticket, signals, now_ns=now_ns)
        for line in self.keys[ticket.key].budget.all_lines:
            line.bucket.limit *= 2


class BelievesOldNews(Watched):
    """An answer to an older call raises a level."""

    def observe(self, ticket: Any, signals: Any, *, now_ns: int) -> None:
        for line in self.keys[ticket.key].budget.all_lines:
            line.series.last_order = min(line.series.last_order, ticket.order - 1)
        super().observe(ticket, signals, now_ns=now_ns)


class SettlesTenfold(Watched):
    """What was used counts ten times."""

    def settle(self, ticket: Any, used: Any, *, now_ns: int) -> None:
        super().settle(ticket, used, now_ns=now_ns)
        before = {id(b): b.credits for paid in ticket.paid.values() for b in paid}
        for paid in ticket.paid.values():
            for bucket in paid:
                bucket.credits -= 10 * 10**6 * bucket.window_ns
        moved = dict.fromkeys(before, -10 * 10**6 * 60 * 10**9)
        self.ears.settled(self, ticket, dict.fromkeys(used, 0), moved, now_ns)


class CountsRetriesOnce(Watched):
    """A call that goes again counts as one turn."""

    def requeue(self, ticket: Any, *, not_before_ns: int, now_ns: int) -> None:
        super().requeue(ticket, not_before_ns=not_before_ns, now_ns=now_ns)
        assert self.counts is not None
        self.counts.turns -= 1


WRONG: dict[type[Watched], type[Check] | None] = {
    TakesNothing: NoOverAdmission,
    GivesBackTwice: WhatWasNotSentComesBack,
    KeepsWhatWasNotSent: WhatWasNotSentComesBack,
    LosesASlot: EverySlotOnce,
    ForgetsToLook: None,  # no checker: the loop has nothing left to do
    ServesTheLastFirst: FirstComeFirstServed,
    AsksTwice: AsksOnce,
    LetsDeadlinesPass: InTime,
    CannotWait: NotBeforeItMay,
    KeepsTheWaitToItself: OthersWaitAsWell,
    NeverGivesUp: NotTooOften,
    AsksADeadServer: OnlyProbes,
    BelievesEverything: HeadersAreHarmless,
    BelievesOldNews: OldNewsRaisesNothing,
    SettlesTenfold: WhatWasNotSentComesBack,
    CountsRetriesOnce: Shown,
}


def days_until_found(kind: type[Watched], law: type[Check] | None) -> int:
    """How many days it takes a checker that is alone."""
    for seed in range(MOST_DAYS):
        try:
            Day(draw(seed), kind=kind, checks=() if law is None else (law,)).run()
        except (Broken, Deadlock) as error:
            if law is None or law.__name__ in str(error):
                return seed + 1
            raise
    raise AssertionError(f"{MOST_DAYS} days went by and nobody noticed")


@pytest.mark.parametrize(("kind", "law"), WRONG.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_one_mistake_is_found_by_the_law_it_breaks(kind: type[Watched], law: type[Check] | None) -> None:
    """Within sixty days, also when nobody else looks."""
    assert days_until_found(kind, law) <= MOST_DAYS


class CountsOneLess(SaysHowOften):
    """What a proxy says, and one less."""

    def ended(self, record: Any) -> None:
        if record.attempts:
            record.attempts -= 1
        super().ended(record)


def test_a_proxy_that_forgets_an_attempt_is_found() -> None:
    """Within sixty days; it is no scheduler, so what it says is changed on its way to the checker."""
    with pytest.raises(Broken, match="CountsOneLess"):
        for seed in range(MOST_DAYS):
            Day(draw(seed), checks=(CountsOneLess,)).run()
