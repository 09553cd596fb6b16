"""What answers say that a call was charged, and which of them are believed."""

from __future__ import annotations

import pytest

from ratelimit_client.core.estimate import Estimator, Features
from ratelimit_client.core.events import Kind
from ratelimit_client.core.profile import Refill, ServerProfile
from ratelimit_client.core.quota import per_minute
from ratelimit_client.core.signals import Reading, Reason, Signals
from ratelimit_client.core.ticket import State
from ratelimit_client.core.views import key_statistics

from .driving import OPENAI, Drive, scheduler
from .test_observing import state_of, told

SETTLES = ServerProfile(
    pays={"requests": "requests", "tokens": "tokens"}, refill=Refill.CONTINUOUS, settles=frozenset({"tokens"})
)
CALL = Features(400, 100)


def drive_of(profile: ServerProfile) -> Drive:
    """A scheduler whose calls stay under way, and whose lessons are told."""
    drive = Drive(scheduler(per_minute(tokens=100_000, images=3), profile=profile), hold=True)
    drive.machine.subscribe([Kind.ESTIMATED])
    return drive


def test_usage_teaches_where_it_is_what_the_server_charges() -> None:
    """Said twice, it is one lesson: the first; a price that was 208 for 60 comes down by thirds."""
    drive = drive_of(SETTLES)
    ticket = drive.ask(features=CALL)
    assert ticket.cost["tokens"] == 208
    for used in (60, 90):
        drive.machine.settle(ticket, {"tokens": used}, now_ns=0)

    assert told(drive) == [(Kind.ESTIMATED, {"charged": 60, "estimated": 208})]
    assert state_of(drive).estimator.price(CALL) < 208


@pytest.mark.parametrize(
    ("profile", "stated", "used"),
    [
        (OPENAI, False, {"tokens": 60}),
        (SETTLES, True, {"tokens": 60}),
        (SETTLES, False, {"requests": 1}),
        (SETTLES, False, {"tokens": -60}),
        (SETTLES, False, {"tokens": 0}),
    ],
)
def test_other_usage_teaches_no_price(profile: ServerProfile, stated: bool, used: dict[str, int]) -> None:
    """A server that charges at admission, a cost that was stated, another unit, an amount that cannot be."""
    drive = drive_of(profile)
    ticket = drive.ask(tokens=208) if stated else drive.ask(features=CALL)
    drive.machine.settle(ticket, used, now_ns=0)

    assert told(drive) == []
    assert state_of(drive).estimator.price(CALL) == 208


def test_a_success_that_says_its_charge_is_believed() -> None:
    """A header with the cost of the query counts like a refusal's "Requested 120"."""
    drive = drive_of(OPENAI)
    ticket = drive.ask(features=CALL)
    drive.end(ticket, Signals(200, unit="tokens", requested=120.0))

    assert told(drive) == [(Kind.ESTIMATED, {"charged": 120, "estimated": 208})]


def test_a_charge_in_another_unit_is_no_price() -> None:
    """Seconds of sound are no tokens."""
    drive = drive_of(OPENAI)
    drive.end(drive.ask(features=CALL), Signals(200, unit="audio-seconds", requested=3.0))
    assert told(drive) == []


def test_pictures_are_paid_where_pictures_count() -> None:
    """Three a minute: the third call of two waits for what is missing."""
    drive = drive_of(OPENAI)
    first = drive.ask(features=Features(400, images=2))
    second = drive.ask(features=Features(400, images=2))
    drive.drain()

    assert first.cost == {"requests": 1, "tokens": 108, "images": 2}
    assert drive.when(second) == pytest.approx(20.0, abs=1.0)


def test_one_liar_among_the_answers_moves_no_price() -> None:
    """Readings that tell one charge, and a single refusal that names five times as much."""
    drive = drive_of(OPENAI)
    for second in range(40):
        drive.to(100.0 * second)
        ticket = drive.ask(features=CALL)
        if second == 20:
            drive.end(ticket, Signals(200, unit="tokens", requested=550.0))
        else:
            drive.end(ticket, Signals(200, readings={"tokens": Reading(100_000, 99_890, 0.066)}))

    assert abs(state_of(drive).estimator.price(CALL) - 110) <= 3


HONEST = Signals(200, readings={"tokens": Reading(100_000, 99_890, 0.066)})
LIARS: dict[str, tuple[ServerProfile, Signals, int | None]] = {
    # (server, what the liar's answer says, what it says was used)
    "a cost of a thousand million": (OPENAI, Signals(200, unit="tokens", requested=1e9), None),
    "a cost of one": (OPENAI, Signals(200, unit="tokens", requested=1.0), None),
    "Requested 1000000000": (
        OPENAI,
        Signals(429, Reason.RATE_LIMITED, True, unit="tokens", limit=100_000.0, used=100.0, requested=1e9),
        None,
    ),
    "Requested 40 times as much": (
        OPENAI,
        Signals(429, Reason.RATE_LIMITED, True, unit="tokens", limit=100_000.0, used=100.0, requested=4400.0),
        None,
    ),
    "usage 0": (SETTLES, Signals(200), 0),
    "usage 1": (SETTLES, Signals(200), 1),
    "usage of a thousand million": (SETTLES, Signals(200), 10**9),
}


@pytest.mark.parametrize(("profile", "lie", "used"), LIARS.values(), ids=LIARS)
def test_one_answer_in_32_that_lies_moves_no_price(profile: ServerProfile, lie: Signals, used: int | None) -> None:
    """Two hundred answers: once learnt, the price never leaves the truth by a tenth, and the ratio is there to see."""
    drive = drive_of(profile)
    for number in range(200):
        drive.to(1000.0 * number)
        ticket = drive.ask(features=CALL)
        assert ticket.state is State.GRANTED
        lies = number % 32 == 5
        if profile is SETTLES:
            drive.machine.settle(ticket, {"tokens": used if lies and used is not None else 110}, now_ns=drive.now_ns)
            drive.end(ticket)
        else:
            drive.end(ticket, lie if lies else HONEST)
        if number >= 64:
            assert abs(state_of(drive).estimator.price(CALL) - 110) <= 11, number

    ratio = key_statistics(state_of(drive), now_ns=drive.now_ns).estimate_ratio
    assert ratio is not None
    assert 0.9 < ratio < 3


def test_what_a_server_states_outweighs_what_was_read() -> None:
    """Six charges were read off usage; two that a refusal states move the price as far as stated numbers do."""
    drive, stated, read = drive_of(SETTLES), Estimator(), Estimator()
    for _ in range(6):
        drive.machine.settle(drive.ask(features=CALL, requests=0), {"tokens": 300}, now_ns=0)
        drive.end(drive.log[-1][1])
        assert stated.learn(CALL, 1, 300)
        assert read.learn(CALL, 1, 300)
    for _ in range(2):
        drive.end(drive.ask(features=CALL), Signals(200, unit="tokens", requested=900.0))
        stated.learn(CALL, 1, 900, stated=True)
        read.learn(CALL, 1, 900)

    assert stated.price(CALL) != read.price(CALL)
    assert state_of(drive).estimator.price(CALL) == stated.price(CALL)
