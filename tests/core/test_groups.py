"""Keys whose calls count together, because a refusal said so."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.estimate import Features
from ratelimit_client.core.keystate import KeyState
from ratelimit_client.core.quota import Quota, per_minute
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.ticket import Patience, State, Ticket
from ratelimit_client.core.units import NS as S
from ratelimit_client.errors import Throttled
from tests.core.driving import OPENAI, Drive, scheduler

GROUPS = attrs.evolve(OPENAI, groups_share=True)


def drive_of(*quotas: Quota, slots: int = 4, **how: Any) -> Drive:
    return Drive(scheduler(quotas, slots=slots, profile=how.pop("profile", GROUPS), **how), hold=True)


def state_of(drive: Drive, key: str) -> KeyState:
    return drive.machine.keys[key]


def level(drive: Drive, key: str, unit: str = "requests") -> int:
    return state_of(drive, key).budget.by_unit[unit][0].level(now_ns=drive.now_ns)


def shows(left: int, *, limit: int = 600, unit: str = "requests") -> dict[str, Reading]:
    return {unit: Reading(limit, left, window_s=60.0)}


def refusal(group: str | None, left: int = 0, **how: Any) -> Signals:
    readings = how.pop("readings", shows(left))
    return Signals(429, Reason.RATE_LIMITED, True, unit="requests", readings=readings, limit_group=group, **how)


def refused(drive: Drive, key: str, group: str | None, left: int = 0, **how: Any) -> None:
    """One call of *key*, which is refused in the name of *group*."""
    drive.end(drive.ask(key), refusal(group, left, **how), Ending.IGNORED)


def together(drive: Drive, left: int = 0) -> None:
    """The keys a and b, found to be one group."""
    refused(drive, "a", "ab", left)
    refused(drive, "b", "ab", left)


def test_keys_whose_refusals_name_one_group_share_a_budget() -> None:
    """Before, each had a level of its own; after, the lower one is both's, and what one pays the other misses."""
    drive = drive_of()
    refused(drive, "a", "ab")
    drive.to(20)
    assert level(drive, "a") == 200
    refused(drive, "b", "ab")

    assert state_of(drive, "a").budget is state_of(drive, "b").budget
    assert (state_of(drive, "a").kin, state_of(drive, "b").kin) == ((state_of(drive, "b"),), (state_of(drive, "a"),))
    assert level(drive, "a") == level(drive, "b") == 0
    drive.to(30)
    assert level(drive, "a") == 100
    drive.ask("b")
    assert level(drive, "a") == 99


def test_the_key_that_is_called_like_the_group_belongs_to_it() -> None:
    """A dated snapshot is refused for the model's limit; the model itself need not be refused first."""
    drive = drive_of()
    drive.end(drive.ask("gpt-4.1"), Signals(200, readings=shows(500)))
    refused(drive, "gpt-4.1-2025-04-14", "gpt-4.1", 100)

    assert level(drive, "gpt-4.1") <= 100
    refused(drive, "gpt-4.1", "gpt-4.1", 90)
    assert len(drive.machine.groups) == 1


def test_marks_from_before_tell_nothing_and_the_next_call_does() -> None:
    """What was under way when the budgets became one was counted in two ledgers."""
    drive = drive_of(slots=6)
    under_way = drive.ask("a")
    together(drive)
    drive.to(30)
    drive.end(under_way, Signals(200, readings=shows(1)))
    assert level(drive, "b") > 290
    drive.to(31)
    drive.end(drive.ask("a"), Signals(200, readings=shows(100)))

    assert level(drive, "b") == 100
    line = state_of(drive, "b").budget.lines["requests"][0]
    assert line.series.foreign_ppm(now_ns=drive.now_ns) == 0


def test_what_the_caller_typed_holds_for_each_key() -> None:
    """Two teams with a quota each: the group of the server is no reason to let them pay for each other."""
    drive = drive_of(*per_minute(requests=600))
    together(drive, 300)

    assert state_of(drive, "a").budget is not state_of(drive, "b").budget
    assert state_of(drive, "a").kin == ()


def test_a_group_that_is_none_of_keys_joins_nothing() -> None:
    """A resource of GitHub, say; and a refusal that names none."""
    other = drive_of(profile=OPENAI)
    together(other)
    assert other.machine.groups == {}
    drive = drive_of()
    for key in "ab":
        refused(drive, key, None)
    drive.end(drive.ask("c"), Signals(400, Reason.CLIENT_ERROR, False, limit_group="ab"))
    assert drive.machine.groups == {}


def test_a_server_that_makes_up_names_fills_no_memory() -> None:
    """A thousand groups, and no more."""
    drive = drive_of(slots=1)
    for number in range(1010):
        drive.to(number * 100)
        refused(drive, f"m{number}", f"g{number}", 300)
    assert len(drive.machine.groups) == 1000


def test_what_only_one_of_them_knew_comes_along() -> None:
    """A bucket of tokens, a hint that closes it, and a rate that was learnt."""
    drive = drive_of(slots=8)
    refused(drive, "a", "ab", 300)
    drive.end(drive.ask("b"), Signals(429, Reason.RATE_LIMITED, True))
    assert state_of(drive, "b").budget.learner.bucket is not None
    drive.to(10)
    refused(drive, "b", "ab", 300, retry_after_s=50.0)
    drive.end(drive.ask("c"), Signals(200, readings=shows(7_000, limit=10_000, unit="tokens")))
    refused(drive, "c", "ab", 300)
    budget = state_of(drive, "a").budget

    assert state_of(drive, "c").budget is budget
    assert set(budget.lines) == {"requests", "tokens"}
    assert budget.by_unit["requests"][0].gate_ns >= 60 * S
    assert level(drive, "a", "tokens") == 7_000


def test_buckets_of_different_windows_stand_side_by_side() -> None:
    """One knew the minute, the other the day; and the rate that the first had learnt stays the one in force."""
    drive = drive_of(slots=8)
    drive.end(drive.ask("a"), Signals(429, Reason.RATE_LIMITED, True))
    learner = state_of(drive, "a").budget.learner
    drive.to(5)
    drive.end(drive.ask("a"), Signals(429, Reason.RATE_LIMITED, True, limit_group="ab"))
    day = {"requests": Reading(10_000, 9_000, window_s=86_400.0)}
    refused(drive, "b", "ab", readings=day)
    refused(drive, "c", "ab")
    budget = state_of(drive, "c").budget

    assert budget is state_of(drive, "b").budget
    assert budget.learner is learner
    assert sorted(line.bucket.window_ns // S for line in budget.lines["requests"]) == [60, 86_400]


def test_groups_that_share_a_key_are_one() -> None:
    """First a and b, then c and d, then b is refused in the name of the other group: all four pay together."""
    drive = drive_of(slots=8)
    for key, group in [("a", "one"), ("b", "one"), ("c", "two"), ("d", "two")]:
        refused(drive, key, group, 300)
    drive.to(1)
    refused(drive, "b", "two", 300)

    budgets = {id(state.budget) for state in drive.machine.keys.values()}
    assert len(budgets) == 1
    assert len({id(budget) for budget in drive.machine.groups.values()}) == 1
    assert all(len(state.kin) == 3 for state in drive.machine.keys.values())


def test_a_level_that_rises_by_the_answer_to_one_lets_the_other_go() -> None:
    """Nothing was left, and b would wait; the answer to a call of a shows that there is more."""
    drive = drive_of(slots=8)
    together(drive, 0)
    drive.to(1)
    first = drive.ask("a")
    waits = drive.ask("b", requests=300)
    assert waits.state is State.QUEUED
    drive.to(2)
    drive.end(first, Signals(200, readings=shows(599)))
    first = drive.ask("a")
    drive.to(3)
    drive.end(first, Signals(200, readings=shows(598)))

    assert drive.when(waits) is not None
    assert drive.when(waits) <= 3  # type: ignore[operator]


def test_what_one_gives_back_the_other_may_take() -> None:
    """A grant of a was never written; b had waited for what it took."""
    drive = drive_of(slots=8)
    together(drive, 0)
    drive.to(30)
    large = drive.ask("a", requests=280)
    waits = drive.ask("b", requests=200)
    assert waits.state is State.QUEUED
    drive.machine.cancel(large, now_ns=drive.now_ns)
    drive.turn()

    assert drive.when(waits) == 30


def test_small_calls_of_one_do_not_starve_a_large_one_of_the_other() -> None:
    """Half of what flows back is kept for it, though it is alone in its own queue."""
    drive = drive_of(slots=1000)
    together(drive, 0)
    drive.hold = False
    drive.to(1)
    large = drive.ask("a", requests=100)

    def flood(ticket: Ticket) -> None:
        if ticket.key == "b" and drive.now_ns < 100 * S:
            drive.ask("b", polled=False)

    drive.on_grant = flood
    for _ in range(50):
        drive.ask("b", polled=False)
    drive.to(60)

    assert drive.when(large) is not None
    assert drive.when(large) <= 25  # type: ignore[operator]


def test_of_two_keys_a_worse_band_in_the_other_gets_its_tenth() -> None:
    """As in a bucket that the caller shared between them."""
    drive = drive_of(slots=1000)
    together(drive, 0)
    drive.hold = False

    def flood(ticket: Ticket) -> None:
        if ticket.key == "b" and drive.now_ns < 100 * S:
            drive.ask("b", priority=-1, polled=False)

    drive.on_grant = flood
    for _ in range(50):
        drive.ask("b", priority=-1, polled=False)
    worse = [drive.ask("a", priority=1) for _ in range(20)]
    drive.to(60)

    assert sum(drive.when(ticket) is not None for ticket in worse) >= 10


def test_the_reserve_is_kept_while_others_may_need_it() -> None:
    """That a has no more input says nothing of b."""
    drive = drive_of(slots=1000)
    together(drive, 0)
    drive.to(10)
    state = state_of(drive, "a")
    waits = [drive.ask("a", requests=99), drive.ask("a")]
    drive.machine.end_of_input(now_ns=drive.now_ns)
    drive.turn()

    assert waits[1].state is State.QUEUED
    assert not state.spends_reserve()


@pytest.mark.parametrize(("joined", "learns"), [(False, True), (True, False)])
def test_a_level_that_several_pay_into_teaches_no_price(joined: bool, learns: bool) -> None:
    """What a call of the one was charged cannot be told from what the other's was."""
    drive = drive_of(slots=8)
    for key in "ab":
        refused(drive, key, "ab" if joined else None, 300)
    left = 100_000
    for second in range(12):
        drive.to(100.0 * (second + 1))
        left = 100_000 - 300
        both = {**shows(599), **shows(left, limit=100_000, unit="tokens")}
        drive.end(drive.ask("a", features=Features(400)), Signals(200, readings=both))

    assert (state_of(drive, "a").estimator.price(Features(400)) > 200) is learns


def test_quotas_typed_later_part_the_keys() -> None:
    """The caller's word is stronger: each has its own again, no fuller than the common one was."""
    drive = drive_of(slots=8)
    together(drive)
    drive.to(1)
    refused(drive, "c", "ab")
    drive.to(6)
    hour = Quota("requests", 5000, 3600.0)
    drive.machine.set_quotas({"a": [Quota("requests", 1000), hour], "b": [Quota("requests", 2)]}, now_ns=drive.now_ns)

    limits = {key: [bucket.limit for bucket in state_of(drive, key).budget.by_unit["requests"]] for key in "ab"}
    assert limits == {"a": [1000, 5000], "b": [2]}
    assert level(drive, "a") <= 50
    assert [len(state_of(drive, key).kin) for key in "abc"] == [0, 0, 0]
    refused(drive, "a", "ab")
    assert state_of(drive, "a").kin == ()


def test_a_quota_of_one_member_leaves_the_others_together() -> None:
    """And what the caller takes back for all of them changes nothing in a budget without."""
    drive = drive_of(slots=8)
    together(drive)
    refused(drive, "c", "ab")
    drive.machine.set_quotas(per_minute(requests=5, tokens=7), key="b", now_ns=0)
    drive.machine.set_quotas((), key="a", now_ns=0)

    assert state_of(drive, "a").kin == (state_of(drive, "c"),)
    assert {bucket.limit for bucket in state_of(drive, "a").budget.by_unit["requests"]} == {600}


def test_a_typed_key_that_was_first_to_name_the_group_does_not_keep_others_apart() -> None:
    """Nor does one that is called like it, or one that was typed later."""
    for first in ("t", "G"):
        drive = Drive(scheduler({first: [Quota("requests", 1000)]}, profile=GROUPS), hold=True)
        for key in (first, "a", "b"):
            refused(drive, key, "G")
        assert state_of(drive, "a").budget is state_of(drive, "b").budget
        assert state_of(drive, first).budget is not state_of(drive, "a").budget
    drive = drive_of()
    refused(drive, "a", "G")
    drive.machine.set_quotas(per_minute(requests=5), key="a", now_ns=0)
    for key in "bc":
        refused(drive, key, "G")
    assert state_of(drive, "b").budget is state_of(drive, "c").budget
    assert state_of(drive, "a").kin == ()


def test_a_bucket_that_is_shown_later_does_not_believe_old_marks_either() -> None:
    """Sent before the keys were one, answered afterwards with the first header of all."""
    drive = drive_of(slots=8)
    for second in range(0, 1200, 30):
        drive.to(second)
        drive.end(drive.ask("b"))
    early, other = drive.ask("b"), drive.ask("b")
    drive.end(drive.ask("a"))
    drive.end(other, refusal("a", readings={}), Ending.IGNORED)
    drive.end(early, Signals(200, readings=shows(5, limit=60)))
    line = state_of(drive, "a").budget.lines["requests"][0]
    assert line.series.server_remaining is None
    line.set_window(60 * S, now_ns=drive.now_ns)
    drive.to(1201)
    drive.end(drive.ask("a"), Signals(200, readings=shows(4, limit=60)))

    assert level(drive, "b") == 4


def test_an_assumed_window_is_the_one_that_was_determined() -> None:
    """The limit of 60 that a was thought to have each minute is the one that b has each second."""
    for order in ("ab", "ba"):
        drive = drive_of()
        drive.end(drive.ask("a"), Signals(200, readings={"requests": Reading(60, 60, 0.0)}))
        drive.end(drive.ask("b"), Signals(200, readings={"requests": Reading(60, 30, 0.5)}))
        for key in order:
            refused(drive, key, "ab", readings={})
        lines = state_of(drive, "a").budget.lines["requests"]
        assert [(line.bucket.limit, line.bucket.window_ns // S, line.provisional) for line in lines] == [(60, 1, False)]


def test_a_long_hint_is_for_all_that_count_together() -> None:
    """Who waits in the queue of the other key hears of the hour as soon as those of this one."""
    drive = drive_of(slots=8)
    together(drive)
    drive.to(60)
    first, large = drive.ask("a"), drive.ask("a", requests=590)
    waits = [drive.ask(key, requests=100, patience=Patience(None, 5 * S)) for key in "ab"]
    assert [ticket.state for ticket in (large, *waits)] == [State.GRANTED, State.QUEUED, State.QUEUED]
    drive.end(first, refusal("ab", retry_after_s=3600.0), Ending.IGNORED)

    assert sorted(ticket.key for ticket in drive.expired) == ["a", "b"]
    assert all(isinstance(ticket.error, Throttled) for ticket in waits)


def test_a_key_that_is_forgotten_is_nobodys_kin() -> None:
    """Among a hundred thousand keys those that know nothing are dropped."""
    drive = drive_of(slots=8)
    together(drive, 300)
    state = state_of(drive, "a")
    state.kin = (*state.kin, KeyState("gone", state.budget, state.window))
    drive.machine._forget_at = 2
    drive.ask("c")

    assert state.kin == (state_of(drive, "b"),)


def test_tokens_from_before_two_keys_were_found_to_be_one_are_no_part_of_the_pace() -> None:
    """A hundred thousand were let out in the minute before, two hundred since: the pace is nine tenths of those."""
    drive = drive_of(slots=1000)
    drive.end(drive.ask("a", tokens=100_000))
    together(drive, 500)
    for number in range(20):
        drive.to(1 + number)
        drive.end(drive.ask("a", tokens=10))
    for _ in range(10):
        drive.end(drive.ask("b", tokens=10), Signals(429, Reason.OVERLOADED, True, slow_down=True), Ending.IGNORED)

    pace = state_of(drive, "a").budget.slowdown.pace
    assert pace is not None
    assert (pace.pays, pace.limit) == ("tokens", 180)


@pytest.mark.parametrize("reads", ["a", "b"])
def test_what_one_of_them_has_read_both_have(reads: str) -> None:
    """Whichever it was: the levels that a refusal would be held against are noted for the calls of both."""
    drive = drive_of()
    drive.end(drive.ask(reads), Signals(200, readings=shows(500)))
    for name in "ab":
        drive.end(drive.ask(name), refusal("ab", readings={}), Ending.IGNORED)

    for second, name in [(300, "a"), (600, "b")]:
        drive.to(second)
        assert drive.ask(name).levels is not None


def test_a_budget_of_its_own_is_as_full_as_the_common_one_was() -> None:
    """Two hundred of six hundred were left for both: a typed quota of six hundred begins with those."""
    drive = drive_of()
    together(drive, 200)
    drive.machine.set_quotas(per_minute(requests=600), key="a", now_ns=0)

    assert state_of(drive, "a").budget is not state_of(drive, "b").budget
    assert level(drive, "a") == level(drive, "b") == 200
