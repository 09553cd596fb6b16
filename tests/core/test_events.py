"""Facts for instruments."""

from __future__ import annotations

import attrs
import pytest

from ratelimit_client.core.concurrency import Ending
from ratelimit_client.core.estimate import Features
from ratelimit_client.core.events import Event, Kind
from ratelimit_client.core.failure import FailureKind, TransportFailure
from ratelimit_client.core.outage import FAILURES_TO_CLOSE
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.units import NS as S
from tests.core.driving import OK, OPENAI, Drive, scheduler

READING = {"requests": Reading(600, 500, window_s=60.0)}
TIMEOUT = TransportFailure(kind=FailureKind.TIMEOUT)


@attrs.define(eq=False)
class Story(Drive):
    """A drive whose every event is of the present and of the key ``m``."""

    kinds: list[Kind] = attrs.field(factory=list)

    def told(self, second: float | None = None) -> None:
        """Read what was said since; then time goes on."""
        while (event := self.machine.next_event()) is not None:
            assert (event.key, event.at_ns) == ("m", self.now_ns), event.kind
            self.kinds.append(event.kind)
        if second is not None:
            self.now_ns = round(second * S)


def test_an_event_is_a_fact() -> None:
    """What happened, when, to which key, and what goes with it; nothing of it changes later."""
    event = Event(Kind.REFUSED, 7, "gpt-4o", {"unit": "tokens"})

    assert (event.kind, event.at_ns, event.key, event.facts["unit"]) == (Kind.REFUSED, 7, "gpt-4o", "tokens")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.key = "other"  # type: ignore[misc]


def test_every_kind_has_a_name_of_its_own() -> None:
    """The value is what an instrument prints: the name in lower case."""
    assert {kind.value for kind in Kind} == {kind.name.lower() for kind in Kind}


def story(*, slots: int = 4) -> Story:
    machine = scheduler(slots=slots)
    machine.subscribe(Kind)
    return Story(machine, hold=True)


def test_the_events_of_a_call_name_its_key_and_the_instant() -> None:
    """Queued, granted, answered, settled, released, sent again, cancelled, expired: each as it happens."""
    drive = story(slots=1)
    first, second = drive.ask(tokens=5), drive.ask(deadline_ns=9 * S)
    for act in (
        lambda: drive.machine.observe(first, OK, now_ns=drive.now_ns),
        lambda: drive.machine.settle(first, {"tokens": 7}, now_ns=drive.now_ns),
        lambda: drive.machine.release(first, Ending.SUCCEEDED, now_ns=drive.now_ns),
        lambda: drive.turn(),
        lambda: drive.machine.requeue(first, not_before_ns=0, now_ns=drive.now_ns),
        lambda: drive.machine.cancel(first, now_ns=drive.now_ns),
        lambda: drive.machine.failed(second, TIMEOUT, now_ns=drive.now_ns),
        lambda: drive.ask(deadline_ns=9 * S),
    ):
        drive.told(drive.now_ns / S + 1)
        act()
    drive.told(9)
    drive.turn()
    drive.told()

    assert [kind.value for kind in drive.kinds] == [
        *("granted", "queued", "answered", "settled", "released", "granted"),
        *("retrying", "cancelled", "failed", "queued", "expired"),
    ]


def test_the_events_of_a_call_have_its_number_and_their_context() -> None:
    """One number over all its attempts, told to the end; the context is what the witness saw as it happened."""
    drive = story(slots=1)
    drive.machine.witness = lambda: drive.now_ns
    first, second, third = drive.ask(), drive.ask(), drive.ask()
    drive.now_ns = 1
    drive.end(first, Signals(429, Reason.RATE_LIMITED, True), Ending.IGNORED, polled=False)
    drive.machine.failed(first, TIMEOUT, now_ns=1)
    drive.machine.settle(first, {"tokens": 7}, now_ns=1)
    drive.machine.requeue(first, not_before_ns=S, now_ns=1)
    drive.machine.cancel(second, now_ns=1)
    drive.now_ns = 2
    drive.machine.close(now_ns=2)

    seen = [event for event in iter(drive.machine.next_event, None) if event.call is not None]
    of = {first.seq: "first", second.seq: "second", third.seq: "third"}
    assert [(of[event.call], event.kind.value, event.context) for event in seen if event.call is not None] == [
        *(("first", "granted", 0), ("second", "queued", 0), ("third", "queued", 0)),
        *(("first", kind, 1) for kind in ("refused", "answered", "released", "failed", "settled", "retrying")),
        *(("second", "cancelled", 1), ("third", "expired", 2), ("first", "expired", 2)),
    ]
    assert seen[-1].facts == {"error": "Closed"}
    assert len(of) == 3


def test_what_a_key_learns_names_it_and_the_instant() -> None:
    """A refusal, a price, a slice, a rate, an outage and its end, a pace."""
    slow = Signals(429, Reason.OVERLOADED, True, slow_down=True)
    no = Signals(429, Reason.RATE_LIMITED, True)
    stories: list[tuple[str, list[Signals | None]]] = [
        ("rate_learnt", [OK, no]),
        ("slice_learnt", [Signals(200, readings=READING), attrs.evolve(no, unit="requests", readings=READING)]),
        ("estimated", [attrs.evolve(no, unit="tokens", limit=10_000, used=9_900, requested=5_000)]),
        ("recovered", [*[None] * FAILURES_TO_CLOSE, OK]),
        ("slowed_down", [OK, *[slow] * 10]),
    ]
    for kind, answers in stories:
        drive = story()
        for second, signals in enumerate(answers):
            if drive.machine.queued == 0:
                drive.ask(features=Features(40))
            drive.told(second + 1.5)
            drive.turn()
            ticket = drive.log[-1][1]
            if signals is None:
                drive.machine.failed(ticket, TIMEOUT, now_ns=drive.now_ns)
            drive.end(ticket, signals, Ending.IGNORED, polled=False)
            drive.told()
        assert Kind(kind) in drive.kinds
        assert (Kind.OUTAGE in drive.kinds) is (kind == "recovered")
        assert (Kind.REFUSED in drive.kinds) is (no.reason in [each.reason for each in answers if each is not None])


@pytest.mark.parametrize(
    "kind", ["queued", "granted", "answered", "settled", "released", "retrying", "cancelled", "failed"]
)
def test_whoever_asks_for_one_kind_is_told_of_no_other(kind: str) -> None:
    """Of a call to which all of these happen."""
    drive = story(slots=1)
    drive.machine.subscribe([Kind(kind)])
    ticket, waits = drive.ask(), drive.ask()
    drive.end(ticket, polled=False)
    drive.machine.settle(ticket, {"tokens": 7}, now_ns=0)
    drive.machine.requeue(ticket, not_before_ns=0, now_ns=0)
    drive.machine.cancel(ticket, now_ns=0)
    drive.machine.failed(waits, TIMEOUT, now_ns=0)
    drive.told()

    assert set(drive.kinds) == {Kind(kind)}


def test_a_price_that_usage_teaches_names_its_key_and_the_instant() -> None:
    """Where usage is what the server charges."""
    drive = Story(scheduler(profile=attrs.evolve(OPENAI, settles=frozenset({"tokens"}))), hold=True)
    drive.machine.subscribe([Kind.ESTIMATED])
    ticket = drive.ask(features=Features(40))
    drive.told(3)
    drive.machine.settle(ticket, {"tokens": 500}, now_ns=drive.now_ns)
    drive.told()

    assert drive.kinds == [Kind.ESTIMATED]
