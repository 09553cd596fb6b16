"""Days of several limiters that share their budgets, under the eyes of every checker."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from ratelimit_client.core.keeper import Keeper
from ratelimit_client.core.lease import Call
from tests.simulation.check import Broken, Check
from tests.simulation.checks import NobodyHoldsAnythingAtLast, NoCallSeesTheStore, TogetherWithinTheBudget
from tests.simulation.day import Day
from tests.simulation.days import FIRST, live_shared
from tests.simulation.stores import draw_shared
from tests.simulation.watching import Watched
from tests.sizes import SCALE

BLOCKS = 5
DAYS = 15 * SCALE if SCALE <= 10 else 150 * SCALE
MOST_DAYS = 40


@pytest.mark.parametrize("number", range(BLOCKS))
def test_whatever_befalls_the_store_no_invariant_breaks(number: int) -> None:
    """It is slow, gone, forgetful, of another time; questions and answers are lost or come twice; calls go on."""
    ends: Counter[str] = Counter()
    for seed in range(FIRST + number, FIRST + DAYS, BLOCKS):
        ends.update(record.how for record in live_shared(seed).records.values())
    assert ends["answered"] > ends.total() // 4


def test_a_shared_day_is_drawn_from_its_seed() -> None:
    """Twice the same, to the last nanosecond; and the store is asked."""
    one, other = (Day(draw_shared(FIRST + 3)).run() for _ in range(2))
    assert one.digest == other.digest
    assert one.store is not None
    assert one.store.calls > 0


# -- schedulers that do one thing wrong -----------------------------------------------------


class SpendsWhatOthersHold(Watched):
    """Each takes the whole budget for its own."""

    def let_out(self, state: Any, ticket: Any, waited: bool, now_ns: int) -> None:
        super().let_out(state, ticket, waited, now_ns)
        for leased in self.keeper.leases.values():  # type: ignore[attr-defined]
            for held in leased.units.values():
                held.purse.credits = held.purse.brim


class Staying(Keeper):
    """It says nothing when it is to leave."""

    __slots__ = ()

    def ask(self, *, leaves: bool = False, now_ns: int) -> Call | None:
        return None if leaves else super().ask(now_ns=now_ns)


class KeepsWhatItHolds(Watched):
    """It never leaves."""

    def let_out(self, state: Any, ticket: Any, waited: bool, now_ns: int) -> None:
        super().let_out(state, ticket, waited, now_ns)
        self.keeper.__class__ = Staying  # type: ignore[attr-defined]


WRONG: dict[type[Watched], type[Check]] = {
    SpendsWhatOthersHold: TogetherWithinTheBudget,
    KeepsWhatItHolds: NobodyHoldsAnythingAtLast,
}


@pytest.mark.parametrize(("kind", "law"), WRONG.items(), ids=lambda each: each.__name__)
def test_one_mistake_is_found_by_the_law_it_breaks(kind: type[Watched], law: type[Check]) -> None:
    """Within forty days, also when nobody else looks."""
    with pytest.raises(Broken, match=law.__name__):
        for seed in range(MOST_DAYS):
            Day(draw_shared(seed), kind=kind, checks=(law,)).run()


class AsksTooOften(NoCallSeesTheStore):
    """What was asked, a hundred times over."""

    def rests(self) -> None:
        assert self.day.store is not None
        self.day.store.calls *= 10**6
        super().rests()


def test_a_limiter_that_asks_too_often_is_found() -> None:
    """It is no scheduler, so what the store counted is changed on its way to the checker."""
    with pytest.raises(Broken, match="AsksTooOften"):
        Day(draw_shared(1), checks=(AsksTooOften,)).run()
