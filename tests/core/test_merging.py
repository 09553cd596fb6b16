"""Two scopes that turn out to be one: levels, marks, queues, and the names that tickets remember."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.estimate import Features
from ratelimit_client.core.keystate import KeyState
from ratelimit_client.core.merging import merge
from ratelimit_client.core.quota import Quota, per_minute
from ratelimit_client.core.scopes import Caller, Scopes
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.ticket import Patience, State, Ticket
from ratelimit_client.core.together import groups_of
from ratelimit_client.core.units import NS as S
from ratelimit_client.errors import Throttled
from tests.core.driving import OPENAI, Drive, scheduler

GROUPS = attrs.evolve(OPENAI, groups_share=True)


@attrs.define(eq=False)
class Two:
    """
    A scheduler and two callers with different credentials.

    Args:
        quotas: as typed.
        how: further arguments of the scheduler.
    """

    quotas: Any = ()
    how: dict[str, Any] = attrs.field(factory=dict)
    groups: dict[str, list[str]] = attrs.field(factory=dict)
    drive: Drive = attrs.field(init=False)
    one: Caller = attrs.field(init=False)
    two: Caller = attrs.field(init=False)
    scopes: Scopes = attrs.field(factory=Scopes, init=False)

    def __attrs_post_init__(self) -> None:
        machine = scheduler(self.quotas, **{"slots": 8, "profile": GROUPS} | self.how)
        machine.together = groups_of(self.groups)
        self.drive = Drive(machine, hold=True)
        self.one, self.two = (self.enter(name) for name in "ab")

    def enter(self, credential: str) -> Caller:
        return self.scopes.enter("https://api.example", None, None, credential.encode())

    def ask(self, caller: Caller, key: str = "m", **how: Any) -> Ticket:
        return self.drive.ask(caller.key(key), **how)

    def spend(self, caller: Caller, left: int, key: str = "m", **how: Any) -> None:
        """One call, whose answer shows what is left of 600."""
        self.drive.end(self.ask(caller, key, **how), Signals(200, readings=shows(left)))

    def name(self, caller: Caller, organization: str = "acme") -> None:
        """An answer to one of its calls named the organization."""
        now_ns = self.drive.now_ns
        found = self.scopes.hear(caller, organization, None, sent_ns=now_ns, now_ns=now_ns)
        if found is not None:
            merge(self.drive.machine, *found, now_ns=now_ns)
            self.drive.turn()

    def name_both(self) -> None:
        self.name(self.one)
        self.name(self.two)

    def state(self, name: str) -> KeyState:
        return self.drive.machine.keys[name]

    def level(self, name: str, unit: str = "requests") -> int:
        return self.state(name).budget.by_unit[unit][0].level(now_ns=self.drive.now_ns)


def shows(left: int, *, limit: int = 600, unit: str = "requests") -> dict[str, Reading]:
    return {unit: Reading(limit, left, window_s=60.0)}


def refusal(group: str | None = None, **how: Any) -> Signals:
    return Signals(429, Reason.RATE_LIMITED, True, unit="requests", limit_group=group, **how)


def test_before_they_are_one_each_has_a_budget_of_its_own() -> None:
    """Also of quotas that were typed once: what is typed for a key holds for it in every scope."""
    two = Two(per_minute(requests=10))
    asked = [two.ask(caller, requests=6) for caller in (two.one, two.two, two.one)]
    assert [ticket.state for ticket in asked] == [State.GRANTED, State.GRANTED, State.QUEUED]
    two.drive.machine.set_quotas({"m": per_minute(requests=5)}, now_ns=0)
    assert [two.state(name).budget.by_unit["requests"][0].limit for name in ("m", "m @2")] == [5, 5]
    two.drive.machine.set_quotas(per_minute(requests=3), key="m", now_ns=0)
    assert [two.state(name).budget.by_unit["requests"][0].limit for name in ("m", "m @2")] == [3, 3]


def test_then_they_are_one_key_at_the_lower_level() -> None:
    """Learnt or typed: what the one spent, the other cannot spend again."""
    for quotas in ((), per_minute(requests=600)):
        two = Two(quotas)
        two.spend(two.one, 500)
        two.spend(two.two, 400)
        two.name_both()

        assert two.state("m @2") is two.state("m")
        assert two.level("m") == 400
        assert two.state("m").kin == ()
        assert two.state("m").granted == 2
        two.ask(two.two)
        assert two.level("m") == 399


def test_marks_from_before_tell_nothing_and_the_next_call_does() -> None:
    """What was under way was counted in two ledgers; its slot is free as it ends, whichever name it has."""
    two = Two()
    two.spend(two.one, 500)
    two.spend(two.two, 400)
    under_way = [two.ask(caller) for caller in (two.one, two.two)]
    two.name_both()
    assert two.state("m").window.in_flight == 2
    two.drive.to(1)
    for ticket in under_way:
        two.drive.machine.written(ticket, now_ns=two.drive.now_ns)
        two.drive.end(ticket, Signals(200, readings=shows(1)))
    assert two.state("m").window.in_flight == two.drive.machine.in_flight == 0
    assert two.level("m") > 390
    two.drive.to(2)
    two.spend(two.one, 100)
    assert two.level("m") == 100


def test_a_key_that_only_one_of_them_had_goes_on_as_it_is() -> None:
    """With all that was learnt of it, under the other's name."""
    two = Two()
    two.spend(two.two, 400)
    state, out = two.state("m @2"), two.ask(two.two)
    waits = two.ask(two.two, requests=409)
    two.name_both()

    assert two.state("m") is two.state("m @2") is state
    assert state.name == "m"
    two.drive.end(out, Signals(200, readings=shows(399)))
    two.drive.to(10)
    assert two.drive.when(waits) == 1.6
    assert two.drive.machine.in_flight == state.window.in_flight == 1


def test_who_waits_keeps_his_rank() -> None:
    """One queue, first come, first served, whoever came by which name."""
    two = Two(per_minute(requests=1))
    for caller in (two.one, two.two):
        two.ask(caller)
    first = two.ask(two.two, tenant="1")
    second = two.ask(two.one, tenant="1")
    third = two.ask(two.two, tenant="1")
    two.name_both()
    assert two.state("m").queue.waiting == two.drive.machine.queued == 3
    two.drive.to(180)

    assert [two.drive.when(ticket) for ticket in (first, second, third)] == [60, 120, 180]


def test_one_that_waits_to_be_sent_again_does() -> None:
    """Resting with its caller, or in the queue until its time; and a call that comes by the old name is served."""
    two = Two(per_minute(requests=600))
    resting, queued = two.ask(two.two), two.ask(two.two)
    two.ask(two.one)
    for ticket in (resting, queued):
        two.drive.end(ticket, Signals(500, Reason.SERVER_ERROR, True))
    name = two.two.key("m")
    two.drive.machine.requeue(queued, not_before_ns=5 * S, now_ns=0)
    two.name_both()
    two.drive.machine.requeue(resting, not_before_ns=7 * S, now_ns=0)
    two.drive.to(10)
    assert [two.drive.when(ticket) for ticket in (queued, resting)] == [5, 7]
    two.drive.ask(name)
    assert two.level("m") < 600


def test_the_old_name_is_good_though_nobody_had_used_it() -> None:
    """A call asked for its key before the scopes were one, and was submitted afterwards; new or known there."""
    two = Two(per_minute(requests=600))
    names = [two.two.key(key) for key in "mn"]
    two.ask(two.one)
    two.name_both()
    for name in names:
        two.drive.ask(name)

    assert [two.state(name).name for name in names] == ["m", "n"]
    assert two.level("m") == 598
    assert two.drive.machine.keys.keys() == {"m", "m @2", "n", "n @2"}


def test_a_wait_that_one_was_asked_for_is_for_both() -> None:
    """The key is closed for a hundred seconds; of those in either queue who are willing to wait five hear of it."""
    for asked, other in ((1, 0), (0, 1)):
        two = Two(per_minute(requests=3))
        callers = (two.one, two.two)
        refused, _ = two.ask(callers[asked]), two.ask(callers[other], requests=2)
        waits = [two.ask(callers[other], requests=2, patience=Patience(None, seconds * S)) for seconds in (5, 500)]
        two.drive.end(refused, Signals(429, Reason.RATE_LIMITED, True, retry_after_s=100.0), Ending.IGNORED)
        two.name_both()

        assert two.state("m").gate_ns >= 100 * S
        assert two.drive.expired == waits[:1]
        assert isinstance(waits[0].error, Throttled)
        two.drive.to(120)
        assert two.drive.when(waits[1]) is not None


def test_what_was_not_sent_comes_back() -> None:
    """Granted by the other name and cancelled before a byte was written: the slot is free."""
    two = Two(per_minute(requests=600))
    two.ask(two.one)
    ticket = two.ask(two.two)
    two.name_both()
    two.drive.machine.cancel(ticket, now_ns=0)
    assert two.state("m").window.in_flight == two.drive.machine.in_flight == 1


def test_waiting_calls_are_priced_anew() -> None:
    """By the rules of the key they are of now."""
    two = Two(per_minute(requests=600, tokens=100))
    for caller in (two.one, two.two):
        two.ask(caller, tokens=100)
    waits = two.ask(two.two, features=Features(4000))
    estimator = two.state("m").estimator
    for _ in range(20):
        estimator.learn(Features(4000), 1, 300, stated=True)
    two.name_both()
    two.drive.to(61)

    assert two.drive.when(waits) == 60
    assert waits.amount("tokens") == two.state("m").estimator.price(Features(4000)) < 1000


def test_groups_that_refusals_name_are_those_of_a_scope() -> None:
    """The same name in another scope is another group; once the scopes are one, so are the groups."""
    two = Two()
    for caller in (two.one, two.two):
        for key in "xy":
            two.drive.end(two.ask(caller, key), refusal("g", readings=shows(300)), Ending.IGNORED)
    assert two.state("x").kin == (two.state("y"),)
    assert two.state("x @2").kin == (two.state("y @2"),)
    assert two.drive.machine.groups.keys() == {"g", "g @2"}
    two.name_both()

    assert two.state("x @2").budget is two.state("y @2").budget is two.state("x").budget
    assert [state.kin for state in (two.state("x"), two.state("y"))] == [(two.state("y"),), (two.state("x"),)]
    assert len({id(budget) for budget in two.drive.machine.groups.values()}) == 1


def test_a_group_of_which_the_other_scope_knew_one_key() -> None:
    """What counts together there counts together here."""
    two = Two()
    for key in "xyz":
        two.drive.end(two.ask(two.two, key), refusal("g", readings=shows(300)), Ending.IGNORED)
    two.spend(two.one, 200, "x")
    two.name_both()

    assert {id(two.state(key).budget) for key in "xyz"} == {id(two.state("x").budget)}
    assert {state.name for state in two.state("x").kin} == {"y", "z"}
    assert two.level("z") == 200


def test_groups_that_the_caller_typed_stay_groups() -> None:
    """The one scope had used two keys of the group, the other scope the third and one of these."""
    two = Two({"g": per_minute(requests=10)}, groups={"g": ["x", "y", "z"]})
    two.ask(two.one, "x", requests=3)
    two.ask(two.one, "z", requests=1)
    two.ask(two.two, "y", requests=6)
    two.ask(two.two, "x", requests=1)
    assert two.state("x @2").budget is two.state("y @2").budget
    two.name_both()

    assert len({id(two.state(name).budget) for name in ("x", "y", "z", "x @2", "y @2")}) == 1
    assert two.level("x") == 3
    assert [{state.name for state in two.state(key).kin} for key in "xyz"] == [{"y", "z"}, {"x", "z"}, {"x", "y"}]
    two.drive.machine.set_quotas({"g": per_minute(requests=20)}, now_ns=0)
    assert [two.state(key).budget.by_unit["requests"][0].limit for key in "xyz"] == [20, 20, 20]


def test_a_scope_that_had_taken_in_another_takes_it_along() -> None:
    """Of three, the second and third were one before the first was named."""
    two = Two(per_minute(requests=10))
    three = two.enter("c")
    for caller, requests in ((two.one, 1), (two.two, 2), (three, 4)):
        two.ask(caller, requests=requests)
    two.name(two.two)
    two.drive.now_ns += 1
    two.name(three)
    assert two.state("m @3") is two.state("m @2") is not two.state("m")
    two.name(two.one)

    assert two.state("m @3") is two.state("m @2") is two.state("m")
    assert two.level("m") == 6
    assert (two.state("m").granted, two.state("m").window.in_flight) == (3, 3)


@pytest.mark.parametrize("both", [True, False])
def test_what_was_kept_for_a_worse_band_in_a_shared_bucket_is_kept_no_longer(both: bool) -> None:
    """Nobody would say any more that it is free: the name that spoke for it is gone."""
    two = Two(how={"shared": [Quota("requests", 10)], "slots": 1000})
    if both:
        two.ask(two.one)
    two.ask(two.two, requests=10 - both)
    worse = two.ask(two.two, priority=2)
    better = two.ask(two.two)
    bucket = two.state("m @2").budget.shared[0]
    assert bucket.bands is not None
    two.name_both()
    two.drive.to(60)

    assert [ticket.state for ticket in (worse, better)] == [State.GRANTED] * 2
    assert bucket.bands is None
