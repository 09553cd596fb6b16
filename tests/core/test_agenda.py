"""Which key to look at, and when."""

from __future__ import annotations

import pytest

from ratelimit_client.core.agenda import Agenda, sooner
from ratelimit_client.core.budget import Budget
from ratelimit_client.core.concurrency import InFlightWindow
from ratelimit_client.core.cost import Cost
from ratelimit_client.core.keystate import KeyState
from ratelimit_client.core.profile import ServerProfile
from ratelimit_client.core.ticket import State, Ticket


def key(name: str, *, service: int = 0) -> KeyState:
    state = KeyState(name, Budget(ServerProfile()), InFlightWindow(10))
    state.service = service
    return state


def call(number: int) -> Ticket:
    return Ticket(number, "gpt-4o", "", 0, Cost(), None, None, 0)


def due(agenda: Agenda, *, now_ns: int, slots: int = 10) -> str:
    """The names of the keys to be looked at, one letter each, in their order; none of them takes a slot."""
    agenda.gather(now_ns=now_ns)
    names = ""
    while agenda.feed(slots):
        names += agenda.take().name
    return names


@pytest.mark.parametrize(
    ("one", "other", "first"), [(None, None, None), (3, None, 3), (None, 5, 5), (3, 5, 3), (5, 3, 3)]
)
def test_never_is_later_than_any_instant(one: int | None, other: int | None, first: int | None) -> None:
    """The sooner of two instants."""
    assert sooner(one, other) == first


def test_a_key_something_happened_to_is_looked_at_once() -> None:
    """However much happened to it, and the least served key first."""
    agenda, a, b = Agenda(), key("a", service=7), key("b", service=3)
    for state in (a, b, a, b):
        agenda.touch(state)

    assert agenda.next_wakeup(slots=True) == 0
    assert due(agenda, now_ns=0) == "ba"
    assert agenda.next_wakeup(slots=True) is None
    agenda.touch(a)
    assert due(agenda, now_ns=0) == "a"


def test_two_keys_of_one_name_are_two_keys() -> None:
    """A key that was forgotten and begun anew is looked at although the old one still stands here."""
    agenda, old, new = Agenda(), key("a"), key("a")
    agenda.touch(old)
    agenda.touch(new)

    agenda.gather(now_ns=0)
    assert [agenda.take(), agenda.take()] == [old, new]


def test_a_key_is_looked_at_when_its_time_has_come() -> None:
    """Not a nanosecond before, and once."""
    agenda, a, b = Agenda(), key("a"), key("b")
    agenda.plan(a, 100, now_ns=0)
    agenda.plan(b, 70, now_ns=0)

    assert agenda.next_wakeup(slots=True) == 70
    assert due(agenda, now_ns=69) == ""
    assert due(agenda, now_ns=99) == "b"
    assert agenda.next_wakeup(slots=True) == 100
    assert due(agenda, now_ns=100) == "a"
    assert due(agenda, now_ns=1000) == ""


def test_only_the_last_plan_counts() -> None:
    """Earlier, later, never, and the same again: entries of old plans wake nobody."""
    agenda, a = Agenda(), key("a")
    agenda.plan(a, 50, now_ns=0)
    agenda.plan(a, 80, now_ns=0)
    agenda.plan(a, 80, now_ns=0)
    assert agenda.next_wakeup(slots=True) == 80
    assert due(agenda, now_ns=50) == ""

    agenda.plan(a, 60, now_ns=50)
    agenda.plan(a, None, now_ns=50)
    assert agenda.next_wakeup(slots=True) is None
    assert due(agenda, now_ns=100) == ""

    agenda.plan(a, 90, now_ns=100)
    assert agenda.next_wakeup(slots=True) == 101, "a plan for the past is one for the next instant"


def test_starved_keys_are_looked_at_when_a_slot_is_free() -> None:
    """As long as there is none they are nobody's business."""
    agenda, a = Agenda(), key("a")
    agenda.starve(a)
    agenda.starve(a)
    assert not agenda.starving, "nobody waits there any more"
    a.queue.push(call(1), now_ns=0)
    assert agenda.starving

    assert agenda.next_wakeup(slots=False) is None
    assert due(agenda, now_ns=0, slots=0) == ""
    assert agenda.next_wakeup(slots=True) == 0
    assert due(agenda, now_ns=0) == "a"
    assert not agenda.starving
    assert due(agenda, now_ns=0) == ""


def test_of_many_starved_keys_as_many_are_looked_at_as_there_are_slots() -> None:
    """The least served first, and all of them only if those before took no slot; one served meanwhile waits."""
    agenda, services = Agenda(), {"a": 5, "b": 3, "c": 9, "d": 4}
    keys = [key(name, service=service) for name, service in services.items()]
    for state in keys:
        agenda.starve(state)
    keys[1].service = 7
    agenda.feed(2)
    assert [agenda.take().name, agenda.take().name] == ["d", "a"]
    assert not agenda.pending

    agenda.touch(key("e", service=8))
    agenda.feed(1)
    assert [agenda.take().name, agenda.take().name] == ["b", "e"], "b was served less than e"
    assert due(agenda, now_ns=0) == "c"


def test_what_all_share_concerns_every_key_that_waits_for_time() -> None:
    """They are looked at now; those that wait for nothing are not."""
    agenda, a, b, c = Agenda(), key("a"), key("b"), key("c")
    agenda.touch_all()
    assert agenda.next_wakeup(slots=True) is None, "nobody waits"

    agenda.plan(a, 50, now_ns=0)
    agenda.plan(b, 60, now_ns=0)
    agenda.plan(c, 70, now_ns=0)
    agenda.plan(b, None, now_ns=0)
    agenda.touch_all()
    assert agenda.next_wakeup(slots=True) == 0
    assert due(agenda, now_ns=1) == "ac"
    assert agenda.next_wakeup(slots=True) == 50, "and their own times still stand"


def test_waiting_ends_in_the_order_of_the_ends() -> None:
    """Each asks once; who no longer waits is passed over."""
    agenda, tickets = Agenda(), [call(number) for number in range(4)]
    for ticket, at_ns in zip(tickets, (40, 20, 30, 90), strict=True):
        agenda.end_at(ticket, at_ns)
    tickets[2].state = State.GRANTED

    assert agenda.next_wakeup(slots=True) == 20
    assert agenda.next_end(now_ns=19) is None
    assert [agenda.next_end(now_ns=50) for _ in range(3)] == [tickets[1], tickets[0], None]
    tickets[3].state = State.ENDED
    assert agenda.next_wakeup(slots=True) is None


def test_ends_of_calls_that_went_long_ago_are_not_kept() -> None:
    """A hundred thousand calls with an hour each, of which ten wait, keep the memory of ten."""
    agenda = Agenda()
    waiting = [call(number) for number in range(10)]
    for ticket in waiting:
        agenda.end_at(ticket, 3600)
        agenda.end_at(ticket, 3600)
    for number in range(10, 5000):
        ticket = call(number)
        agenda.end_at(ticket, 3600)
        ticket.state = State.GRANTED

    assert len(agenda._ends) <= 150
    assert {agenda.next_end(now_ns=3600) for _ in range(10)} == set(waiting)
    assert agenda.next_end(now_ns=3600) is None


def test_plans_that_were_changed_are_not_kept() -> None:
    """A key whose plan moves with everything that happens leaves no trail of old plans."""
    agenda, a, b = Agenda(), key("a"), key("b")
    agenda.plan(b, 10**9, now_ns=0)
    for step in range(5000):
        agenda.plan(a, 10**6 - step, now_ns=0)
        agenda.plan(b, None, now_ns=0)
        agenda.plan(b, 10**9, now_ns=0)

    assert len(agenda._later) <= 150
    assert due(agenda, now_ns=10**9) == "ab"
