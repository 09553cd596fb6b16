"""Successes of which nobody reads what they show."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.events import Kind
from ratelimit_client.core.failure import FailureKind, TransportFailure
from ratelimit_client.core.outage import FAILURES_TO_CLOSE
from ratelimit_client.core.scheduler import Scheduler
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.ticket import State, Ticket
from ratelimit_client.core.units import NS as S
from tests.core.driving import OPENAI, Drive, scheduler

LOST = TransportFailure(kind=FailureKind.TIMEOUT)


def shown(remaining: int, *, limit: int = 600, window_s: float = 60.0) -> Signals:
    return Signals(200, readings={"requests": Reading(limit, remaining, window_s=window_s)})


def all_of(thing: Any) -> Any:
    """What a part of a machine holds, down to numbers and names."""
    if isinstance(thing, Ticket):
        return thing.seq
    if attrs.has(type(thing)):
        return {field.name: all_of(getattr(thing, field.name)) for field in attrs.fields(type(thing))}
    if isinstance(thing, dict):
        return {str(name): all_of(value) for name, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [all_of(each) for each in thing]
    return thing if isinstance(thing, int | str | float | None) else type(thing).__name__


@pytest.mark.parametrize("outage", [False, True])
@pytest.mark.parametrize("readings", [False, True])
def test_it_is_learnt_from_like_one_that_says_nothing_more(*, outage: bool, readings: bool) -> None:
    """Ramp, breaker and the learner of a rate hear of it; the same events are told."""

    def story(unread: bool) -> tuple[Any, list[Any], Scheduler]:
        drive = Drive(scheduler(slots=64), hold=True)
        machine = drive.machine
        machine.subscribe(Kind)
        first, second, *rest = (drive.ask() for _ in range(4))
        machine.observe(first, shown(500) if readings else Signals(200), now_ns=0)
        if outage:
            for _ in range(FAILURES_TO_CLOSE):
                machine.failed(rest[0], LOST, now_ns=1)
        if unread:
            machine.observe_unread(second, 200, now_ns=2)
        else:
            machine.keys["m"].read_ns = 2  # as if another had been read at this instant
            machine.observe(second, Signals(200), now_ns=2)
        events = list(iter(machine.next_event, None))
        machine.keys["m"].read_ns = 0
        state = machine.keys["m"]
        return all_of([state.window, state.breaker, state.budget, state.evidence]), events, machine

    (one, told, machine), (other, told_too, _) = story(True), story(False)
    assert one == other
    assert told == told_too
    assert told[-1].kind is Kind.ANSWERED
    assert (Kind.RECOVERED in [event.kind for event in told]) is outage
    assert machine.next_wakeup() == 0, "somebody may go now"


def test_it_counts_once_and_only_of_a_call_under_way() -> None:
    """A call that was answered, or has ended, tells nothing a second time."""
    drive = Drive(scheduler(), hold=True)
    ticket = drive.ask()
    drive.machine.subscribe([Kind.ANSWERED])
    for _ in range(2):
        drive.machine.observe_unread(ticket, 204, now_ns=0)
    assert ticket.state is State.ANSWERED
    assert [event.facts["status"] for event in iter(drive.machine.next_event, None)] == [204]


@pytest.mark.parametrize(
    ("windows", "remaining", "wait_ms"),
    [
        ([60.0], 600, 50),  # 50 ms at most
        ([60.0], 450, 50),
        ([60.0], 449, 5),  # not three quarters full
        ([3.2], 600, 25),  # a 128th of the window
        ([0.5], 600, 5),  # but 5 ms at least
        ([86400.0, 3.2], 600, 25),  # the shorter one says
    ],
)
def test_while_there_is_plenty_the_next_reading_waits(windows: list[float], remaining: int, wait_ms: int) -> None:
    """For a part of the shortest window that is shown."""
    drive = Drive(scheduler(), hold=True)
    ticket = drive.ask()
    names = ("requests", "tokens")
    readings = {
        name: Reading(600, remaining, window_s=window_s) for name, window_s in zip(names, windows, strict=False)
    }
    drive.machine.observe(ticket, Signals(200, readings=readings), now_ns=0)
    due = [ms for ms in range(300) if drive.machine.keys["m"].reading_due(now_ns=ms * S // 1000)]
    assert due[0] == wait_ms


def test_once_many_were_read_the_next_waits_a_quarter_of_a_second() -> None:
    """The first ones tell what kind of limit it is; where the bucket then runs low all are read again."""
    drive = Drive(scheduler(), hold=True)
    state = drive.machine.open_key("m", now_ns=0)
    waits = []
    for at_ms in range(5, 25_000, 5):
        drive.to(at_ms / 1000)
        drive.end(drive.ask(), shown(59_900, limit=60_000))
        if state.read_ns == drive.now_ns:
            waits.append(state.read_each_ns * 1000 // S)
    assert waits[:64] == [50] * 64
    assert set(waits[64:]) == {250}

    low = shown(100, limit=60_000).readings
    drive.end(drive.ask(), Signals(429, Reason.RATE_LIMITED, True, readings=low), Ending.IGNORED)
    assert state.read_each_ns * 1000 // S == 5


def test_keys_of_one_budget_are_looked_at_together() -> None:
    """What one of them hears may let the calls of the other go."""
    drive = Drive(scheduler(profile=attrs.evolve(OPENAI, groups_share=True)), hold=True)
    no = Signals(429, Reason.RATE_LIMITED, True, unit="requests", readings=shown(9).readings, limit_group="ab")
    for name in ("a", "b"):
        drive.end(drive.ask(name), no, Ending.IGNORED)
    drive.to(60)
    one = drive.ask("a")
    assert {state.name for state in drive.machine.keys["a"].kin} == {"b"}
    assert not drive.machine.agenda._all
    drive.machine.observe_unread(one, 200, now_ns=drive.now_ns)
    assert drive.machine.agenda._all


def test_a_rate_taught_beside_readings_is_outlived_though_successes_go_unread() -> None:
    """A server that refused below the limit it shows is believed again after a while without refusals."""
    drive = Drive(scheduler(slots=1000), hold=True)
    drive.end(drive.ask(), Signals(429, Reason.RATE_LIMITED, True, readings=shown(300).readings), Ending.IGNORED)
    state = drive.machine.keys["m"]
    assert state.budget.learner.bucket is not None
    one, other = drive.ask(), drive.ask()
    drive.to(1)
    drive.machine.observe_unread(one, 200, now_ns=drive.now_ns)
    assert state.budget.learner.bucket is not None

    drive.machine.observe_unread(other, 200, now_ns=3600 * S)
    assert state.budget.learner.bucket is None
