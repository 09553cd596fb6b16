"""Who may spend how much of a budget that several share: a ledger of what they say and what they get."""

from __future__ import annotations

from typing import Any

from ratelimit_client.core.lease import TURN_US, BucketId, Call, Fact, Fill, Lease, Renewal, Sight, Wish
from ratelimit_client.core.pool import CAUTIOUS_US, KEPT_US, Store

MINUTE, TTL, SECOND = 60_000_000, 3_000_000, 1_000_000
ID = BucketId("requests", "requests", MINUTE)
SLICE = BucketId("requests", "requests", MINUTE, True)


def fact(limit: int = 60, *, level: int | None = None, id: BucketId = ID, **of: Any) -> Fact:
    return Fact(**{"id": id, "limit": limit, "capacity": limit, "level": limit if level is None else level, **of})


class Ledger:
    """Processes that speak in turn; each says what it spent and keeps what it was lent, unless told otherwise."""

    def __init__(self) -> None:
        self.store = Store()
        self.numbers: dict[str, int] = {}
        self.fences: dict[str, tuple[int, int]] = {}
        self.spent: dict[str, int] = {}
        self.held: dict[str, int] = {}

    def say(
        self,
        process: str,
        at_s: float,
        *,
        wants: int = 0,
        spends: int = 0,
        keeps: int | None = None,
        facts: tuple[Fact, ...] = (),
        again: bool = False,
        **of: Any,
    ) -> Lease:
        number = self.numbers[process] = self.numbers.get(process, 0) + (not again)
        spent = self.spent[process] = self.spent.get(process, 0) + spends
        held = max(0, self.held.get(process, 0) - spends) if keeps is None else keeps
        fence, born_us = self.fences.get(process, (0, 0))
        wish = Wish(unit="requests", spent=spent, keeps=held, wants=wants, **of.pop("wish", {}))
        renewal = Renewal(
            budget="b",
            fence=of.pop("fence", fence),
            born_us=of.pop("born_us", born_us),
            facts=facts,
            wishes=of.pop("wishes", (wish,)),
            **of,
        )
        call = Call(process=process, number=number, ttl_us=TTL, renewals=(renewal,))
        (lease,) = self.store.renew(call, now_us=1_000 * SECOND + int(at_s * SECOND))
        self.fences[process] = lease.fence, lease.born_us
        if lease.grants:
            self.held[process] = held + lease.grants[0].units
        return lease

    @property
    def level(self) -> int:
        return self.store.pools["b"].buckets[ID].level


def units(lease: Lease) -> int:
    return lease.grants[0].units


def test_what_one_was_lent_the_other_cannot_have() -> None:
    """And what flows in afterwards, anybody can."""
    ledger = Ledger()
    assert units(ledger.say("a", 0, wants=50, facts=(fact(),))) == 50
    assert units(ledger.say("b", 0, wants=50)) == 10
    ledger.say("a", 0, spends=50)
    assert units(ledger.say("b", 2, wants=50)) == 2


def test_a_bucket_fills_no_further_than_what_is_out_leaves_room_for() -> None:
    """Forty are out and unspent: in ten minutes twenty come, not sixty."""
    ledger = Ledger()
    ledger.say("a", 0, wants=40, facts=(fact(),))
    for at_s in range(1, 600, 2):
        ledger.say("a", at_s, wants=40)
    assert (ledger.held["a"], ledger.level) == (40, 20)


def test_what_is_given_up_can_be_lent_again() -> None:
    """Forty were lent, one is kept."""
    ledger = Ledger()
    ledger.say("a", 0, wants=40, facts=(fact(),))
    ledger.say("a", 0, wants=1, keeps=1)
    assert units(ledger.say("b", 0, wants=100)) == 59


def test_what_a_silent_one_holds_is_spent_until_it_says_otherwise() -> None:
    """Its lease ends, and nobody gets it; it comes back and says that it spent five."""
    ledger = Ledger()
    ledger.say("a", 0, wants=40, facts=(fact(),))
    ledger.say("b", 1, wants=1)
    ledger.say("b", 3, wants=1)
    assert units(ledger.say("b", 4, wants=100)) <= 25
    before = ledger.level
    lease = ledger.say("a", 5, spends=5)
    assert lease.fence == 3
    assert ledger.level == before + 35 + 1


def test_after_ten_minutes_a_silent_one_is_forgotten() -> None:
    """It comes back as somebody new, whose past nobody knows."""
    ledger = Ledger()
    ledger.say("a", 0, wants=40, facts=(fact(),))
    ledger.say("b", KEPT_US / SECOND + TTL / SECOND)
    assert set(ledger.store.pools["b"].members) == {"b"}
    ledger.say("a", KEPT_US / SECOND + 4, spends=1_000)
    assert ledger.level == 60


def test_who_spent_beyond_its_lease_leaves_a_debt_of_one_bucket_at_most() -> None:
    """As everywhere."""
    ledger = Ledger()
    ledger.say("a", 0, facts=(fact(),))
    ledger.say("a", 0, spends=70)
    assert ledger.level == -10
    ledger.say("a", 0, spends=1_000)
    assert ledger.level == -60


def test_the_same_call_twice_lends_once() -> None:
    """A driver that tried again, and an older call that came after a newer one."""
    ledger = Ledger()
    ledger.say("a", 0, wants=10, facts=(fact(),))
    first = ledger.say("a", 0, wants=30, keeps=10)
    ledger.held["a"] = 10
    again = ledger.say("a", 0, wants=30, keeps=10, again=True)
    assert (units(first), units(again), ledger.level) == (20, 20, 30)
    unknown = ledger.say("a", 0, wishes=(Wish(unit="tokens", spent=0, keeps=3),), again=True)
    assert (unknown.grants[0].units, unknown.grants[0].fair) == (0, 3)


def test_who_leaves_gives_everything_back_and_is_nobody() -> None:
    """Its turn is over, too."""
    ledger = Ledger()
    ledger.say("a", 0, wants=40, facts=(fact(),))
    lease = ledger.say("a", 0, spends=4, keeps=0, leaves=True)
    assert (ledger.level, lease.members, lease.grants, lease.turn_us) == (56, 0, (), TURN_US)


def test_an_old_fence_holds_nothing() -> None:
    """What it says it keeps is not believed, and comes back."""
    ledger = Ledger()
    ledger.say("a", 0, wants=40, facts=(fact(),))
    ledger.say("a", 0, fence=7, keeps=40)
    assert ledger.level == 60


def test_a_member_with_a_unit_it_never_spoke_of() -> None:
    """It begins at what it says it spent; of what nobody knows a limit nothing is lent."""
    ledger = Ledger()
    ledger.say("a", 0, wants=5, facts=(fact(),))
    lease = ledger.say("a", 0, wishes=(Wish(unit="tokens", spent=500, wants=9),))
    assert (units(lease), lease.grants[0].fair) == (0, 0)


def test_turns_are_evenly_apart_in_the_stores_time() -> None:
    """Each of four comes a quarter of a second after the one before, whenever it came first."""
    ledger = Ledger()
    for process in "abcd":
        ledger.say(process, 0.3)
    turns = {process: ledger.say(process, 0.3).turn_us for process in "abcd"}
    at_us = {process: (300_000 + turn_us) % TURN_US for process, turn_us in turns.items()}
    assert at_us == {"a": 0, "b": 250_000, "c": 500_000, "d": 750_000}
    assert all(TURN_US // 2 <= turn_us < TURN_US * 3 // 2 for turn_us in turns.values())


def test_windows_step() -> None:
    """What is left of one does not come into the next, and nothing comes in between."""
    ledger = Ledger()
    ledger.say("a", 0, wants=60, facts=(fact(fill=Fill.STEPS, steps_in_us=30 * SECOND),))
    ledger.say("a", 0, spends=60)
    for at_s in range(1, 30, 2):
        assert units(ledger.say("b", at_s, wants=10)) == 0
    assert units(ledger.say("b", 30, wants=10)) == 10
    for at_s in range(31, 90, 2):
        ledger.say("b", at_s, wants=10)
    assert ledger.store.pools["b"].buckets[ID].steps_us == 1_000 * SECOND + 90 * SECOND


def test_a_window_of_which_nobody_knows_when_it_steps_steps_a_window_after_its_first_use() -> None:
    """Nothing is spent of it before."""
    ledger = Ledger()
    ledger.say("a", 0, facts=(fact(fill=Fill.STEPS),))
    assert ledger.store.pools["b"].buckets[ID].steps_us == 0
    ledger.say("a", 5, wants=60)
    assert ledger.store.pools["b"].buckets[ID].steps_us == 1_000 * SECOND + 65 * SECOND


def test_news_changes_a_limit_and_what_is_no_news_does_not() -> None:
    """A larger bucket does not start fuller, a smaller one loses what does not fit."""
    ledger = Ledger()
    ledger.say("a", 0, facts=(fact(level=20),))
    ledger.say("b", 0, facts=(fact(600),))
    assert ledger.store.pools["b"].buckets[ID].limit == 60
    ledger.say("b", 0, facts=(fact(600, news=True),))
    assert (ledger.store.pools["b"].buckets[ID].limit, ledger.level) == (600, 20)
    ledger.say("b", 0, facts=(fact(10, news=True, steps_in_us=5, fill=Fill.STEPS),))
    assert (ledger.level, ledger.store.pools["b"].buckets[ID].steps_us) == (10, 1_000 * SECOND + 5)


def test_a_slice_that_is_learnt_binds_and_one_that_is_none_any_more_does_not() -> None:
    """Half of what is written down as out has emptied it."""
    ledger = Ledger()
    ledger.say("a", 0, wants=20, facts=(fact(),))
    ledger.say("a", 0, wants=20, facts=(fact(12, level=0, id=SLICE, fill=Fill.SLICE, news=True),))
    assert ledger.store.pools["b"].buckets[SLICE].level == -10
    assert units(ledger.say("b", 0, wants=20)) == 0
    ledger.say("a", 0, wants=20, facts=(fact(1, id=SLICE, capacity=0, news=True),))
    assert SLICE not in ledger.store.pools["b"].buckets
    ledger.say("a", 0, wants=20, facts=(fact(1, id=SLICE, capacity=0, news=True),))
    assert units(ledger.say("b", 0, wants=20)) == 20


def test_a_reading_raises_a_level_that_is_surely_too_low_and_lowers_one_that_is_surely_too_high() -> None:
    """Between the two the account knows better; and older news than was used is none."""
    ledger = Ledger()
    ledger.say("a", 0, facts=(fact(level=10),))

    def sight(remaining: int, sent_s: float, marks: tuple[int, int] = (0, 0), id: BucketId = ID) -> tuple[Sight, ...]:
        us = int(sent_s * SECOND)
        return (Sight(id=id, remaining=remaining, sent_us=us, seen_us=us, marks=marks),)

    ledger.say("a", 0, sights=sight(30, 1.0))
    assert ledger.level == 31
    ledger.say("a", 0, sights=sight(5, 2.0))
    assert ledger.level == 31
    ledger.say("a", 0, sights=sight(5, 0.5))
    assert ledger.level == 5
    ledger.say("a", 0, sights=sight(20, 0.1, marks=(0, 16)))
    assert ledger.level == 5
    ledger.say("a", 0, sights=sight(20, 0.0, id=SLICE))
    assert ledger.level == 5


def test_a_reading_of_a_window_has_no_refill_since() -> None:
    """What is left is left until it steps."""
    ledger = Ledger()
    ledger.say("a", 0, facts=(fact(level=1, fill=Fill.STEPS, steps_in_us=30 * SECOND),))
    sight = Sight(id=ID, remaining=20, sent_us=9 * SECOND, seen_us=9 * SECOND, marks=(0, 0))
    ledger.say("a", 0, sights=(sight,))
    assert ledger.level == 20


def test_what_one_process_believes_is_there_at_most_is_there_at_most() -> None:
    """It saw a refusal, say."""
    ledger = Ledger()
    ledger.say("a", 0, facts=(fact(),))
    ledger.say("b", 0, facts=(fact(level=7),))
    assert ledger.level == 7
    ledger.say("b", 0, facts=(fact(level=-1_000),))
    assert ledger.level == -60


def test_a_store_that_lost_its_memory_takes_every_level_for_nothing_once() -> None:
    """Of buckets that are there, and of those that come; what the processes hold stands."""
    ledger = Ledger()
    for process in "ab":
        ledger.say(process, 0, wants=20, facts=(fact(),))
    ledger.store.pools.clear()
    ledger.say("new", 10, wants=50, facts=(fact(),))
    assert ledger.level == 10
    lease = ledger.say("a", 10, wants=20, keeps=20)
    assert (ledger.level, units(lease), ledger.store.pools["b"].out("requests", 1_010 * SECOND)) == (-10, 0, 70)
    ledger.say("new", 12, spends=50)
    ledger.say("b", 12, keeps=20)
    assert ledger.level == -10
    day = BucketId("requests", "requests", 1440 * MINUTE)
    ledger.say("a", 12, facts=(fact(1_000, id=day),))
    assert ledger.store.pools["b"].buckets[day].level <= 0


def test_after_all_had_gone_silent_only_the_rate_is_lent_for_a_while() -> None:
    """Each of them tells what it spent meanwhile; then the level is right again."""
    ledger = Ledger()
    for process in "ab":
        ledger.say(process, 0, wants=1, facts=(fact(600),))
    assert units(ledger.say("a", 20, wants=300)) == 5
    ledger.say("b", 20, spends=100)
    ledger.say("b", 22)
    assert units(ledger.say("a", 20 + CAUTIOUS_US / SECOND, wants=300, spends=6)) > 200


def test_a_call_that_waits_is_saved_for() -> None:
    """All that comes in, where it is no more than its share; half, where it is more; and only while it waits."""
    ledger = Ledger()
    ledger.say("a", 0, wants=60, facts=(fact(level=0),))
    heavy = {"needs": 40, "waits_us": SECOND}
    ledger.say("b", 0, wants=60, wish=heavy)
    assert units(ledger.say("a", 2, wants=60)) == 1
    assert units(ledger.say("b", 2, wants=60, wish=heavy)) == 1
    assert ledger.store.pools["b"].saved["requests"] == 0
    other = {"needs": 50, "waits_us": 0}
    lease = ledger.say("a", 2.5, wants=60, wish=other)
    assert (units(lease), lease.grants[0].fair) == (0, 0)
    ledger.say("b", 2.5, wants=0)
    ledger.say("a", 2.5, wants=0)
    assert ledger.store.pools["b"].saved["requests"] == 0


def test_a_small_call_that_waits_gets_all_that_comes() -> None:
    """One by one, the one that has waited longest first; of those that waited alike the first by name."""
    ledger = Ledger()
    ledger.say("a", 0, wants=60, facts=(fact(6, level=0),))
    for process, waits_us in (("b", 5 * SECOND), ("c", 9 * SECOND), ("d", 9 * SECOND)):
        ledger.say(process, 0, wants=1, wish={"needs": 1, "waits_us": waits_us})
    assert units(ledger.say("a", 2.5, wants=60)) == 0
    for at_s in (2.5, 5, 7.5):
        for process in "abcd":
            ledger.say(process, at_s, wants=1, wish={"needs": 1, "waits_us": int(at_s * SECOND)})
    ledger.say("a", 10, wants=60)
    assert units(ledger.say("c", 10, wants=1, wish={"needs": 1, "waits_us": 19 * SECOND})) == 1


def test_plenty_is_told() -> None:
    """As long as half of everything stays and nobody wants more than there is."""
    ledger = Ledger()
    assert ledger.say("a", 0, wants=20, facts=(fact(),)).grants[0].at_once
    assert not ledger.say("b", 0, wants=20).grants[0].at_once
